/* Wiring only: the settings, what all workers share, then each worker with what is its own; the server runs until it is
 * told to stop, and everything goes in the opposite order. */
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "api/health.h"
#include "api/pages.h"
#include "api/routes.h"
#include "auth/seal.h"
#include "cache/cache.h"
#include "realtime/client.h"
#include "realtime/event_log.h"
#include "realtime/event_streams.h"
#include "realtime/plain_sockets.h"
#include "repository/statements.h"
#include "server/privileges.h"
#include "server/server.h"
#include "service/calls.h"
#include "service/limits.h"
#include "service/logins.h"
#include "service/node.h"
#include "service/pruning.h"
#include "util/log.h"
#include "util/version.h"

enum { TOKEN_CACHE_SLOTS = 4096, MOUNT_TABLES_MAX = 6 };

/* One group of messages is executed while the other is committed; more connections make smaller groups. */
enum { APPEND_CONNECTIONS = 2 };

/* Room for a token, and what goes with it. */
enum { STRANGER_MAX_BYTES = 4 * TOKEN_MAX_BYTES };

/* What belongs to one thread. `services` comes first: it is the context of what the thread serves. */
struct worker {
    struct services services;
    struct client_worker clients;
    struct sio_server *sockets;
    struct plain_sockets *plain_sockets;
    struct event_streams *streams;
    struct presence_worker *presence;
};

/* What belongs to the process. */
struct program {
    struct config config;
    struct token_key *token_key;
    struct revocations *revocations;
    struct seal_keys *seal_keys; /* NULL: no two factors */
    struct password_pool *passwords;
    struct presence *presence;
    struct rate_buckets *rates; /* NULL: nothing is limited */
    struct sio_group *socket_group;
    struct db *append; /* on the first worker's loop */
    struct node *node;
    struct call_supervisor *call_supervisor;
    struct pruning *pruning;
    struct login_watch *login_watch;
    const struct http_mount *mounts[MOUNT_TABLES_MAX];
    struct http_site site;
    struct server *server;
    struct worker *workers;
    struct server_worker *server_workers;
    struct hub **hubs;
    struct db **databases; /* the appending one and each worker's; ends with NULL */
    int count;
};

/* --- the paths that are no exchanges --- */

static void handle_socket(struct http_request *request, struct http_worker *http)
{
    sio_server_handle(((struct worker *)http->context)->sockets, request);
}

static void handle_plain_socket(struct http_request *request, struct http_worker *http)
{
    plain_sockets_handle(((struct worker *)http->context)->plain_sockets, http->site, request);
}

static void handle_events(struct http_request *request, struct http_worker *http)
{
    event_streams_handle(((struct worker *)http->context)->streams, request);
}

/* A session without WebSocket asks again and again. */
static enum rate_rule rate_of_socket(const struct http_request *request)
{
    char sid[64];
    return http_request_query_parameter(request, "sid", sid, sizeof sid) ? RATE_POLLS : RATE_REQUESTS;
}

static const struct http_mount SOCKET_MOUNTS[] = {
    {"/socket.io/", handle_socket, rate_of_socket},
    {"/ws", handle_plain_socket, NULL},
    {"/api/events", handle_events, NULL},
    {0},
};

/* What everybody may ask for. */
static void choose_mounts(const struct config *config, const struct http_mount *ret_mounts[MOUNT_TABLES_MAX])
{
    int count = 0;
    ret_mounts[count++] = SOCKET_MOUNTS;
    ret_mounts[count++] = health_mounts;
    ret_mounts[count++] = pages_docs_mounts;
    if (config->metrics_addr.host[0] == '\0') {
        ret_mounts[count++] = metrics_mounts;
    }
    if (config->web_demo) {
        ret_mounts[count++] = pages_demo_mounts;
    }
    ret_mounts[count] = NULL;
}

/* What is at METRICS_ADDR. */
static const struct http_mount *const OPERATOR_MOUNTS[] = {metrics_mounts, health_mounts, NULL};
static const struct operation *const NO_ROUTES[] = {NULL};
static char *NO_ORIGINS[] = {NULL};
static const struct http_site OPERATOR_SITE = {
    .routes = NO_ROUTES, .mounts = OPERATOR_MOUNTS, .allowed_origins = NO_ORIGINS};

/* --- what all share --- */

/* False, logged, when they are no good. */
static bool create_seal_keys(struct program *program)
{
    const char *keys = program->config.totp_keys;
    program->seal_keys = keys != NULL ? seal_keys_create(slice_of(keys)) : NULL;
    if (keys != NULL && program->seal_keys == NULL) {
        log_write(LOG_ERROR, "TOTP_KEYS cannot be used: each number of 1 to 255 may come once");
        return false;
    }
    return true;
}

/* Without memory there are no workers, which is what is taken down then. */
static bool create_lists(struct program *program)
{
    size_t count = (size_t)program->config.workers;
    program->workers = calloc(count, sizeof *program->workers);
    program->server_workers = calloc(count, sizeof *program->server_workers);
    program->hubs = calloc(count, sizeof(struct hub *));
    program->databases = calloc(count + 2, sizeof(struct db *));
    bool good = program->workers != NULL && program->server_workers != NULL && program->hubs != NULL &&
                program->databases != NULL;
    program->count = good ? (int)count : 0;
    return good;
}

static bool create_shared(struct program *program)
{
    const struct config *config = &program->config;
    program->token_key = token_key_create(slice_of(config->jwt_secret));
    program->revocations = revocations_create();
    program->passwords = password_pool_create(&(struct password_options){
        .memory_kib = (uint32_t)config->argon2_memory_kib,
        .iterations = (uint32_t)config->argon2_iterations,
        .parallelism = (uint32_t)config->argon2_parallelism,
        .threads = (unsigned)config->argon2_threads,
        .queue_max = (size_t)config->argon2_queue_max,
    });
    program->rates = config->rate_limit_disabled ? NULL : rate_buckets_create(config->rate_limits);
    program->presence = presence_create((uint32_t)config->presence_grace_ms);
    program->socket_group = sio_group_create(program->count);
    choose_mounts(config, program->mounts);
    program->site = (struct http_site){.routes = API_ROUTES,
                                       .mounts = program->mounts,
                                       .allowed_origins = config->allowed_origins,
                                       .trust_proxy = config->trust_proxy,
                                       .has_proxy_headers = config->proxy_protocol,
                                       .max_body_bytes = (size_t)config->max_body_bytes};
    return program->token_key != NULL && program->revocations != NULL && program->passwords != NULL &&
           (program->rates != NULL || config->rate_limit_disabled) && program->presence != NULL &&
           program->socket_group != NULL && pages_load(config->share_dir, config->web_demo);
}

static void destroy_shared(struct program *program)
{
    pages_unload();
    sio_group_destroy(program->socket_group);
    presence_destroy(program->presence);
    rate_buckets_destroy(program->rates);
    revocations_destroy(program->revocations);
    token_key_destroy(program->token_key);
    seal_keys_destroy(program->seal_keys);
    free(program->databases);
    free(program->hubs);
    free(program->server_workers);
    free(program->workers);
}

/* --- what is each worker's --- */

static const struct db_statement *const *const STATEMENTS[] = {REPOSITORY_STATEMENTS, EVENT_LOG_STATEMENTS, NULL};

static struct db *connect_database(const struct program *program, struct loop *loop, int connections)
{
    const struct config *config = &program->config;
    return db_create(loop, &(struct db_options){.url = config->database_url,
                                                .connections = connections,
                                                .queue_max = config->db_queue_max,
                                                .statements = STATEMENTS,
                                                .in_turn = REPOSITORY_STATEMENTS_IN_TURN,
                                                .schema_version = STONECHAT_SCHEMA_VERSION});
}

static bool is_origin_allowed(const void *site, struct slice origin)
{
    return http_site_allows_origin(site, origin);
}

static void find_peer(void *data, int node, sio_on_peer *on_found, void *found_data)
{
    node_find_peer(data, node, on_found, found_data);
}

static uint32_t max_packets_per_second(const struct config *config)
{
    return config->rate_limit_disabled ? 0 : (uint32_t)config->socket_packets_per_second;
}

static bool create_sockets(struct program *program, int index)
{
    const struct config *config = &program->config;
    struct worker *worker = &program->workers[index];
    worker->clients = (struct client_worker){.events = API_EVENTS,
                                             .hub = worker->services.hub,
                                             .tokens = program->server_workers[index].http.tokens,
                                             .limiter = &program->server_workers[index].http.limiter,
                                             .context = &worker->services};
    worker->sockets =
        sio_server_create(program->socket_group, index, worker->services.loop,
                          &(struct sio_options){.path = "/socket.io/",
                                                .ping_interval_ms = (uint32_t)config->ping_interval_ms,
                                                .ping_timeout_ms = (uint32_t)config->ping_timeout_ms,
                                                .connect_timeout_ms = (uint32_t)config->connect_timeout_ms,
                                                .max_payload_bytes = (uint32_t)config->max_payload_bytes,
                                                .stranger_max_bytes = STRANGER_MAX_BYTES,
                                                .max_packets_per_second = max_packets_per_second(config),
                                                .send_queue_max_bytes = (uint32_t)config->send_queue_max_bytes,
                                                .namespaces = CLIENT_NAMESPACES,
                                                .is_origin_allowed = is_origin_allowed,
                                                .origin_data = &program->site,
                                                .find_peer = find_peer,
                                                .find_peer_data = &worker->services,
                                                .context = &worker->clients});
    worker->streams = event_streams_create(
        &(struct event_streams_options){.loop = worker->services.loop,
                                        .worker = &worker->clients,
                                        .heartbeat_ms = (uint32_t)config->ping_interval_ms,
                                        .send_queue_max_bytes = (size_t)config->send_queue_max_bytes});
    worker->plain_sockets = plain_sockets_create(
        &(struct plain_sockets_options){.loop = worker->services.loop,
                                        .worker = &worker->clients,
                                        .ping_interval_ms = (uint32_t)config->ping_interval_ms,
                                        .ping_timeout_ms = (uint32_t)config->ping_timeout_ms,
                                        .connect_timeout_ms = (uint32_t)config->connect_timeout_ms,
                                        .max_payload_bytes = (size_t)config->max_payload_bytes,
                                        .stranger_max_bytes = STRANGER_MAX_BYTES,
                                        .max_packets_per_second = max_packets_per_second(config),
                                        .send_queue_max_bytes = (size_t)config->send_queue_max_bytes});
    return worker->sockets != NULL && worker->streams != NULL && worker->plain_sockets != NULL;
}

static void destroy_sockets(struct worker *worker)
{
    sio_server_destroy(worker->sockets);
    plain_sockets_destroy(worker->plain_sockets);
    event_streams_destroy(worker->streams);
}

static bool let_go(struct server_worker *server_worker, int max)
{
    struct worker *worker = server_worker->http.context;
    bool is_done = sio_server_let_go(worker->sockets, max);
    is_done = plain_sockets_let_go(worker->plain_sockets, max) && is_done;
    return event_streams_let_go(worker->streams, max) && is_done;
}

static int count_sockets(struct server_worker *server_worker)
{
    const struct worker *worker = server_worker->http.context;
    return sio_server_session_count(worker->sockets) + plain_sockets_count(worker->plain_sockets);
}

static bool leave(struct server_worker *server_worker)
{
    const struct worker *worker = server_worker->http.context;
    return node_leave(worker->services.node);
}

static bool create_worker(struct program *program, int index)
{
    struct worker *worker = &program->workers[index];
    struct services *services = &worker->services;
    struct server_worker *server_worker = &program->server_workers[index];
    *services = (struct services){.loop = loop_create(),
                                  .presence = program->presence,
                                  .passwords = program->passwords,
                                  .rates = program->rates,
                                  .token_key = program->token_key,
                                  .revocations = program->revocations,
                                  .seal_keys = program->seal_keys,
                                  .config = &program->config};
    if (services->loop == NULL) {
        return false;
    }
    services->db = connect_database(program, services->loop, program->config.db_connections);
    services->hub = program->hubs[index] = hub_create(&(struct hub_options){.loop = services->loop,
                                                                            .hubs = program->hubs,
                                                                            .index = index,
                                                                            .count = program->count,
                                                                            .db = services->db,
                                                                            .token_key = program->token_key});
    if (index == 0) {
        program->append = program->databases[0] = connect_database(program, services->loop, APPEND_CONNECTIONS);
    }
    program->databases[index + 1] = services->db;
    services->all_databases = program->databases;
    services->append = program->append;
    services->append_hub = program->hubs[0];
    if (services->hub == NULL || services->db == NULL || services->append == NULL) {
        return false;
    }
    struct redis_options redis;
    services->cache = redis_options_of(&program->config, &redis) ? cache_create(services->loop, &redis) : NULL;
    worker->presence = presence_watch(program->presence, services->loop, services->hub, node_on_presence, services);
    *server_worker = (struct server_worker){
        .loop = services->loop,
        .http = {.site = &program->site,
                 .loop = services->loop,
                 .tokens = token_cache_create(program->token_key, program->revocations, TOKEN_CACHE_SLOTS),
                 .limiter = {program->rates, limits_share, services},
                 .context = services},
        .let_go = let_go,
        .count_open = count_sockets,
        .leave = index == 0 ? leave : NULL};
    return worker->presence != NULL && server_worker->http.tokens != NULL && create_sockets(program, index);
}

static bool create_workers(struct program *program)
{
    for (int i = 0; i < program->count; i++) {
        if (!create_worker(program, i)) {
            return false;
        }
    }
    program->call_supervisor = calls_supervise(&program->workers[0].services);
    program->pruning = pruning_start(&program->workers[0].services);
    program->login_watch = program->workers[0].services.login_watch = login_watch_start(&program->workers[0].services);
    return program->call_supervisor != NULL && program->pruning != NULL && program->login_watch != NULL;
}

static bool start_node(struct program *program)
{
    char url[SERVER_URL_LENGTH];
    server_url(program->server, url);
    const char *advertised = program->config.advertise_url;
    program->node = node_start(&(struct node_options){.services = &program->workers[0].services,
                                                      .address = advertised != NULL ? advertised : url,
                                                      .sockets = program->socket_group});
    for (int i = 0; i < program->count; i++) {
        program->workers[i].services.node = program->node;
    }
    return program->node != NULL;
}

/* What came for a loop when it had ended, as a hash or the outcome of what the first loop's database did, is taken
 * while all is there that it may ask for. It may go on to another loop. */
static void settle(struct program *program)
{
    for (bool has_run = true; has_run;) {
        has_run = false;
        for (int i = 0; i < program->count; i++) {
            struct loop *loop = program->workers[i].services.loop;
            has_run = (loop != NULL && loop_settle(loop)) || has_run;
        }
    }
}

/* The loops have ended: first whoever waits is told, then what they stood on goes. */
static void destroy_workers(struct program *program)
{
    node_stop(program->node);
    for (int i = 0; i < program->count; i++) {
        cache_destroy(program->workers[i].services.cache);
        program->workers[i].services.cache = NULL;
    }
    password_pool_stop(program->passwords);
    settle(program);
    password_pool_destroy(program->passwords);
    for (int i = 0; i < program->count; i++) {
        hub_stop(program->workers[i].services.hub);
    }
    db_destroy(program->append);
    for (int i = 0; i < program->count; i++) {
        db_destroy(program->workers[i].services.db);
    }
    for (int i = 0; i < program->count; i++) {
        destroy_sockets(&program->workers[i]);
    }
    settle(program);
    server_destroy(program->server);
    calls_supervisor_destroy(program->call_supervisor);
    pruning_destroy(program->pruning);
    for (int i = 0; i < program->count; i++) {
        loop_destroy(program->workers[i].services.loop);
    }
    node_destroy(program->node);
    login_watch_destroy(program->login_watch);
    for (int i = 0; i < program->count; i++) {
        presence_unwatch(program->workers[i].presence);
        hub_destroy(program->workers[i].services.hub);
        token_cache_destroy(program->server_workers[i].http.tokens);
    }
}

/* --- the process --- */

/* Threads inherit the mask: signals go to main, which waits for them. */
static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

/* Every socket is a descriptor: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* A body may be a request's or a polling client's messages. */
static size_t max_body_bytes(const struct config *config)
{
    int64_t max = config->max_body_bytes;
    return (size_t)(config->max_payload_bytes > max ? config->max_payload_bytes : max);
}

/* Some descriptors are left for files, databases and other nodes. More connections than there are descriptors for are
 * turned away like any others that are too many, rather than failing in the middle of something. */
static int max_connections(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX) {
        return config->max_connections;
    }
    int possible = (int)(limit.rlim_cur / 10 * 9);
    if (config->max_connections <= 0 || config->max_connections <= possible) {
        return config->max_connections > 0 ? config->max_connections : possible;
    }
    log_write(LOG_WARN,
              "there are too few descriptors for MAX_CONNECTIONS: lower it, or raise them (ulimit -n, LimitNOFILE=)",
              LOG_INT("maxConnections", config->max_connections), LOG_INT("possible", possible),
              LOG_INT("descriptors", (int64_t)limit.rlim_cur),
              LOG_INT("descriptorsNeeded", ((int64_t)config->max_connections + 8) / 9 * 10));
    return possible;
}

/* glibc gives freed memory back to the system at every opportunity, and takes it again with the next group of rows: a
 * tenth of a busy server's time. It may keep some. */
static void keep_freed_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_TOP_PAD, 256 << 10);
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
}

/* Of what may change, the log's settings can change while it runs. */
static void on_reload(void *data)
{
    (void)data;
    struct config fresh;
    if (config_reload(&fresh)) {
        log_configure(fresh.log_level, fresh.log_format);
        log_write(fresh.log_level > LOG_INFO ? fresh.log_level : LOG_INFO, /* so that it shows */
                  "LOG_LEVEL and LOG_FORMAT were read again");
        config_dispose(&fresh);
    } else {
        log_write(LOG_ERROR, "the settings stay as they were: see stonechat --check-config, and send SIGHUP again");
    }
}

static bool run(struct program *program)
{
    const struct config *config = &program->config;
    if (db_check_schema(config->database_url, STONECHAT_SCHEMA_VERSION) == STATUS_CONFLICT) {
        return false; /* a database that is away may still come: until then requests get 503 */
    }
    if (!create_seal_keys(program)) {
        return false;
    }
    if (!create_lists(program) || !create_shared(program) || !create_workers(program)) {
        log_write(LOG_ERROR, "cannot start: out of memory or threads");
        return false;
    }
    bool has_operators = config->metrics_addr.host[0] != '\0';
    program->server =
        server_create(&(struct server_options){.host = config->host,
                                               .port = config->port,
                                               .operator_host = has_operators ? config->metrics_addr.host : NULL,
                                               .operator_port = config->metrics_addr.port,
                                               .operator_site = &OPERATOR_SITE,
                                               .tls_cert = config->tls_cert,
                                               .tls_key = config->tls_key,
                                               .max_body_bytes = max_body_bytes(config),
                                               .max_held_bytes = (size_t)config->max_held_bytes,
                                               .request_timeout_s = config->request_timeout_seconds,
                                               .trust_proxy = config->trust_proxy,
                                               .has_proxy_headers = config->proxy_protocol,
                                               .max_connections = max_connections(config),
                                               .max_connections_per_ip = config->max_connections_per_ip,
                                               .drain_delay_s = config->drain_delay_seconds,
                                               .drain_s = config->drain_seconds,
                                               .on_reload = on_reload},
                      program->server_workers, program->count);
    if (program->server == NULL || !start_node(program) || !server_drop_privileges(config->run_as)) {
        return false;
    }
    log_write(LOG_INFO, "listening", LOG_STR("version", STONECHAT_VERSION), LOG_STR("host", config->host),
              LOG_INT("port", server_port(program->server)), LOG_INT("workers", program->count),
              LOG_STR("environment", config_env_name(config->stonechat_env)));
    bool is_clean = server_run(program->server);
    log_write(is_clean ? LOG_INFO : LOG_WARN, is_clean ? "stopped" : "stopped; some connections were cut");
    return true;
}

int main(int argc, char **argv)
{
    struct program program = {0};
    int exit_status;
    log_open();
    if (!config_start(argc, argv, &program.config, &exit_status)) {
        return exit_status;
    }
    log_configure(program.config.log_level, program.config.log_format);
    block_signals();
    raise_descriptor_limit();
    keep_freed_memory();
    bool good = run(&program);
    destroy_workers(&program);
    destroy_shared(&program);
    config_dispose(&program.config);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
