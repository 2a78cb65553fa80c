#include "encode.h"

#include <assert.h>
#include <endian.h>

/* The wire form of a one-dimensional array: dimensions, a flag for NULLs, the element's type, length and lower bound,
 * then each element behind its length (src/backend/utils/adt/arrayfuncs.c, array_send). */

enum { OID_BOOL = 16, OID_INT8 = 20, OID_TEXT = 25, OID_TIMESTAMPTZ = 1184, OID_UUID = 2950 };

static const int64_t POSTGRES_EPOCH_US = 946684800000000; /* 2000-01-01 */

static uint32_t element_type(char type)
{
    switch (type) {
    case 'u':
    case 'U':
        return OID_UUID;
    case 't':
        return OID_TEXT;
    case 'i':
        return OID_INT8;
    case 'b':
        return OID_BOOL;
    case 'z':
        return OID_TIMESTAMPTZ;
    default:
        assert(!"a letter of db_statement.parameters");
        return 0;
    }
}

static void put_32(struct buffer *out, uint32_t value)
{
    value = htobe32(value);
    buffer_append(out, &value, sizeof value);
}

static void put_64(struct buffer *out, int64_t value)
{
    uint64_t bits = htobe64((uint64_t)value);
    put_32(out, sizeof bits);
    buffer_append(out, &bits, sizeof bits);
}

static void put_element(struct buffer *out, char type, const struct db_value *value)
{
    if (value->is_null) {
        put_32(out, UINT32_MAX);
        return;
    }
    switch (type) {
    case 'u':
    case 'U':
        put_32(out, sizeof value->uuid.bytes);
        buffer_append(out, value->uuid.bytes, sizeof value->uuid.bytes);
        break;
    case 't':
        put_32(out, (uint32_t)value->text.length);
        buffer_append_slice(out, value->text);
        break;
    case 'i':
        put_64(out, value->integer);
        break;
    case 'b':
        put_32(out, 1);
        buffer_append_char(out, value->integer != 0);
        break;
    case 'z':
        put_64(out, value->integer - POSTGRES_EPOCH_US);
        break;
    }
}

void encode_array(struct buffer *out, char type, const struct db_call *calls, int count, int index)
{
    put_32(out, 1);
    put_32(out, 1); /* there may be NULLs */
    put_32(out, element_type(type));
    put_32(out, (uint32_t)count);
    put_32(out, 1);
    for (const struct db_call *call = calls; call != NULL; call = call->next) {
        put_element(out, type, &call->values[index]);
    }
}
