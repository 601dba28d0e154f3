/*
 * What people who look at the state are told (Events): that a restore began, swapped, ended. A run
 * that has nothing to do says nothing, and one that refuses or fails as the last one did says it
 * only once: the journal knows what was said.
 */
#include <stdarg.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/reconcile/run.h"

void run_tell(struct run *run, bool is_warning, const char *reason, const char *fmt, ...)
{
    STR_GUARD struct str text = STR_INIT(4096);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&text, fmt, ap);
    va_end(ap);
    struct store_news news = {
        .is_warning = is_warning,
        .reason = reason,
        .action = run->step < STEP_COUNT ? step_row(run->step)->name : reason,
        .text = str_text(&text),
    };
    store_tell(run->store, &news);
}

bool run_is_news(const struct run *run, const char *reason, const char *message)
{
    return !text_equal(run->last_reason, reason) ||
           (message && !text_equal(run->last_message, message));
}

static void tell_end(struct run *run, bool is_warning, const char *what)
{
    run_tell(run, is_warning, what, "%s: %s (run %s)", run->outcome.reason, run->outcome.message,
             run->run_id);
}

void run_tell_end(struct run *run)
{
    const struct outcome *o = &run->outcome;
    bool has_worked = run->has_begun_attempt || run->has_committed || o->has_swapped;
    /* A pause between attempts is told by the failure that asked for it. */
    bool is_pause = text_equal(o->reason, errc_reason(ERR_RETRY_SCHEDULED));
    bool is_news = has_worked || (!is_pause && run_is_news(run, o->reason, o->message));
    switch (o->result) {
    case OUTCOME_SUCCEEDED:
        if (o->has_swapped || run->recovered == RECOVERED_FINISHED)
            tell_end(run, false, "RestoreSucceeded");
        break;
    case OUTCOME_ROLLED_BACK:
        if (o->has_swapped)
            tell_end(run, false, "RolledBack");
        break;
    case OUTCOME_FAILED:
        if (is_news)
            tell_end(run, true, "RestoreFailed");
        break;
    case OUTCOME_REFUSED:
        if (is_news)
            tell_end(run, true, "RestoreRefused");
        break;
    case OUTCOME_INTERRUPTED:
    case OUTCOME_SUPERSEDED:
        if (has_worked)
            tell_end(run, true, "RestoreInterrupted");
        break;
    case OUTCOME_NOTHING_TO_DO:
    case OUTCOME_LOCKED:
        break;
    }
}
