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

static enum errc settle(struct run *run, struct error *err)
{
    struct error own = ERROR_INIT;
    if (run_settle(run, &own)) {
        if (own.code == ERR_SMOKE) { /* settled, by swapping back */
            *err = own;
            return err->code;
        }
        log_error("could not be settled now: the next run finishes or undoes it",
                  LOG_TEXT("cause", own.text));
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
    if (steps_undo(run, run->step, &own))
        return err
            ->code; /* said by steps_undo(); the journal stays unfinished, the next run goes on */
    enum outcome_result result =
        outcome_result_of(err->code, outcome_exit_code(err->code, run->step));
    if (run_finish(run, result, errc_reason(err->code), err->text, &own))
        log_error("the journal could not be closed: the next run does it",
                  LOG_TEXT("cause", own.text));
    return err->code;
}

enum errc run_handle_failure(struct run *run, struct error *err)
{
    checksum_stop(run);
    if (journal_is_idle(&run->journal) || is_overtaken(run, err))
        return err->code;
    if (is_session_lost(run, err))
        return settle(run, err);
    if (run->has_committed)
        return err->code == ERR_SMOKE ? swap_back(run, err) : err->code;
    return undo(run, err);
}
