/* The adaptive loop: begun, stopped by the caller, gone on with, read, reported; what is wrong. */
#include "check.h"

typedef struct {
    uint64_t calls;
    uint64_t stop_in;
    double done;
} watch_t;

static int32_t watched(void *user_data, const char *stage, uint64_t epoch, uint64_t epochs,
                       double done)
{
    watch_t *watch = user_data;

    REQUIRE(stage != NULL && stage[0] != '\0');
    REQUIRE(epochs == 10 && epoch <= epochs);
    REQUIRE(done >= watch->done && done <= 1.0);
    watch->done = done;
    watch->calls++;
    return epoch >= watch->stop_in;
}

int main(int argc, char **argv)
{
    static char json[1 << 20];
    const char *folders[1];
    watch_t watch = {0, 3, 0.0};
    int32_t ended = -1;

    REQUIRE(argc == 5);
    folders[0] = argv[2];
    EXPECT(marsfm_loop_begin("/nowhere/loop.toml", argv[2]), MARSFM_ERROR_LOOP, "/nowhere/loop.toml");
    EXPECT(marsfm_loop_begin(NULL, argv[2]), MARSFM_ERROR_ARGUMENT, "settings_path");
    EXPECT(marsfm_loop_status(argv[2], json, sizeof json, NULL), MARSFM_ERROR_LOOP, "holds no loop");
    OK(marsfm_loop_begin(argv[1], argv[2]));
    EXPECT(marsfm_loop_begin(argv[1], argv[2]), MARSFM_ERROR_LOOP, "holds a loop already");
    EXPECT(marsfm_loop_run(argv[2], 0, -1.0, NULL, NULL, &ended), MARSFM_ERROR_ARGUMENT, "max_seconds");

    OK(marsfm_loop_run(argv[2], 1, 0.0, NULL, NULL, &ended));
    REQUIRE(ended == MARSFM_LOOP_LIMITS);
    OK(marsfm_loop_run(argv[2], 0, 0.0, watched, &watch, &ended));
    REQUIRE(ended == MARSFM_LOOP_STOPPED && watch.calls > 2);
    watch.stop_in = 100;
    OK(marsfm_loop_run(argv[2], 0, 0.0, watched, &watch, &ended));
    REQUIRE(ended == MARSFM_LOOP_COMPLETE);
    OK(marsfm_loop_status(argv[2], json, sizeof json, NULL));
    REQUIRE(strstr(json, "\"epochs\":10") != NULL && strstr(json, "\"runs\":40") != NULL);
    EXPECT(marsfm_loop_import(argv[2], NULL, 0, NULL, 0.0, 0.0), MARSFM_ERROR_ARGUMENT,
           "trajectory_paths");
    OK(marsfm_loop_report(folders, 1, argv[3]));
    REQUIRE(fopen(argv[4], "r") != NULL);
    return 0;
}
