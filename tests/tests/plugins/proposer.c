/* A proposer that shifts a frame along x, for the tests; `fault` in its options makes it wrong. */
#include <marsfm_plugin.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct marsfm_plugin_proposer_t {
    size_t n_atoms;
    char fault[16];
};

static int32_t open_it(const marsfm_plugin_topology_t *topology, const char *options,
                       marsfm_plugin_proposer_t **out) {
    static const char *faults[] = {"open", "many", "nan", "lazy", "parent", "status", "none"};
    marsfm_plugin_proposer_t *made = calloc(1, sizeof *made);
    size_t i;
    if (made == NULL) return MARSFM_PLUGIN_IO;
    made->n_atoms = topology->n_atoms;
    for (i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (strstr(options, faults[i]) != NULL) strcpy(made->fault, faults[i]);
    }
    if (strcmp(made->fault, "open") == 0) {
        free(made);
        return MARSFM_PLUGIN_UNSUPPORTED;
    }
    *out = made;
    return MARSFM_PLUGIN_OK;
}

static int32_t propose(marsfm_plugin_proposer_t *proposer,
                       const marsfm_plugin_propose_request_t *request, double *xyz_nm,
                       int64_t *parents, size_t *n_proposed) {
    size_t numbers = 3 * proposer->n_atoms, k, i;
    const char *fault = proposer->fault;
    if (strcmp(fault, "status") == 0) return 77;
    for (k = 0; k < request->n_wanted; k++) {
        size_t parent = k % request->n_parents;
        double *x = xyz_nm + k * numbers;
        if (strcmp(fault, "lazy") == 0 && k > 0) break;
        memcpy(x, request->parents_nm + parent * numbers, numbers * sizeof *x);
        for (i = 0; i < proposer->n_atoms; i++) x[3 * i] += 0.01 * (double)(k % 3);
        parents[k] = (int64_t)parent;
    }
    *n_proposed = request->n_wanted;
    if (strcmp(fault, "many") == 0) *n_proposed = request->n_wanted + 1;
    if (strcmp(fault, "none") == 0) *n_proposed = 0;
    if (strcmp(fault, "nan") == 0) xyz_nm[numbers + 2] = NAN;
    if (strcmp(fault, "parent") == 0) parents[1] = (int64_t)request->n_parents;
    return MARSFM_PLUGIN_OK;
}

static void close_it(marsfm_plugin_proposer_t *proposer) { free(proposer); }

static const marsfm_plugin_proposer_service_t service = {
    sizeof(marsfm_plugin_proposer_service_t), "shift", open_it, propose, close_it,
};

static const void *get_service(const char *id) {
    return strcmp(id, MARSFM_PLUGIN_PROPOSER_1) == 0 ? &service : NULL;
}

static const marsfm_plugin_entry_t entry = {
    sizeof(marsfm_plugin_entry_t), MARSFM_PLUGIN_ABI_MAJOR, MARSFM_PLUGIN_ABI_MINOR, "shift", "1",
    get_service, NULL,
};

const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host) {
    return host->abi_major == MARSFM_PLUGIN_ABI_MAJOR ? &entry : NULL;
}
