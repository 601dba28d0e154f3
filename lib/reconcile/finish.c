/*
 * The end of a run in the journal: idle again, with what came of it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

enum errc run_finish(struct run *run, enum outcome_result result, const char *reason,
                     const char *message, struct error *err)
{
    struct journal *j = &run->journal;
    bool was_idle = journal_is_idle(j);
    journal_set(j, J_PHASE, JOURNAL_IDLE);
    journal_set(j, J_RESULT, outcome_result_name(result));
    journal_set(j, J_REASON, reason);
    journal_set(j, J_MESSAGE, message);
    journal_set(j, J_ETA, "");
    if (!was_idle) {
        journal_set(j, J_FINISHED_AT, run_now(run, 0));
        journal_set(j, J_PLAN, "");
        journal_set(j, J_STAGING, "");
        if (!run->keeps_undo)
            journal_set(j, J_UNDO, "");
        journal_set(j, J_POST_DONE, "");
    }
    enum errc code = journal_write(j, err);
    if (code || !run->control || control_is_lost(run->control))
        return code;
    /* After the journal: a process that dies in between leaves a fence that names the run of an
     * idle journal, which the next one takes for closed and clears. The other way round the
     * journal's work would be taken for somebody else's. */
    return control_fence_clear(run->control, err);
}

/* An attempt that failed: may it be tried again, and when. One that was interrupted, or that ended
 * with a finding before anything was loaded, is given back. */
static void record_attempt_end(struct run *run, const struct error *cause, int exit_code)
{
    struct journal *j = &run->journal;
    if (cause->code == ERR_CANCELLED || cause->code == ERR_SUPERSEDED ||
        cause->code == ERR_PREFLIGHT) {
        uint64_t attempts = journal_count(j, J_ATTEMPTS);
        journal_setf(j, J_ATTEMPTS, "%" PRIu64, attempts ? attempts - 1 : 0);
        return;
    }
    journal_set(j, J_FAILURE, errc_reason(cause->code));
    journal_set(j, J_FAILURE_MESSAGE, cause->text);
    journal_setf(j, J_FAILURE_EXIT, "%d", exit_code);
    /* A lock that was lost says nothing about the backup: the next run may well succeed. */
    bool may_pass = errc_is_transient(cause->code) || cause->code == ERR_FENCE_LOST;
    journal_set(j, J_FAILURE_FINAL, may_pass ? "" : "true");
    if (may_pass)
        journal_set(j, J_NOT_BEFORE, run_now(run, decide_pause_s(journal_count(j, J_ATTEMPTS))));
}

/* No such backup: asking again cannot help until something else is asked for. It was found before
 * an attempt began, so the key is recorded here. */
static void record_final_refusal(struct run *run, const struct error *cause, int exit_code)
{
    struct journal *j = &run->journal;
    if (!run->has_values || run->final_code != cause->code)
        return;
    switch (cause->code) {
    case ERR_BACKUP_NOT_FOUND:
    case ERR_BACKUP_TOO_OLD:
    case ERR_ARCHIVE_CORRUPT:
    case ERR_CHECKSUM:
        break;
    default:
        return;
    }
    if (!key_equals_text(&run->values.key, journal_get(j, J_DESIRED), journal_get(j, J_REQUEST)))
        journal_set(j, J_ATTEMPTS, "0");
    journal_set(j, J_DESIRED, run->view.desired);
    journal_set(j, J_REQUEST, run->request);
    journal_set(j, J_FAILURE, errc_reason(cause->code));
    journal_set(j, J_FAILURE_MESSAGE, cause->text);
    journal_setf(j, J_FAILURE_EXIT, "%d", exit_code);
    journal_set(j, J_FAILURE_FINAL, "true");
}

/* Puts a failure into the journal. An unfinished run stays unfinished: only what a person reads
 * changes. A journal that cannot be written (or is not ours) is left alone; the failure is in the
 * log and in the last line anyway. */
void run_record_failure(struct run *run, const struct error *cause)
{
    struct journal *j = &run->journal;
    int exit_code = outcome_exit_code(cause->code, run->step);
    outcome_set_error(&run->outcome, cause, run->step);
    run->is_ending = true;
    application_be_deaf(run, true); /* a signal must not keep the reason from the journal */
    if (!j->store || cause->code == ERR_LOCKED || cause->code == ERR_JOURNAL_CORRUPT ||
        cause->code == ERR_CONFLICT)
        return;
    bool is_locked = false;
    struct error own = ERROR_INIT;
    if (store_lock(run->store, &is_locked, &own) || !is_locked)
        return;
    if (run->has_begun_attempt && !run->has_committed)
        record_attempt_end(run, cause, exit_code);
    else if (journal_is_idle(j) && run->step < STEP_STAGE)
        record_final_refusal(run, cause, exit_code);
    journal_set(j, J_RESULT, outcome_result_name(run->outcome.result));
    journal_set(j, J_REASON, run->outcome.reason);
    journal_set(j, J_MESSAGE, run->outcome.message);
    if (journal_write(j, &own))
        log_warn("the failure could not be written to the journal", LOG_TEXT("cause", own.text));
}
