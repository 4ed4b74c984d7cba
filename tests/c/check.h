/* What the C test programs share: checks that say where they failed, and a PDB reader. */
#ifndef CHECK_H
#define CHECK_H

#include <marsfm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                              \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

/* The call returns `code`, and on failure its message contains `words`. */
#define EXPECT(call, code, words) expect(call, code, words, __FILE__, __LINE__)
#define OK(call) EXPECT(call, MARSFM_OK, "")

static inline void expect(marsfm_status_t status, int32_t code, const char *words, const char *file,
                   int line)
{
    char text[4096];
    marsfm_last_error_message(text, sizeof text, NULL);
    if (status != code) {
        fprintf(stderr, "%s:%d: %s, expected %s (message: %s)\n", file, line,
                marsfm_status_name(status), marsfm_status_name(code), text);
        exit(1);
    }
    if (code != MARSFM_OK && !strstr(text, words)) {
        fprintf(stderr, "%s:%d: `%s` is not in the message: %s\n", file, line, words, text);
        exit(1);
    }
}

#define MOST 512

/* Atoms of a PDB file, and one water that no chain knows of. */
typedef struct {
    size_t n;
    char names[MOST][8], residues[MOST][8];
    marsfm_atom_t atoms[MOST];
    double xyz_nm[MOST][3];
} system_t;

static inline void add(system_t *s, const char *name, const char *residue, int number, double x,
                double y, double z)
{
    size_t i = s->n++;
    REQUIRE(s->n <= MOST);
    memset(&s->atoms[i], 0, sizeof s->atoms[i]);
    strcpy(s->names[i], name);
    strcpy(s->residues[i], residue);
    s->atoms[i].struct_size = sizeof s->atoms[i];
    s->atoms[i].name = s->names[i];
    s->atoms[i].residue_name = s->residues[i];
    s->atoms[i].residue_number = number;
    s->xyz_nm[i][0] = x;
    s->xyz_nm[i][1] = y;
    s->xyz_nm[i][2] = z;
}

static inline void read_pdb(const char *path, system_t *s)
{
    char line[256], name[8], residue[8];
    int number;
    double x, y, z;
    FILE *file = fopen(path, "r");
    REQUIRE(file);
    s->n = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "ATOM %*d %7s %7s %*s %d %lf %lf %lf", name, residue, &number, &x, &y,
                   &z) == 6)
            add(s, name, residue, number, x / 10, y / 10, z / 10);
    fclose(file);
    REQUIRE(s->n > 20);
    add(s, "OW", "SOL", 900, 3.0, 3.000000001, 3.0);
}

static inline marsfm_topology_t *topology_of(const system_t *s)
{
    marsfm_topology_t *topology = NULL;
    OK(marsfm_topology_new_from_atoms(s->atoms, s->n, &topology));
    return topology;
}

/* Two Euler steps: fast, and as good as any for what is tested. */
static inline marsfm_session_t *session_of(const system_t *s, const char *model_path)
{
    marsfm_topology_t *topology = topology_of(s);
    marsfm_model_t *model = NULL;
    marsfm_session_t *session = NULL;
    marsfm_session_options_t options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.solver = MARSFM_SOLVER_EULER;
    options.solver_steps = 2;
    OK(marsfm_model_load(model_path, NULL, &model));
    OK(marsfm_session_new(model, topology, &options, &session));
    marsfm_model_free(model);
    marsfm_topology_free(topology);
    return session;
}

static inline marsfm_xyz_in_t in_of(const system_t *s)
{
    marsfm_xyz_in_t xyz;
    memset(&xyz, 0, sizeof xyz);
    xyz.struct_size = sizeof xyz;
    xyz.data_nm = s->xyz_nm;
    xyz.n_atoms = s->n;
    xyz.dtype = MARSFM_F64;
    return xyz;
}

static inline marsfm_xyz_out_t out_of(void *data_nm, size_t n, int32_t dtype, size_t stride)
{
    marsfm_xyz_out_t xyz;
    memset(&xyz, 0, sizeof xyz);
    xyz.struct_size = sizeof xyz;
    xyz.data_nm = data_nm;
    xyz.n_atoms = n;
    xyz.dtype = dtype;
    xyz.stride_bytes = stride;
    return xyz;
}

#endif
