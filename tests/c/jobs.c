/* Jumps and trees that are drawn while the caller does something else; the log hook.
 * jobs PDB MODEL */
#include "check.h"

#include <math.h>
#include <pthread.h>

#define MANY 64

typedef struct {
    pthread_mutex_t mutex;
    int errors, infos, answer;
    char last[512];
} heard_t;

static int32_t hear(void *user_data, int32_t level, const char *message)
{
    heard_t *heard = user_data;
    int answer;
    pthread_mutex_lock(&heard->mutex);
    heard->errors += level == MARSFM_LOG_ERROR;
    heard->infos += level == MARSFM_LOG_INFO;
    snprintf(heard->last, sizeof heard->last, "%s", message);
    answer = heard->answer;
    pthread_mutex_unlock(&heard->mutex);
    return answer;
}

static void *cancel(void *user_data)
{
    OK(marsfm_job_cancel(user_data));
    return NULL;
}

static void same(const marsfm_batch_t *a, const marsfm_batch_t *b, size_t n_atoms)
{
    static double x[MOST][3], y[MOST][3];
    size_t i;
    REQUIRE(marsfm_batch_size(a) == marsfm_batch_size(b));
    for (i = 0; i < marsfm_batch_size(a); i++) {
        marsfm_xyz_out_t room = out_of(x, n_atoms, MARSFM_F64, 0);
        OK(marsfm_batch_positions(a, i, &room));
        room = out_of(y, n_atoms, MARSFM_F64, 0);
        OK(marsfm_batch_positions(b, i, &room));
        REQUIRE(memcmp(x, y, n_atoms * sizeof x[0]) == 0);
    }
}

int main(int argc, char **argv)
{
    static system_t s;
    static heard_t heard = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, ""};
    marsfm_session_t *session;
    marsfm_xyz_in_t xyz;
    marsfm_job_t *job = NULL, *second = NULL;
    marsfm_batch_t *batch = NULL, *blocking = NULL;
    marsfm_tree_options_t options = {0};
    marsfm_status_t status;
    uint64_t done = 99, budget = 99;
    double kept;
    pthread_t other;
    char text[512];

    REQUIRE(argc == 3);
    EXPECT(marsfm_set_log(hear, &heard, 9), MARSFM_ERROR_ARGUMENT, "level is 9");
    OK(marsfm_set_log(hear, &heard, MARSFM_LOG_INFO));
    read_pdb(argv[1], &s);
    session = session_of(&s, argv[2]);
    REQUIRE(heard.infos == 1 && strstr(heard.last, "sha256"));
    xyz = in_of(&s);

    /* The caller's array may change right after submit; the samples are those of the blocking call. */
    OK(marsfm_session_jump(session, &xyz, NULL, 40, 42, &blocking));
    OK(marsfm_session_submit(session, &xyz, NULL, 40, 42, &job));
    kept = s.xyz_nm[3][1];
    s.xyz_nm[3][1] = 1e9;
    OK(marsfm_job_poll(job, UINT32_MAX, &batch));
    REQUIRE(heard.infos == 2 && strstr(heard.last, "of 40 samples accepted"));
    s.xyz_nm[3][1] = kept;
    same(batch, blocking, s.n);
    marsfm_batch_free(batch);
    batch = NULL;
    EXPECT(marsfm_job_poll(job, 0, &batch), MARSFM_ERROR_ARGUMENT, "taken before");
    OK(marsfm_job_progress(job, &done, &budget));
    REQUIRE(batch == NULL && done == 40 && budget == 40);
    OK(marsfm_job_progress(job, NULL, NULL));
    marsfm_job_free(job);
    marsfm_batch_free(blocking);
    blocking = NULL;

    /* The session goes before its job; another thread cancels; two jobs at once. */
    OK(marsfm_session_submit(session, &xyz, NULL, 1000000, 1, &job));
    OK(marsfm_session_submit(session, &xyz, NULL, MANY, 2, &second));
    OK(marsfm_session_jump(session, &xyz, NULL, 1, 42, &blocking)); /* not kept out by jobs */
    marsfm_batch_free(blocking);
    blocking = NULL;
    heard.errors = 0;
    status = marsfm_job_poll(job, 1, &batch);
    REQUIRE(status == MARSFM_ERROR_PENDING && heard.errors == 0);
    marsfm_last_error_message(text, sizeof text, NULL);
    REQUIRE(strstr(text, "of at most 1000000 draws are done"));
    REQUIRE(pthread_create(&other, NULL, cancel, job) == 0 && pthread_join(other, NULL) == 0);
    EXPECT(marsfm_job_poll(job, UINT32_MAX, &batch), MARSFM_ERROR_STOPPED, "cancelled after");
    EXPECT(marsfm_job_poll(job, 0, &batch), MARSFM_ERROR_STOPPED, "cancelled after");
    marsfm_job_free(job);
    OK(marsfm_job_poll(second, UINT32_MAX, &batch));
    REQUIRE(marsfm_batch_size(batch) == MANY);
    OK(marsfm_job_cancel(second)); /* too late, and harmless */
    marsfm_batch_free(batch);
    batch = NULL;
    marsfm_job_free(second);
    OK(marsfm_session_submit(session, &xyz, NULL, 1000000, 3, &job));
    marsfm_job_free(job); /* while it works */

    /* Trees; what is wrong with the positions is told by the poll. */
    options.struct_size = sizeof options;
    options.roots = 3;
    options.branching = 2;
    options.depth = 2;
    options.budget = 12;
    OK(marsfm_session_submit_tree(session, &xyz, NULL, &options, 5, &job));
    OK(marsfm_session_tree(session, &xyz, NULL, &options, 5, &blocking));
    OK(marsfm_job_poll(job, 60000, &batch));
    same(batch, blocking, s.n);
    marsfm_batch_free(batch);
    marsfm_batch_free(blocking);
    batch = NULL;
    marsfm_job_free(job);
    job = NULL;
    s.xyz_nm[2][0] += 3.0;
    OK(marsfm_session_submit(session, &xyz, NULL, 4, 1, &job));
    EXPECT(marsfm_job_poll(job, UINT32_MAX, &batch), MARSFM_ERROR_TOPOLOGY, "");
    marsfm_job_free(job);
    job = NULL;
    s.xyz_nm[2][0] = NAN;
    OK(marsfm_session_submit(session, &xyz, NULL, 4, 1, &job));
    EXPECT(marsfm_job_poll(job, UINT32_MAX, &batch), MARSFM_ERROR_NOT_FINITE, "atom 2");
    marsfm_job_free(job);
    job = NULL;

    EXPECT(marsfm_session_submit(session, &xyz, NULL, 4, 1, NULL), MARSFM_ERROR_ARGUMENT, "job is");
    xyz.n_atoms = 5;
    EXPECT(marsfm_session_submit(session, &xyz, NULL, 4, 1, &job), MARSFM_ERROR_COUNT, "5 positions");
    EXPECT(marsfm_session_submit_tree(session, &xyz, NULL, NULL, 1, &job), MARSFM_ERROR_ARGUMENT,
           "options");
    EXPECT(marsfm_job_poll(NULL, 0, &batch), MARSFM_ERROR_ARGUMENT, "job is NULL");
    EXPECT(marsfm_job_cancel(NULL), MARSFM_ERROR_ARGUMENT, "job is NULL");
    REQUIRE(job == NULL && batch == NULL && heard.errors > 5);
    marsfm_job_free(NULL);

    /* A function that has heard enough is not called again. */
    heard.answer = 1;
    heard.errors = 0;
    EXPECT(marsfm_job_cancel(NULL), MARSFM_ERROR_ARGUMENT, "job is NULL");
    EXPECT(marsfm_job_cancel(NULL), MARSFM_ERROR_ARGUMENT, "job is NULL");
    REQUIRE(heard.errors == 1);
    OK(marsfm_set_log(NULL, NULL, MARSFM_LOG_ERROR));
    marsfm_session_free(session);
    puts("jobs: ok");
    return 0;
}
