/* Holding input against a field table. Reading is on the way of each message, so that it costs one allocation: the
 * texts of all values together are never longer than the input, and `storage` gets that much at once and never moves.
 * yajl tells tokens; its own memory comes from an arena, whose greatest need is known (see arena_bytes), because yajl
 * does not check its allocations. A table row turns one token into one value, or into one error. */
#include "util/fields.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "util/hex.h"
#include "util/json.h"
#include "util/percent.h"
#include "util/utf8.h"

enum {
    ERRORS_MAX_BYTES = 64 * 1024,
    ECHO_MAX_BYTES = 64, /* of a value or a name in an error */
    MESSAGE_MAX_BYTES = 512,
    SMALL_INPUT_BYTES = 1024 /* up to here the arena lies on the stack */
};

enum token_kind { TOKEN_TEXT, TOKEN_NUMBER, TOKEN_LITERAL, TOKEN_COMPOUND, TOKEN_PARAMETER };

/* One value as it came. */
struct token {
    enum token_kind kind;
    struct slice text; /* decoded; for TOKEN_COMPOUND as it came */
    struct slice raw;  /* as it came */
    bool is_sound;     /* well-formed UTF-8 without NUL */
    enum field_location location;
};

void fields_init(struct field_values *values)
{
    *values = (struct field_values){.errors = buffer_init(ERRORS_MAX_BYTES)};
}

void fields_dispose(struct field_values *values)
{
    if (values->storage.data != NULL) {
        explicit_bzero(values->storage.data, values->storage.length);
    }
    buffer_dispose(&values->storage);
    buffer_dispose(&values->errors);
}

enum status fields_status(const struct field_values *values)
{
    if (values->out_of_memory) {
        return STATUS_UNAVAILABLE;
    }
    if (values->malformed) {
        return STATUS_INVALID_PAYLOAD;
    }
    return values->error_count > 0 ? STATUS_VALIDATION_ERROR : STATUS_OK;
}

/* --- errors --- */

static void append_echo(struct buffer *out, struct slice text)
{
    struct slice cut = utf8_cut(text, ECHO_MAX_BYTES);
    json_string(out, cut);
    if (cut.length < text.length) {
        out->length--; /* the closing quote */
        buffer_append_text(out, "…\"");
    }
}

/* Opens an error; the caller may add a value, and closes it. False when it is not to be written. */
static bool begin_error(struct field_values *values, struct slice path, enum field_location location,
                        const char *message)
{
    static const char *const locations[] = {
        [FIELD_IN_BODY] = "body", [FIELD_IN_QUERY] = "query", [FIELD_IN_PATH] = "path", [FIELD_IN_HEADER] = "header"};
    values->error_count++;
    if (values->error_count > FIELD_ERRORS_MAX) {
        return false;
    }
    struct buffer *out = &values->errors;
    buffer_append_text(out, out->length > 0 ? ",{\"path\":" : "{\"path\":");
    append_echo(out, path);
    buffer_append_text(out, ",\"location\":\"");
    buffer_append_text(out, locations[location]);
    buffer_append_text(out, "\",\"msg\":");
    json_string(out, slice_of(message));
    return true;
}

static void end_error(struct field_values *values)
{
    buffer_append_char(&values->errors, '}');
    values->out_of_memory |= values->errors.failed;
}

static void add_error(struct field_values *values, struct slice path, enum field_location location, const char *message)
{
    if (begin_error(values, path, location, message)) {
        end_error(values);
    }
}

void fields_add_error(struct field_values *values, const char *path, enum field_location location, const char *message)
{
    add_error(values, slice_of(path), location, message);
}

static void echo_value(struct field_values *values, const struct token *token)
{
    struct buffer *out = &values->errors;
    bool is_plain =
        token->kind == TOKEN_LITERAL || (token->kind == TOKEN_NUMBER && token->text.length <= ECHO_MAX_BYTES);
    buffer_append_text(out, ",\"value\":");
    if (is_plain) {
        buffer_append_slice(out, token->text);
    } else {
        append_echo(out, token->text);
    }
}

static void describe_range(struct buffer *out, const struct field *field, const char *unit)
{
    if (field->min == field->max) {
        json_integer(out, field->min);
    } else {
        json_integer(out, field->min);
        buffer_append_text(out, " to ");
        json_integer(out, field->max);
    }
    buffer_append_text(out, unit);
}

static void describe_choices(struct buffer *out, const struct field *field)
{
    buffer_append_text(out, "one of: ");
    for (size_t i = 0; field->choices[i] != NULL; i++) {
        buffer_append_text(out, i > 0 ? ", " : "");
        buffer_append_text(out, field->choices[i]);
    }
}

/* What the field must be, as the rest of the sentence "<name> must be …". */
static void describe_rule(struct buffer *out, const struct field *field, const struct token *token)
{
    bool is_text = field->type == FIELD_TEXT || field->type == FIELD_USERNAME;
    if (is_text && token->kind != TOKEN_TEXT && token->kind != TOKEN_PARAMETER) {
        buffer_append_text(out, "a string");
    } else if (is_text && !token->is_sound) {
        buffer_append_text(out, "well-formed Unicode text without NUL");
    } else if (field->type == FIELD_TEXT) {
        describe_range(out, field, " characters");
    } else if (field->type == FIELD_USERNAME) {
        describe_range(out, field, " of a-z 0-9 _ . @ + -");
    } else if (field->type == FIELD_UUID) {
        buffer_append_text(out, "a UUID");
    } else if (field->type == FIELD_INTEGER) {
        buffer_append_text(out, "a whole number from ");
        describe_range(out, field, "");
    } else if (field->type == FIELD_CHOICE) {
        describe_choices(out, field);
    } else if (!token->is_sound) {
        buffer_append_text(out, "well-formed Unicode without NUL");
    } else {
        buffer_append_text(out, "JSON of at most ");
        json_integer(out, field->max);
        buffer_append_text(out, " bytes");
    }
}

static void add_field_error(struct field_values *values, const struct field *field, const struct token *token)
{
    char text[MESSAGE_MAX_BYTES];
    struct buffer message = {.data = text, .capacity = sizeof text - 1, .max_bytes = sizeof text - 1};
    buffer_append_text(&message, field->name);
    buffer_append_text(&message, " must be ");
    describe_rule(&message, field, token);
    text[message.length] = '\0';
    if (!begin_error(values, slice_of(field->name), token->location, text)) {
        return;
    }
    if ((field->flags & FIELD_SECRET) == 0 && token->kind != TOKEN_COMPOUND && token->is_sound) {
        echo_value(values, token);
    }
    end_error(values);
}

/* --- values: one token against one row --- */

/* There is always room: see the head of the file. */
static struct slice store(struct field_values *values, struct slice text)
{
    if (text.length == 0) {
        return SLICE("");
    }
    assert(text.length <= values->storage.capacity - values->storage.length);
    char *copy = buffer_reserve(&values->storage, text.length);
    memcpy(copy, text.data, text.length);
    values->storage.length += text.length;
    return (struct slice){copy, text.length};
}

static inline bool is_text(const struct token *token)
{
    return token->kind == TOKEN_TEXT || token->kind == TOKEN_PARAMETER;
}

static bool read_text(struct field_values *values, const struct field *field, const struct token *token,
                      struct field_value *value)
{
    if (!is_text(token) || !token->is_sound) {
        return false;
    }
    int64_t characters = (int64_t)utf8_count(token->text);
    if (characters < field->min || characters > field->max) {
        return false;
    }
    value->text = store(values, token->text);
    return true;
}

static bool read_username(struct field_values *values, const struct field *field, const struct token *token,
                          struct field_value *value)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.@+-";
    char name[256];
    assert(field->max <= (int64_t)sizeof name);
    size_t length = token->text.length;
    if (!is_text(token) || (int64_t)length < field->min || (int64_t)length > field->max) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = token->text.data[i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
        if (memchr(allowed, name[i], sizeof allowed - 1) == NULL) {
            return false;
        }
    }
    value->text = store(values, (struct slice){name, length});
    return true;
}

static bool read_uuid(struct field_values *values, const struct field *field, const struct token *token,
                      struct field_value *value)
{
    (void)values, (void)field;
    return is_text(token) && uuid_parse(token->text, &value->uuid);
}

static bool parse_integer(struct slice text, int64_t *ret_integer)
{
    bool is_negative = text.length > 0 && text.data[0] == '-';
    size_t at = is_negative ? 1 : 0;
    if (at == text.length || (text.data[at] == '0' && text.length > 1)) {
        return false;
    }
    int64_t integer = 0;
    for (; at < text.length; at++) {
        unsigned digit = (unsigned char)text.data[at] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(integer, 10, &integer) ||
            __builtin_sub_overflow(integer, (int64_t)digit, &integer)) { /* below zero there is one number more */
            return false;
        }
    }
    if (!is_negative && __builtin_sub_overflow(0, integer, &integer)) {
        return false;
    }
    *ret_integer = integer;
    return true;
}

static bool read_integer(struct field_values *values, const struct field *field, const struct token *token,
                         struct field_value *value)
{
    (void)values;
    return (token->kind == TOKEN_NUMBER || token->kind == TOKEN_PARAMETER) &&
           parse_integer(token->text, &value->integer) && value->integer >= field->min && value->integer <= field->max;
}

static bool read_choice(struct field_values *values, const struct field *field, const struct token *token,
                        struct field_value *value)
{
    for (size_t i = 0; is_text(token) && field->choices[i] != NULL; i++) {
        if (slice_equals(slice_of(field->choices[i]), token->text)) {
            value->integer = (int64_t)i;
            value->text = store(values, token->text);
            return true;
        }
    }
    return false;
}

static bool read_json(struct field_values *values, const struct field *field, const struct token *token,
                      struct field_value *value)
{
    bool is_too_long = field->max > 0 && token->raw.length > (size_t)field->max;
    if (!token->is_sound || is_too_long) {
        return false;
    }
    value->text = store(values, token->raw);
    return true;
}

static void read_value(struct field_values *values, const struct field *fields, size_t index, const struct token *token)
{
    static bool (*const readers[])(struct field_values *, const struct field *, const struct token *,
                                   struct field_value *) = {
        [FIELD_TEXT] = read_text,     [FIELD_UUID] = read_uuid, [FIELD_INTEGER] = read_integer,
        [FIELD_CHOICE] = read_choice, [FIELD_JSON] = read_json, [FIELD_USERNAME] = read_username,
    };
    const struct field *field = &fields[index];
    struct field_value value = {.present = true};
    if (readers[field->type](values, field, token, &value)) {
        values->values[index] = value;
    } else {
        values->values[index].is_wrong = true;
        add_field_error(values, field, token);
    }
}

/* The row of that name with these of the flags FIELD_OF_PATH, or -1. */
static int find_row(const struct field *fields, struct slice name, unsigned of_path)
{
    for (int i = 0; fields[i].name != NULL; i++) {
        assert(i < FIELDS_MAX);
        if ((fields[i].flags & FIELD_OF_PATH) == of_path && slice_equals(slice_of(fields[i].name), name)) {
            return i;
        }
    }
    return -1;
}

static int find_field(const struct field *fields, struct slice name)
{
    return find_row(fields, name, 0);
}

/* Fields that were there with a bad value have their error already: `seen` has a bit for each. */
static void check_required(struct field_values *values, const struct field *fields, unsigned seen,
                           enum field_location location)
{
    char message[MESSAGE_MAX_BYTES];
    for (size_t i = 0; fields[i].name != NULL; i++) {
        if ((fields[i].flags & FIELD_REQUIRED) == 0 || (seen & 1u << i) != 0) {
            continue;
        }
        struct buffer text = {.data = message, .capacity = sizeof message - 1, .max_bytes = sizeof message - 1};
        buffer_append_text(&text, fields[i].name);
        buffer_append_text(&text, " is required");
        message[text.length] = '\0';
        add_error(values, slice_of(fields[i].name), location, message);
    }
}

/* Gives `storage` room for all the texts that an input of this length can carry. */
static bool make_room(struct field_values *values, size_t input_bytes)
{
    values->storage = buffer_init(input_bytes);
    if (input_bytes > 0 && buffer_reserve(&values->storage, input_bytes) == NULL) {
        values->out_of_memory = true;
    }
    return !values->out_of_memory;
}

/* --- JSON --- */

struct json_reader {
    const struct field *fields;
    struct field_values *values;
    struct slice input;
    yajl_handle parser;
    int nesting;             /* 1 between the members of the object itself */
    int index;               /* the row of the member being read, -1 for one that no row names */
    size_t value_start;      /* after the name of that member */
    bool has_ended;          /* the object was closed, and nothing but white space follows */
    unsigned named, settled; /* bits of rows: name seen; has a value or an error */
};

/* The memory of one parse. yajl frees nothing before the end that would be worth having back. */
struct arena {
    char *data;
    size_t used, capacity, last; /* `last`: where the newest block begins; that one grows in place */
};

/* What yajl 2.1 asks for at most: its handle, lexer, two empty buffers and a stack of one block (for nesting is
 * bounded); the buffer of a decoded string, which doubles from 2,048 bytes and moves each time; and the lexer's, which
 * gets the token that the input breaks off in. */
static size_t arena_bytes(size_t input_bytes)
{
    return 2048 + 4 * (2 * input_bytes + 2048);
}

enum { SMALL_ARENA_BYTES = 2048 + 4 * (2 * SMALL_INPUT_BYTES + 2048) };

static void *arena_malloc(void *context, size_t bytes)
{
    struct arena *arena = context;
    size_t start = (arena->used + 15) & ~(size_t)15;
    assert(bytes <= arena->capacity && start <= arena->capacity - bytes);
    arena->last = start;
    arena->used = start + bytes;
    return arena->data + start;
}

static void *arena_realloc(void *context, void *block, size_t bytes)
{
    struct arena *arena = context;
    if (block == NULL) {
        return arena_malloc(context, bytes);
    }
    size_t start = (size_t)((char *)block - arena->data);
    if (start == arena->last) {
        assert(bytes <= arena->capacity - start);
        arena->used = start + bytes;
        return block;
    }
    size_t old_bytes = arena->used - start; /* at most: what lies behind it is copied too */
    void *moved = arena_malloc(context, bytes);
    memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
    return moved;
}

static void arena_free(void *context, void *block)
{
    (void)context, (void)block;
}

static size_t consumed(const struct json_reader *reader)
{
    return yajl_get_bytes_consumed(reader->parser);
}

/* The four hex digits at `at` (yajl has checked that they are), or 0 past the end. */
static unsigned escaped_unit(struct slice text, size_t at)
{
    unsigned unit = 0;
    for (size_t i = at; i < at + 4 && i < text.length; i++) {
        unit = unit << 4 | (unsigned)hex_value(text.data[i]);
    }
    return unit;
}

/* False when JSON text escapes a NUL or half a surrogate pair. In text that yajl has passed, a backslash stands in
 * strings only. */
static bool escapes_are_sound(struct slice raw)
{
    size_t at = 0;
    while (at < raw.length) {
        const char *backslash = memchr(raw.data + at, '\\', raw.length - at);
        if (backslash == NULL) {
            return true;
        }
        at = (size_t)(backslash - raw.data) + 2;
        if (backslash[1] != 'u') {
            continue;
        }
        unsigned unit = escaped_unit(raw, at);
        at += 4;
        if (unit >= 0xd800 && unit <= 0xdbff) {
            bool is_followed = at + 6 <= raw.length && raw.data[at] == '\\' && raw.data[at + 1] == 'u';
            unsigned low = is_followed ? escaped_unit(raw, at + 2) : 0;
            if (low < 0xdc00 || low > 0xdfff) {
                return false;
            }
            at += 6;
        } else if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
            return false;
        }
    }
    return true;
}

/* The text of the value that has just ended. */
static struct slice raw_value(const struct json_reader *reader)
{
    const char *start = reader->input.data + reader->value_start, *end = reader->input.data + consumed(reader);
    while (start < end && strchr(" \t\r\n:", *start) != NULL) {
        start++;
    }
    return (struct slice){start, (size_t)(end - start)};
}

static int finish_value(struct json_reader *reader, enum token_kind kind, struct slice text)
{
    if (reader->index < 0) {
        return 1;
    }
    struct slice raw = raw_value(reader);
    struct token token = {.kind = kind,
                          .text = kind == TOKEN_COMPOUND ? raw : text,
                          .raw = raw,
                          .is_sound = escapes_are_sound(raw),
                          .location = FIELD_IN_BODY};
    reader->settled |= 1u << reader->index;
    read_value(reader->values, reader->fields, (size_t)reader->index, &token);
    return 1;
}

static int on_scalar(struct json_reader *reader, enum token_kind kind, struct slice text)
{
    if (reader->nesting == 0) {
        return 0;
    }
    return reader->nesting > 1 ? 1 : finish_value(reader, kind, text);
}

static int on_null(void *context)
{
    return ((struct json_reader *)context)->nesting > 0; /* as good as absent */
}

static int on_boolean(void *context, int is_true)
{
    return on_scalar(context, TOKEN_LITERAL, is_true ? SLICE("true") : SLICE("false"));
}

static int on_number(void *context, const char *digits, size_t length)
{
    return on_scalar(context, TOKEN_NUMBER, (struct slice){digits, length});
}

static int on_string(void *context, const unsigned char *text, size_t length)
{
    return on_scalar(context, TOKEN_TEXT, (struct slice){(const char *)text, length});
}

static int on_key(void *context, const unsigned char *text, size_t length)
{
    struct json_reader *reader = context;
    if (reader->nesting > 1) {
        return 1;
    }
    struct slice name = {(const char *)text, length};
    reader->value_start = consumed(reader);
    reader->index = find_field(reader->fields, name);
    if (reader->index < 0) {
        bool is_sound = utf8_is_valid(name);
        add_error(reader->values, is_sound ? name : SLICE(""), FIELD_IN_BODY, "Unknown field");
    } else if ((reader->named & 1u << reader->index) != 0) {
        add_error(reader->values, name, FIELD_IN_BODY, "Repeated field");
        reader->index = -1;
    } else {
        reader->named |= 1u << reader->index;
    }
    return 1;
}

static int on_open(struct json_reader *reader)
{
    reader->nesting++;
    if (reader->nesting - 1 <= FIELD_NESTING_MAX) {
        return 1;
    }
    const char *name = reader->index < 0 ? "" : reader->fields[reader->index].name;
    fields_add_error(reader->values, name, FIELD_IN_BODY, "Nested too deeply");
    return 0;
}

static int on_start_map(void *context)
{
    return on_open(context);
}

static int on_start_array(void *context)
{
    struct json_reader *reader = context;
    return reader->nesting > 0 && on_open(reader);
}

static struct slice rest_of_input(const struct json_reader *reader)
{
    size_t end = consumed(reader);
    return (struct slice){reader->input.data + end, reader->input.length - end};
}

static bool is_blank(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (memchr(" \t\r\n", text.data[i], 4) == NULL) {
            return false;
        }
    }
    return true;
}

static int on_end(void *context)
{
    struct json_reader *reader = context;
    reader->nesting--;
    if (reader->nesting == 0) {
        reader->has_ended = is_blank(rest_of_input(reader));
        return reader->has_ended;
    }
    return reader->nesting == 1 ? finish_value(reader, TOKEN_COMPOUND, SLICE("")) : 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

/* yajl takes vertical tabs and form feeds for white space; JSON has no place for them, and raw values are passed on. */
static bool has_odd_space(struct slice json)
{
    return memchr(json.data, '\v', json.length) != NULL || memchr(json.data, '\f', json.length) != NULL;
}

static bool parse(struct json_reader *reader, struct arena *arena)
{
    yajl_alloc_funcs memory = {arena_malloc, arena_realloc, arena_free, arena};
    reader->parser = yajl_alloc(&callbacks, &memory, reader);
    yajl_config(reader->parser, yajl_dont_validate_strings, 1); /* checked before, and more strictly */
    const unsigned char *text = (const unsigned char *)reader->input.data;
    yajl_status status = yajl_parse(reader->parser, text, reader->input.length);
    /* yajl_complete_parse would not do: it lets a string pass that begins behind the object and is not closed */
    yajl_free(reader->parser);
    return status == yajl_status_ok && reader->has_ended;
}

bool fields_read_json(const struct field *fields, struct slice json, struct field_values *ret_values)
{
    struct field_values *values = ret_values;
    if (json.length == 0 || !utf8_is_valid(json) || has_odd_space(json)) {
        values->malformed = true;
        return false;
    }
    char small[SMALL_ARENA_BYTES];
    struct arena arena = {.data = small, .capacity = sizeof small};
    if (json.length > SMALL_INPUT_BYTES) {
        arena = (struct arena){.data = malloc(arena_bytes(json.length)), .capacity = arena_bytes(json.length)};
    }
    if (arena.data == NULL || !make_room(values, json.length)) {
        values->out_of_memory = true;
        goto done;
    }
    struct json_reader reader = {.fields = fields, .values = values, .input = json, .index = -1};
    if (parse(&reader, &arena)) {
        check_required(values, fields, reader.settled, FIELD_IN_BODY);
    } else if (reader.nesting - 1 <= FIELD_NESTING_MAX) {
        values->malformed = true;
        values->error_count = 0;
        buffer_dispose(&values->errors);
    }
done:
    if (arena.data != small) {
        free(arena.data);
    }
    return fields_status(values) == STATUS_OK;
}

/* --- queries --- */

/* Decodes into `out`, which has room for it and a terminator. False for a bad escape, bad UTF-8 or NUL. */
static bool decode(struct slice text, char *out, struct slice *ret_decoded)
{
    return percent_decode(text, true, out, text.length + 1, ret_decoded) && utf8_is_valid(*ret_decoded);
}

static void read_parameter(const struct field *fields, struct slice parameter, char *scratch, unsigned *seen,
                           struct field_values *values)
{
    struct slice name, value = parameter, raw_name = slice_take_until(&value, '=');
    if (!decode(raw_name, scratch, &name)) {
        add_error(values, SLICE(""), FIELD_IN_QUERY, "The query must be percent-encoded UTF-8 without NUL");
        return;
    }
    int index = find_field(fields, name);
    if (index < 0) {
        return;
    }
    if ((*seen & 1u << index) != 0) {
        add_error(values, name, FIELD_IN_QUERY, "Repeated field");
        return;
    }
    *seen |= 1u << index;
    struct token token = {.kind = TOKEN_PARAMETER, .raw = value, .location = FIELD_IN_QUERY};
    token.is_sound = decode(value, scratch, &token.text);
    if (!token.is_sound) {
        token.text = SLICE("");
    }
    assert(fields[index].type != FIELD_JSON);
    read_value(values, fields, (size_t)index, &token);
}

bool fields_read_query(const struct field *fields, struct slice query, struct field_values *ret_values)
{
    struct field_values *values = ret_values;
    char *scratch = malloc(query.length + 1);
    if (scratch == NULL || !make_room(values, query.length)) {
        values->out_of_memory = true;
        goto done;
    }
    unsigned seen = 0;
    struct slice rest = query;
    while (rest.length > 0) {
        struct slice parameter = slice_take_until(&rest, '&');
        if (parameter.length > 0) {
            read_parameter(fields, parameter, scratch, &seen, values);
        }
    }
    check_required(values, fields, seen, FIELD_IN_QUERY);
done:
    free(scratch);
    return fields_status(values) == STATUS_OK;
}

/* --- paths --- */

void fields_read_path(const struct field *fields, struct slice name, struct slice text, struct field_values *values)
{
    int index = find_row(fields, name, FIELD_OF_PATH);
    bool is_sound = utf8_is_valid(text) && memchr(text.data, '\0', text.length) == NULL;
    struct token token = {.kind = TOKEN_PARAMETER,
                          .text = is_sound ? text : SLICE(""),
                          .raw = text,
                          .is_sound = is_sound,
                          .location = FIELD_IN_PATH};
    assert(index >= 0 && (fields[index].type == FIELD_UUID || fields[index].type == FIELD_INTEGER));
    read_value(values, fields, (size_t)index, &token);
}
