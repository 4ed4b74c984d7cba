/* Eight jumps of a peptide, from a program that has its own atoms in its own order.
 *
 *     cc -std=c99 -O2 -Iinclude examples/c/hello_jump.c -o hello_jump \
 *         -Ltarget/release -lmarsfm -lm -Wl,-rpath,$PWD/target/release
 *     ln -sf libmarsfm.so target/release/libmarsfm.so.0     # ./x install does this for you
 *     ./hello_jump [PEPTIDE.pdb [MODEL.safetensors]]
 *
 * The positions stand in for those of an MD engine: this program reads them from a PDB file with a
 * few lines of its own, keeps heavy atoms in front and hydrogens behind, in reverse, and works in
 * double precision. marsfm never learns of the file: it is told names and positions, and answers
 * in the same order. */

#include <marsfm.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JUMPS 8
#define MOST_ATOMS 10000

typedef struct {
    char name[8], residue[8], chain[2];
    int number;
    double xyz_nm[3];
} my_atom;

static void check(marsfm_status_t status)
{
    if (status != MARSFM_OK) {
        char text[1024];
        marsfm_last_error_message(text, sizeof text, NULL);
        fprintf(stderr, "%s: %s\n", marsfm_status_name(status), text);
        exit(1);
    }
}

/* Copies columns from..to (counted from 1) of a PDB line, without blanks. */
static void columns(const char *line, size_t from, size_t to, char *word)
{
    size_t i, length = strlen(line);
    for (i = from - 1; i < to && i < length; i++)
        if (line[i] != ' ' && line[i] != '\n')
            *word++ = line[i];
    *word = '\0';
}

/* Heavy atoms into the array from the front, hydrogens from the back. Returns the count. */
static size_t read_pdb(const char *path, my_atom *atoms)
{
    size_t n = 0, n_heavy = 0, i;
    char line[256], word[16];
    my_atom *hydrogens = malloc(MOST_ATOMS * sizeof *hydrogens);
    FILE *file = fopen(path, "r");
    if (!file || !hydrogens) {
        fprintf(stderr, "%s: cannot be opened; give a PDB file of one peptide\n", path);
        exit(1);
    }
    while (n < MOST_ATOMS && fgets(line, sizeof line, file)) {
        my_atom atom;
        int k;
        if (strncmp(line, "ENDMDL", 6) == 0)
            break;
        if (strncmp(line, "ATOM", 4) != 0 && strncmp(line, "HETATM", 6) != 0)
            continue;
        columns(line, 13, 16, atom.name);
        columns(line, 18, 20, atom.residue);
        columns(line, 22, 22, atom.chain);
        columns(line, 23, 26, word);
        atom.number = atoi(word);
        for (k = 0; k < 3; k++) {
            columns(line, 31 + 8 * (size_t)k, 38 + 8 * (size_t)k, word);
            atom.xyz_nm[k] = atof(word) / 10.0;
        }
        if (atom.name[0] == 'H')
            hydrogens[n - n_heavy] = atom;
        else
            atoms[n_heavy++] = atom;
        n++;
    }
    fclose(file);
    for (i = n_heavy; i < n; i++)
        atoms[i] = hydrogens[n - 1 - i];
    free(hydrogens);
    return n;
}

/* Distance of the first and the last CA, in this program's order. */
static double end_to_end_nm(const my_atom *atoms, const double *xyz_nm, size_t n)
{
    const double *first = NULL, *last = NULL;
    size_t i;
    for (i = 0; i < n; i++)
        if (strcmp(atoms[i].name, "CA") == 0) {
            last = xyz_nm + 3 * i;
            first = first ? first : last;
        }
    return first ? sqrt(pow(first[0] - last[0], 2) + pow(first[1] - last[1], 2) +
                        pow(first[2] - last[2], 2))
                 : 0.0;
}

int main(int argc, char **argv)
{
    static my_atom mine[MOST_ATOMS];
    const char *pdb = argc > 1 ? argv[1] : "examples/data/QLAQ/QLAQ_full.pdb";
    const char *model_path = argc > 2 ? argv[2] : NULL; /* NULL: the default surrogate */
    const char *verdicts[] = {"accepted", "needs repair", "rejected"};
    size_t n = read_pdb(pdb, mine), i, usable = 0;
    marsfm_atom_t *atoms = calloc(n + 1, sizeof *atoms);
    double *out_nm = malloc((3 * n + 1) * sizeof *out_nm);
    marsfm_topology_t *topology = NULL;
    marsfm_model_t *model = NULL;
    marsfm_session_t *session = NULL;
    marsfm_batch_t *batch = NULL;
    marsfm_model_info_t info = {0};
    marsfm_session_options_t options = {0};
    marsfm_xyz_in_t xyz = {0};
    marsfm_xyz_out_t room = {0};
    char text[2048];

    if (!atoms || !out_nm)
        return 1;
    check(marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR));

    /* 1. Who the atoms are, once. */
    for (i = 0; i < n; i++) {
        atoms[i].struct_size = sizeof atoms[i];
        atoms[i].name = mine[i].name;
        atoms[i].residue_name = mine[i].residue;
        atoms[i].chain = mine[i].chain;
        atoms[i].residue_number = mine[i].number;
    }
    check(marsfm_topology_new_from_atoms(atoms, n, &topology));
    check(marsfm_topology_sequence(topology, text, sizeof text, NULL));
    printf("%s: %u atoms, sequence %s\n", pdb, (unsigned)n, text);

    /* 2. The surrogate, once. */
    check(marsfm_model_load(model_path, NULL, &model));
    info.struct_size = sizeof info;
    check(marsfm_model_info(model, &info));
    check(marsfm_model_text(model, MARSFM_MODEL_FORCE_FIELD, text, sizeof text, NULL));
    printf("model: one jump is %g ps of MD at %g K with %s\n", info.lag_ps,
           info.temperature_kelvin, text);

    /* 3. A session for this thread; it keeps what it needs of both. */
    options.struct_size = sizeof options;
    options.temperature_kelvin = 350.0;
    check(marsfm_session_new(model, topology, &options, &session));
    marsfm_topology_free(topology);
    marsfm_model_free(model);

    /* 4. Positions as they lie in this program's memory: doubles inside larger structs. */
    xyz.struct_size = sizeof xyz;
    xyz.data_nm = mine[0].xyz_nm;
    xyz.n_atoms = n;
    xyz.stride_bytes = sizeof mine[0];
    xyz.dtype = MARSFM_F64;
    check(marsfm_session_jump(session, &xyz, NULL, JUMPS, 42, &batch));

    /* 5. Checked conformations, in this program's order again. */
    check(marsfm_batch_domain_message(batch, text, sizeof text, NULL));
    printf("outside of what the model was trained on: %s\n", text[0] ? text : "nothing known");
    printf("\n%6s  %-12s  %8s  %14s  %15s  %13s\n", "sample", "verdict", "reasons",
           "C-N off by, nm", "nearest pair, nm", "end to end, nm");
    for (i = 0; i < marsfm_batch_size(batch); i++) {
        marsfm_sample_info_t sample = {0};
        sample.struct_size = sizeof sample;
        check(marsfm_batch_sample(batch, i, &sample));
        printf("%6u  %-12s  %8u  %14.4f  %15.3f", (unsigned)i, verdicts[sample.status],
               (unsigned)(sample.rejected_reasons | sample.repair_reasons),
               sample.worst_peptide_bond_nm, sample.closest_contact_nm);
        if (sample.rejected_reasons & MARSFM_REASON_NOT_FINITE) {
            printf("  %13s\n", "-");
            continue;
        }
        room.struct_size = sizeof room;
        room.data_nm = out_nm;
        room.n_atoms = n;
        room.dtype = MARSFM_F64;
        check(marsfm_batch_positions(batch, i, &room));
        printf("  %13.3f\n", end_to_end_nm(mine, out_nm, n));
        usable += sample.status != MARSFM_SAMPLE_REJECTED;
    }
    for (i = 0; i < n; i++)
        memcpy(out_nm + 3 * i, mine[i].xyz_nm, sizeof mine[i].xyz_nm);
    printf("%6s  %-12s  %8s  %14s  %15s  %13.3f\n", "start", "", "", "", "",
           end_to_end_nm(mine, out_nm, n));
    printf("\n%u of %u jumps can start MD\n", (unsigned)usable, (unsigned)marsfm_batch_size(batch));

    marsfm_batch_free(batch);
    marsfm_session_free(session);
    free(out_nm);
    free(atoms);
    return 0;
}
