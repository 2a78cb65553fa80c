#include "advice.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct advice {
    const char *sign, *advice;
};

static const struct advice OF_CONNECTIONS[] = {
    {"password authentication failed", "check the user and the password in DATABASE_URL"},
    {"no password supplied", "put the password into DATABASE_URL: postgresql://user:password@host/database"},
    {"role \"", "create the role, or name another user in DATABASE_URL"},
    {"database \"", "create the database and run scripts/migrate up, or name another one in DATABASE_URL"},
    {"translate host name", "check the host in DATABASE_URL"},
    {"Connection refused", "start PostgreSQL, or check the host and port in DATABASE_URL"},
    {"No such file or directory", "start PostgreSQL, or check the directory of its socket in DATABASE_URL"},
    {"Permission denied", "let RUN_AS reach PostgreSQL's socket, or use another host in DATABASE_URL"},
    {"timeout expired", "check the host in DATABASE_URL, and the firewalls on the way"},
    {"no pg_hba.conf entry", "let this machine and user in by PostgreSQL's pg_hba.conf"},
    {"permission denied for", "grant the rights: GRANT stonechat_app TO the user of DATABASE_URL"},
    {"too many clients", "raise PostgreSQL's max_connections, or lower WORKERS"},
    {"too many connections", "raise PostgreSQL's max_connections, or lower WORKERS"},
    {"remaining connection slots", "raise PostgreSQL's max_connections, or lower WORKERS"},
    {"No space left on device", "make room on PostgreSQL's disk"},
    {NULL, NULL},
};

static const struct advice OF_STATEMENTS[] = {
    {"53100", "make room on PostgreSQL's disk; all goes on by itself then"},
    {"53200", "give PostgreSQL more memory"},
    {"53300", "raise PostgreSQL's max_connections, or lower WORKERS"},
    {"42501", "grant the rights: GRANT stonechat_app TO the user of DATABASE_URL"},
    {NULL, NULL},
};

const char *advice_of_connection(const char *error)
{
    const struct advice *row = OF_CONNECTIONS;
    while (row->sign != NULL && strstr(error, row->sign) == NULL) {
        row++;
    }
    return row->advice;
}

const char *advice_of_statement(const char *sqlstate)
{
    const struct advice *row = OF_STATEMENTS;
    while (row->sign != NULL && strcmp(sqlstate, row->sign) != 0) {
        row++;
    }
    return row->advice;
}

static bool are_ports(const char *list)
{
    for (;;) {
        char *end;
        long port = strtol(list, &end, 10);
        bool is_default = end == list;
        if ((!is_default && (port < 1 || port > 65535)) || (*end != ',' && *end != '\0')) {
            return false;
        }
        if (*end == '\0') {
            return true;
        }
        list = end + 1;
    }
}

/* A password with a bare / or @ ends early, and what is left of it is taken for a host or a port. */
static bool is_plausible(const PQconninfoOption *option)
{
    if (option->val == NULL) {
        return true;
    }
    if (strcmp(option->keyword, "host") == 0) {
        return option->val[0] == '/' || option->val[0] == '@' || strchr(option->val, '@') == NULL;
    }
    return strcmp(option->keyword, "port") != 0 || are_ports(option->val);
}

const char *advice_of_url(const char *url)
{
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    bool is_good = options != NULL;
    for (PQconninfoOption *option = options; is_good && option->keyword != NULL; option++) {
        is_good = is_plausible(option);
    }
    PQconninfoFree(options);
    return is_good ? NULL
                   : "DATABASE_URL has to look like postgresql://user:password@host:5432/database, with the special "
                     "characters of the password as %XX (@ is %40, / is %2F, : is %3A, % is %25)";
}
