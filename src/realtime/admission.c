#include "admission.h"

#include <strings.h>
#include <time.h>

#include "util/fields.h"

static const struct field QUERY_FIELDS[] = {{.name = "token", .type = FIELD_TEXT, .min = 1, .max = TOKEN_MAX_BYTES},
                                            {0}};

static enum admission verify(struct token_cache *tokens, struct slice token, struct token_claims *ret_claims)
{
    switch (token_cache_verify(tokens, token, time(NULL), ret_claims)) {
    case STATUS_OK:
        return ADMISSION_GRANTED;
    case STATUS_UNAVAILABLE:
        return ADMISSION_UNAVAILABLE;
    default:
        return ADMISSION_BAD_TOKEN;
    }
}

enum admission admission_check(struct token_cache *tokens, const struct admission_papers *papers,
                               struct token_claims *ret_claims)
{
    struct slice header = papers->authorization;
    if (papers->token.length > 0) {
        return verify(tokens, papers->token, ret_claims);
    }
    struct field_values query;
    fields_init(&query);
    bool has_query = fields_read_query(QUERY_FIELDS, papers->query, &query) && query.values[0].present;
    enum admission admission = has_query ? verify(tokens, query.values[0].text, ret_claims) : ADMISSION_NO_TOKEN;
    fields_dispose(&query);
    if (has_query) {
        return admission;
    }
    if (header.length > 7 && strncasecmp(header.data, "Bearer ", 7) == 0) {
        return verify(tokens, (struct slice){header.data + 7, header.length - 7}, ret_claims);
    }
    return ADMISSION_NO_TOKEN;
}

enum status admission_status(enum admission admission)
{
    return admission == ADMISSION_UNAVAILABLE ? STATUS_UNAVAILABLE : STATUS_UNAUTHORIZED;
}

const char *admission_message(enum admission admission)
{
    return admission == ADMISSION_NO_TOKEN ? "No token provided" : status_message(admission_status(admission));
}
