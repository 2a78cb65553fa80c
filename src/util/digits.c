#include "util/digits.h"

#include <assert.h>

bool digits_take(struct slice *rest, size_t max_digits, int64_t *ret_number)
{
    size_t length = 0;
    int64_t number = 0;
    assert(max_digits <= DIGITS_MAX);
    for (; length < rest->length && digits_hold(rest->data[length]); length++) {
        if (length == max_digits) {
            return false;
        }
        number = number * 10 + (rest->data[length] - '0');
    }
    if (length == 0) {
        return false;
    }
    *rest = (struct slice){rest->data + length, rest->length - length};
    *ret_number = number;
    return true;
}

bool digits_read(struct slice text, size_t max_digits, int64_t *ret_number)
{
    int64_t number;
    if (!digits_take(&text, max_digits, &number) || text.length > 0) {
        return false;
    }
    *ret_number = number;
    return true;
}
