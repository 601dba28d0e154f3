/*
 * Swap, Look, SwapBack: the commit point, the look at it, and the way back when a smoke check
 * fails.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

enum { HISTORY_SEARCH_ROWS = 10000, SWAP_NEED_MS = 10000 };

/* Asked again right before the application is taken away, and right before the swap: a wish that
 * was changed meanwhile must not be fulfilled. */
enum errc run_check_still_wanted(struct run *run, struct error *err)
{
    if (run->swap_kind == SWAP_ROLLBACK)
        return RR_OK;
    struct state_view view;
    struct state_values values;
    enum errc code = store_read(run->store, &run->arena, &view, err);
    if (code || (code = state_values_parse(&view, &run->arena, &values, err)))
        return code == ERR_STATE_MISSING || code == ERR_CONFIG ? error_recode(err, ERR_SUPERSEDED)
                                                               : code;
    if (key_equals(&values.key, &run->values.key))
        return RR_OK;
    error_set(err, ERR_SUPERSEDED,
              "desiredBackupTimestamp or restoreRequest was changed to '%s' during the restore",
              view.desired);
    return error_hint(err, "nothing was swapped; the next run restores what is asked for now");
}

/* A replaced database expires only if a restore of ours had made it: what was there before us is
 * dropped by hand only. A rollback or an adoption makes no data. */
static enum errc was_made_by_us(struct run *run, bool *ret_was, struct error *err)
{
    struct history_row *rows;
    size_t count;
    *ret_was = false;
    enum errc code =
        control_history_list(run->control, &run->arena, HISTORY_SEARCH_ROWS, &rows, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        if (rows[i].new_oid == run->live.oid && rows[i].is_on_this_system &&
            (strcmp(rows[i].kind, "restore") == 0 || strcmp(rows[i].kind, "job") == 0))
            *ret_was = true;
    return code;
}

/* The plan for the live name, without what the rehearsal has shown to fail. It is rehearsed here
 * once more because properties may have changed since Verify. */
static enum errc plan_carry_over(struct run *run, const char *becomes_live, struct error *err)
{
    run->carry_over = (struct carry_over){0};
    if (!run->has_live)
        return RR_OK;
    struct findings findings = {.arena = &run->arena};
    bool is_best_effort = run->spec.carry_over == SPEC_CARRY_OVER_BEST_EFFORT;
    struct carry_over rehearsal;
    enum errc code;
    if ((code = database_carry_over_plan(run->control, &run->arena, &run->live, becomes_live,
                                         &rehearsal, err)) ||
        (code = database_carry_over_rehearse(run->control, &rehearsal, is_best_effort, &findings,
                                             err)) ||
        (code = database_carry_over_plan(run->control, &run->arena, &run->live, run->spec.database,
                                         &run->carry_over, err)))
        return code;
    if (findings.count && !is_best_effort)
        return error_set(err, ERR_PREFLIGHT,
                         "properties of the live database cannot be carried over: %s",
                         findings.items[0]);
    return carry_over_leave_out(&run->carry_over, &rehearsal, err);
}

/* The decision may have rested on an empty live database: an application's migration may have
 * filled it since. */
static enum errc check_still_empty(struct run *run, struct error *err)
{
    if (!run->was_live_empty || !run->has_live)
        return RR_OK;
    enum database_content content;
    const char *why;
    enum errc code =
        database_look_inside(run->control, &run->arena, run->spec.database, &content, &why, err);
    if (code || content == DATABASE_EMPTY)
        return code;
    error_set(err, ERR_FIRST_CONTACT,
              "database '%s' was empty when the restore began and is not any more",
              run->spec.database);
    return error_hint(err, "add allowInitialRestore: \"%s\" to replace it all the same",
                      run->view.desired);
}

static enum errc check_same_live(struct run *run, struct error *err)
{
    uint32_t expected = run->has_live ? run->live.oid : 0;
    enum errc code = run_refresh_live(run, err);
    if (code)
        return code;
    if ((run->has_live ? run->live.oid : 0) == expected)
        return RR_OK;
    return error_set(err, ERR_DATABASE_CHANGED,
                     "database '%s' was renamed, dropped or made anew during the restore",
                     run->spec.database);
}

/* Whether the database says already that this run's swap is done (recovery comes here as well). */
enum errc swap_check(struct run *run, bool *ret_is_done, struct error *err)
{
    struct history_row row;
    enum errc code =
        control_history_of_run(run->control, &run->arena, run->work_run_id, &row, ret_is_done, err);
    if (!code && *ret_is_done)
        run->has_committed = true;
    return code;
}

/* Fence and lock of the database are checked in the transaction; the lock of the store here. */
static enum errc do_swap(struct run *run, const struct swap *swap, struct error *err)
{
    enum errc code = store_check_lock(run->store, SWAP_NEED_MS, err);
    if (code || (code = database_swap(run->control, &run->arena, swap, &run->swap, err)))
        return code;
    run->has_committed = true;
    application_be_deaf(run, true); /* what is left is finished, whoever wants us to stop */
    run->outcome.has_swapped = true;
    run->outcome.swap_ms = run->swap.locked_ms;
    journal_set(&run->journal, J_PREVIOUS, run->swap.previous_name);
    snprintf(run->outcome.previous_database, sizeof run->outcome.previous_database, "%s",
             run->swap.previous_name ? run->swap.previous_name : "");
    log_info("swapped", LOG_UINT("locked_ms", run->swap.locked_ms),
             LOG_UINT("tries", run->swap.tries),
             LOG_UINT("ended_sessions", run->swap.ended_sessions),
             LOG_TEXT("previous", run->swap.previous_name));
    run_tell(run, false, "DatabaseSwapped", "database '%s' is exchanged%s%s%s (run %s)",
             run->spec.database, run->swap.previous_name ? "; the replaced one is kept as '" : "",
             run->swap.previous_name ? run->swap.previous_name : "",
             run->swap.previous_name ? "'" : "", run->run_id);
    return RR_OK;
}

enum errc swap_apply(struct run *run, struct error *err)
{
    enum errc code;
    bool was_ours = false;
    if ((code = run_check_still_wanted(run, err)) || (code = check_same_live(run, err)) ||
        (code = check_still_empty(run, err)) ||
        (code = plan_carry_over(run, run->staging_name, err)) ||
        (code = run->has_live ? was_made_by_us(run, &was_ours, err) : RR_OK) ||
        (code = run_check_fence(run, err)))
        return code;
    struct swap swap = {
        .kind = run->swap_kind,
        .live = run->has_live ? &run->live : NULL,
        .staging_name = run->staging_name,
        .staging_oid = run->staging_oid,
        .carry_over = &run->carry_over,
        .desired = run->desired,
        .request = run->request,
        .held_desired = run->held_desired ? run->held_desired : "",
        .held_request = run->held_request ? run->held_request : "",
        .backup = run->backup.url ? run->backup.url : "",
        .checksum = run->checksum.is_known ? run->checksum.value : "",
        .size_bytes = run->source ? (int64_t)run->source->size_bytes : 0,
        .keep_previous_s = run->spec.keep_previous_s,
        .never_expires = !was_ours,
        .started_at = run->started_at,
    };
    return do_swap(run, &swap, err);
}

enum errc look_apply(struct run *run, struct error *err)
{
    enum errc code = run_refresh_live(run, err);
    if (code || (code = database_look(run->control, run->work_run_id, run->staging_oid, err)))
        return code;
    if (run->swap_kind == SWAP_ROLLBACK)
        return RR_OK; /* it brings back what was live: nothing to smoke-check it against */
    return run_checks(run, run->spec.database, "smoke", run->spec.smoke, run->spec.smoke_count,
                      ERR_SMOKE, err);
}

/* The database that the restore replaced: the way back. */
static enum errc find_replaced(struct run *run, struct registry_row *ret_row, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    struct history_row swap;
    bool is_found;
    enum errc code =
        control_history_of_run(run->control, &run->arena, run->work_run_id, &swap, &is_found, err);
    if (code || (code = control_registry_list(run->control, &run->arena, &rows, &count, err)))
        return code;
    for (size_t i = 0; i < count; i++)
        if (is_found && rows[i].oid == swap.old_oid && rows[i].exists &&
            strcmp(rows[i].kind, "previous") == 0 && strcmp(rows[i].state, "kept") == 0) {
            *ret_row = rows[i];
            return RR_OK;
        }
    return error_set(err, ERR_NOTHING_KEPT,
                     "the replaced database of run '%s' is not there any more", run->work_run_id);
}

/* Done already when the newest row of the run is the rollback: only the undo list and the record
 * are left. */
static enum errc is_swapped_back(struct run *run, bool *ret_is, struct error *err)
{
    struct history_row row = {0};
    bool is_found = false;
    enum errc code =
        control_history_of_run(run->control, &run->arena, run->work_run_id, &row, &is_found, err);
    *ret_is = !code && is_found && strcmp(row.kind, "rollback") == 0;
    return code;
}

static enum errc swap_names_back(struct run *run, struct error *err)
{
    struct registry_row previous = {0};
    enum errc code = find_replaced(run, &previous, err);
    if (code || (code = run_refresh_live(run, err)) ||
        (code = plan_carry_over(run, previous.name, err)) || (code = run_check_fence(run, err)))
        return code;
    struct swap swap = {
        .kind = SWAP_ROLLBACK,
        .live = run->has_live ? &run->live : NULL,
        .staging_name = previous.name,
        .staging_oid = previous.oid,
        .carry_over = &run->carry_over,
        .desired = previous.desired,
        .request = previous.request,
        .held_desired = run->desired,
        .held_request = run->request,
        .backup = "",
        .checksum = "",
        .keep_previous_s = run->spec.keep_previous_s,
        .started_at = run->started_at,
    };
    if ((code = do_swap(run, &swap, err)))
        return code;
    run_take_target(run);
    journal_set(&run->journal, J_APPLIED, previous.desired);
    journal_set(&run->journal, J_APPLIED_REQUEST, previous.request);
    return RR_OK;
}

enum errc swap_back_apply(struct run *run, struct error *err)
{
    bool is_done = false;
    enum errc code = is_swapped_back(run, &is_done, err);
    if (code || (!is_done && (code = swap_names_back(run, err))))
        return code;
    run_take_target(run);
    /* The key is held: this backup is not restored again until another one is asked for. */
    journal_set(&run->journal, J_HELD, run->desired);
    journal_set(&run->journal, J_HELD_REQUEST, run->request);
    journal_set(&run->journal, J_PUBLISHED, "true");
    if ((code = journal_write(&run->journal, err)))
        return code;
    return pre_steps_undo(run, err);
}
