/*
 * cli - the subcommands: what is typed, what is printed, the exit code.
 *
 * One file per subcommand. What a machine reads goes to standard output, the log to standard error.
 */
#ifndef RR_CLI_CLI_H
#define RR_CLI_CLI_H

#include "lib/base/arena.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/cli/flags.h"
#include "lib/reconcile/run.h"
#include "lib/state/store.h"

struct cli {
    struct arena arena;
    struct flags flags;
    struct store *store; /* opened by cli_open_store() */
    struct cancel *cancel;
    bool has_workloads; /* validate: the configuration is meant for Kubernetes */
};

struct command {
    const char *name, *arguments, *summary;
    const struct flag *flags; /* its own, ends with name NULL */
    bool needs_state;         /* takes --state-dir, --name, --namespace, ... */
    bool has_outcome;         /* ends with the last line of a run; takes --termination-log */
    size_t argument_min, argument_max;
    /* Answers the exit code. Errors of its own are printed by the caller when `err` is filled. */
    int (*main)(struct cli *cli, struct error *err);
};

extern const struct command command_run, command_plan, command_status, command_backups,
    command_rollback, command_collect, command_load, command_validate, command_print_rbac,
    command_version;

/*
 * The whole program: picks the command (default `run`), parses, runs. `cancel` is what signals set.
 */
int cli_main(int argc, char **argv, struct cancel *cancel);

/* --- for the commands
 * -------------------------------------------------------------------------------- */

/* Opens the store that the flags name: the folder of --state-dir, else a cluster. */
enum errc cli_open_store(struct cli *cli, struct error *err) RR_MUST_CHECK;
/* Parses restore.yaml of the view and checks that this program can do it; further findings are
 * logged. */
enum errc cli_parse_spec(struct cli *cli, const struct state_view *view, struct spec *ret_spec,
                         struct error *err) RR_MUST_CHECK;
/* Options of a run, with a progress bar on a terminal. */
struct run_options cli_run_options(struct cli *cli);
/* Opens the store and hands the options to `work`; whatever happens, one line is printed as
 * cli_print_outcome() does. */
int cli_run_with_store(struct cli *cli,
                       void (*work)(struct cli *cli, const struct run_options *options,
                                    struct outcome *ret_outcome));
/* The last line of a run: on standard output JSON, or text on a terminal; in a pod, or with
 * --termination-log, also as the termination message. Answers the exit code. */
int cli_print_outcome(struct cli *cli, const struct outcome *outcome);
/* Whether standard output is for people: --output text, or a terminal and no --output. */
bool cli_is_text(const struct cli *cli);
/* "1.5 MiB" for people; the text lives in the arena. */
const char *cli_size(struct cli *cli, int64_t bytes);

#endif
