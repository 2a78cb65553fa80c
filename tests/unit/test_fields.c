/* Input held against a field table: what passes and how it is stored, and the exact error for what does not. */
#include "util/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const choices[] = {"ended", "missed", "rejected", NULL};

enum { CONTENT, RECEIVER, LIMIT, STATUS, SIGNAL, USERNAME, PASSWORD };

static const struct field table[] = {
    [CONTENT] = {"content", FIELD_TEXT, 1, 4000, 0, NULL},
    [RECEIVER] = {"receiverId", FIELD_UUID, 0, 0, 0, NULL},
    [LIMIT] = {"limit", FIELD_INTEGER, 1, 100, 0, NULL},
    [STATUS] = {"status", FIELD_CHOICE, 0, 0, 0, choices},
    [SIGNAL] = {"signal", FIELD_JSON, 0, 0, 0, NULL},
    [USERNAME] = {"username", FIELD_USERNAME, 3, 64, 0, NULL},
    [PASSWORD] = {"password", FIELD_TEXT, 8, 1024, FIELD_SECRET, NULL},
    {0},
};

static const struct field query_table[] = {
    {"limit", FIELD_INTEGER, 1, 100, 0, NULL},
    {"search", FIELD_TEXT, 1, 10, 0, NULL},
    {"withUserId", FIELD_UUID, 0, 0, FIELD_REQUIRED, NULL},
    {0},
};

/* A copy of exactly the input's size, so that a sanitizer sees each read past its end; it is gone before values are
 * used. */
static bool read_copy(const struct field *fields, struct slice input, struct field_values *values,
                      bool (*read)(const struct field *, struct slice, struct field_values *))
{
    char *copy = malloc(input.length > 0 ? input.length : 1);
    memcpy(copy, input.data, input.length);
    fields_init(values);
    bool is_good = read(fields, (struct slice){copy, input.length}, values);
    memset(copy, '#', input.length);
    free(copy);
    return is_good;
}

static void assert_errors(const struct field *fields, struct slice input, const char *errors,
                          bool (*read)(const struct field *, struct slice, struct field_values *))
{
    struct field_values values;
    assert_false(read_copy(fields, input, &values, read));
    char *text = strndup(values.errors.length > 0 ? values.errors.data : "", values.errors.length);
    assert_string_equal(text, errors);
    assert_int_equal(fields_status(&values), STATUS_VALIDATION_ERROR);
    free(text);
    fields_dispose(&values);
}

static void assert_malformed(struct slice json)
{
    struct field_values values;
    assert_false(read_copy(table, json, &values, fields_read_json));
    assert_true(values.malformed);
    assert_int_equal(fields_status(&values), STATUS_INVALID_PAYLOAD);
    assert_int_equal(values.errors.length, 0);
    fields_dispose(&values);
}

#define assert_text(slice, text) assert_true(slice_equals((slice), slice_of(text)))
#define ERROR(path, message, rest) "{\"path\":\"" path "\",\"location\":\"body\",\"msg\":\"" message "\"" rest "}"
#define QUERY_ERROR(path, message, rest)                                                                               \
    "{\"path\":\"" path "\",\"location\":\"query\",\"msg\":\"" message "\"" rest "}"

static void test_every_type(void **state)
{
    (void)state;
    struct field_values values;
    assert_true(
        read_copy(table,
                  SLICE(" { \"content\" : \"a\\n\\u00e4\\ud83d\\ude00/\\\"\" ,"
                        "\"receiverId\":\"0123ABCD-4567-89ef-0011-aabbccddeeff\",\"limit\":100,\"status\":\"missed\","
                        "\"signal\" : { \"a\" : [1, 2.5e3, \"}\\\"\"], \"content\":null } ,"
                        "\"username\":\"Alice.B\",\"password\":\"12345678\"}\n"),
                  &values, fields_read_json));
    assert_int_equal(fields_status(&values), STATUS_OK);
    assert_text(values.values[CONTENT].text, "a\n\xc3\xa4\xf0\x9f\x98\x80/\"");
    assert_int_equal(values.values[RECEIVER].uuid.bytes[3], 0xcd);
    assert_int_equal(values.values[LIMIT].integer, 100);
    assert_int_equal(values.values[STATUS].integer, 1);
    assert_text(values.values[STATUS].text, "missed");
    assert_text(values.values[SIGNAL].text, "{ \"a\" : [1, 2.5e3, \"}\\\"\"], \"content\":null }");
    assert_text(values.values[USERNAME].text, "alice.b");
    assert_text(values.values[PASSWORD].text, "12345678");
    fields_dispose(&values);
}

static void test_absent_and_null_are_the_same(void **state)
{
    (void)state;
    static const char *const rows[] = {"{}", "{\"content\":null,\"limit\":null,\"signal\":null}"};
    for (size_t i = 0; i < 2; i++) {
        struct field_values values;
        assert_true(read_copy(table, slice_of(rows[i]), &values, fields_read_json));
        for (size_t field = CONTENT; field <= PASSWORD; field++) {
            assert_false(values.values[field].present);
        }
        fields_dispose(&values);
    }
}

static void test_raw_json_values(void **state)
{
    (void)state;
    static const char *const rows[] = {"1", "-0.5e+7", "true", "false", "\"x\\u00e4\"", "[]", "{}", "[[[]]]", "\"\""};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int form = 0; form < 3; form++) {
            static const char *const before[] = {"{\"signal\":", "{\"signal\" \n:\t", "{\"signal\":"};
            static const char *const after[] = {"}", " }", ",\"limit\":1}"};
            char json[100];
            int length = snprintf(json, sizeof json, "%s%s%s", before[form], rows[i], after[form]);
            struct field_values values;
            assert_true(read_copy(table, (struct slice){json, (size_t)length}, &values, fields_read_json));
            assert_text(values.values[SIGNAL].text, rows[i]);
            fields_dispose(&values);
        }
    }
}

static void test_wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *json, *errors;
    } rows[] = {
        {"{\"content\":5}", ERROR("content", "content must be a string", ",\"value\":5")},
        {"{\"content\":true}", ERROR("content", "content must be a string", ",\"value\":true")},
        {"{\"content\":{\"a\":1}}", ERROR("content", "content must be a string", "")},
        {"{\"content\":[\"a\"]}", ERROR("content", "content must be a string", "")},
        {"{\"content\":\"\"}", ERROR("content", "content must be 1 to 4000 characters", ",\"value\":\"\"")},
        {"{\"content\":\"a\\u0000b\"}", ERROR("content", "content must be well-formed Unicode text without NUL", "")},
        {"{\"content\":\"\\ud800\"}", ERROR("content", "content must be well-formed Unicode text without NUL", "")},
        {"{\"content\":\"\\udc00\\ud800\"}",
         ERROR("content", "content must be well-formed Unicode text without NUL", "")},
        {"{\"content\":\"\\ud800\\u0041\"}",
         ERROR("content", "content must be well-formed Unicode text without NUL", "")},
        {"{\"signal\":[\"\\udead\"]}", ERROR("signal", "signal must be well-formed Unicode without NUL", "")},
        {"{\"signal\":{\"\\u0000\":1}}", ERROR("signal", "signal must be well-formed Unicode without NUL", "")},
        {"{\"receiverId\":\"42\"}", ERROR("receiverId", "receiverId must be a UUID", ",\"value\":\"42\"")},
        {"{\"receiverId\":42}", ERROR("receiverId", "receiverId must be a UUID", ",\"value\":42")},
        {"{\"receiverId\":\"a\\\"b\"}", ERROR("receiverId", "receiverId must be a UUID", ",\"value\":\"a\\\"b\"")},
        {"{\"status\":\"gone\"}",
         ERROR("status", "status must be one of: ended, missed, rejected", ",\"value\":\"gone\"")},
        {"{\"status\":1}", ERROR("status", "status must be one of: ended, missed, rejected", ",\"value\":1")},
        {"{\"username\":\"ab\"}",
         ERROR("username", "username must be 3 to 64 of a-z 0-9 _ . @ + -", ",\"value\":\"ab\"")},
        {"{\"username\":\"a b c\"}",
         ERROR("username", "username must be 3 to 64 of a-z 0-9 _ . @ + -", ",\"value\":\"a b c\"")},
        {"{\"username\":7}", ERROR("username", "username must be a string", ",\"value\":7")},
        {"{\"password\":\"secret\"}", ERROR("password", "password must be 8 to 1024 characters", "")},
        {"{\"password\":12345678}", ERROR("password", "password must be a string", "")},
        {"{\"nothing\":1}", ERROR("nothing", "Unknown field", "")},
        {"{\"\":1}", ERROR("", "Unknown field", "")},
        {"{\"\\udc00\":1}", ERROR("", "Unknown field", "")},
        {"{\"limit\\u0000\":1}", ERROR("limit\\u0000", "Unknown field", "")},
        {"{\"Limit\":1}", ERROR("Limit", "Unknown field", "")},
        {"{\"limit\":1,\"limit\":2}", ERROR("limit", "Repeated field", "")},
        {"{\"limit\":1,\"lim\\u0069t\":2}", ERROR("limit", "Repeated field", "")},
        {"{\"limit\":null,\"limit\":2}", ERROR("limit", "Repeated field", "")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_errors(table, slice_of(rows[i].json), rows[i].errors, fields_read_json);
    }
}

static void test_numbers_that_are_not_whole_or_too_big(void **state)
{
    (void)state;
    static const char *const rows[] = {"0",
                                       "101",
                                       "-1",
                                       "1.5",
                                       "1.0",
                                       "1e1",
                                       "1E0",
                                       "-0",
                                       "9223372036854775807",
                                       "9223372036854775808",
                                       "-9223372036854775808",
                                       "-9223372036854775809",
                                       "18446744073709551617",
                                       "100000000000000000000000000001"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char json[100], errors[200];
        snprintf(json, sizeof json, "{\"limit\":%s}", rows[i]);
        snprintf(errors, sizeof errors, ERROR("limit", "limit must be a whole number from 1 to 100", ",\"value\":%s"),
                 rows[i]);
        assert_errors(table, slice_of(json), errors, fields_read_json);
    }
    assert_errors(table, SLICE("{\"limit\":\"5\"}"),
                  ERROR("limit", "limit must be a whole number from 1 to 100", ",\"value\":\"5\""), fields_read_json);
}

static void test_the_whole_range_of_integers(void **state)
{
    (void)state;
    static const struct field wide[] = {{"n", FIELD_INTEGER, INT64_MIN, INT64_MAX, 0, NULL}, {0}};
    static const int64_t rows[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"n\":%lld}", (long long)rows[i]);
        struct field_values values;
        assert_true(read_copy(wide, slice_of(json), &values, fields_read_json));
        assert_true(values.values[0].integer == rows[i]);
        fields_dispose(&values);
    }
}

static void test_lengths_count_code_points(void **state)
{
    (void)state;
    static const struct field four[] = {{"t", FIELD_TEXT, 4, 4, 0, NULL}, {0}};
    struct field_values values;
    assert_true(read_copy(four, SLICE("{\"t\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\"}"), &values, fields_read_json));
    fields_dispose(&values);
    assert_errors(four, SLICE("{\"t\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\"}"),
                  ERROR("t", "t must be 4 characters", ",\"value\":\"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\""),
                  fields_read_json);
}

static void test_the_length_of_json(void **state)
{
    (void)state;
    static const struct field eight[] = {{"j", FIELD_JSON, 0, 8, 0, NULL}, {0}};
    struct field_values values;
    assert_true(read_copy(eight, SLICE("{\"j\" : [1, 234] }"), &values, fields_read_json));
    assert_text(values.values[0].text, "[1, 234]");
    fields_dispose(&values);
    assert_errors(eight, SLICE("{\"j\":[1,  234]}"), ERROR("j", "j must be JSON of at most 8 bytes", ""),
                  fields_read_json);
    assert_errors(eight, SLICE("{\"j\":\"\xc3\xa4\xc3\xa4\xc3\xa4z\"}"),
                  ERROR("j", "j must be JSON of at most 8 bytes", ",\"value\":\"\xc3\xa4\xc3\xa4\xc3\xa4z\""),
                  fields_read_json);
}

static void test_required(void **state)
{
    (void)state;
    static const struct field required[] = {
        {"a", FIELD_TEXT, 1, 9, FIELD_REQUIRED, NULL}, {"b", FIELD_JSON, 0, 0, FIELD_REQUIRED, NULL}, {0}};
    assert_errors(required, SLICE("{}"), ERROR("a", "a is required", "") "," ERROR("b", "b is required", ""),
                  fields_read_json);
    assert_errors(required, SLICE("{\"a\":null,\"b\":null}"),
                  ERROR("a", "a is required", "") "," ERROR("b", "b is required", ""), fields_read_json);
    assert_errors(required, SLICE("{\"a\":1,\"b\":[]}"), ERROR("a", "a must be a string", ",\"value\":1"),
                  fields_read_json);
}

static void test_all_errors_at_once(void **state)
{
    (void)state;
    assert_errors(table, SLICE("{\"limit\":0,\"x\":[{\"limit\":1}],\"content\":\"\",\"receiverId\":false}"),
                  ERROR("limit", "limit must be a whole number from 1 to 100", ",\"value\":0") "," ERROR(
                      "x", "Unknown field", "") "," ERROR("content", "content must be 1 to 4000 characters",
                                                          ",\"value\":\"\"") "," ERROR("receiverId",
                                                                                       "receiverId must be a UUID",
                                                                                       ",\"value\":false"),
                  fields_read_json);
}

static void test_errors_are_bounded(void **state)
{
    (void)state;
    struct buffer json = buffer_init(1 << 20);
    for (int i = 0; i < 5000; i++) {
        buffer_printf(&json, "%c\"%064d\":\"\\u0001\"", i == 0 ? '{' : ',', i);
    }
    buffer_append_text(&json, "}");
    struct field_values values;
    assert_false(read_copy(table, buffer_slice(&json), &values, fields_read_json));
    assert_int_equal(values.error_count, 5000);
    assert_true(values.errors.length < 8192);
    assert_int_equal(fields_status(&values), STATUS_VALIDATION_ERROR);
    fields_dispose(&values);
    buffer_dispose(&json);
}

/* The cut falls into the middle of a character, and must not break it. */
static void test_long_values_are_cut(void **state)
{
    (void)state;
    struct buffer json = buffer_init(100000), errors = buffer_init(10000);
    buffer_append_text(&json, "{\"receiverId\":\"a");
    for (int i = 0; i < 5000; i++) {
        buffer_append_text(&json, "\xc3\xa4");
    }
    buffer_append_text(&json, "\"}");
    buffer_append_text(
        &errors, "{\"path\":\"receiverId\",\"location\":\"body\",\"msg\":\"receiverId must be a UUID\",\"value\":\"a");
    for (int i = 0; i < 31; i++) {
        buffer_append_text(&errors, "\xc3\xa4");
    }
    buffer_append(&errors, "\xe2\x80\xa6\"}", 6); /* with the terminator */
    assert_errors(table, buffer_slice(&json), errors.data, fields_read_json);
    buffer_dispose(&json);
    buffer_dispose(&errors);

    char digits[400] = "{\"limit\":", *end = digits + strlen(digits);
    memset(end, '1', 300);
    memcpy(end + 300, "}", 2);
    char expected[300];
    snprintf(expected, sizeof expected,
             ERROR("limit", "limit must be a whole number from 1 to 100", ",\"value\":\"%.64s\xe2\x80\xa6\""), end);
    assert_errors(table, slice_of(digits), expected, fields_read_json);
}

static void test_nesting(void **state)
{
    (void)state;
    for (int depth = FIELD_NESTING_MAX - 1; depth <= FIELD_NESTING_MAX + 1; depth++) {
        struct buffer json = buffer_init(1000);
        buffer_append_text(&json, "{\"signal\":");
        for (int i = 0; i < depth; i++) {
            buffer_append_text(&json, i % 2 == 0 ? "[" : "{\"k\":");
        }
        buffer_append_text(&json, "1");
        for (int i = depth - 1; i >= 0; i--) {
            buffer_append_char(&json, i % 2 == 0 ? ']' : '}');
        }
        buffer_append_char(&json, '}');
        if (depth <= FIELD_NESTING_MAX) {
            struct field_values values;
            assert_true(read_copy(table, buffer_slice(&json), &values, fields_read_json));
            assert_int_equal(values.values[SIGNAL].text.length, json.length - strlen("{\"signal\":}"));
            fields_dispose(&values);
        } else {
            assert_errors(table, buffer_slice(&json), ERROR("signal", "Nested too deeply", ""), fields_read_json);
        }
        buffer_dispose(&json);
    }
    struct buffer deep = buffer_init(300000);
    buffer_append_text(&deep, "{\"x\":");
    for (int i = 0; i < 200000; i++) {
        buffer_append_char(&deep, '[');
    }
    assert_errors(table, buffer_slice(&deep), ERROR("x", "Unknown field", "") "," ERROR("", "Nested too deeply", ""),
                  fields_read_json);
    buffer_dispose(&deep);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        {"", 0},
        {" ", 1},
        {"null", 4},
        {"1", 1},
        {"[]", 2},
        {"\"a\"", 3},
        {"true", 4},
        {"{", 1},
        {"{\"limit\":1", 10},
        {"{\"limit\":1]", 11},
        {"{\"limit\":1},", 12},
        {"{\"limit\":1}{}", 13},
        {"{} x", 4},
        {"{\"limit\":01}", 12},
        {"{\"limit\":+1}", 12},
        {"{\"limit\":.5}", 12},
        {"{\"limit\":1.}", 12},
        {"{\"limit\":NaN}", 13},
        {"{\"limit\":1,}", 12},
        {"{'limit':1}", 11},
        {"{limit:1}", 9},
        {"{/**/}", 6},
        {"\xef\xbb\xbf{}", 5},
        {"{\"content\":\"\xff\"}", 15},
        {"{\"content\":\"\xed\xa0\x80\"}", 17},
        {"{\"content\":\"\xc0\x80\"}", 16},
        {"{\"content\":\"a\nb\"}", 17},
        {"{\"content\":\"a\0b\"}", 17},
        {"{\"content\":\"\\x\"}", 16},
        {"{\"content\":\"\\u12g4\"}", 20},
        {"{\"content\":\"\\u12", 16},
        {"{\"content\":\"\\", 13},
        {"{\"content\":\"\\ud83d\\", 19},
        {"{\"bad\":1,\"limit\":0,", 19},
        {"{}\0", 3},
        {"{}\"", 3},
        {"{} 1", 4},
        {"{} -", 4},
        {"{}t", 3},
        {"{\f}", 3},
        {"{\"signal\":[1,\v2]}", 17},
        {"{\"signal\":[1.e5]}", 17},
        {"{\"signal\":[1e]}", 15},
        {"{\"signal\":[-01]}", 16},
        {"{\"signal\":[-]}", 14},
        {"{\"signal\":[1,]}", 15},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_malformed(rows[i]);
    }
}

/* Every beginning of a good object is malformed: broken off anywhere, at the right size for a sanitizer. */
static void test_every_beginning(void **state)
{
    (void)state;
    struct slice whole =
        SLICE("{\"content\":\"a\\n\\ud83d\\ude00\xc3\xa4\",\"limit\":10,\"signal\":[{\"a\":true},-1.5e3],\"x\":null}");
    for (size_t length = 0; length < whole.length; length++) {
        assert_malformed((struct slice){whole.data, length});
    }
}

static void test_long_texts_with_escapes(void **state)
{
    (void)state;
    static const struct field text[] = {{"t", FIELD_TEXT, 1, 1 << 20, 0, NULL}, {0}};
    for (size_t count = 1; count < 100000; count = count * 3 + 1) {
        struct buffer json = buffer_init(1 << 20);
        buffer_append_text(&json, "{\"t\":\"");
        for (size_t i = 0; i < count; i++) {
            buffer_append_text(&json, i % 2 == 0 ? "\\n" : "x");
        }
        buffer_append_text(&json, "\"}");
        struct field_values values;
        assert_true(read_copy(text, buffer_slice(&json), &values, fields_read_json));
        assert_int_equal(values.values[0].text.length, count);
        assert_int_equal(values.values[0].text.data[0], '\n');
        assert_int_equal(values.values[0].text.data[count - 1], count % 2 == 0 ? 'x' : '\n');
        fields_dispose(&values);
        json.length -= 2;
        assert_malformed(buffer_slice(&json));
        buffer_dispose(&json);
    }
}

static void test_query(void **state)
{
    (void)state;
    struct field_values values;
    assert_true(read_copy(query_table,
                          SLICE("&limit=20&unknown=%&unknown=2&&search=a+%C3%A4%2b%26&"
                                "%77ithUserId=0123abcd-4567-89ef-0011-aabbccddeeff"),
                          &values, fields_read_query));
    assert_int_equal(values.values[0].integer, 20);
    assert_text(values.values[1].text, "a \xc3\xa4+&");
    assert_int_equal(values.values[2].uuid.bytes[0], 0x01);
    fields_dispose(&values);
}

static void test_wrong_queries(void **state)
{
    (void)state;
    static const char required[] = QUERY_ERROR("withUserId", "withUserId is required", "");
    static const char number[] = "limit must be a whole number from 1 to 100";
    static const struct {
        const char *query, *message, *value;
    } rows[] = {
        {"limit=", number, "\"\""},
        {"limit", number, "\"\""},
        {"limit=0", number, "\"0\""},
        {"limit=1.5", number, "\"1.5\""},
        {"limit=abc", number, "\"abc\""},
        {"limit=-1", number, "\"-1\""},
        {"limit=+5", number, "\" 5\""},
        {"limit=05", number, "\"05\""},
        {"limit=99999999999999999999", number, "\"99999999999999999999\""},
    };
    assert_errors(query_table, SLICE(""), required, fields_read_query);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char errors[400];
        snprintf(errors, sizeof errors, QUERY_ERROR("limit", "%s", ",\"value\":%s") ",%s", rows[i].message,
                 rows[i].value, required);
        assert_errors(query_table, slice_of(rows[i].query), errors, fields_read_query);
    }
    static const char *const undecodable[] = {"search=%",    "search=%4",  "search=%zz",
                                              "search=a%00", "search=%ff", "search=%ed%a0%80"};
    for (size_t i = 0; i < sizeof undecodable / sizeof undecodable[0]; i++) {
        char errors[400];
        snprintf(errors, sizeof errors, "%s,%s",
                 QUERY_ERROR("search", "search must be well-formed Unicode text without NUL", ""), required);
        assert_errors(query_table, slice_of(undecodable[i]), errors, fields_read_query);
    }
    assert_errors(
        query_table, SLICE("limit=1&limit=2&withUserId=x&%zz=1"),
        QUERY_ERROR("limit", "Repeated field", "") "," QUERY_ERROR(
            "withUserId", "withUserId must be a UUID",
            ",\"value\":\"x\"") "," QUERY_ERROR("", "The query must be percent-encoded UTF-8 without NUL", ""),
        fields_read_query);
}

static void test_rules_between_fields(void **state)
{
    (void)state;
    struct field_values values;
    assert_true(read_copy(table, SLICE("{\"limit\":1}"), &values, fields_read_json));
    fields_add_error(&values, "receiverId", FIELD_IN_PATH, "receiverId or chatId is required");
    assert_int_equal(fields_status(&values), STATUS_VALIDATION_ERROR);
    assert_text(buffer_slice(&values.errors), "{\"path\":\"receiverId\",\"location\":\"path\",\"msg\":\"receiverId or "
                                              "chatId is required\"}");
    fields_dispose(&values);
}

static const struct field path_table[] = {
    {.name = "id", .type = FIELD_UUID, .flags = FIELD_OF_PATH},
    {.name = "note", .type = FIELD_TEXT, .min = 1, .max = 5},
    {0},
};

static void test_parts_of_paths(void **state)
{
    (void)state;
    struct field_values values;
    assert_true(read_copy(path_table, SLICE("{\"note\":\"hi\"}"), &values, fields_read_json));
    fields_read_path(path_table, SLICE("id"), SLICE("0190A0b0-c0d0-7123-8123-0123456789ab"), &values);
    assert_int_equal(fields_status(&values), STATUS_OK);
    assert_true(values.values[0].present && values.values[1].present);
    assert_int_equal(values.values[0].uuid.bytes[15], 0xab);
    fields_dispose(&values);

    assert_errors(path_table, SLICE("{\"id\":\"0190a0b0-c0d0-7123-8123-0123456789ab\"}"),
                  "{\"path\":\"id\",\"location\":\"body\",\"msg\":\"Unknown field\"}", fields_read_json);
    static const struct {
        struct slice part;
        const char *value;
    } rows[] = {{SLICE("x"), ",\"value\":\"x\""}, {SLICE("\xff"), ""}, {SLICE("a\0b"), ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[200];
        snprintf(expected, sizeof expected, "{\"path\":\"id\",\"location\":\"path\",\"msg\":\"id must be a UUID\"%s}",
                 rows[i].value);
        fields_init(&values);
        fields_read_path(path_table, SLICE("id"), rows[i].part, &values);
        assert_text(buffer_slice(&values.errors), expected);
        fields_dispose(&values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_absent_and_null_are_the_same),
        cmocka_unit_test(test_raw_json_values),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_numbers_that_are_not_whole_or_too_big),
        cmocka_unit_test(test_the_whole_range_of_integers),
        cmocka_unit_test(test_lengths_count_code_points),
        cmocka_unit_test(test_the_length_of_json),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_all_errors_at_once),
        cmocka_unit_test(test_errors_are_bounded),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_every_beginning),
        cmocka_unit_test(test_long_texts_with_escapes),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_wrong_queries),
        cmocka_unit_test(test_rules_between_fields),
        cmocka_unit_test(test_parts_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
