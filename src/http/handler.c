/* What happens to each request: headers, CORS, the table of routes, then the exchange. */
#include "handler.h"

#include "connection.h"
#include "fallback.h"
#include "headers.h"
#include "http_exchange.h"

enum { COMPRESS_MIN_BYTES = 1024, PREFLIGHT_MAX_AGE_S = 7200 };
enum { URI_MAX_BYTES = 8192, HEADERS_MAX_BYTES = 32768, HEADERS_MAX = 100, HEADER_OVERHEAD_BYTES = 32 };

struct handler {
    h2o_handler_t super;
};

/* What Helmet sends by default: https://helmetjs.github.io/ */
static const struct {
    const char *name, *value;
} SECURITY_HEADERS[] = {
    {"content-security-policy",
     "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';"
     "img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: "
     "'unsafe-inline';upgrade-insecure-requests"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
    {"origin-agent-cluster", "?1"},
    {"referrer-policy", "no-referrer"},
    {"strict-transport-security", "max-age=31536000; includeSubDomains"},
    {"x-content-type-options", "nosniff"},
    {"x-dns-prefetch-control", "off"},
    {"x-download-options", "noopen"},
    {"x-frame-options", "SAMEORIGIN"},
    {"x-permitted-cross-domain-policies", "none"},
    {"x-xss-protection", "0"},
};

static void add_static_header(h2o_req_t *raw, const char *name, const char *value)
{
    h2o_add_header_by_str(&raw->pool, &raw->res.headers, name, strlen(name), 1, NULL, value, strlen(value));
}

static void add_security_headers(h2o_req_t *raw)
{
    for (size_t i = 0; i < sizeof SECURITY_HEADERS / sizeof SECURITY_HEADERS[0]; i++) {
        add_static_header(raw, SECURITY_HEADERS[i].name, SECURITY_HEADERS[i].value);
    }
}

bool http_site_allows_origin(const struct http_site *site, struct slice origin)
{
    for (char *const *allowed = site->allowed_origins; *allowed != NULL; allowed++) {
        if (strcmp(*allowed, "*") == 0 || slice_equals(origin, slice_of(*allowed))) {
            return true;
        }
    }
    return false;
}

/* https://fetch.spec.whatwg.org/#http-cors-protocol */
static void add_cors_headers(struct http_request *request)
{
    struct slice origin = http_request_header(request, "origin");
    h2o_req_t *raw = request->raw;
    add_static_header(raw, "vary", "Origin");
    if (origin.length == 0 || !http_site_allows_origin(request->worker->site, origin)) {
        return;
    }
    http_request_add_header(request, "access-control-allow-origin", origin);
    add_static_header(raw, "access-control-allow-credentials", "true");
    add_static_header(raw, "access-control-expose-headers",
                      "X-Request-Id, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset");
}

void handler_add_headers(struct http_request *request)
{
    add_security_headers(request->raw);
    add_cors_headers(request);
}

static bool is_method(const h2o_req_t *raw, const char *method)
{
    return raw->method.len == strlen(method) && memcmp(raw->method.base, method, raw->method.len) == 0;
}

/* Is it the route's path? Then `ret_part` is what stands in the place of its ":name", or empty. */
static bool matches(const struct operation *route, struct slice path, struct slice *ret_part)
{
    const char *colon = strchr(route->name, ':');
    if (colon == NULL) {
        *ret_part = (struct slice){NULL, 0};
        return slice_equals(path, slice_of(route->name));
    }
    size_t head = (size_t)(colon - route->name);
    struct slice tail = slice_of(colon + strcspn(colon, "/"));
    if (path.length <= head + tail.length || memcmp(path.data, route->name, head) != 0 ||
        memcmp(path.data + path.length - tail.length, tail.data, tail.length) != 0) {
        return false;
    }
    *ret_part = (struct slice){path.data + head, path.length - head - tail.length};
    return memchr(ret_part->data, '/', ret_part->length) == NULL;
}

/* Every method that some route has for this path; empty when there is no such path. */
static void list_methods(const struct http_site *site, struct slice path, struct buffer *out)
{
    for (const struct operation *const *table = site->routes; *table != NULL; table++) {
        for (const struct operation *route = *table; route->name != NULL; route++) {
            struct slice part;
            if (matches(route, path, &part)) {
                buffer_printf(out, "%s%s%s", out->length > 0 ? ", " : "", route->method,
                              strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
            }
        }
    }
}

static void answer_options(struct http_request *request, struct slice methods)
{
    http_request_add_header(request, "allow", methods);
    if (http_request_header(request, "access-control-request-method").length > 0) {
        struct slice headers = http_request_header(request, "access-control-request-headers");
        char max_age[16];
        snprintf(max_age, sizeof max_age, "%d", PREFLIGHT_MAX_AGE_S);
        http_request_add_header(request, "access-control-allow-methods", methods);
        http_request_add_header(request, "access-control-allow-headers",
                                headers.length > 0 ? headers : SLICE("authorization, content-type"));
        http_request_add_header(request, "access-control-max-age", slice_of(max_age));
    }
    http_request_reply(request, 204, NULL, (struct slice){NULL, 0});
}

/* The path has `methods`, and not this one. */
static void answer_other_method(struct http_request *request, struct slice methods)
{
    struct buffer allowed = buffer_init(256);
    buffer_append_slice(&allowed, methods);
    buffer_append_text(&allowed, ", OPTIONS");
    if (is_method(request->raw, "OPTIONS")) {
        answer_options(request, buffer_slice(&allowed));
    } else {
        http_request_add_header(request, "allow", buffer_slice(&allowed));
        http_request_refuse(request, STATUS_METHOD_NOT_ALLOWED, status_message(STATUS_METHOD_NOT_ALLOWED));
    }
    buffer_dispose(&allowed);
}

bool http_request_allow(struct http_request *request, const char *methods)
{
    struct slice method = http_request_method(request);
    for (const char *at = methods; *at != '\0'; at += strspn(at, ", ")) {
        size_t length = strcspn(at, ", ");
        if (slice_equals(method, (struct slice){at, length})) {
            return true;
        }
        at += length;
    }
    answer_other_method(request, slice_of(methods));
    return false;
}

/* The path is not a route for this method: is it one for another? */
static void answer_otherwise(struct http_request *request)
{
    struct buffer methods = buffer_init(256);
    list_methods(request->worker->site, http_request_path(request), &methods);
    if (methods.length == 0) {
        http_request_refuse(request, STATUS_NOT_FOUND, "No such route");
    } else {
        answer_other_method(request, buffer_slice(&methods));
    }
    buffer_dispose(&methods);
}

static const struct operation *find_route(const struct http_site *site, const h2o_req_t *raw, struct slice *ret_part)
{
    struct slice path = {raw->path_normalized.base, raw->path_normalized.len};
    for (const struct operation *const *table = site->routes; *table != NULL; table++) {
        for (const struct operation *route = *table; route->name != NULL; route++) {
            if ((is_method(raw, route->method) || (is_method(raw, "HEAD") && strcmp(route->method, "GET") == 0)) &&
                matches(route, path, ret_part)) {
                return route;
            }
        }
    }
    return NULL;
}

static const struct http_mount *find_mount(const struct http_site *site, const h2o_req_t *raw)
{
    for (const struct http_mount *const *table = site->mounts; *table != NULL; table++) {
        for (const struct http_mount *mount = *table; mount->path != NULL; mount++) {
            size_t length = strlen(mount->path);
            bool is_prefix = length > 1 && mount->path[length - 1] == '/';
            if (raw->path_normalized.len >= length && memcmp(raw->path_normalized.base, mount->path, length) == 0 &&
                (is_prefix || raw->path_normalized.len == length)) {
                return mount;
            }
        }
    }
    return NULL;
}

/* The address's own allowance, whatever it asks for. */
static bool is_within_limits(struct http_request *request, enum rate_rule rule)
{
    struct rate_key address = rate_key_of(request->client.key.bytes);
    if (http_request_take(request, rule, &address)) {
        return true;
    }
    http_request_refuse(request, STATUS_RATE_LIMITED, status_message(STATUS_RATE_LIMITED));
    return false;
}

static enum rate_rule rate_of(const struct http_request *request, const struct http_mount *mount)
{
    return mount != NULL && mount->rate != NULL ? mount->rate(request) : RATE_REQUESTS;
}

/* As the metrics name it. */
static const char *method_of(const h2o_req_t *raw)
{
    static const char *const METHODS[] = {"GET", "POST", "HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "other"};
    int i = 0;
    while (i < (int)(sizeof METHODS / sizeof METHODS[0]) - 1 && !is_method(raw, METHODS[i])) {
        i++;
    }
    return METHODS[i];
}

static void serve(struct http_request *request)
{
    struct http_worker *worker = request->worker;
    struct slice part;
    const struct operation *route = find_route(worker->site, request->raw, &part);
    const struct http_mount *mount = route == NULL ? find_mount(worker->site, request->raw) : NULL;
    request->route_method = route != NULL ? route->method : method_of(request->raw);
    request->route_name = route != NULL ? route->name : mount != NULL ? mount->path : request->route_name;
    if (!is_within_limits(request, rate_of(request, mount))) {
        return;
    }
    if (route != NULL) {
        http_exchange_run(request, route, part);
    } else if (mount != NULL) {
        mount->handle(request, worker);
    } else {
        answer_otherwise(request);
    }
}

/* As RFC 9113 section 6.5.2 counts: by HTTP/2 few bytes can stand for many headers. */
static bool are_headers_too_large(const h2o_req_t *raw)
{
    size_t total = 0;
    for (size_t i = 0; i < raw->headers.size && i < HEADERS_MAX; i++) {
        const h2o_header_t *header = &raw->headers.entries[i];
        total += header->name->len + header->value.len + HEADER_OVERHEAD_BYTES;
    }
    return raw->headers.size > HEADERS_MAX || total > HEADERS_MAX_BYTES;
}

/* By HTTP/1 the request is still in the connection's buffer, from its first line on. */
static bool is_ambiguous(const h2o_req_t *raw)
{
    if (raw->version >= 0x200) {
        return false;
    }
    const h2o_buffer_t *input = raw->conn->callbacks->get_socket(raw->conn)->input;
    return !headers_are_unambiguous((struct slice){input->bytes, input->size}, raw->version >= 0x101);
}

/* What no path should have to see. False when the request was refused; what comes behind it by HTTP/1 is not read. */
static bool check_head(struct http_request *request)
{
    h2o_req_t *raw = request->raw;
    enum status status = STATUS_OK;
    const char *message = NULL;
    if (is_ambiguous(raw)) {
        status = STATUS_BAD_REQUEST;
        message = "Send one Host, and at most one of Content-Length and Transfer-Encoding";
    } else if (raw->path.len > URI_MAX_BYTES) {
        status = STATUS_URI_TOO_LONG;
    } else if (are_headers_too_large(raw)) {
        status = STATUS_HEADERS_TOO_LARGE;
    }
    if (status != STATUS_OK) {
        raw->http1_is_persistent = 0;
        http_request_refuse(request, status, message != NULL ? message : status_message(status));
    }
    return status == STATUS_OK;
}

static int on_request(h2o_handler_t *handler, h2o_req_t *raw)
{
    struct http_worker *worker = h2o_context_get_handler_context(raw->conn->ctx, handler);
    struct http_connection *connection = http_connection_of(raw);
    if (connection != NULL && connection->is_banned) {
        h2o_send_error_503(raw, "Service Unavailable", "", 0);
        return 0;
    }
    struct http_request *request = http_request_create(raw, worker);
    const struct log_context *before = log_enter(&request->log);
    handler_add_headers(request);
    if (check_head(request)) {
        serve(request);
    }
    log_leave(before);
    http_request_unref(request);
    return 0;
}

h2o_handler_t *http_install(h2o_hostconf_t *host)
{
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_handler_t *handler = h2o_create_handler(path, sizeof *handler);
    handler->on_req = on_request;
    h2o_compress_args_t compress = {.min_size = COMPRESS_MIN_BYTES, .gzip = {.quality = 1}, .brotli = {.quality = -1}};
    h2o_compress_register(path, &compress);
    fallback_install(&host->fallback_path, handler);
    return handler;
}

void http_bind(h2o_context_t *context, h2o_handler_t *handler, struct http_worker *worker)
{
    h2o_context_set_handler_context(context, handler, worker);
}
