/*
 * Publish and Collect: what was applied is written where the user looks, and what is due is
 * dropped.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/reconcile/run.h"

enum { PUBLISH_TRIES = 3 };

/* Compare-and-swap on what was read; somebody who writes the key at the same moment is read and
 * overtaken. */
enum errc run_publish(struct run *run, const char *applied, struct error *err)
{
    enum errc code = RR_OK;
    for (int try = 1; try <= PUBLISH_TRIES; try++) {
        struct state_view view;
        if ((code = store_read(run->store, &run->arena, &view, err)))
            return code;
        code = store_publish(run->store, view.applied, applied, err);
        if (code != ERR_CONFLICT || try == PUBLISH_TRIES)
            return code;
        error_clear(err);
    }
    return code;
}

/* Recorded as done before it is published, and as published after: a process that dies in between
 * is followed by one that publishes without blaming anybody for a reverted value. */
enum errc publish_apply(struct run *run, struct error *err)
{
    struct journal *j = &run->journal;
    static const enum journal_key attempts[] = {J_ATTEMPTS,     J_NOT_BEFORE,    J_FAILURE,
                                                J_FAILURE_EXIT, J_FAILURE_FINAL, J_FAILURE_MESSAGE};
    run_take_target(run);
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        journal_set(j, attempts[i], "");
    journal_set(j, J_APPLIED, run->desired);
    journal_set(j, J_APPLIED_REQUEST, run->request);
    journal_set(j, J_HELD, "");
    journal_set(j, J_HELD_REQUEST, "");
    journal_set(j, J_PUBLISHED, "");
    journal_set(j, J_REVERTS, "");
    journal_set(j, J_PERCENT, "100");
    journal_set(j, J_ETA, "");
    enum errc code = journal_write(j, err);
    if (code)
        return code;
    const char *text = journal_get(j, J_DESIRED)[0] ? journal_get(j, J_DESIRED) : run->desired;
    if ((code = run_publish(run, text, err))) {
        error_wrap(err, "the database is restored, but lastAppliedTimestamp could not be written");
        return error_hint(err, "the next run writes it");
    }
    journal_set(j, J_PUBLISHED, "true");
    return journal_write(j, err);
}

static bool is_to_go(const struct run *run, const struct registry_row *row)
{
    if (strcmp(row->state, "dropping") == 0)
        return true;
    if (strcmp(row->kind, "staging") == 0)
        return strcmp(row->run_id, run->work_run_id) != 0 || run->has_committed;
    return strcmp(row->kind, "previous") == 0 && row->is_due;
}

static enum errc warn_about_strangers(struct run *run, struct error *err)
{
    const char **names;
    size_t count;
    enum errc code = control_registry_strangers(run->control, &run->arena, &names, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        log_warn("a database has a name of our form, but is not in our registry: it is left alone",
                 LOG_TEXT("database", names[i]));
    return code;
}

/* The newest kept database, as `rollback` would take it. */
static enum errc note_previous(struct run *run, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    enum errc code = control_registry_list(run->control, &run->arena, &rows, &count, err);
    if (code)
        return code;
    journal_set(&run->journal, J_PREVIOUS, "");
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].kind, "previous") == 0 && strcmp(rows[i].state, "kept") == 0 &&
            rows[i].exists)
            journal_set(&run->journal, J_PREVIOUS, rows[i].name);
    return RR_OK;
}

/* A database that cannot be dropped now (somebody's session, a slot) is reported and tried again by
 * the next run: it must not turn a restore that succeeded into a failure. */
enum errc collect_apply(struct run *run, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    enum errc code = control_registry_list(run->control, &run->arena, &rows, &count, err);
    if (code)
        return code;
    for (size_t i = 0; i < count; i++) {
        if (!is_to_go(run, &rows[i]))
            continue;
        struct error own = ERROR_INIT;
        if (control_drop(run->control, &rows[i], &own)) {
            if (own.code == ERR_FENCE_LOST || own.code == ERR_DATABASE_LOST) {
                *err = own;
                return err->code;
            }
            log_warn("cannot drop a database whose time is over",
                     LOG_TEXT("database", rows[i].name), LOG_TEXT("cause", own.text),
                     LOG_TEXT("hint", own.hint));
            continue;
        }
        log_info("dropped", LOG_TEXT("database", rows[i].name), LOG_TEXT("kind", rows[i].kind));
    }
    if ((code = note_previous(run, err)))
        return code;
    const char *when = "";
    if ((code = control_registry_next_expiry(run->control, &run->arena, &when, err)) ||
        (code = warn_about_strangers(run, err)))
        return code;
    journal_set(&run->journal, J_COLLECT_AFTER, when);
    return journal_write(&run->journal, err);
}
