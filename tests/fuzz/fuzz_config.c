/* Any bytes as all the settings, by a file: none of it crashes, and what is taken keeps the promises of the table and
 * of the rules between settings. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/config.h"
#include "util/config_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What cannot do without. */
static const char REQUIRED[] = "DATABASE_URL=postgresql:///stonechat\nJWT_SECRET=rIKtuzYqqDYVTsp3iTH0jJLZqnNmYOCw4U\n";

static void check_number(const struct setting *setting, int64_t number)
{
    assert(number >= setting->min && number <= setting->max);
}

static void check(const struct config *config)
{
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        const void *field = (const char *)config + setting->offset;
        if (setting->type == SETTING_INT) {
            check_number(setting, *(const int *)field);
        } else if (setting->type == SETTING_INT64 || setting->type == SETTING_DURATION) {
            check_number(setting, *(const int64_t *)field);
        }
        assert(!setting->is_required || *(char *const *)field != NULL);
    }
    assert((config->tls_cert == NULL) == (config->tls_key == NULL));
    assert(config->redis_url == NULL || config->redis_host == NULL);
    assert(!config->proxy_protocol || config->trust_proxy.count > 0);
    assert(config->refresh_expires_in_s >= config->jwt_expires_in_s);
    assert(strlen(config->jwt_secret) >= 32);
    for (size_t i = 0; config->allowed_origins[i] != NULL; i++) {
        const char *host = strstr(config->allowed_origins[i], "://");
        assert(host != NULL && host > config->allowed_origins[i] && host[3] != '\0' && strchr(host + 3, '/') == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    char path[32];
    struct config config;
    int file = memfd_create("settings", MFD_CLOEXEC);
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
        clearenv();
    }
    assert(write(file, REQUIRED, sizeof REQUIRED - 1) > 0 && (size == 0 || write(file, data, size) > 0));
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    bool is_good = config_load(path, nowhere, &config) == 0;
    assert(is_good || size > 0);
    if (is_good) {
        check(&config);
        config_dispose(&config);
    }
    close(file);
    return 0;
}
