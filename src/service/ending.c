#include "ending.h"

#include "service/node.h"

bool ending_note(struct services *services, const struct login_ended *ended)
{
    enum revocations_added added =
        revocations_add(services->revocations, ended->id, ended->tokens_until_us / 1000000 + 1);
    if (added != REVOCATIONS_OLD) {
        hub_end_login(services->hub, ended->user_id, ended->id);
    }
    return added != REVOCATIONS_FAILED;
}

void ending_publish(struct services *services, const struct db_rows *rows)
{
    struct uuid user_id = {{0}};
    for (int i = 0; i < db_rows_count(rows); i++) {
        struct login_ended ended = login_decode_ended(rows, i);
        if (uuid_is_nil(ended.id)) {
            continue;
        }
        ending_note(services, &ended);
        if (!uuid_equals(ended.user_id, user_id)) {
            user_id = ended.user_id;
            node_tell_revoked(services, user_id);
        }
    }
}
