/* Hexadecimal digits. */
#ifndef STONECHAT_UTIL_HEX_H
#define STONECHAT_UTIL_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Of a digit in either case; -1 for anything else. */
static inline int hex_value(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0', letter = ((unsigned char)c | 0x20u) - (unsigned)'a';
    return digit <= 9 ? (int)digit : letter <= 5 ? (int)letter + 10 : -1;
}

/* The byte that two digits stand for; -1 when one of them is none. */
static inline int hex_byte(char high, char low)
{
    int upper = hex_value(high), lower = hex_value(low);
    return upper < 0 || lower < 0 ? -1 : upper << 4 | lower;
}

/* Writes two lower-case digits a byte, without a terminator. */
void hex_write(const uint8_t *bytes, size_t length, char *out);

#endif
