/* The hosts of a connection string, which libpq asks one after the other. libpq would look up their names itself, and
 * stand still meanwhile: it is given the addresses. Private to db. */
#ifndef STONECHAT_DB_HOSTS_H
#define STONECHAT_DB_HOSTS_H

#include <libpq-fe.h>
#include <netdb.h>

struct hosts;

/* NULL without memory. A string that cannot be parsed has no hosts: libpq will say what is wrong with it. */
struct hosts *hosts_create(const char *url);
/* NULL is fine. */
void hosts_destroy(struct hosts *hosts);

/* The next name whose addresses are to be looked up; NULL: none is left. Lives until hosts_resolve. */
const char *hosts_unresolved(struct hosts *hosts);
/* Its addresses, or NULL and why there are none: it is left out then. */
void hosts_resolve(struct hosts *hosts, const struct addrinfo *addresses, const char *error);

/* Why there is no host to connect to; NULL: there is one. */
const char *hosts_error(const struct hosts *hosts);

/* PQconnectStartParams with the connection string and these hosts, begun with number `turn`, counted around. */
PGconn *hosts_connect(const struct hosts *hosts, const char *url, unsigned turn);

/* Members that are separated by commas, begun with number `turn`, counted around: "a,b,c" and 1 give "b,c,a". The
 * caller frees it. NULL without memory. */
char *hosts_rotate(const char *list, unsigned turn);

#endif
