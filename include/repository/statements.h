/* Every statement of the program. A connection prepares all of them when it is made, so that a statement the database
 * does not know is met at the start. */
#ifndef STONECHAT_REPOSITORY_STATEMENTS_H
#define STONECHAT_REPOSITORY_STATEMENTS_H

#include "db/db.h"

/* A table for db_options.statements. Calls that wait are sent in this order of statements, but for those
 * in turn. */
extern const struct db_statement *const REPOSITORY_STATEMENTS[];

/* For db_options.in_turn. */
extern const struct db_statement *const REPOSITORY_STATEMENTS_IN_TURN[];

#endif
