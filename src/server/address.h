/* How others reach what listens here. */
#ifndef STONECHAT_SERVER_ADDRESS_H
#define STONECHAT_SERVER_ADDRESS_H

#include <stdbool.h>

#include "server/server.h"

/* `host` is a numeric address; one that means all addresses is replaced by the machine's first that is not loopback, or
 * by loopback where there is none. */
void address_format_url(const char *host, int port, bool has_tls, char out[SERVER_URL_LENGTH]);

#endif
