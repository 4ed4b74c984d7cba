/* Every misuse that C allows without undefined behaviour is a status and a message; outputs stay
 * as they were. errors PDB MODEL NO_MODEL */
#include "check.h"

#include <math.h>

#define TEXT(x) #x
#define VERSION(major, minor) TEXT(major) "." TEXT(minor)

static void versions(void)
{
    EXPECT(marsfm_check_abi(MARSFM_ABI_MAJOR + 1, 0), MARSFM_ERROR_VERSION, "needs ABI");
    EXPECT(marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR + 1), MARSFM_ERROR_VERSION,
           VERSION(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR));
    OK(marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR));
    REQUIRE(marsfm_abi_version() == MARSFM_ABI_MAJOR * 65536u + MARSFM_ABI_MINOR);
    REQUIRE(strcmp(marsfm_version(), MARSFM_VERSION) == 0);
    REQUIRE(strcmp(marsfm_status_name(-7), "unknown status") == 0);
}

static void topologies(system_t *s)
{
    marsfm_topology_t *none = NULL, *topology;
    marsfm_topology_info_t info = {0};
    char text[8] = "before";
    size_t needed = 99;
    const char *name = s->atoms[3].name;

    EXPECT(marsfm_topology_new_from_atoms(s->atoms, s->n, NULL), MARSFM_ERROR_ARGUMENT,
           "topology is NULL");
    EXPECT(marsfm_topology_new_from_atoms(NULL, 5, &none), MARSFM_ERROR_ARGUMENT, "atoms is NULL");
    EXPECT(marsfm_topology_new_from_atoms(s->atoms, 0, &none), MARSFM_ERROR_ARGUMENT, "0");
    EXPECT(marsfm_topology_new_from_atoms(s->atoms, (size_t)-1, &none), MARSFM_ERROR_ARGUMENT,
           "address space");
    s->atoms[3].name = NULL;
    EXPECT(marsfm_topology_new_from_atoms(s->atoms, s->n, &none), MARSFM_ERROR_ARGUMENT,
           "atoms[3].name is NULL");
    s->atoms[3].name = "C\xff";
    EXPECT(marsfm_topology_new_from_atoms(s->atoms, s->n, &none), MARSFM_ERROR_ARGUMENT,
           "atoms[3].name is not UTF-8");
    s->atoms[3].name = name;
    s->atoms[0].struct_size = 0;
    EXPECT(marsfm_topology_new_from_atoms(s->atoms, s->n, &none), MARSFM_ERROR_ARGUMENT,
           "sizeof(marsfm_atom_t)");
    s->atoms[0].struct_size = sizeof s->atoms[0];
    EXPECT(marsfm_topology_new_from_atoms(s->atoms + s->n - 1, 1, &none), MARSFM_ERROR_TOPOLOGY,
           "no amino-acid");
    EXPECT(marsfm_topology_new_from_file("none.pdb", &none), MARSFM_ERROR_FILE, "none.pdb");
    EXPECT(marsfm_topology_new_from_file(NULL, &none), MARSFM_ERROR_ARGUMENT, "path is NULL");
    REQUIRE(none == NULL);

    topology = topology_of(s);
    EXPECT(marsfm_topology_info(NULL, &info), MARSFM_ERROR_ARGUMENT, "topology is NULL");
    EXPECT(marsfm_topology_info(topology, NULL), MARSFM_ERROR_ARGUMENT, "info is NULL");
    EXPECT(marsfm_topology_info(topology, &info), MARSFM_ERROR_ARGUMENT, "struct_size is 0");
    info.struct_size = sizeof info;
    OK(marsfm_topology_info(topology, &info));
    REQUIRE(info.n_atoms == s->n && info.n_residues == 4);
    EXPECT(marsfm_topology_sequence(topology, text, 4, &needed), MARSFM_ERROR_SIZE, "5 are needed");
    REQUIRE(needed == 5 && strcmp(text, "before") == 0);
    OK(marsfm_topology_sequence(topology, NULL, 0, &needed));
    EXPECT(marsfm_topology_sequence(topology, NULL, 4, NULL), MARSFM_ERROR_ARGUMENT, "buffer");
    OK(marsfm_topology_sequence(topology, text, sizeof text, NULL));
    REQUIRE(strcmp(text, "QLAQ") == 0);
    marsfm_topology_free(topology);
    marsfm_topology_free(NULL);
}

static void models(const char *path, const char *no_model, const char *hot)
{
    marsfm_model_t *model = NULL;
    marsfm_model_options_t options = {0};
    marsfm_model_info_t info = {0};
    char text[128];

    EXPECT(marsfm_model_load(path, NULL, NULL), MARSFM_ERROR_ARGUMENT, "model is NULL");
    EXPECT(marsfm_model_load("none.safetensors", NULL, &model), MARSFM_ERROR_MODEL,
           "none.safetensors");
    EXPECT(marsfm_model_load(no_model, NULL, &model), MARSFM_ERROR_MODEL, "no marsfm checkpoint");
    EXPECT(marsfm_model_load(path, &options, &model), MARSFM_ERROR_ARGUMENT, "struct_size is 0");
    options.struct_size = sizeof options;
    options.device = "cuda:0";
    EXPECT(marsfm_model_load(path, &options, &model), MARSFM_ERROR_DEVICE, "no CUDA device: ");
    REQUIRE(model == NULL);
    options.device = "cpu";
    OK(marsfm_model_load(path, &options, &model));
    info.struct_size = sizeof info;
    OK(marsfm_model_info(model, &info));
    REQUIRE(info.lag_ps > 0 && info.temperature_kelvin > 0 && info.max_residues >= 4);
    REQUIRE(!info.takes_temperature && info.max_temperature_kelvin == info.temperature_kelvin);
    OK(marsfm_model_text(model, MARSFM_MODEL_SHA256, text, sizeof text, NULL));
    REQUIRE(strlen(text) == 64);
    EXPECT(marsfm_model_text(model, 77, text, sizeof text, NULL), MARSFM_ERROR_ARGUMENT, "77");
    EXPECT(marsfm_model_text(NULL, 1, text, sizeof text, NULL), MARSFM_ERROR_ARGUMENT, "NULL");
    marsfm_model_free(model);
    marsfm_model_free(NULL);
    OK(marsfm_model_load(hot, NULL, &model));
    OK(marsfm_model_info(model, &info));
    REQUIRE(info.takes_temperature == 1);
    REQUIRE(info.min_temperature_kelvin == 320 && info.max_temperature_kelvin == 400);
    marsfm_model_free(model);
}

static void sessions(system_t *s, const char *path)
{
    marsfm_topology_t *topology = topology_of(s);
    marsfm_model_t *model = NULL;
    marsfm_session_t *session = NULL;
    marsfm_session_options_t options = {0};

    OK(marsfm_model_load(path, NULL, &model));
    EXPECT(marsfm_session_new(NULL, topology, NULL, &session), MARSFM_ERROR_ARGUMENT, "model");
    EXPECT(marsfm_session_new(model, NULL, NULL, &session), MARSFM_ERROR_ARGUMENT, "topology");
    EXPECT(marsfm_session_new(model, topology, NULL, NULL), MARSFM_ERROR_ARGUMENT, "session");
    options.struct_size = sizeof options;
    options.solver = 99;
    EXPECT(marsfm_session_new(model, topology, &options, &session), MARSFM_ERROR_ARGUMENT, "99");
    options.solver = MARSFM_SOLVER_DOPRI5;
    options.solver_tolerance = -1;
    EXPECT(marsfm_session_new(model, topology, &options, &session), MARSFM_ERROR_ARGUMENT, "toler");
    options.solver_tolerance = 0;
    options.temperature_kelvin = NAN;
    EXPECT(marsfm_session_new(model, topology, &options, &session), MARSFM_ERROR_ARGUMENT, "temp");
    REQUIRE(session == NULL);
    OK(marsfm_session_new(model, topology, NULL, &session));
    marsfm_session_free(session);
    marsfm_session_free(NULL);
    marsfm_model_free(model);
    marsfm_topology_free(topology);
}

static void jumps(system_t *s, const char *path)
{
    marsfm_session_t *session = session_of(s, path);
    marsfm_batch_t *batch = NULL;
    marsfm_xyz_in_t xyz = in_of(s), bad;
    marsfm_xyz_out_t room;
    marsfm_sample_info_t sample = {0};
    double flat[9] = {1, 0, 0, 1, 0, 0, 1, 0, 0}, none[9] = {0}, keep, out[4][3] = {{7}};
    double *copy = malloc(s->n * 3 * sizeof *copy);
    char text[256];

    EXPECT(marsfm_session_jump(NULL, &xyz, NULL, 1, 1, &batch), MARSFM_ERROR_ARGUMENT, "session");
    EXPECT(marsfm_session_jump(session, NULL, NULL, 1, 1, &batch), MARSFM_ERROR_ARGUMENT, "xyz");
    EXPECT(marsfm_session_jump(session, &xyz, NULL, 1, 1, NULL), MARSFM_ERROR_ARGUMENT, "batch");
    EXPECT(marsfm_session_jump(session, &xyz, NULL, 0, 1, &batch), MARSFM_ERROR_ARGUMENT, "n is 0");
    EXPECT(marsfm_session_jump(session, &xyz, NULL, (size_t)-1, 1, &batch), MARSFM_ERROR_ARGUMENT,
           "expected 1 to");
    EXPECT(marsfm_session_jump(session, &xyz, flat, 1, 1, &batch), MARSFM_ERROR_TOPOLOGY,
           "no volume");
    bad = xyz, bad.data_nm = NULL;
    EXPECT(marsfm_session_jump(session, &bad, NULL, 1, 1, &batch), MARSFM_ERROR_ARGUMENT, "data_nm");
    bad = xyz, bad.dtype = 0;
    EXPECT(marsfm_session_jump(session, &bad, NULL, 1, 1, &batch), MARSFM_ERROR_ARGUMENT, "dtype");
    bad = xyz, bad.stride_bytes = 23;
    EXPECT(marsfm_session_jump(session, &bad, NULL, 1, 1, &batch), MARSFM_ERROR_ARGUMENT, "23");
    bad = xyz, bad.n_atoms = s->n - 1;
    EXPECT(marsfm_session_jump(session, &bad, NULL, 1, 1, &batch), MARSFM_ERROR_COUNT,
           "for a topology of");
    keep = s->xyz_nm[7][1];
    s->xyz_nm[7][1] = NAN;
    EXPECT(marsfm_session_jump(session, &xyz, NULL, 1, 1, &batch), MARSFM_ERROR_NOT_FINITE,
           "atom 7 ");
    s->xyz_nm[7][1] = keep;
    keep = s->xyz_nm[s->n - 1][2]; /* the water counts too */
    s->xyz_nm[s->n - 1][2] = INFINITY;
    EXPECT(marsfm_session_jump(session, &xyz, NULL, 1, 1, &batch), MARSFM_ERROR_NOT_FINITE, "atom ");
    s->xyz_nm[s->n - 1][2] = keep;
    memcpy(copy, s->xyz_nm, s->n * sizeof s->xyz_nm[0]);
    copy[0] += 5.0; /* the first N away from its CA, so its hydrogens have no bond */
    bad = xyz, bad.data_nm = copy;
    EXPECT(marsfm_session_jump(session, &bad, NULL, 1, 1, &batch), MARSFM_ERROR_TOPOLOGY, "GLN");
    REQUIRE(batch == NULL);

    OK(marsfm_session_jump(session, &xyz, none, 2, 1, &batch)); /* a box of zeros is no box */
    EXPECT(marsfm_batch_sample(batch, 2, &sample), MARSFM_ERROR_ARGUMENT, "no sample 2");
    EXPECT(marsfm_batch_sample(batch, 0, &sample), MARSFM_ERROR_ARGUMENT, "struct_size");
    EXPECT(marsfm_batch_sample(NULL, 0, &sample), MARSFM_ERROR_ARGUMENT, "batch is NULL");
    sample.struct_size = sizeof sample;
    OK(marsfm_batch_sample(batch, 1, &sample));
    REQUIRE(sample.parent == -1 && sample.depth == 1 && sample.id == 1 && sample.n_bystanders == 1);
    room = out_of(out, 4, MARSFM_F64, 0);
    EXPECT(marsfm_batch_positions(batch, 0, &room), MARSFM_ERROR_COUNT, "4 positions");
    room = out_of(NULL, s->n, MARSFM_F64, 0);
    EXPECT(marsfm_batch_positions(batch, 0, &room), MARSFM_ERROR_ARGUMENT, "data_nm is NULL");
    room = out_of(copy, s->n, 5, 0);
    EXPECT(marsfm_batch_positions(batch, 0, &room), MARSFM_ERROR_ARGUMENT, "dtype is 5");
    room = out_of(copy, s->n, MARSFM_F64, 0);
    EXPECT(marsfm_batch_positions(batch, 9, &room), MARSFM_ERROR_ARGUMENT, "no sample 9");
    OK(marsfm_batch_domain_message(batch, text, sizeof text, NULL));
    REQUIRE(strstr(text, "1 atoms beside the chain"));
    REQUIRE(out[0][0] == 7);
    REQUIRE(marsfm_batch_size(NULL) == 0);
    marsfm_batch_free(batch);
    marsfm_batch_free(NULL);
    marsfm_session_free(session);
    free(copy);
}

int main(int argc, char **argv)
{
    static system_t s;
    REQUIRE(argc == 5);
    read_pdb(argv[1], &s);
    versions();
    topologies(&s);
    models(argv[2], argv[3], argv[4]);
    sessions(&s, argv[2]);
    jumps(&s, argv[2]);
    puts("errors: ok");
    return 0;
}
