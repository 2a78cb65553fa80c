/* Field tables: what a request or an event may carry, and the one reader that holds input against them.
 * A handler names its fields in a table and starts with good values; every bad field is reported at once. */
#ifndef STONECHAT_UTIL_FIELDS_H
#define STONECHAT_UTIL_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buffer.h"
#include "util/slice.h"
#include "util/status.h"
#include "util/uuid.h"

enum field_type {
    FIELD_TEXT,    /* a string of min..max Unicode code points, without NUL */
    FIELD_UUID,    /* a string that is a UUID */
    FIELD_INTEGER, /* a whole number of min..max (a JSON number, or digits in a query) */
    FIELD_CHOICE,  /* one of `choices` */
    FIELD_JSON,    /* any JSON value but null, kept as the text that came, of `max` bytes (0: as long as the input); its
                      nesting is bounded */
    FIELD_USERNAME /* min..max characters, lower-cased, then of [a-z0-9_.@+-] */
};

enum field_flags {
    FIELD_REQUIRED = 1,
    FIELD_SECRET = 2,  /* never echoed in an error */
    FIELD_OF_PATH = 4, /* read by fields_read_path alone: a body or a query that names it names nothing */
};

enum field_location { FIELD_IN_BODY, FIELD_IN_QUERY, FIELD_IN_PATH, FIELD_IN_HEADER };

/* One row of a table; a row with name NULL ends the table. At most FIELDS_MAX rows. */
struct field {
    const char *name;
    enum field_type type;
    int64_t min, max;
    unsigned flags;
    const char *const *choices; /* NULL-terminated, for FIELD_CHOICE */
};

enum { FIELDS_MAX = 12, FIELD_NESTING_MAX = 32 };

struct field_value {
    bool present;
    bool is_wrong;     /* it came, and is among the errors */
    struct slice text; /* TEXT, CHOICE, USERNAME: decoded; JSON: the raw text; lives as long as its field_values */
    int64_t integer;   /* INTEGER; CHOICE: the index of the choice */
    struct uuid uuid;  /* UUID */
};

/* What was read: values in the order of the table, the errors as the members of a JSON array, and the memory of both.
 * Values never point into the input. */
struct field_values {
    struct field_value values[FIELDS_MAX];
    struct buffer errors;  /* `{"path":…,"location":…,"msg":…,"value":…},…`; empty when all is well */
    struct buffer storage; /* decoded text; private; wiped when freed */
    unsigned error_count;  /* after FIELD_ERRORS_MAX of them no more are written */
    bool malformed;        /* the input was not a JSON object at all; `errors` is empty then */
    bool out_of_memory;
};

enum { FIELD_ERRORS_MAX = 20 };

/* An empty set of values; `fields_dispose` frees it. */
void fields_init(struct field_values *values);
void fields_dispose(struct field_values *values);

/* Reads a JSON object. Unknown and repeated members, wrong types, bad UTF-8, NUL, unpaired surrogates and too much
 * nesting are errors; null counts as absent. Returns true when all is well, and else `fields_status` tells why not. May
 * be called once on initialised values. */
bool fields_read_json(const struct field *fields, struct slice json, struct field_values *ret_values);

/* Reads `a=1&b=2` (percent-decoded, '+' is a space). Unknown parameters are ignored, repeated ones are errors. A table
 * for queries has no FIELD_JSON. Returns as fields_read_json. */
bool fields_read_query(const struct field *fields, struct slice query, struct field_values *ret_values);

/* Reads the part of a path that the row `name` stands for; the row has FIELD_OF_PATH, and is a FIELD_UUID or a
 * FIELD_INTEGER. `text` is decoded. Beside either of the above, before or after it. */
void fields_read_path(const struct field *fields, struct slice name, struct slice text, struct field_values *values);

/* Adds an error that the table cannot express (a rule between fields). */
void fields_add_error(struct field_values *values, const char *path, enum field_location location, const char *message);

/* STATUS_OK, STATUS_VALIDATION_ERROR (see `errors`), STATUS_INVALID_PAYLOAD (malformed) or STATUS_UNAVAILABLE (memory).
 */
enum status fields_status(const struct field_values *values);

#endif
