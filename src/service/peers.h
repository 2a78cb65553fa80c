/* Where the other nodes are: from a node's number to its address. Read by the workers of all threads. */
#ifndef STONECHAT_SERVICE_PEERS_H
#define STONECHAT_SERVICE_PEERS_H

#include "service/node.h"

struct peers;

/* `asker` is this node. NULL without memory. */
struct peers *peers_create(struct uuid asker);
void peers_destroy(struct peers *peers);

/* Reads from the database who is there now. On the thread of `services`, as peers_find. */
void peers_read(struct peers *peers, struct services *services);

void peers_find(struct peers *peers, struct services *services, int number, node_on_peer *on_found, void *data);

#endif
