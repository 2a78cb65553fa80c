#include "util/redis_address.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "util/digits.h"
#include "util/percent.h"

static bool take_prefix(struct slice *rest, const char *prefix)
{
    size_t length = strlen(prefix);
    if (rest->length < length || strncasecmp(rest->data, prefix, length) != 0) {
        return false;
    }
    *rest = (struct slice){rest->data + length, rest->length - length};
    return true;
}

/* Terminated. */
static bool unescape(struct slice text, char *out, size_t size)
{
    struct slice decoded;
    return percent_decode(text, false, out, size, &decoded);
}

static bool read_number(struct slice text, int max, int *ret_number)
{
    int64_t number;
    if (!digits_read(text, DIGITS_MAX, &number) || number > max) {
        return false;
    }
    *ret_number = (int)number;
    return true;
}

/* What stands before the last `mark`, or after it; without one, all is after it. */
static void split(struct slice text, char mark, struct slice *ret_before, struct slice *ret_after)
{
    const char *at = memrchr(text.data, mark, text.length);
    size_t length = at != NULL ? (size_t)(at - text.data) : 0;
    *ret_before = (struct slice){text.data, length};
    *ret_after = at != NULL ? (struct slice){at + 1, text.length - length - 1} : text;
}

/* [user][:password]; one alone is the user's name. */
static bool read_login(struct slice login, struct redis_address *address)
{
    const char *colon = memchr(login.data, ':', login.length);
    size_t length = colon != NULL ? (size_t)(colon - login.data) : login.length;
    struct slice password = {login.data + length + 1, colon != NULL ? login.length - length - 1 : 0};
    return unescape((struct slice){login.data, length}, address->username, sizeof address->username) &&
           unescape(password, address->password, sizeof address->password);
}

static bool read_host(struct slice place, struct redis_address *address)
{
    struct slice host = place, port = {NULL, 0};
    const char *bracket = memrchr(place.data, ']', place.length);
    const char *colon = memrchr(place.data, ':', place.length);
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        split(place, ':', &host, &port);
        if (!read_number(port, 65535, &address->port) || address->port == 0) {
            return false;
        }
    }
    if (host.length > 2 && host.data[0] == '[' && host.data[host.length - 1] == ']') {
        host = (struct slice){host.data + 1, host.length - 2};
    } else if (memchr(host.data, ':', host.length) != NULL) {
        return false;
    }
    for (size_t i = 0; i < host.length; i++) {
        if (!isalnum((unsigned char)host.data[i]) && strchr("-._:", host.data[i]) == NULL) {
            return false;
        }
    }
    return host.length > 0 && unescape(host, address->host, sizeof address->host);
}

bool redis_address_parse(const char *url, struct redis_address *ret_address)
{
    struct redis_address address = {.port = REDIS_PORT};
    struct slice rest = slice_of(url), login, place, path = {NULL, 0};
    address.has_tls = take_prefix(&rest, "rediss://");
    if (!address.has_tls && !take_prefix(&rest, "redis://")) {
        return false;
    }
    split(rest, '@', &login, &place);
    const char *slash = memchr(place.data, '/', place.length);
    if (slash != NULL) {
        path = (struct slice){slash + 1, place.length - (size_t)(slash - place.data) - 1};
        place.length = (size_t)(slash - place.data);
    }
    if (!read_login(login, &address) || !read_host(place, &address) ||
        (path.length > 0 && !read_number(path, 1000000, &address.database))) {
        return false;
    }
    *ret_address = address;
    return true;
}
