/* Any text as a refresh token and as a pid: only what was made with the key is taken, in the one way that it is
 * written, and what it says is what was put into it.
 *
 * The input: 16 bytes for an id, 8 for a place in the log, then pairs of a place and a byte to put there. All of it is
 * tried as a text too. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "auth/pid.h"
#include "auth/refresh_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_BYTES = 16 + 8 };

static void change(char *text, size_t length, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 1 < size; i += 2) {
        text[data[i] % length] = (char)data[i + 1];
    }
}

static void check_refresh_token(const struct token_key *key, struct uuid id, const uint8_t *data, size_t size)
{
    char text[REFRESH_TOKEN_LENGTH + 1], before[REFRESH_TOKEN_LENGTH + 1];
    struct uuid parsed;
    assert(refresh_token_make(key, id, text));
    assert(strlen(text) == REFRESH_TOKEN_LENGTH);
    assert(refresh_token_parse(key, slice_of(text), &parsed) && uuid_equals(parsed, id));
    assert(!refresh_token_parse(key, (struct slice){text, REFRESH_TOKEN_LENGTH - 1}, &parsed));
    memcpy(before, text, sizeof text);
    change(text, REFRESH_TOKEN_LENGTH, data, size);
    bool is_same = memcmp(before, text, sizeof text) == 0;
    assert(refresh_token_parse(key, (struct slice){text, REFRESH_TOKEN_LENGTH}, &parsed) == is_same);
}

static void check_pid(const struct token_key *key, struct uuid id, int64_t seq, const uint8_t *data, size_t size)
{
    char text[PID_LENGTH + 1], before[PID_LENGTH + 1];
    struct uuid user_id = {{7}}, other_id = {{8}}, parsed;
    int64_t parsed_seq;
    pid_make(key, user_id, id, seq, text);
    assert(strlen(text) == PID_LENGTH);
    assert(pid_parse(key, user_id, slice_of(text), &parsed, &parsed_seq));
    assert(uuid_equals(parsed, id) && parsed_seq == seq);
    assert(!pid_parse(key, other_id, slice_of(text), &parsed, &parsed_seq));
    memcpy(before, text, sizeof text);
    change(text, PID_LENGTH, data, size);
    bool is_same = memcmp(before, text, sizeof text) == 0;
    assert(pid_parse(key, user_id, (struct slice){text, PID_LENGTH}, &parsed, &parsed_seq) == is_same);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct token_key *key;
    struct slice text = {(const char *)data, size};
    struct uuid id;
    int64_t seq;
    if (key == NULL) {
        key = token_key_create(SLICE("0123456789abcdef0123456789abcdef"));
    }
    assert(!refresh_token_parse(key, text, &id) || size == REFRESH_TOKEN_LENGTH); /* libFuzzer may have learnt one */
    assert(!pid_parse(key, (struct uuid){{7}}, text, &id, &seq) || size == PID_LENGTH);
    if (size >= BODY_BYTES) {
        memcpy(id.bytes, data, sizeof id.bytes);
        memcpy(&seq, data + sizeof id.bytes, sizeof seq);
        check_refresh_token(key, id, data + BODY_BYTES, size - BODY_BYTES);
        check_pid(key, id, seq, data + BODY_BYTES, size - BODY_BYTES);
    }
    return 0;
}
