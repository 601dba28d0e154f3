#include "lib/cli/cli.h"

static const struct flag flags[] = {{.name = NULL}};

static void work(struct cli *cli, const struct run_options *options, struct outcome *ret_outcome)
{
    (void)cli;
    run_rollback(options, ret_outcome);
}

static int main_rollback(struct cli *cli, struct error *err)
{
    (void)err;
    return cli_run_with_store(cli, work);
}

const struct command command_rollback = {
    .name = "rollback",
    .arguments = "",
    .summary = "swap the previous database back",
    .flags = flags,
    .needs_state = true,
    .has_outcome = true,
    .main = main_rollback,
};
