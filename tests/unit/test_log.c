/* The log: lines are what they should be, nothing given to it breaks them, and threads do not mix them. The tests read
 * what arrives at the standard error by way of a file. */
#include "util/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yajl/yajl_tree.h>

static int saved_stderr;
static FILE *captured;

static int start_capture(void **state)
{
    (void)state;
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    return captured == NULL || dup2(fileno(captured), STDERR_FILENO) < 0;
}

/* What was logged since start_capture; the caller frees it. */
static char *end_capture(void)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    size_t length = (size_t)lseek(fileno(captured), 0, SEEK_END);
    char *text = calloc(1, length + 1);
    assert_int_equal(pread(fileno(captured), text, length, 0), length);
    fclose(captured);
    return text;
}

static void check_start(const char *line)
{
    assert_memory_equal(line, "{\"time\":\"2", 10);
    assert_memory_equal(line + 32, "Z\",\"level\":", 11);
}

static void test_json_line(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    errno = EDOM;
    log_write(LOG_WARN, "it is \"here\"", LOG_STR("user", "a\nb"), LOG_INT("bytes", -5), LOG_REAL("ms", 1.25),
              LOG_REAL("none", NAN), LOG_STR("gone", NULL), LOG_SLICE("raw", ((struct slice){"\0\xff\xc3\xa4", 4})));
    assert_int_equal(errno, EDOM);
    char *text = end_capture();
    check_start(text);
    assert_string_equal(text + 36,
                        "level\":\"warn\",\"msg\":\"it is \\\"here\\\"\",\"user\":\"a\\nb\",\"bytes\":-5,\"ms\":1.25,"
                        "\"none\":null,\"gone\":null,\"raw\":\"\\u0000\xef\xbf\xbd\xc3\xa4\"}\n");
    free(text);
}

static void test_without_fields(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    log_write(LOG_ERROR, "alone");
    char *text = end_capture();
    assert_string_equal(text + 36, "level\":\"error\",\"msg\":\"alone\"}\n");
    free(text);
}

static void test_text_line(void **state)
{
    (void)state;
    log_configure(LOG_DEBUG, LOG_TEXT);
    log_write(LOG_DEBUG, "listening\non", LOG_INT("port", 5000), LOG_STR("host", "::1"), LOG_STR("a", "b c"),
              LOG_STR("b", "x=\"y\""), LOG_STR("c", ""));
    char *text = end_capture();
    assert_int_equal(text[23], 'Z');
    assert_string_equal(text + 24, " debug listening\\non port=5000 host=::1 a=\"b c\" b=\"x=\\\"y\\\"\" c=\"\"\n");
    free(text);
}

static void test_whom_a_thread_works_for(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    struct log_context outer = {.request_id = "one", .trace_id = "4bf9"}, inner = {.id = {{0xab}}}, seen;
    const struct log_context *nobody = log_enter(&outer);
    log_write(LOG_INFO, "outer", LOG_INT("n", 1));
    const struct log_context *before = log_enter(&inner);
    log_write(LOG_INFO, "inner");
    log_get_context(&seen);
    assert_memory_equal(&seen, &inner, sizeof seen);
    log_leave(before);
    log_write(LOG_INFO, "outer");
    log_leave(nobody);
    log_write(LOG_INFO, "nobody");
    log_get_context(&seen);
    assert_memory_equal(&seen, (&(struct log_context){0}), sizeof seen);
    char *text = end_capture(), *rest = NULL;
    static const char *const wanted[] = {
        "\"outer\",\"requestId\":\"one\",\"traceId\":\"4bf9\",\"n\":1}",
        "\"inner\",\"requestId\":\"ab000000-0000-0000-0000-000000000000\"}",
        "\"outer\",\"requestId\":\"one\",\"traceId\":\"4bf9\"}",
        "\"nobody\"}",
    };
    char *line = strtok_r(text, "\n", &rest);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++, line = strtok_r(NULL, "\n", &rest)) {
        assert_string_equal(strstr(line, "\"msg\":") + 6, wanted[i]);
    }
    free(text);
}

static void test_levels(void **state)
{
    (void)state;
    log_configure(LOG_WARN, LOG_JSON);
    assert_false(log_enabled(LOG_INFO));
    assert_true(log_enabled(LOG_WARN));
    log_write(LOG_DEBUG, "no");
    log_write(LOG_INFO, "no");
    log_configure(LOG_ERROR, LOG_JSON);
    log_write(LOG_WARN, "no");
    char *text = end_capture();
    assert_string_equal(text, "");
    free(text);
}

/* Whatever is long stays within a line of 8 KiB that is JSON. */
static void test_long_values_are_cut(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    static char odd[20000], nul[20000], euro[20001], word[20000];
    memset(word, 'x', sizeof word);
    memset(odd, '\xff', sizeof odd - 1);
    for (size_t i = 0; i + 3 <= sizeof euro; i += 3) {
        memcpy(euro + i, "\xe2\x82\xac", 3);
    }
    struct slice nuls = {nul, sizeof nul}, euros = {euro, sizeof euro - 1};
    log_write(LOG_INFO, odd, LOG_SLICE("a", nuls), LOG_SLICE(odd, euros), LOG_SLICE("c", nuls), LOG_SLICE("d", euros),
              LOG_SLICE("e", nuls), LOG_INT("f", INT64_MIN), LOG_SLICE("g", nuls));
    for (size_t length = 7000; length < 9000; length++) { /* the end of the line falls everywhere */
        log_write(LOG_INFO, "m", LOG_SLICE("a", euros), LOG_SLICE("b", euros), LOG_SLICE("c", euros),
                  LOG_SLICE("d", ((struct slice){euro, length - 7000})), LOG_SLICE("e", nuls), LOG_INT("f", INT64_MIN));
    }
    for (size_t length = 0; length < 2048; length++) { /* and where the last value need not be shortened much */
        struct slice part = {word, length}, whole = {word, sizeof word};
        log_write(LOG_INFO, "m", LOG_SLICE("a", euros), LOG_SLICE("b", euros), LOG_SLICE("d", part),
                  LOG_SLICE("e", whole));
    }
    char *text = end_capture(), *rest = NULL;
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        assert_in_range(strlen(line), 6000, 8191);
        check_start(line);
        yajl_val value = yajl_tree_parse(line, NULL, 0);
        assert_non_null(value);
        yajl_tree_free(value);
        lines++;
    }
    assert_int_equal(lines, 2001 + 2048);
    free(text);
}

enum { THREADS = 4, PER_THREAD = 500 };

static void *log_many(void *context)
{
    for (int i = 0; i < PER_THREAD; i++) {
        log_write(LOG_INFO, "from a thread", LOG_STR("text", context), LOG_INT("i", i));
    }
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    static char texts[THREADS][500];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        memset(texts[i], 'a' + i, sizeof texts[i] - 1);
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, texts[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    char *text = end_capture(), *rest = NULL;
    int lines = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        check_start(line);
        char *value = strstr(line, "\"text\":\"") + strlen("\"text\":\"");
        assert_in_range(value[0], 'a', 'a' + THREADS - 1);
        assert_memory_equal(value, texts[value[0] - 'a'], sizeof texts[0] - 1);
        assert_int_equal(line[strlen(line) - 1], '}');
        lines++;
    }
    assert_int_equal(lines, THREADS * PER_THREAD);
    free(text);
}

/* In a process of its own: what log_open finds stays, and whoever waits for the pipe is ended by SIGALRM. */
static void test_nobody_waits_for_a_pipe_after_an_interrupted_call(void **state)
{
    (void)state;
    enum { WAIT_SECONDS = 20 };
    int ends[2], status = -1;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(WAIT_SECONDS);
        dup2(ends[1], STDERR_FILENO);
        log_open();
        log_configure(LOG_INFO, LOG_JSON);
        fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
        while (write(STDERR_FILENO, "x", 1) == 1) {
        }
        errno = EINTR;
        log_write(LOG_INFO, "one line too many");
        _exit(EXIT_SUCCESS);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_json_line, start_capture),
        cmocka_unit_test_setup(test_without_fields, start_capture),
        cmocka_unit_test_setup(test_text_line, start_capture),
        cmocka_unit_test_setup(test_whom_a_thread_works_for, start_capture),
        cmocka_unit_test_setup(test_levels, start_capture),
        cmocka_unit_test_setup(test_long_values_are_cut, start_capture),
        cmocka_unit_test_setup(test_threads_do_not_mix_lines, start_capture),
        cmocka_unit_test(test_nobody_waits_for_a_pipe_after_an_interrupted_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
