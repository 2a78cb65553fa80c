#include "util/slice.h"

struct slice slice_take_until(struct slice *rest, char separator)
{
    const char *end = rest->length > 0 ? memchr(rest->data, separator, rest->length) : NULL;
    struct slice head = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->length};
    size_t used = head.length + (end != NULL ? 1 : 0);
    *rest = (struct slice){used > 0 ? rest->data + used : rest->data, rest->length - used};
    return head;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice text)
{
    while (text.length > 0 && is_blank(text.data[0])) {
        text = (struct slice){text.data + 1, text.length - 1};
    }
    while (text.length > 0 && is_blank(text.data[text.length - 1])) {
        text.length--;
    }
    return text;
}
