#include "rows.h"

#include <assert.h>
#include <endian.h>
#include <stdatomic.h>
#include <stdlib.h>

static const int64_t POSTGRES_EPOCH_US = 946684800000000; /* 2000-01-01 */

struct db_result {
    atomic_int references;
    PGresult *result;
    int order[]; /* row numbers, those of a member side by side */
};

static int64_t integer_at(const PGresult *result, int row, int column)
{
    const char *bytes = PQgetvalue(result, row, column);
    switch (PQgetlength(result, row, column)) {
    case 1:
        return *bytes;
    case 2: {
        uint16_t value;
        memcpy(&value, bytes, sizeof value);
        return (int16_t)be16toh(value);
    }
    case 4: {
        uint32_t value;
        memcpy(&value, bytes, sizeof value);
        return (int32_t)be32toh(value);
    }
    case 8: {
        uint64_t value;
        memcpy(&value, bytes, sizeof value);
        return (int64_t)be64toh(value);
    }
    default:
        assert(!"an integer column");
        return 0;
    }
}

/* Counts each member's rows into starts[1…count], so that after a running sum starts[i] is where member i+1 begins. */
static bool count_rows(const PGresult *result, int count, int *starts)
{
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t ordinal = integer_at(result, row, 0);
        if (ordinal < 1 || ordinal > count) {
            return false;
        }
        starts[ordinal]++;
    }
    for (int i = 1; i <= count; i++) {
        starts[i] += starts[i - 1];
    }
    return true;
}

bool rows_distribute(PGresult *result, struct db_call *calls, int count)
{
    int row_count = PQntuples(result);
    struct db_result *shared = malloc(sizeof *shared + sizeof(int) * (size_t)row_count);
    int *starts = calloc((size_t)count + 1, sizeof *starts);
    if (shared == NULL || starts == NULL || !count_rows(result, count, starts)) {
        free(shared);
        free(starts);
        PQclear(result);
        return false;
    }
    atomic_init(&shared->references, count);
    shared->result = result;
    int i = 0;
    for (struct db_call *call = calls; call != NULL; call = call->next, i++) {
        call->rows = (struct db_rows){shared, starts[i], starts[i + 1] - starts[i]};
    }
    for (int row = 0; row < row_count; row++) {
        shared->order[starts[integer_at(result, row, 0) - 1]++] = row;
    }
    free(starts);
    return true;
}

void rows_unref(struct db_rows *rows)
{
    struct db_result *shared = rows->result;
    rows->result = NULL;
    if (shared != NULL && atomic_fetch_sub(&shared->references, 1) == 1) {
        PQclear(shared->result);
        free(shared);
    }
}

static int row_number(const struct db_rows *rows, int row)
{
    assert(row >= 0 && row < rows->count);
    return rows->result->order[rows->first + row];
}

bool db_is_null(const struct db_rows *rows, int row, int column)
{
    return PQgetisnull(rows->result->result, row_number(rows, row), column + 1);
}

struct slice db_text(const struct db_rows *rows, int row, int column)
{
    int number = row_number(rows, row);
    const PGresult *result = rows->result->result;
    return (struct slice){PQgetvalue(result, number, column + 1), (size_t)PQgetlength(result, number, column + 1)};
}

struct uuid db_uuid(const struct db_rows *rows, int row, int column)
{
    struct uuid uuid = {{0}};
    struct slice bytes = db_text(rows, row, column);
    assert(bytes.length == sizeof uuid.bytes || bytes.length == 0);
    memcpy(uuid.bytes, bytes.data, bytes.length);
    return uuid;
}

int64_t db_integer(const struct db_rows *rows, int row, int column)
{
    return integer_at(rows->result->result, row_number(rows, row), column + 1);
}

int64_t db_time_us(const struct db_rows *rows, int row, int column)
{
    return db_integer(rows, row, column) + POSTGRES_EPOCH_US;
}
