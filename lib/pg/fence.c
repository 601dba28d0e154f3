/*
 * Lock and fence of one target.
 *
 * The advisory lock says who works; PostgreSQL gives it up with the session. The fence row says who
 * may write: its token grows with every holder, and what must not be done by a stale one checks
 * token and run id in its own transaction. The order lock, fence, history settles what became of a
 * run that was cut off in its COMMIT: its backend keeps the lock while it waits for a standby, even
 * after its client is gone; the fence row stays locked until its transaction has ended; and only
 * then does the history say whether it swapped.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/pg/control_internal.h"

enum { END_HOLDER_MS = 10 * 1000, FENCE_WAIT_S = 60 };

#define LOCK_KEYS CONTROL_LOCK_CLASS ", pg_catalog.hashtext($1)"

static enum errc try_lock(struct conn *conn, const char *target, bool *ret_is_held,
                          struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const char *params[] = {target};
    enum errc rc = conn_query(conn, &arena, "SELECT pg_catalog.pg_try_advisory_lock(" LOCK_KEYS ")",
                              params, 1, &rows, err);
    if (!rc)
        *ret_is_held = *rows_get(&rows, 0, 0) == 't';
    return rc;
}

/* Whoever holds the lock, and whether it is to be ended: silent for too long, or a former session
 * of this very run, which has no client any more. Not the holder for another state: what it does is
 * not ours to judge, and its server ends it by itself when its client is gone. */
static const char find_holder[] =
    "SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.usename, ''),"
    " coalesce(" CONTROL_RFC3339(
        "a.backend_start") ", ''), coalesce(a.client_addr::text, 'local'),"
                           " coalesce(floor(extract(epoch FROM now() - a.state_change))::bigint, "
                           "0),"
                           " a.application_name = $4 OR (coalesce(a.state_change < now() - "
                           "make_interval(secs => $2::float8), false)"
                           "  AND NOT EXISTS (SELECT FROM restore_reconciler.fence f WHERE "
                           "f.target = $1 AND f.state_ref <> $3))"
                           " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING "
                           "(pid)"
                           " WHERE l.locktype = 'advisory' AND l.classid = " CONTROL_LOCK_CLASS
                           " AND l.objid = " CONTROL_LOCK_OBJECT(
                               "$1") " AND l.objsubid = 2 AND l.granted"
                                     " AND l.database = (SELECT oid FROM pg_catalog.pg_database "
                                     "WHERE datname = current_database())"
                                     " AND l.pid <> pg_catalog.pg_backend_pid()";

static const char *describe_holder(struct arena *arena, const struct rows *rows)
{
    if (rows->row_count == 0)
        return "a session that has just ended";
    STR_GUARD struct str text = STR_INIT(1024);
    str_append_quoted(&text, rows_get(rows, 0, 1), 100);
    str_append(&text, " (role ");
    str_append_quoted(&text, rows_get(rows, 0, 2), 63);
    str_printf(&text, ", pid %s, from %s, since %s, last heard of %s s ago)", rows_get(rows, 0, 0),
               rows_get(rows, 0, 4), rows_get(rows, 0, 3), rows_get(rows, 0, 5));
    return arena_strdup(arena, str_text(&text));
}

/* Looks who holds the lock and ends the dead. *ret_has_ended: the lock may be free now. */
static enum errc end_dead_holders(struct control *control, struct conn *conn, struct arena *arena,
                                  bool *ret_has_ended, const char **ret_holder, struct error *err)
{
    struct rows rows;
    const struct control_options *options = &control->options;
    const char *params[] = {options->target, control_int(arena, (int64_t)options->silent_holder_s),
                            options->state_ref, control->application_name};
    enum errc rc = conn_query(conn, arena, find_holder, params, 4, &rows, err);
    if (rc)
        return rc;
    *ret_holder = describe_holder(arena, &rows);
    *ret_has_ended = rows.row_count == 0;
    for (size_t i = 0; i < rows.row_count; i++)
        if (*rows_get(&rows, i, 6) == 't') {
            log_debug("ending a silent holder of the database lock",
                      LOG_TEXT("holder", *ret_holder));
            *ret_has_ended |= control_end_backend(conn, rows_get(&rows, i, 0), END_HOLDER_MS);
        }
    return RR_OK;
}

enum errc control_lock(struct control *control, struct arena *arena, bool *ret_is_held,
                       const char **ret_holder, struct error *err)
{
    struct conn *conn = control_conn_take(control, err);
    if (!conn)
        return err->code;
    conn_set_cancel(conn, control->options.cancel);
    bool is_held = false, has_ended = true;
    const char *holder = "";
    enum errc rc = RR_OK;
    for (int attempt = 0; attempt < 3 && has_ended && !is_held && !rc; attempt++) {
        has_ended = false;
        rc = try_lock(conn, control->options.target, &is_held, err);
        if (!rc && !is_held)
            rc = end_dead_holders(control, conn, arena, &has_ended, &holder, err);
    }
    conn_set_cancel(conn, NULL);
    control_conn_give(control);
    if (rc)
        return rc == ERR_SQL ? error_recode(err, ERR_CONTROL_DATABASE) : rc;
    *ret_is_held = is_held;
    *ret_holder = holder;
    if (is_held)
        control_heart_start(control);
    return RR_OK;
}

/*
 * --- fence -------------------------------------------------------------------------------------
 */

static const char read_fence[] = "SELECT token, run_id, recovering, phase, state_ref"
                                 " FROM restore_reconciler.fence WHERE target = $1";

enum { FENCE_TOKEN, FENCE_RUN_ID, FENCE_RECOVERING, FENCE_PHASE, FENCE_STATE_REF };

static enum errc refuse_foreign(const struct control *control, const char *owner, struct error *err)
{
    STR_GUARD struct str target = STR_INIT(512), ref = STR_INIT(512);
    str_append_quoted(&target, control->options.target, 63);
    str_append_quoted(&ref, owner, 200);
    error_set(err, ERR_FOREIGN_STATE, "database %s is managed by another state, %s",
              str_text(&target), str_text(&ref));
    return error_hint(
        err,
        "two states must not manage one database; if the other one is gone for good, add "
        "takeOver: %s to this state",
        str_text(&ref));
}

/* Within the transaction: the row as it is, locked. Waits while a swap of the run before us is
 * still open. */
static enum errc lock_row(struct conn *conn, struct arena *arena, const char *target,
                          struct rows *ret_rows, struct error *err)
{
    const char *params[] = {target};
    const char *sql = arena_printf(arena, "%s FOR UPDATE", read_fence);
    enum errc rc = conn_query(conn, arena, sql, params, 1, ret_rows, err);
    if (rc != ERR_SQL || strcmp(err->sqlstate, "55P03") != 0)
        return rc;
    error_recode(err, ERR_TIMEOUT);
    error_hint(
        err,
        "look in pg_stat_activity for an old session 'restore-reconciler/...' of this database "
        "and end it with pg_terminate_backend(pid)");
    return error_wrap(err, "an earlier run still holds the fence row after %d s", FENCE_WAIT_S);
}

/* A run that took the fence and was not cleared stays in `recovering`, however many runs take the
 * fence after it and die before they have recovered it. */
static const char bump_fence[] =
    "INSERT INTO restore_reconciler.fence AS f"
    " (target, token, run_id, state_ref, phase, desired, request, updated_at)"
    " VALUES ($1, 1, $2, $3, '', '', '', now())"
    " ON CONFLICT (target) DO UPDATE SET token = f.token + 1, recovering = coalesce(f.recovering, "
    "f.run_id),"
    "  run_id = excluded.run_id, state_ref = excluded.state_ref, updated_at = now()"
    " RETURNING f.token, f.run_id, f.recovering, f.phase, f.state_ref";

static enum errc bump(const struct control *control, struct conn *conn, struct arena *arena,
                      const char *take_over, struct fence *ret_fence, struct error *err)
{
    struct rows rows;
    const struct control_options *options = &control->options;
    enum errc rc = lock_row(conn, arena, options->target, &rows, err);
    if (rc)
        return rc;
    const char *owner = rows.row_count ? rows_get(&rows, 0, FENCE_STATE_REF) : options->state_ref;
    if (!text_equal(owner, options->state_ref) && !text_equal(owner, take_over))
        return refuse_foreign(control, owner, err);
    const char *params[] = {options->target, options->run_id, options->state_ref};
    rc = conn_query(conn, arena, bump_fence, params, 3, &rows, err);
    if (rc)
        return rc;
    *ret_fence = (struct fence){
        .token = control_to_int(rows_get(&rows, 0, FENCE_TOKEN)),
        .displaced = rows_get(&rows, 0, FENCE_RECOVERING),
        .phase = rows_get(&rows, 0, FENCE_PHASE),
        .state_ref = owner,
    };
    return RR_OK;
}

enum errc control_fence_take(struct control *control, struct arena *arena, const char *take_over,
                             struct fence *ret_fence, struct error *err)
{
    struct conn *conn = control_conn_take(control, err);
    if (!conn)
        return err->code;
    struct fence fence = {0};
    conn_set_cancel(conn, control->options.cancel);
    enum errc rc = conn_execf(
        conn, err, "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '%ds'",
        FENCE_WAIT_S);
    if (!rc)
        rc = bump(control, conn, arena, take_over, &fence, err);
    if (!rc)
        rc = conn_exec(conn, "COMMIT", err);
    if (rc)
        control_roll_back(conn);
    conn_set_cancel(conn, NULL);
    if (!rc) {
        control->token = fence.token;
        *ret_fence = fence;
    }
    control_conn_give(control);
    return rc == ERR_SQL ? error_recode(err, ERR_CONTROL_DATABASE) : rc;
}

enum errc control_fence_read(struct control *control, struct arena *arena, struct fence *ret_fence,
                             const char **ret_run_id, bool *ret_is_found, struct error *err)
{
    struct rows rows;
    const char *params[] = {control->options.target};
    *ret_is_found = false;
    if (!control->has_tables)
        return RR_OK;
    enum errc rc = control_query(control, arena, read_fence, params, 1, &rows, err);
    if (rc)
        return rc;
    *ret_is_found = rows.row_count == 1;
    if (!*ret_is_found)
        return RR_OK;
    *ret_run_id = rows_get(&rows, 0, FENCE_RUN_ID);
    *ret_fence = (struct fence){
        .token = control_to_int(rows_get(&rows, 0, FENCE_TOKEN)),
        .displaced = rows_get(&rows, 0, FENCE_RECOVERING),
        .phase = rows_get(&rows, 0, FENCE_PHASE),
        .state_ref = rows_get(&rows, 0, FENCE_STATE_REF),
    };
    return RR_OK;
}

enum errc control_fence_lost(struct error *err)
{
    error_set(err, ERR_FENCE_LOST, "another run has taken over the database lock");
    return error_hint(err, "the next run goes on from what the database says");
}

/* Runs `set` on the fence row if it is still ours. */
static enum errc update_fence(struct control *control, const char *set, const char *const texts[3],
                              struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const struct control_options *options = &control->options;
    const char *params[] = {options->target, control_int(&arena, control->token),
                            options->run_id, texts[0],
                            texts[1],        texts[2]};
    const char *sql = arena_printf(&arena,
                                   "UPDATE restore_reconciler.fence SET updated_at = now(), %s"
                                   " WHERE target = $1 AND token = $2::bigint AND run_id = $3"
                                   " RETURNING 1",
                                   set);
    enum errc rc = control_query(control, &arena, sql, params, 6, &rows, err);
    if (rc || rows.row_count == 1)
        return rc;
    return control_fence_lost(err);
}

enum errc control_fence_set_phase(struct control *control, const char *phase, const char *desired,
                                  const char *request, struct error *err)
{
    const char *texts[] = {phase, desired, request};
    return update_fence(control, "phase = $4, desired = $5, request = $6", texts, err);
}

enum errc control_fence_clear(struct control *control, struct error *err)
{
    const char *texts[] = {"", "", ""};
    return update_fence(control, "recovering = NULL, phase = $4, desired = $5, request = $6", texts,
                        err);
}

enum errc control_check(struct control *control, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const struct control_options *options = &control->options;
    const char *params[] = {options->target, control_int(&arena, control->token), options->run_id};
    enum errc rc = control_query(
        control, &arena,
        "SELECT 1 FROM restore_reconciler.fence WHERE target = $1 AND token = $2::bigint AND "
        "run_id = $3"
        " AND EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted"
        "  AND pid = pg_catalog.pg_backend_pid() AND objsubid = 2 AND classid = " CONTROL_LOCK_CLASS
        "  AND objid = " CONTROL_LOCK_OBJECT("$1") ")",
        params, 3, &rows, err);
    if (rc || rows.row_count == 1)
        return rc;
    return control_fence_lost(err);
}
