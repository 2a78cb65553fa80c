#include "admission.h"

#include <time.h>

#include "util/fields.h"

static const struct field QUERY_FIELDS[] = {{.name = "token", .type = FIELD_TEXT, .max = TOKEN_MAX_BYTES}, {0}};

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

/* ADMISSION_NO_TOKEN when the query has none. One that is there and cannot be read is a bad one. */
static enum admission check_query(struct token_cache *tokens, struct slice text, struct token_claims *ret_claims)
{
    struct field_values query;
    enum admission admission = ADMISSION_NO_TOKEN;
    fields_init(&query);
    bool is_good = fields_read_query(QUERY_FIELDS, text, &query);
    const struct field_value *token = &query.values[0];
    if (fields_status(&query) == STATUS_UNAVAILABLE) {
        admission = ADMISSION_UNAVAILABLE;
    } else if (token->is_wrong || (token->present && !is_good)) {
        admission = ADMISSION_BAD_TOKEN;
    } else if (token->text.length > 0) {
        admission = verify(tokens, token->text, ret_claims);
    }
    fields_dispose(&query);
    return admission;
}

enum admission admission_check(struct token_cache *tokens, const struct admission_papers *papers,
                               struct token_claims *ret_claims)
{
    if (papers->is_token_wrong) {
        return ADMISSION_BAD_TOKEN;
    }
    if (papers->token.length > 0) {
        return verify(tokens, papers->token, ret_claims);
    }
    enum admission admission = check_query(tokens, papers->query, ret_claims);
    if (admission != ADMISSION_NO_TOKEN) {
        return admission;
    }
    struct slice token = token_of_authorization(papers->authorization);
    return token.length > 0 ? verify(tokens, token, ret_claims) : ADMISSION_NO_TOKEN;
}

enum status admission_status(enum admission admission)
{
    return admission == ADMISSION_UNAVAILABLE ? STATUS_UNAVAILABLE : STATUS_UNAUTHORIZED;
}

const char *admission_message(enum admission admission)
{
    return admission == ADMISSION_NO_TOKEN ? "No token provided" : status_message(admission_status(admission));
}
