#include "util/percent.h"

#include "util/hex.h"

bool percent_decode(struct slice text, bool is_query, char *out, size_t size, struct slice *ret_decoded)
{
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        int byte = is_query && text.data[i] == '+' ? ' ' : (unsigned char)text.data[i];
        if (byte == '%') {
            byte = i + 2 < text.length ? hex_byte(text.data[i + 1], text.data[i + 2]) : -1;
            i += 2;
        }
        if (byte <= 0 || length + 1 >= size) {
            return false;
        }
        out[length++] = (char)byte;
    }
    if (length >= size) {
        return false;
    }
    out[length] = '\0';
    *ret_decoded = (struct slice){out, length};
    return true;
}
