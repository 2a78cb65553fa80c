#include "tls.h"

#include <h2o.h>
#include <h2o/http2.h>
#include <openssl/err.h>

#include "util/log.h"

SSL_CTX *tls_create(const char *cert_file, const char *key_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        log_write(LOG_ERROR, "TLS cannot be set up");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    const char *problem = NULL;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
        problem = "TLS_CERT is not a readable PEM certificate";
    } else if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1) {
        problem = "TLS_KEY is not a readable PEM key";
    } else if (SSL_CTX_check_private_key(context) != 1) {
        problem = "TLS_KEY does not belong to TLS_CERT";
    }
    if (problem != NULL) {
        log_write(LOG_ERROR, problem, LOG_STR("reason", ERR_reason_error_string(ERR_peek_error())));
        SSL_CTX_free(context);
        return NULL;
    }
    h2o_ssl_register_alpn_protocols(context, h2o_alpn_protocols);
    return context;
}
