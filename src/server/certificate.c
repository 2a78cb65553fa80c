#include "certificate.h"

#include <openssl/x509v3.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "util/log.h"
#include "util/metrics.h"

enum { DAY_S = 24 * 60 * 60, SOON_DAYS = 14, DATE_LENGTH = sizeof "2026-01-01T00:00:00Z" - 1 };

/* The server's own certificate is number 0, those that signed it follow. NULL: there are no more. */
static X509 *certificate_at(SSL_CTX *context, int number)
{
    STACK_OF(X509) *chain = NULL;
    if (number == 0) {
        return SSL_CTX_get0_certificate(context);
    }
    SSL_CTX_get0_chain_certs(context, &chain);
    return chain != NULL && number <= sk_X509_num(chain) ? sk_X509_value(chain, number - 1) : NULL;
}

bool certificate_is_misplaced(SSL_CTX *context, EVP_PKEY *key)
{
    for (int i = 1; certificate_at(context, i) != NULL; i++) {
        if (X509_check_private_key(certificate_at(context, i), key) == 1) {
            return true;
        }
    }
    return false;
}

static void inspect_order(SSL_CTX *context)
{
    for (int i = 0; certificate_at(context, i + 1) != NULL; i++) {
        if (X509_check_issued(certificate_at(context, i + 1), certificate_at(context, i)) != X509_V_OK) {
            log_write(LOG_WARN,
                      "TLS_CERT is no chain, and some clients will refuse it: the server's certificate goes first, and "
                      "behind each the one that signed it",
                      LOG_INT("certificate", i + 1));
            return;
        }
    }
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static void format_date(int64_t seconds, char ret_date[DATE_LENGTH + 1])
{
    struct tm parts;
    time_t time = (time_t)seconds;
    gmtime_r(&time, &parts);
    ret_date[0] = '\0'; /* of a year of five digits */
    if (strftime(ret_date, DATE_LENGTH + 1, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        ret_date[0] = '\0';
    }
}

/* All are valid from the latest beginning to the earliest end. */
static void inspect_dates(SSL_CTX *context)
{
    int64_t from = INT64_MIN, until = INT64_MAX, now = time(NULL);
    for (int i = 0; certificate_at(context, i) != NULL; i++) {
        int64_t begin = seconds_of(X509_get0_notBefore(certificate_at(context, i)));
        int64_t end = seconds_of(X509_get0_notAfter(certificate_at(context, i)));
        from = begin > from ? begin : from;
        until = end < until ? end : until;
    }
    char first[DATE_LENGTH + 1], last[DATE_LENGTH + 1];
    format_date(from, first);
    format_date(until, last);
    metrics_set(METRIC_TLS_EXPIRY, until);
    if (until <= now) {
        log_write(LOG_ERROR, "TLS_CERT has expired, and clients refuse it: put a new one there, and send SIGHUP",
                  LOG_STR("expired", last));
    } else if (from > now) {
        log_write(LOG_ERROR,
                  "TLS_CERT is not valid yet, and clients refuse it: check the clock, or put one there that is, and "
                  "send SIGHUP",
                  LOG_STR("validFrom", first));
    } else if (until - now < SOON_DAYS * (int64_t)DAY_S) {
        log_write(LOG_WARN, "TLS_CERT expires soon: put a new one there, and send SIGHUP", LOG_STR("expires", last),
                  LOG_INT("days", (until - now) / DAY_S));
    }
}

void certificate_inspect(SSL_CTX *context, const char *key_file)
{
    struct stat status;
    inspect_dates(context);
    inspect_order(context);
    if (stat(key_file, &status) == 0 && (status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
        log_write(LOG_WARN, "TLS_KEY can be read or written by every user of this machine: chmod o-rwx",
                  LOG_STR("file", key_file));
    }
}
