/* POST /api/auth/register and /api/auth/login. */
#include "service/auth.h"

#include "api.h"
#include "util/utf8.h"

enum { USERNAME, PASSWORD, DEVICE };
enum { USERNAME_MIN_LENGTH = 3, PASSWORD_MAX_LENGTH = 1024 };

const struct field fields_of_auth_register[] = {
    [USERNAME] = {.name = "username",
                  .type = FIELD_USERNAME,
                  .min = USERNAME_MIN_LENGTH,
                  .max = USERNAME_MAX_LENGTH,
                  .flags = FIELD_REQUIRED},
    [PASSWORD] = {.name = "password",
                  .type = FIELD_TEXT,
                  .min = 1,
                  .max = PASSWORD_MAX_LENGTH,
                  .flags = FIELD_REQUIRED | FIELD_SECRET},
    {0},
};

/* A name that could not be registered is a login that fails, no error of form. `otp` is for accounts with two factors.
 */
const struct field fields_of_auth_login[] = {
    [USERNAME] = {.name = "username",
                  .type = FIELD_USERNAME,
                  .min = USERNAME_MIN_LENGTH,
                  .max = USERNAME_MAX_LENGTH,
                  .flags = FIELD_REQUIRED},
    [PASSWORD] = {.name = "password",
                  .type = FIELD_TEXT,
                  .min = 1,
                  .max = PASSWORD_MAX_LENGTH,
                  .flags = FIELD_REQUIRED | FIELD_SECRET},
    [DEVICE] = {.name = "device", .type = FIELD_TEXT, .min = 1, .max = 128},
    {.name = "otp", .type = FIELD_TEXT, .min = 1, .max = 64, .flags = FIELD_SECRET},
    {0},
};

static struct credentials credentials_of(const struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    return (struct credentials){.username = values[USERNAME].text, .password = values[PASSWORD].text};
}

/* The shortest password is a setting, so that the table cannot say it. */
void check_auth_register(struct exchange *exchange)
{
    const struct field_value *password = &exchange->input.values[PASSWORD];
    int min_length = api_services(exchange)->config->password_min_length;
    char message[64];
    if (password->present && utf8_count(password->text) < (size_t)min_length) {
        snprintf(message, sizeof message, "password must be %d to %d characters", min_length, PASSWORD_MAX_LENGTH);
        fields_add_error(&exchange->input, "password", FIELD_IN_BODY, message);
    }
}

void handle_auth_register(struct exchange *exchange)
{
    struct credentials credentials = credentials_of(exchange);
    auth_register(api_services(exchange), &credentials, api_reply, exchange_ref(exchange));
}

void handle_auth_login(struct exchange *exchange)
{
    struct credentials credentials = credentials_of(exchange);
    credentials.device = exchange->input.values[DEVICE].text;
    auth_login(api_services(exchange), &credentials, api_reply, exchange_ref(exchange));
}
