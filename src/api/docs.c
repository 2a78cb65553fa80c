#include "api/docs.h"

#include <stdint.h>
#include <stdio.h>

#include "util/buffer.h"
#include "util/log.h"
#include "util/slice.h"

/* One table says which file stands behind which path. They are read once, and each worker serves them from the same
 * memory: no request touches a disk, and no path of a request reaches the file system. A client keeps what it has and
 * asks whether it is still good (ETag), so that a new release never mixes with an old one. */

enum { FILE_MAX_BYTES = 16 << 20, READ_BYTES = 64 << 10, PATH_MAX_BYTES = 4096 };

#define DOCS_PATH "/api/docs"
#define SWAGGER_UI "swagger/node_modules/swagger-ui-dist/"

static const struct {
    const char *path; /* below /api/docs; "" is the page */
    const char *file; /* below the share directory */
    const char *content_type;
    bool is_page; /* a part of the page: without it there is none */
} FILES[] = {
    {"", "swagger/ui/index.html", "text/html; charset=utf-8", true},
    {"/initializer.js", "swagger/ui/initializer.js", "text/javascript; charset=utf-8", true},
    {"/index.css", SWAGGER_UI "index.css", "text/css; charset=utf-8", true},
    {"/swagger-ui.css", SWAGGER_UI "swagger-ui.css", "text/css; charset=utf-8", true},
    {"/swagger-ui-bundle.js", SWAGGER_UI "swagger-ui-bundle.js", "text/javascript; charset=utf-8", true},
    {"/favicon-32x32.png", SWAGGER_UI "favicon-32x32.png", "image/png", true},
    {"/openapi.yaml", "swagger/openapi.yaml", "application/yaml", false},
    {"/asyncapi.yaml", "swagger/asyncapi.yaml", "application/yaml", false},
    {"/events", "swagger/ui/events.html", "text/html; charset=utf-8", false},
    {"/events.js", "swagger/ui/events.js", "text/javascript; charset=utf-8", false},
    {"/events.css", "swagger/ui/events.css", "text/css; charset=utf-8", false},
    {"/js-yaml.mjs", "swagger/node_modules/js-yaml/dist/js-yaml.mjs", "text/javascript; charset=utf-8", false},
    {"/marked.esm.js", "swagger/node_modules/marked/lib/marked.esm.js", "text/javascript; charset=utf-8", false},
};

enum { FILE_COUNT = sizeof FILES / sizeof FILES[0], PAGE = 0 };

static const char NO_PAGE[] =
    "<!doctype html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<title>Stonechat API</title>\n"
    "<h1>Stonechat API</h1>\n"
    "<p>The description of the API is <a href=\"/api/docs/openapi.yaml\">openapi.yaml</a>.</p>\n"
    "<p>Swagger UI, which would show it here, is not installed. Run this in the server's directory\n"
    "<code>swagger</code>, and start the server again:</p>\n"
    "<pre>npm ci --omit=dev --ignore-scripts</pre>\n"
    "</html>\n";

/* Everything comes from this server; the page's own calls go nowhere else. */
static const char CONTENT_SECURITY_POLICY[] =
    "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';base-uri 'none';"
    "form-action 'none';frame-ancestors 'none'";

struct document {
    struct buffer content;
    bool is_loaded;
    char etag[32];
};

static struct document documents[FILE_COUNT];

/* --- loading --- */

/* A weak tag: the same text may go out compressed. The hash is FNV-1a, enough to tell two releases apart. */
static void make_etag(struct document *document)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < document->content.length; i++) {
        hash = (hash ^ (unsigned char)document->content.data[i]) * 0x100000001b3;
    }
    snprintf(document->etag, sizeof document->etag, "W/\"%016llx\"", (unsigned long long)hash);
}

static bool read_all(FILE *file, struct buffer *out)
{
    size_t length;
    do {
        char *at = buffer_reserve(out, READ_BYTES);
        if (at == NULL) {
            return false;
        }
        length = fread(at, 1, READ_BYTES, file);
        out->length += length;
    } while (length > 0);
    return ferror(file) == 0;
}

/* False: no memory. A file that cannot be read is left out. */
static bool load(const char *share_dir, size_t index)
{
    struct document *document = &documents[index];
    char path[PATH_MAX_BYTES];
    document->content = buffer_init(FILE_MAX_BYTES);
    int length = snprintf(path, sizeof path, "%s/%s", share_dir != NULL ? share_dir : "", FILES[index].file);
    FILE *file = share_dir != NULL && length < (int)sizeof path ? fopen(path, "re") : NULL;
    if (file != NULL) {
        document->is_loaded = read_all(file, &document->content);
        fclose(file);
    }
    make_etag(document);
    return !document->content.failed;
}

/* Tells what is missing: of the page, the first part. True when the page has all its parts. */
static bool is_page_complete(void)
{
    bool is_complete = true;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (!documents[i].is_loaded && (is_complete || !FILES[i].is_page)) {
            log_write(LOG_WARN, "/api/docs: a file cannot be read", LOG_STR("file", FILES[i].file));
        }
        is_complete = is_complete && (documents[i].is_loaded || !FILES[i].is_page);
    }
    return is_complete;
}

static bool replace_page(void)
{
    struct document *page = &documents[PAGE];
    page->content.length = 0;
    buffer_append_text(&page->content, NO_PAGE);
    page->is_loaded = true;
    make_etag(page);
    return !page->content.failed;
}

bool docs_load(const char *share_dir)
{
    bool good = true;
    for (size_t i = 0; good && i < FILE_COUNT; i++) {
        good = load(share_dir, i);
    }
    good = good && (is_page_complete() || replace_page());
    if (!good) {
        docs_unload();
    }
    return good;
}

void docs_unload(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        buffer_dispose(&documents[i].content);
        documents[i].is_loaded = false;
    }
}

/* --- serving --- */

static const struct document *find(struct slice path, const char **ret_content_type)
{
    struct slice below = {path.data + sizeof DOCS_PATH - 1, path.length - (sizeof DOCS_PATH - 1)};
    if (slice_equals(below, SLICE("/"))) {
        below.length = 0;
    }
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (documents[i].is_loaded && slice_equals(below, slice_of(FILES[i].path))) {
            *ret_content_type = FILES[i].content_type;
            return &documents[i];
        }
    }
    return NULL;
}

/* Does If-None-Match name this version? Weakly, as RFC 9110 section 13.1.2 has it for this header. */
static bool is_known(const struct http_request *request, const struct document *document)
{
    struct slice known = http_request_header(request, "if-none-match");
    const char *opaque = document->etag + 2; /* without W/ */
    return slice_equals(known, SLICE("*")) ||
           (known.length > 0 && memmem(known.data, known.length, opaque, strlen(opaque)) != NULL);
}

static void handle(struct http_request *request, struct http_worker *worker)
{
    (void)worker;
    if (!http_request_allow(request, "GET, HEAD")) {
        return;
    }
    const char *content_type;
    const struct document *document = find(http_request_path(request), &content_type);
    if (document == NULL) {
        http_request_refuse(request, STATUS_NOT_FOUND, "No such file");
        return;
    }
    http_request_set_header(request, "content-security-policy", slice_of(CONTENT_SECURITY_POLICY));
    http_request_add_header(request, "cache-control", SLICE("no-cache"));
    http_request_add_header(request, "etag", slice_of(document->etag));
    if (is_known(request, document)) {
        http_request_reply(request, 304, NULL, (struct slice){NULL, 0});
    } else {
        http_request_reply(request, 200, content_type, buffer_slice(&document->content));
    }
}

const struct http_mount docs_mounts[] = {
    {.path = DOCS_PATH, .handle = handle},
    {.path = DOCS_PATH "/", .handle = handle},
    {.path = NULL},
};
