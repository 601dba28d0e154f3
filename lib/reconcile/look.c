#include "lib/reconcile/look.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"

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
    return run_parse_spec(&look->run, look->run.view.spec_text, look->run.view.spec_first_line,
                          err);
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
    if ((code =
             control_registry_list(run->control, &run->arena, &look->kept, &look->kept_count, err)))
        return code;
    return control_history_list(run->control, &run->arena, HISTORY_ROWS, &look->history,
                                &look->history_count, err);
}

/* Whose the database is, and whether a run was cut off. */
static enum errc look_at_fence(struct look *look, struct error *err)
{
    struct run *run = &look->run;
    struct fence fence;
    const char *owner_run = NULL, *ref = run->store->ref;
    bool is_found = false;
    enum errc code =
        control_fence_read(run->control, &run->arena, &fence, &owner_run, &is_found, err);
    if (code)
        return code;
    if (!journal_is_idle(&run->journal))
        look->unfinished = journal_get(&run->journal, J_RUN_ID);
    else if (is_found && fence.phase[0])
        look->unfinished = fence.displaced ? fence.displaced : owner_run;
    if (!is_found || strcmp(fence.state_ref, ref) == 0 ||
        text_equal(run->view.take_over, fence.state_ref))
        return RR_OK;
    error_set(err, ERR_FOREIGN_STATE, "database '%s' is managed by another state, '%s'",
              run->spec.database, fence.state_ref);
    return error_hint(err, "if that one is gone for good, add takeOver: \"%s\" to this state",
                      fence.state_ref);
}

enum errc look_at_cluster(struct look *look, struct error *err)
{
    enum errc code =
        application_find_marked(&look->run, &look->run.arena, APPLICATION_ALL, &look->away, err);
    if (code != ERR_FORBIDDEN)
        return code;
    log_warn("what is away in the cluster cannot be listed", LOG_TEXT("cause", err->text),
             LOG_TEXT("hint", err->hint));
    error_clear(err);
    return RR_OK;
}

enum errc look_plan(struct look *look, struct error *err)
{
    struct run *run = &look->run;
    struct decide_input input;
    enum errc code = look_at_database(look, err);
    if (code || (code = look_at_cluster(look, err)) || (code = look_at_fence(look, err)) ||
        (code = run_gather(run, &input, err)))
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
