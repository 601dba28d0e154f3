#include <stdio.h>

#include "lib/cli/cli.h"

static const struct flag flags[] = {{.name = NULL}};

static int main_version(struct cli *cli, struct error *err)
{
    (void)err;
    if (cli_is_text(cli))
        printf("restore-reconciler %s (%s)\n", RR_VERSION, RR_COMMIT);
    else
        printf("{\"version\":\"%s\",\"commit\":\"%s\"}\n", RR_VERSION, RR_COMMIT);
    return 0;
}

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "print version and commit",
    .flags = flags,
    .main = main_version,
};
