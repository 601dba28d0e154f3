#include <stdio.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/cli/objects.h"
#include "lib/reconcile/look.h"

static const struct flag flags[] = {{.name = NULL}};

static void print_pair(const struct cli *cli, struct str *json, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    if (cli_is_text(cli)) {
        printf("%-22s %s\n", name, value);
        return;
    }
    str_append_char(json, json->length > 1 ? ',' : ' ');
    str_append_json(json, name);
    str_append_char(json, ':');
    str_append_json(json, value);
}

static void print_away(const struct cli *cli, struct str *json, const struct look *look)
{
    STR_GUARD struct str objects = STR_INIT(64 * 1024);
    if (look->away.workload_count + look->away.ingress_count == 0)
        return;
    if (cli_is_text(cli)) {
        objects_append_text(&objects, &look->away, APPLICATION_ALL);
        printf("%-22s %s\n", "away", str_text(&objects));
        return;
    }
    str_append(json, json->length > 1 ? ",\"away\":" : "\"away\":");
    objects_append_json(json, &look->away, APPLICATION_ALL);
}

/* What others may rely on of the journal, and the two timestamps beside it. */
static void print_state(const struct cli *cli, const struct look *look)
{
    STR_GUARD struct str json = STR_INIT(1024 * 1024);
    const struct run *run = &look->run;
    str_append_char(&json, '{');
    print_pair(cli, &json, "desiredBackupTimestamp", run->view.desired);
    print_pair(cli, &json, "lastAppliedTimestamp", run->view.applied);
    for (int i = 0; look->has_journal && i < JOURNAL_KEY_COUNT; i++)
        if (journal_key_is_public((enum journal_key)i))
            print_pair(cli, &json, journal_key_name((enum journal_key)i),
                       journal_get(&run->journal, (enum journal_key)i));
    print_away(cli, &json, look);
    str_append_char(&json, '}');
    if (!cli_is_text(cli))
        puts(str_text(&json));
}

static void print_kept(struct cli *cli, const struct look *look)
{
    if (!cli_is_text(cli))
        return; /* `collect` prints them for machines */
    for (size_t i = 0; i < look->kept_count; i++)
        printf("%-22s %s (%s, %s%s)\n", look->kept[i].kind, look->kept[i].name,
               cli_size(cli, look->kept[i].size_bytes),
               look->kept[i].expires_at[0] ? "until " : "until dropped by hand",
               look->kept[i].expires_at);
}

/* The record is worth showing when the state is broken or the server is away: those are said, and
 * are not errors of this command as long as there is something to show. */
static int main_status(struct cli *cli, struct error *err)
{
    if (cli_open_store(cli, err))
        return errc_exit(err->code);
    struct run_options options = cli_run_options(cli);
    struct look look;
    struct error own = ERROR_INIT;
    enum errc code = look_at_state(&look, &options, err);
    if (look.has_journal && look_at_cluster(&look, &own)) {
        log_warn("what is away in the cluster cannot be listed", LOG_TEXT("cause", own.text),
                 LOG_TEXT("hint", own.hint));
        error_clear(&own);
    }
    if (!look.has_journal || !look.run.journal.data.exists) {
        if (!code)
            print_state(cli, &look);
        look_release(&look);
        return code ? errc_exit(code) : 0;
    }
    if (code) {
        log_warn(err->text, LOG_TEXT("hint", err->hint));
        error_clear(err);
    } else if (look_at_database(&look, &own)) {
        log_warn("the database cannot be asked", LOG_TEXT("cause", own.text));
    }
    print_state(cli, &look);
    print_kept(cli, &look);
    look_release(&look);
    return 0;
}

const struct command command_status = {
    .name = "status",
    .arguments = "",
    .summary = "show what is asked for, what is applied, and how the last run ended",
    .flags = flags,
    .needs_state = true,
    .main = main_status,
};
