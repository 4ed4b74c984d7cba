/* Positions come back in the caller's order and layout, whatever they are.
 * order PDB MODEL */
#include "check.h"

#include <math.h>


static int is_hydrogen(const system_t *s, size_t i) { return s->names[i][0] == 'H'; }

int main(int argc, char **argv)
{
    static system_t file, mine;
    static double a[MOST][3], b[MOST][3];
    static unsigned char raw[MOST * 15 + 8];
    size_t from[MOST], i, k, pass;
    marsfm_session_t *first, *second;
    marsfm_batch_t *one = NULL, *two = NULL, *three = NULL;
    marsfm_xyz_in_t xyz;
    marsfm_xyz_out_t room;
    marsfm_batch_info_t info = {0};
    double cell[9] = {4, 0, 0, 0, 4, 0, 0, 0, 4}, moved = 0.0;

    REQUIRE(argc == 3);
    read_pdb(argv[1], &file);

    /* The same atoms: the water first, then heavy atoms, then all hydrogens in reverse. */
    from[mine.n] = file.n - 1;
    add(&mine, "OW", "SOL", 900, 3.0, 3.000000001, 3.0);
    for (pass = 0; pass < 2; pass++)
        for (k = 0; k + 1 < file.n; k++) {
            i = pass ? file.n - 2 - k : k;
            if ((size_t)is_hydrogen(&file, i) != pass)
                continue;
            from[mine.n] = i;
            add(&mine, file.names[i], file.residues[i], file.atoms[i].residue_number,
                file.xyz_nm[i][0], file.xyz_nm[i][1], file.xyz_nm[i][2]);
        }
    REQUIRE(mine.n == file.n);

    first = session_of(&file, argv[2]);
    second = session_of(&mine, argv[2]);
    xyz = in_of(&file);
    OK(marsfm_session_jump(first, &xyz, NULL, 3, 42, &one));
    xyz = in_of(&mine);
    OK(marsfm_session_jump(second, &xyz, NULL, 3, 42, &two));
    marsfm_session_free(first);
    REQUIRE(marsfm_batch_size(one) == 3 && marsfm_batch_size(two) == 3);
    info.struct_size = sizeof info;
    OK(marsfm_batch_info(two, &info));
    REQUIRE(info.n_bystanders == 1 && info.n_atoms == mine.n && info.n_samples == 3);

    for (k = 0; k < 3; k++) {
        int c;
        room = out_of(a, file.n, MARSFM_F64, 0);
        OK(marsfm_batch_positions(one, k, &room));
        room = out_of(b, mine.n, MARSFM_F64, sizeof b[0]);
        OK(marsfm_batch_positions(two, k, &room));
        for (i = 0; i < mine.n; i++)
            for (c = 0; c < 3; c++) {
                REQUIRE(fabs(b[i][c] - a[from[i]][c]) < 1e-5);
                moved = fmax(moved, fabs(b[i][c] - mine.xyz_nm[i][c]));
            }
        REQUIRE(memcmp(b[0], mine.xyz_nm[0], sizeof b[0]) == 0); /* the water, to the last bit */
        for (i = 0; i < mine.n; i++) /* every hydrogen is still on a heavy atom */
            if (is_hydrogen(&mine, i)) {
                double nearest = 9.0;
                size_t j;
                for (j = 1; j < mine.n; j++)
                    if (!is_hydrogen(&mine, j))
                        nearest = fmin(nearest, sqrt(pow(b[i][0] - b[j][0], 2) +
                                                     pow(b[i][1] - b[j][1], 2) +
                                                     pow(b[i][2] - b[j][2], 2)));
                REQUIRE(nearest < 0.13);
            }
    }
    REQUIRE(moved > 0.02);

    /* Floats in unaligned structs, in a cell: rounding apart the same; what lies between stays. */
    memset(raw, 0x5a, sizeof raw);
    for (i = 0; i < mine.n; i++) {
        float single[3];
        int c;
        for (c = 0; c < 3; c++)
            single[c] = (float)mine.xyz_nm[i][c];
        memcpy(raw + 1 + 15 * i, single, sizeof single);
    }
    xyz.data_nm = raw + 1;
    xyz.dtype = MARSFM_F32;
    xyz.stride_bytes = 15;
    OK(marsfm_session_jump(second, &xyz, cell, 1, 42, &three));
    room = out_of(raw + 1, mine.n, MARSFM_F32, 15);
    OK(marsfm_batch_positions(three, 0, &room));
    room = out_of(b, mine.n, MARSFM_F64, 0);
    OK(marsfm_batch_positions(two, 0, &room));
    for (i = 0; i < mine.n; i++) {
        float single[3];
        int c;
        memcpy(single, raw + 1 + 15 * i, sizeof single);
        for (c = 0; c < 3; c++)
            REQUIRE(fabs(single[c] - b[i][c]) < 1e-4);
        REQUIRE(raw[1 + 15 * i + 12] == 0x5a && raw[1 + 15 * i + 14] == 0x5a);
    }

    marsfm_session_free(second);
    marsfm_batch_free(one);
    marsfm_batch_free(two);
    marsfm_batch_free(three);
    puts("order: ok");
    return 0;
}
