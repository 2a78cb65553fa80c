#include "service/services.h"

#include "repository/event.h"

bool services_are_ready(const struct services *services)
{
    return db_is_available(services->db) && db_is_available(services->append);
}
