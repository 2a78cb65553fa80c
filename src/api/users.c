/* GET /api/users/me and GET /api/users. */
#include "service/users.h"

#include "api.h"

enum { SEARCH, LIMIT };
enum { DEFAULT_LIMIT = 20, MAX_LIMIT = 50 };

const struct field fields_of_users_me[] = {{0}};

const struct field fields_of_users_search[] = {
    [SEARCH] = {.name = "search", .type = FIELD_TEXT, .min = 0, .max = USERNAME_MAX_LENGTH},
    [LIMIT] = {.name = "limit", .type = FIELD_INTEGER, .min = 1, .max = MAX_LIMIT},
    {0},
};

void handle_users_me(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    users_get_self(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}

void handle_users_search(struct exchange *exchange)
{
    const struct field_value *values = exchange->input.values;
    struct actor actor = api_actor(exchange);
    users_search(api_services(exchange), &actor, values[SEARCH].text, api_integer(&values[LIMIT], DEFAULT_LIMIT),
                 api_reply, exchange_ref(exchange));
}
