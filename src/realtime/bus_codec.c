#include "bus_codec.h"

#include <inttypes.h>

#include "json_scan.h"
#include "realtime/session.h"

/* A message is lines of text: the sender's id, then an item a line.
 *
 *     h<user>:<seq>                              the user's log has grown to seq
 *     d<user>:<seq> <origin> <type> <json>       by this event, which the session `origin` (nil for none) caused
 *     e<user>[,<user>…] <type> <json>            an ephemeral event
 *     n<node>  x<node>                           the node is here; is dead
 *     +<node><user>  -<node><user>               the user has come to the node; has left it
 *     ~<node><user>                              has left it, and his contacts were not told
 *     r<node><user>                              logins of the user have been revoked on the node
 *
 * Anybody may have written it, so that reading is strict: it is all there in exactly this form, or it is no item. */

enum { TYPE_MAX_BYTES = 64 };

/* --- writing --- */

static void append_uuid(struct buffer *out, struct uuid id)
{
    char text[UUID_TEXT_LENGTH];
    uuid_format(id, text);
    buffer_append(out, text, sizeof text);
}

/* White space in JSON may be newlines, which end an item here. */
static void append_json(struct buffer *out, struct slice json)
{
    char *at = buffer_reserve(out, json.length);
    for (size_t i = 0; at != NULL && i < json.length; i++) {
        at[i] = (char)(json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : json.data[i]);
    }
    out->length += at != NULL ? json.length : 0;
}

static void append_event(struct buffer *out, const struct hub_event *event)
{
    buffer_append_char(out, ' ');
    buffer_append_slice(out, event->type);
    buffer_append_char(out, ' ');
    append_json(out, event->payload);
    buffer_append_char(out, '\n');
}

void bus_codec_write_sender(struct buffer *out, struct uuid node_id)
{
    append_uuid(out, node_id);
    buffer_append_char(out, '\n');
}

static void append_place(struct buffer *out, char letter, const struct hub_recipient *recipient)
{
    buffer_append_char(out, letter);
    append_uuid(out, recipient->user_id);
    buffer_printf(out, ":%" PRId64, recipient->seq);
}

void bus_codec_write_hint(struct buffer *out, const struct hub_recipient *recipient)
{
    append_place(out, 'h', recipient);
    buffer_append_char(out, '\n');
}

void bus_codec_write_durable(struct buffer *out, const struct hub_event *event, const struct hub_recipient *recipient)
{
    append_place(out, 'd', recipient);
    buffer_append_char(out, ' ');
    append_uuid(out, event->origin);
    append_event(out, event);
}

void bus_codec_write_ephemeral(struct buffer *out, const struct hub_event *event,
                               const struct hub_recipient *recipients, int recipient_count)
{
    for (int i = 0; i < recipient_count; i++) {
        buffer_append_char(out, i == 0 ? 'e' : ',');
        append_uuid(out, recipients[i].user_id);
    }
    append_event(out, event);
}

static const char NEWS_LETTERS[] = {
    [BUS_NEWS_HELLO] = 'n',  [BUS_NEWS_GONE] = 'x',          [BUS_NEWS_ENTERS] = '+',
    [BUS_NEWS_LEAVES] = '-', [BUS_NEWS_LEAVES_UNTOLD] = '~', [BUS_NEWS_REVOKED] = 'r',
};

static bool names_user(enum bus_news news)
{
    return news != BUS_NEWS_HELLO && news != BUS_NEWS_GONE;
}

void bus_codec_write_news(struct buffer *out, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    buffer_append_char(out, NEWS_LETTERS[news]);
    append_uuid(out, node_id);
    if (names_user(news)) {
        append_uuid(out, user_id);
    }
    buffer_append_char(out, '\n');
}

/* --- reading --- */

static bool take_uuid(struct slice *rest, struct uuid *ret_id)
{
    struct slice text = {rest->data, UUID_TEXT_LENGTH};
    if (rest->length < UUID_TEXT_LENGTH || !uuid_parse(text, ret_id)) {
        return false;
    }
    *rest = (struct slice){rest->data + UUID_TEXT_LENGTH, rest->length - UUID_TEXT_LENGTH};
    return true;
}

static bool take_char(struct slice *rest, char c)
{
    if (rest->length == 0 || rest->data[0] != c) {
        return false;
    }
    *rest = (struct slice){rest->data + 1, rest->length - 1};
    return true;
}

static bool is_type(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.data[i];
        if ((c < 'a' || c > 'z') && c != '-' && c != '_') {
            return false;
        }
    }
    return text.length > 0 && text.length <= TYPE_MAX_BYTES;
}

static bool take_event(struct slice *rest, struct hub_event *event)
{
    event->type = slice_take_until(rest, ' ');
    event->payload = *rest;
    return is_type(event->type) && json_scan_is_json(event->payload);
}

static bool read_durable(struct slice rest, bool has_payload, const struct bus_callbacks *callbacks, void *data)
{
    struct hub_recipient recipient;
    struct hub_event event = {.type = SLICE(""), .recipients = &recipient, .recipient_count = 1};
    if (!take_uuid(&rest, &recipient.user_id) || !take_char(&rest, ':')) {
        return false;
    }
    struct slice seq = has_payload ? slice_take_until(&rest, ' ') : rest;
    if (!session_parse_offset(seq, &recipient.seq) || recipient.seq == 0) {
        return false;
    }
    if (has_payload && (!take_uuid(&rest, &event.origin) || !take_char(&rest, ' ') || !take_event(&rest, &event))) {
        return false;
    }
    callbacks->on_event(data, &event);
    return true;
}

static bool read_ephemeral(struct slice rest, const struct bus_callbacks *callbacks, void *data)
{
    struct hub_recipient recipients[BUS_CODEC_RECIPIENTS_MAX] = {0};
    struct hub_event event = {.recipients = recipients};
    do {
        if (event.recipient_count == BUS_CODEC_RECIPIENTS_MAX ||
            !take_uuid(&rest, &recipients[event.recipient_count++].user_id)) {
            return false;
        }
    } while (take_char(&rest, ','));
    if (!take_char(&rest, ' ') || !take_event(&rest, &event)) {
        return false;
    }
    callbacks->on_event(data, &event);
    return true;
}

static bool read_news(enum bus_news news, struct slice rest, const struct bus_callbacks *callbacks, void *data)
{
    struct uuid node_id, user_id = {{0}};
    if (!take_uuid(&rest, &node_id) || (names_user(news) && !take_uuid(&rest, &user_id)) || rest.length > 0) {
        return false;
    }
    callbacks->on_news(data, news, node_id, user_id);
    return true;
}

static bool read_item(struct slice item, bool is_sealed, const struct bus_callbacks *callbacks, void *data)
{
    if (item.length == 0) {
        return false;
    }
    char letter = item.data[0];
    struct slice rest = {item.data + 1, item.length - 1};
    for (size_t news = 0; news < sizeof NEWS_LETTERS; news++) {
        if (letter == NEWS_LETTERS[news]) {
            return read_news((enum bus_news)news, rest, callbacks, data);
        }
    }
    switch (letter) {
    case 'e':
        return read_ephemeral(rest, callbacks, data);
    case 'h':
        return read_durable(rest, false, callbacks, data);
    case 'd':
        return is_sealed && read_durable(rest, true, callbacks, data);
    default:
        return false;
    }
}

bool bus_codec_read_sender(struct slice *message, struct uuid *ret_node_id)
{
    return take_uuid(message, ret_node_id) && take_char(message, '\n');
}

bool bus_codec_read_items(struct slice items, bool is_sealed, const struct bus_callbacks *callbacks, void *data)
{
    bool good = true;
    while (items.length > 0) {
        good = read_item(slice_take_until(&items, '\n'), is_sealed, callbacks, data) && good;
    }
    return good;
}
