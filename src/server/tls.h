/* The TLS side of the listeners. */
#ifndef STONECHAT_SERVER_TLS_H
#define STONECHAT_SERVER_TLS_H

#include <openssl/ssl.h>

/* TLS 1.2 and 1.3, with ALPN for h2 and http/1.1. Logs what is wrong and returns NULL. The caller frees it. */
SSL_CTX *tls_create(const char *cert_file, const char *key_file);

#endif
