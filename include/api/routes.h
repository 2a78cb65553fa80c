/* Everything that the program can be asked, as tables: the routes of the REST API, the socket events, and the paths
 * that are served otherwise. */
#ifndef STONECHAT_API_ROUTES_H
#define STONECHAT_API_ROUTES_H

#include "http/exchange.h"
#include "http/site.h"

/* For http_site.routes and client_worker.events: lists of tables. The context of their exchanges is a struct services.
 */
extern const struct operation *const API_ROUTES[];
extern const struct operation *const API_EVENTS[];

#endif
