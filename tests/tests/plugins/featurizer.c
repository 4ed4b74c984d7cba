/* A featurizer of one number, the extent of a frame along x times an option, for the tests. */
#include <marsfm_plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct marsfm_plugin_featurizer_t {
    size_t n_atoms;
    float factor;
};

static int32_t open_it(const marsfm_plugin_topology_t *topology, const char *options,
                       marsfm_plugin_featurizer_t **out) {
    marsfm_plugin_featurizer_t *made;
    float factor = 1.0f;
    if (options != NULL && sscanf(options, "%f", &factor) != 1) return MARSFM_PLUGIN_INVALID;
    made = calloc(1, sizeof *made);
    if (made == NULL) return MARSFM_PLUGIN_IO;
    made->n_atoms = topology->n_atoms;
    made->factor = factor;
    *out = made;
    return MARSFM_PLUGIN_OK;
}

static int32_t n_features(marsfm_plugin_featurizer_t *featurizer, size_t *count) {
    (void)featurizer;
    *count = 1;
    return MARSFM_PLUGIN_OK;
}

static size_t feature_name(marsfm_plugin_featurizer_t *featurizer, size_t index, char *buffer,
                           size_t capacity) {
    static const char name[] = "extent x";
    (void)featurizer;
    if (index != 0) return 0;
    if (buffer != NULL && capacity >= sizeof name) memcpy(buffer, name, sizeof name);
    return sizeof name;
}

static int32_t compute(marsfm_plugin_featurizer_t *featurizer, const marsfm_plugin_frame_t *frame,
                       float *row, size_t n_row) {
    size_t i;
    float low, high;
    if (n_row != 1 || frame->n_atoms != featurizer->n_atoms) return MARSFM_PLUGIN_INVALID;
    low = high = frame->xyz_nm[0];
    for (i = 1; i < frame->n_atoms; i++) {
        float x = frame->xyz_nm[3 * i];
        if (x < low) low = x;
        if (x > high) high = x;
    }
    row[0] = (high - low) * featurizer->factor;
    return MARSFM_PLUGIN_OK;
}

static void close_it(marsfm_plugin_featurizer_t *featurizer) { free(featurizer); }

static const marsfm_plugin_featurizer_service_t service = {
    sizeof(marsfm_plugin_featurizer_service_t), "extent", open_it, n_features, feature_name, compute,
    close_it,
};

static const void *get_service(const char *id) {
    return strcmp(id, MARSFM_PLUGIN_FEATURIZER_1) == 0 ? &service : NULL;
}

static const marsfm_plugin_entry_t entry = {
    sizeof(marsfm_plugin_entry_t), MARSFM_PLUGIN_ABI_MAJOR, MARSFM_PLUGIN_ABI_MINOR, "extent", "2.1",
    get_service, NULL,
};

const marsfm_plugin_entry_t *marsfm_plugin_entry(const marsfm_plugin_host_t *host) {
    return host->abi_major == MARSFM_PLUGIN_ABI_MAJOR ? &entry : NULL;
}
