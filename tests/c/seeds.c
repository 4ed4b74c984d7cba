/* Seeds in files with the caller's own names and order, read back; the list of plugins.
 * seeds PDB MODEL FOLDER EXTENSION... */
#include "check.h"

#include <math.h>

/* A prepared seed: as it was drawn, moved as a whole, mirrored, and with odd energies. */
static void judge(const marsfm_batch_t *batch, size_t i, double (*drawn)[3], size_t n)
{
    static double moved[MOST][3];
    marsfm_minimised_t energies = {0}, ensemble[3];
    marsfm_seed_info_t seed = {0};
    marsfm_xyz_in_t xyz = {0};
    size_t k;
    energies.struct_size = sizeof energies;
    energies.restrained_kj_mol = -900.0;
    energies.after_kj_mol = -1000.0;
    for (k = 0; k < 3; k++) {
        ensemble[k] = energies;
        ensemble[k].after_kj_mol += 5.0 * (double)k;
    }
    for (k = 0; k < n; k++) {
        moved[k][0] = drawn[k][0] + 1.0;
        moved[k][1] = -drawn[k][2];
        moved[k][2] = drawn[k][1];
    }
    xyz.struct_size = sizeof xyz;
    xyz.data_nm = moved;
    xyz.n_atoms = n;
    xyz.dtype = MARSFM_F64;
    seed.struct_size = sizeof seed;
    OK(marsfm_batch_judge(batch, i, &xyz, &energies, ensemble, 3, &seed));
    REQUIRE(seed.status != MARSFM_SEED_REJECTED && (seed.reasons & ~1u) == 0);
    REQUIRE(seed.rms_nm < 1e-5 && seed.max_torsion_degrees < 0.1);
    energies.after_kj_mol = 6650.0;
    energies.max_force_kj_mol_nm = 1e6;
    OK(marsfm_batch_judge(batch, i, &xyz, &energies, ensemble, 3, &seed));
    REQUIRE(seed.status == MARSFM_SEED_REJECTED);
    REQUIRE((seed.reasons & ~1u) == (MARSFM_SEED_ENERGY | MARSFM_SEED_FORCE));
    energies.max_force_kj_mol_nm = 1.0;
    OK(marsfm_batch_judge(batch, i, &xyz, &energies, NULL, 0, &seed));
    REQUIRE(seed.status != MARSFM_SEED_REJECTED);
    for (k = 0; k < n; k++)
        moved[k][0] = -moved[k][0];
    OK(marsfm_batch_judge(batch, i, &xyz, &energies, NULL, 0, &seed));
    REQUIRE(seed.status == MARSFM_SEED_REJECTED && (seed.reasons & MARSFM_SEED_CHIRALITY));
    EXPECT(marsfm_batch_judge(batch, i, &xyz, &energies, NULL, 3, &seed), MARSFM_ERROR_ARGUMENT,
           "ensemble is NULL");
    EXPECT(marsfm_batch_judge(batch, i, &xyz, NULL, NULL, 0, &seed), MARSFM_ERROR_ARGUMENT,
           "energies is NULL");
    EXPECT(marsfm_batch_judge(batch, 99, &xyz, &energies, NULL, 0, &seed), MARSFM_ERROR_ARGUMENT,
           "no sample 99");
    ensemble[1].struct_size = 8;
    EXPECT(marsfm_batch_judge(batch, i, &xyz, &energies, ensemble, 3, &seed), MARSFM_ERROR_ARGUMENT,
           "ensemble[1]: struct_size");
    moved[5][1] = NAN;
    EXPECT(marsfm_batch_judge(batch, i, &xyz, &energies, NULL, 0, &seed), MARSFM_ERROR_NOT_FINITE,
           "atom 5");
}

int main(int argc, char **argv)
{
    static system_t s;
    static double first[MOST][3];
    static char text[1 << 16], path[1024];
    marsfm_session_t *session;
    marsfm_batch_t *batch = NULL;
    marsfm_topology_t *topology;
    marsfm_xyz_in_t xyz;
    marsfm_xyz_out_t room;
    size_t chosen[16], n_chosen = 0, rejected = 99, i;
    double cell[9] = {4, 0, 0, 0, 4, 0, 0, 0, 4};
    int k;

    REQUIRE(argc >= 5);
    OK(marsfm_plugin_list(text, sizeof text, NULL));
    REQUIRE(text[0] == '[' && strstr(text, "libmarsfm_plugin_xtc.so"));
    read_pdb(argv[1], &s);
    session = session_of(&s, argv[2]);
    topology = topology_of(&s);
    xyz = in_of(&s);
    OK(marsfm_session_jump(session, &xyz, cell, 16, 42, &batch));
    for (i = 0; i < 16; i++) {
        marsfm_sample_info_t sample = {0};
        sample.struct_size = sizeof sample;
        OK(marsfm_batch_sample(batch, i, &sample));
        if (sample.status == MARSFM_SAMPLE_REJECTED)
            rejected = i;
        else
            chosen[n_chosen++] = i;
    }
    REQUIRE(n_chosen >= 2);
    room = out_of(first, s.n, MARSFM_F64, 0);
    OK(marsfm_batch_positions(batch, chosen[1], &room));

    for (k = 4; k < argc; k++) {
        marsfm_trajectory_t *read = NULL;
        marsfm_trajectory_info_t info = {0};
        FILE *file;
        snprintf(path, sizeof path, "%s/seeds.%s", argv[3], argv[k]);
        OK(marsfm_batch_write(batch, chosen, 2, path));
        file = fopen(path, "rb");
        REQUIRE(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        if (strcmp(argv[k], "gro") == 0 || strcmp(argv[k], "pdb") == 0) {
            REQUIRE(strstr(text, "GLN") && strstr(text, "HE21") && strstr(text, "SOL"));
            REQUIRE(strstr(text, "OW") && strstr(text, "900"));
        }
        OK(marsfm_trajectory_read(topology, path, 1.0, 0.0, &read));
        info.struct_size = sizeof info;
        OK(marsfm_trajectory_info(read, &info));
        REQUIRE(info.n_kept == 2 && info.n_atoms == s.n);
        marsfm_trajectory_free(read);
        printf("seeds: %s\n", path);
    }
    judge(batch, chosen[1], first, s.n);
    snprintf(path, sizeof path, "%s/seeds.gro", argv[3]);
    if (rejected != 99)
        EXPECT(marsfm_batch_write(batch, &rejected, 1, path), MARSFM_ERROR_ARGUMENT, "is rejected");
    snprintf(path, sizeof path, "%s/all.pdb", argv[3]);
    OK(marsfm_batch_write(batch, NULL, 0, path));
    chosen[0] = 16;
    EXPECT(marsfm_batch_write(batch, chosen, 1, path), MARSFM_ERROR_ARGUMENT, "no sample 16");
    EXPECT(marsfm_batch_write(batch, NULL, 1, path), MARSFM_ERROR_ARGUMENT, "samples is NULL");
    EXPECT(marsfm_batch_write(batch, NULL, 0, NULL), MARSFM_ERROR_ARGUMENT, "path is NULL");
    EXPECT(marsfm_batch_write(batch, NULL, 0, "seeds.xyzzy"), MARSFM_ERROR_FILE, "xyzzy");
    EXPECT(marsfm_batch_write(batch, NULL, 0, "/nowhere/seeds.pdb"), MARSFM_ERROR_FILE, "/nowhere");
    marsfm_batch_free(batch);
    marsfm_topology_free(topology);
    marsfm_session_free(session);
    puts("seeds: ok");
    return 0;
}
