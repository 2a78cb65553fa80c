/* A libpq connection that is kept up: it connects, over and over with growing pauses, reads what comes, and says what
 * happens to it. What is said over it is its owner's. Private to db; loop's thread. */
#ifndef STONECHAT_DB_LINK_H
#define STONECHAT_DB_LINK_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "loop/lookup.h"

struct hosts;

struct link_callbacks {
    /* It is connected: the owner makes it ready for use, and says so by link_settle. */
    void (*on_connected)(void *data);
    /* Input was read: the owner takes what PQgetResult and PQnotifies have. The link may be lost inside. */
    void (*on_input)(void *data);
    /* It is lost, whether it was settled or not; `postgres` is NULL until the next on_connected. */
    void (*on_lost)(void *data);
};

enum link_state { LINK_WAITING, LINK_LOOKING_UP, LINK_CONNECTING, LINK_CONNECTED, LINK_SETTLED };

/* Embedded. */
struct link {
    PGconn *postgres; /* NULL while it waits */
    enum link_state state;
    /* private */
    struct loop *loop;
    const char *url;
    const struct link_callbacks *callbacks;
    void *data;
    struct hosts *hosts;   /* while it looks them up, and as long as it connects or is connected */
    struct lookup *lookup; /* NULL: none is under way */
    struct loop_watch *watch;
    struct timer timer; /* the pause, or the limit on connecting or on an answer */
    uint64_t pause_ms;
    unsigned turn;     /* which host is asked first: another one after one that said nothing */
    bool has_reported; /* why it can't connect: said once an outage */
};

/* Starts connecting in the next turn. `url` must stay. */
void link_start(struct link *link, struct loop *loop, const char *url, const struct link_callbacks *callbacks,
                void *data);
/* Disconnects; no callback comes any more. */
void link_stop(struct link *link);

/* The owner has it ready. */
void link_settle(struct link *link);
/* Gives up a settled link unless this is called again in time; 0: no limit. */
void link_expect(struct link *link, uint64_t timeout_ms);
/* Sends what libpq holds back. */
void link_flush(struct link *link);
/* Gives it up: it is logged, once an outage, and on_lost is called inside. */
void link_lose(struct link *link, const char *why);

#endif
