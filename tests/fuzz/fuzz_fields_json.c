/* Any bytes as a JSON body: no crash, and whatever is accepted keeps the promises of the table. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "util/fields.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const choices[] = {"ended", "missed", NULL};
static const struct field table[] = {
    {"t", FIELD_TEXT, 1, 20, 0, NULL},
    {"u", FIELD_UUID, 0, 0, 0, NULL},
    {"n", FIELD_INTEGER, -5, 100, 0, NULL},
    {"c", FIELD_CHOICE, 0, 0, 0, choices},
    {"j", FIELD_JSON, 0, 0, 0, NULL},
    {"name", FIELD_USERNAME, 3, 64, 0, NULL},
    {"p", FIELD_TEXT, 8, 64, FIELD_SECRET, NULL},
    {0},
};
static const struct field raw[] = {{"x", FIELD_JSON, 0, 0, FIELD_REQUIRED, NULL}, {0}};

/* The errors are a JSON array's inside; the raw value is JSON: both must pass the same reader again. */
static void check_is_json(struct slice json, const char *before, const char *after)
{
    struct buffer text = buffer_init(1 << 20);
    buffer_append_text(&text, before);
    buffer_append_slice(&text, json);
    buffer_append_text(&text, after);
    struct field_values values;
    fields_init(&values);
    assert(text.failed || fields_read_json(raw, buffer_slice(&text), &values));
    fields_dispose(&values);
    buffer_dispose(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct field_values values;
    fields_init(&values);
    bool is_good = fields_read_json(table, (struct slice){(const char *)data, size}, &values);
    assert(is_good == (fields_status(&values) == STATUS_OK));
    assert(is_good || values.malformed || values.errors.length > 0);
    for (size_t i = 0; is_good && table[i].name != NULL; i++) {
        const struct field_value *value = &values.values[i];
        assert(utf8_is_valid(value->text));
        if (value->present && table[i].type == FIELD_TEXT) {
            assert((int64_t)utf8_count(value->text) >= table[i].min &&
                   (int64_t)utf8_count(value->text) <= table[i].max);
            assert(memchr(value->text.data, '\0', value->text.length) == NULL);
        } else if (value->present && table[i].type == FIELD_JSON) {
            check_is_json(value->text, "{\"x\":", "}");
        }
    }
    /* the name of an unknown field may hold an escaped NUL, which is JSON, but nothing that the reader takes */
    if (values.errors.length > 0 && memmem(values.errors.data, values.errors.length, "\\u0000", 6) == NULL) {
        check_is_json(buffer_slice(&values.errors), "{\"x\":[", "]}");
    }
    fields_dispose(&values);
    return 0;
}
