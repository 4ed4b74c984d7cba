/* A Markov model of a caller's own numbers: two wells, seen by two runs; states of rows. */
#include "check.h"

#include <math.h>

#define FRAMES 4000
#define WIDTH 2

static double run_a[FRAMES * WIDTH], run_b[FRAMES * WIDTH];

/* A hop between x = -1 and x = 1 about every 50 frames; the second number is noise. */
static void walk(double *rows, uint64_t seed)
{
    double well = 1.0;
    size_t i;

    for (i = 0; i < FRAMES; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        if ((seed >> 33) % 50 == 0)
            well = -well;
        rows[WIDTH * i] = well + 0.2 * ((double)((seed >> 40) % 1000) / 1000.0 - 0.5);
        rows[WIDTH * i + 1] = (double)((seed >> 20) % 1000) / 1000.0;
    }
}

int main(void)
{
    const double *rows[2] = {run_a, run_b};
    size_t lengths[2] = {FRAMES, FRAMES};
    static int32_t micro[FRAMES], macro_of[FRAMES];
    marsfm_msm_options_t options = {0};
    marsfm_msm_info_t info = {0};
    marsfm_msm_t *msm = NULL;
    marsfm_xyz_in_t xyz = {0};
    double ps[10];
    size_t i, needed = 0;
    int32_t one = -5;

    walk(run_a, 1);
    walk(run_b, 2);
    options.struct_size = sizeof options;
    options.n_microstates = 10;
    options.n_macrostates = 2;
    EXPECT(marsfm_msm_build_from_rows(rows, lengths, 2, WIDTH, &options, &msm),
           MARSFM_ERROR_ARGUMENT, "frame_ps is 0");
    options.frame_ps = 2.0;
    EXPECT(marsfm_msm_build_from_rows(NULL, lengths, 2, WIDTH, &options, &msm),
           MARSFM_ERROR_ARGUMENT, "NULL");
    EXPECT(marsfm_msm_build_from_rows(rows, lengths, 2, 0, &options, &msm), MARSFM_ERROR_ARGUMENT,
           "rows[0]");
    run_b[WIDTH * 7] = NAN;
    EXPECT(marsfm_msm_build_from_rows(rows, lengths, 2, WIDTH, &options, &msm), MARSFM_ERROR_MSM,
           "frame 7");
    run_b[WIDTH * 7] = 1.0;
    options.features = "torsions";
    EXPECT(marsfm_msm_build_from_rows(rows, lengths, 2, WIDTH, &options, &msm),
           MARSFM_ERROR_ARGUMENT, "features");
    options.features = NULL;
    OK(marsfm_msm_build_from_rows(rows, lengths, 2, WIDTH, &options, &msm));

    info.struct_size = sizeof info;
    OK(marsfm_msm_info(msm, &info));
    REQUIRE(info.n_frames == 2 * FRAMES && info.n_atoms == 0 && info.n_macrostates == 2);
    OK(marsfm_msm_timescales(msm, ps, 10, &needed));
    /* A hop in 50 frames each way: the difference of the wells decays with 1 - 2/50 per frame. */
    REQUIRE(needed >= 1 && fabs(ps[0] / 49.0 - 1.0) < 0.2);

    OK(marsfm_msm_assign_rows(msm, run_a, FRAMES, WIDTH, micro, macro_of));
    for (i = 1; i < FRAMES; i++) {
        int same = (run_a[WIDTH * i] > 0) == (run_a[0] > 0);
        REQUIRE(micro[i] >= 0 && micro[i] < 10 && (macro_of[i] == macro_of[0]) == same);
    }
    EXPECT(marsfm_msm_assign_rows(msm, run_a, FRAMES, 1, micro, NULL), MARSFM_ERROR_MSM, "features");
    xyz.struct_size = sizeof xyz;
    REQUIRE(marsfm_msm_assign(msm, &xyz, NULL, &one, NULL) != MARSFM_OK && one == -5);
    marsfm_msm_free(msm);
    printf("rows: ok, slowest %.1f ps\n", ps[0]);
    return 0;
}
