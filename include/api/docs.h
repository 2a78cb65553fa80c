/* The documentation at /api/docs: Swagger UI on swagger/openapi.yaml, and a page of our own on swagger/asyncapi.yaml;
 * from memory. */
#ifndef STONECHAT_API_DOCS_H
#define STONECHAT_API_DOCS_H

#include <stdbool.h>

#include "http/site.h"

/* The paths below /api/docs; ends with a row whose path is NULL. They answer between docs_load and docs_unload. */
extern const struct http_mount docs_mounts[];

/* Reads the files of swagger/ below `share_dir` (NULL: there are none) into memory; they are not looked at again.
 * Main's thread, before there are workers. What is missing is logged and answered with 404; without Swagger UI the page
 * says how to get it. False: no memory, and nothing is loaded. */
bool docs_load(const char *share_dir);

/* Frees what docs_load has read. After the workers have ended; nothing happens when nothing is loaded. */
void docs_unload(void);

#endif
