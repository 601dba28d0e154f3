/*
 * `collect`: what is kept, and dropping one of it now.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/reconcile/run.h"

/* Only what the registry knows as kept; never live, never by a name alone. */
static enum errc drop_now(struct run *run, const char *name, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    enum errc code = control_registry_list(run->control, &run->arena, &rows, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        if ((code = control_drop(run->control, &rows[i], err)))
            return code;
        snprintf(run->outcome.message, sizeof run->outcome.message, "dropped '%s'", name);
        return RR_OK;
    }
    STR_GUARD struct str shown = STR_INIT(300);
    str_append_quoted(&shown, name, 100);
    error_set(err, ERR_NOTHING_KEPT, "%s is not in the registry of '%s': it is left alone",
              str_text(&shown), run->spec.database);
    return error_hint(err, "`collect` lists what is kept");
}

static enum errc collect(struct run *run, const char *name, struct error *err)
{
    enum errc code = run_open(run, err);
    if (code || (code = drop_now(run, name, err)) || (code = collect_apply(run, err)))
        return code;
    run->outcome.result = OUTCOME_SUCCEEDED;
    run->outcome.reason = "Collected";
    return control_fence_clear(run->control, err);
}

void run_collect(const struct run_options *options, const char *name, struct outcome *ret_outcome)
{
    struct run run;
    struct error err = ERROR_INIT;
    run_begin(&run, options);
    if (collect(&run, name, &err))
        outcome_set_error(&run.outcome, &err, run.step);
    *ret_outcome = run.outcome;
    run_end(&run);
}
