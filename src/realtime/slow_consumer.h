/* A client that does not read what it is sent: it is disconnected, so that nothing piles up for it, and resumes when it
 * reads again. Here that is told to whoever runs the server. */
#ifndef STONECHAT_REALTIME_SLOW_CONSUMER_H
#define STONECHAT_REALTIME_SLOW_CONSUMER_H

#include "realtime/session.h"

enum slow_consumer_reason {
    SLOW_CONSUMER_QUEUE, /* more waits for it than SEND_QUEUE_MAX_BYTES, or there is no memory for it */
    SLOW_CONSUMER_LOG,   /* a page of what it had missed was not read before the pong was due */
};

/* Logs it, and counts it in stonechat_slow_consumers_total. Once for each; any thread. `transport` is for people. */
void slow_consumer_report(const struct session *session, const char *transport, enum slow_consumer_reason reason);

#endif
