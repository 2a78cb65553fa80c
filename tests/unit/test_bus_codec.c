/* What nodes say to each other: all that is written is read as it was meant, and everything else is refused. */
#include "realtime/bus_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define NODE "0190a0b0-c0d0-7123-8123-000000000001"
#define USER "0190a0b0-c0d0-7123-8123-000000000002"
#define OTHER "0190a0b0-c0d0-7123-8123-000000000003"
#define NIL "00000000-0000-0000-0000-000000000000"

static struct uuid id(const char *text)
{
    struct uuid uuid;
    assert_true(uuid_parse(slice_of(text), &uuid));
    return uuid;
}

/* --- who listens: everything becomes a line --- */

static struct buffer heard;

static void hear_uuid(struct uuid uuid)
{
    char text[UUID_TEXT_LENGTH];
    uuid_format(uuid, text);
    buffer_append(&heard, text, sizeof text);
}

static void on_event(void *data, const struct hub_event *event)
{
    (void)data;
    buffer_append_slice(&heard, event->type);
    for (int i = 0; i < event->recipient_count; i++) {
        buffer_append_char(&heard, ' ');
        hear_uuid(event->recipients[i].user_id);
        buffer_printf(&heard, ":%lld", (long long)event->recipients[i].seq);
    }
    buffer_append_text(&heard, " by ");
    hear_uuid(event->origin);
    buffer_append_char(&heard, ' ');
    buffer_append_slice(&heard, event->payload.data != NULL ? event->payload : SLICE("?"));
    buffer_append_char(&heard, ';');
}

static void on_news(void *data, enum bus_news news, struct uuid node_id, struct uuid user_id)
{
    (void)data;
    buffer_printf(&heard, "%d ", news);
    hear_uuid(node_id);
    buffer_append_char(&heard, ' ');
    hear_uuid(user_id);
    buffer_append_char(&heard, ';');
}

static const struct bus_callbacks CALLBACKS = {.on_event = on_event, .on_news = on_news};

static bool read_items(struct slice items, bool is_sealed)
{
    buffer_dispose(&heard);
    heard = buffer_init(1 << 20);
    return bus_codec_read_items(items, is_sealed, &CALLBACKS, NULL);
}

static void assert_heard(const char *text)
{
    assert_int_equal(heard.length, strlen(text));
    assert_memory_equal(heard.data, text, heard.length);
}

static void assert_round_trip(const struct buffer *written, const char *text)
{
    assert_false(written->failed);
    assert_true(read_items(buffer_slice(written), true));
    assert_heard(text);
}

/* --- what is written is read --- */

static void test_events(void **state)
{
    (void)state;
    struct buffer out = buffer_init(1 << 16);
    const struct hub_recipient recipients[] = {{id(USER), 1}, {id(OTHER), 999999999999999999}};
    struct hub_event event = {.type = SLICE("private-message"),
                              .payload = SLICE("{\"a\": \r\n[1, \"\xc3\xa9 \\n d:\"]}"),
                              .recipients = recipients,
                              .recipient_count = 2,
                              .origin = id(NODE)};
    bus_codec_write_durable(&out, &event, &recipients[0]);
    bus_codec_write_hint(&out, &recipients[1]);
    event.origin = id(NIL);
    bus_codec_write_durable(&out, &event, &recipients[1]);
    bus_codec_write_ephemeral(&out, &event, recipients, 2);
    assert_round_trip(&out,
                      "private-message " USER ":1 by " NODE " {\"a\":   [1, \"\xc3\xa9 \\n d:\"]};"
                      " " OTHER ":999999999999999999 by " NIL " ?;"
                      "private-message " OTHER ":999999999999999999 by " NIL " {\"a\":   [1, \"\xc3\xa9 \\n d:\"]};"
                      "private-message " USER ":0 " OTHER ":0 by " NIL " {\"a\":   [1, \"\xc3\xa9 \\n d:\"]};");
    buffer_dispose(&out);
}

static void test_news(void **state)
{
    (void)state;
    struct buffer out = buffer_init(1 << 16);
    bus_codec_write_sender(&out, id(NODE));
    bus_codec_write_news(&out, BUS_NEWS_HELLO, id(NODE), id(USER));
    bus_codec_write_news(&out, BUS_NEWS_GONE, id(OTHER), id(USER));
    bus_codec_write_news(&out, BUS_NEWS_ENTERS, id(NODE), id(USER));
    bus_codec_write_news(&out, BUS_NEWS_LEAVES, id(NODE), id(USER));
    bus_codec_write_news(&out, BUS_NEWS_LEAVES_UNTOLD, id(NODE), id(USER));
    bus_codec_write_news(&out, BUS_NEWS_REVOKED, id(NODE), id(USER));
    struct slice message = buffer_slice(&out);
    struct uuid sender;
    assert_true(bus_codec_read_sender(&message, &sender));
    assert_true(uuid_equals(sender, id(NODE)));
    assert_true(read_items(message, false));
    assert_heard("0 " NODE " " NIL ";1 " OTHER " " NIL ";2 " NODE " " USER ";3 " NODE " " USER ";4 " NODE " " USER
                 ";5 " NODE " " USER ";");
    buffer_dispose(&out);
}

static void test_no_room(void **state)
{
    (void)state;
    const struct hub_recipient recipient = {id(USER), 7};
    const struct hub_event event = {.type = SLICE("typing"), .payload = SLICE("{}")};
    for (size_t room = 0; room < 38; room++) {
        struct buffer out = buffer_init(room);
        bus_codec_write_hint(&out, &recipient);
        assert_true(out.failed);
        bus_codec_write_durable(&out, &event, &recipient);
        bus_codec_write_news(&out, BUS_NEWS_ENTERS, id(NODE), id(USER));
        assert_true(out.failed && out.length <= room);
        buffer_dispose(&out);
    }
}

static void test_most_recipients(void **state)
{
    (void)state;
    struct hub_recipient recipients[BUS_CODEC_RECIPIENTS_MAX + 1] = {0};
    struct hub_event event = {.type = SLICE("typing"), .payload = SLICE("{}")};
    struct buffer out = buffer_init(1 << 16);
    bus_codec_write_ephemeral(&out, &event, recipients, BUS_CODEC_RECIPIENTS_MAX);
    assert_true(read_items(buffer_slice(&out), false));
    out.length = 0;
    bus_codec_write_ephemeral(&out, &event, recipients, BUS_CODEC_RECIPIENTS_MAX + 1);
    assert_false(read_items(buffer_slice(&out), false));
    assert_heard("");
    buffer_dispose(&out);
}

/* --- what is refused --- */

static void test_senders(void **state)
{
    (void)state;
    static const char *const messages[] = {"", "\n", NODE, NODE " \n", "x" NODE "\n", "0190a0b0\n", "{}"};
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
        struct slice message = slice_of(messages[i]);
        struct uuid sender;
        assert_false(bus_codec_read_sender(&message, &sender));
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const items[] = {
        "\n",
        "x",
        "z" NODE,
        "n",
        "n" NODE "x",
        "n" NODE USER,
        "+" NODE,
        "-" NODE " " USER,
        "+" NODE USER "\r",
        "h",
        "h" USER,
        "h" USER ":",
        "h" USER ":0",
        "h" USER ":-1",
        "h" USER ":1 ",
        "h" USER ":x",
        "h" USER ":+1",
        "h" USER ":9999999999999999999",
        "h" USER ":1x",
        "h " USER ":1",
        "H" USER ":1",
        "d" USER ":1",
        "d" USER ":1 ",
        "d" USER ":0 " NIL " a {}",
        "d" USER ":1 " NIL,
        "d" USER ":1 " NIL " ",
        "d" USER ":1 " NIL " a",
        "d" USER ":1 " NIL " a ",
        "d" USER ":1 " NIL "  {}",
        "d" USER ":1 x a {}",
        "d" USER ":1 " NIL " a {",
        "d" USER ":1 " NIL " a {}x",
        "d" USER ":1 " NIL " a \"\xff\"",
        "d" USER ":1 " NIL " A {}",
        "d" USER ":1 " NIL " a\" {}",
        "d" USER ":1 " NIL " a1 {}",
        "e" USER,
        "e" USER ", a {}",
        "e" USER "," USER,
        "e a {}",
        "e" USER " a nul",
        "e" USER " \" {}",
        "e" USER "  {}",
        "e" USER " a",
        "e" USER " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa {}",
    };
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        if (read_items(slice_of(items[i]), true)) {
            fail_msg("%s is taken", items[i]);
        }
        assert_heard("");
    }
}

/* What is no item does not harm its neighbours. */
static void test_neighbours(void **state)
{
    (void)state;
    assert_false(read_items(SLICE("n" NODE "\n\nwhat?\nh" USER ":5\nx"), false));
    assert_heard("0 " NODE " " NIL "; " USER ":5 by " NIL " ?;");
    assert_true(read_items(SLICE("n" NODE), false));
    assert_true(read_items(SLICE(""), false));
}

/* Only who can seal may say what an event is: the others may say that there is one. */
static void test_unsealed(void **state)
{
    (void)state;
    assert_true(read_items(SLICE("d" USER ":1 " NIL " a {}"), true));
    assert_false(read_items(SLICE("d" USER ":1 " NIL " a {}"), false));
    assert_heard("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),          cmocka_unit_test(test_news),     cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_most_recipients), cmocka_unit_test(test_senders),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_neighbours),      cmocka_unit_test(test_unsealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
