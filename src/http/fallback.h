/* What libh2o refuses by itself (a body that is too large, a broken one) gets the form of our own errors. */
#ifndef STONECHAT_HTTP_FALLBACK_H
#define STONECHAT_HTTP_FALLBACK_H

#include <h2o.h>

/* Adds the filter to the path that libh2o uses for requests that it does not pass to `handler`. */
void fallback_install(h2o_pathconf_t *path, h2o_handler_t *handler);

#endif
