#include "util/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/config_table.h"
#include "util/env_file.h"
#include "util/redis_address.h"

/* Every setting is a row; a reader a type turns text into a field. What a row cannot say (rules about one secret, rules
 * between settings) is checked by hand at the end. Nothing stops at the first problem: all of them are told at once. */

static const char *const environments[] = {"production", "development", "test", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_formats[] = {"json", "text", NULL};

#define FIELD(name) .offset = offsetof(struct config, name)
#define YEAR_S (366 * 86400)

enum { SECRET_MAX_BYTES = 65536, SETTING_NAME_MAX_LENGTH = 64 };

const struct setting config_settings[] = {
    {"HOST", SETTING_TEXT, "0.0.0.0", "Address to listen on", FIELD(host), .title = "The server"},
    {"PORT", SETTING_INT, "5000", "Port to listen on", 0, 65535, FIELD(port)},
    {"ADVERTISE_URL", SETTING_TEXT, NULL,
     "Where the other nodes on the database reach this one; HOST, or the machine's address, and PORT when not set",
     FIELD(advertise_url)},
    {"METRICS_ADDR", SETTING_ADDRESS, NULL,
     "Where /metrics is served, without TLS, instead of on PORT: 127.0.0.1:9100 or [::1]:9100", FIELD(metrics_addr)},
    {"WORKERS", SETTING_INT, "0", "Worker threads; 0 is one a core", 0, 256, FIELD(workers)},
    {"STONECHAT_ENV", SETTING_CHOICE, "production", "What the server is used for", FIELD(stonechat_env),
     .choices = environments},
    {"ALLOWED_ORIGINS", SETTING_ORIGINS, "http://localhost:3000,http://localhost:5173",
     "Origins of the web pages that may use the API, separated by commas", FIELD(allowed_origins)},
    {"TRUST_PROXY", SETTING_NETWORKS, NULL,
     "Addresses and networks of the proxies whose X-Forwarded-For counts: 10.0.0.0/8,::1", FIELD(trust_proxy)},
    {"PROXY_PROTOCOL", SETTING_FLAG, "0",
     "1: what comes from TRUST_PROXY begins with a header of the PROXY protocol, version 1 or 2",
     FIELD(proxy_protocol)},
    {"WEB_DEMO", SETTING_FLAG, "0", "1 serves a page at / with which to try everything", FIELD(web_demo),
     .relaxed_value = "1"},
    {"TLS_CERT", SETTING_FILE, NULL, "Certificate chain (PEM); with TLS_KEY, serves HTTPS", FIELD(tls_cert)},
    {"TLS_KEY", SETTING_FILE, NULL, "Private key (PEM) of TLS_CERT", FIELD(tls_key)},
    {"RUN_AS", SETTING_TEXT, "nobody", "Who the server goes on as once its ports are open, when root has started it",
     FIELD(run_as)},
    {"SHARE_DIR", SETTING_TEXT, NULL, "Where swagger/ and web/ lie; found beside the program when not set",
     FIELD(share_dir)},

    {"LOG_LEVEL", SETTING_CHOICE, "info", "The least that is logged", FIELD(log_level), .choices = log_levels,
     .title = "Logging"},
    {"LOG_FORMAT", SETTING_CHOICE, "json", "How a line of the log looks", FIELD(log_format), .choices = log_formats},

    {"DATABASE_URL", SETTING_TEXT, NULL, "postgresql:// address, or a libpq connection string", FIELD(database_url),
     .is_secret = true, .is_required = true, .title = "PostgreSQL"},
    {"DB_CONNECTIONS", SETTING_INT, "2", "Connections of each worker", 1, 32, FIELD(db_connections)},
    {"DB_QUEUE_MAX", SETTING_INT, "4096", "Statements of each worker that may wait; more are answered with 503", 1,
     1000000, FIELD(db_queue_max)},

    {"REDIS_URL", SETTING_TEXT, NULL, "redis://[[user]:password@]host[:port][/database], rediss:// for TLS",
     FIELD(redis_url), .is_secret = true, .title = "Redis (not needed)"},
    {"REDIS_HOST", SETTING_TEXT, NULL, "Instead of REDIS_URL: the host alone", FIELD(redis_host)},
    {"REDIS_PORT", SETTING_INT, "6379", "Port of REDIS_HOST", 1, 65535, FIELD(redis_port)},
    {"REDIS_USERNAME", SETTING_TEXT, NULL, "User, where the URL names none", FIELD(redis_username)},
    {"REDIS_PASSWORD", SETTING_TEXT, NULL, "Password, where the URL has none", FIELD(redis_password),
     .is_secret = true},
    {"REDIS_TLS_CA", SETTING_FILE, NULL, "Certificates (PEM) to trust instead of the system's", FIELD(redis_tls_ca)},

    {"JWT_SECRET", SETTING_TEXT, NULL, "Signs the tokens: 32 bytes or more (openssl rand -hex 32)", FIELD(jwt_secret),
     .is_secret = true, .is_required = true, .title = "Users and logins"},
    {"JWT_EXPIRES_IN", SETTING_DURATION, "7d", "How long a token is good: 90s, 15m, 12h, 7d, 2w", 1, 10 * YEAR_S,
     FIELD(jwt_expires_in_s)},
    {"REFRESH_EXPIRES_IN", SETTING_DURATION, "30d",
     "How long a login lives without being refreshed; never less than JWT_EXPIRES_IN", 1, 10 * YEAR_S,
     FIELD(refresh_expires_in_s)},
    {"TOTP_KEYS", SETTING_TEXT, NULL,
     "Keys that seal the secrets of two factors, the newest first: 2:BASE64,1:BASE64 (openssl rand -base64 32)",
     FIELD(totp_keys), .is_secret = true},
    {"TOTP_ISSUER", SETTING_TEXT, "Stonechat", "How authenticator apps call this server", FIELD(totp_issuer)},
    {"PASSWORD_MIN_LENGTH", SETTING_INT, "8", "Characters of a new password", 1, 1024, FIELD(password_min_length)},
    {"MAX_FAILED_ATTEMPTS", SETTING_INT, "5", "Failed logins before a name is locked", 1, 1000,
     FIELD(max_failed_attempts)},
    {"LOCKOUT_MINUTES", SETTING_INT, "15", "How long a name stays locked", 1, 10080, FIELD(lockout_minutes)},
    {"ARGON2_MEMORY_KIB", SETTING_INT, "19456", "Memory of one password hash", 8, 4194304, FIELD(argon2_memory_kib)},
    {"ARGON2_ITERATIONS", SETTING_INT, "2", "Passes of one password hash", 1, 1000, FIELD(argon2_iterations)},
    {"ARGON2_PARALLELISM", SETTING_INT, "1", "Lanes of one password hash", 1, 64, FIELD(argon2_parallelism)},
    {"ARGON2_THREADS", SETTING_INT, "0", "Threads that hash passwords; 0 is half the cores", 0, 256,
     FIELD(argon2_threads)},
    {"ARGON2_QUEUE_MAX", SETTING_INT, "64", "Logins that may wait for a thread; more are answered with 503", 1, 100000,
     FIELD(argon2_queue_max)},

    {"RATE_LIMIT_DISABLED", SETTING_FLAG, "0", "1 turns rate limits off (not in production)",
     FIELD(rate_limit_disabled), .title = "Limits"},
    {"RATE_LIMITS", SETTING_RATES, NULL, "Rate limits other than the defaults: messages=60/10s,logins=20/15m,reads=off",
     FIELD(rate_limits)},
    {"MAX_BODY_BYTES", SETTING_INT64, "262144", "Largest body of a request", 1024, 67108864, FIELD(max_body_bytes)},
    {"MAX_HELD_BYTES", SETTING_INT64, "67108864",
     "Memory for requests on their way in and replies on their way out; past it, the connections that hold most are "
     "cut",
     16777216, 17179869184, FIELD(max_held_bytes)},
    {"MAX_CONNECTIONS", SETTING_INT, "0", "Connections, WebSockets included; 0 is nine tenths of the descriptors", 0,
     10000000, FIELD(max_connections)},
    {"MAX_CONNECTIONS_PER_IP", SETTING_INT, "1000",
     "Connections of one address (IPv6: /64) that is not in TRUST_PROXY; 0 is no limit", 0, 10000000,
     FIELD(max_connections_per_ip)},
    {"REQUEST_TIMEOUT_SECONDS", SETTING_INT, "30", "Longest that a request may take to arrive, and a reply to leave", 1,
     3600, FIELD(request_timeout_seconds)},
    {"DRAIN_DELAY_SECONDS", SETTING_INT, "0",
     "How long all goes on after SIGTERM, while /health/ready says that it is draining, so that proxies send no more",
     0, 3600, FIELD(drain_delay_seconds)},
    {"DRAIN_SECONDS", SETTING_INT, "20", "Longest that a stop waits for requests and sockets", 0, 3600,
     FIELD(drain_seconds)},

    {"PING_INTERVAL_MS", SETTING_INT, "25000", "Engine.IO: time between pings", 100, 3600000, FIELD(ping_interval_ms),
     .title = "Sockets and delivery"},
    {"PING_TIMEOUT_MS", SETTING_INT, "20000", "Engine.IO: time for the answer to a ping", 100, 3600000,
     FIELD(ping_timeout_ms)},
    {"CONNECT_TIMEOUT_MS", SETTING_INT, "45000", "Socket.IO: time to join a namespace", 100, 3600000,
     FIELD(connect_timeout_ms)},
    {"MAX_PAYLOAD_BYTES", SETTING_INT64, "1000000", "Engine.IO: largest message from a client", 1024, 67108864,
     FIELD(max_payload_bytes)},
    {"SOCKET_PACKETS_PER_SECOND", SETTING_INT, "200",
     "Frames and packets that one socket may send, twice as many at once; more end it", 10, 1000000,
     FIELD(socket_packets_per_second)},
    {"SEND_QUEUE_MAX_BYTES", SETTING_INT64, "1048576", "A socket whose queue grows past this is disconnected", 16384,
     1073741824, FIELD(send_queue_max_bytes)},
    {"PRESENCE_GRACE_MS", SETTING_INT, "5000", "How long a user without a socket still counts as online", 0, 3600000,
     FIELD(presence_grace_ms)},
    {"PRESENCE_LEASE_SECONDS", SETTING_INT, "15", "How long the users of a node that has died still count as online", 1,
     3600, FIELD(presence_lease_seconds)},
    {"CALL_RING_SECONDS", SETTING_INT, "45", "How long a call rings before it is missed", 1, 3600,
     FIELD(call_ring_seconds)},
    {"EVENT_RETENTION_DAYS", SETTING_INT, "30", "How long events are kept for those who were away", 1, 3650,
     FIELD(event_retention_days)},
    {"AUDIT_RETENTION_DAYS", SETTING_INT, "365", "How long the audit log keeps what was done with accounts", 30, 3650,
     FIELD(audit_retention_days)},
    {0},
};

/* One load: where values come from, where problems go. */
struct loading {
    const struct env_file *file;
    FILE *errors;
    int problems;
};

__attribute__((format(printf, 2, 3))) static void add_problem(struct loading *loading, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(loading->errors, format, arguments);
    va_end(arguments);
    fputc('\n', loading->errors);
    loading->problems++;
}

static char *copy(struct loading *loading, const char *text, size_t length)
{
    char *ret = strndup(text, length);
    if (ret == NULL) {
        add_problem(loading, "out of memory");
    }
    return ret;
}

/* --- a reader a type: the text is not empty; the field is written only when it is good --- */

static void read_text(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    if (setting->type == SETTING_FILE && access(text, R_OK) != 0) {
        add_problem(loading, "%s: %s cannot be read: %s", setting->name, text, strerror(errno));
    }
    *(char **)field = copy(loading, text, strlen(text));
}

static bool parse_integer(const char *text, const char **ret_end, int64_t *ret_value)
{
    char *end;
    if (!isdigit((unsigned char)*text) && *text != '-') {
        return false;
    }
    errno = 0;
    intmax_t value = strtoimax(text, &end, 10);
    if (errno != 0 || end == text) {
        return false;
    }
    *ret_end = end;
    *ret_value = value;
    return true;
}

static void read_integer(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    const char *end;
    int64_t value;
    if (!parse_integer(text, &end, &value) || *end != '\0' || value < setting->min || value > setting->max) {
        add_problem(loading, "%s must be a whole number from %" PRId64 " to %" PRId64 ", not \"%s\"", setting->name,
                    setting->min, setting->max, text);
    } else if (setting->type == SETTING_INT64) {
        *(int64_t *)field = value;
    } else {
        *(int *)field = (int)value;
    }
}

static void read_duration(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    static const struct {
        const char *suffix;
        int64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    const char *end;
    int64_t value;

    if (parse_integer(text, &end, &value)) {
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            if (strcmp(end, units[i].suffix) == 0 && value >= 0 && value <= setting->max / units[i].seconds &&
                value * units[i].seconds >= setting->min) {
                *(int64_t *)field = value * units[i].seconds;
                return;
            }
        }
    }
    add_problem(loading, "%s must be a duration such as 90s, 15m, 12h, 7d or 2w, at most ten years, not \"%s\"",
                setting->name, text);
}

static void read_flag(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *(bool *)field = i % 2 == 1;
            return;
        }
    }
    add_problem(loading, "%s must be 1 or 0, not \"%s\"", setting->name, text);
}

static void read_choice(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    for (int i = 0; setting->choices[i] != NULL; i++) {
        if (strcmp(text, setting->choices[i]) == 0) {
            *(int *)field = i;
            return;
        }
    }
    fprintf(loading->errors, "%s must be one of", setting->name);
    for (int i = 0; setting->choices[i] != NULL; i++) {
        fprintf(loading->errors, "%s %s", i > 0 ? "," : "", setting->choices[i]);
    }
    add_problem(loading, "; not \"%s\"", text);
}

/* scheme://host[:port], nothing behind it; as browsers send it, so in lower case. */
static bool is_origin(const char *text)
{
    const char *host = strstr(text, "://");
    if (host == NULL || host == text || !islower((unsigned char)*text)) {
        return false;
    }
    for (const char *c = text; c < host; c++) {
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && strchr("+-.", *c) == NULL) {
            return false;
        }
    }
    host += 3;
    size_t length = strspn(host, *host == '[' ? "[]:0123456789abcdef" : "abcdefghijklmnopqrstuvwxyz0123456789-._");
    const char *port = host + length;
    if (length == 0) {
        return false;
    }
    if (*port == ':') {
        size_t digits = strspn(++port, "0123456789");
        return digits >= 1 && digits <= 5 && port[digits] == '\0';
    }
    return *port == '\0' && (*host != '[' || port[-1] == ']' || strstr(host, "]:") != NULL);
}

static void read_origins(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    size_t count = 1, used = 0;
    for (const char *c = text; *c != '\0'; c++) {
        count += strchr(", \t", *c) != NULL;
    }
    char **origins = calloc(count + 1, sizeof *origins);
    if (origins == NULL) {
        add_problem(loading, "out of memory");
        return;
    }
    while (*text != '\0') {
        text += strspn(text, ", \t");
        size_t length = strcspn(text, ", \t");
        if (length == 0) {
            break;
        }
        origins[used] = copy(loading, text, length);
        if (origins[used] != NULL && !is_origin(origins[used])) {
            add_problem(loading, "%s: \"%s\" is not an origin such as https://chat.example.org (no path, no final /)",
                        setting->name, origins[used]);
        }
        used += origins[used] != NULL;
        text += length;
    }
    *(char ***)field = origins;
}

static void read_networks(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    size_t count = 1;
    for (const char *c = text; *c != '\0'; c++) {
        count += strchr(", \t", *c) != NULL;
    }
    struct ip_networks networks = {.rows = calloc(count, sizeof *networks.rows)};
    if (networks.rows == NULL) {
        add_problem(loading, "out of memory");
        return;
    }
    for (text += strspn(text, ", \t"); *text != '\0'; text += strspn(text, ", \t")) {
        struct slice member = {text, strcspn(text, ", \t")};
        if (ip_network_parse(member, &networks.rows[networks.count])) {
            networks.count++;
        } else {
            add_problem(loading, "%s: \"%.*s\" is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32",
                        setting->name, (int)member.length, member.data);
        }
        text += member.length;
    }
    *(struct ip_networks *)field = networks;
}

static void read_address(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    const char *colon = strrchr(text, ':'), *end = NULL;
    struct slice host = {text, colon != NULL ? (size_t)(colon - text) : 0};
    bool has_brackets = host.length > 2 && text[0] == '[' && colon[-1] == ']';
    struct ip_address address;
    int64_t port = 0;
    if (has_brackets) {
        host = (struct slice){text + 1, host.length - 2};
    }
    if (colon == NULL || !ip_address_parse(host, &address) || (has_brackets == ip_address_is_v4(&address)) ||
        !parse_integer(colon + 1, &end, &port) || *end != '\0' || port < 1 || port > 65535) {
        add_problem(loading, "%s must be an address and a port such as 127.0.0.1:9100 or [::1]:9100, not \"%s\"",
                    setting->name, text);
        return;
    }
    struct listen_address *listen = field;
    ip_address_format(&address, listen->host);
    listen->port = (int)port;
}

static void read_rates(struct loading *loading, const struct setting *setting, const char *text, void *field)
{
    for (text += strspn(text, ", \t"); *text != '\0'; text += strspn(text, ", \t")) {
        struct slice member = {text, strcspn(text, ", \t")};
        if (!rate_limits_parse(member, field)) {
            add_problem(loading,
                        "%s: \"%.*s\" is not a rule such as messages=60/10s or reads=off; the names are in "
                        "docs/settings.md",
                        setting->name, (int)member.length, member.data);
        }
        text += member.length;
    }
}

static void (*const readers[])(struct loading *, const struct setting *, const char *, void *) = {
    [SETTING_TEXT] = read_text,         [SETTING_FILE] = read_text,       [SETTING_INT] = read_integer,
    [SETTING_INT64] = read_integer,     [SETTING_FLAG] = read_flag,       [SETTING_CHOICE] = read_choice,
    [SETTING_DURATION] = read_duration, [SETTING_ORIGINS] = read_origins, [SETTING_NETWORKS] = read_networks,
    [SETTING_ADDRESS] = read_address,   [SETTING_RATES] = read_rates,
};

/* --- rules that a row cannot say --- */

static bool contains_any(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcasestr(text, *words) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_placeholder(const char *secret)
{
    static const char *const words[] = {"changeme",    "change-me",  "change_me", "change this", "change-this",
                                        "change_this", "your-",      "your_",     "yoursecret",  "placeholder",
                                        "example",     "replace",    "secret",    "password",    "123456789",
                                        "abcdefgh",    "qwertyuiop", NULL};
    bool seen[256] = {false};
    int distinct = 0;
    for (const char *c = secret; *c != '\0'; c++) {
        distinct += !seen[(unsigned char)*c];
        seen[(unsigned char)*c] = true;
    }
    return distinct < 8 || contains_any(secret, words);
}

static void check_secret(struct loading *loading, const char *secret)
{
    if (strlen(secret) < 32) {
        add_problem(loading, "JWT_SECRET has %zu bytes and needs 32 or more. Make one with: openssl rand -hex 32",
                    strlen(secret));
    } else if (is_placeholder(secret)) {
        add_problem(loading, "JWT_SECRET looks like a placeholder. Make a random one with: openssl rand -hex 32");
    }
}

static bool is_advertise_url(const char *url)
{
    return strlen(url) <= CONFIG_URL_MAX_LENGTH && is_origin(url) &&
           (strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0);
}

static void check_redis(struct loading *loading, const struct config *config)
{
    struct redis_address address = {0};
    if (config->redis_url != NULL && config->redis_host != NULL) {
        add_problem(loading, "REDIS_URL and REDIS_HOST are both set: which one is it?");
    } else if (config->redis_url != NULL && !redis_address_parse(config->redis_url, &address)) {
        add_problem(loading, "REDIS_URL must look like redis://user:password@host:6379/0, or rediss:// for TLS");
    } else if (config->redis_host != NULL && strlen(config->redis_host) >= sizeof address.host) {
        add_problem(loading, "REDIS_HOST is too long");
    }
    bool has_user = config->redis_username != NULL || address.username[0] != '\0';
    if (has_user && config->redis_password == NULL && address.password[0] == '\0') {
        add_problem(loading, "Redis' user needs a password too: in REDIS_URL, or as REDIS_PASSWORD");
    } else if (config->redis_password != NULL && config->redis_url == NULL && config->redis_host == NULL) {
        add_problem(loading, "REDIS_PASSWORD is set, and needs REDIS_URL or REDIS_HOST too");
    }
    if ((config->redis_username != NULL && strlen(config->redis_username) >= sizeof address.username) ||
        (config->redis_password != NULL && strlen(config->redis_password) >= sizeof address.password)) {
        add_problem(loading, "REDIS_USERNAME or REDIS_PASSWORD is too long");
    }
}

/* A number and 32 bytes in base64; auth/seal.h has the last word. */
static bool is_key(struct slice text)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char member[64] = "";
    if (text.length >= sizeof member) {
        return false;
    }
    memcpy(member, text.data, text.length);
    size_t digits = strspn(member, "0123456789");
    const char *bytes = member + digits + 1;
    return digits >= 1 && digits <= 3 && member[digits] == ':' && strspn(bytes, base64) == 43 &&
           strcmp(bytes + 43, "=") == 0;
}

static void check_totp_keys(struct loading *loading, const char *keys)
{
    for (const char *at = keys; at != NULL;) {
        const char *comma = strchr(at, ',');
        if (!is_key((struct slice){at, comma != NULL ? (size_t)(comma - at) : strlen(at)})) {
            add_problem(loading,
                        "TOTP_KEYS must be numbers and keys such as 1:BASE64, separated by commas; make a key with: "
                        "openssl rand -base64 32");
            return;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
}

static void check_rules(struct loading *loading, const struct config *config)
{
    if (config->advertise_url != NULL && !is_advertise_url(config->advertise_url)) {
        add_problem(loading, "ADVERTISE_URL must be like http://10.0.0.7:5000 (no path, no final /), not \"%s\"",
                    config->advertise_url);
    }
    if (config->jwt_secret != NULL) {
        check_secret(loading, config->jwt_secret);
    }
    if (config->database_url != NULL && strncmp(config->database_url, "postgres://", 11) != 0 &&
        strncmp(config->database_url, "postgresql://", 13) != 0 && strchr(config->database_url, '=') == NULL) {
        add_problem(loading,
                    "DATABASE_URL must begin with postgresql://, or be a libpq string such as \"host=… dbname=…\"");
    }
    check_redis(loading, config);
    check_totp_keys(loading, config->totp_keys);
    if ((config->tls_cert == NULL) != (config->tls_key == NULL)) {
        add_problem(loading, "%s is set, and needs %s too", config->tls_cert != NULL ? "TLS_CERT" : "TLS_KEY",
                    config->tls_cert != NULL ? "TLS_KEY" : "TLS_CERT");
    }
    if (config->proxy_protocol && config->trust_proxy.count == 0) {
        add_problem(loading, "PROXY_PROTOCOL is set, and needs TRUST_PROXY too");
    }
    if (config->rate_limit_disabled && config->stonechat_env == ENV_PRODUCTION) {
        add_problem(loading, "RATE_LIMIT_DISABLED is refused while STONECHAT_ENV is production");
    }
    if (config->argon2_memory_kib < 8 * config->argon2_parallelism) {
        add_problem(loading, "ARGON2_MEMORY_KIB must be 8 or more for each of ARGON2_PARALLELISM");
    }
}

/* --- what is found out, not set --- */

static int cores(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 256 ? 256 : (int)count;
}

/* Installed beside the program (bin/ and share/stonechat/), or in the tree that it was built in, or here. NULL:
 * nowhere. */
static char *find_share_dir(void)
{
    static const char *const places[] = {"/../share/stonechat", "/../..", "/.."};
    char program[PATH_MAX], path[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');

    for (size_t i = 0; slash != NULL && i < sizeof places / sizeof *places; i++) {
        *slash = '\0';
        snprintf(path, sizeof path, "%s%s/swagger/openapi.yaml", program, places[i]);
        if (access(path, R_OK) == 0) {
            snprintf(path, sizeof path, "%s%s", program, places[i]);
            return realpath(path, NULL);
        }
    }
    return access("swagger/openapi.yaml", R_OK) == 0 ? realpath(".", NULL) : NULL;
}

static void find_rest(struct config *config)
{
    if (config->workers == 0) {
        config->workers = cores();
    }
    if (config->refresh_expires_in_s < config->jwt_expires_in_s) {
        config->refresh_expires_in_s = config->jwt_expires_in_s;
    }
    if (config->argon2_threads == 0) {
        config->argon2_threads = cores() > 1 ? cores() / 2 : 1;
    }
    if (config->share_dir == NULL) {
        config->share_dir = find_share_dir();
    }
}

/* --- loading --- */

static const struct setting *find_setting(const char *name)
{
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        if (strcmp(setting->name, name) == 0) {
            return setting;
        }
    }
    return NULL;
}

/* A setting, or the file that a secret lies in. */
static bool is_known(const char *name)
{
    static const char SUFFIX[] = "_FILE";
    char base[SETTING_NAME_MAX_LENGTH + 1];
    size_t length = strlen(name), suffix = sizeof SUFFIX - 1;
    if (find_setting(name) != NULL || length <= suffix || length - suffix >= sizeof base ||
        strcmp(name + length - suffix, SUFFIX) != 0) {
        return find_setting(name) != NULL;
    }
    snprintf(base, sizeof base, "%.*s", (int)(length - suffix), name);
    const struct setting *setting = find_setting(base);
    return setting != NULL && setting->is_secret;
}

static void load_env_file(struct loading *loading, const char *path, struct env_file *ret_file)
{
    *ret_file = (struct env_file){0};
    FILE *in = path != NULL ? fopen(path, "re") : NULL;
    if (in == NULL) {
        if (path != NULL && errno != ENOENT) {
            add_problem(loading, "%s cannot be read: %s", path, strerror(errno));
        }
        return;
    }
    loading->problems += env_file_read(in, path, loading->errors, ret_file);
    fclose(in);
    for (size_t i = 0; i < ret_file->count; i++) {
        if (!is_known(ret_file->entries[i].name)) {
            fprintf(loading->errors, "warning: %s line %d: %s is not a setting of stonechat\n", path,
                    ret_file->entries[i].line, ret_file->entries[i].name);
        }
    }
}

/* What is empty counts as not set. `file` NULL: the environment. */
static const char *look_up(const struct env_file *file, const char *name)
{
    const char *value = file != NULL ? env_file_get(file, name) : getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* The secret that lies in the file `path`, without the line's end; the caller frees it. NULL when there is a problem.
 */
static char *read_secret(struct loading *loading, const char *name, const char *path)
{
    char *text = calloc(1, SECRET_MAX_BYTES + 2);
    FILE *in = text != NULL ? fopen(path, "re") : NULL;
    size_t length = in != NULL ? fread(text, 1, SECRET_MAX_BYTES + 1, in) : 0;
    bool is_read = in != NULL && ferror(in) == 0;
    int error = errno;
    if (in != NULL) {
        fclose(in);
    }
    bool is_long = length > SECRET_MAX_BYTES;
    if (length > 0 && text[length - 1] == '\n') {
        length -= length > 1 && text[length - 2] == '\r' ? 2 : 1;
        text[length] = '\0';
    }
    if (text != NULL && is_read && length > 0 && !is_long && strlen(text) == length) {
        return text;
    }
    if (!is_read) {
        add_problem(loading, "%s: %s cannot be read: %s", name, path, strerror(error));
    } else {
        add_problem(loading, "%s: %s %s; put the secret alone into it", name, path,
                    is_long       ? "has more than 65536 bytes"
                    : length == 0 ? "is empty"
                                  : "holds a NUL byte");
    }
    free(text);
    return NULL;
}

/* What the environment, which wins, or else the file .env gives the setting: a copy, which the caller frees. False when
 * neither names it, or when there is a problem. */
static bool find_given(struct loading *loading, const struct setting *setting, char **ret_value)
{
    char file_name[SETTING_NAME_MAX_LENGTH + sizeof "_FILE"];
    snprintf(file_name, sizeof file_name, "%s_FILE", setting->name);
    for (int i = 0; i < 2; i++) {
        const struct env_file *source = i == 0 ? NULL : loading->file;
        const char *value = look_up(source, setting->name);
        const char *path = setting->is_secret ? look_up(source, file_name) : NULL;
        if (value != NULL && path != NULL) {
            add_problem(loading, "%s and %s are both set: take one of them away", setting->name, file_name);
        }
        if (value != NULL || path != NULL) {
            *ret_value = value != NULL ? copy(loading, value, strlen(value)) : read_secret(loading, file_name, path);
            return *ret_value != NULL;
        }
    }
    return false;
}

static void load_setting(struct loading *loading, const struct setting *setting, struct config *config)
{
    void *field = (char *)config + setting->offset;
    bool is_relaxed = setting->relaxed_value != NULL && config->stonechat_env != ENV_PRODUCTION;
    const char *normal = is_relaxed ? setting->relaxed_value : setting->value;
    int problems_before = loading->problems;
    char *given = NULL;
    if (find_given(loading, setting, &given)) {
        readers[setting->type](loading, setting, given, field);
        explicit_bzero(given, strlen(given));
        free(given);
    } else if (normal != NULL) {
        readers[setting->type](loading, setting, normal, field);
    } else if (setting->is_required && loading->problems == problems_before) {
        add_problem(loading, "%s is not set: %s", setting->name, setting->help);
    }
}

int config_load(const char *env_file, FILE *errors, struct config *ret_config)
{
    struct env_file file;
    struct loading loading = {.file = &file, .errors = errors};
    struct config config = {0};

    rate_limits_default(config.rate_limits);
    load_env_file(&loading, env_file, &file);
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        load_setting(&loading, setting, &config);
    }
    check_rules(&loading, &config);
    env_file_dispose(&file);
    if (loading.problems > 0) {
        config_dispose(&config);
        return loading.problems;
    }
    find_rest(&config);
    *ret_config = config;
    return 0;
}

void config_dispose(struct config *config)
{
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        void *field = (char *)config + setting->offset;
        if (setting->type == SETTING_TEXT || setting->type == SETTING_FILE) {
            free(*(char **)field);
        } else if (setting->type == SETTING_ORIGINS) {
            char **origins = *(char ***)field;
            for (size_t i = 0; origins != NULL && origins[i] != NULL; i++) {
                free(origins[i]);
            }
            free(origins);
        } else if (setting->type == SETTING_NETWORKS) {
            free(((struct ip_networks *)field)->rows);
        }
    }
    *config = (struct config){0};
}

bool config_print_setting(const char *env_file, const char *name, FILE *out)
{
    struct env_file file;
    struct loading loading = {.file = &file, .errors = stderr};
    const struct setting *setting = find_setting(name);
    if (setting == NULL) {
        return false;
    }
    load_env_file(&loading, env_file, &file);
    char *value = NULL;
    bool is_given = find_given(&loading, setting, &value);
    fprintf(out, "%s\n", is_given ? value : "");
    free(value);
    env_file_dispose(&file);
    return true;
}

const char *config_env_name(enum stonechat_env env)
{
    assert(env <= ENV_TEST);
    return environments[env];
}
