#include "lib/reconcile/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"

enum { REVERT_WINDOW_S = 3600 };

static bool is_due(const struct run *run, const char *when)
{
    struct instant instant;
    struct error ignored = ERROR_INIT;
    return when[0] && !rfc3339_parse(when, &instant, &ignored) &&
           instant.seconds <= clock_wall_s(run->options->clock);
}

static struct decide_journal journal_for_decision(const struct run *run)
{
    const struct journal *j = &run->journal;
    return (struct decide_journal){
        .exists = j->data.exists,
        .is_for_target = strcmp(journal_get(j, J_TARGET), run->spec.database) == 0,
        .is_idle = journal_is_idle(j),
        .is_published = journal_flag(j, J_PUBLISHED),
        .is_collect_due = is_due(run, journal_get(j, J_COLLECT_AFTER)),
        .applied = recorded_key_of(journal_get(j, J_APPLIED), journal_get(j, J_APPLIED_REQUEST)),
        .held = recorded_key_of(journal_get(j, J_HELD), journal_get(j, J_HELD_REQUEST)),
    };
}

/*
 * Times at which lastAppliedTimestamp was found reverted, newest last, those of the last hour only.
 */
static unsigned recent_reverts(struct run *run, struct str *ret_list)
{
    int64_t now = clock_wall_s(run->options->clock);
    unsigned count = 0;
    char *list = arena_strdup(&run->arena, journal_get(&run->journal, J_REVERTS)), *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        uint64_t at;
        if (!text_to_u64(word, INT64_MAX, &at) || now - (int64_t)at > REVERT_WINDOW_S ||
            (int64_t)at > now)
            continue;
        str_printf(ret_list, "%s%s", count ? "," : "", word);
        count++;
    }
    return count;
}

struct decide_attempts run_attempts(const struct run *run)
{
    const struct journal *j = &run->journal;
    struct instant not_before = {0};
    struct error ignored = ERROR_INIT;
    const char *text = journal_get(j, J_NOT_BEFORE);
    if (text[0] && rfc3339_parse(text, &not_before, &ignored))
        not_before = (struct instant){0};
    return (struct decide_attempts){
        .key = recorded_key_of(journal_get(j, J_DESIRED), journal_get(j, J_REQUEST)),
        .count = journal_count(j, J_ATTEMPTS),
        .is_final = journal_flag(j, J_FAILURE_FINAL),
        .last_exit =
            journal_count(j, J_FAILURE_EXIT) <= 125 ? (int)journal_count(j, J_FAILURE_EXIT) : 10,
        .not_before_s = not_before.seconds,
    };
}

static enum history_kind history_kind_of(const char *kind)
{
    if (strcmp(kind, "rollback") == 0)
        return HISTORY_ROLLBACK;
    if (strcmp(kind, "job") == 0)
        return HISTORY_JOB;
    return strcmp(kind, "adopt") == 0 ? HISTORY_ADOPT : HISTORY_RESTORE;
}

static enum errc gather_history(struct run *run, struct decide_input *input, struct error *err)
{
    struct history_row row;
    enum errc code =
        control_history_newest(run->control, &run->arena, &row, &input->history.exists, err);
    if (code || !input->history.exists)
        return code;
    input->history.is_valid =
        run->has_live && row.is_on_this_system && row.new_oid == run->live.oid;
    input->history.kind = history_kind_of(row.kind);
    input->history.key = recorded_key_of(row.desired, row.request);
    input->history.held = recorded_key_of(row.held_desired, row.held_request);
    return RR_OK;
}

static enum errc gather_previous(struct run *run, struct decide_input *input, struct error *err)
{
    struct registry_row *rows;
    size_t count;
    enum errc code = control_registry_list(run->control, &run->arena, &rows, &count, err);
    for (size_t i = 0; i < count && !code; i++) /* oldest first: the newest stays */
        if (strcmp(rows[i].kind, "previous") == 0 && strcmp(rows[i].state, "kept") == 0 &&
            rows[i].exists)
            input->previous = recorded_key_of(rows[i].desired, rows[i].request);
    return code;
}

static enum errc gather_live(struct run *run, struct decide_input *input, struct error *err)
{
    enum errc code = run_refresh_live(run, err);
    if (code)
        return code;
    input->live = LIVE_ABSENT;
    if (!run->has_live)
        return RR_OK;
    enum database_content content;
    const char *why = NULL;
    code = database_look_inside(run->control, &run->arena, run->spec.database, &content, &why, err);
    if (code)
        return code;
    input->live = content == DATABASE_EMPTY          ? LIVE_EMPTY
                  : content == DATABASE_HOLDS_TABLES ? LIVE_HOLDS_TABLES
                                                     : LIVE_UNKNOWN;
    if (content == DATABASE_UNKNOWN)
        log_warn("the live database cannot be looked into: it counts as holding tables",
                 LOG_TEXT("cause", why));
    return RR_OK;
}

enum errc run_gather(struct run *run, struct decide_input *ret_input, struct error *err)
{
    STR_GUARD struct str reverts = STR_INIT(1024);
    struct decide_input input = {
        .database = run->spec.database,
        .key = run->values.key,
        .last_applied = run->values.last_applied,
        .last_applied_manager = run->view.applied_manager,
        .has_consent = run->values.has_consent,
        .journal = journal_for_decision(run),
        .on_revert = run->spec.on_revert,
        .reverts_last_hour = recent_reverts(run, &reverts),
    };
    /* What we wrote ourselves for another database is nobody's word about this one. */
    if (journal_get(&run->journal, J_TARGET)[0] && !input.journal.is_for_target &&
        input.journal.applied.exists &&
        state_time_is(&input.last_applied, input.journal.applied.desired))
        input.last_applied = (struct state_time){.kind = STATE_TIME_MISSING};
    enum errc code = gather_live(run, &input, err);
    if (code || (code = gather_history(run, &input, err)) ||
        (code = gather_previous(run, &input, err)))
        return code;
    *ret_input = input;
    return RR_OK;
}

/* --- acting on the decision
 * ------------------------------------------------------------------------- */

static void set_done(struct run *run)
{
    struct journal *j = &run->journal;
    run_take_target(run);
    journal_set(j, J_APPLIED, run->desired);
    journal_set(j, J_APPLIED_REQUEST, run->request);
}

static enum errc republish(struct run *run, const struct decision *decision, struct error *err)
{
    if (decision->warning == DECIDE_STATE_REVERTED) {
        STR_GUARD struct str reverts = STR_INIT(1024);
        unsigned count = recent_reverts(run, &reverts);
        str_printf(&reverts, "%s%" PRId64, count ? "," : "", clock_wall_s(run->options->clock));
        journal_set(&run->journal, J_REVERTS, str_text(&reverts));
    }
    set_done(run);
    enum errc code = run_publish(run, run->view.desired, err);
    if (code)
        return code;
    journal_set(&run->journal, J_PUBLISHED, "true");
    return journal_write(&run->journal, err);
}

static enum errc adopt(struct run *run, struct error *err)
{
    enum errc code =
        control_history_adopt(run->control, run->live.oid, run->desired, run->request, err);
    if (code)
        return code;
    set_done(run);
    journal_set(&run->journal, J_PUBLISHED, "true");
    return journal_write(&run->journal, err);
}

static enum errc hold(struct run *run, const struct decide_input *input, struct error *err)
{
    char text[RFC3339_SIZE] = "";
    if (input->history.key.exists)
        rfc3339_render(input->history.key.desired, text);
    run_take_target(run);
    journal_set(&run->journal, J_APPLIED, text);
    journal_set(&run->journal, J_APPLIED_REQUEST, input->history.key.request);
    journal_set(&run->journal, J_HELD, run->desired);
    journal_set(&run->journal, J_HELD_REQUEST, run->request);
    journal_set(&run->journal, J_PUBLISHED, "true");
    return journal_write(&run->journal, err);
}

static void conclude(struct run *run, enum outcome_result result, const char *reason,
                     const char *message)
{
    run->outcome.result = result;
    run->outcome.reason = reason;
    snprintf(run->outcome.message, sizeof run->outcome.message, "%s", message);
}

/* Pause and attempts; a run that does not try ends with the last failure's code. */
static enum errc check_attempts(struct run *run, struct error *err)
{
    struct decide_attempts attempts = run_attempts(run);
    struct attempt_decision verdict = decide_attempt(
        &attempts, &run->values.key, run->spec.max_attempts, clock_wall_s(run->options->clock));
    if (verdict.verdict == ATTEMPT_GO)
        return RR_OK;
    run->scheduled_exit = verdict.exit_code;
    const char *failure = journal_get(&run->journal, J_FAILURE),
               *text = journal_get(&run->journal, J_FAILURE_MESSAGE);
    if (verdict.verdict == ATTEMPT_WAIT)
        return error_set(err, verdict.code,
                         "attempt %" PRIu64 " of %u failed; the next one may begin in %" PRId64
                         " s; the failure: %s: %s",
                         attempts.count, run->spec.max_attempts, verdict.wait_s, failure, text);
    error_set(err, verdict.code,
              "given up after %" PRIu64 " of %u attempts; the last failure: %s: %s", attempts.count,
              run->spec.max_attempts, failure[0] ? failure : "Interrupted",
              text[0] ? text : "a run was cut off");
    return error_hint(
        err,
        "mend the cause, then set restoreRequest to a new value (or ask for another timestamp)");
}

static enum errc restore(struct run *run, struct error *err)
{
    enum errc code = check_attempts(run, err);
    if (code)
        return code;
    code = steps_run(run, STEP_PREFLIGHT, STEP_COLLECT, err);
    if (code && (code = run_handle_failure(run, err)))
        return code;
    STR_GUARD struct str message = STR_INIT(ERROR_TEXT_SIZE);
    str_printf(&message, "database '%s' is as it was at %s", run->spec.database, run->view.desired);
    if (journal_get(&run->journal, J_PREVIOUS)[0])
        str_printf(&message,
                   "; the replaced one is kept as '%s': undo with `restore-reconciler rollback`",
                   journal_get(&run->journal, J_PREVIOUS));
    conclude(run, OUTCOME_SUCCEEDED, errc_reason(RR_OK), str_text(&message));
    return run_finish(run, OUTCOME_SUCCEEDED, run->outcome.reason, run->outcome.message, err);
}

/* The journal shows no failure, refusal or interruption. */
static bool is_well(const struct run *run)
{
    const char *result = journal_get(&run->journal, J_RESULT);
    return strcmp(result, outcome_result_name(OUTCOME_SUCCEEDED)) == 0 ||
           strcmp(result, outcome_result_name(OUTCOME_ROLLED_BACK)) == 0;
}

/* Each time that a value is written back; what is left alone is told once. */
static void warn(struct run *run, const struct decision *decision)
{
    const char *reason = decide_warning_name(decision->warning);
    log_warn(decision->text, LOG_TEXT("reason", reason), LOG_TEXT("hint", decision->hint));
    if (decision->action == DECIDE_REPUBLISH || run_is_news(run, reason, NULL))
        run_tell(run, true, reason, "%s", decision->text);
}

/* Every end without a restore also collects what is due. */
static enum errc rest(struct run *run, const struct decision *decision,
                      const struct decide_input *input, struct error *err)
{
    enum errc code = RR_OK;
    const char *reason = "NothingToDo";
    enum outcome_result result = OUTCOME_NOTHING_TO_DO;
    if (decision->warning != DECIDE_NO_WARNING)
        warn(run, decision);
    if (decision->action == DECIDE_REPUBLISH)
        code = republish(run, decision, err);
    else if (decision->action == DECIDE_ADOPT)
        code = adopt(run, err);
    else if (decision->action == DECIDE_ROLLED_BACK && decision->needs_journal)
        code = hold(run, input, err);
    else if (decision->action == DECIDE_NOTHING && decision->needs_journal) {
        set_done(run);
        journal_set(&run->journal, J_PUBLISHED, "true");
    }
    if (code)
        return code;
    if (decision->warning != DECIDE_NO_WARNING)
        reason = decide_warning_name(decision->warning);
    else if (decision->action == DECIDE_ROLLED_BACK)
        reason = "RolledBack", result = OUTCOME_ROLLED_BACK;
    else if (decision->action == DECIDE_DRIFTED)
        reason = "Drifted";
    else if (decision->action == DECIDE_REPUBLISH)
        reason = "Republished";
    else if (decision->action == DECIDE_ADOPT)
        reason = "Adopted";
    if (run->recovered == RECOVERED_FINISHED && decision->action == DECIDE_NOTHING)
        conclude(run, OUTCOME_SUCCEEDED, "Succeeded", "what an earlier run began was finished");
    else
        conclude(run, result, reason, decision->text);
    bool is_quiet = decision->action == DECIDE_NOTHING && decision->warning == DECIDE_NO_WARNING;
    /* What was held by a failed smoke check stays a failure; everything else is well again. */
    if (decision->action != DECIDE_ROLLED_BACK && !(is_quiet && is_well(run))) {
        journal_set(&run->journal, J_RESULT, outcome_result_name(OUTCOME_SUCCEEDED));
        journal_set(&run->journal, J_REASON, reason);
        journal_set(&run->journal, J_MESSAGE, decision->text);
    }
    return collect_apply(run, err);
}

static enum errc act(struct run *run, struct error *err)
{
    struct decide_input input;
    enum errc code = run_gather(run, &input, err);
    if (code)
        return code;
    struct decision decision = decide(&input);
    log_info("decided", LOG_TEXT("action", decide_action_name(decision.action)),
             LOG_UINT("row", decision.row), LOG_TEXT("why", decision.text));
    run->was_live_empty = decision.rests_on_emptiness;
    if (decision.action == DECIDE_RESTORE)
        return restore(run, err);
    if (decision.action != DECIDE_REFUSE)
        return rest(run, &decision, &input, err);
    error_set(err, decision.code, "%s", decision.text);
    return decision.hint[0] ? error_hint(err, "%s", decision.hint) : err->code;
}

/* State and journal alone: no lock, no connection. What cannot be read or parsed is not said here
 * but on the long way, under the lock; except that the store is away, which has been waited for. */
static bool is_nothing_to_do(struct run *run, struct error *ret_away)
{
    struct error ignored = ERROR_INIT;
    run->is_quiet = true;
    enum errc code = run_read_state(run, &ignored);
    if (code == ERR_API)
        *ret_away = ignored;
    if (!code)
        code = run_parse_spec(run, run->view.spec_text, run->view.spec_first_line, &ignored);
    run->is_quiet = false;
    if (code || journal_get(&run->journal, J_UNDO)[0])
        return false;
    struct decide_journal journal = journal_for_decision(run);
    if (!decide_fast_path(&journal, &run->values.key, &run->values.last_applied))
        return false;
    /* A failure that is over (a key that was mended, a wish that was taken back) must not stand
     * there for ever. */
    return is_well(run) || key_equals_recorded(&run->values.key, &journal.held);
}

static void conclude_fast(struct run *run)
{
    bool is_held = key_equals_text(&run->values.key, journal_get(&run->journal, J_HELD),
                                   journal_get(&run->journal, J_HELD_REQUEST));
    if (is_held)
        conclude(run, OUTCOME_ROLLED_BACK, "RolledBack",
                 "this timestamp was rolled back and is not restored again");
    else
        conclude(run, OUTCOME_NOTHING_TO_DO, "NothingToDo", "what is asked for is what is there");
}

void run_execute(const struct run_options *options, struct outcome *ret_outcome)
{
    struct run run;
    struct error err = ERROR_INIT;
    run_begin(&run, options);
    if (is_nothing_to_do(&run, &err)) {
        conclude_fast(&run);
    } else if (err.code || run_open(&run, &err) || act(&run, &err)) {
        run_record_failure(&run, &err);
        if (run.scheduled_exit)
            run.outcome.exit_code = run.scheduled_exit;
    }
    run_tell_end(&run);
    *ret_outcome = run.outcome;
    run_end(&run);
}
