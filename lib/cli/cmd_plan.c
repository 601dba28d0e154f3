#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/reconcile/look.h"

/* Exit code when a run would change something; 0 when not. */
enum { EXIT_CHANGES = 9 };

static const struct flag flags[] = {{.name = NULL}};

static bool changes_something(const struct decision *decision)
{
    return decision->action == DECIDE_RESTORE || decision->action == DECIDE_REPUBLISH ||
           decision->action == DECIDE_ADOPT;
}

static void print_steps(const struct spec *spec)
{
    for (size_t i = 0; i < spec->pre_step_count; i++)
        printf("  preSteps[%zu]   sql on %s: %.100s\n", i,
               spec->pre_steps[i].sql_on == SPEC_ON_STAGING ? "staging" : "live",
               spec->pre_steps[i].sql);
    printf("  swap          one transaction; the replaced database is kept\n");
    for (size_t i = 0; i < spec->smoke_count; i++)
        printf("  smoke[%zu]      %.100s\n", i, spec->smoke[i].sql);
    for (size_t i = 0; i < spec->post_step_count; i++)
        printf("  postSteps[%zu]  sql: %.100s\n", i, spec->post_steps[i].sql);
}

static void print_text(struct cli *cli, const struct look *look)
{
    const struct run *run = &look->run;
    if (look->unfinished)
        printf("Recover: run '%s' was cut off (phase %s): it is finished or undone first, then "
               "decided anew\n",
               look->unfinished, journal_get(&run->journal, J_PHASE));
    printf("%s: %s\n", decide_action_name(look->decision.action), look->decision.text);
    if (look->decision.hint[0])
        printf("hint: %s\n", look->decision.hint);
    if (look->decision.action != DECIDE_RESTORE)
        return;
    if (run->backup.url)
        printf("  backup        %s (%s, checksum: %s)\n", run->backup.url,
               cli_size(cli, (int64_t)run->backup.size_bytes),
               run->checksum.is_known ? run->checksum.origin : "none");
    if (run->toc.dump_version)
        printf("  archive       %zu entries, made by pg_dump %s of a server %s\n", run->toc.count,
               run->toc.dump_version, run->toc.server_version);
    printf("  live          %s\n", run->has_live ? cli_size(cli, run->live.size_bytes) : "absent");
    for (size_t i = 0; i < look->kept_count; i++)
        printf("  kept          %s (%s)\n", look->kept[i].name,
               cli_size(cli, look->kept[i].size_bytes));
    print_steps(&run->spec);
    for (size_t i = 0; i < look->findings.count; i++)
        printf("  PROBLEM       %s\n", look->findings.items[i]);
}

static void append_findings(struct str *line, const struct findings *findings)
{
    str_append(line, ",\"findings\":[");
    for (size_t i = 0; i < findings->count; i++) {
        str_append(line, i ? "," : "");
        str_append_json(line, findings->items[i]);
    }
    str_append_char(line, ']');
}

static void print_json(const struct look *look)
{
    const struct run *run = &look->run;
    STR_GUARD struct str line = STR_INIT(1024 * 1024);
    str_printf(&line, "{\"action\":\"%s\",\"row\":%u,\"changes\":%s,\"reason\":\"%s\",\"text\":",
               decide_action_name(look->decision.action), look->decision.row,
               look->unfinished || changes_something(&look->decision) ? "true" : "false",
               look->decision.code ? errc_reason(look->decision.code)
                                   : decide_warning_name(look->decision.warning));
    str_append_json(&line, look->decision.text);
    str_append(&line, ",\"hint\":");
    str_append_json(&line, look->decision.hint);
    str_append(&line, ",\"recovers\":");
    str_append_json(&line, look->unfinished);
    str_append(&line, ",\"database\":");
    str_append_json(&line, run->spec.database);
    str_append(&line, ",\"desired\":");
    str_append_json(&line, run->view.desired);
    str_append(&line, ",\"backup\":");
    str_append_json(&line, run->backup.url);
    str_printf(&line,
               ",\"backupBytes\":%llu,\"checksum\":", (unsigned long long)run->backup.size_bytes);
    str_append_json(&line, run->checksum.is_known ? run->checksum.origin : NULL);
    str_append(&line, ",\"dumpVersion\":");
    str_append_json(&line, run->toc.dump_version);
    str_printf(&line, ",\"entries\":%zu,\"liveBytes\":%lld", run->toc.count,
               run->has_live ? (long long)run->live.size_bytes : 0LL);
    append_findings(&line, &look->findings);
    str_append_char(&line, '}');
    puts(str_text(&line));
}

static int exit_code_of(const struct look *look)
{
    if (look->unfinished)
        return EXIT_CHANGES;
    if (look->decision.action == DECIDE_REFUSE)
        return errc_exit(look->decision.code);
    if (look->findings.count)
        return errc_exit(ERR_PREFLIGHT);
    if (look->attempt.code)
        return look->attempt.exit_code;
    return changes_something(&look->decision) ? EXIT_CHANGES : 0;
}

static int main_plan(struct cli *cli, struct error *err)
{
    if (cli_open_store(cli, err))
        return errc_exit(err->code);
    struct run_options options = cli_run_options(cli);
    struct look look;
    enum errc code = look_at_state(&look, &options, err);
    if (!code)
        code = look_plan(&look, err);
    if (!code && cli_is_text(cli))
        print_text(cli, &look);
    else if (!code)
        print_json(&look);
    int exit_code = code ? outcome_exit_code(code, STEP_PREFLIGHT) : exit_code_of(&look);
    look_release(&look);
    return exit_code;
}

const struct command command_plan = {
    .name = "plan",
    .arguments = "",
    .summary = "show what a run would do, and what stands in its way; changes nothing (exit 9: it "
               "would change something)",
    .flags = flags,
    .needs_state = true,
    .main = main_plan,
};
