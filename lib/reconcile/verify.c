/*
 * Verify: the staging database is what it should be, and everything that the swap will do has been
 * tried.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/reconcile/run.h"

static enum errc verify_catalog(struct run *run, struct error *err)
{
    struct findings findings = {.arena = &run->arena};
    struct conn_options options = {
        .database = run->staging_name,
        .application_name = run->application_name,
        .cancel = run->options->cancel,
    };
    enum errc code = database_verify_catalog(run->staging_name, &options,
                                             run->load.unvalidated_constraints, &findings, err);
    if (code || findings.count == 0)
        return code;
    return error_set(err, ERR_VERIFY, "the staging database is not sound: %s%s", findings.items[0],
                     findings.count > 1 ? " (and more, see the log)" : "");
}

/* Rights fail here, where nothing has been touched, and not inside the swap with the application
 * away. */
enum errc run_rehearse_carry_over(struct run *run, struct error *err)
{
    if (!run->has_live)
        return RR_OK;
    struct findings findings = {.arena = &run->arena};
    bool is_best_effort = run->spec.carry_over == SPEC_CARRY_OVER_BEST_EFFORT;
    struct carry_over rehearsal;
    enum errc code = database_carry_over_plan(run->control, &run->arena, &run->live,
                                              run->staging_name, &rehearsal, err);
    if (code || (code = database_carry_over_rehearse(run->control, &rehearsal, is_best_effort,
                                                     &findings, err)))
        return code;
    for (size_t i = 0; i < findings.count; i++)
        log_warn("cannot be carried over to the new database",
                 LOG_TEXT("finding", findings.items[i]));
    if (findings.count && !is_best_effort) {
        error_set(err, ERR_PREFLIGHT,
                  "properties of the live database cannot be carried over: %s%s", findings.items[0],
                  findings.count > 1 ? " (and more, see the log)" : "");
        return error_hint(
            err, "give the role the right, or set 'carryOver: best-effort' to leave them out");
    }
    return RR_OK;
}

/* The plan is made anew in the swap's step, for the live name; this one was for the rehearsal. */
enum errc verify_apply(struct run *run, struct error *err)
{
    enum errc code = checksum_join(run, err);
    if (code || (code = verify_catalog(run, err)))
        return code;
    if ((code = run_checks(run, run->staging_name, "verify", run->spec.verify,
                           run->spec.verify_count, ERR_VERIFY, err)))
        return code;
    return run_rehearse_carry_over(run, err);
}
