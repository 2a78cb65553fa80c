#include "slow_consumer.h"

#include "util/log.h"
#include "util/metrics.h"

void slow_consumer_report(const struct session *session, const char *transport, enum slow_consumer_reason reason)
{
    static const char *const reasons[] = {
        [SLOW_CONSUMER_QUEUE] = "its queue is past SEND_QUEUE_MAX_BYTES",
        [SLOW_CONSUMER_LOG] = "it has not read what it had missed",
    };
    char user[UUID_TEXT_LENGTH];
    uuid_format(session->user_id, user);
    metrics_add(METRIC_SLOW_CONSUMERS, 1);
    log_write(LOG_WARN, "a slow consumer was disconnected", LOG_STR("reason", reasons[reason]),
              LOG_STR("transport", transport), LOG_SLICE("user", ((struct slice){user, sizeof user})));
}
