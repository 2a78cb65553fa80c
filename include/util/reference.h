/* The reference pages of docs/, made from the program's own tables. A lint (tests/lint/reference) compares them. */
#ifndef STONECHAT_UTIL_REFERENCE_H
#define STONECHAT_UTIL_REFERENCE_H

#include <stdbool.h>
#include <stdio.h>

/* Prints the page in Markdown: "settings", "metrics" or "errors". False: there is no such page. */
bool reference_print(const char *page, FILE *out);

#endif
