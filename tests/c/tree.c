/* Trees, progress, stopping, and a second thread that finds the session busy.
 * tree PDB MODEL */
#include "check.h"

#include <pthread.h>

typedef struct {
    marsfm_session_t *session;
    marsfm_xyz_in_t xyz;
    int calls, stop_at, busy;
} watch_t;

static void *intrude(void *user_data)
{
    watch_t *watch = user_data;
    marsfm_batch_t *batch = NULL;
    EXPECT(marsfm_session_jump(watch->session, &watch->xyz, NULL, 1, 1, &batch), MARSFM_ERROR_BUSY,
           "one session per thread");
    REQUIRE(batch == NULL);
    watch->busy++;
    return NULL;
}

static int32_t progress(void *user_data, uint64_t done, uint64_t budget)
{
    watch_t *watch = user_data;
    pthread_t other;
    char text[64];
    REQUIRE(done > 0 && done <= budget);
    REQUIRE(pthread_create(&other, NULL, intrude, watch) == 0 && pthread_join(other, NULL) == 0);
    marsfm_last_error_message(text, sizeof text, NULL); /* the other thread's message is not ours */
    REQUIRE(text[0] == '\0' || !strstr(text, "in use"));
    return ++watch->calls == watch->stop_at;
}

int main(int argc, char **argv)
{
    static system_t s;
    watch_t watch = {0};
    marsfm_batch_t *batch = NULL, *again = NULL;
    marsfm_tree_options_t options = {0};
    size_t i, n;

    REQUIRE(argc == 3);
    read_pdb(argv[1], &s);
    watch.session = session_of(&s, argv[2]);
    watch.xyz = in_of(&s);
    EXPECT(marsfm_session_tree(watch.session, &watch.xyz, NULL, NULL, 5, &batch),
           MARSFM_ERROR_ARGUMENT, "options is NULL");
    options.struct_size = sizeof options;
    EXPECT(marsfm_session_tree(watch.session, &watch.xyz, NULL, &options, 5, &batch),
           MARSFM_ERROR_ARGUMENT, "budget is 0");
    options.roots = 4;
    options.branching = 2;
    options.depth = 3;
    options.budget = 20;
    options.progress = progress;
    options.user_data = &watch;
    watch.stop_at = 1;
    EXPECT(marsfm_session_tree(watch.session, &watch.xyz, NULL, &options, 5, &batch),
           MARSFM_ERROR_STOPPED, "4 of at most 20");
    REQUIRE(batch == NULL && watch.busy == 1);
    watch.stop_at = -1;
    OK(marsfm_session_tree(watch.session, &watch.xyz, NULL, &options, 5, &batch));
    OK(marsfm_session_tree(watch.session, &watch.xyz, NULL, &options, 5, &again));
    n = marsfm_batch_size(batch);
    REQUIRE(n >= 4 && n <= 20 && marsfm_batch_size(again) == n);
    for (i = 0; i < n; i++) {
        marsfm_sample_info_t sample = {0}, other = {0};
        sample.struct_size = other.struct_size = sizeof sample;
        OK(marsfm_batch_sample(batch, i, &sample));
        OK(marsfm_batch_sample(again, i, &other));
        REQUIRE(memcmp(&sample, &other, sizeof sample) == 0);
        REQUIRE((sample.parent == -1) == (sample.depth == 1));
        REQUIRE(sample.parent < (int64_t)i);
        if (sample.parent >= 0) {
            OK(marsfm_batch_sample(batch, (size_t)sample.parent, &other));
            REQUIRE(other.depth + 1 == sample.depth && other.status != MARSFM_SAMPLE_REJECTED);
        }
        REQUIRE((sample.status == MARSFM_SAMPLE_REJECTED) == (sample.rejected_reasons != 0));
    }
    marsfm_batch_free(batch);
    marsfm_batch_free(again);
    marsfm_session_free(watch.session);
    printf("tree: ok, %u samples\n", (unsigned)n);
    return 0;
}
