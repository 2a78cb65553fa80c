#include "headers.h"

#include "util/percent.h"

static bool equals_word(struct slice text, const char *word)
{
    return text.length == strlen(word) && strncasecmp(text.data, word, text.length) == 0;
}

bool headers_list_holds(struct slice list, const char *word)
{
    while (list.length > 0) {
        struct slice member = slice_take_until(&list, ',');
        if (equals_word(slice_trim(slice_take_until(&member, ';')), word)) {
            return true;
        }
    }
    return false;
}

bool headers_is_json(struct slice content_type)
{
    return equals_word(slice_trim(slice_take_until(&content_type, ';')), "application/json");
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

bool headers_query_parameter(struct slice query, const char *name, char *out, size_t size)
{
    while (query.length > 0) {
        struct slice value = slice_take_until(&query, '&');
        size_t length = value.length;
        if (slice_equals(slice_take_until(&value, '='), slice_of(name)) && length > strlen(name)) {
            struct slice decoded;
            return percent_decode(value, true, out, size, &decoded);
        }
    }
    return false;
}

bool headers_are_unambiguous(struct slice head, bool needs_host)
{
    size_t framings = 0, hosts = 0;
    bool is_first = true;
    while (head.length > 0) {
        struct slice line = slice_take_until(&head, '\n');
        bool is_empty = line.length == 0 || (line.length == 1 && line.data[0] == '\r');
        if (is_empty && !is_first) {
            break;
        }
        is_first = is_first && is_empty; /* empty lines may come before the first */
        if (line.length == 0 || memchr(line.data, ':', line.length) == NULL) {
            continue;
        }
        struct slice name = slice_take_until(&line, ':');
        hosts += equals_word(name, "host");
        framings += equals_word(name, "content-length") || equals_word(name, "transfer-encoding");
    }
    return framings <= 1 && hosts <= 1 && (hosts == 1 || !needs_host);
}
