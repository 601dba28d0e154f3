#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/cli/objects.h"
#include "lib/reconcile/look.h"

/* Exit code when a run would change something; 0 when not. */
enum { EXIT_CHANGES = 9 };

static const struct flag flags[] = {{.name = NULL}};

static bool changes_something(const struct decision *decision)
{
    return decision->action == DECIDE_RESTORE || decision->action == DECIDE_REPUBLISH ||
           decision->action == DECIDE_ADOPT;
}

/* Left by an earlier run: the next one brings it back before anything else. */
static bool is_something_away(const struct look *look)
{
    return look->away.workload_count + look->away.ingress_count > 0;
}

/* The words of the configuration; "" for sql. */
static const char *step_word(const struct spec_step *step, bool is_pre_step)
{
    switch (step->kind) {
    case SPEC_STEP_SCALE_DEPLOYMENTS:
        return is_pre_step ? "scaleDeployments: 0" : "scaleDeployments: auto";
    case SPEC_STEP_DISABLE_INGRESS:
        return "disableIngress: true";
    case SPEC_STEP_ENABLE_INGRESS:
        return "enableIngress: true";
    case SPEC_STEP_SQL:
        break;
    }
    return "";
}

static unsigned kinds_of(const struct spec_step *step)
{
    return step->kind == SPEC_STEP_SQL                 ? 0
           : step->kind == SPEC_STEP_SCALE_DEPLOYMENTS ? APPLICATION_WORKLOADS
                                                       : APPLICATION_INGRESSES;
}

static void print_step(const struct run *run, bool is_pre_step, size_t index)
{
    const struct spec_step *step =
        is_pre_step ? &run->spec.pre_steps[index] : &run->spec.post_steps[index];
    STR_GUARD struct str objects = STR_INIT(64 * 1024);
    printf(is_pre_step ? "  preSteps[%zu]   " : "  postSteps[%zu]  ", index);
    if (step->kind == SPEC_STEP_SQL) {
        printf("sql on %s: %.100s\n", step->sql_on == SPEC_ON_STAGING ? "staging" : "live",
               step->sql);
        return;
    }
    if (run->application)
        objects_append_text(&objects, run->application, kinds_of(step));
    printf("%s%s%s\n", step_word(step, is_pre_step), run->application ? ": " : "",
           str_text(&objects));
}

static void print_steps(const struct run *run)
{
    const struct spec *spec = &run->spec;
    for (size_t i = 0; i < spec->pre_step_count; i++)
        print_step(run, true, i);
    printf("  swap          one transaction; the replaced database is kept\n");
    for (size_t i = 0; i < spec->smoke_count; i++)
        printf("  smoke[%zu]      %.100s\n", i, spec->smoke[i].sql);
    for (size_t i = 0; i < spec->post_step_count; i++)
        print_step(run, false, i);
}

static void print_away(const struct look *look)
{
    STR_GUARD struct str objects = STR_INIT(64 * 1024);
    if (!is_something_away(look))
        return;
    objects_append_text(&objects, &look->away, APPLICATION_ALL);
    printf("Away: %s: brought back first\n", str_text(&objects));
}

static void print_text(struct cli *cli, const struct look *look)
{
    const struct run *run = &look->run;
    if (look->unfinished)
        printf("Recover: run '%s' was cut off (phase %s): it is finished or undone first, then "
               "decided anew\n",
               look->unfinished, journal_get(&run->journal, J_PHASE));
    print_away(look);
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
    print_steps(run);
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

static void append_step(struct str *line, const struct run *run, bool is_pre_step, size_t index)
{
    static const struct application none = {0};
    const struct spec_step *step =
        is_pre_step ? &run->spec.pre_steps[index] : &run->spec.post_steps[index];
    str_printf(line, "%s{\"step\":\"%s[%zu]\"", line->data[line->length - 1] == '[' ? "" : ",",
               is_pre_step ? "preSteps" : "postSteps", index);
    if (step->kind == SPEC_STEP_SQL) {
        str_printf(line,
                   ",\"on\":\"%s\",\"sql\":", step->sql_on == SPEC_ON_STAGING ? "staging" : "live");
        str_append_json(line, step->sql);
    } else {
        str_printf(line, ",\"does\":\"%s\",\"objects\":", step_word(step, is_pre_step));
        objects_append_json(line, run->application ? run->application : &none, kinds_of(step));
    }
    str_append_char(line, '}');
}

static void append_steps(struct str *line, const struct run *run)
{
    str_append(line, ",\"steps\":[");
    for (size_t i = 0; i < run->spec.pre_step_count; i++)
        append_step(line, run, true, i);
    for (size_t i = 0; i < run->spec.post_step_count; i++)
        append_step(line, run, false, i);
    str_append_char(line, ']');
}

static void print_json(const struct look *look)
{
    const struct run *run = &look->run;
    STR_GUARD struct str line = STR_INIT(1024 * 1024);
    str_printf(&line, "{\"action\":\"%s\",\"row\":%u,\"changes\":%s,\"reason\":\"%s\",\"text\":",
               decide_action_name(look->decision.action), look->decision.row,
               look->unfinished || is_something_away(look) || changes_something(&look->decision)
                   ? "true"
                   : "false",
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
    append_steps(&line, run);
    str_append(&line, ",\"away\":");
    objects_append_json(&line, &look->away, APPLICATION_ALL);
    append_findings(&line, &look->findings);
    str_append_char(&line, '}');
    puts(str_text(&line));
}

static int exit_code_of(const struct look *look)
{
    if (look->unfinished || is_something_away(look))
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
