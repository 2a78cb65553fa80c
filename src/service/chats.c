#include "service/chats.h"

#include "render.h"
#include "work.h"

/* Room for an ordinary one, so that a list need not grow again and again. */
enum { CHAT_BYTES = 640 };

static void render_chat(struct work *work, const struct chat *chat)
{
    struct buffer *out = &work->json;
    buffer_append_text(out, "{\"chatId\":");
    json_uuid(out, chat->id);
    buffer_append_text(out, ",\"user\":");
    render_user(out, work->services, &chat->peer);
    buffer_append_text(out, ",\"latestMessage\":");
    if (chat->has_latest) {
        render_message(out, &chat->latest);
    } else {
        buffer_append_text(out, "null");
    }
    buffer_append_text(out, ",\"unreadCount\":");
    json_integer(out, chat->unread);
    buffer_append_char(out, '}');
}

/* One chat more than was asked for has been looked up: it tells whether there is a next page. */
static struct outcome finish_chats(struct work *work, const struct db_rows *rows)
{
    int limit = (int)work->kept.number, count = db_rows_count(rows);
    struct buffer next = buffer_init(128);
    buffer_reserve(&work->json, (size_t)count * CHAT_BYTES);
    buffer_append_char(&work->json, '[');
    for (int i = 0; i < count && i < limit; i++) {
        struct chat chat = chat_decode(rows, i, work->actor.id);
        buffer_append_text(&work->json, i > 0 ? "," : "");
        render_chat(work, &chat);
        if (i == limit - 1 && count > limit) {
            render_cursor(&next, chat.has_latest, chat.latest.created_at_us, chat.id);
        }
    }
    buffer_append_char(&work->json, ']');
    render_next_cursor(&work->pagination, buffer_slice(&next));
    buffer_dispose(&next);
    return work_success(work, STATUS_OK, "chats");
}

void chats_list(struct services *services, const struct actor *actor, int64_t limit, struct slice cursor,
                on_outcome *on_done, void *data)
{
    struct chat_cursor position = {.is_set = cursor.length > 0};
    if (position.is_set &&
        !render_parse_cursor(cursor, &position.has_time, &position.last_message_at_us, &position.chat_id)) {
        on_done(data, &(struct outcome){.status = STATUS_VALIDATION_ERROR});
        return;
    }
    struct work *work = work_create(services, actor, on_done, data);
    if (work != NULL) {
        work->kept.number = limit;
        chat_list(&work->call, actor->id, limit + 1, &position);
        work_read(work, finish_chats);
    }
}
