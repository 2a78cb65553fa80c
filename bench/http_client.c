/* Replies are recognised by Content-Length; the server sends no other kind to these requests. */
#include "http_client.h"

#include <stdlib.h>
#include <string.h>

struct http_client {
    struct net_connection connection; /* first: the callbacks get back from it to the client */
    struct http_load *load;
    uint64_t asked_at_ns; /* 0: nothing under way */
};

static const uint64_t DRAIN_NS = 20u * 1000000000ull;

static void ask(struct http_client *client)
{
    struct http_load *load = client->load;
    const struct buffer *request = &load->requests[load->next_request++ % load->request_count];
    client->asked_at_ns = net_now_ns();
    net_write(&client->connection, request->data, request->length);
}

static void on_open(struct net_connection *connection)
{
    ask((struct http_client *)connection);
}

static void on_close(struct net_connection *connection, const char *reason)
{
    struct http_client *client = (struct http_client *)connection;
    client->asked_at_ns = 0;
    tally_error(client->load->tally, reason, slice_of("HTTP connection"));
}

static bool is_as_expected(const struct http_load *load, const char *reply, size_t length)
{
    const struct slice text = load->expected_text;
    return atoi(reply + strlen("HTTP/1.1 ")) == load->expected_status &&
           (text.length == 0 || memmem(reply, length, text.data, text.length) != NULL);
}

/* The length of the whole reply; 0 while it is not all there, or when it has no Content-Length (then `ret_broken`). */
static size_t reply_length(const char *bytes, size_t length, bool *ret_broken)
{
    static const char name[] = "\r\ncontent-length:";
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    for (const char *at = bytes; at + sizeof name - 1 <= end; at++) {
        if (*at == '\r' && strncasecmp(at, name, sizeof name - 1) == 0) {
            const size_t total = (size_t)(end + 4 - bytes) + strtoul(at + sizeof name - 1, NULL, 10);
            return total <= length ? total : 0;
        }
    }
    *ret_broken = true;
    return 0;
}

static size_t on_read(struct net_connection *connection, const char *bytes, size_t length)
{
    struct http_client *client = (struct http_client *)connection;
    struct http_load *load = client->load;
    bool is_broken = false;
    const size_t used = reply_length(bytes, length, &is_broken);
    if (is_broken || (used > 0 && client->asked_at_ns == 0)) {
        tally_error(load->tally, "not a reply", (struct slice){bytes, length});
        client->asked_at_ns = 0;
        net_close(connection);
        return 0;
    }
    if (used == 0) {
        return 0;
    }
    if (is_as_expected(load, bytes, used)) {
        tally_count(load->tally, net_now_ns() - client->asked_at_ns);
    } else {
        tally_error(load->tally, "unexpected reply", (struct slice){bytes, used});
    }
    client->asked_at_ns = 0;
    if (!load->is_stopped) {
        ask(client);
    }
    return used;
}

static const struct net_callbacks callbacks = {.on_open = on_open, .on_read = on_read, .on_close = on_close};

void http_load_start(struct http_load *load, size_t connections)
{
    load->clients = calloc(connections, sizeof *load->clients);
    load->client_count = load->clients != NULL ? connections : 0;
    load->is_stopped = false;
    for (size_t i = 0; i < load->client_count; i++) {
        load->clients[i].load = load;
        net_connect(load->net, &load->clients[i].connection, &callbacks);
    }
}

static bool is_waiting(const struct http_load *load)
{
    for (size_t i = 0; i < load->client_count; i++) {
        if (load->clients[i].asked_at_ns != 0) {
            return true;
        }
    }
    return false;
}

void http_load_stop(struct http_load *load)
{
    const uint64_t deadline_ns = net_now_ns() + DRAIN_NS;
    load->is_stopped = true;
    do {
        net_poll(load->net, 10000000u); /* at least once: nothing of ours may stay queued */
    } while (is_waiting(load) && net_now_ns() < deadline_ns);
    if (is_waiting(load)) {
        tally_error(load->tally, "no reply", slice_of("after 20 s"));
    }
    for (size_t i = 0; i < load->client_count; i++) {
        net_close(&load->clients[i].connection);
    }
    free(load->clients);
    load->clients = NULL;
    load->client_count = 0;
}
