/* What a client's event becomes: an exchange, whose reply is the ack, or `operation-error` when it fails and no ack was
 * asked for. The same for every transport by which events come. */
#ifndef STONECHAT_REALTIME_EVENT_EXCHANGE_H
#define STONECHAT_REALTIME_EVENT_EXCHANGE_H

#include "realtime/client.h"

struct event_exchange;
struct event_sender;

/* How the client wants its ack to be named; each transport knows its own member. */
struct event_ack {
    bool is_wanted;
    int64_t number;
    struct slice text; /* copied */
};

/* What a transport does with the answers; both get a JSON object. */
struct event_answers {
    void (*ack)(struct event_sender *sender, const struct event_ack *ack, struct slice json);
    void (*tell_failure)(struct event_sender *sender, struct slice json); /* the event operation-error */
    void (*close)(struct event_sender *sender);                           /* later, behind what was answered */
};

/* A device that sends events. Embedded in its transport's own struct, zeroed; all but `exchanges` is set by it. */
struct event_sender {
    const struct event_answers *answers;
    const struct client_worker *worker;
    struct session *session; /* whose own the actions are, and whose token auth-refresh renews */
    struct token_claims claims;
    struct rate_key address;          /* by which the client's address is counted */
    int refusals;                     /* in a row, as it sent too often; private */
    struct event_exchange *exchanges; /* under way; private */
};

/* Looks the event up, and lets it be handled: the events of the worker's tables, and `auth-refresh`, which every
 * transport has. `data` is its one argument, JSON in UTF-8; the answer may come inside. */
void event_exchange_start(struct event_sender *sender, struct slice event, struct slice data,
                          const struct event_ack *ack);

/* The answer to an event that does not get as far. */
void event_exchange_refuse(struct event_sender *sender, struct slice event, const struct event_ack *ack,
                           enum status status, const char *message);

/* The device is gone: what is under way is still done, and answers nobody. */
void event_sender_leave(struct event_sender *sender);

#endif
