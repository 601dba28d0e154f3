/*
 * The user's own steps and checks: preSteps, postSteps, verify, smoke.
 *
 * An undo is in the journal before its effect: the list is written with the step's undo on it, then
 * the step runs. So a process that dies in between leaves an undo whose effect may not have
 * happened; the documentation asks for undos of statements that are harmless then, and objects of
 * the cluster are looked at before they are touched (application.h). Undos run backwards.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"
#include "lib/reconcile/undo.h"

static const char *database_of(const struct run *run, const struct spec_step *step)
{
    return step->sql_on == SPEC_ON_STAGING ? run->staging_name : run->spec.database;
}

static enum errc run_sql(struct run *run, enum step step, const char *database, const char *sql,
                         bool is_cancellable, struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    enum errc code = run_open_user_session(run, database, step_row(step)->deadline_s,
                                           is_cancellable, &conn, err);
    if (code)
        return code;
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    return conn_query_simple(conn, &arena, sql, &rows, err);
}

/* A statement of the user's that fails is a failure of the step, whatever the server called it. */
static enum errc step_failure(struct error *err)
{
    return err->code == ERR_CANCELLED || err->code == ERR_DATABASE_LOST
               ? err->code
               : error_recode(err, ERR_STEP);
}

static enum errc write_undos(struct run *run, const struct undo_list *list, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES / 2);
    undo_render(list, &text);
    enum errc code = str_check(&text, "the undo list", err);
    if (code)
        return code;
    journal_set(&run->journal, J_UNDO, str_text(&text));
    return journal_write(&run->journal, err);
}

/* --- preSteps
 * ------------------------------------------------------------------------------------------- */

/* Appends one undo to the list in the journal and writes it. */
static enum errc record_undo(struct run *run, size_t index, const char *sql, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct undo_list list = {0};
    struct undo entry = {.kind = UNDO_SQL, .pre_step = index, .sql = sql};
    enum errc code = undo_parse(&arena, journal_get(&run->journal, J_UNDO), &list, err);
    if (code)
        return code;
    undo_add(&arena, &list, &entry);
    return write_undos(run, &list, err);
}

static enum errc apply_sql_step(struct run *run, size_t index, const struct spec_step *step,
                                struct error *err)
{
    enum errc code;
    if (run->swap_kind == SWAP_ROLLBACK && step->sql_on == SPEC_ON_STAGING)
        return RR_OK; /* it prepares loaded data; a rollback brings back what was live */
    if (step->sql_on == SPEC_ON_LIVE && !run->has_live)
        return RR_OK;
    if (step->undo && step->undo[0] && (code = record_undo(run, index, step->undo, err)))
        return code;
    code = run_sql(run, STEP_PRE_STEPS, database_of(run, step), step->sql, true, err);
    return code ? step_failure(err) : RR_OK;
}

static enum errc apply_pre_step(struct run *run, size_t index, struct error *err)
{
    const struct spec_step *step = &run->spec.pre_steps[index];
    switch (step->kind) {
    case SPEC_STEP_SQL:
        return apply_sql_step(run, index, step, err);
    case SPEC_STEP_SCALE_DEPLOYMENTS:
        return application_scale_down(run, index, err);
    case SPEC_STEP_DISABLE_INGRESS:
        return application_disable_ingresses(run, index, err);
    case SPEC_STEP_ENABLE_INGRESS:
        break;
    }
    return error_set(err, ERR_BUG, "no step of preSteps");
}

enum errc pre_steps_apply(struct run *run, struct error *err)
{
    enum errc code = run_check_still_wanted(run, err);
    if (code || (code = control_fence_set_phase(run->control, "pre-steps", run->desired,
                                                run->request, err)))
        return code;
    for (size_t i = 0; i < run->spec.pre_step_count; i++) {
        if ((code = application_may_act(run, true, err)))
            return code;
        if (run->spec.pre_steps[i].kind == SPEC_STEP_SQL)
            application_note_off(run);
        if (apply_pre_step(run, i, err))
            return error_wrap(err, "preSteps[%zu]", i);
    }
    application_note_off(run);
    return RR_OK;
}

/* What a lost journal knew: the undos of today's preSteps, and what the run has marked. Statements
 * last, so that they are undone first: an application that comes back finds its database open. */
enum errc record_all_undos(struct run *run, struct error *err)
{
    struct undo_list list = {0};
    struct error own = ERROR_INIT;
    if (application_note_marked(run, &list, &own))
        log_warn("what the run took away in the cluster cannot be listed",
                 LOG_TEXT("cause", own.text), LOG_TEXT("hint", own.hint));
    for (size_t i = 0; i < run->spec.pre_step_count; i++) {
        const char *sql = run->spec.pre_steps[i].undo;
        struct undo entry = {.kind = UNDO_SQL, .pre_step = i, .sql = sql};
        if (sql && sql[0])
            undo_add(&run->arena, &list, &entry);
    }
    return write_undos(run, &list, err);
}

/* --- undo
 * -----------------------------------------------------------------------------------------------
 */

/* What the undos of one run come to. */
struct undoing {
    struct error *err;   /* the first failure */
    enum errc sql_code;  /* why statements cannot be run at all; RR_OK: they can */
    bool has_no_cluster; /* the lock or the API server is gone: the next run does it */
    size_t owed;
};

static void keep_failure(struct undoing *undoing, struct error *own, const char *what)
{
    log_error(own->text, LOG_TEXT("undo", what), LOG_TEXT("hint", own->hint));
    if (!undoing->err->code)
        *undoing->err = *own;
}

static void undo_statement(struct run *run, struct undo *entry, struct undoing *undoing)
{
    struct error own = ERROR_INIT;
    if (undoing->sql_code || !run->has_live) {
        undoing->owed++;
        return;
    }
    if (run_sql(run, STEP_PRE_STEPS, run->spec.database, entry->sql, false, &own)) {
        error_wrap(&own, "undo of preSteps");
        keep_failure(undoing, &own, entry->sql);
        return;
    }
    entry->is_done = true;
}

static void undo_object(struct run *run, struct undo *entry, struct undoing *undoing)
{
    struct error own = ERROR_INIT;
    if (undoing->has_no_cluster)
        return;
    enum errc code = application_bring_back(run, entry, &own);
    entry->is_done = code == RR_OK;
    if (!code)
        return;
    undoing->has_no_cluster = !application_may_go_on(code);
    error_wrap(&own, "undo of preSteps");
    keep_failure(undoing, &own, entry->name);
}

/* A database that is not there cannot be brought back, and must not keep anything else from being
 * put in order. Its statements stay in the journal, and are run when the database is there again.
 */
static void owe_undos(struct run *run, size_t count)
{
    log_error("the live database is missing: what preSteps took away in it is brought back when it "
              "is there again",
              LOG_TEXT("database", run->spec.database), LOG_UINT("undos", count));
    run->keeps_undo = true;
}

/* What was found out about the database before its statements are run. Only they wait for it. */
static void look_at_live(struct run *run, const struct undo_list *list, struct undoing *undoing)
{
    struct error own = ERROR_INIT;
    bool has_sql = false;
    for (size_t i = 0; i < list->count; i++)
        has_sql = has_sql || list->items[i].kind == UNDO_SQL;
    if (!has_sql)
        return;
    undoing->sql_code = run_refresh_live(run, &own);
    if (undoing->sql_code)
        keep_failure(undoing, &own, "statements");
}

/* All of them, backwards: one that fails must not keep the others from bringing their part of the
 * application back. Run twice they do no harm, so the list is written once, at the end. */
static void undo_all(struct run *run, struct undo_list *list, struct undoing *undoing)
{
    look_at_live(run, list, undoing);
    for (size_t i = list->count; i-- > 0;)
        if (list->items[i].kind == UNDO_SQL)
            undo_statement(run, &list->items[i], undoing);
        else
            undo_object(run, &list->items[i], undoing);
    if (undoing->owed && !undoing->sql_code)
        owe_undos(run, undoing->owed);
}

enum errc pre_steps_undo(struct run *run, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct undo_list list = {0};
    struct error own = ERROR_INIT;
    struct undoing undoing = {.err = err};
    enum errc code = undo_parse(&arena, journal_get(&run->journal, J_UNDO), &list, err);
    if (code || list.count == 0)
        return code;
    /* Somebody else's run has the lock: what is away is away for that one. */
    code = store_check_lock(run->store, 0, &own);
    if (code == ERR_FENCE_LOST) {
        *err = own;
        return code;
    }
    if (code) {
        keep_failure(&undoing, &own, "objects of the cluster");
        undoing.has_no_cluster = true;
    }
    undo_all(run, &list, &undoing);
    own = ERROR_INIT;
    if (write_undos(run, &list, &own) && !err->code)
        *err = own;
    if (err->code)
        return error_hint(
            err, "the application may still be away; the undo list stands in the journal and the "
                 "next run goes on with it");
    run->application_off_ms = 0;
    return RR_OK;
}

/* --- postSteps
 * ------------------------------------------------------------------------------------------ */

enum errc post_steps_check(struct run *run, bool *ret_is_done, struct error *err)
{
    (void)err;
    *ret_is_done = journal_count(&run->journal, J_POST_DONE) >= run->spec.post_step_count &&
                   journal_get(&run->journal, J_UNDO)[0] == '\0' && run->spec.post_step_count > 0;
    return RR_OK;
}

static enum errc apply_post_step(struct run *run, const struct spec_step *step, struct error *err)
{
    enum errc code;
    switch (step->kind) {
    case SPEC_STEP_SQL:
        /* A run that slept must not speak to an application that another run has brought back. */
        if ((code = application_may_act(run, false, err)) || (code = run_check_fence(run, err)))
            return code;
        code = run_sql(run, STEP_POST_STEPS, run->spec.database, step->sql, false, err);
        return code ? step_failure(err) : RR_OK;
    case SPEC_STEP_SCALE_DEPLOYMENTS:
        code = application_bring_all_back(run, APPLICATION_WORKLOADS, err);
        return code ? code : application_wait_ready(run, err);
    case SPEC_STEP_ENABLE_INGRESS:
        return application_bring_all_back(run, APPLICATION_INGRESSES, err);
    case SPEC_STEP_DISABLE_INGRESS:
        break;
    }
    return error_set(err, ERR_BUG, "no step of postSteps");
}

/* What no postStep has brought back: the steps of a run that is finished with today's configuration
 * may be others than those that took the application away. */
static enum errc bring_back_the_rest(struct run *run, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct undo_list list = {0};
    unsigned kinds = 0;
    enum errc code = undo_parse(&arena, journal_get(&run->journal, J_UNDO), &list, err);
    if (code)
        return code;
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].kind != UNDO_SQL)
            kinds |=
                list.items[i].kind == UNDO_SCALE ? APPLICATION_WORKLOADS : APPLICATION_INGRESSES;
    for (size_t i = 0; i < run->spec.post_step_count; i++)
        if (run->spec.post_steps[i].kind == SPEC_STEP_SCALE_DEPLOYMENTS)
            kinds &= ~(unsigned)APPLICATION_WORKLOADS;
        else if (run->spec.post_steps[i].kind == SPEC_STEP_ENABLE_INGRESS)
            kinds &= ~(unsigned)APPLICATION_INGRESSES;
    return kinds ? application_bring_all_back(run, kinds, err) : RR_OK;
}

static enum errc say_still_away(struct run *run, struct error *err)
{
    run->outcome.is_application_away = true;
    error_wrap(err, "the database is restored, but the application may still be away");
    return error_hint(err, "the next run tries this step again");
}

static void note_application_on(struct run *run)
{
    if (run->application_off_ms)
        run->outcome.downtime_ms = clock_boottime_ms(run->options->clock) - run->application_off_ms;
    run->application_off_ms = 0;
}

enum errc post_steps_apply(struct run *run, struct error *err)
{
    enum errc code = RR_OK;
    for (size_t i = journal_count(&run->journal, J_POST_DONE); i < run->spec.post_step_count; i++) {
        if (apply_post_step(run, &run->spec.post_steps[i], err)) {
            error_wrap(err, "postSteps[%zu]", i);
            return say_still_away(run, err);
        }
        journal_setf(&run->journal, J_POST_DONE, "%zu", i + 1);
        if ((code = journal_write(&run->journal, err)))
            return code;
    }
    if (bring_back_the_rest(run, err))
        return say_still_away(run, err);
    note_application_on(run);
    /* What the preSteps took away has been brought back by the postSteps; their undo has no more
     * use. */
    journal_set(&run->journal, J_UNDO, "");
    return journal_write(&run->journal, err);
}

/* --- checks
 * --------------------------------------------------------------------------------------------- */

static bool is_true(const struct rows *rows)
{
    if (rows->row_count != 1 || rows->column_count != 1)
        return false;
    const char *value = rows_get(rows, 0, 0);
    return value && (strcmp(value, "t") == 0 || strcmp(value, "true") == 0);
}

static enum errc check_one(struct conn *conn, const char *list, size_t index, const char *sql,
                           enum errc failure, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows = {0};
    enum errc code = conn_query_simple(conn, &arena, sql, &rows, err);
    if (code) {
        error_wrap(err, "%s[%zu]", list, index);
        return code == ERR_SQL ? error_recode(err, failure) : code;
    }
    if (is_true(&rows))
        return RR_OK;
    STR_GUARD struct str shown = STR_INIT(400);
    str_append_quoted(&shown, sql, 200);
    if (rows.row_count == 1 && rows.column_count == 1)
        return error_set(err, failure, "%s[%zu]: %s answered '%.60s' in place of true", list, index,
                         str_text(&shown), rows_get(&rows, 0, 0) ? rows_get(&rows, 0, 0) : "NULL");
    return error_set(err, failure,
                     "%s[%zu]: %s answered %zu rows of %zu columns in place of one true value",
                     list, index, str_text(&shown), rows.row_count, rows.column_count);
}

enum errc run_checks(struct run *run, const char *database, const char *list,
                     const struct spec_check *checks, size_t count, enum errc failure,
                     struct error *err)
{
    if (count == 0)
        return RR_OK;
    CONN_GUARD struct conn *conn = NULL;
    unsigned deadline_s = step_row(run->has_committed ? STEP_LOOK : STEP_VERIFY)->deadline_s;
    enum errc code =
        run_open_user_session(run, database, deadline_s, !run->has_committed, &conn, err);
    if (!code)
        code = conn_exec(conn, "SET default_transaction_read_only = on", err);
    for (size_t i = 0; i < count && !code; i++)
        code = check_one(conn, list, i, checks[i].sql, failure, err);
    return code;
}
