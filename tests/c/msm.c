/* A Markov model from files, and the states of a frame.
 * msm TOPOLOGY TRAJECTORY... */
#include "check.h"

#include <math.h>
#include <stddef.h>

int main(int argc, char **argv)
{
    static system_t s;
    const char *const *files = (const char *const *)argv + 2;
    size_t n_files = (size_t)argc - 2, needed = 0, i, j;
    marsfm_msm_t *msm = NULL;
    marsfm_msm_options_t options = {0};
    marsfm_msm_info_t info = {0};
    marsfm_xyz_in_t xyz;
    double t[100], pi[10], ps[10], sum = 0.0;
    int32_t microstate = -5, macrostate = -5;
    char text[4096];

    REQUIRE(argc > 2);
    options.struct_size = sizeof options;
    options.n_microstates = 40;
    options.n_macrostates = 4;
    EXPECT(marsfm_msm_build(argv[1], NULL, 1, &options, &msm), MARSFM_ERROR_ARGUMENT, "NULL");
    EXPECT(marsfm_msm_build(argv[1], files, 0, &options, &msm), MARSFM_ERROR_ARGUMENT, "0");
    EXPECT(marsfm_msm_build(argv[1], files, n_files, &options, NULL), MARSFM_ERROR_ARGUMENT, "msm");
    EXPECT(marsfm_msm_build("none.pdb", files, n_files, &options, &msm), MARSFM_ERROR_FILE,
           "none.pdb");
    options.pair_lag_ps = -3;
    EXPECT(marsfm_msm_build(argv[1], files, n_files, &options, &msm), MARSFM_ERROR_ARGUMENT,
           "pair_lag_ps is -3");
    options.pair_lag_ps = 1e7;
    EXPECT(marsfm_msm_build(argv[1], files, n_files, &options, &msm), MARSFM_ERROR_MSM, "lag");
    REQUIRE(msm == NULL);
    options.pair_lag_ps = 20;
    options.features = "backbone,ca-distance";
    EXPECT(marsfm_msm_build(argv[1], files, n_files, &options, &msm), MARSFM_ERROR_ARGUMENT,
           "`ca-distance` names no features");
    options.features = "rg-ss";
    options.feature_plugin = "nowhere";
    EXPECT(marsfm_msm_build(argv[1], files, n_files, &options, &msm), MARSFM_ERROR_ARGUMENT,
           "feature_plugin are both set");
    options.features = NULL;
    EXPECT(marsfm_msm_build(argv[1], files, n_files, &options, &msm), MARSFM_ERROR_FILE, "nowhere");
    REQUIRE(msm == NULL);
    info.struct_size = sizeof info;
    options.feature_plugin = NULL;
    options.features = "rg-ss";
    OK(marsfm_msm_build(argv[1], files, 1, &options, &msm));
    OK(marsfm_msm_info(msm, &info));
    REQUIRE(info.n_features == 3 && info.n_frames == 1500);
    marsfm_msm_free(msm);
    /* A caller of before the choice: torsions. */
    options.struct_size = offsetof(marsfm_msm_options_t, features);
    OK(marsfm_msm_build(argv[1], files, 1, &options, &msm));
    OK(marsfm_msm_info(msm, &info));
    REQUIRE(info.n_features > 3);
    marsfm_msm_free(msm);
    options.struct_size = sizeof options;
    options.features = "torsions";
    OK(marsfm_msm_build(argv[1], files, n_files, &options, &msm));

    i = info.n_features;
    OK(marsfm_msm_info(msm, &info));
    REQUIRE(info.n_features == i);
    REQUIRE(info.n_frames == 1500 * n_files && info.frame_ps == 1.0 && info.pair_lag_ps == 20.0);
    REQUIRE(info.n_macrostates >= 2 && info.n_macrostates <= 4 && info.n_microstates <= 40);
    EXPECT(marsfm_msm_transition_matrix(msm, t, 1, &needed), MARSFM_ERROR_SIZE, "needed");
    REQUIRE(needed == info.n_macrostates * info.n_macrostates);
    OK(marsfm_msm_transition_matrix(msm, t, 100, &needed));
    OK(marsfm_msm_stationary(msm, pi, 10, &needed));
    REQUIRE(needed == info.n_macrostates);
    for (i = 0; i < needed; i++) {
        double row = 0.0;
        for (j = 0; j < needed; j++)
            row += t[i * needed + j];
        REQUIRE(fabs(row - 1.0) < 1e-12);
        sum += pi[i];
    }
    REQUIRE(fabs(sum - 1.0) < 1e-9);
    OK(marsfm_msm_timescales(msm, ps, 10, &needed));
    REQUIRE(needed >= 1 && ps[0] > 1.0);
    for (i = 1; i < needed; i++)
        REQUIRE(ps[i] <= ps[i - 1]);
    OK(marsfm_msm_warnings(msm, text, sizeof text, NULL));

    read_pdb(argv[1], &s);
    s.n--; /* without the water */
    xyz = in_of(&s);
    OK(marsfm_msm_assign(msm, &xyz, NULL, &microstate, &macrostate));
    REQUIRE(microstate >= 0 && macrostate >= 0 && macrostate < (int32_t)info.n_macrostates);
    OK(marsfm_msm_assign(msm, &xyz, NULL, NULL, NULL));
    s.xyz_nm[4][0] = NAN;
    microstate = -5;
    EXPECT(marsfm_msm_assign(msm, &xyz, NULL, &microstate, NULL), MARSFM_ERROR_NOT_FINITE, "atom 4");
    xyz.n_atoms = 3;
    EXPECT(marsfm_msm_assign(msm, &xyz, NULL, &microstate, NULL), MARSFM_ERROR_COUNT, "3 positions");
    REQUIRE(microstate == -5);
    marsfm_msm_free(msm);
    marsfm_msm_free(NULL);
    printf("msm: ok, slowest %.1f ps\n", ps[0]);
    return 0;
}
