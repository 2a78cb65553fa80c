/* The settings: what comes from where, what is refused, and that every problem is told at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/config.h"
#include "util/config_table.h"

static const char good_secret[] = "9f8e7d6c5b4a39281706f5e4d3c2b1a0";

struct fixture {
    char directory[64], env_file[96];
    char *errors;
    size_t errors_length;
    int problems;
    struct config config;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        char file_name[80];
        snprintf(file_name, sizeof file_name, "%s_FILE", setting->name);
        unsetenv(setting->name);
        unsetenv(file_name);
    }
    setenv("DATABASE_URL", "postgresql:///chat", 1);
    setenv("JWT_SECRET", good_secret, 1);
    strcpy(fixture->directory, "/tmp/stonechat-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    snprintf(fixture->env_file, sizeof fixture->env_file, "%s/.env", fixture->directory);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    config_dispose(&fixture->config);
    free(fixture->errors);
    unlink(fixture->env_file);
    rmdir(fixture->directory);
    free(fixture);
    return 0;
}

static int load(struct fixture *fixture)
{
    free(fixture->errors);
    config_dispose(&fixture->config);
    FILE *errors = open_memstream(&fixture->errors, &fixture->errors_length);
    fixture->problems = config_load(fixture->env_file, errors, &fixture->config);
    fclose(errors);
    return fixture->problems;
}

static void write_env_file(struct fixture *fixture, const char *text)
{
    FILE *out = fopen(fixture->env_file, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void assert_refused(struct fixture *fixture, const char *name, const char *value, const char *message)
{
    setenv(name, value, 1);
    assert_int_equal(load(fixture), 1);
    assert_non_null(strstr(fixture->errors, message));
}

static void defaults_are_those_of_the_table(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture), 0);
    const struct config *config = &fixture->config;
    assert_int_equal(config->port, 5000);
    assert_true(config->workers >= 1);
    assert_true(config->argon2_threads >= 1);
    assert_int_equal(config->stonechat_env, ENV_PRODUCTION);
    assert_int_equal(config->jwt_expires_in_s, 7 * 86400);
    assert_int_equal(config->max_body_bytes, 262144);
    assert_string_equal(config->allowed_origins[0], "http://localhost:3000");
    assert_string_equal(config->allowed_origins[1], "http://localhost:5173");
    assert_null(config->allowed_origins[2]);
    assert_null(config->tls_cert);
    assert_int_equal(config->log_level, LOG_INFO);
    assert_int_equal(config->log_format, LOG_JSON);
    assert_false(config->rate_limit_disabled);
    assert_string_equal(fixture->errors, "");
}

/* Front ends are written with these in mind. */
static void what_clients_see_has_the_promised_defaults(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture), 0);
    const struct config *config = &fixture->config;
    assert_int_equal(config->password_min_length, 8);
    assert_int_equal(config->max_failed_attempts, 5);
    assert_int_equal(config->lockout_minutes, 15);
    assert_int_equal(config->call_ring_seconds, 45);
    assert_int_equal(config->presence_grace_ms, 5000);
    assert_int_equal(config->event_retention_days, 30);
}

static void the_demo_is_off_in_production_alone(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture), 0);
    assert_false(fixture->config.web_demo);
    setenv("WEB_DEMO", "1", 1);
    assert_int_equal(load(fixture), 0);
    assert_true(fixture->config.web_demo);
    unsetenv("WEB_DEMO");
    setenv("STONECHAT_ENV", "development", 1);
    assert_int_equal(load(fixture), 0);
    assert_true(fixture->config.web_demo);
    setenv("WEB_DEMO", "off", 1);
    assert_int_equal(load(fixture), 0);
    assert_false(fixture->config.web_demo);
}

static void environment_wins_over_the_file(void **state)
{
    struct fixture *fixture = *state;
    write_env_file(fixture, "PORT=6000\nWORKERS=3\n");
    setenv("PORT", "7000", 1);
    assert_int_equal(load(fixture), 0);
    assert_int_equal(fixture->config.port, 7000);
    assert_int_equal(fixture->config.workers, 3);
}

static void empty_is_not_set(void **state)
{
    struct fixture *fixture = *state;
    write_env_file(fixture, "WORKERS=3\nTLS_CERT=\nTLS_KEY=''\n");
    setenv("WORKERS", "", 1);
    setenv("PORT", "", 1);
    assert_int_equal(load(fixture), 0);
    assert_int_equal(fixture->config.workers, 3);
    assert_int_equal(fixture->config.port, 5000);
    assert_null(fixture->config.tls_key);
}

static void file_knows_comments_quotes_and_export(void **state)
{
    struct fixture *fixture = *state;
    unsetenv("JWT_SECRET");
    unsetenv("DATABASE_URL");
    write_env_file(fixture, "# a comment\r\n"
                            "\n"
                            "export PORT = 6001   # the port\r\n"
                            "JWT_SECRET=\"9f8e7d6c5b4a39281706f5e4d3c2b1a0 \\\"#\\\\\" # end\n"
                            "  DATABASE_URL='host=/tmp dbname=a#b'\n"
                            "HOST=h#1\n");
    assert_int_equal(load(fixture), 0);
    assert_int_equal(fixture->config.port, 6001);
    assert_string_equal(fixture->config.jwt_secret, "9f8e7d6c5b4a39281706f5e4d3c2b1a0 \"#\\");
    assert_string_equal(fixture->config.database_url, "host=/tmp dbname=a#b");
    assert_string_equal(fixture->config.host, "h#1");
}

static void broken_lines_are_told_with_their_number(void **state)
{
    struct fixture *fixture = *state;
    write_env_file(fixture, "PORT\n1X=2\nHOST=\"open\nWORKERS='2' x\nPORT=6002");
    assert_int_equal(load(fixture), 4);
    for (int line = 1; line <= 4; line++) {
        char expected[32];
        snprintf(expected, sizeof expected, "/.env line %d: ", line);
        assert_non_null(strstr(fixture->errors, expected));
    }
}

static void unknown_names_in_the_file_are_a_warning(void **state)
{
    struct fixture *fixture = *state;
    write_env_file(fixture, "PROT=6000\n");
    assert_int_equal(load(fixture), 0);
    assert_non_null(strstr(fixture->errors, "warning:"));
    assert_non_null(strstr(fixture->errors, "PROT is not a setting"));
}

static void missing_file_is_no_problem(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(load(fixture), 0);
}

static void all_problems_are_told_at_once(void **state)
{
    struct fixture *fixture = *state;
    unsetenv("DATABASE_URL");
    setenv("JWT_SECRET", "short", 1);
    setenv("PORT", "65536", 1);
    setenv("LOG_LEVEL", "loud", 1);
    setenv("JWT_EXPIRES_IN", "soon", 1);
    setenv("TLS_CERT", "/nowhere/at/all", 1);
    assert_int_equal(load(fixture), 7); /* TLS_CERT cannot be read, and lacks TLS_KEY */
    static const char *const names[] = {"DATABASE_URL", "JWT_SECRET", "PORT",    "LOG_LEVEL",
                                        "TLS_CERT",     "TLS_KEY",    "JWT_EXP", NULL};
    for (int i = 0; names[i] != NULL; i++) {
        assert_non_null(strstr(fixture->errors, names[i]));
    }
}

static void secrets_are_not_echoed(void **state)
{
    struct fixture *fixture = *state;
    setenv("JWT_SECRET", "hush-hush", 1);
    setenv("DATABASE_URL", "mysql://root:pa55@host", 1);
    assert_int_equal(load(fixture), 2);
    assert_null(strstr(fixture->errors, "hush"));
    assert_null(strstr(fixture->errors, "pa55"));
}

static void weak_secrets_are_refused(void **state)
{
    static const char *const weak[] = {
        "0123456789abcdef0123456789abcde",        /* 31 bytes */
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* one character */
        "abababababababababababababababababab",   "change-me-change-me-change-me-123!",
        "your-jwt-key-goes-here-0123-ABCDEFG",    "My-Super-Secret-Key-That-Is-Long-Enough",
        "an-example-value-of-thirty-two-bytes",   "12345678901234567890123456789012",
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        assert_refused(fixture, "JWT_SECRET", weak[i], "JWT_SECRET");
    }
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* 0: refused */
    } cases[] = {{"90", 90},
                 {"90s", 90},
                 {"15m", 900},
                 {"12h", 43200},
                 {"7d", 604800},
                 {"2w", 1209600},
                 {"0", 0},
                 {"-1h", 0},
                 {"1 h", 0},
                 {"h", 0},
                 {"7dd", 0},
                 {"1e3", 0},
                 {"11000d", 0},
                 {"99999999999999999999d", 0},
                 {"9223372036854775807w", 0}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("JWT_EXPIRES_IN", cases[i].text, 1);
        assert_int_equal(load(fixture), cases[i].seconds == 0 ? 1 : 0);
        assert_int_equal(fixture->config.jwt_expires_in_s, cases[i].seconds);
    }
}

static void numbers_have_limits(void **state)
{
    static const char *const bad[] = {"65536", "-1", "5000x", "0x10", " 5000", "5e3", "99999999999999999999", "+1"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_refused(fixture, "PORT", bad[i], "PORT must be a whole number from 0 to 65535");
    }
}

static void write_secret(const struct fixture *fixture, const char *bytes, size_t length, char ret_path[128])
{
    snprintf(ret_path, 128, "%s/secret", fixture->directory);
    FILE *out = fopen(ret_path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    fclose(out);
}

/* The file's text is the secret, but for one end of a line. */
static void secrets_may_lie_in_files(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ends[] = {"", "\n", "\r\n"};
    char path[128], text[256];
    unsetenv("JWT_SECRET");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        int length = snprintf(text, sizeof text, "%s%s", good_secret, ends[i]);
        write_secret(fixture, text, (size_t)length, path);
        setenv("JWT_SECRET_FILE", path, 1);
        assert_int_equal(load(fixture), 0);
        assert_string_equal(fixture->config.jwt_secret, good_secret);
    }
    unsetenv("JWT_SECRET_FILE");
    snprintf(text, sizeof text, "JWT_SECRET_FILE=%s\n", path);
    write_env_file(fixture, text);
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->config.jwt_secret, good_secret);
    assert_string_equal(fixture->errors, "");
    setenv("JWT_SECRET", "another one that is long enough 8#kQ", 1); /* the environment wins */
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->config.jwt_secret, "another one that is long enough 8#kQ");
    unlink(path);
}

static void files_that_hold_no_secret(void **state)
{
    struct fixture *fixture = *state;
    static char huge[65537 + 1];
    memset(huge, 'x', sizeof huge);
    char path[128];
    unsetenv("JWT_SECRET");
    assert_refused(fixture, "JWT_SECRET_FILE", "/no/such/file",
                   "JWT_SECRET_FILE: /no/such/file cannot be read: No such");
    write_secret(fixture, "", 0, path);
    assert_refused(fixture, "JWT_SECRET_FILE", fixture->directory, "cannot be read: Is a directory");
    assert_refused(fixture, "JWT_SECRET_FILE", path, "is empty");
    write_secret(fixture, "\n", 1, path);
    assert_refused(fixture, "JWT_SECRET_FILE", path, "is empty");
    write_secret(fixture, "0123456789abcdef\0wxyz0123456789abcdef", 37, path);
    assert_refused(fixture, "JWT_SECRET_FILE", path, "holds a NUL byte");
    assert_null(strstr(fixture->errors, "0123"));
    write_secret(fixture, huge, sizeof huge, path);
    assert_refused(fixture, "JWT_SECRET_FILE", path, "has more than 65536 bytes");
    write_secret(fixture, good_secret, strlen(good_secret), path);
    setenv("JWT_SECRET", good_secret, 1);
    assert_refused(fixture, "JWT_SECRET_FILE", path, "JWT_SECRET and JWT_SECRET_FILE are both set");
    assert_null(strstr(fixture->errors, good_secret));
    unlink(path);
}

/* Only what is secret. */
static void other_settings_lie_in_no_files(void **state)
{
    struct fixture *fixture = *state;
    write_env_file(fixture, "PORT_FILE=/etc/hostname\nREDIS_URL_FILE=\n");
    assert_int_equal(load(fixture), 0);
    assert_int_equal(fixture->config.port, 5000);
    assert_non_null(strstr(fixture->errors, "PORT_FILE is not a setting"));
    assert_null(strstr(fixture->errors, "REDIS_URL_FILE"));
}

static void addresses(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {
        "9100",  ":9100",           "localhost:9100",  "127.0.0.1",      "127.0.0.1:", "127.0.0.1:0", "::1:9100",
        "[::1]", "127.0.0.1:65536", "127.0.0.1:9100x", "[127.0.0.1]:91", "1.2.3.4:-1", "[]:9100"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_refused(fixture, "METRICS_ADDR", bad[i], "such as 127.0.0.1:9100 or [::1]:9100");
    }
    setenv("METRICS_ADDR", "[0:0:0:0:0:0:0:1]:9100", 1);
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->config.metrics_addr.host, "::1");
    assert_int_equal(fixture->config.metrics_addr.port, 9100);
}

static void networks(void **state)
{
    static const char *const bad[] = {"localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8,x", "*"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("TRUST_PROXY", bad[i], 1);
        assert_true(load(fixture) >= 1);
        assert_non_null(strstr(fixture->errors, "is neither an address nor a network"));
    }
    setenv("TRUST_PROXY", " 10.0.0.0/8 ,::1,", 1);
    assert_int_equal(load(fixture), 0);
    assert_int_equal(fixture->config.trust_proxy.count, 2);
    assert_int_equal(fixture->config.trust_proxy.rows[0].prefix, 96 + 8);
    assert_int_equal(fixture->config.trust_proxy.rows[1].prefix, 128);
}

static void the_proxy_protocol_needs_proxies(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "PROXY_PROTOCOL", "1", "needs TRUST_PROXY");
    setenv("TRUST_PROXY", "10.0.0.0/8", 1);
    assert_int_equal(load(fixture), 0);
    assert_true(fixture->config.proxy_protocol);
    setenv("PROXY_PROTOCOL", "off", 1);
    assert_int_equal(load(fixture), 0);
    assert_false(fixture->config.proxy_protocol);
}

static void origins(void **state)
{
    static const char *const bad[] = {"*",          "localhost:3000", "http://",         "http://a/",
                                      "http://a/b", "http://a:",      "http://a:123456", "http://a b",
                                      "HTTP://a",   "http://user@a",  "http://[::1"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("ALLOWED_ORIGINS", bad[i], 1);
        assert_true(load(fixture) >= 1);
        assert_non_null(strstr(fixture->errors, "is not an origin"));
    }
    setenv("ALLOWED_ORIGINS", " https://a.example.org , http://[::1]:8080,capacitor://localhost", 1);
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->config.allowed_origins[0], "https://a.example.org");
    assert_string_equal(fixture->config.allowed_origins[1], "http://[::1]:8080");
    assert_string_equal(fixture->config.allowed_origins[2], "capacitor://localhost");
    assert_null(fixture->config.allowed_origins[3]);
}

static void advertised_urls_are_a_server_alone(void **state)
{
    static const char *const bad[] = {"10.0.0.7:5000", "http://10.0.0.7:5000/", "ftp://10.0.0.7", "http://",
                                      "http://a b"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("ADVERTISE_URL", bad[i], 1);
        assert_true(load(fixture) >= 1);
        assert_non_null(strstr(fixture->errors, "ADVERTISE_URL must be"));
    }
    char url[400] = "http://";
    memset(url + 7, 'a', 300);
    setenv("ADVERTISE_URL", url, 1);
    assert_true(load(fixture) >= 1);
    setenv("ADVERTISE_URL", "https://[fd00::7]:5000", 1);
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->config.advertise_url, "https://[fd00::7]:5000");
}

static void rate_limits_stay_on_in_production(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "RATE_LIMIT_DISABLED", "1", "RATE_LIMIT_DISABLED is refused");
    setenv("STONECHAT_ENV", "test", 1);
    assert_int_equal(load(fixture), 0);
    assert_true(fixture->config.rate_limit_disabled);
    assert_string_equal(config_env_name(fixture->config.stonechat_env), "test");
}

static void tls_files_go_together(void **state)
{
    struct fixture *fixture = *state;
    write_env_file(fixture, "");
    setenv("TLS_CERT", fixture->env_file, 1);
    assert_int_equal(load(fixture), 1);
    assert_non_null(strstr(fixture->errors, "TLS_KEY too"));
    setenv("TLS_KEY", fixture->env_file, 1);
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->config.tls_key, fixture->env_file);
}

static void redis_is_told_once_and_whole(void **state)
{
    struct fixture *fixture = *state;
    assert_refused(fixture, "REDIS_PASSWORD", "hunter2", "needs REDIS_URL or REDIS_HOST");
    setenv("REDIS_HOST", "cache", 1);
    assert_int_equal(load(fixture), 0);
    assert_refused(fixture, "REDIS_URL", "redis://cache", "which one is it?");
    unsetenv("REDIS_HOST");
    assert_int_equal(load(fixture), 0);
    unsetenv("REDIS_PASSWORD");
    assert_refused(fixture, "REDIS_USERNAME", "chat", "needs a password");
    unsetenv("REDIS_USERNAME");
    assert_refused(fixture, "REDIS_URL", "redis://chat@cache", "needs a password");
    assert_refused(fixture, "REDIS_URL", "http://:hunter2@cache", "REDIS_URL must look like");
    assert_null(strstr(fixture->errors, "hunter2"));
    setenv("REDIS_URL", "rediss://chat:hunter2@cache:6380/1", 1);
    assert_int_equal(load(fixture), 0);
}

static void given_values_can_be_asked_for(void **state)
{
    static const struct {
        const char *name, *printed;
    } cases[] = {{"PORT", "7000\n"}, {"WORKERS", "3\n"}, {"HOST", "\n"}};
    struct fixture *fixture = *state;
    write_env_file(fixture, "PORT=6000\nWORKERS=3\n");
    setenv("PORT", "7000", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = NULL;
        size_t length;
        FILE *out = open_memstream(&text, &length);
        assert_true(config_print_setting(fixture->env_file, cases[i].name, out));
        fclose(out);
        assert_string_equal(text, cases[i].printed);
        free(text);
    }
    assert_false(config_print_setting(fixture->env_file, "PATH", stderr));
}

/* The example, taken as it is, is a valid file that changes nothing. */
static void example_file_is_readable(void **state)
{
    struct fixture *fixture = *state;
    FILE *out = fopen(fixture->env_file, "w");
    assert_non_null(out);
    config_print_env_example(out);
    fclose(out);
    assert_int_equal(load(fixture), 0);
    assert_string_equal(fixture->errors, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_table),
        TEST(what_clients_see_has_the_promised_defaults),
        TEST(the_demo_is_off_in_production_alone),
        TEST(environment_wins_over_the_file),
        TEST(empty_is_not_set),
        TEST(file_knows_comments_quotes_and_export),
        TEST(broken_lines_are_told_with_their_number),
        TEST(unknown_names_in_the_file_are_a_warning),
        TEST(missing_file_is_no_problem),
        TEST(all_problems_are_told_at_once),
        TEST(secrets_are_not_echoed),
        TEST(weak_secrets_are_refused),
        TEST(durations),
        TEST(numbers_have_limits),
        TEST(secrets_may_lie_in_files),
        TEST(files_that_hold_no_secret),
        TEST(other_settings_lie_in_no_files),
        TEST(addresses),
        TEST(networks),
        TEST(the_proxy_protocol_needs_proxies),
        TEST(origins),
        TEST(advertised_urls_are_a_server_alone),
        TEST(rate_limits_stay_on_in_production),
        TEST(tls_files_go_together),
        TEST(redis_is_told_once_and_whole),
        TEST(given_values_can_be_asked_for),
        TEST(example_file_is_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
