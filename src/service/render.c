#include "render.h"

#include "util/digits.h"

void render_optional_time(struct buffer *out, bool is_set, int64_t unix_us)
{
    if (is_set) {
        json_time(out, unix_us);
    } else {
        buffer_append_text(out, "null");
    }
}

void render_user(struct buffer *out, struct services *services, const struct user *user)
{
    buffer_append_text(out, "{\"id\":");
    json_uuid(out, user->id);
    buffer_append_text(out, ",\"username\":");
    json_string(out, user->username);
    buffer_append_text(out, ",\"online\":");
    json_boolean(out, presence_is_online(services->presence, user->id));
    buffer_append_text(out, ",\"lastSeen\":");
    render_optional_time(out, user->has_last_seen, user->last_seen_us);
    buffer_append_char(out, '}');
}

void render_message(struct buffer *out, const struct message *message)
{
    buffer_append_text(out, "{\"id\":");
    json_uuid(out, message->id);
    buffer_append_text(out, ",\"chatId\":");
    json_uuid(out, message->chat_id);
    buffer_append_text(out, ",\"seq\":");
    json_integer(out, message->seq);
    buffer_append_text(out, ",\"senderId\":");
    json_uuid(out, message->sender_id);
    if (!uuid_is_nil(message->receiver_id)) {
        buffer_append_text(out, ",\"receiverId\":");
        json_uuid(out, message->receiver_id);
    }
    buffer_append_text(out, ",\"content\":");
    json_string(out, message->content);
    if (message->client_id.data != NULL) {
        buffer_append_text(out, ",\"clientId\":");
        json_string(out, message->client_id);
    }
    buffer_append_text(out, ",\"seen\":");
    json_boolean(out, message->is_seen);
    buffer_append_text(out, ",\"createdAt\":");
    json_time(out, message->created_at_us);
    buffer_append_char(out, '}');
}

void render_cursor(struct buffer *out, bool has_time, int64_t unix_us, struct uuid id)
{
    char text[UUID_TEXT_LENGTH];
    uuid_format(id, text);
    buffer_append_char(out, '"');
    if (has_time) {
        json_integer(out, unix_us);
    } else {
        buffer_append_char(out, '-');
    }
    buffer_append_char(out, '.');
    buffer_append(out, text, sizeof text);
    buffer_append_char(out, '"');
}

bool render_parse_cursor(struct slice text, bool *ret_has_time, int64_t *ret_unix_us, struct uuid *ret_id)
{
    if (text.length < UUID_TEXT_LENGTH + 2) {
        return false;
    }
    size_t digits = text.length - UUID_TEXT_LENGTH - 1;
    struct slice id = {text.data + digits + 1, UUID_TEXT_LENGTH};
    bool has_time = text.data[0] != '-';
    int64_t unix_us = 0;
    bool is_time_good = has_time ? digits_read((struct slice){text.data, digits}, DIGITS_MAX, &unix_us) : digits == 1;
    if (text.data[digits] != '.' || !is_time_good || !uuid_parse(id, ret_id)) {
        return false;
    }
    *ret_has_time = has_time;
    *ret_unix_us = unix_us;
    return true;
}

void render_next_cursor(struct buffer *out, struct slice next)
{
    buffer_append_text(out, "{\"nextCursor\":");
    buffer_append_slice(out, next.length > 0 ? next : SLICE("null"));
    buffer_append_char(out, '}');
}
