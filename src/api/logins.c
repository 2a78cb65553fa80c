/* POST /api/auth/refresh, /api/auth/logout and /api/auth/logout-all; GET /api/auth/sessions, DELETE
 * /api/auth/sessions/:id. */
#include "service/logins.h"

#include "api.h"

enum { REFRESH_TOKEN_MAX_LENGTH = 512 };

/* One that is not of our making is refused, no error of form. */
const struct field fields_of_logins_refresh[] = {
    {.name = "refreshToken",
     .type = FIELD_TEXT,
     .min = 1,
     .max = REFRESH_TOKEN_MAX_LENGTH,
     .flags = FIELD_REQUIRED | FIELD_SECRET},
    {0},
};
const struct field fields_of_logins_list[] = {{0}};
const struct field fields_of_logins_end[] = {{.name = "id", .type = FIELD_UUID, .flags = FIELD_OF_PATH}, {0}};
const struct field fields_of_logins_end_own[] = {{0}};
const struct field fields_of_logins_end_all[] = {{0}};

void handle_logins_refresh(struct exchange *exchange)
{
    struct login_origin origin = api_login_origin(exchange);
    logins_refresh(api_services(exchange), exchange->input.values[0].text, &origin, api_reply, exchange_ref(exchange));
}

void handle_logins_list(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    logins_list(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}

void handle_logins_end(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    logins_end(api_services(exchange), &actor, exchange->input.values[0].uuid, api_reply, exchange_ref(exchange));
}

void handle_logins_end_own(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    logins_end_own(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}

void handle_logins_end_all(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    logins_end_all(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}
