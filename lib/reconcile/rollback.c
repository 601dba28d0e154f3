/*
 * Rollback: the newest kept previous database becomes live again, with the same care as a restore:
 * lock, fence, preSteps, one transaction, look, postSteps. The key that it undoes is held: it is
 * not restored again until another timestamp or request is asked for.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

/* Newest kept previous database that is there; rows come oldest first. */
static enum errc find_kept(struct run *run, struct registry_row *ret_row, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    enum errc code = control_registry_list(run->control, &run->arena, &rows, &count, err);
    for (size_t i = count; i-- > 0 && !code;)
        if (strcmp(rows[i].kind, "previous") == 0 && strcmp(rows[i].state, "kept") == 0 &&
            rows[i].exists) {
            *ret_row = rows[i];
            return RR_OK;
        }
    if (code)
        return code;
    error_set(err, ERR_NOTHING_KEPT,
              "no previous database of '%s' is kept: there is nothing to swap back",
              run->spec.database);
    return error_hint(err, "restore a backup: set desiredBackupTimestamp (`backups` lists them)");
}

/* What is undone: the key of the data that is live, by the history where it is valid, else what is
 * asked for. */
static enum errc find_held(struct run *run, struct error *err)
{
    struct history_row row;
    bool is_found = false;
    enum errc code = control_history_newest(run->control, &run->arena, &row, &is_found, err);
    if (code)
        return code;
    bool is_valid =
        is_found && run->has_live && row.is_on_this_system && row.new_oid == run->live.oid;
    run->held_desired = is_valid ? row.desired : run->desired;
    run->held_request = is_valid ? row.request : run->request;
    return RR_OK;
}

static enum errc check_ready(struct run *run, struct error *err)
{
    struct findings findings = {.arena = &run->arena};
    enum errc code =
        database_preflight(run->control, run->has_live ? &run->live : NULL, 0, &findings, err);
    if (!code)
        code = application_preflight(run, &findings, err);
    if (code || findings.count == 0)
        return code;
    for (size_t i = 0; i < findings.count; i++)
        log_error("preflight finding", LOG_TEXT("finding", findings.items[i]));
    return error_set(err, ERR_PREFLIGHT, "%zu findings, nothing was changed: %s", findings.count,
                     findings.items[0]);
}

static enum errc record(struct run *run, const struct registry_row *kept, struct error *err)
{
    struct journal *j = &run->journal;
    journal_set(j, J_PHASE, step_row(STEP_PRE_STEPS)->name);
    journal_set(j, J_KIND, "rollback");
    journal_set(j, J_RUN_ID, run->run_id);
    journal_setf(j, J_TOKEN, "%" PRId64, run->fence.token);
    journal_set(j, J_STARTED_AT, run->started_at);
    journal_set(j, J_PLAN, run->spec_text);
    run_take_target(run);
    journal_set(j, J_STAGING, kept->name);
    journal_set(j, J_UNDO, "");
    journal_set(j, J_POST_DONE, "");
    return journal_write(j, err);
}

enum errc run_close_rollback(struct run *run, struct error *err)
{
    struct journal *j = &run->journal;
    struct history_row row;
    bool is_found = false;
    enum errc code =
        control_history_of_run(run->control, &run->arena, run->work_run_id, &row, &is_found, err);
    if (code)
        return code;
    if (!is_found)
        return error_set(err, ERR_BUG, "the rollback of run '%s' has no history row",
                         run->work_run_id);
    run_take_target(run);
    journal_set(j, J_APPLIED, row.desired);
    journal_set(j, J_APPLIED_REQUEST, row.request);
    journal_set(j, J_HELD, row.held_desired);
    journal_set(j, J_HELD_REQUEST, row.held_request);
    journal_set(j, J_PUBLISHED, "true");
    return collect_apply(run, err);
}

static enum errc act(struct run *run, const char **ret_name, struct error *err)
{
    struct registry_row kept = {0};
    enum errc code;
    if ((code = run_refresh_live(run, err)) || (code = find_kept(run, &kept, err)) ||
        (code = find_held(run, err)) || (code = check_ready(run, err)) ||
        (code = record(run, &kept, err)))
        return code;
    run->swap_kind = SWAP_ROLLBACK;
    run->staging_name = *ret_name = kept.name;
    run->staging_oid = kept.oid;
    run->desired = kept.desired;
    run->request = kept.request;
    return steps_run(run, STEP_PRE_STEPS, STEP_POST_STEPS, err);
}

static enum errc rollback(struct run *run, struct error *err)
{
    enum errc code = run_open(run, err);
    if (code)
        return code;
    const char *asked = run->desired, *request = run->request, *name = "";
    if ((code = act(run, &name, err)) && (code = run_handle_failure(run, err)))
        return code;
    run->desired = asked;
    run->request = request;
    if ((code = run_close_rollback(run, err)))
        return code;
    snprintf(run->outcome.message, sizeof run->outcome.message,
             "'%s' is live again as '%s'; the database that it replaced is kept as '%s'", name,
             run->spec.database, journal_get(&run->journal, J_PREVIOUS));
    run->outcome.result = OUTCOME_ROLLED_BACK;
    run->outcome.reason = "RolledBack";
    return run_finish(run, OUTCOME_ROLLED_BACK, "RolledBack", run->outcome.message, err);
}

void run_rollback(const struct run_options *options, struct outcome *ret_outcome)
{
    struct run run;
    struct error err = ERROR_INIT;
    run_begin(&run, options);
    if (rollback(&run, &err))
        run_record_failure(&run, &err);
    run_tell_end(&run);
    *ret_outcome = run.outcome;
    run_end(&run);
}
