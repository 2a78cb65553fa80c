/* Reads a file of NAME=value lines, as .env files are: comments, `export`, single and double quotes; no expansion. */
#ifndef STONECHAT_UTIL_ENV_FILE_H
#define STONECHAT_UTIL_ENV_FILE_H

#include <stddef.h>
#include <stdio.h>

struct env_entry {
    char *name, *value; /* owned */
    int line;
};

struct env_file {
    struct env_entry *entries;
    size_t count;
};

/* Reads the whole of `in`; `path` names it in messages, a line a problem on `errors`. Returns the number of problems;
 * what could be read is in `ret_file` in any case, and env_file_dispose frees it. */
int env_file_read(FILE *in, const char *path, FILE *errors, struct env_file *ret_file);
void env_file_dispose(struct env_file *file);

/* The last value of `name`, or NULL. */
const char *env_file_get(const struct env_file *file, const char *name);

#endif
