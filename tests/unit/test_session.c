/* Sessions against a real log: whatever they are told of it, lost, repeated, out of order or made up, they send each
 * event once and in order. Skipped where STONECHAT_TEST_DATABASE_URL does not name a migrated database. */
#include "realtime/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "realtime/event_log.h"
#include "realtime/hub.h"
#include "realtime/rendering.h"
#include "support/prng.h"
#include "util/log.h"

enum { EVENTS = 300, TICK_MS = 2, QUEUE_MAX = 64 };

static const char *url;
static PGconn *postgres;
static struct loop *loop;
static struct db *db;
static struct hub *hubs[1];
static struct token_key *key;
static struct uuid user_id;

/* A device: what it was sent, and what it does at each tick. */
static struct device {
    struct session session; /* first */
    struct session_opening opening;
    int64_t seqs[2 * EVENTS];
    int count, ephemeral, ended;
    size_t page_bytes, largest_page_bytes; /* sent since it was asked to wait; the most of that */
    bool is_open, drains_slowly, wants_drain;
} device;
static bool (*step)(void); /* false when the test is over */
static struct timer ticker;

static void sql(const char *text)
{
    PGresult *result = PQexec(postgres, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", text, PQresultErrorMessage(result));
    }
    PQclear(result);
}

/* Puts `count` more events into the user's log; every tenth is by the session `origin`. */
static void write_events(int count, struct uuid origin)
{
    char text[1024], user[UUID_TEXT_LENGTH + 1] = "", by[UUID_TEXT_LENGTH + 1] = "";
    uuid_format(user_id, user);
    uuid_format(origin, by);
    snprintf(text, sizeof text,
             "INSERT INTO events (user_id, seq, type, payload, origin)"
             " SELECT u.id, u.event_seq + k, 'x', k::text, CASE WHEN (u.event_seq + k) %% 10 = 0 THEN '%s'::uuid END"
             " FROM users u, generate_series(1, %d) k WHERE u.id = '%s';"
             "UPDATE users SET event_seq = event_seq + %d WHERE id = '%s'",
             by, count, user, count, user);
    sql(text);
}

/* Gives these of them payloads of `bytes`. */
static void lengthen_events(int first, int last, int bytes)
{
    char text[256], user[UUID_TEXT_LENGTH + 1] = "";
    uuid_format(user_id, user);
    snprintf(text, sizeof text,
             "UPDATE events SET payload = repeat('1', %d) WHERE user_id = '%s' AND seq BETWEEN %d AND %d", bytes, user,
             first, last);
    sql(text);
}

static void on_open(struct session *session, const struct session_opening *opening)
{
    struct device *self = (struct device *)session;
    self->opening = *opening;
    self->is_open = true;
}

static void on_send(struct session *session, struct rendering *rendering, enum session_sending sending)
{
    struct device *self = (struct device *)session;
    if (sending == SESSION_SENDING_EPHEMERAL) {
        self->ephemeral++;
        return;
    }
    assert_true(self->count < 2 * EVENTS);
    self->seqs[self->count++] = rendering->seq;
    self->page_bytes += rendering->payload.length;
}

static bool wait_for_drain(struct session *session)
{
    struct device *self = (struct device *)session;
    self->wants_drain = self->drains_slowly;
    if (self->page_bytes > self->largest_page_bytes) {
        self->largest_page_bytes = self->page_bytes;
    }
    self->page_bytes = 0;
    return self->drains_slowly;
}

static void on_end(struct session *session)
{
    ((struct device *)session)->ended++;
}

static const struct session_transport TRANSPORT = {on_open, on_send, wait_for_drain, on_end};

static void on_tick(struct timer *timer)
{
    if (device.wants_drain) {
        device.wants_drain = false;
        session_on_drain(&device.session);
    }
    if (!db_is_available(db) || step()) {
        loop_timer_start(loop, timer, TICK_MS);
    } else {
        loop_stop(loop);
    }
}

static void connect_device(const char *pid, const char *offset)
{
    device = (struct device){.session = {.transport = &TRANSPORT, .user_id = user_id},
                             .drains_slowly = device.drains_slowly};
    assert_true(session_open(&device.session, hubs[0],
                             &(struct session_resume){.pid = slice_of(pid), .offset = slice_of(offset)}));
}

/* What a hub does with an event, or (`is_hint`) with no more than its place. */
static void tell(int64_t seq, bool is_hint)
{
    struct rendering rendering = {.type = SLICE("x"), .payload = SLICE("1"), .seq = seq};
    if (is_hint) {
        session_on_hint(&device.session, seq);
    } else {
        session_on_event(&device.session, &rendering, seq, seq % 10 == 0 ? device.session.id : (struct uuid){{0}});
    }
    rendering_dispose(&rendering);
}

static int set_up_with(int queue_max)
{
    url = getenv("STONECHAT_TEST_DATABASE_URL");
    if (url == NULL) {
        return 0;
    }
    static const struct db_statement *const *const STATEMENTS[] = {EVENT_LOG_STATEMENTS, NULL};
    char text[256], user[UUID_TEXT_LENGTH + 1] = "";
    postgres = PQconnectdb(url);
    user_id = uuid_generate();
    uuid_format(user_id, user);
    snprintf(text, sizeof text, "INSERT INTO users (id, username, password_hash) VALUES ('%s', '%s', '')", user, user);
    sql(text);
    loop = loop_create();
    key = token_key_create(SLICE("0123456789abcdef0123456789abcdef"));
    db = db_create(
        loop, &(struct db_options){.url = url, .connections = 2, .queue_max = queue_max, .statements = STATEMENTS});
    hubs[0] = hub_create(
        &(struct hub_options){.loop = loop, .hubs = hubs, .index = 0, .count = 1, .db = db, .token_key = key});
    memset(&device, 0, sizeof device);
    ticker.on_fire = on_tick;
    loop_timer_start(loop, &ticker, 0);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    return set_up_with(64);
}

static int set_up_without_room(void **state)
{
    (void)state;
    return set_up_with(0);
}

static int tear_down(void **state)
{
    (void)state;
    if (url == NULL) {
        return 0;
    }
    session_leave(&device.session);
    db_destroy(db);
    hub_destroy(hubs[0]);
    loop_destroy(loop);
    token_key_destroy(key);
    PQfinish(postgres);
    return 0;
}

static void run(bool (*a_step)(void))
{
    if (url == NULL) {
        skip();
    }
    step = a_step;
    loop_run(loop);
}

/* Each event behind `first` up to `last` once, in order, without the session's own. */
static void assert_sent(int64_t first, int64_t last)
{
    int at = 0;
    for (int64_t seq = first; seq <= last; seq++) {
        if (seq % 10 != 0) {
            assert_true(at < device.count);
            assert_int_equal(device.seqs[at++], seq);
        }
    }
    assert_int_equal(at, device.count);
}

/* --- a bus that does what it likes --- */

static struct prng prng;
static int64_t written;
static int phase;

static bool wild_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        assert_int_equal(device.opening.seq, 0);
        phase = 2;
    } else if (phase == 2) {
        int more = 1 + (int)prng_below(&prng, 7);
        write_events(more, device.session.id);
        written += more;
        for (int i = 0; i < 12; i++) {
            int64_t seq = 1 + (int64_t)prng_below(&prng, (uint64_t)written + 2); /* at times beyond the end */
            tell(seq, seq > written || prng_below(&prng, 2) == 0);
        }
        phase = written >= EVENTS ? 3 : 2;
    } else if (phase == 3) {
        tell(written, true);
        phase = 4;
    }
    return phase < 4 || device.session.sent_seq < written;
}

static void test_a_wild_bus(void **state)
{
    (void)state;
    prng = prng_init(42);
    written = phase = 0;
    run(wild_step);
    assert_sent(1, written);
}

static void test_a_wild_bus_and_a_slow_reader(void **state)
{
    (void)state;
    device.drains_slowly = true;
    prng = prng_init(43);
    written = phase = 0;
    run(wild_step);
    assert_sent(1, written);
}

/* --- in order, nothing is read --- */

static bool orderly_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        write_events(EVENTS, device.session.id);
        for (int64_t seq = 1; seq <= EVENTS; seq++) {
            tell(seq, false);
        }
        phase = 2;
    }
    return phase < 2;
}

static void test_in_order(void **state)
{
    (void)state;
    phase = 0;
    run(orderly_step);
    assert_sent(1, EVENTS);
    assert_int_equal(device.session.state, SESSION_LIVE);
}

/* --- an event that is committed while a page without it is on its way --- */

static struct loop_deferred late;

static void write_late(struct loop_deferred *deferred)
{
    (void)deferred;
    sql("SELECT pg_sleep(0.1)"); /* the page has been read, and its answer waits */
    write_events(1, device.session.id);
    tell(1, false);
}

static bool late_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        tell(1, true); /* a hint too early: there is nothing yet */
        late.run = write_late;
        loop_defer(loop, &late); /* behind the page, which is sent at the end of this turn */
        phase = 2;
    }
    return device.count == 0;
}

static void test_an_event_behind_a_page(void **state)
{
    (void)state;
    phase = 0;
    run(late_step);
    assert_sent(1, 1);
}

/* --- looks at the log, of which nobody has told --- */

static bool look_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        write_events(EVENTS, device.session.id);
        session_look(&device.session);
        phase = 2;
    }
    return device.session.sent_seq < EVENTS;
}

static void test_a_look(void **state)
{
    (void)state;
    phase = 0;
    run(look_step);
    assert_sent(1, EVENTS);
}

static void test_a_look_of_a_slow_reader(void **state)
{
    (void)state;
    device.drains_slowly = true;
    phase = 0;
    run(look_step);
    assert_sent(1, EVENTS);
}

static void write_and_look(struct loop_deferred *deferred)
{
    (void)deferred;
    sql("SELECT pg_sleep(0.1)"); /* what was asked for has been read, and its answer waits */
    write_events(1, device.session.id);
    session_look(&device.session);
}

static bool look_behind_page_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        write_events(1, device.session.id);
        tell(1, true);
        late.run = write_and_look;
        loop_defer(loop, &late);
        phase = 2;
    }
    return device.count < 2;
}

static void test_a_look_behind_a_page(void **state)
{
    (void)state;
    phase = 0;
    run(look_behind_page_step);
    assert_sent(1, 2);
}

static bool look_while_opening_step(void)
{
    if (phase == 0) {
        write_events(1, (struct uuid){{0}});
        connect_device(NULL, NULL);
        late.run = write_and_look;
        loop_defer(loop, &late);
        phase = 1;
    }
    return !device.is_open || device.opening.seq + device.count < 2;
}

static void test_a_look_while_it_opens(void **state)
{
    (void)state;
    phase = 0;
    run(look_while_opening_step);
    assert_sent(device.opening.seq + 1, 2);
}

/* --- events that are so long that a page is cut --- */

enum { LONG_BYTES = 60000, LONGEST_BYTES = 300000, LONG_EVENTS = 200 };

/* What a page may have: 128 KB, and the event that takes it past that. */
enum { LONG_PAGE_MAX_BYTES = (128 << 10) + LONG_BYTES };

static bool long_events_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        write_events(LONG_EVENTS, device.session.id);
        lengthen_events(1, LONG_EVENTS, LONG_BYTES);
        session_look(&device.session);
        phase = 2;
    }
    return device.session.sent_seq < LONG_EVENTS;
}

static void test_pages_have_bounded_bytes(void **state)
{
    (void)state;
    phase = 0;
    run(long_events_step);
    assert_sent(1, LONG_EVENTS);
    assert_in_range(device.largest_page_bytes, 128 << 10, LONG_PAGE_MAX_BYTES);
}

static void test_long_pages_of_a_slow_reader(void **state)
{
    (void)state;
    device.drains_slowly = true;
    phase = 0;
    run(long_events_step);
    assert_sent(1, LONG_EVENTS);
    assert_in_range(device.largest_page_bytes, 128 << 10, LONG_PAGE_MAX_BYTES);
}

static bool longest_event_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        write_events(3, device.session.id);
        lengthen_events(2, 2, LONGEST_BYTES);
        session_look(&device.session);
        phase = 2;
    }
    return device.session.sent_seq < 3;
}

static void test_an_event_that_is_longer_than_a_page(void **state)
{
    (void)state;
    phase = 0;
    run(longest_event_step);
    assert_sent(1, 3);
}

/* --- no room in the database's queue, up to the end --- */

static bool refused_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
    }
    return phase++ == 0;
}

static void test_who_waits_at_the_end(void **state)
{
    (void)state;
    phase = 0;
    run(refused_step);
    loop_settle(loop);
    assert_false(device.is_open); /* it is tried again */
    hub_stop(hubs[0]);
    assert_true(device.is_open);
    assert_int_equal(device.opening.status, STATUS_UNAVAILABLE);
}

/* --- resuming --- */

static char kept_pid[PID_LENGTH + 1];

static bool resume_step(void)
{
    switch (phase) {
    case 0:
        connect_device(NULL, NULL);
        break;
    case 1:
        if (!device.is_open) {
            return true;
        }
        memcpy(kept_pid, device.opening.pid, sizeof kept_pid);
        write_events(EVENTS, device.session.id);
        session_leave(&device.session);
        connect_device(kept_pid, "123");
        break;
    default:
        return !device.is_open || device.session.sent_seq < EVENTS;
    }
    phase++;
    return true;
}

static void test_resume(void **state)
{
    (void)state;
    phase = 0;
    run(resume_step);
    assert_true(device.opening.is_resumed);
    assert_string_equal(device.opening.pid, kept_pid);
    assert_sent(124, EVENTS);
}

/* --- ephemeral events --- */

static bool ephemeral_step(void)
{
    struct rendering rendering = {.type = SLICE("typing"), .payload = SLICE("1")};
    if (phase == 0) {
        connect_device(NULL, NULL);
        session_on_ephemeral(&device.session, &rendering); /* nobody could read it yet */
        phase = 1;
    } else if (device.is_open) {
        session_on_ephemeral(&device.session, &rendering);
        phase = 2;
    }
    rendering_dispose(&rendering);
    return phase < 2;
}

static void test_ephemeral(void **state)
{
    (void)state;
    phase = 0;
    run(ephemeral_step);
    assert_int_equal(device.ephemeral, 1);
    assert_int_equal(device.count, 0);
}

/* --- the end of its token, and of its login --- */

static const struct uuid LOGIN = {{1}}, OTHER_LOGIN = {{2}};

static void set_token(struct uuid login_id, int64_t expires_at_s)
{
    session_set_token(&device.session,
                      &(struct token_claims){.user_id = user_id, .login_id = login_id, .expires_at = expires_at_s});
}

static bool expiry_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        set_token(LOGIN, time(NULL) + 3600);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        set_token(LOGIN, time(NULL)); /* it is over from this second on */
        phase = 2;
    }
    return device.ended == 0;
}

static void test_expiry(void **state)
{
    (void)state;
    phase = 0;
    run(expiry_step);
    assert_int_equal(phase, 2);
    assert_int_equal(device.opening.status, STATUS_OK);
}

/* While it is opened, its end waits for that, and it is refused. */
static bool refusal_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        set_token(LOGIN, 0);
        hub_end_login(hubs[0], user_id, LOGIN);
        phase = 1;
    }
    return !device.is_open;
}

static void test_end_before_it_is_open(void **state)
{
    (void)state;
    phase = 0;
    run(refusal_step);
    assert_int_equal(device.opening.status, STATUS_UNAUTHORIZED);
    assert_int_equal(device.ended, 0);
}

static bool end_step(void)
{
    if (phase == 0) {
        connect_device(NULL, NULL);
        set_token(LOGIN, 0);
        phase = 1;
    } else if (phase == 1 && device.is_open) {
        hub_end_login(hubs[0], user_id, OTHER_LOGIN);
        hub_end_login(hubs[0], OTHER_LOGIN, LOGIN); /* somebody else's */
        assert_int_equal(device.ended, 0);
        set_token(OTHER_LOGIN, 0);
        hub_end_login(hubs[0], user_id, LOGIN);
        assert_int_equal(device.ended, 0);
        hub_end_login(hubs[0], user_id, OTHER_LOGIN);
        phase = 2;
    }
    return phase < 2;
}

static void test_end_of_a_login(void **state)
{
    (void)state;
    phase = 0;
    run(end_step);
    assert_int_equal(device.ended, 1);
}

/* --- refused by a full queue, while others are refused again and again --- */

static struct db_call crowd[QUEUE_MAX];

static void on_crowd(struct db_call *call, enum status status, const struct db_rows *rows)
{
    (void)call, (void)status, (void)rows;
}

static bool crowded_step(void)
{
    if (phase == 0) {
        for (int i = 0; i < QUEUE_MAX; i++) {
            event_log_find_position(&crowd[i], user_id);
            crowd[i].on_done = on_crowd;
            hub_submit(hubs[0], &crowd[i]);
        }
        connect_device(NULL, NULL);
        phase = 1;
    } else {
        hub_retry_later(hubs[0]); /* for somebody else */
    }
    return !device.is_open;
}

static void test_a_retry_among_many(void **state)
{
    (void)state;
    phase = 0;
    run(crowded_step);
    assert_int_equal(device.opening.status, STATUS_OK);
}

static void test_offsets(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "abc", "9999999999999999999"};
    int64_t seq = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(session_parse_offset(slice_of(bad[i]), &seq));
        assert_int_equal(seq, 7);
    }
    assert_true(session_parse_offset(SLICE("0"), &seq));
    assert_int_equal(seq, 0);
    assert_true(session_parse_offset(SLICE("999999999999999999"), &seq));
    assert_int_equal(seq, 999999999999999999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets),
        cmocka_unit_test_setup_teardown(test_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wild_bus, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wild_bus_and_a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_event_behind_a_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_look, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_look_of_a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_look_behind_a_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_look_while_it_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages_have_bounded_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_pages_of_a_slow_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_event_that_is_longer_than_a_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_waits_at_the_end, set_up_without_room, tear_down),
        cmocka_unit_test_setup_teardown(test_resume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ephemeral, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expiry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_before_it_is_open, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end_of_a_login, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_retry_among_many, set_up, tear_down),
    };
    log_configure(LOG_WARN, LOG_JSON);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
