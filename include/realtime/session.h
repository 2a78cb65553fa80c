/* One connected device of a user, whatever transport it came by. A session knows the last place of the user's log that
 * it has sent: the next in line is sent as it comes, anything else is read from the log first. So what tells it of
 * events may lose, repeat and reorder them, and nothing shows. On its hub's thread. */
#ifndef STONECHAT_REALTIME_SESSION_H
#define STONECHAT_REALTIME_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/pid.h"
#include "auth/token.h"
#include "util/slice.h"
#include "util/status.h"
#include "util/uuid.h"

struct hub;
struct hub_user;
struct session;
struct session_read;
struct rendering;

enum session_sending {
    SESSION_SENDING_LIVE,      /* counts against the transport's queue: past its cap the transport closes */
    SESSION_SENDING_PACED,     /* does not: the session waits for the reader itself */
    SESSION_SENDING_EPHEMERAL, /* dropped when the queue is half full */
};

/* Where a session begins. */
struct session_opening {
    enum status status; /* STATUS_OK; UNAVAILABLE: there is no session, and the transport ends it */
    bool is_resumed;    /* all that was missed is about to be sent */
    int64_t seq;        /* the place in the log behind which it begins */
    char pid[PID_LENGTH + 1];
};

struct session_transport {
    /* Once, before anything is sent, later than session_open and not after session_leave. */
    void (*on_open)(struct session *session, const struct session_opening *opening);
    /* Queues an event in the transport's own form; never calls back. */
    void (*send)(struct session *session, struct rendering *rendering, enum session_sending sending);
    /* Is anything queued? If so, session_on_drain must be called when it has left. */
    bool (*wait_for_drain)(struct session *session);
    /* The token by which it came has expired, or its login was revoked: tells the client so, and leaves at the end of
     * the turn, never inside. Only when it is open; may come again until it has left. */
    void (*end)(struct session *session);
};

enum session_state {
    SESSION_OPENING, /* its place in the log is looked up */
    SESSION_LIVE,    /* everything up to sent_seq has been sent */
    SESSION_READING, /* a page of the log is on its way */
    SESSION_DRAINING /* the reader takes in a page */
};

/* Embedded in its transport's own struct, zeroed; `transport` is set by the caller, who also calls
 * session_set_token. */
struct session {
    const struct session_transport *transport;
    struct uuid user_id;
    struct uuid id; /* nil until it is open; kept when it resumes */
    struct uuid login_id;
    int64_t expires_at_s; /* since 1970; 0: never */
    /* private */
    struct hub *hub; /* NULL when it has left */
    struct hub_user *user;
    struct session *previous, *next;
    struct session_read *read; /* under way */
    int64_t sent_seq;          /* sent, or skipped as its own */
    int64_t wanted_seq;        /* the newest that it has heard of */
    uint8_t state;
    bool was_told;  /* of something since it asked for a page */
    bool must_look; /* there may be more than it was told of */
    bool is_over;   /* it was to end before it was open */
};

/* How a client wants to come back; all of it is what the client says, and nothing is believed. */
struct session_resume {
    struct slice pid;    /* empty for none */
    struct slice offset; /* decimal; empty for none */
};

/* The token by which it lives: before it is opened, and when its client presents a fresh one of the same user. */
void session_set_token(struct session *session, const struct token_claims *claims);

/* Is it a place in a log: 0, 1, 2… in decimal? */
bool session_parse_offset(struct slice text, int64_t *ret_seq);

/* Joins the hub, and looks up where to begin; then on_open. False without memory: it has not joined. */
bool session_open(struct session *session, struct hub *hub, const struct session_resume *resume);

/* It is gone: nothing is called any more. Nothing happens if it has not joined. */
void session_leave(struct session *session);

/* What was queued has left. */
void session_on_drain(struct session *session);

/* Does it wait for the client to read what it has sent it of the log? */
bool session_is_draining(const struct session *session);

/* --- for the hub --- */

/* A durable event at `seq` of the user's log, caused by session `origin` (nil for none). */
void session_on_event(struct session *session, struct rendering *rendering, int64_t seq, struct uuid origin);
/* The user's log has grown to `seq`, somebody says. */
void session_on_hint(struct session *session, int64_t seq);
/* The user's log may have grown, nobody knows how far: reads all that there is by now. */
void session_look(struct session *session);
/* After hub_retry_later: reads what it could not read. */
void session_retry(struct session *session);
/* When the hub has stopped: if it waits for room in the database's queue, on_open follows, with UNAVAILABLE. True if it
 * did. */
bool session_give_up(struct session *session);
void session_on_ephemeral(struct session *session, struct rendering *rendering);
/* Its time is over, or its login. It does not leave inside. */
void session_end(struct session *session);

#endif
