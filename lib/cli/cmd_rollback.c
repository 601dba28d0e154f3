#include "lib/cli/cli.h"

static const struct flag flags[] = {{.name = NULL}};

static int main_rollback(struct cli *cli, struct error *err)
{
    if (cli_open_store(cli, err))
        return errc_exit(err->code);
    struct run_options options = cli_run_options(cli);
    struct outcome outcome;
    run_rollback(&options, &outcome);
    return cli_print_outcome(cli, &outcome);
}

const struct command command_rollback = {
    .name = "rollback",
    .arguments = "",
    .summary = "swap the previous database back",
    .flags = flags,
    .needs_state = true,
    .main = main_rollback,
};
