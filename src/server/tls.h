/* The TLS side of the listeners, and of requests to other nodes. */
#ifndef STONECHAT_SERVER_TLS_H
#define STONECHAT_SERVER_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>

/* TLS 1.2 and 1.3, with ALPN for h2 and http/1.1. Logs what is wrong and returns NULL; a
 * certificate that has expired is told too, and served. The caller frees it. */
SSL_CTX *tls_create(const char *cert_file, const char *key_file);

/* What other nodes' certificates are checked with, and the names in them: the system's authorities, and those in
 * `cert_file` (NULL: none), since nodes often share what no public authority has signed. With `has_proxy_headers` a
 * PROXY header goes before the handshake. NULL, and logged, without memory. The caller frees it.
 */
SSL_CTX *tls_create_client(const char *cert_file, bool has_proxy_headers);

/* Has the client's side trust what is in `cert_file` too, beside what it trusted before. NULL is fine. Any thread. */
void tls_trust(SSL_CTX *context, const char *cert_file);

#endif
