/* Any bytes as a query: no crash, and whatever is accepted keeps the promises of the table. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "util/fields.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct field table[] = {
    {"t", FIELD_TEXT, 1, 20, 0, NULL},
    {"u", FIELD_UUID, 0, 0, 0, NULL},
    {"n", FIELD_INTEGER, 1, 100, FIELD_REQUIRED, NULL},
    {"name", FIELD_USERNAME, 3, 64, 0, NULL},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field_values values;
    fields_init(&values);
    bool is_good = fields_read_query(table, (struct slice){(const char *)data, size}, &values);
    assert(is_good == (fields_status(&values) == STATUS_OK));
    assert(is_good == (values.errors.length == 0));
    assert(!values.malformed && utf8_is_valid(buffer_slice(&values.errors)));
    if (is_good) {
        assert(values.values[2].present && values.values[2].integer >= 1 && values.values[2].integer <= 100);
        assert(utf8_is_valid(values.values[0].text) && utf8_count(values.values[0].text) <= 20);
        assert(values.values[3].text.length <= 64);
    }
    fields_dispose(&values);
    return 0;
}
