/* What is to be said of a certificate that works: how long it lasts, and what clients may not like about it. */
#ifndef STONECHAT_SERVER_CERTIFICATE_H
#define STONECHAT_SERVER_CERTIFICATE_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* Is the certificate of `key` among those that the context has, but not the first? */
bool certificate_is_misplaced(SSL_CTX *context, EVP_PKEY *key);

/* Logs what will keep clients from trusting the context's certificates now or within two weeks, and that others can
 * read `key_file`. It is no reason not to serve: some clients do not check. Tells the metrics when the first of them
 * ends. */
void certificate_inspect(SSL_CTX *context, const char *key_file);

#endif
