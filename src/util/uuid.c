/* UUIDs. A thread keeps its own clock, counter and store of random bytes, so that making one takes no lock and, mostly,
 * no system call. The 12 bits after the version count within a millisecond from a random start; when they run out, the
 * thread's clock is put a millisecond ahead and real time catches up. */
#include "util/uuid.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "util/hex.h"

enum { POOL_BYTES = 1024, COUNTER_MAX = 0xfff, COUNTER_START_MASK = 0x7ff };

static _Thread_local struct {
    uint64_t unix_ms;
    unsigned counter;
    size_t used;
    bool is_filled;
    uint8_t random[POOL_BYTES];
} generator;

static void fill_pool(void)
{
    size_t filled = 0;
    while (filled < sizeof generator.random) {
        ssize_t n = getrandom(generator.random + filled, sizeof generator.random - filled, 0);
        if (n > 0) {
            filled += (size_t)n;
        } else if (errno != EINTR) {
            abort(); /* without randomness no id and no secret is safe */
        }
    }
    generator.used = 0;
    generator.is_filled = true;
}

static void take_random(void *out, size_t length)
{
    if (!generator.is_filled || sizeof generator.random - generator.used < length) {
        fill_pool();
    }
    memcpy(out, generator.random + generator.used, length);
    generator.used += length;
}

struct uuid uuid_generate(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    struct {
        uint8_t tail[8];
        uint16_t start;
    } random;
    take_random(&random, sizeof random);

    if (now_ms > generator.unix_ms) {
        generator.unix_ms = now_ms;
        generator.counter = random.start & COUNTER_START_MASK;
    } else if (generator.counter < COUNTER_MAX) {
        generator.counter++;
    } else {
        generator.unix_ms++;
        generator.counter = random.start & COUNTER_START_MASK;
    }

    struct uuid uuid;
    for (int i = 0; i < 6; i++) {
        uuid.bytes[i] = (uint8_t)(generator.unix_ms >> (40 - 8 * i));
    }
    uuid.bytes[6] = (uint8_t)(0x70 | generator.counter >> 8);
    uuid.bytes[7] = (uint8_t)generator.counter;
    memcpy(uuid.bytes + 8, random.tail, sizeof random.tail);
    uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3f));
    return uuid;
}

/* Where the two digits of each byte stand in the text. */
static const uint8_t positions[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

bool uuid_parse(struct slice text, struct uuid *ret_uuid)
{
    if (text.length != UUID_TEXT_LENGTH || text.data[8] != '-' || text.data[13] != '-' || text.data[18] != '-' ||
        text.data[23] != '-') {
        return false;
    }
    struct uuid uuid;
    for (size_t i = 0; i < sizeof uuid.bytes; i++) {
        int byte = hex_byte(text.data[positions[i]], text.data[positions[i] + 1]);
        if (byte < 0) {
            return false;
        }
        uuid.bytes[i] = (uint8_t)byte;
    }
    *ret_uuid = uuid;
    return true;
}

/* Two digits for each byte: "000102…ff". */
#define HEX_ROW(high)                                                                                                  \
    high "0" high "1" high "2" high "3" high "4" high "5" high "6" high "7" high "8" high "9" high "a" high "b" high   \
         "c" high "d" high "e" high "f"
static const char hex_pairs[] =
    HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4") HEX_ROW("5") HEX_ROW("6") HEX_ROW("7") HEX_ROW("8")
        HEX_ROW("9") HEX_ROW("a") HEX_ROW("b") HEX_ROW("c") HEX_ROW("d") HEX_ROW("e") HEX_ROW("f");

void uuid_format(struct uuid uuid, char out[UUID_TEXT_LENGTH])
{
    out[8] = out[13] = out[18] = out[23] = '-';
    for (size_t i = 0; i < sizeof uuid.bytes; i++) {
        memcpy(out + positions[i], hex_pairs + (size_t)2 * uuid.bytes[i], 2);
    }
}
