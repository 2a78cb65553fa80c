#include "repository/statements.h"

#include "statement_list.h"

#define X(name) &STATEMENT_##name,
const struct db_statement *const REPOSITORY_STATEMENTS[] = {STATEMENTS(X) NULL};
