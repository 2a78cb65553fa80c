#include <stdio.h>
#include <string.h>

#include "util/config.h"
#include "util/config_table.h"
#include "util/reference.h"
#include "util/version.h"

/* What the program says of itself and of its settings, before anything runs. */

enum { EXIT_USAGE = 64 }; /* EX_USAGE of sysexits.h */

static const char ENV_FILE[] = ".env";

static void print_choices(FILE *out, const struct setting *setting)
{
    for (int i = 0; setting->choices != NULL && setting->choices[i] != NULL; i++) {
        fprintf(out, "%s%s", i == 0 ? " (" : ", ", setting->choices[i]);
    }
    if (setting->choices != NULL) {
        fputc(')', out);
    }
}

static void print_relaxed(FILE *out, const struct setting *setting)
{
    if (setting->relaxed_value != NULL) {
        fprintf(out, "; %s when STONECHAT_ENV is not production", setting->relaxed_value);
    }
}

void config_print_help(FILE *out)
{
    fputs("stonechat " STONECHAT_VERSION ", a realtime chat backend\n\n"
          "Usage: stonechat [option]\n"
          "  --check-config       read the settings, tell what is wrong with them, and end\n"
          "  --print-env-example  print a .env file with every setting\n"
          "  --print-docs PAGE    print a page of docs/: settings, metrics or errors\n"
          "  --print-setting NAME print the value that NAME was given, secret or not\n"
          "  --version            print the version\n"
          "  --help               print this\n\n"
          "Settings come from the environment, or from the file .env in the working directory. A secret may lie in a\n"
          "file instead: DATABASE_URL_FILE names the one that holds DATABASE_URL.\n",
          out);
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        if (setting->title != NULL) {
            fprintf(out, "\n%s:\n", setting->title);
        }
        fprintf(out, "  %-24s %s", setting->name, setting->help);
        print_choices(out, setting);
        if (setting->is_required) {
            fputs(" [required]", out);
        } else if (setting->value != NULL) {
            fprintf(out, " [%s", setting->value);
            print_relaxed(out, setting);
            fputc(']', out);
        }
        fputc('\n', out);
    }
}

void config_print_env_example(FILE *out)
{
    fputs("# Settings of Stonechat. Copy this file to .env and take the # off what you change;\n"
          "# the values shown are the defaults. The environment wins over this file. What is a secret may lie\n"
          "# in a file of its own: NAME_FILE=/path/of/it in place of NAME.\n",
          out);
    for (const struct setting *setting = config_settings; setting->name != NULL; setting++) {
        if (setting->title != NULL) {
            fprintf(out, "\n# --- %s ---\n", setting->title);
        }
        fprintf(out, "\n# %s", setting->help);
        print_choices(out, setting);
        print_relaxed(out, setting);
        fprintf(out, "%s%s\n#%s=%s\n", setting->is_required ? " (required)" : "", setting->is_secret ? " (secret)" : "",
                setting->name, setting->value != NULL ? setting->value : "");
    }
}

enum config_command config_command_line(int argc, char **argv)
{
    if (argc <= 1) {
        return CONFIG_COMMAND_RUN;
    }
    if (argc == 2 && strcmp(argv[1], "--check-config") == 0) {
        return CONFIG_COMMAND_CHECK;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        config_print_help(stdout);
        return CONFIG_COMMAND_DONE;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("stonechat " STONECHAT_VERSION);
        return CONFIG_COMMAND_DONE;
    }
    if (argc == 2 && strcmp(argv[1], "--print-env-example") == 0) {
        config_print_env_example(stdout);
        return CONFIG_COMMAND_DONE;
    }
    if (argc == 3 && strcmp(argv[1], "--print-docs") == 0 && reference_print(argv[2], stdout)) {
        return CONFIG_COMMAND_DONE;
    }
    if (argc == 3 && strcmp(argv[1], "--print-setting") == 0 && config_print_setting(ENV_FILE, argv[2], stdout)) {
        return CONFIG_COMMAND_DONE;
    }
    fputs("stonechat does not understand these arguments; see stonechat --help\n", stderr);
    return CONFIG_COMMAND_USAGE;
}

bool config_reload(struct config *ret_config)
{
    return config_load(ENV_FILE, stderr, ret_config) == 0;
}

bool config_start(int argc, char **argv, struct config *ret_config, int *ret_exit_status)
{
    enum config_command command = config_command_line(argc, argv);
    if (command == CONFIG_COMMAND_DONE || command == CONFIG_COMMAND_USAGE) {
        *ret_exit_status = command == CONFIG_COMMAND_DONE ? 0 : EXIT_USAGE;
        return false;
    }
    if (config_load(ENV_FILE, stderr, ret_config) != 0) {
        fputs("stonechat does not start: see the settings in .env.example\n", stderr);
        *ret_exit_status = CONFIG_EXIT_STATUS;
        return false;
    }
    if (command == CONFIG_COMMAND_CHECK) {
        puts("OK");
        config_dispose(ret_config);
        *ret_exit_status = 0;
        return false;
    }
    return true;
}
