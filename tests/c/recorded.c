/* A Markov model of frames from memory: built, saved, loaded for another order of atoms, updated.
 * recorded TOPOLOGY MODEL_FILE TRAJECTORY... */
#include "check.h"

#include <math.h>

static marsfm_trajectory_t *read_run(const marsfm_topology_t *topology, const char *path,
                                     double discard_ps)
{
    marsfm_trajectory_t *run = NULL;
    OK(marsfm_trajectory_read(topology, path, 0.0, discard_ps, &run));
    return run;
}

static marsfm_trajectory_info_t info_of(const marsfm_trajectory_t *run)
{
    marsfm_trajectory_info_t info = {0};
    info.struct_size = sizeof info;
    OK(marsfm_trajectory_info(run, &info));
    return info;
}

int main(int argc, char **argv)
{
    static system_t s, turned;
    marsfm_topology_t *topology, *other;
    marsfm_trajectory_t *runs[8] = {0}, *mine = NULL, *short_run = NULL;
    const marsfm_trajectory_t *const *list = (const marsfm_trajectory_t *const *)runs;
    size_t n = (size_t)argc - 3, i, needed = 0;
    marsfm_msm_t *built = NULL, *of_files = NULL, *loaded = NULL, *updated = NULL;
    marsfm_msm_options_t options = {0};
    marsfm_msm_info_t info = {0}, more = {0};
    marsfm_msm_drift_t drift = {0};
    marsfm_xyz_in_t xyz, back;
    double a[100], b[100], frames[100], total = 0.0;
    int32_t micro = -5, macro = -5, micro_2 = -5, macro_2 = -5;

    REQUIRE(argc > 4 && n <= 8);
    read_pdb(argv[1], &s);
    s.n--; /* without the water */
    topology = topology_of(&s);
    xyz = in_of(&s);

    EXPECT(marsfm_trajectory_new(topology, NULL, 0.0, 0.0, &mine), MARSFM_ERROR_ARGUMENT, "frame_ps");
    EXPECT(marsfm_trajectory_new(topology, NULL, 1.0, -1.0, &mine), MARSFM_ERROR_ARGUMENT, "discard");
    EXPECT(marsfm_trajectory_new(topology, NULL, 1.0, NAN, &mine), MARSFM_ERROR_ARGUMENT, "discard");
    EXPECT(marsfm_trajectory_read(topology, "none.xtc", 0, 0, &mine), MARSFM_ERROR_FILE, "none.xtc");
    REQUIRE(mine == NULL);

    /* Files into memory give the model that the files give. */
    for (i = 0; i < n; i++)
        runs[i] = read_run(topology, argv[3 + i], 0.0);
    REQUIRE(info_of(runs[0]).n_kept == 1500 && info_of(runs[0]).frame_ps == 1.0);
    options.struct_size = sizeof options;
    options.n_microstates = 40;
    options.n_macrostates = 4;
    OK(marsfm_msm_build_from_trajectories(list, n, &options, &built));
    OK(marsfm_msm_build(argv[1], (const char *const *)argv + 3, n, &options, &of_files));
    info.struct_size = more.struct_size = sizeof info;
    OK(marsfm_msm_info(built, &info));
    OK(marsfm_msm_info(of_files, &more));
    REQUIRE(info.n_frames == more.n_frames && info.n_frames == 1500 * n);
    OK(marsfm_msm_timescales(built, a, 100, &needed));
    OK(marsfm_msm_timescales(of_files, b, 100, NULL));
    REQUIRE(fabs(a[0] - b[0]) < 0.05 * b[0]);
    OK(marsfm_msm_populations(built, MARSFM_MICROSTATES, frames, 100, &needed));
    for (i = 0; i < needed; i++)
        total += frames[i];
    REQUIRE(needed == info.n_microstates && total == (double)info.n_frames);
    EXPECT(marsfm_msm_populations(built, 7, frames, 100, NULL), MARSFM_ERROR_ARGUMENT, "level is 7");
    EXPECT(marsfm_msm_build_from_trajectories(list, 0, &options, &loaded), MARSFM_ERROR_ARGUMENT, "0");
    options.frame_ps = 1.0;
    EXPECT(marsfm_msm_build_from_trajectories(list, n, &options, &loaded), MARSFM_ERROR_ARGUMENT,
           "frame_ps must be 0");
    options.frame_ps = 0.0;
    options.msm_lag_ps = 10.5;
    EXPECT(marsfm_msm_build_from_trajectories(list, n, &options, &loaded), MARSFM_ERROR_MSM, "10.5");

    /* Saved, then loaded for a program that has each residue's atoms in reverse: the same states. */
    for (i = 0; i < s.n; i++) {
        size_t k, first = i, last = i;
        while (first > 0 && s.atoms[first - 1].residue_number == s.atoms[i].residue_number)
            first--;
        while (last + 1 < s.n && s.atoms[last + 1].residue_number == s.atoms[i].residue_number)
            last++;
        k = first + last - i;
        add(&turned, s.names[k], s.residues[k], s.atoms[k].residue_number, s.xyz_nm[k][0],
            s.xyz_nm[k][1], s.xyz_nm[k][2]);
    }
    other = topology_of(&turned);
    back = in_of(&turned);
    OK(marsfm_msm_save(built, argv[2]));
    EXPECT(marsfm_msm_save(built, "/nowhere/model.safetensors"), MARSFM_ERROR_FILE, "/nowhere");
    EXPECT(marsfm_msm_load("none.safetensors", other, &back, NULL, &loaded), MARSFM_ERROR_FILE,
           "none.safetensors");
    OK(marsfm_msm_load(argv[2], other, &back, NULL, &loaded));
    OK(marsfm_msm_assign(built, &xyz, NULL, &micro, &macro));
    OK(marsfm_msm_assign(loaded, &back, NULL, &micro_2, &macro_2));
    REQUIRE(micro == micro_2 && macro == macro_2 && micro >= 0);

    /* Frames handed back one by one; the head does not count. */
    OK(marsfm_trajectory_new(other, "run 1", 1.0, 10.0, &mine));
    for (i = 0; i < 60; i++)
        OK(marsfm_trajectory_append(mine, &back, NULL));
    turned.xyz_nm[7][2] = INFINITY;
    EXPECT(marsfm_trajectory_append(mine, &back, NULL), MARSFM_ERROR_NOT_FINITE, "atom 7");
    back.n_atoms = 2;
    EXPECT(marsfm_trajectory_append(mine, &back, NULL), MARSFM_ERROR_COUNT, "2 positions");
    REQUIRE(info_of(mine).n_seen == 60 && info_of(mine).n_kept == 50);
    drift.struct_size = sizeof drift;
    list = (const marsfm_trajectory_t *const *)&mine;
    OK(marsfm_msm_update(built, list, 1, &drift, &updated));
    REQUIRE(drift.frames_before == 1500 * n && drift.frames_added == 50);
    OK(marsfm_msm_info(updated, &more));
    REQUIRE(more.n_frames == info.n_frames + 50 && more.n_microstates == info.n_microstates);
    OK(marsfm_msm_populations(updated, MARSFM_MICROSTATES, a, 100, NULL));
    REQUIRE(a[micro] == frames[micro] + 50); /* fifty times the same frame */
    OK(marsfm_msm_info(built, &more));
    REQUIRE(more.n_frames == info.n_frames); /* the older model stays */
    marsfm_msm_free(updated);
    updated = NULL;

    OK(marsfm_trajectory_new(other, "too short", 1.0, 100.0, &short_run));
    list = (const marsfm_trajectory_t *const *)&short_run;
    EXPECT(marsfm_msm_update(built, list, 1, NULL, &updated), MARSFM_ERROR_MSM, "too short");
    marsfm_trajectory_free(short_run);
    OK(marsfm_trajectory_new(other, "coarse", 2.0, 0.0, &short_run));
    back = in_of(&turned);
    turned.xyz_nm[7][2] = 0.3;
    OK(marsfm_trajectory_append(short_run, &back, NULL));
    EXPECT(marsfm_msm_update(built, list, 1, NULL, &updated), MARSFM_ERROR_MSM, "2 ps apart");
    marsfm_trajectory_free(short_run);
    short_run = NULL;
    EXPECT(marsfm_msm_update(built, list, 1, NULL, &updated), MARSFM_ERROR_ARGUMENT,
           "trajectories[0] is NULL");
    REQUIRE(updated == NULL);

    for (i = 0; i < n; i++)
        marsfm_trajectory_free(runs[i]);
    marsfm_trajectory_free(mine);
    marsfm_trajectory_free(NULL);
    marsfm_msm_free(built);
    marsfm_msm_free(of_files);
    marsfm_msm_free(loaded);
    marsfm_topology_free(topology);
    marsfm_topology_free(other);
    puts("recorded: ok");
    return 0;
}
