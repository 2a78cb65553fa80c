/* POST /api/auth/register, /api/auth/login and /api/auth/password; DELETE /api/users/me. */
#include "service/auth.h"

#include "api.h"
#include "util/utf8.h"

enum { USERNAME, PASSWORD, DEVICE, OTP };
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

/* A name that could not be registered is an error of form, as at registration: it tells nothing of who is here. `otp`
 * is for accounts with two factors. */
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
    [OTP] = {.name = "otp", .type = FIELD_TEXT, .min = 1, .max = 64, .flags = FIELD_SECRET},
    {0},
};

static struct credentials credentials_of(const struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    return (struct credentials){
        .username = values[USERNAME].text, .password = values[PASSWORD].text, .origin = api_login_origin(exchange)};
}

/* The shortest password is a setting, so that the table cannot say it. */
static void check_length(struct exchange *exchange, int field)
{
    const struct field_value *password = &exchange->input.values[field];
    const char *name = exchange->operation->fields[field].name;
    int min_length = api_services(exchange)->config->password_min_length;
    char message[64];
    if (password->present && utf8_count(password->text) < (size_t)min_length) {
        snprintf(message, sizeof message, "%s must be %d to %d characters", name, min_length, PASSWORD_MAX_LENGTH);
        fields_add_error(&exchange->input, name, FIELD_IN_BODY, message);
    }
}

void check_auth_register(struct exchange *exchange)
{
    check_length(exchange, PASSWORD);
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
    credentials.otp = exchange->input.values[OTP].text;
    auth_login(api_services(exchange), &credentials, api_reply, exchange_ref(exchange));
}

/* --- with a token, and the password all the same --- */

enum { CURRENT_PASSWORD, NEW_PASSWORD };

const struct field fields_of_auth_password[] = {
    [CURRENT_PASSWORD] = {.name = "currentPassword",
                          .type = FIELD_TEXT,
                          .min = 1,
                          .max = PASSWORD_MAX_LENGTH,
                          .flags = FIELD_REQUIRED | FIELD_SECRET},
    [NEW_PASSWORD] = {.name = "newPassword",
                      .type = FIELD_TEXT,
                      .min = 1,
                      .max = PASSWORD_MAX_LENGTH,
                      .flags = FIELD_REQUIRED | FIELD_SECRET},
    {0},
};

void check_auth_password(struct exchange *exchange)
{
    check_length(exchange, NEW_PASSWORD);
}

void handle_auth_password(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    auth_change_password(api_services(exchange), &actor, values[CURRENT_PASSWORD].text, values[NEW_PASSWORD].text,
                         api_reply, exchange_ref(exchange));
}

const struct field fields_of_users_delete[] = {
    {.name = "password",
     .type = FIELD_TEXT,
     .min = 1,
     .max = PASSWORD_MAX_LENGTH,
     .flags = FIELD_REQUIRED | FIELD_SECRET},
    {0},
};

void handle_users_delete(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    auth_delete(api_services(exchange), &actor, exchange->input.values[0].text, api_reply, exchange_ref(exchange));
}
