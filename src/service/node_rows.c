#include "node_rows.h"

#include <stdlib.h>

#include "realtime/presence.h"
#include "repository/node.h"
#include "util/uuid_map.h"
#include "work.h"

/* Rows are written one batch after the other, and always as it is by then, so that the last word is the right one, and
 * a user need not wait twice. What fails waits apart, until the node knows that the database is there. */

enum { BATCH_MAX = 256 };

struct row {
    struct node_rows *rows;
    struct row *next;
    struct uuid user_id;
    bool is_coming; /* on_coming is called when it has been written */
    bool is_held;   /* what is being written */
};

/* First come first. Owned. */
struct row_list {
    struct row *first, **last;
};

struct node_rows {
    struct services *services;
    struct uuid node_id;
    const struct node_rows_callbacks *callbacks;
    void *data;
    struct row_list unwritten, failed;
    struct uuid_map waiting; /* both, by their users */
    int writing;             /* on their way */
    bool is_stopped;
};

static const struct actor NOBODY = {.username = ""};

/* --- those that wait --- */

static void append(struct row_list *list, struct row *row)
{
    row->next = NULL;
    *list->last = row;
    list->last = &row->next;
}

static struct row *take(struct row_list *list)
{
    struct row *row = list->first;
    list->first = row->next;
    if (list->first == NULL) {
        list->last = &list->first;
    }
    return row;
}

static void keep(struct row_list *list, struct row *row)
{
    struct uuid_map *waiting = &row->rows->waiting;
    struct row *other = uuid_map_get(waiting, row->user_id);
    if (other == NULL && uuid_map_put(waiting, row->user_id, row)) {
        append(list, row);
        return;
    }
    if (other != NULL) {
        other->is_coming = other->is_coming || row->is_coming;
    }
    free(row);
}

static void free_list(struct row_list *list)
{
    while (list->first != NULL) {
        free(take(list));
    }
}

/* --- writing --- */

static void end_write(struct node_rows *rows)
{
    if (--rows->writing == 0) {
        node_rows_write(rows);
    }
}

static void tell(const struct row *row)
{
    const struct node_rows *rows = row->rows;
    if (row->is_coming) {
        rows->callbacks->on_coming(rows->data, row->user_id);
    }
    if (!row->is_held) {
        rows->callbacks->on_released(rows->data, row->user_id);
    }
}

static void on_written(void *data, const struct outcome *outcome)
{
    struct row *row = data;
    struct node_rows *rows = row->rows;
    if (outcome->status != STATUS_OK) {
        keep(&rows->failed, row);
    } else {
        if (!rows->is_stopped) {
            tell(row);
        }
        free(row);
    }
    end_write(rows);
}

static struct outcome finish(struct work *work, const struct db_rows *db_rows)
{
    (void)work, (void)db_rows;
    return (struct outcome){.status = STATUS_OK};
}

static void write_row(struct row *row)
{
    struct node_rows *rows = row->rows;
    struct uuid user_id = row->user_id;
    bool is_held = row->is_held = presence_is_here(rows->services->presence, user_id);
    struct work *work = work_create(rows->services, &NOBODY, on_written, row);
    if (work != NULL) {
        (is_held ? node_hold : node_release)(&work->call, rows->node_id, user_id);
        work_read(work, finish);
    }
}

/* A bounded number, so that a crowd that comes or goes leaves the database to the requests. */
void node_rows_write(struct node_rows *rows)
{
    if (rows->writing > 0 || rows->unwritten.first == NULL || rows->is_stopped) {
        return;
    }
    rows->writing = 1; /* until all are sent */
    for (int i = 0; i < BATCH_MAX && rows->unwritten.first != NULL; i++) {
        struct row *row = take(&rows->unwritten);
        uuid_map_remove(&rows->waiting, row->user_id);
        rows->writing++;
        write_row(row);
    }
    end_write(rows);
}

void node_rows_retry(struct node_rows *rows)
{
    while (rows->failed.first != NULL) {
        append(&rows->unwritten, take(&rows->failed));
    }
    node_rows_write(rows);
}

void node_rows_put(struct node_rows *rows, struct uuid user_id, bool is_coming)
{
    struct row *row = malloc(sizeof *row);
    if (row != NULL) {
        *row = (struct row){.rows = rows, .user_id = user_id, .is_coming = is_coming};
        keep(&rows->unwritten, row);
    }
}

/* --- life --- */

struct node_rows *node_rows_create(struct services *services, struct uuid node_id,
                                   const struct node_rows_callbacks *callbacks, void *data)
{
    struct node_rows *rows = calloc(1, sizeof *rows);
    if (rows != NULL) {
        *rows = (struct node_rows){.services = services,
                                   .node_id = node_id,
                                   .callbacks = callbacks,
                                   .data = data,
                                   .unwritten.last = &rows->unwritten.first,
                                   .failed.last = &rows->failed.first};
    }
    return rows;
}

void node_rows_stop(struct node_rows *rows)
{
    if (rows != NULL) {
        rows->is_stopped = true;
    }
}

void node_rows_destroy(struct node_rows *rows)
{
    if (rows != NULL) {
        free_list(&rows->unwritten);
        free_list(&rows->failed);
        uuid_map_dispose(&rows->waiting);
        free(rows);
    }
}
