#include "lib/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/cli/termination.h"
#include "lib/state/cluster.h"
#include "lib/state/directory.h"

enum { LEASE_DURATION_MIN_S = 6, LEASE_DURATION_MAX_S = 3600 };

static const struct command *const commands[] = {
    &command_run,     &command_plan, &command_status,   &command_backups,    &command_rollback,
    &command_collect, &command_load, &command_validate, &command_print_rbac, &command_version,
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct flag common_flags[] = {
    {"log-format", 0, "FORMAT", "text, json; auto: text on a terminal", "auto", false},
    {"log-level", 0, "LEVEL", "debug, info, warn, error", "info", false},
    {"output", 0, "FORMAT", "what goes to standard output: text, json; auto: text on a terminal",
     "auto", false},
    {.name = NULL},
};

static const struct flag state_flags[] = {
    {"name", 0, "NAME", "name of the state: ConfigMap, or file of --state-dir", "restore-state",
     false},
    {"namespace", 0, "NAMESPACE",
     "where the ConfigMap is; else POD_NAMESPACE, the kubeconfig's, the pod's own", NULL, false},
    {"kubeconfig", 0, "FILE",
     "how to reach the cluster; else KUBECONFIG, the pod's service account, ~/.kube/config", NULL,
     false},
    {"context", 0, "CONTEXT", "context of the kubeconfig; else its current one", NULL, false},
    {"service-account-folder", 0, "DIR",
     "where a pod has its token and the cluster's CA; else where the kubelet puts them", NULL,
     false},
    {"lease-duration", 0, "SECONDS",
     "a run that was silent for that long is dead, and the next one takes over: 6 to 3600", "60",
     false},
    {"state-dir", 0, "DIR", "folder that holds NAME.yaml, the state, in place of a cluster", NULL,
     false},
    {.name = NULL},
};

static const struct flag outcome_flags[] = {
    {"termination-log", 0, "FILE",
     "the last line goes there too; else, in a pod, to /dev/termination-log", NULL, false},
    {.name = NULL},
};

/* Position of `word` in a list that ends with NULL, or -1. */
static int position(const char *word, const char *const words[])
{
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static enum errc setup_log(const struct cli *cli, struct error *err)
{
    static const char *const levels[] = {"debug", "info", "warn", "error", NULL};
    static const char *const formats[] = {"auto", "text", "json", NULL};
    int level = position(flags_get(&cli->flags, "log-level"), levels);
    int format = position(flags_get(&cli->flags, "log-format"), formats);
    if (level < 0)
        return error_set(err, ERR_USAGE, "'--log-level' must be debug, info, warn or error");
    if (format < 0)
        return error_set(err, ERR_USAGE, "'--log-format' must be auto, text or json");
    if (position(flags_get(&cli->flags, "output"), formats) < 0)
        return error_set(err, ERR_USAGE, "'--output' must be auto, text or json");
    log_setup((enum log_level)level, (enum log_format)format);
    return RR_OK;
}

static void print_overview(void)
{
    printf("restore-reconciler: a timestamp changes, the PostgreSQL database goes back to that "
           "backup\n\n"
           "usage: restore-reconciler [COMMAND] [FLAGS]\n\ncommands:\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
    printf("\n'restore-reconciler COMMAND --help' lists the flags of a command. Without a command "
           "it is 'run'.\n");
}

static void print_help(const struct command *command, const struct flags *flags)
{
    printf("usage: restore-reconciler %s%s%s [FLAGS]\n\n%s\n\nflags:\n", command->name,
           command->arguments[0] ? " " : "", command->arguments, command->summary);
    flags_print(flags);
    printf("\nEvery flag has an environment variable RESTORE_RECONCILER_<FLAG>; the flag wins.\n");
}

static const struct command *find_command(const char *word)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i]->name, word) == 0)
            return commands[i];
    return NULL;
}

static int complain(const struct error *err)
{
    log_error(err->text, LOG_TEXT("reason", errc_reason(err->code)),
              err->hint[0] ? LOG_TEXT("hint", err->hint) : (struct log_field){.key = NULL});
    return errc_exit(err->code);
}

static enum errc unknown_command(const char *word, struct error *err)
{
    const char *names[COMMAND_COUNT + 1] = {0};
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i]->name;
    STR_GUARD struct str shown = STR_INIT(200);
    str_append_quoted(&shown, word, 60);
    error_set(err, ERR_USAGE, "unknown command %s", str_text(&shown));
    const char *near = text_nearest(word, names);
    return near ? error_hint(err, "did you mean '%s'?", near)
                : error_hint(err, "--help lists the commands");
}

static enum errc check_arguments(const struct command *command, const struct flags *flags,
                                 struct error *err)
{
    if (flags->argument_count < command->argument_min)
        return error_set(err, ERR_USAGE, "'%s' needs %s", command->name, command->arguments);
    if (flags->argument_count > command->argument_max)
        return error_set(err, ERR_USAGE, "'%s' is one argument too many",
                         flags->arguments[command->argument_max]);
    return RR_OK;
}

static int run_command(const struct command *command, struct cli *cli, int argc, char **argv,
                       struct error *err)
{
    flags_add(&cli->flags, command->flags);
    if (command->needs_state)
        flags_add(&cli->flags, state_flags);
    if (command->has_outcome)
        flags_add(&cli->flags, outcome_flags);
    flags_add(&cli->flags, common_flags);
    if (flags_parse(&cli->flags, &cli->arena, argc, argv, err))
        return errc_exit(err->code);
    if (cli->flags.wants_help) {
        print_help(command, &cli->flags);
        return 0;
    }
    if (setup_log(cli, err) || check_arguments(command, &cli->flags, err))
        return errc_exit(err->code);
    return command->main(cli, err);
}

int cli_main(int argc, char **argv, struct cancel *cancel)
{
    struct cli cli = {.cancel = cancel};
    struct error err = ERROR_INIT;
    const struct command *command = &command_run;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                     strcmp(argv[1], "help") == 0)) {
        print_overview();
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        argv[1] = mem_strdup("version");
    if (argc > 1 && argv[1][0] != '-') {
        command = find_command(argv[1]);
        if (!command) {
            unknown_command(argv[1], &err);
            return complain(&err);
        }
        argv++;
        argc--;
    }
    int exit_code = run_command(command, &cli, argc, argv, &err);
    if (err.code)
        exit_code = complain(&err);
    store_close(cli.store);
    arena_release(&cli.arena);
    if (fflush(stdout) != 0 && exit_code == 0)
        exit_code = errc_exit(ERR_IO);
    return exit_code;
}

static enum errc open_cluster(struct cli *cli, struct error *err)
{
    const struct flags *flags = &cli->flags;
    uint64_t duration_s;
    enum errc code =
        flags_get_count(flags, "lease-duration", LEASE_DURATION_MAX_S, &duration_s, err);
    if (code)
        return code;
    if (duration_s < LEASE_DURATION_MIN_S)
        return error_set(err, ERR_USAGE, "'--lease-duration' must be from %d to %d seconds",
                         LEASE_DURATION_MIN_S, LEASE_DURATION_MAX_S);
    struct cluster_options options = {
        .kubeconfig = {.path = flags_get(flags, "kubeconfig"),
                       .context = flags_get(flags, "context"),
                       .namespace_name = flags_get(flags, "namespace"),
                       .service_account_folder = flags_get(flags, "service-account-folder")},
        .name = flags_get(flags, "name"),
        .lease_duration_s = (unsigned)duration_s,
        .cancel = cli->cancel,
    };
    code = cluster_open(&options, &cli->store, err);
    if (code == ERR_USAGE) /* whoever forgot --state-dir reads it first */
        return error_wrap(err,
                          "without --state-dir (the folder that holds %s.yaml) a cluster is needed",
                          options.name);
    return code;
}

enum errc cli_open_store(struct cli *cli, struct error *err)
{
    const char *path = flags_get(&cli->flags, "state-dir");
    return path ? directory_open(path, flags_get(&cli->flags, "name"), &cli->store, err)
                : open_cluster(cli, err);
}

enum errc cli_parse_spec(struct cli *cli, const struct state_view *view, struct spec *ret_spec,
                         struct error *err)
{
    if (!view->spec_text)
        return error_set(err, ERR_CONFIG, "the state has no key 'restore.yaml'");
    struct spec_text text = {
        .bytes = view->spec_text,
        .length = strlen(view->spec_text),
        .name = view->spec_name,
        .first_line = view->spec_first_line,
    };
    struct spec_findings findings;
    enum errc code = spec_parse(&cli->arena, &text, ret_spec, &findings, err);
    if (!code)
        code = spec_check_supported(&cli->arena, ret_spec,
                                    cli->store ? cli->store->kube != NULL : cli->has_workloads,
                                    &findings, err);
    for (size_t i = 1; code && i < findings.count; i++)
        log_error(findings.items[i].text, LOG_TEXT("hint", findings.items[i].hint));
    return code;
}

/* A line that rewrites itself, for a person who waits; the journal and the log have the same
 * figures. */
static void show_progress(void *context, const struct load_progress *progress)
{
    (void)context;
    enum { WIDTH = 30 };
    char bar[WIDTH + 1];
    for (unsigned i = 0; i < WIDTH; i++)
        bar[i] = i * 100 < progress->percent * WIDTH ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r  [%s] %3u%% %-9s %llu rows\x1b[K", bar, progress->percent, progress->stage,
            (unsigned long long)progress->rows);
    if (progress->percent >= 100)
        fputc('\n', stderr);
}

struct run_options cli_run_options(struct cli *cli)
{
    bool has_bar = log_is_text() && isatty(STDERR_FILENO);
    return (struct run_options){
        .store = cli->store,
        .clock = clock_system(),
        .cancel = cli->cancel,
        .on_progress = has_bar ? show_progress : NULL,
    };
}

int cli_run_with_store(struct cli *cli,
                       void (*work)(struct cli *cli, const struct run_options *options,
                                    struct outcome *ret_outcome))
{
    struct outcome outcome = {0};
    struct error err = ERROR_INIT;
    if (cli_open_store(cli, &err)) {
        outcome_set_error(&outcome, &err, STEP_PREFLIGHT);
    } else {
        struct run_options options = cli_run_options(cli);
        work(cli, &options, &outcome);
    }
    return cli_print_outcome(cli, &outcome);
}

bool cli_is_text(const struct cli *cli)
{
    const char *output = flags_get(&cli->flags, "output");
    return strcmp(output, "text") == 0 || (strcmp(output, "auto") == 0 && isatty(STDOUT_FILENO));
}

int cli_print_outcome(struct cli *cli, const struct outcome *outcome)
{
    STR_GUARD struct str line = STR_INIT(64 * 1024);
    if (outcome->exit_code != 0)
        log_error(outcome->message, LOG_TEXT("reason", outcome->reason),
                  LOG_INT("exit", outcome->exit_code));
    if (cli_is_text(cli))
        str_printf(&line, "%s: %s", outcome_result_name(outcome->result), outcome->message);
    else
        outcome_render(outcome, &line);
    puts(str_text(&line));
    termination_write(flags_get(&cli->flags, "termination-log"), outcome);
    return outcome->exit_code;
}

const char *cli_size(struct cli *cli, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    if (bytes < 0)
        return "unknown size";
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    return arena_printf(&cli->arena, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
