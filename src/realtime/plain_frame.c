#include "plain_frame.h"

#include "util/digits.h"

enum { ACK_ID_MAX_BYTES = 128, FRAME_MAX_BYTES = 1 << 20 };

/* --- the header --- */

bool plain_protocol_read(struct slice list, struct slice *ret_token)
{
    while (list.length > 0) {
        struct slice member = slice_trim(slice_take_until(&list, ','));
        if (member.length == 6 && strncasecmp(member.data, "bearer", 6) == 0) {
            *ret_token = slice_trim(slice_take_until(&list, ','));
            return true;
        }
    }
    return false;
}

/* --- frames --- */

enum { FRAME_EVENT, FRAME_DATA, FRAME_ID };

static const struct field FRAME_FIELDS[] = {
    [FRAME_EVENT] = {.name = "event", .type = FIELD_TEXT, .max = FRAME_MAX_BYTES, .flags = FIELD_REQUIRED},
    [FRAME_DATA] = {.name = "data", .type = FIELD_JSON},
    [FRAME_ID] = {.name = "id", .type = FIELD_JSON},
    {0},
};

static bool is_ack_id(struct slice json)
{
    char first = json.data[0];
    return json.length <= ACK_ID_MAX_BYTES && (first == '"' || first == '-' || digits_hold(first));
}

bool plain_frame_read(struct slice message, struct plain_frame *ret_frame)
{
    struct field_values *values = &ret_frame->values;
    fields_init(values);
    fields_read_json(FRAME_FIELDS, message, values);
    const struct field_value *data = &values->values[FRAME_DATA], *id = &values->values[FRAME_ID];
    bool is_id_good = id->present && is_ack_id(id->text);
    enum status status = fields_status(values);
    bool is_good = status == STATUS_OK && id->present == is_id_good;
    ret_frame->event = values->values[FRAME_EVENT].text;
    ret_frame->data = data->present ? data->text : SLICE("{}");
    ret_frame->ack =
        (struct event_ack){.is_wanted = is_id_good, .text = is_id_good ? id->text : (struct slice){NULL, 0}};
    ret_frame->status = is_good || status == STATUS_UNAVAILABLE ? status : STATUS_INVALID_PAYLOAD;
    return !values->malformed;
}

void plain_frame_dispose(struct plain_frame *frame)
{
    fields_dispose(&frame->values);
}
