/*
 * The user's own steps and checks: preSteps, postSteps, verify, smoke.
 *
 * An undo is in the journal before its effect: the list is written with the step's undo on it, then
 * the step runs. So a process that dies in between leaves an undo whose effect may not have
 * happened; the documentation asks for undos that are harmless then. Undos run backwards, and one
 * leaves the list when it has run.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/codec/json.h"
#include "lib/reconcile/run.h"

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

/* Appends one undo to the list in the journal and writes it. */
static enum errc record_undo(struct run *run, size_t index, const char *sql, struct error *err)
{
    const char *old = journal_get(&run->journal, J_UNDO);
    size_t length = strlen(old);
    STR_GUARD struct str list = STR_INIT(LIMIT_JOURNAL_BYTES / 2);
    if (length > 2) /* "[...]" without its end */
        str_append_bytes(&list, old, length - 1);
    str_append(&list, length > 2 ? "," : "[");
    str_printf(&list, "{\"preStep\":\"%zu\",\"sql\":", index);
    str_append_json(&list, sql);
    str_append(&list, "}]");
    enum errc code = str_check(&list, "the undo list", err);
    if (code)
        return code;
    journal_set(&run->journal, J_UNDO, str_text(&list));
    return journal_write(&run->journal, err);
}

enum errc pre_steps_apply(struct run *run, struct error *err)
{
    enum errc code = run_check_still_wanted(run, err);
    if (code || (code = control_fence_set_phase(run->control, "pre-steps", run->desired,
                                                run->request, err)))
        return code;
    run->application_off_ms = clock_boottime_ms(run->options->clock);
    for (size_t i = 0; i < run->spec.pre_step_count && !code; i++) {
        const struct spec_step *step = &run->spec.pre_steps[i];
        if (run->swap_kind == SWAP_ROLLBACK && step->sql_on == SPEC_ON_STAGING)
            continue; /* it prepares loaded data; a rollback brings back what was live */
        if ((code = cancel_check(run->options->cancel, err)))
            break;
        if (step->sql_on == SPEC_ON_LIVE && !run->has_live)
            continue;
        if (step->undo && step->undo[0] && (code = record_undo(run, i, step->undo, err)))
            break;
        code = run_sql(run, STEP_PRE_STEPS, database_of(run, step), step->sql, true, err);
        if (code)
            error_wrap(err, "preSteps[%zu]", i);
    }
    if (code && code != ERR_CANCELLED && code != ERR_DATABASE_LOST)
        error_recode(err, ERR_STEP);
    return code ? err->code : RR_OK;
}

/* The undo list of the journal, first to last, in the arena. */
static enum errc parse_undo(struct run *run, struct arena *arena, const char ***ret_sql,
                            size_t *ret_count, struct error *err)
{
    const char *text = journal_get(&run->journal, J_UNDO);
    *ret_count = 0;
    if (!text[0])
        return RR_OK;
    JSON_GUARD struct json_document *document = NULL;
    if (json_parse(text, strlen(text), "journal key 'undo'", &document, err))
        return error_recode(err, ERR_JOURNAL_CORRUPT);
    size_t count = 0;
    for (const struct json *item = json_first(json_root(document)); item; item = json_next(item))
        count++;
    *ret_sql = arena_array(arena, count, sizeof **ret_sql);
    for (const struct json *item = json_first(json_root(document)); item; item = json_next(item)) {
        const char *sql = json_get_text(item, "sql");
        if (!sql)
            return error_set(err, ERR_JOURNAL_CORRUPT,
                             "journal key 'undo' holds an entry without 'sql'");
        (*ret_sql)[(*ret_count)++] = arena_strdup(arena, sql);
    }
    return RR_OK;
}

enum errc record_all_undos(struct run *run, struct error *err)
{
    enum errc code = RR_OK;
    journal_set(&run->journal, J_UNDO, "");
    for (size_t i = 0; i < run->spec.pre_step_count && !code; i++)
        if (run->spec.pre_steps[i].undo && run->spec.pre_steps[i].undo[0])
            code = record_undo(run, i, run->spec.pre_steps[i].undo, err);
    return code;
}

/* Writes back what is still to be undone. */
static enum errc keep_undos(struct run *run, const char *const *sql, size_t count,
                            struct error *err)
{
    STR_GUARD struct str list = STR_INIT(LIMIT_JOURNAL_BYTES / 2);
    for (size_t i = 0; i < count; i++) {
        if (!sql[i])
            continue;
        str_append(&list, list.length ? ",{\"sql\":" : "[{\"sql\":");
        str_append_json(&list, sql[i]);
        str_append_char(&list, '}');
    }
    if (list.length)
        str_append_char(&list, ']');
    journal_set(&run->journal, J_UNDO, str_text(&list));
    return journal_write(&run->journal, err);
}

/* A database that is not there cannot be brought back, and must not keep anything else from being
 * put in order. The list stays in the journal, and is run when the database is there again. */
static enum errc owe_undos(struct run *run, size_t count)
{
    log_error("the live database is missing: what preSteps took away is brought back when it is "
              "there again",
              LOG_TEXT("database", run->spec.database), LOG_UINT("undos", count));
    run->keeps_undo = true;
    return RR_OK;
}

/* All of them, backwards: one that fails must not keep the others from bringing their part of the
 * application back. Run twice they do no harm, so the list is written once, at the end. */
enum errc pre_steps_undo(struct run *run, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    const char **sql = NULL;
    size_t count = 0;
    enum errc code = parse_undo(run, &arena, &sql, &count, err);
    if (code || count == 0)
        return code;
    if ((code = run_refresh_live(run, err)))
        return code;
    if (!run->has_live)
        return owe_undos(run, count);
    for (size_t i = count; i-- > 0;) {
        struct error own = ERROR_INIT;
        if (run_sql(run, STEP_PRE_STEPS, run->spec.database, sql[i], false, &own)) {
            error_wrap(&own, "undo of preSteps");
            log_error(own.text, LOG_TEXT("sql", sql[i]));
            if (!err->code)
                *err = own;
        } else {
            sql[i] = NULL;
        }
    }
    struct error own = ERROR_INIT;
    if (keep_undos(run, sql, count, &own) && !err->code)
        *err = own;
    if (err->code)
        return error_hint(
            err, "the application may still be away; the undo list stands in the journal and the "
                 "next run goes on with it");
    run->application_off_ms = 0;
    return RR_OK;
}

enum errc post_steps_check(struct run *run, bool *ret_is_done, struct error *err)
{
    (void)err;
    *ret_is_done = journal_count(&run->journal, J_POST_DONE) >= run->spec.post_step_count &&
                   journal_get(&run->journal, J_UNDO)[0] == '\0' && run->spec.post_step_count > 0;
    return RR_OK;
}

enum errc post_steps_apply(struct run *run, struct error *err)
{
    enum errc code = RR_OK;
    for (size_t i = journal_count(&run->journal, J_POST_DONE); i < run->spec.post_step_count; i++) {
        if ((code = run_sql(run, STEP_POST_STEPS, run->spec.database, run->spec.post_steps[i].sql,
                            false, err))) {
            error_wrap(err, "postSteps[%zu]", i);
            if (code != ERR_DATABASE_LOST)
                error_recode(err, ERR_STEP);
            return error_hint(
                err, "the database is restored, but the application may still be away: the next "
                     "run tries this step again");
        }
        journal_setf(&run->journal, J_POST_DONE, "%zu", i + 1);
        if ((code = journal_write(&run->journal, err)))
            return code;
    }
    if (run->application_off_ms)
        run->outcome.downtime_ms = clock_boottime_ms(run->options->clock) - run->application_off_ms;
    run->application_off_ms = 0;
    /* What the preSteps took away has been brought back by the postSteps; their undo has no more
     * use. */
    journal_set(&run->journal, J_UNDO, "");
    return journal_write(&run->journal, err);
}

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
