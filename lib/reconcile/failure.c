/*
 * A step has failed: what is done about it at once.
 *
 * Before the commit point everything is undone and the application goes on with the old data. After
 * it nothing is undone: the next run finishes, except that a failed smoke check swaps back. A lost
 * session means that nothing is known and nothing may be done until the lock is ours again; then
 * the database says which of the two it is.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

static bool is_session_lost(const struct run *run, const struct error *err)
{
    return err->code == ERR_DATABASE_LOST || (run->control && control_is_lost(run->control));
}

/* Another run owns the fence or the journal now: nothing here is ours to touch. */
static bool is_overtaken(const struct run *run, const struct error *err)
{
    return err->code == ERR_CONFLICT || (err->code == ERR_FENCE_LOST && !is_session_lost(run, err));
}

static bool is_away(const struct run *run)
{
    return journal_get(&run->journal, J_UNDO)[0] != '\0';
}

/* Whoever has lost the lock of the store as well (it slept, say) has no right to take the one of
 * the database anew: the run that took over may have ended already, and its work is not ours to
 * judge. */
static enum errc settle(struct run *run, struct error *err)
{
    struct error own = ERROR_INIT;
    if (store_check_lock(run->store, 0, &own) || run_settle(run, &own)) {
        /* Settled, by swapping back; or another run has the lock, and settles it. */
        if (own.code == ERR_SMOKE || own.code == ERR_FENCE_LOST) {
            *err = own;
            return err->code;
        }
        log_error("could not be settled now: the next run finishes or undoes it",
                  LOG_TEXT("cause", own.text));
        run->outcome.is_application_away = is_away(run);
        return err->code;
    }
    if (run->recovered != RECOVERED_FINISHED || !text_equal(run->recovered_run_id, run->run_id))
        return err->code;
    log_info("the swap had been committed: finished");
    error_clear(err);
    return RR_OK;
}

static enum errc swap_back(struct run *run, struct error *err)
{
    struct error own = ERROR_INIT;
    log_error(err->text, LOG_TEXT("next", "swapping back"));
    if (steps_run_one(run, STEP_SWAP_BACK, &own) ||
        run_finish(run, OUTCOME_FAILED, errc_reason(ERR_SMOKE), err->text, &own)) {
        log_error("swapping back failed: the next run goes on with it",
                  LOG_TEXT("cause", own.text));
        run->outcome.is_application_away = is_away(run);
        return err->code;
    }
    return error_hint(
        err,
        "the old data is live again and the application is back; this backup is not restored again "
        "until another timestamp or restoreRequest is asked for");
}

static enum errc undo(struct run *run, struct error *err)
{
    struct error own = ERROR_INIT;
    if (steps_undo(run, run->step, &own)) {
        /* Said by steps_undo(); the journal stays unfinished, the next run goes on. */
        run->outcome.is_application_away = is_away(run);
        return error_hint(err, "undoing it failed as well (see the log): the next run goes on "
                               "with it");
    }
    enum outcome_result result =
        outcome_result_of(err->code, outcome_exit_code(err->code, run->step));
    if (run_finish(run, result, errc_reason(err->code), err->text, &own))
        log_error("the journal could not be closed: the next run does it",
                  LOG_TEXT("cause", own.text));
    return err->code;
}

/* The API server was waited for already, for minutes: what does not need it is undone now, the rest
 * is the next run's. */
enum { IMPATIENCE_MS = 15000 };

void run_be_impatient(struct run *run, enum errc code)
{
    bool is_store_away = code == ERR_API || code == ERR_ANSWER_LOST || code == ERR_UNAUTHENTICATED;
    if (run->store->kube && is_store_away)
        kube_set_patience(run->store->kube, IMPATIENCE_MS);
}

enum errc run_handle_failure(struct run *run, struct error *err)
{
    checksum_stop(run);
    run->is_ending = true;
    run_be_impatient(run, err->code);
    application_be_deaf(run, true);
    if (journal_is_idle(&run->journal))
        return err->code;
    if (is_overtaken(run, err)) {
        /* Whoever has overtaken us brings it back; where somebody only deleted the lock, nobody
         * does before the next run. */
        run->outcome.is_application_away = is_away(run);
        return err->code;
    }
    if (is_session_lost(run, err))
        return settle(run, err);
    if (!run->has_committed)
        return undo(run, err);
    if (err->code == ERR_SMOKE)
        return swap_back(run, err);
    run->outcome.is_application_away = run->step <= STEP_POST_STEPS && is_away(run);
    return error_hint(err, "the database is restored; the next run goes on from here%s",
                      run->outcome.is_application_away ? "; until then the application may be away"
                                                       : "");
}
