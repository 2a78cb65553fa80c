#include "repository/statements.h"

#include "statement_list.h"

#define X(name) &STATEMENT_##name,
const struct db_statement *const REPOSITORY_STATEMENTS[] = {STATEMENTS(X) NULL};

/* Who hangs up and dials again need not wait in between, nor who sends a candidate and hangs up. */
const struct db_statement *const REPOSITORY_STATEMENTS_IN_TURN[] = {&STATEMENT_CALL_START, &STATEMENT_CALL_ANSWER,
                                                                    &STATEMENT_CALL_CHECK, &STATEMENT_CALL_END, NULL};
