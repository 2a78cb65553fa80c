/* What nodes say to each other, as text: the same on every kind of bus. Pure. */
#ifndef STONECHAT_REALTIME_BUS_CODEC_H
#define STONECHAT_REALTIME_BUS_CODEC_H

#include <stdbool.h>

#include "realtime/bus.h"
#include "util/buffer.h"
#include "util/slice.h"
#include "util/uuid.h"

enum { BUS_CODEC_RECIPIENTS_MAX = 128 }; /* of one ephemeral item */

/* --- writing: the sender, then items; each appends a line. Out of room, `out` fails. --- */

void bus_codec_write_sender(struct buffer *out, struct uuid node_id);
void bus_codec_write_hint(struct buffer *out, const struct hub_recipient *recipient);
/* The event, which has a payload, as it is for one of its recipients. */
void bus_codec_write_durable(struct buffer *out, const struct hub_event *event, const struct hub_recipient *recipient);
void bus_codec_write_ephemeral(struct buffer *out, const struct hub_event *event,
                               const struct hub_recipient *recipients, int recipient_count);
void bus_codec_write_news(struct buffer *out, enum bus_news news, struct uuid node_id, struct uuid user_id);

/* --- reading --- */

/* Takes the sender off the message. */
bool bus_codec_read_sender(struct slice *message, struct uuid *ret_node_id);
/* Calls on_event and on_news for what the rest of the message says. False when some of it is no item. Durable events
 * with their payload are taken only where `is_sealed`: from somebody else, they would stand in for the real ones. */
bool bus_codec_read_items(struct slice items, bool is_sealed, const struct bus_callbacks *callbacks, void *data);

#endif
