#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/cli/config_file.h"

static const struct flag flags[] = {
    {"store", 0, "KIND", "where it is meant to run: kubernetes, directory", "directory", false},
    {.name = NULL},
};

static int main_validate(struct cli *cli, struct error *err)
{
    const char *path = cli->flags.arguments[0];
    STR_GUARD struct str text = STR_INIT(1024 * 16);
    struct config_file file;
    struct spec spec;
    cli->has_workloads = strcmp(flags_get(&cli->flags, "store"), "kubernetes") == 0;
    if (!cli->has_workloads && strcmp(flags_get(&cli->flags, "store"), "directory") != 0) {
        error_set(err, ERR_USAGE, "'--store' must be kubernetes or directory");
        return errc_exit(err->code);
    }
    if (config_file_read(&cli->arena, path, &file, err) ||
        cli_parse_spec(cli, &file.view, &spec, err))
        return errc_exit(err->code);
    str_append(&text, "{\"valid\":true,\"file\":");
    str_append_json(&text, path);
    str_append_char(&text, '}');
    if (cli_is_text(cli))
        printf("%s is valid\n", path);
    else
        puts(str_text(&text));
    return 0;
}

const struct command command_validate = {
    .name = "validate",
    .arguments = "FILE",
    .summary = "check a ConfigMap or a restore.yaml, offline ('-': standard input)",
    .flags = flags,
    .argument_min = 1,
    .argument_max = 1,
    .main = main_validate,
};
