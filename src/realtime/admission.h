/* Who may come in: the token of a socket, from any of the places where a client can put one. */
#ifndef STONECHAT_REALTIME_ADMISSION_H
#define STONECHAT_REALTIME_ADMISSION_H

#include <stdbool.h>

#include "auth/token.h"
#include "util/slice.h"
#include "util/status.h"

/* The first that is not empty counts, be it good or bad. */
struct admission_papers {
    struct slice token;         /* what the protocol has a place of its own for */
    bool is_token_wrong;        /* something stands there that cannot be read as a token */
    struct slice query;         /* of the request, percent-encoded: its parameter `token` */
    struct slice authorization; /* the header: Bearer */
};

enum admission {
    ADMISSION_GRANTED,
    ADMISSION_NO_TOKEN,
    ADMISSION_BAD_TOKEN,
    ADMISSION_UNAVAILABLE, /* it cannot be told now: who asks may come again */
};

enum admission admission_check(struct token_cache *tokens, const struct admission_papers *papers,
                               struct token_claims *ret_claims);

/* Why not; the message is for people, and static. */
enum status admission_status(enum admission admission);
const char *admission_message(enum admission admission);

#endif
