#include "json_scan.h"

#include <stdint.h>
#include <string.h>

#include "util/digits.h"
#include "util/hex.h"
#include "util/utf8.h"

static bool scan_any(struct json_scan *scan);

static void skip_space(struct json_scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r')) {
        scan->at++;
    }
}

bool json_scan_take(struct json_scan *scan, char c)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c) {
        return false;
    }
    scan->at++;
    return true;
}

bool json_scan_at_end(struct json_scan *scan)
{
    skip_space(scan);
    return scan->at == scan->end;
}

/* Four hexadecimal digits, or -1. */
static int read_hex(const char *at, const char *end)
{
    int number = 0;
    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        number = number << 4 | digit;
    }
    return number;
}

/* Behind the backslash. */
static bool scan_escape(struct json_scan *scan)
{
    if (scan->at == scan->end) {
        return false;
    }
    char c = *scan->at++;
    if (c == 'u') {
        if (read_hex(scan->at, scan->end) < 0) {
            return false;
        }
        scan->at += 4;
        return true;
    }
    return c != '\0' && strchr("\"\\/bfnrt", c) != NULL;
}

/* Behind the opening quote. */
static bool scan_string(struct json_scan *scan)
{
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at++;
        if (c == '"') {
            return true;
        }
        if (c < 0x20 || (c == '\\' && !scan_escape(scan))) {
            return false;
        }
    }
    return false;
}

static bool scan_word(struct json_scan *scan, struct slice word)
{
    if ((size_t)(scan->end - scan->at) < word.length || memcmp(scan->at, word.data, word.length) != 0) {
        return false;
    }
    scan->at += word.length;
    return true;
}

static bool scan_digits(struct json_scan *scan)
{
    const char *start = scan->at;
    while (scan->at < scan->end && digits_hold(*scan->at)) {
        scan->at++;
    }
    return scan->at > start;
}

static bool scan_number(struct json_scan *scan)
{
    if (scan->at < scan->end && *scan->at == '-') {
        scan->at++;
    }
    const char *start = scan->at;
    if (!scan_digits(scan) || (*start == '0' && scan->at - start > 1)) {
        return false;
    }
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!scan_digits(scan)) {
            return false;
        }
    }
    if (scan->at < scan->end && (*scan->at == 'e' || *scan->at == 'E')) {
        scan->at++;
        if (scan->at < scan->end && (*scan->at == '+' || *scan->at == '-')) {
            scan->at++;
        }
        return scan_digits(scan);
    }
    return true;
}

static bool scan_array(struct json_scan *scan)
{
    if (json_scan_take(scan, ']')) {
        return true;
    }
    do {
        if (!scan_any(scan)) {
            return false;
        }
    } while (json_scan_take(scan, ','));
    return json_scan_take(scan, ']');
}

/* What is needed of an object's members to know a placeholder. */
struct placeholder {
    bool is_one;
    struct slice number;
};

static bool scan_member(struct json_scan *scan, struct placeholder *placeholder)
{
    if (!json_scan_take(scan, '"')) {
        return false;
    }
    const char *key = scan->at;
    if (!scan_string(scan)) {
        return false;
    }
    struct slice name = {key, (size_t)(scan->at - 1 - key)}, value;
    if (!json_scan_take(scan, ':') || !json_scan_value(scan, &value)) {
        return false;
    }
    if (slice_equals(name, SLICE("_placeholder"))) {
        placeholder->is_one = slice_equals(value, SLICE("true"));
    } else if (slice_equals(name, SLICE("num"))) {
        placeholder->number = value;
    }
    return true;
}

static bool is_index(struct slice number, int count)
{
    int64_t index;
    return digits_read(number, 4, &index) && index < count;
}

static bool scan_object(struct json_scan *scan)
{
    struct placeholder placeholder = {0};
    if (json_scan_take(scan, '}')) {
        return true;
    }
    do {
        if (!scan_member(scan, &placeholder)) {
            return false;
        }
    } while (json_scan_take(scan, ','));
    if (placeholder.is_one && scan->placeholders != JSON_ANY_PLACEHOLDER &&
        !is_index(placeholder.number, scan->placeholders)) {
        return false;
    }
    return json_scan_take(scan, '}');
}

static bool scan_nested(struct json_scan *scan, bool (*scan_inside)(struct json_scan *))
{
    scan->at++;
    if (++scan->depth > JSON_DEPTH_MAX) {
        return false;
    }
    bool good = scan_inside(scan);
    scan->depth--;
    return good;
}

/* White space, then a value. */
static bool scan_any(struct json_scan *scan)
{
    skip_space(scan);
    if (scan->at == scan->end) {
        return false;
    }
    switch (*scan->at) {
    case '{':
        return scan_nested(scan, scan_object);
    case '[':
        return scan_nested(scan, scan_array);
    case '"':
        scan->at++;
        return scan_string(scan);
    case 't':
        return scan_word(scan, SLICE("true"));
    case 'f':
        return scan_word(scan, SLICE("false"));
    case 'n':
        return scan_word(scan, SLICE("null"));
    default:
        return scan_number(scan);
    }
}

bool json_scan_value(struct json_scan *scan, struct slice *ret_value)
{
    skip_space(scan);
    const char *start = scan->at;
    if (!scan_any(scan)) {
        return false;
    }
    *ret_value = (struct slice){start, (size_t)(scan->at - start)};
    return true;
}

/* --- decoding --- */

static void append_character(struct buffer *out, uint32_t c)
{
    char bytes[4];
    size_t length = 0;
    if (c < 0x80) {
        bytes[length++] = (char)c;
    } else if (c < 0x800) {
        bytes[length++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[length++] = (char)(0xe0 | c >> 12);
        bytes[length++] = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[length++] = (char)(0xf0 | c >> 18);
        bytes[length++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[length++] = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80) {
        bytes[length++] = (char)(0x80 | (c & 0x3f));
    }
    buffer_append(out, bytes, length);
}

/* `*at` is behind "\u"; a surrogate must have its other half. */
static bool decode_unicode(const char **at, const char *end, struct buffer *out)
{
    uint32_t c = (uint32_t)read_hex(*at, end);
    *at += 4;
    if (c >= 0xd800 && c <= 0xdfff) {
        int low = end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u' ? read_hex(*at + 2, end) : -1;
        if (c > 0xdbff || low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        c = 0x10000 + ((c & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
        *at += 6;
    }
    append_character(out, c);
    return true;
}

bool json_scan_decode_string(struct slice text, struct buffer *out, struct slice *ret_characters)
{
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    struct slice inside = {text.data + 1, text.length - 2};
    if (memchr(inside.data, '\\', inside.length) == NULL) {
        *ret_characters = inside;
        return true;
    }
    size_t start = out->length;
    const char *end = inside.data + inside.length;
    for (const char *at = inside.data; at < end;) {
        if (*at != '\\') {
            buffer_append_char(out, *at++);
            continue;
        }
        char c = at[1];
        at += 2;
        if (c == 'u') {
            if (!decode_unicode(&at, end, out)) {
                return false;
            }
        } else {
            const char *known = strchr(FROM, c);
            buffer_append_char(out, known != NULL ? TO[known - FROM] : c);
        }
    }
    if (out->failed) {
        return false;
    }
    *ret_characters = (struct slice){out->data + start, out->length - start};
    return true;
}

bool json_scan_is_json(struct slice text)
{
    struct json_scan scan = json_scan_init(text, JSON_ANY_PLACEHOLDER);
    struct slice value;
    return utf8_is_valid(text) && json_scan_value(&scan, &value) && json_scan_at_end(&scan);
}
