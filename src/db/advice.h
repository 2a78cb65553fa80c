/* What to do about what PostgreSQL and libpq complain of. Private to db. */
#ifndef STONECHAT_DB_ADVICE_H
#define STONECHAT_DB_ADVICE_H

/* Why there is no connection, by the text that libpq gives, since it gives nothing else; NULL: nothing is known. */
const char *advice_of_connection(const char *error);

/* Why a statement failed; NULL: nothing is known. */
const char *advice_of_statement(const char *sqlstate);

/* What is wrong with the address itself; NULL: nothing. It never has a part of the address, which has a password. */
const char *advice_of_url(const char *url);

#endif
