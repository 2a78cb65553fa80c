/* POST /api/auth/2fa/setup, /enable and /disable. */
#include "service/two_factors.h"

#include "api.h"

enum { OTP };
enum { OTP_MAX_LENGTH = 64 };

#define OTP_FIELD                                                                                                      \
    {                                                                                                                  \
        .name = "otp", .type = FIELD_TEXT, .min = 1, .max = OTP_MAX_LENGTH, .flags = FIELD_REQUIRED | FIELD_SECRET     \
    }

const struct field fields_of_two_factors_setup[] = {{0}};
const struct field fields_of_two_factors_enable[] = {[OTP] = OTP_FIELD, {0}};
const struct field fields_of_two_factors_disable[] = {[OTP] = OTP_FIELD, {0}};

void handle_two_factors_setup(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    two_factors_setup(api_services(exchange), &actor, api_reply, exchange_ref(exchange));
}

void handle_two_factors_enable(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    two_factors_enable(api_services(exchange), &actor, exchange->input.values[OTP].text, api_reply,
                       exchange_ref(exchange));
}

void handle_two_factors_disable(struct exchange *exchange)
{
    struct actor actor = api_actor(exchange);
    two_factors_disable(api_services(exchange), &actor, exchange->input.values[OTP].text, api_reply,
                        exchange_ref(exchange));
}
