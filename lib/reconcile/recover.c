/*
 * Recovery: what an earlier run left unfinished is finished or undone, from the database's truth.
 *
 * Order: the lock is ours and the fence is bumped (both waited for whatever that run had open),
 * then the history is read in a statement of its own. A row of that run means swapped: everything
 * after it is finished. None means not swapped: everything before it is undone. The journal says
 * only how far the steps around the swap had come, and is believed only if the fence row names its
 * run: a journal out of an old backup, or of another database, is not.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/codec/rfc3339.h"
#include "lib/reconcile/run.h"

static bool is_believed(const struct run *run)
{
    const struct journal *j = &run->journal;
    return !journal_is_idle(j) && run->fence.displaced &&
           strcmp(run->fence.displaced, journal_get(j, J_RUN_ID)) == 0;
}

/* Key, names and plan of the run that is recovered. The current state's own values wait aside. */
struct aside {
    const char *desired, *request, *work_run_id, *started_at;
    struct spec spec;
    const char *spec_text;
    struct state_values values;
    enum step step;
};

static void put_aside(const struct run *run, struct aside *aside)
{
    *aside = (struct aside){run->desired, run->request,   run->work_run_id, run->started_at,
                            run->spec,    run->spec_text, run->values,      run->step};
}

static void take_back(struct run *run, const struct aside *aside)
{
    run->desired = aside->desired;
    run->request = aside->request;
    run->work_run_id = aside->work_run_id;
    run->started_at = aside->started_at;
    run->spec = aside->spec;
    run->spec_text = aside->spec_text;
    run->values = aside->values;
    run->step = aside->step;
    run->staging_name = NULL;
    run->staging_oid = 0;
    run->has_committed = false;
    run->swap_kind = SWAP_RESTORE;
}

/* The journal keeps the time as the user wrote it; keys compare in canonical form. */
static const char *canonical(struct run *run, const char *desired)
{
    struct instant instant;
    struct error ignored = ERROR_INIT;
    char text[RFC3339_SIZE];
    if (rfc3339_parse(desired, &instant, &ignored))
        return desired;
    rfc3339_render(instant, text);
    return arena_strdup(&run->arena, text);
}

static void take_journal(struct run *run)
{
    const struct journal *j = &run->journal;
    run->work_run_id = arena_strdup(&run->arena, journal_get(j, J_RUN_ID));
    run->desired = canonical(run, journal_get(j, J_DESIRED));
    run->request = arena_strdup(&run->arena, journal_get(j, J_REQUEST));
    run->started_at = arena_strdup(&run->arena, journal_get(j, J_STARTED_AT));
    run->staging_name = arena_strdup(&run->arena, journal_get(j, J_STAGING));
    run->swap_kind = strcmp(journal_get(j, J_KIND), "rollback") == 0 ? SWAP_ROLLBACK : SWAP_RESTORE;
    run->step = step_from_name(journal_get(j, J_PHASE));
}

/* The plan that the run was made with. One that cannot be read (of another version of this program,
 * damaged) is replaced by today's configuration, which is there already. */
static void take_plan(struct run *run)
{
    struct error own = ERROR_INIT;
    const char *plan = journal_get(&run->journal, J_PLAN);
    if (plan[0] && run_parse_plan(run, arena_strdup(&run->arena, plan), &own))
        log_warn("the journal's plan cannot be read: recovering with the configuration of today",
                 LOG_TEXT("cause", own.text));
}

/* What only the journal of that run knew is taken from the configuration of today (the undos of all
 * preSteps) and from the marks on what it took away in the cluster. */
static enum errc bring_back(struct run *run, struct error *err)
{
    if (strcmp(run->fence.phase, "pre-steps") != 0)
        return RR_OK;
    enum errc code = record_all_undos(run, err);
    return code ? code : pre_steps_undo(run, err);
}

static enum errc undo(struct run *run, struct error *err)
{
    log_warn("an earlier run was cut off before its swap: undoing it",
             LOG_TEXT("of_run", run->work_run_id),
             LOG_TEXT("phase", journal_get(&run->journal, J_PHASE)));
    run->recovered = RECOVERED_UNDONE;
    /* A journal that is older than the fence's phase has no undo list yet. */
    enum errc code = run->step < STEP_PRE_STEPS ? bring_back(run, err) : RR_OK;
    if (code || (code = steps_undo(run, STEP_SWAP, err)))
        return code;
    return run_finish(run, OUTCOME_INTERRUPTED, "Interrupted",
                      "cut off before the swap; undone, nothing changed", err);
}

/* The run swapped, but what is live now is something else: a failover, a recovery to another time,
 * a rename by hand. There is nothing to finish; the application must come back all the same, and
 * the decision says what to do. */
static enum errc abandon(struct run *run, struct error *err)
{
    log_error("an earlier run was cut off after its swap, but the live database is not the one "
              "that it made",
              LOG_TEXT("of_run", run->work_run_id), LOG_TEXT("database", run->spec.database));
    run->recovered = RECOVERED_UNDONE;
    run->has_committed = false;
    enum errc code = pre_steps_undo(run, err);
    if (code || (code = stage_undo(run, err)))
        return code;
    return run_finish(
        run, OUTCOME_FAILED, errc_reason(ERR_DATABASE_CHANGED),
        "the live database was changed by somebody else after the swap of a run that was cut off",
        err);
}

static enum errc finish_rollback(struct run *run, struct error *err)
{
    enum errc code = steps_run(run, STEP_LOOK, STEP_POST_STEPS, err);
    if (code || (code = run_close_rollback(run, err)))
        return code;
    run->recovered = RECOVERED_FINISHED;
    return run_finish(run, OUTCOME_ROLLED_BACK, "RolledBack",
                      "an interrupted rollback was finished", err);
}

/* A first restore has nothing to swap back to. It stays unfinished, and every run says so, until
 * something else is asked for. */
static enum errc give_up_swap_back(struct run *run, const struct aside *aside, struct error *err)
{
    if (!run->has_values || key_equals_text(&aside->values.key, run->desired, run->request)) {
        error_recode(err, ERR_SMOKE);
        return error_hint(
            err,
            "the restored data failed its smoke check and there is no older data: ask for another "
            "backup, or mend the check and set restoreRequest");
    }
    error_clear(err);
    /* Held, as after a swap back, so that this data is never taken for a success. */
    enum errc code =
        control_history_hold(run->control, run->live.oid, run->desired, run->request, err);
    return code ? code : pre_steps_undo(run, err);
}

static enum errc finish_swap_back(struct run *run, const struct aside *aside, struct error *err)
{
    run->recovered = RECOVERED_SWAPPED_BACK;
    enum errc code = steps_run_one(run, STEP_SWAP_BACK, err);
    if (code == ERR_NOTHING_KEPT)
        code = give_up_swap_back(run, aside, err);
    if (code)
        return code;
    return run_finish(run, OUTCOME_FAILED, errc_reason(ERR_SMOKE),
                      "a smoke check failed after the swap", err);
}

/* A postStep that cannot succeed would keep everything for ever; somebody who has mended it in the
 * configuration is to be heard. */
static enum errc finish_with_todays_steps(struct run *run, struct error *err)
{
    struct spec recorded = run->spec;
    struct error own = ERROR_INIT;
    if (!run->has_values || !run->view.spec_text ||
        text_equal(run->view.spec_text, run->spec_text) ||
        run_parse_spec(run, run->view.spec_text, run->view.spec_first_line, &own) ||
        strcmp(run->spec.database, recorded.database) != 0) {
        run->spec = recorded;
        return err->code;
    }
    log_warn("the postSteps that the run was begun with fail: going on with those of today",
             LOG_TEXT("cause", err->text));
    error_clear(err);
    journal_set(&run->journal, J_POST_DONE, "");
    return steps_run(run, STEP_POST_STEPS, STEP_COLLECT, err);
}

static enum errc finish_restore(struct run *run, enum step phase, const struct aside *aside,
                                struct error *err)
{
    /* Smoke checks belong before anybody writes: not again once the application was being brought
     * back. */
    enum step first = phase == STEP_SWAP || phase == STEP_LOOK ? STEP_LOOK : STEP_POST_STEPS;
    enum errc code = steps_run(run, first, STEP_COLLECT, err);
    if (code == ERR_SMOKE) {
        log_error(err->text, LOG_TEXT("next", "swapping back"));
        error_clear(err);
        return finish_swap_back(run, aside, err);
    }
    if (code == ERR_STEP)
        code = finish_with_todays_steps(run, err);
    if (code)
        return code;
    run->recovered = RECOVERED_FINISHED;
    return run_finish(run, OUTCOME_SUCCEEDED, "Succeeded",
                      "an interrupted restore was finished after its swap", err);
}

static enum errc go_on(struct run *run, const struct history_row *row, const struct aside *aside,
                       struct error *err)
{
    enum step phase = run->step;
    enum errc code = run_refresh_live(run, err);
    if (code)
        return code;
    if (!run->has_live || !row->is_on_this_system || row->new_oid != run->live.oid)
        return abandon(run, err);
    run->has_committed = true;
    run->staging_oid = row->new_oid;
    log_warn("an earlier run was cut off after its swap: finishing it",
             LOG_TEXT("of_run", run->work_run_id),
             LOG_TEXT("phase", journal_get(&run->journal, J_PHASE)));
    if (run->swap_kind == SWAP_ROLLBACK)
        return finish_rollback(run, err);
    if (phase == STEP_SWAP_BACK || strcmp(row->kind, "rollback") == 0)
        return finish_swap_back(run, aside, err);
    return finish_restore(run, phase, aside, err);
}

static enum errc recover_journal(struct run *run, struct error *err)
{
    struct aside aside;
    struct history_row row;
    bool is_swapped = false;
    put_aside(run, &aside);
    take_journal(run);
    take_plan(run);
    run->recovered_run_id = run->work_run_id;
    enum errc code =
        control_history_of_run(run->control, &run->arena, run->work_run_id, &row, &is_swapped, err);
    if (!code)
        code = is_swapped ? go_on(run, &row, &aside, err) : undo(run, err);
    if (code)
        return error_wrap(err, "recovery of run '%s'", run->work_run_id);
    take_back(run, &aside);
    return RR_OK;
}

/* The fence says that a run was cut off, and there is no journal of it (lost, or of another run):
 * it is written anew from the history row. Nobody knows whether the application is back already and
 * has written: smoke checks, which may swap back, are not run any more. */
static enum errc rebuild_journal(struct run *run, const struct history_row *row, struct error *err)
{
    struct journal *j = &run->journal;
    bool is_rollback = strcmp(row->kind, "rollback") == 0;
    run->work_run_id = row->run_id;
    run->desired = is_rollback ? row->held_desired : row->desired;
    run->request = is_rollback ? row->held_request : row->request;
    run->swap_kind = is_rollback ? SWAP_ROLLBACK : SWAP_RESTORE;
    run->step = STEP_POST_STEPS;
    run->recovered_run_id = row->run_id;
    journal_set(j, J_PHASE, step_row(STEP_POST_STEPS)->name);
    journal_set(j, J_KIND, is_rollback ? "rollback" : "restore");
    journal_set(j, J_RUN_ID, row->run_id);
    journal_set(j, J_DESIRED, run->desired);
    journal_set(j, J_REQUEST, run->request);
    journal_set(j, J_BACKUP, row->backup);
    run_take_target(run);
    journal_set(j, J_POST_DONE, "");
    return record_all_undos(run, err);
}

static enum errc recover_without_journal(struct run *run, struct error *err)
{
    struct aside aside;
    struct history_row row;
    bool is_swapped = false;
    log_warn("JournalStale: an earlier run was cut off, and the journal does not know it: the "
             "database decides",
             LOG_TEXT("of_run", run->fence.displaced), LOG_TEXT("phase", run->fence.phase));
    put_aside(run, &aside);
    run->step = STEP_PRE_STEPS;
    run->work_run_id = run->recovered_run_id = run->fence.displaced;
    enum errc code = control_history_of_run(run->control, &run->arena, run->fence.displaced, &row,
                                            &is_swapped, err);
    if (!code && is_swapped) {
        code = rebuild_journal(run, &row, err);
        code = code ? code : go_on(run, &row, &aside, err);
    } else if (!code && !(code = bring_back(run, err)) && !(code = stage_undo(run, err))) {
        run->recovered = RECOVERED_UNDONE;
        code = control_fence_clear(run->control, err);
    }
    if (code)
        return error_wrap(err, "recovery of run '%s'", run->fence.displaced);
    take_back(run, &aside);
    return RR_OK;
}

/* A fence that has never been taken contradicts nothing: the control database was lost, not the
 * journal. */
static bool is_fence_new(const struct run *run)
{
    return run->fence.token == 1 && !run->fence.displaced;
}

/* The undo list of a journal that the fence contradicts is not ours to run. Where the control
 * database is new, the list is the only witness of an application that is away: it stays, and is
 * run once the session is open. */
static enum errc drop_stale_journal(struct run *run, struct error *err)
{
    log_warn(
        "JournalStale: the journal speaks of a run that the database does not know: it is ignored",
        LOG_TEXT("of_run", journal_get(&run->journal, J_RUN_ID)));
    journal_set(&run->journal, J_PHASE, JOURNAL_IDLE);
    journal_set(&run->journal, J_RESULT, outcome_result_name(OUTCOME_INTERRUPTED));
    journal_set(&run->journal, J_REASON, "JournalStale");
    if (!is_fence_new(run) || strcmp(journal_get(&run->journal, J_TARGET), run->spec.database) != 0)
        journal_set(&run->journal, J_UNDO, "");
    return journal_write(&run->journal, err);
}

/*
 * An idle journal of the displaced run: that run was closed, and died before it cleared the fence.
 */
static bool is_closed(const struct run *run)
{
    return run->fence.displaced && journal_is_idle(&run->journal) &&
           strcmp(run->fence.displaced, journal_get(&run->journal, J_RUN_ID)) == 0;
}

static enum errc recover(struct run *run, bool *ret_did, struct error *err)
{
    enum errc code = RR_OK;
    *ret_did = true;
    if (is_believed(run))
        return recover_journal(run, err);
    if (!journal_is_idle(&run->journal) && (code = drop_stale_journal(run, err)))
        return code;
    if (run->fence.displaced && run->fence.phase[0] && !is_closed(run))
        return recover_without_journal(run, err);
    *ret_did = false;
    return run->fence.displaced ? control_fence_clear(run->control, err) : RR_OK;
}

/* Undos that could not be run when their run was closed. */
static enum errc pay_undo_debts(struct run *run, struct error *err)
{
    const struct journal *j = &run->journal;
    const char *own_run_id = run->work_run_id;
    if (!journal_is_idle(j) || !journal_get(j, J_UNDO)[0] ||
        strcmp(journal_get(j, J_TARGET), run->spec.database) != 0)
        return RR_OK;
    log_warn("bringing back what an earlier run took away");
    run->work_run_id =
        arena_strdup(&run->arena, journal_get(j, J_RUN_ID)); /* its marks are meant */
    enum errc code = pre_steps_undo(run, err);
    run->work_run_id = own_run_id;
    return code;
}

static const char *const recovered_words[] = {
    [RECOVERED_UNDONE] = "undone",
    [RECOVERED_FINISHED] = "finished",
    [RECOVERED_SWAPPED_BACK] = "swapped back: a smoke check failed",
};

enum errc run_recover(struct run *run, bool *ret_did, struct error *err)
{
    log_set_phase("Recover");
    run->recovered = RECOVERED_NOTHING;
    enum errc code = recover(run, ret_did, err);
    if (code || (code = pay_undo_debts(run, err)))
        return code;
    run->fence.displaced = NULL;
    run->fence.phase = "";
    if (run->recovered != RECOVERED_NOTHING)
        run_tell(run, true, "RunRecovered", "run %s was cut off; it was %s", run->recovered_run_id,
                 recovered_words[run->recovered]);
    if (run->recovered != RECOVERED_SWAPPED_BACK)
        return RR_OK;
    run->step = STEP_SWAP_BACK;
    error_set(err, ERR_SMOKE, "%s", journal_get(&run->journal, J_MESSAGE));
    return error_hint(
        err,
        "this backup is not restored again until another timestamp or restoreRequest is asked for");
}

/* The session broke, so the lock and every right to act are gone. They are taken anew, as the next
 * run would, but at once: the application must not wait for it. */
enum errc run_settle(struct run *run, struct error *err)
{
    log_warn("the session that holds the database lock broke: connecting anew to find out what "
             "happened");
    bool did;
    enum errc code = run_connect_again(run, err);
    return code ? code : run_recover(run, &did, err);
}
