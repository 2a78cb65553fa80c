#include "service/services.h"

#include "repository/event.h"
#include "service/node.h"

bool services_are_ready(const struct services *services)
{
    for (struct db *const *db = services->all_databases; *db != NULL; db++) {
        if (!db_is_available(*db)) {
            return false;
        }
    }
    return node_is_known(services->node) && revocations_are_whole(services->revocations);
}
