#include "api/pages.h"

#include <stdint.h>
#include <stdio.h>

#include "util/buffer.h"
#include "util/log.h"
#include "util/slice.h"

/* Two tables say which pages there are, and which file stands behind which path. They are read once, and each worker
 * serves them from the same memory: no request touches a disk, and no path of a request reaches the file system. A
 * client keeps what it has and asks whether it is still good (ETag), so that a new release never mixes with an old one.
 */

enum { FILE_MAX_BYTES = 16 << 20, READ_BYTES = 64 << 10, PATH_MAX_BYTES = 4096 };

enum page { DOCS, DEMO, PAGE_COUNT };

/* In place of a page that lacks a part; `text` is a paragraph or nothing. */
#define INCOMPLETE(title, text, directory)                                                                             \
    "<!doctype html>\n"                                                                                                \
    "<html lang=\"en\">\n"                                                                                             \
    "<meta charset=\"utf-8\">\n"                                                                                       \
    "<title>" title "</title>\n"                                                                                       \
    "<h1>" title "</h1>\n" text "<p>A part of this page is not installed. Run this in the server's directory\n"        \
    "<code>" directory "</code>, and start the server again:</p>\n"                                                    \
    "<pre>npm ci --omit=dev --ignore-scripts</pre>\n"                                                                  \
    "</html>\n"

/* Everything comes from this server, and nothing goes anywhere else. */
#define POLICY "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none';"

static const struct {
    const char *path; /* its own file is the row of FILES with this path */
    const char *policy;
    const char *incomplete;
} PAGES[PAGE_COUNT] = {
    [DOCS] = {"/api/docs", POLICY "script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self'",
              INCOMPLETE("Stonechat API",
                         "<p>Its description is <a href=\"/api/docs/openapi.yaml\">openapi.yaml</a>.</p>\n",
                         "swagger")},
    /* Its scripts have no way to turn text into markup or code either. */
    [DEMO] = {"/",
              POLICY "script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';"
                     "require-trusted-types-for 'script';trusted-types 'none'",
              INCOMPLETE("Stonechat", "", "web")},
};

#define SWAGGER_UI "swagger/node_modules/swagger-ui-dist/"
#define SOCKET_IO "web/node_modules/socket.io-client/dist/"
#define WEB(name) "/web/" name, "web/" name

static const struct {
    enum page page;
    const char *path;
    const char *file; /* below the share directory */
    bool is_part;     /* without it there is no page */
} FILES[] = {
    {DOCS, "/api/docs", "swagger/ui/index.html", true},
    {DOCS, "/api/docs/initializer.js", "swagger/ui/initializer.js", true},
    {DOCS, "/api/docs/index.css", SWAGGER_UI "index.css", true},
    {DOCS, "/api/docs/swagger-ui.css", SWAGGER_UI "swagger-ui.css", true},
    {DOCS, "/api/docs/swagger-ui-bundle.js", SWAGGER_UI "swagger-ui-bundle.js", true},
    {DOCS, "/api/docs/favicon-32x32.png", SWAGGER_UI "favicon-32x32.png", true},
    {DOCS, "/api/docs/openapi.yaml", "swagger/openapi.yaml", false},
    {DOCS, "/api/docs/asyncapi.yaml", "swagger/asyncapi.yaml", false},
    {DOCS, "/api/docs/events", "swagger/ui/events.html", false},
    {DOCS, "/api/docs/events.js", "swagger/ui/events.js", false},
    {DOCS, "/api/docs/events.css", "swagger/ui/events.css", false},
    {DOCS, "/api/docs/js-yaml.mjs", "swagger/node_modules/js-yaml/dist/js-yaml.mjs", false},
    {DOCS, "/api/docs/marked.esm.js", "swagger/node_modules/marked/lib/marked.esm.js", false},
    {DEMO, "/", "web/index.html", true},
    {DEMO, "/web/socket.io.esm.min.js", SOCKET_IO "socket.io.esm.min.js", true},
    {DEMO, WEB("account.js"), true},
    {DEMO, WEB("api.js"), true},
    {DEMO, WEB("call.js"), true},
    {DEMO, WEB("calls.js"), true},
    {DEMO, WEB("callview.js"), true},
    {DEMO, WEB("chats.js"), true},
    {DEMO, WEB("conversation.js"), true},
    {DEMO, WEB("dom.js"), true},
    {DEMO, WEB("icon.svg"), true},
    {DEMO, WEB("login.js"), true},
    {DEMO, WEB("main.js"), true},
    {DEMO, WEB("notices.js"), true},
    {DEMO, WEB("outbox.js"), true},
    {DEMO, WEB("people.js"), true},
    {DEMO, WEB("signin.js"), true},
    {DEMO, WEB("socket.js"), true},
    {DEMO, WEB("store.js"), true},
    {DEMO, WEB("style.css"), true},
    {DEMO, WEB("text.js"), true},
};

enum { FILE_COUNT = sizeof FILES / sizeof FILES[0] };

static const struct {
    const char *ending, *content_type;
} CONTENT_TYPES[] = {
    {".html", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".yaml", "application/yaml"},
};

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

/* Tells what is missing; of what makes up the page, the first part. True when the page is whole. */
static bool is_complete(enum page page)
{
    bool is_complete = true;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (FILES[i].page == page && !documents[i].is_loaded) {
            if (is_complete || !FILES[i].is_part) {
                log_write(LOG_WARN, "a file of a page cannot be read", LOG_STR("page", PAGES[page].path),
                          LOG_STR("file", FILES[i].file));
            }
            is_complete = is_complete && !FILES[i].is_part;
        }
    }
    return is_complete;
}

static size_t find_row(struct slice path)
{
    size_t i = 0;
    while (i < FILE_COUNT && !slice_equals(path, slice_of(FILES[i].path))) {
        i++;
    }
    return i;
}

static bool replace_page(enum page page)
{
    struct document *document = &documents[find_row(slice_of(PAGES[page].path))];
    document->content.length = 0;
    buffer_append_text(&document->content, PAGES[page].incomplete);
    document->is_loaded = true;
    make_etag(document);
    return !document->content.failed;
}

static bool load_page(const char *share_dir, enum page page)
{
    bool good = true;
    for (size_t i = 0; good && i < FILE_COUNT; i++) {
        good = FILES[i].page != page || load(share_dir, i);
    }
    return good && (is_complete(page) || replace_page(page));
}

bool pages_load(const char *share_dir, bool has_demo)
{
    bool good = load_page(share_dir, DOCS) && (!has_demo || load_page(share_dir, DEMO));
    if (!good) {
        pages_unload();
    }
    return good;
}

void pages_unload(void)
{
    for (size_t i = 0; i < FILE_COUNT; i++) {
        buffer_dispose(&documents[i].content);
        documents[i].is_loaded = false;
    }
}

/* --- serving --- */

static const char *content_type_of(const char *file)
{
    struct slice name = slice_of(file);
    for (size_t i = 0; i < sizeof CONTENT_TYPES / sizeof CONTENT_TYPES[0]; i++) {
        struct slice ending = slice_of(CONTENT_TYPES[i].ending);
        if (name.length > ending.length && strcmp(file + name.length - ending.length, ending.data) == 0) {
            return CONTENT_TYPES[i].content_type;
        }
    }
    return "application/octet-stream";
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
    struct slice path = http_request_path(request);
    path.length -= path.length > 1 && path.data[path.length - 1] == '/';
    size_t row = find_row(path);
    if (row == FILE_COUNT || !documents[row].is_loaded) {
        http_request_refuse(request, STATUS_NOT_FOUND, "No such file");
        return;
    }
    const struct document *document = &documents[row];
    http_request_set_header(request, "content-security-policy", slice_of(PAGES[FILES[row].page].policy));
    http_request_add_header(request, "cache-control", SLICE("no-cache"));
    http_request_add_header(request, "etag", slice_of(document->etag));
    if (is_known(request, document)) {
        http_request_reply(request, 304, NULL, (struct slice){NULL, 0});
    } else {
        http_request_reply(request, 200, content_type_of(FILES[row].file), buffer_slice(&document->content));
    }
}

const struct http_mount pages_docs_mounts[] = {
    {.path = "/api/docs", .handle = handle},
    {.path = "/api/docs/", .handle = handle},
    {.path = NULL},
};

const struct http_mount pages_demo_mounts[] = {
    {.path = "/", .handle = handle},
    {.path = "/web/", .handle = handle},
    {.path = NULL},
};
