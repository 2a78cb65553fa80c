/* The table of settings, shared by what reads them (config.c) and what describes them (config_command.c). */
#ifndef STONECHAT_UTIL_CONFIG_TABLE_H
#define STONECHAT_UTIL_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
    SETTING_TEXT,     /* const char * */
    SETTING_FILE,     /* const char *, of a file that can be read */
    SETTING_INT,      /* int of min..max */
    SETTING_INT64,    /* int64_t of min..max */
    SETTING_DURATION, /* int64_t seconds of min..max, written 90s, 15m, 12h, 7d, 2w or as bare seconds */
    SETTING_FLAG,     /* bool: 1, true, yes, on or 0, false, no, off */
    SETTING_CHOICE,   /* an enum: the index in `choices` */
    SETTING_ORIGINS,  /* char **: origins, separated by commas */
    SETTING_NETWORKS, /* struct ip_networks: addresses and networks (CIDR), separated by commas */
    SETTING_ADDRESS,  /* struct listen_address: 127.0.0.1:9100 or [::1]:9100 */
    SETTING_RATES     /* struct rate_limit[RATE_RULE_COUNT]: rules such as messages=60/10s, separated by commas */
};

struct setting {
    const char *name;
    enum setting_type type;
    const char *value; /* the default; NULL for none */
    const char *help;  /* one line */
    int64_t min, max;
    const char *const *choices; /* NULL-terminated */
    bool is_secret;             /* never echoed */
    bool is_required;
    size_t offset;             /* in struct config */
    const char *title;         /* a heading before this setting, or NULL */
    const char *relaxed_value; /* another default, where STONECHAT_ENV, which comes first, is not production */
};

extern const struct setting config_settings[]; /* ends with a row whose name is NULL */

#endif
