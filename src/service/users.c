#include "service/users.h"

#include "render.h"
#include "work.h"

static struct outcome finish_self(struct work *work, const struct db_rows *rows)
{
    if (db_rows_count(rows) == 0) {
        return (struct outcome){.status = STATUS_NOT_FOUND, .message = "User not found"};
    }
    struct user user = user_decode(rows, 0, 0);
    render_user(&work->json, work->services, &user);
    return work_success(work, STATUS_OK, "user");
}

void users_get_self(struct services *services, const struct actor *actor, on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        user_find(&work->call, actor->id);
        work_read(work, finish_self);
    }
}

static struct outcome finish_search(struct work *work, const struct db_rows *rows)
{
    buffer_append_char(&work->json, '[');
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct user user = user_decode(rows, i, 0);
        buffer_append_text(&work->json, i > 0 ? "," : "");
        render_user(&work->json, work->services, &user);
    }
    buffer_append_char(&work->json, ']');
    return work_success(work, STATUS_OK, "users");
}

void users_search(struct services *services, const struct actor *actor, struct slice prefix, int64_t max,
                  on_outcome *on_done, void *data)
{
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        user_search(&work->call, actor->id, prefix, max);
        work_read(work, finish_search);
    }
}
