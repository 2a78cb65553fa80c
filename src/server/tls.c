#include "tls.h"

#include <h2o.h>
#include <h2o/http2.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "certificate.h"
#include "http/proxy_header.h"
#include "util/log.h"

/* Whoever has started the server is not asked for it. */
static int on_passphrase(char *out, int size, int is_writing, void *is_wanted)
{
    (void)out, (void)size, (void)is_writing;
    *(bool *)is_wanted = true;
    return -1;
}

/* The key comes first: a certificate that it does not belong to takes it out again, and then the check fails. Gives
 * what is wrong, and what to do; NULL: nothing. */
static const char *load(SSL_CTX *context, const char *cert_file, const char *key_file)
{
    bool has_passphrase = false;
    const char *problem = NULL;
    SSL_CTX_set_default_passwd_cb(context, on_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(context, &has_passphrase);
    bool has_key = SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) == 1;
    EVP_PKEY *key = has_key ? SSL_CTX_get0_privatekey(context) : NULL;
    if (has_passphrase) {
        problem =
            "TLS_KEY has a passphrase, which nobody can type here: take it off with openssl pkey -in KEY -out NEW";
    } else if (key == NULL) {
        problem = "TLS_KEY cannot be read as a private key: it has to be PEM (-----BEGIN PRIVATE KEY-----)";
    } else {
        EVP_PKEY_up_ref(key);
        if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1) {
            problem = "TLS_CERT cannot be read as certificates: they have to be PEM (-----BEGIN CERTIFICATE-----)";
        } else if (SSL_CTX_check_private_key(context) != 1) {
            ERR_clear_error(); /* "no private key assigned": true by then, and of no help */
            problem = certificate_is_misplaced(context, key)
                          ? "TLS_CERT is in the wrong order: the certificate of TLS_KEY goes first, then who signed it"
                          : "TLS_KEY does not belong to TLS_CERT: name the two files that were made together";
        }
        EVP_PKEY_free(key);
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return problem;
}

/* Of a file that cannot be opened, OpenSSL has no text, but the system's number. */
static const char *first_reason(void)
{
    unsigned long error = ERR_peek_error();
    return ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
}

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
    ERR_clear_error();
    const char *problem = load(context, cert_file, key_file);
    if (problem != NULL) {
        const char *reason = first_reason();
        log_write(LOG_ERROR, problem, LOG_STR("TLS_CERT", cert_file), LOG_STR("TLS_KEY", key_file),
                  reason != NULL ? LOG_STR("reason", reason) : (struct log_field){0});
        ERR_clear_error();
        SSL_CTX_free(context);
        return NULL;
    }
    certificate_inspect(context, key_file);
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
