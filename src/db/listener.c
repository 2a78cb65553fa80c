#include "db/listener.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "link.h"
#include "util/log.h"

/* One statement at a time: LISTEN when it is connected, then each pg_notify as it comes. A notification lasts no longer
 * than the connections it is for, so its commit waits for no disk. An answer may never come, since libpq keeps to
 * itself that it could not send: then a new connection begins anew. */

enum { STATEMENT_MAX_BYTES = 128, ANSWER_TIMEOUT_MS = 35 * 1000 };

struct listener {
    struct link link;
    const char *channel;
    const struct listener_callbacks *callbacks;
    void *data;
    bool is_listening;
    bool is_busy; /* a statement is under way */
};

static void on_connected(void *data)
{
    struct listener *listener = data;
    char statement[STATEMENT_MAX_BYTES];
    snprintf(statement, sizeof statement, "SET synchronous_commit = off; LISTEN %s", listener->channel);
    listener->is_busy = true;
    if (PQsendQuery(listener->link.postgres, statement) == 1) {
        link_flush(&listener->link);
    } else {
        link_lose(&listener->link, PQerrorMessage(listener->link.postgres));
    }
}

/* The end of a statement. */
static void on_done(struct listener *listener)
{
    listener->is_busy = false;
    if (listener->link.state == LINK_CONNECTED) {
        link_settle(&listener->link);
        listener->is_listening = true;
        listener->callbacks->on_listening(listener->data);
    } else {
        link_expect(&listener->link, 0);
    }
    if (listener_is_idle(listener)) {
        listener->callbacks->on_idle(listener->data);
    }
}

static void take_notifications(struct listener *listener)
{
    PGnotify *notification;
    while ((notification = PQnotifies(listener->link.postgres)) != NULL) {
        listener->callbacks->on_notification(listener->data, slice_of(notification->extra));
        PQfreemem(notification);
    }
}

static void on_input(void *data)
{
    struct listener *listener = data;
    PGconn *postgres = listener->link.postgres;
    take_notifications(listener);
    while (listener->is_busy && !PQisBusy(postgres)) {
        PGresult *result = PQgetResult(postgres);
        if (result == NULL) {
            on_done(listener);
        } else if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
            if (listener->link.state == LINK_CONNECTED) {
                link_lose(&listener->link, PQresultErrorMessage(result));
            } else {
                log_write(LOG_ERROR, "a notification was not sent", LOG_STR("reason", PQresultErrorMessage(result)));
            }
        }
        PQclear(result);
        if (listener->link.postgres != postgres) {
            return; /* lost */
        }
    }
    take_notifications(listener);
}

static void on_lost(void *data)
{
    struct listener *listener = data;
    bool was_listening = listener->is_listening;
    listener->is_listening = listener->is_busy = false;
    if (was_listening) {
        listener->callbacks->on_lost(listener->data);
    }
}

static const struct link_callbacks LINK_CALLBACKS = {on_connected, on_input, on_lost};

struct listener *listener_create(struct loop *loop, const char *url, const char *channel,
                                 const struct listener_callbacks *callbacks, void *data)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener != NULL) {
        listener->channel = channel;
        listener->callbacks = callbacks;
        listener->data = data;
        link_start(&listener->link, loop, url, &LINK_CALLBACKS, listener);
    }
    return listener;
}

void listener_destroy(struct listener *listener)
{
    if (listener != NULL) {
        link_stop(&listener->link);
        free(listener);
    }
}

bool listener_is_idle(const struct listener *listener)
{
    return listener->link.state == LINK_SETTLED && !listener->is_busy;
}

void listener_notify(struct listener *listener, struct slice payload)
{
    assert(listener_is_idle(listener) && payload.length <= LISTENER_PAYLOAD_MAX_BYTES);
    char text[LISTENER_PAYLOAD_MAX_BYTES + 1];
    memcpy(text, payload.data, payload.length);
    text[payload.length] = '\0';
    const char *const values[] = {listener->channel, text};
    listener->is_busy = true;
    link_expect(&listener->link, ANSWER_TIMEOUT_MS);
    if (PQsendQueryParams(listener->link.postgres, "SELECT pg_notify($1, $2)", 2, NULL, values, NULL, NULL, 0) == 1) {
        link_flush(&listener->link);
    } else {
        link_lose(&listener->link, PQerrorMessage(listener->link.postgres));
    }
}
