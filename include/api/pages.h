/* The pages that the server has itself, from memory: Swagger UI and the events at /api/docs, and the demo of
 * web/ at /. */
#ifndef STONECHAT_API_PAGES_H
#define STONECHAT_API_PAGES_H

#include <stdbool.h>

#include "http/site.h"

/* The paths of the pages; each ends with a row whose path is NULL. They answer between pages_load and pages_unload. */
extern const struct http_mount pages_docs_mounts[];
extern const struct http_mount pages_demo_mounts[]; /* only where the demo was loaded */

/* Reads the files of swagger/, and with `has_demo` of web/, below `share_dir` (NULL: there are none) into memory; they
 * are not looked at again. Main's thread, before there are workers. What is missing is logged and answered with 404; a
 * page that lacks a part says how to get it. False: no memory, and nothing is loaded. */
bool pages_load(const char *share_dir, bool has_demo);

/* Frees what pages_load has read. After the workers have ended; nothing happens when nothing is loaded. */
void pages_unload(void);

#endif
