/*
 * Stage: the staging database beside the live one, and the load into it. From here on an attempt
 * counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/kube/kube.h"
#include "lib/reconcile/run.h"

enum { JOURNAL_PROGRESS_MS = 5000, JOURNAL_TROUBLE_MS = 25000, PROGRESS_PATIENCE_MS = 2000 };

/* What the journal must say before the first thing is changed: enough for another run to finish or
 * undo it. */
static enum errc record_attempt(struct run *run, struct error *err)
{
    struct journal *j = &run->journal;
    bool is_same_key =
        key_equals_text(&run->values.key, journal_get(j, J_DESIRED), journal_get(j, J_REQUEST));
    uint64_t attempts = is_same_key ? journal_count(j, J_ATTEMPTS) : 0;
    journal_set(j, J_PHASE, step_row(STEP_STAGE)->name);
    journal_set(j, J_KIND, "restore");
    journal_set(j, J_DESIRED, run->view.desired);
    journal_set(j, J_REQUEST, run->request);
    journal_set(j, J_RUN_ID, run->run_id);
    journal_setf(j, J_TOKEN, "%" PRId64, run->fence.token);
    journal_setf(j, J_ATTEMPTS, "%" PRIu64, attempts + 1);
    journal_set(j, J_STARTED_AT, run->started_at);
    journal_set(j, J_PERCENT, "0");
    journal_set(j, J_BACKUP, run->backup.url);
    journal_set(j, J_CHECKSUM, run->checksum.is_known ? run->checksum.value : "");
    journal_set(j, J_PLAN, run->spec_text);
    run_take_target(run);
    static const enum journal_key emptied[] = {
        J_RESULT,       J_REASON,        J_MESSAGE,        J_FINISHED_AT, J_ETA,
        J_UNDO,         J_STAGING,       J_POST_DONE,      J_NOT_BEFORE,  J_FAILURE,
        J_FAILURE_EXIT, J_FAILURE_FINAL, J_FAILURE_MESSAGE};
    for (size_t i = 0; i < sizeof emptied / sizeof *emptied; i++)
        journal_set(j, emptied[i], "");
    enum errc code = journal_write(j, err);
    run->has_begun_attempt = !code;
    return code;
}

struct progress_state {
    struct run *run;
    uint64_t begin_ms, next_write_ms;
    bool is_conflict;
};

/* A store that is away for a while ends no load: the next step waits for it, and finds out whether
 * the lock is still ours. Only a journal that somebody else has written is not written again. */
static void write_progress(struct progress_state *state)
{
    struct error err = ERROR_INIT;
    struct kube *kube = state->run->store->kube;
    uint64_t patience_ms = kube ? kube_patience(kube) : 0;
    if (kube)
        kube_set_patience(kube, PROGRESS_PATIENCE_MS);
    enum errc code = journal_write(&state->run->journal, &err);
    if (kube)
        kube_set_patience(kube, patience_ms);
    if (!code)
        return;
    log_warn("progress not written", LOG_TEXT("cause", err.text));
    state->is_conflict = err.code == ERR_CONFLICT;
    state->next_write_ms += JOURNAL_TROUBLE_MS;
}

/* Now and then into the journal, so that `kubectl get` and `status` show how far it is. */
static void on_progress(void *context, const struct load_progress *progress)
{
    struct progress_state *state = context;
    struct run *run = state->run;
    if (run->options->on_progress)
        run->options->on_progress(run->options->progress_context, progress);
    uint64_t now_ms = clock_boottime_ms(run->options->clock);
    if (now_ms < state->next_write_ms || state->is_conflict)
        return;
    state->next_write_ms = now_ms + JOURNAL_PROGRESS_MS;
    journal_setf(&run->journal, J_PERCENT, "%u", progress->percent);
    uint64_t spent_s = (now_ms - state->begin_ms) / 1000;
    if (progress->percent > 0)
        journal_set(
            &run->journal, J_ETA,
            run_now(run, (int64_t)(spent_s * (100 - progress->percent) / progress->percent)));
    write_progress(state);
    log_info("loading", LOG_TEXT("stage", progress->stage), LOG_UINT("percent", progress->percent),
             LOG_UINT("rows", progress->rows));
}

static enum errc load(struct run *run, struct error *err)
{
    struct progress_state state = {
        .run = run,
        .begin_ms = clock_boottime_ms(run->options->clock),
        .next_write_ms = clock_boottime_ms(run->options->clock) + JOURNAL_PROGRESS_MS,
    };
    struct load_options options = {
        .source = run->source,
        .database = run->staging_name,
        .application_name = run->application_name,
        .jobs = run->spec.jobs,
        .analyze = true,
        .clock = run->options->clock,
        .cancel = &run->checksum_job.load_cancel,
        .on_progress = on_progress,
        .progress_context = &state,
    };
    enum errc code = load_run(&options, &run->toc, &run->arena, &run->load, err);
    if (code == ERR_CANCELLED && !cancel_is_requested(run->options->cancel)) {
        /* Stopped by the checksum thread: its error is the cause. */
        error_clear(err);
        return checksum_join(run, err);
    }
    return code;
}

static void report(struct run *run)
{
    run->outcome.rows = run->load.rows;
    run->outcome.bytes = run->load.bytes_read;
    run->outcome.entries_done = run->load.entries_done;
    run->outcome.entries_skipped = run->load.entries_skipped;
    for (size_t i = 0; i < run->load.skipped_count; i++)
        log_warn("left out", LOG_TEXT("entry", run->load.skipped[i]));
    log_info("loaded", LOG_UINT("rows", run->load.rows), LOG_UINT("bytes", run->load.bytes_read),
             LOG_UINT("entries", run->load.entries_total), LOG_UINT("done", run->load.entries_done),
             LOG_UINT("skipped", run->load.entries_skipped));
}

/* Where live is absent, the archive's own DATABASE entry would say encoding and locale; it is SQL
 * text, and the server's defaults are taken unless it can be read with certainty. */
static enum errc make_staging(struct run *run, struct error *err)
{
    enum errc code =
        database_create_staging(run->control, &run->arena, run->has_live ? &run->live : NULL, NULL,
                                &run->staging_name, &run->staging_oid, err);
    if (code)
        return code;
    journal_set(&run->journal, J_STAGING, run->staging_name);
    return journal_write(&run->journal, err);
}

enum errc stage_apply(struct run *run, struct error *err)
{
    enum errc code = record_attempt(run, err);
    if (code ||
        (code = control_fence_set_phase(run->control, "staging", run->desired, run->request, err)))
        return code;
    snprintf(run->outcome.backup, sizeof run->outcome.backup, "%s", run->backup.url);
    run_tell(run, false, "RestoreStarted", "%s is loaded beside database '%s' (run %s, attempt %s)",
             run->backup.url, run->spec.database, run->run_id,
             journal_get(&run->journal, J_ATTEMPTS));
    /* Rights that the swap lacks are found on the empty database, not after hours of loading. */
    if ((code = make_staging(run, err)) || (code = run_rehearse_carry_over(run, err)))
        return code;
    checksum_start(run);
    code = load(run, err);
    if (code)
        return code;
    report(run);
    return RR_OK;
}

/* Drops every staging database of this target that is not the live one: under the lock nobody
 * else's can be alive. Works from the registry, so it does not matter which run made them. */
enum errc stage_undo(struct run *run, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    enum errc code = control_registry_list(run->control, &run->arena, &rows, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        if (strcmp(rows[i].kind, "staging") == 0)
            code = control_drop(run->control, &rows[i], err);
    return code;
}
