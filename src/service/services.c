#include "service/services.h"

#include "repository/event.h"
#include "service/node.h"

struct readiness services_readiness(const struct services *services)
{
    struct readiness found = {.has_database = true,
                              .has_schema = true,
                              .has_bus = node_is_in_touch(services->node),
                              .has_logins = revocations_are_whole(services->revocations)};
    for (struct db *const *db = services->all_databases; *db != NULL; db++) {
        found.has_database = found.has_database && db_is_available(*db);
        found.has_schema = found.has_schema && !db_is_outdated(*db);
    }
    return found;
}
