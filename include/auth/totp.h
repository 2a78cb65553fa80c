/* Time-based one-time passwords (RFC 6238: SHA-1, 30 s, 6 digits, as every authenticator app has them), and the codes
 * for whoever lost his app. Any thread. */
#ifndef STONECHAT_AUTH_TOTP_H
#define STONECHAT_AUTH_TOTP_H

#include <stdbool.h>
#include <stdint.h>

#include "util/buffer.h"
#include "util/slice.h"

enum { TOTP_SECRET_BYTES = 20, TOTP_DIGITS = 6, TOTP_BASE32_LENGTH = 32 };

struct totp_secret {
    unsigned char bytes[TOTP_SECRET_BYTES];
};

/* A random one. The caller wipes it. */
void totp_secret_make(struct totp_secret *ret_secret);
/* As people type it; terminated. */
void totp_secret_format(const struct totp_secret *secret, char out[TOTP_BASE32_LENGTH + 1]);

/* The step of 30 s that the code belongs to: the one of `now_s` (since 1970), or the one before or after it. False when
 * it is no code of these. Takes as long for a wrong one as for a right one. */
bool totp_check(const struct totp_secret *secret, struct slice code, int64_t now_s, int64_t *ret_step);

/* Appends the address that an app takes: otpauth://totp/ISSUER:NAME?…
 * https://github.com/google/google-authenticator/wiki/Key-Uri-Format */
void totp_write_uri(struct buffer *out, const struct totp_secret *secret, const char *issuer, struct slice name);
/* Appends the text as a QR code (ISO/IEC 18004) in SVG; false without memory, or when it is too long. */
bool totp_write_qr_svg(struct buffer *out, const char *text);

/* Recovery codes: ABCDE-FGHIJ, of 10 characters of an alphabet of 32 without look-alikes. */
enum { RECOVERY_CODE_LENGTH = 11, RECOVERY_HASH_LENGTH = 64 };
void recovery_code_make(char out[RECOVERY_CODE_LENGTH + 1]);
/* What is stored: SHA-256 of owner and code in hexadecimal; terminated. Lower case, and with or without '-', it is the
 * same code. False when the text cannot be a code. */
bool recovery_code_hash(struct slice owner, struct slice code, char out[RECOVERY_HASH_LENGTH + 1]);

#endif
