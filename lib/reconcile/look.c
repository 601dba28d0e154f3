#include "lib/reconcile/look.h"

enum { HISTORY_ROWS = 20 };

enum errc look_at_state(struct look *look, const struct run_options *options, struct error *err)
{
    *look = (struct look){0};
    run_begin(&look->run, options);
    look->findings.arena = &look->run.arena;
    enum errc code = run_read_state(&look->run, err);
    look->has_journal = look->run.journal.store != NULL;
    if (code)
        return code;
    return run_parse_spec(&look->run, look->run.view.spec_text, look->run.view.spec_first_line, err);
}

/* No lock, no fence, nothing created. */
static enum errc connect(struct look *look, struct error *err)
{
    struct run *run = &look->run;
    struct control_options options = {
        .control_database = run->spec.control_database,
        .target = run->spec.database,
        .run_id = run->run_id,
        .state_ref = run->store->ref,
        .cancel = run->options->cancel,
        .may_create = false,
    };
    enum errc code = control_open(&options, &run->control, err);
    look->has_control = !code && control_is_there(run->control);
    return code;
}

enum errc look_at_database(struct look *look, struct error *err)
{
    struct run *run = &look->run;
    enum errc code = connect(look, err);
    if (code || !look->has_control)
        return code;
    if ((code = control_registry_list(run->control, &run->arena, &look->kept, &look->kept_count, err)))
        return code;
    return control_history_list(run->control, &run->arena, HISTORY_ROWS, &look->history, &look->history_count, err);
}

enum errc look_plan(struct look *look, struct error *err)
{
    struct run *run = &look->run;
    struct decide_input input;
    enum errc code = look_at_database(look, err);
    if (code || (code = run_gather(run, &input, err)))
        return code;
    look->decision = decide(&input);
    if (look->decision.action != DECIDE_RESTORE)
        return RR_OK;
    struct decide_attempts attempts = run_attempts(run);
    look->attempt = decide_attempt(&attempts, &run->values.key, run->spec.max_attempts,
                                   clock_wall_s(run->options->clock));
    return run_find_problems(run, &look->findings, err);
}

void look_release(struct look *look)
{
    run_end(&look->run);
}
