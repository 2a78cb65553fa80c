#include "headers.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct slice trim(struct slice text)
{
    while (text.length > 0 && is_blank(text.data[0])) {
        text = (struct slice){text.data + 1, text.length - 1};
    }
    while (text.length > 0 && is_blank(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}

/* Takes what stands before the next `separator` off the front of `rest`. */
static struct slice take_until(struct slice *rest, char separator)
{
    const char *end = rest->length > 0 ? memchr(rest->data, separator, rest->length) : NULL;
    struct slice head = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
    size_t used = head.length + (end != NULL ? 1 : 0);
    *rest = (struct slice){used > 0 ? rest->data + used : rest->data, rest->length - used};
    return head;
}

static bool equals_word(struct slice text, const char *word)
{
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

bool headers_list_holds(struct slice list, const char *word)
{
    while (list.length > 0) {
        struct slice member = take_until(&list, ',');
        if (equals_word(trim(take_until(&member, ';')), word)) {
            return true;
        }
    }
    return false;
}

struct slice headers_bearer_token(struct slice authorization)
{
    static const char SCHEME[] = "Bearer ";
    size_t length = sizeof SCHEME - 1;
    if (authorization.length < length || strncasecmp(authorization.data, SCHEME, length) != 0) {
        return (struct slice){NULL, 0};
    }
    return trim((struct slice){authorization.data + length, authorization.length - length});
}

bool headers_is_json(struct slice content_type)
{
    return equals_word(trim(take_until(&content_type, ';')), "application/json");
}

bool headers_is_request_id(struct slice id, size_t max_length)
{
    static const char ALLOWED[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+/=";
    if (id.length == 0 || id.length > max_length) {
        return false;
    }
    for (size_t i = 0; i < id.length; i++) {
        if (memchr(ALLOWED, id.data[i], sizeof ALLOWED - 1) == NULL) {
            return false;
        }
    }
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool percent_decode(struct slice text, char *out, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i] == '+' ? ' ' : text.data[i];
        if (c == '%') {
            if (i + 2 >= text.length || hex_value(text.data[i + 1]) < 0 || hex_value(text.data[i + 2]) < 0) {
                return false;
            }
            c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
            i += 2;
        }
        if (c == '\0' || length + 1 >= size) {
            return false;
        }
        out[length++] = c;
    }
    out[length] = '\0';
    return true;
}

bool headers_query_parameter(struct slice query, const char *name, char *out, size_t size)
{
    while (query.length > 0) {
        struct slice value = take_until(&query, '&');
        size_t length = value.length;
        if (slice_equals(take_until(&value, '='), slice_of(name)) && length > strlen(name)) {
            return size > 0 && percent_decode(value, out, size);
        }
    }
    return false;
}

bool headers_are_unambiguous(struct slice head, bool needs_host)
{
    size_t framings = 0, hosts = 0;
    bool is_first = true;
    while (head.length > 0) {
        struct slice line = take_until(&head, '\n');
        bool is_empty = line.length == 0 || (line.length == 1 && line.data[0] == '\r');
        if (is_empty && !is_first) {
            break;
        }
        is_first = is_first && is_empty; /* empty lines may come before the first */
        if (line.length == 0 || memchr(line.data, ':', line.length) == NULL) {
            continue;
        }
        struct slice name = take_until(&line, ':');
        hosts += equals_word(name, "host");
        framings += equals_word(name, "content-length") || equals_word(name, "transfer-encoding");
    }
    return framings <= 1 && hosts <= 1 && (hosts == 1 || !needs_host);
}
