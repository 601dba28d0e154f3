/*
 * Opening a run: the store's lock, recovery of what an earlier run left, the configuration, the
 * control database; and, whatever came of these, an application that nobody else will bring back.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

/* Recovery comes before the configuration is parsed: a ConfigMap that is broken or gone must keep
 * nobody's application down. What it needs stands in the journal. */
static enum errc recover_first(struct run *run, struct error *err)
{
    if (journal_is_idle(&run->journal) || !journal_get(&run->journal, J_PLAN)[0])
        return RR_OK;
    bool did;
    struct error own = ERROR_INIT;
    const char *plan = arena_strdup(&run->arena, journal_get(&run->journal, J_PLAN));
    if (run_parse_plan(run, plan, &own)) {
        log_warn("the journal's plan cannot be read: recovering with the configuration of today",
                 LOG_TEXT("cause", own.text));
        return RR_OK;
    }
    enum errc code = run_connect(run, err);
    return code ? code : run_recover(run, &did, err);
}

static enum errc take_store_lock(struct run *run, struct error *err)
{
    bool is_held = false;
    enum errc code = store_lock(run->store, &is_held, err);
    if (code || is_held)
        return code;
    const char *holder = run->store->holder;
    return error_set(err, ERR_LOCKED, "another run holds the lock of '%s'%s%s", run->store->place,
                     holder ? ": " : "", holder ? holder : "");
}

static void warn_about_values(const struct run *run)
{
    for (size_t i = 0; i < run->values.warning_count; i++)
        log_warn(run->values.warnings[i]);
}

/* Under the lock: recovery, then what today's configuration says. */
static enum errc open_locked(struct run *run, struct error *err)
{
    struct error state_err = ERROR_INIT;
    enum errc code;
    journal_release(&run->journal); /* what was read without the lock may be old */
    run->journal = (struct journal){0};
    if (run_read_state(run, &state_err) && !run->journal.store) {
        *err = state_err;
        return err->code;
    }
    if ((code = recover_first(run, err)))
        return code;
    log_set_phase("Decide");
    error_clear(&state_err);
    const char *connected_to = run->control ? run->spec.database : NULL,
               *control_database = run->spec.control_database;
    if ((code = run_read_state(run, err)) ||
        (code = run_parse_spec(run, run->view.spec_text, run->view.spec_first_line, err)))
        return code;
    warn_about_values(run);
    if (connected_to && strcmp(connected_to, run->spec.database) == 0 &&
        strcmp(control_database, run->spec.control_database) == 0)
        return RR_OK;
    bool did;
    if ((code = run_connect(run, err)) || (code = run_recover(run, &did, err)))
        return code;
    log_set_phase("Decide");
    return did ? run_read_state(run, err) : RR_OK;
}

/*
 * What is marked as taken away by us, and belongs to no run that is still to be finished, is
 * brought back: also when the state is gone, its restore.yaml cannot be read, the journal was
 * deleted, or the database cannot be reached.
 *
 * Is that safe without asking the database? The live name always holds complete data, the old or
 * the new: they are exchanged in one transaction, beside which nothing is ever half done. A run
 * that died before its swap is to bring the application back anyway: that is all of them whose
 * journal does not name the swap, which is announced there before it begins, and under the lock
 * that is ours now. After that, only a smoke check that has not been run yet speaks against it; so
 * the objects of such a run are left alone, and without a journal smoke checks are not run any more
 * (recover.c). Not bringing it back would be worse where the database itself is among what was
 * scaled to 0: it could never be asked.
 *
 * Not when somebody else may be at work: the database's lock is held by another run (ours to wait
 * for: it took the application away, and its swap may come in the next moment), or our own lock or
 * journal was taken over. Not when the journal cannot be read: it may name an unfinished run.
 */
static bool may_sweep(const struct run *run, enum errc code)
{
    if (!run->journal.store)
        return false;
    switch (code) {
    case ERR_LOCKED:
    case ERR_FENCE_LOST:
    case ERR_CONFLICT:
    case ERR_CANCELLED:
        return false;
    default:
        return true;
    }
}

/* The run whose objects are left alone; NULL: none. */
static const char *run_that_may_have_swapped(const struct journal *j)
{
    bool is_before = step_from_name(journal_get(j, J_PHASE)) < STEP_SWAP;
    return journal_is_idle(j) || is_before ? NULL : journal_get(j, J_RUN_ID);
}

static enum errc sweep(struct run *run, enum errc code, struct error *err)
{
    struct error own = ERROR_INIT;
    const struct journal *j = &run->journal;
    if (!may_sweep(run, code))
        return code;
    log_set_phase("Recover");
    run_be_impatient(run, code);
    const char *left_alone = run_that_may_have_swapped(j);
    if (code && left_alone && journal_get(j, J_UNDO)[0])
        run->outcome.is_application_away = true;
    if (application_sweep(run, left_alone, &own)) {
        run->outcome.is_application_away = true;
        if (code) {
            log_error(own.text, LOG_TEXT("hint", own.hint));
        } else {
            *err = own;
            code = error_wrap(err, "bringing the application back");
        }
    }
    log_set_phase("Decide");
    return code;
}

enum errc run_open(struct run *run, struct error *err)
{
    enum errc code = take_store_lock(run, err);
    if (code)
        return code;
    if ((code = sweep(run, open_locked(run, err), err)))
        return code;
    application_be_deaf(run, false); /* recovery may have been deaf; what comes now need not be */
    return RR_OK;
}
