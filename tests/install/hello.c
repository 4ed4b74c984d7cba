/* A program outside of the checkout: plugins, surrogate and header are those of an installed marsfm.
 * hello PEPTIDE.pdb */
#include <marsfm.h>

#include <stdio.h>
#include <stdlib.h>

static void check(marsfm_status_t status)
{
    if (status != MARSFM_OK) {
        char text[1024];
        marsfm_last_error_message(text, sizeof text, NULL);
        fprintf(stderr, "%s: %s\n", marsfm_status_name(status), text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    marsfm_topology_t *topology = NULL;
    marsfm_model_t *model = NULL;
    char text[256];
    if (argc != 2)
        return 2;
    check(marsfm_check_abi(MARSFM_ABI_MAJOR, MARSFM_ABI_MINOR));
    /* A plugin reads the file. */
    check(marsfm_topology_new_from_file(argv[1], &topology));
    check(marsfm_topology_sequence(topology, text, sizeof text, NULL));
    printf("sequence %s\n", text);
    /* The default surrogate. */
    check(marsfm_model_load(NULL, NULL, &model));
    check(marsfm_model_text(model, MARSFM_MODEL_SHA256, text, sizeof text, NULL));
    printf("model %s\n", text);
    marsfm_model_free(model);
    marsfm_topology_free(topology);
    return 0;
}
