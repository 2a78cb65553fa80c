/* The settings of the program, from one table (src/util/config.c) that also makes --help, .env.example and the check at
 * the start. A value comes from the environment, else from the file .env, else it is the default; what is secret may
 * lie in a file of its own that NAME_FILE names. Made once by main, before any thread; read-only afterwards. */
#ifndef STONECHAT_UTIL_CONFIG_H
#define STONECHAT_UTIL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "util/ip_address.h"
#include "util/log.h"
#include "util/rate_limits.h"

/* The status with which a program ends that was configured wrongly (EX_CONFIG of sysexits.h). */
enum { CONFIG_EXIT_STATUS = 78 };

enum { CONFIG_URL_MAX_LENGTH = 255 };

/* Where to listen; `host`, a numeric address, is empty when it was not set. */
struct listen_address {
    char host[IP_ADDRESS_TEXT_SIZE];
    int port;
};

enum stonechat_env { ENV_PRODUCTION, ENV_DEVELOPMENT, ENV_TEST };

/* A field is named as its setting, in lower case. Strings belong to the struct; one that was not set is NULL. */
struct config {
    /* the server */
    const char *host;
    int port;                  /* 0: the system chooses one */
    const char *advertise_url; /* at most CONFIG_URL_MAX_LENGTH */
    struct listen_address metrics_addr;
    int workers; /* config_load puts the number of cores in place of 0 */
    enum stonechat_env stonechat_env;
    char **allowed_origins; /* NULL-terminated */
    struct ip_networks trust_proxy;
    bool proxy_protocol;
    bool web_demo;
    const char *tls_cert, *tls_key;
    const char *run_as;    /* who the process goes on as, when root has started it */
    const char *share_dir; /* where swagger/ and web/ lie; found beside the program when not set */

    /* logging */
    enum log_level log_level;
    enum log_format log_format;

    /* PostgreSQL */
    const char *database_url;
    int db_connections; /* per worker */
    int db_queue_max;

    /* Redis: at most one of redis_url and redis_host is set, and neither when there is none */
    const char *redis_url, *redis_host;
    int redis_port;
    const char *redis_username, *redis_password;
    const char *redis_tls_ca;

    /* users and logins */
    const char *jwt_secret;
    int64_t jwt_expires_in_s; /* JWT_EXPIRES_IN */
    int64_t refresh_expires_in_s;
    const char *totp_keys; /* NULL: no two factors */
    const char *totp_issuer;
    int password_min_length;
    int max_failed_attempts;
    int lockout_minutes;
    int argon2_memory_kib;
    int argon2_iterations;
    int argon2_parallelism;
    int argon2_threads; /* config_load puts half the number of cores, at least 1, in place of 0 */
    int argon2_queue_max;

    /* limits */
    bool rate_limit_disabled;
    struct rate_limit rate_limits[RATE_RULE_COUNT];
    int64_t max_body_bytes;
    int64_t max_held_bytes;
    int max_connections;        /* 0: nine tenths of the descriptors */
    int max_connections_per_ip; /* 0: no limit */
    int request_timeout_seconds;
    int drain_delay_seconds;
    int drain_seconds;

    /* sockets and delivery */
    int ping_interval_ms;
    int ping_timeout_ms;
    int connect_timeout_ms;
    int64_t max_payload_bytes;
    int socket_packets_per_second;
    int64_t send_queue_max_bytes;
    int presence_grace_ms;
    int presence_lease_seconds;
    int call_ring_seconds;
    int event_retention_days;
    int audit_retention_days;
};

/* Reads the environment and, when `env_file` is not NULL and exists, that file. Every problem is a line on `errors`,
 * warnings too. Returns the number of problems; on 0 `ret_config` is filled, and config_dispose frees it. */
int config_load(const char *env_file, FILE *errors, struct config *ret_config);
void config_dispose(struct config *config);

/* What a command line asks for. */
enum config_command {
    CONFIG_COMMAND_RUN,   /* go on and load the configuration */
    CONFIG_COMMAND_CHECK, /* --check-config: load it, say OK or the problems (already on stderr), and end */
    CONFIG_COMMAND_DONE,  /* --help, --version and the like were answered: end with 0 */
    CONFIG_COMMAND_USAGE  /* not understood, and said so on stderr: end with 64 */
};
enum config_command config_command_line(int argc, char **argv);

/* The command line and the configuration in one: true when the server is to run with `ret_config`; else the program
 * ends with `*ret_exit_status`. The file is .env in the working directory. */
bool config_start(int argc, char **argv, struct config *ret_config, int *ret_exit_status);

/* Loads it again, as it is by now; problems are on stderr, and false is returned. The caller disposes of `ret_config`.
 */
bool config_reload(struct config *ret_config);

/* What --help and .env.example say. */
void config_print_help(FILE *out);
void config_print_env_example(FILE *out);

/* Prints the value that was given to the setting `name`, an empty line when none was. False: there is no such setting.
 */
bool config_print_setting(const char *env_file, const char *name, FILE *out);

/* Exact and short: "production", "development", "test". */
const char *config_env_name(enum stonechat_env env);

#endif
