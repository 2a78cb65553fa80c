/* The handshake is a chain of states: the HTTP upgrade, Engine.IO's open packet, Socket.IO's CONNECT. Frames to the
 * server are masked text; what comes may be text, ping or close, in one frame each. */
#include "socketio_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OPCODE_TEXT = 1, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10, FINAL = 0x80, MASKED = 0x80 };
enum { PACKET_MAX_BYTES = 65535 };

/* The key and its answer from RFC 6455, section 1.3. */
static const char upgrade_request[] = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                                      "Host: localhost\r\n"
                                      "Upgrade: websocket\r\n"
                                      "Connection: Upgrade\r\n"
                                      "Sec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char upgrade_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static void fail(struct socketio_client *client, const char *reason, struct slice detail)
{
    client->callbacks->on_failure(client, reason, detail); /* `detail` may lie in the connection's buffer */
    net_close(&client->connection);
}

static void send_frame(struct socketio_client *client, unsigned opcode, struct slice payload)
{
    unsigned char frame[8 + PACKET_MAX_BYTES] = {(unsigned char)(FINAL | opcode)};
    size_t at = 2;
    if (payload.length < 126) {
        frame[1] = (unsigned char)(MASKED | payload.length);
    } else {
        frame[1] = MASKED | 126;
        frame[at++] = (unsigned char)(payload.length >> 8);
        frame[at++] = (unsigned char)payload.length;
    }
    client->mask = client->mask * 1664525u + 1013904223u;
    const unsigned char *mask = &frame[at];
    memcpy(&frame[at], &client->mask, sizeof client->mask);
    at += sizeof client->mask;
    for (size_t i = 0; i < payload.length; i++) {
        frame[at + i] = (unsigned char)payload.data[i] ^ mask[i % 4];
    }
    net_write(&client->connection, frame, at + payload.length);
}

void socketio_emit(struct socketio_client *client, const char *name, struct slice arguments)
{
    char packet[PACKET_MAX_BYTES];
    const int length = snprintf(packet, sizeof packet, "42%" PRIu64 "[\"%s\",%.*s]", client->next_ack_id++, name,
                                (int)arguments.length, arguments.data);
    send_frame(client, OPCODE_TEXT, (struct slice){packet, (size_t)length});
}

static bool starts_with(struct slice text, const char *prefix)
{
    const size_t length = strlen(prefix);
    return text.length >= length && memcmp(text.data, prefix, length) == 0;
}

static struct slice skip(struct slice text, size_t length)
{
    return (struct slice){text.data + length, text.length - length};
}

static void join(struct socketio_client *client)
{
    char packet[4096];
    const bool has_pid = *client->pid != '\0';
    const int length = snprintf(packet, sizeof packet, "40{\"token\":\"%s\"%s%s%s}", client->token,
                                has_pid ? ",\"pid\":\"" : "", client->pid, has_pid ? "\"" : "");
    client->state = SOCKETIO_JOINING;
    send_frame(client, OPCODE_TEXT, (struct slice){packet, (size_t)length});
}

/* The CONNECT reply: {"sid":"…","pid":"…"}, the latter where sessions can go on. */
static void take_pid(struct socketio_client *client, struct slice packet)
{
    static const char key[] = "\"pid\":\"";
    const char *at = memmem(packet.data, packet.length, key, sizeof key - 1);
    const char *start = at != NULL ? at + sizeof key - 1 : packet.data + packet.length;
    const char *end = memchr(start, '"', (size_t)(packet.data + packet.length - start));
    const size_t length = end != NULL ? (size_t)(end - start) : 0;
    client->is_recovered = length > 0 && length == strlen(client->pid) && memcmp(client->pid, start, length) == 0;
    if (length < sizeof client->pid) {
        memcpy(client->pid, start, length);
        client->pid[length] = '\0';
    }
}

static void take_packet(struct socketio_client *client, struct slice packet)
{
    if (starts_with(packet, "2") && packet.length == 1) {
        send_frame(client, OPCODE_TEXT, SLICE("3"));
    } else if (starts_with(packet, "42[") && client->state == SOCKETIO_READY) {
        client->callbacks->on_event(client, skip(packet, 2));
    } else if (starts_with(packet, "43") && client->state == SOCKETIO_READY) {
        size_t at = 2;
        while (at < packet.length && packet.data[at] != '[') {
            at++;
        }
        client->callbacks->on_ack(client, skip(packet, at));
    } else if (starts_with(packet, "0{") && client->state == SOCKETIO_OPENING) {
        join(client);
    } else if (starts_with(packet, "40") && client->state == SOCKETIO_JOINING) {
        take_pid(client, packet);
        client->state = SOCKETIO_READY;
        client->callbacks->on_ready(client);
    } else if (!starts_with(packet, "6")) {
        fail(client, "unexpected packet", packet);
    }
}

/* Takes one frame; returns its length, or 0 while it is not all there. */
static size_t take_frame(struct socketio_client *client, const unsigned char *bytes, size_t length)
{
    if (length < 2) {
        return 0;
    }
    size_t header = 2, payload_length = bytes[1] & 0x7f;
    const size_t wide = payload_length == 127 ? 8 : payload_length == 126 ? 2 : 0;
    if (length < header + wide) {
        return 0;
    }
    for (size_t i = 0; i < wide; i++) {
        payload_length = (i == 0 ? 0 : payload_length << 8) | bytes[header + i];
    }
    header += wide;
    if (payload_length > NET_BUFFER_MAX_BYTES) {
        fail(client, "a frame too long", SLICE(""));
        return 0;
    }
    if (length < header + payload_length) {
        return 0;
    }
    const struct slice payload = {(const char *)bytes + header, payload_length};
    if (bytes[0] == (FINAL | OPCODE_TEXT)) {
        take_packet(client, payload);
    } else if (bytes[0] == (FINAL | OPCODE_PING)) {
        send_frame(client, OPCODE_PONG, payload);
    } else {
        fail(client, bytes[0] == (FINAL | OPCODE_CLOSE) ? "closed by the server" : "unexpected frame", payload);
    }
    return header + payload_length;
}

static size_t take_upgrade(struct socketio_client *client, const char *bytes, size_t length)
{
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) {
        return 0;
    }
    const struct slice head = {bytes, (size_t)(end - bytes)};
    if (!starts_with(head, "HTTP/1.1 101 ") ||
        memmem(head.data, head.length, upgrade_accept, sizeof upgrade_accept - 1) == NULL) {
        fail(client, "upgrade refused", head);
        return 0;
    }
    client->state = SOCKETIO_OPENING;
    return head.length + 4;
}

static void on_open(struct net_connection *connection)
{
    net_write(connection, upgrade_request, sizeof upgrade_request - 1);
}

static size_t on_read(struct net_connection *connection, const char *bytes, size_t length)
{
    struct socketio_client *client = (struct socketio_client *)connection;
    size_t used = 0, taken;
    do {
        taken = client->state == SOCKETIO_UPGRADING
                    ? take_upgrade(client, bytes + used, length - used)
                    : take_frame(client, (const unsigned char *)bytes + used, length - used);
        used += taken;
    } while (taken > 0 && connection->fd >= 0);
    return used;
}

static void on_close(struct net_connection *connection, const char *reason)
{
    struct socketio_client *client = (struct socketio_client *)connection;
    client->callbacks->on_failure(client, reason, SLICE("WebSocket"));
}

static const struct net_callbacks net_callbacks = {.on_open = on_open, .on_read = on_read, .on_close = on_close};

void socketio_connect(struct socketio_client *client, struct net *net, const struct socketio_callbacks *callbacks)
{
    client->callbacks = callbacks;
    client->state = SOCKETIO_UPGRADING;
    client->started_at_ns = net_now_ns();
    client->mask = (uint32_t)client->started_at_ns;
    net_connect(net, &client->connection, &net_callbacks);
}

void socketio_close(struct socketio_client *client)
{
    net_close(&client->connection);
}
