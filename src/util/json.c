/* Writing JSON. It is done for every reply and every event, so that it goes by tables and integer arithmetic: no
 * printf, no strftime, and room is asked for once a value. */
#include "util/json.h"

#include <string.h>

/* What stands after the backslash for each byte; 0 for a byte that stands for itself, 'u' for \u00XX. */
static const char escapes[256] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',         'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                 "8081828384858687888990919293949596979899";

static inline char *write_escaped(char *at, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    *at++ = '\\';
    *at++ = escapes[c];
    if (escapes[c] == 'u') {
        *at++ = '0';
        *at++ = '0';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return at;
}

void json_append_string(struct buffer *out, struct slice text)
{
    size_t length = text.length + 2;
    for (size_t i = 0; i < text.length; i++) {
        char escape = escapes[(unsigned char)text.data[i]];
        length += escape == 0 ? 0 : escape == 'u' ? 5 : 1;
    }
    char *at = buffer_reserve(out, length);
    if (at == NULL) {
        return;
    }
    *at++ = '"';
    if (length == text.length + 2) {
        if (text.length > 0) {
            memcpy(at, text.data, text.length);
        }
        at += text.length;
    } else {
        for (size_t i = 0; i < text.length; i++) {
            unsigned char c = (unsigned char)text.data[i];
            if (escapes[c] == 0) {
                *at++ = (char)c;
            } else {
                at = write_escaped(at, c);
            }
        }
    }
    *at = '"';
    out->length += length;
}

void json_uuid(struct buffer *out, struct uuid uuid)
{
    char *at = buffer_reserve(out, UUID_TEXT_LENGTH + 2);
    if (at == NULL) {
        return;
    }
    at[0] = '"';
    uuid_format(uuid, at + 1);
    at[UUID_TEXT_LENGTH + 1] = '"';
    out->length += UUID_TEXT_LENGTH + 2;
}

static inline void write_two(char *at, unsigned value)
{
    memcpy(at, two_digits + (size_t)2 * value, 2);
}

void json_time_format(int64_t unix_us, char out[JSON_TIME_LENGTH])
{
    const int64_t min_us = -62167219200000000, max_us = 253402300799999999; /* the years 0000 to 9999 */
    unix_us = unix_us < min_us ? min_us : unix_us > max_us ? max_us : unix_us;

    /* counted from the 1st of March 400 years before the year 0: the leap day is a year's last, and nothing is negative
     */
    const int64_t day_ms = 86400000, cycle_ms = 146097 * day_ms;
    int64_t ms = (unix_us - min_us) / 1000 + cycle_ms - (31 + 29) * day_ms;
    unsigned cycle = (unsigned)(ms / cycle_ms);
    unsigned day = (unsigned)(ms % cycle_ms / day_ms), rest = (unsigned)(ms % day_ms);
    unsigned year_of_cycle = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    unsigned day_of_year = day - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    unsigned day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;
    unsigned year = cycle * 400 + year_of_cycle + (month <= 2) - 400;

    memcpy(out, "0000-00-00T00:00:00.000Z", JSON_TIME_LENGTH);
    write_two(out, year / 100);
    write_two(out + 2, year % 100);
    write_two(out + 5, month);
    write_two(out + 8, day_of_month);
    write_two(out + 11, rest / 3600000);
    write_two(out + 14, rest / 60000 % 60);
    write_two(out + 17, rest / 1000 % 60);
    out[20] = (char)('0' + rest % 1000 / 100);
    write_two(out + 21, rest % 100);
}

void json_time(struct buffer *out, int64_t unix_us)
{
    char *at = buffer_reserve(out, JSON_TIME_LENGTH + 2);
    if (at == NULL) {
        return;
    }
    at[0] = '"';
    json_time_format(unix_us, at + 1);
    at[JSON_TIME_LENGTH + 1] = '"';
    out->length += JSON_TIME_LENGTH + 2;
}

void json_append_integer(struct buffer *out, int64_t value)
{
    char digits[20];
    char *at = digits + sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    while (rest >= 100) {
        at -= 2;
        write_two(at, (unsigned)(rest % 100));
        rest /= 100;
    }
    if (rest >= 10) {
        at -= 2;
        write_two(at, (unsigned)rest);
    } else {
        *--at = (char)('0' + rest);
    }
    if (value < 0) {
        *--at = '-';
    }
    buffer_append(out, at, (size_t)(digits + sizeof digits - at));
}

void json_boolean(struct buffer *out, bool value)
{
    buffer_append_slice(out, value ? SLICE("true") : SLICE("false"));
}
