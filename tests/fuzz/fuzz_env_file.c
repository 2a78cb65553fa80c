/* Any bytes as a file of settings: no crash, and every entry that is accepted has a name and can be found. */
#include <assert.h>
#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/env_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "w");
    }
    if (size == 0) {
        return 0;
    }
    FILE *in = fmemopen((void *)data, size, "r");
    struct env_file file;
    env_file_read(in, "fuzzed", nowhere, &file);
    fclose(in);
    for (size_t i = 0; i < file.count; i++) {
        const char *name = file.entries[i].name;
        assert(isalpha((unsigned char)name[0]) || name[0] == '_');
        assert(env_file_get(&file, name) != NULL);
        assert(strlen(file.entries[i].value) <= size);
    }
    env_file_dispose(&file);
    return 0;
}
