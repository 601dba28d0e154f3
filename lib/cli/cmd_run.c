#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/cli/cli.h"
#include "lib/net/digest.h"

enum { JITTER_MAX_S = 3600 };

static const struct flag flags[] = {
    {"startup-jitter", 0, "SECONDS",
     "wait a random time up to this before anything, for many states on one clock", "0", false},
    {"exit-code-locked", 0, NULL, "exit 3 in place of 0 when another run holds the lock", NULL,
     false},
    {.name = NULL},
};

static void wait_jitter(struct cli *cli, uint64_t most_s)
{
    uint32_t random = 0;
    random_bytes(&random, sizeof random);
    if (most_s)
        clock_sleep_ms(clock_system(), random % (most_s * 1000), cli->cancel);
}

static void work(struct cli *cli, const struct run_options *options, struct outcome *ret_outcome)
{
    run_execute(options, ret_outcome);
    if (ret_outcome->result == OUTCOME_LOCKED && !flags_is_set(&cli->flags, "exit-code-locked"))
        ret_outcome->exit_code = 0;
}

static int main_run(struct cli *cli, struct error *err)
{
    uint64_t jitter_s;
    if (flags_get_count(&cli->flags, "startup-jitter", JITTER_MAX_S, &jitter_s, err))
        return errc_exit(err->code);
    wait_jitter(cli, jitter_s);
    return cli_run_with_store(cli, work);
}

const struct command command_run = {
    .name = "run",
    .arguments = "",
    .summary =
        "compare what is asked for with what is there, and restore if they differ (the default)",
    .flags = flags,
    .needs_state = true,
    .has_outcome = true,
    .main = main_run,
};
