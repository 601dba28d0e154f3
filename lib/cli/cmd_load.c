#include <stdio.h>
#include <string.h>

#include "lib/backup/catalog.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/restore/load.h"

static const struct flag flags[] = {
    {"dbname", 'd', "NAME", "database to load into; must exist and be empty", NULL, false},
    {"jobs", 'j', "N", "connections that load side by side", "4", false},
    {"no-owner", 'O', NULL, "leave ownership to the connecting role", NULL, false},
    {"no-privileges", 'x', NULL, "leave out grants", NULL, false},
    {"role", 0, "NAME", "SET ROLE to this before the work", NULL, false},
    {"no-analyze", 0, NULL, "do not ANALYZE what was loaded", NULL, false},
    {.name = NULL},
};

static void add_finding(void *context, const char *finding)
{
    size_t *count = context;
    log_error("preflight finding", LOG_TEXT("finding", finding));
    ++*count;
}

static enum errc check_target(const struct load_options *options, const struct toc *toc,
                              struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    struct conn_options conn_options = {.database = options->database,
                                        .application_name = options->application_name,
                                        .cancel = options->cancel};
    size_t count = 0;
    enum errc code = conn_open(&conn_options, &conn, err);
    if (code || (code = load_preflight(toc, conn, options, add_finding, &count, err)) || count == 0)
        return code;
    return error_set(err, ERR_PREFLIGHT, "%zu findings (above), nothing was changed", count);
}

static void print_result(const struct cli *cli, const struct load_result *result)
{
    for (size_t i = 0; i < result->skipped_count; i++)
        log_warn("left out", LOG_TEXT("entry", result->skipped[i]));
    if (cli_is_text(cli))
        printf("loaded %llu rows; %llu entries: %llu done, %llu skipped\n",
               (unsigned long long)result->rows, (unsigned long long)result->entries_total,
               (unsigned long long)result->entries_done,
               (unsigned long long)result->entries_skipped);
    else
        printf("{\"rows\":%llu,\"bytes\":%llu,\"entries\":%llu,\"done\":%llu,\"skipped\":%llu,"
               "\"seconds\":{\"preData\":"
               "%.3f,\"data\":%.3f,\"postData\":%.3f,\"analyze\":%.3f}}\n",
               (unsigned long long)result->rows, (unsigned long long)result->bytes_read,
               (unsigned long long)result->entries_total, (unsigned long long)result->entries_done,
               (unsigned long long)result->entries_skipped, (double)result->pre_data_ms / 1000,
               (double)result->data_ms / 1000, (double)result->post_data_ms / 1000,
               (double)result->analyze_ms / 1000);
}

static int main_load(struct cli *cli, struct error *err)
{
    SOURCE_GUARD struct source *source = NULL;
    struct location location;
    struct toc toc;
    struct load_result result;
    uint64_t jobs;
    if (flags_get_count(&cli->flags, "jobs", LIMIT_JOBS, &jobs, err))
        return errc_exit(err->code);
    struct run_options run = cli_run_options(cli);
    struct load_options options = {
        .database = flags_get(&cli->flags, "dbname"),
        .application_name = "restore-reconciler/load",
        .jobs = jobs ? (unsigned)jobs : 1,
        .analyze = !flags_is_set(&cli->flags, "no-analyze"),
        .no_owner = flags_is_set(&cli->flags, "no-owner"),
        .no_privileges = flags_is_set(&cli->flags, "no-privileges"),
        .role = flags_get(&cli->flags, "role"),
        .clock = clock_system(),
        .cancel = cli->cancel,
        .on_progress = run.on_progress,
    };
    if (!options.database) {
        error_set(err, ERR_USAGE, "--dbname is needed");
        error_hint(err, "create an empty database from template0 and name it");
        return errc_exit(err->code);
    }
    if (location_parse(&cli->arena, cli->flags.arguments[0], &location, err) ||
        backup_open(&location, cli->cancel, &source, err))
        return errc_exit(err->code);
    options.source = source;
    if (load_read_toc(source, cli->cancel, &cli->arena, &toc, err) ||
        check_target(&options, &toc, err) || load_run(&options, &toc, &cli->arena, &result, err))
        return errc_exit(err->code);
    print_result(cli, &result);
    return 0;
}

const struct command command_load = {
    .name = "load",
    .arguments = "ARCHIVE",
    .summary = "load a pg_dump archive (path, file:// or s3://; a folder ends with /) into an "
               "empty database",
    .flags = flags,
    .argument_min = 1,
    .argument_max = 1,
    .main = main_load,
};
