/* Places for connections: so many in all, and so many for each client. Any thread. */
#ifndef STONECHAT_UTIL_PLACES_H
#define STONECHAT_UTIL_PLACES_H

#include <stdbool.h>

#include "util/ip_address.h"

struct places;
struct place;

/* 0 is no limit. NULL without memory. */
struct places *places_create(int max, int max_per_client);
/* No place is taken any more; it goes when the last one is given back. NULL is fine. */
void places_destroy(struct places *places);

/* A place for the client at this address, counted by its limit key (util/ip_address.h), or for one that is not counted
 * by itself (NULL); NULL when there is none left. */
struct place *places_take(struct places *places, const struct ip_address *client);
/* Counts a place that was nobody's for this client. False when he has as many as he may; the place stays nobody's. */
bool place_assign(struct place *place, const struct ip_address *client);
/* Gives it back. NULL is fine. */
void place_give_back(struct place *place);

#endif
