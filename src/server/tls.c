#include "tls.h"

#include <h2o.h>
#include <h2o/http2.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "http/proxy_header.h"
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

/* Is the certificate the server's whose name was asked for? libh2o 2.2.5 looks at the name only when its last flight
 * has left at once, which in TLS 1.3 it never has. */
static int on_verify(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (is_good != 1 || X509_STORE_CTX_get_error_depth(store) > 0) {
        return is_good;
    }
    if (name != NULL &&
        (X509_check_host(certificate, name, 0, 0, NULL) == 1 || X509_check_ip_asc(certificate, name, 0) == 1)) {
        return 1;
    }
    X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    return 0;
}

/* libh2o has the handshake follow upon connect(), and asks nobody in between; but OpenSSL tells that it begins. Nothing
 * has been sent on the socket yet, so that there is room for a few bytes; a header that gets lost all the same makes
 * the other end close. */
static void on_info(const SSL *ssl, int where, int ret)
{
    (void)ret;
    if ((where & SSL_CB_HANDSHAKE_START) != 0 && SSL_in_before(ssl)) {
        int fd = h2o_socket_get_fd(BIO_get_data(SSL_get_wbio(ssl)));
        struct slice header = PROXY_HEADER_LOCAL;
        ssize_t sent = send(fd, header.data, header.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)sent;
    }
}

void tls_trust(SSL_CTX *context, const char *cert_file)
{
    if (cert_file != NULL && SSL_CTX_load_verify_locations(context, cert_file, NULL) == 1) {
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    }
    ERR_clear_error(); /* a bad TLS_CERT is told by the listeners */
}

SSL_CTX *tls_create_client(const char *cert_file, bool has_proxy_headers)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        log_write(LOG_ERROR, "TLS cannot be set up");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION); /* both ends are ours */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_info_callback(context, has_proxy_headers ? on_info : NULL);
    SSL_CTX_set_default_verify_paths(context);
    tls_trust(context, cert_file);
    return context;
}
