#include "util/env_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A line is `name = value`: the name is taken off the front, then the value is read by its first character. Values are
 * unquoted in place, in the line's own memory, and copied once they are complete. */

static char *skip_blanks(char *at)
{
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

static bool is_name(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!isalnum((unsigned char)*text) && *text != '_') {
            return false;
        }
    }
    return true;
}

/* True when nothing but a comment follows a closing quote. */
static bool is_end(char *at)
{
    at = skip_blanks(at);
    return *at == '\0' || *at == '#';
}

static char escaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* `at` stands on the opening quote. The unquoted value, in place, or NULL. */
static char *read_quoted(char *at)
{
    char quote = *at++, *value = at, *out = at;
    for (; *at != quote; at++) {
        if (*at == '\0') {
            return NULL;
        }
        if (*at == '\\' && quote == '"') {
            if (*++at == '\0') {
                return NULL;
            }
            *out++ = escaped(*at);
        } else {
            *out++ = *at;
        }
    }
    if (!is_end(at + 1)) {
        return NULL;
    }
    *out = '\0';
    return value;
}

static char *read_bare(char *at)
{
    char *end = at + strlen(at);
    for (char *c = at; *c != '\0'; c++) {
        if (*c == '#' && (c == at || c[-1] == ' ' || c[-1] == '\t')) {
            end = c;
            break;
        }
    }
    while (end > at && isspace((unsigned char)end[-1])) {
        end--;
    }
    *end = '\0';
    return at;
}

/* NULL when all is well, else what is wrong. */
static const char *read_line(char *line, int number, struct env_file *file)
{
    char *name = skip_blanks(line);
    if (*name == '\0' || *name == '#') {
        return NULL;
    }
    if (strncmp(name, "export ", 7) == 0) {
        name = skip_blanks(name + 7);
    }
    char *equals = strchr(name, '=');
    if (equals == NULL) {
        return "expected NAME=value";
    }
    char *value = skip_blanks(equals + 1);
    *equals = '\0';
    read_bare(name);
    if (!is_name(name)) {
        return "a name is made of letters, digits and _";
    }
    value = *value == '"' || *value == '\'' ? read_quoted(value) : read_bare(value);
    if (value == NULL) {
        return "the quotes do not match";
    }
    struct env_entry *entries = realloc(file->entries, (file->count + 1) * sizeof *entries);
    if (entries == NULL) {
        return "out of memory";
    }
    file->entries = entries;
    struct env_entry entry = {.name = strdup(name), .value = strdup(value), .line = number};
    if (entry.name == NULL || entry.value == NULL) {
        free(entry.name);
        free(entry.value);
        return "out of memory";
    }
    entries[file->count++] = entry;
    return NULL;
}

int env_file_read(FILE *in, const char *path, FILE *errors, struct env_file *ret_file)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int problems = 0;

    *ret_file = (struct env_file){0};
    for (int number = 1; (length = getline(&line, &size, in)) != -1; number++) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) {
            line[--length] = '\0';
        }
        const char *problem = strlen(line) != (size_t)length ? "holds a NUL byte" : read_line(line, number, ret_file);
        if (problem != NULL) {
            fprintf(errors, "%s line %d: %s\n", path, number, problem);
            problems++;
        }
    }
    if (ferror(in)) {
        fprintf(errors, "%s cannot be read\n", path);
        problems++;
    }
    free(line);
    return problems;
}

void env_file_dispose(struct env_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        free(file->entries[i].name);
        free(file->entries[i].value);
    }
    free(file->entries);
    *file = (struct env_file){0};
}

const char *env_file_get(const struct env_file *file, const char *name)
{
    for (size_t i = file->count; i-- > 0;) {
        if (strcmp(file->entries[i].name, name) == 0) {
            return file->entries[i].value;
        }
    }
    return NULL;
}
