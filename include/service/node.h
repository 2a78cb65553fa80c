/* This node among the others on its database: it keeps a lease, knows who else is there and whom they hold, buries the
 * dead, and is the only one of the process that speaks on the bus. */
#ifndef STONECHAT_SERVICE_NODE_H
#define STONECHAT_SERVICE_NODE_H

#include "service/services.h"

struct sio_group;

struct node_options {
    struct services *services; /* the first worker's: the node lives on its loop */
    const char *address; /* where the other nodes reach this one: a URL of at most CONFIG_URL_MAX_LENGTH; copied */
    struct sio_group *sockets; /* is told the node's number */
};

/* NULL without memory. */
struct node *node_start(const struct node_options *options);
/* The process is about to end: from a grace time on, the other nodes are to do without this one. False: call it again,
 * for it is still being told. On the node's thread. NULL is fine. */
bool node_leave(struct node *node);
/* The loops have ended: it leaves the bus. NULL is fine. */
void node_stop(struct node *node);
/* After the loops have been destroyed. NULL is fine. */
void node_destroy(struct node *node);

/* A presence_on_change, `data` being a worker's struct services: the user has come to this node or left it. The other
 * nodes are told, and, unless one of them holds him too, his contacts: of a going at once, of a coming when it is in
 * the database, and not before it is known who is elsewhere. On the worker's thread. */
void node_on_presence(void *data, struct uuid user_id, bool is_here, bool is_elsewhere);

/* Logins of the user have been revoked: the other nodes are told. Any thread. */
void node_tell_revoked(struct services *services, struct uuid user_id);

/* Does it hear the others, and has it written itself down, so that they know where it is? Any thread. */
bool node_is_in_touch(const struct node *node);

/* `url` is NULL when there is no such node, or that cannot be told now; it lives inside the callback. */
typedef void node_on_peer(void *data, const char *url);

/* Where is the node of this number (0 to 65535)? On the thread of `services`, perhaps before it returns. */
void node_find_peer(struct services *services, int number, node_on_peer *on_found, void *data);

#endif
