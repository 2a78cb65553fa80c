/* Whatever a user asks, by a route or by a socket event: who asks, the decoded and validated input, one reply.
 * Refcounted and malloc'd on its own; it outlives the request. When the client has left, replying does nothing, and
 * completions still run. Lives on its worker's thread. */
#ifndef STONECHAT_HTTP_EXCHANGE_H
#define STONECHAT_HTTP_EXCHANGE_H

#include <stdint.h>

#include "auth/token.h"
#include "util/buffer.h"
#include "util/fields.h"
#include "util/rate_limits.h"
#include "util/status.h"
#include "util/uuid.h"

struct exchange;

/* One row of a table: a route (`method` and a path) or a socket event (`method` NULL and the event's name). */
struct operation {
    const char *method;
    const char *name; /* a path may have one part ":id" for any text without a '/'; `fields` has a row for it */
    const struct field *fields; /* of the query for GET, of the body for other methods and events; may be NULL */
    void (*check)(struct exchange *exchange); /* adds errors that the table cannot express; may be NULL */
    bool is_public;                           /* needs no token */
    enum rate_rule rate;                      /* how often a user (or, of a public one, an address) may do it */
    void (*handle)(struct exchange *exchange);
};

/* How a reply reaches the one who asked: by HTTP, or as the ack of a socket event. */
struct exchange_transport {
    /* `json` is the data. `name` is its member's name in an ack (NULL: the members of the object `json` themselves).
     * `pagination` is a JSON object, empty for none. */
    void (*reply)(struct exchange *exchange, enum status status, const char *name, struct slice json,
                  struct slice pagination);
    /* `errors` are members of a JSON array, empty for none. */
    void (*fail)(struct exchange *exchange, enum status status, const char *message, struct slice errors);
    /* The last reference has gone. */
    void (*release)(struct exchange *exchange);
};

struct exchange {
    int references;
    bool is_answered;
    const struct operation *operation;
    const struct exchange_transport *transport;
    void *peer;    /* the transport's own: the request or the socket; NULL once the client has left */
    void *context; /* what main gave the worker: its services */
    struct token_claims actor;
    struct uuid origin; /* the session that asked, nil for HTTP; it is not told of its own actions */
    struct field_values input;
    const char *idempotency_key; /* as it came, cut when absurdly long; NULL when none came */
    const char *address;         /* the client's, as text; lives as long as the exchange; NULL for an event */
    struct slice user_agent;     /* the header of that name, as it came; lives while the handler runs */
};

struct exchange *exchange_ref(struct exchange *exchange);
void exchange_unref(struct exchange *exchange);

/* After `input` was read: holds it against the operation's own rules. False, and all errors are the reply, when it is
 * bad. */
bool exchange_check_input(struct exchange *exchange);

/* One reply, exactly once. They do not drop the handler's reference. */
void exchange_reply(struct exchange *exchange, enum status status, const char *name, struct slice json);
void exchange_reply_page(struct exchange *exchange, struct slice json, struct slice pagination);
void exchange_fail(struct exchange *exchange, enum status status);
void exchange_fail_because(struct exchange *exchange, enum status status, const char *message);
/* With what is wrong with `input`. */
void exchange_fail_validation(struct exchange *exchange);

#endif
