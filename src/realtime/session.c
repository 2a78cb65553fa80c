#include "realtime/session.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "realtime/event_log.h"
#include "realtime/hub.h"
#include "realtime/rendering.h"
#include "util/digits.h"
#include "util/metrics.h"

/* OPENING → LIVE, or → READING → DRAINING → READING … → LIVE when there is something to catch up with; LIVE → READING
 * when an event is not the next in line. Only change_state moves between them. Live events that come while it catches
 * up are not kept: the log has them. */

/* A page is held for each session that catches up: it ends with the event that takes it past its bytes. */
enum { PAGE_EVENTS = 64, PAGE_BYTES = 128 << 10 };

/* A look at the log; it outlives its session. */
struct session_read {
    struct db_call call;
    struct session *session; /* NULL when it has gone */
    /* of the first look */
    struct uuid session_id;     /* what the client's pid says; nil without one */
    int64_t pid_seq;            /* where that session began */
    int64_t start_seq;          /* where the client wants to go on */
    bool is_waiting;            /* for room in the database's queue */
    bool has_start, is_refused; /* is_refused: what the client sent is no good */
};

static void change_state(struct session *session, enum session_state state);

bool session_parse_offset(struct slice text, int64_t *ret_seq)
{
    return digits_read(text, DIGITS_MAX, ret_seq);
}

/* --- opening --- */

/* Everything that a client can claim about where to begin. */
static void read_resume(struct session_read *read, const struct session_resume *resume)
{
    struct session *session = read->session;
    bool has_pid = resume->pid.length > 0, has_offset = resume->offset.length > 0;
    int64_t offset = 0;
    if ((has_pid &&
         !pid_parse(hub_token_key(session->hub), session->user_id, resume->pid, &read->session_id, &read->pid_seq)) ||
        (has_offset && (!session_parse_offset(resume->offset, &offset) || offset < read->pid_seq))) {
        read->is_refused = true;
        return;
    }
    read->has_start = has_pid || has_offset;
    read->start_seq = has_offset ? offset : read->pid_seq;
}

static struct session_opening decide(const struct session_read *read, const struct event_log_position *position)
{
    struct session *session = read->session;
    struct session_opening opening = {.status = STATUS_OK};
    opening.is_resumed = read->has_start && !read->is_refused && read->start_seq >= position->pruned_seq &&
                         read->start_seq <= position->newest_seq;
    metrics_add(opening.is_resumed                    ? METRIC_SESSIONS_RESUMED
                : read->has_start || read->is_refused ? METRIC_SESSIONS_RESET
                                                      : METRIC_SESSIONS_STARTED,
                1);
    opening.seq = opening.is_resumed ? read->start_seq : position->newest_seq;
    bool keeps_id = opening.is_resumed && !uuid_is_nil(read->session_id);
    session->id = keeps_id ? read->session_id : uuid_generate();
    pid_make(hub_token_key(session->hub), session->user_id, session->id, keeps_id ? read->pid_seq : opening.seq,
             opening.pid);
    return opening;
}

static void on_position(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct session_read *read = (struct session_read *)call;
    struct session *session = read->session;
    if (session == NULL) {
        free(read);
        return;
    }
    if (status == STATUS_UNAVAILABLE && hub_has_database(session->hub)) {
        read->is_waiting = true; /* a crowd has come: its turn will come too */
        hub_retry_later(session->hub);
        return;
    }
    struct session_opening opening = {.status = status == STATUS_OK ? STATUS_UNAUTHORIZED : status};
    if (status == STATUS_OK && db_rows_count(rows) == 1 && !session->is_over) {
        struct event_log_position position = event_log_decode_position(rows);
        opening = decide(read, &position);
        session->sent_seq = opening.seq;
        session->wanted_seq = position.newest_seq > session->wanted_seq ? position.newest_seq : session->wanted_seq;
    }
    session->transport->on_open(session, &opening);
    if (read->session != NULL) { /* it has not left meanwhile */
        session->read = NULL;
        if (opening.status == STATUS_OK) {
            change_state(session, SESSION_LIVE);
        }
    }
    free(read);
}

void session_set_token(struct session *session, const struct token_claims *claims)
{
    session->user_id = claims->user_id;
    session->login_id = claims->login_id;
    session->expires_at_s = claims->expires_at;
    if (session->hub != NULL) {
        hub_expect_expiry(session->hub, session);
    }
}

bool session_open(struct session *session, struct hub *hub, const struct session_resume *resume)
{
    struct session_read *read = calloc(1, sizeof *read);
    session->state = SESSION_OPENING;
    if (read == NULL || !hub_join(hub, session)) {
        free(read);
        return false;
    }
    read->session = session;
    session->read = read;
    read_resume(read, resume);
    event_log_find_position(&read->call, session->user_id);
    read->call.on_done = on_position;
    hub_submit(hub, &read->call);
    return true;
}

void session_leave(struct session *session)
{
    if (session->hub == NULL) {
        return;
    }
    if (session->read != NULL && session->read->is_waiting) {
        free(session->read); /* nobody else has it */
    } else if (session->read != NULL) {
        session->read->session = NULL;
    }
    session->read = NULL;
    hub_leave(session);
}

/* --- catching up --- */

static bool is_own(const struct session *session, struct uuid origin)
{
    return uuid_equals(origin, session->id);
}

/* Gives whether there may be more behind it. */
static bool send_page(struct session *session, const struct db_rows *rows)
{
    size_t bytes = 0;
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct event_log_entry entry = event_log_decode(rows, i);
        if (!is_own(session, entry.origin)) {
            struct rendering rendering = {.type = entry.type, .payload = entry.payload, .seq = entry.seq};
            session->transport->send(session, &rendering, SESSION_SENDING_PACED);
            rendering_dispose(&rendering);
        }
        session->sent_seq = entry.seq;
        bytes += entry.payload.length;
    }
    return db_rows_count(rows) == PAGE_EVENTS || bytes >= PAGE_BYTES;
}

static void on_page(struct db_call *call, enum status status, const struct db_rows *rows)
{
    struct session_read *read = (struct session_read *)call;
    struct session *session = read->session;
    free(read);
    if (session == NULL) {
        return;
    }
    session->read = NULL;
    if (status != STATUS_OK) {
        hub_retry_later(session->hub);
        return;
    }
    /* Nothing there: somebody told of an event that there is not. What was told of since then may have come too late
     * for this page. */
    if (db_rows_count(rows) == 0 && !session->was_told) {
        session->wanted_seq = session->sent_seq;
    }
    bool has_more = send_page(session, rows);
    session->must_look = session->must_look || has_more;
    change_state(session, session->transport->wait_for_drain(session) ? SESSION_DRAINING : SESSION_LIVE);
}

static void read_page(struct session *session)
{
    struct session_read *read = calloc(1, sizeof *read);
    if (read == NULL) {
        hub_retry_later(session->hub);
        return;
    }
    read->session = session;
    session->was_told = session->must_look = false;
    session->read = read;
    event_log_read(&read->call, session->user_id, session->sent_seq, PAGE_EVENTS, PAGE_BYTES);
    read->call.on_done = on_page;
    hub_submit(session->hub, &read->call);
}

/* It waits no more for room in the database's queue. False if it did not. */
static bool stop_waiting(struct session *session)
{
    bool was_waiting = session->read != NULL && session->read->is_waiting;
    if (was_waiting) {
        session->read->is_waiting = false;
    }
    return was_waiting;
}

void session_retry(struct session *session)
{
    if (session->state == SESSION_READING && session->read == NULL) {
        read_page(session);
    } else if (stop_waiting(session)) {
        hub_submit(session->hub, &session->read->call);
    }
}

bool session_give_up(struct session *session)
{
    struct session_read *read = session->read;
    if (!stop_waiting(session)) {
        return false;
    }
    on_position(&read->call, STATUS_UNAVAILABLE, NULL);
    return true;
}

/* LIVE is asked for whenever nothing is under way; it is READING all the same while something is missing. */
static void change_state(struct session *session, enum session_state state)
{
    if (state == SESSION_LIVE && (session->must_look || session->wanted_seq > session->sent_seq)) {
        state = SESSION_READING;
    }
    session->state = (uint8_t)state;
    if (state == SESSION_READING) {
        read_page(session);
    }
}

void session_on_drain(struct session *session)
{
    if (session->state == SESSION_DRAINING) {
        change_state(session, SESSION_LIVE);
    }
}

bool session_is_draining(const struct session *session)
{
    return session->state == SESSION_DRAINING;
}

/* --- what the hub tells --- */

void session_on_hint(struct session *session, int64_t seq)
{
    session->was_told = true;
    if (seq > session->wanted_seq) {
        session->wanted_seq = seq;
    }
    if (session->state == SESSION_LIVE) {
        change_state(session, SESSION_LIVE);
    }
}

/* A page that is on its way may be older than what is to be found. */
void session_look(struct session *session)
{
    session->must_look = true;
    if (session->state == SESSION_LIVE) {
        change_state(session, SESSION_LIVE);
    }
}

void session_on_event(struct session *session, struct rendering *rendering, int64_t seq, struct uuid origin)
{
    if (session->state != SESSION_LIVE || seq != session->sent_seq + 1) {
        session_on_hint(session, seq);
        return;
    }
    if (!is_own(session, origin)) {
        session->transport->send(session, rendering, SESSION_SENDING_LIVE);
    }
    session->sent_seq = seq;
    session->wanted_seq = seq > session->wanted_seq ? seq : session->wanted_seq;
}

void session_on_ephemeral(struct session *session, struct rendering *rendering)
{
    if (session->state != SESSION_OPENING) {
        session->transport->send(session, rendering, SESSION_SENDING_EPHEMERAL);
    }
}

void session_end(struct session *session)
{
    if (session->state == SESSION_OPENING) {
        session->is_over = true;
    } else {
        session->transport->end(session);
    }
}
