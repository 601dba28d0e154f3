/*
 * The swap. RENAME locks the name of a database against everybody, and waits (five seconds at most)
 * until no session is left in it. So all of it goes to the server as one message from BEGIN to
 * COMMIT: a client that is frozen or cut off in between would otherwise keep every new connection
 * to both databases waiting. While the server works on it, a second session, opened before, ends
 * the sessions of both databases; the application reconnects at once, and waits for the lock.
 * Nobody is shut out by a committed statement, so there is nothing to undo when it fails.
 *
 * Only the message itself decides: fence, lock, names, oids and validity are checked inside its
 * transaction.
 */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/pg/comment.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/database.h"
#include "lib/pg/sessions.h"
#include "lib/pg/sql.h"

enum {
    SWAP_TRIES = 3,
    PAUSE_MS = 300,
    END_SESSIONS_EVERY_MS = 20,
    KILLER_LIMIT_MS = 5000,
    /* The statements bound themselves (lock and statement timeout); the COMMIT may wait for a
     * synchronous standby for ever. After this it is asked to stop waiting, and then counts, with a
     * warning. */
    MESSAGE_LIMIT_MS = 45 * 1000,
};

/* What one swap needs on its way. */
struct work {
    struct control *control;
    struct conn *conn, *killer;
    struct arena *arena;
    const struct swap *swap;
    const char *live_name, *previous_name; /* previous NULL when live is absent */
    const char *now;                       /* the server's */
    bool opens_to_public;
    struct sessions *sessions;
    struct str message;
};

static const char *literal(struct work *w, const char *text)
{
    return sql_literal(w->arena, text ? text : "");
}

static const char *identifier(struct work *w, const char *name)
{
    return sql_identifier(w->arena, name);
}

/*
 * --- before ------------------------------------------------------------------------------------
 */

/* One run may swap twice (a smoke check fails, and it swaps back): the second name gets a number
 * into its hash. */
static enum errc choose_previous_name(struct work *w, struct error *err)
{
    for (unsigned i = 1;; i++) {
        const char *run_id = w->control->options.run_id;
        const char *key = i == 1 ? run_id : arena_printf(w->arena, "%s/%u", run_id, i);
        const char *name = sql_own_database_name(w->arena, w->live_name, 'p', key);
        const char *params[] = {name};
        struct rows rows;
        enum errc rc =
            conn_query(w->conn, w->arena,
                       "SELECT 1 FROM pg_catalog.pg_database WHERE datname::text = $1 UNION ALL"
                       " SELECT 1 FROM restore_reconciler.database WHERE name = $1",
                       params, 1, &rows, err);
        if (rc)
            return rc;
        if (rows.row_count == 0) {
            w->previous_name = name;
            return RR_OK;
        }
    }
}

/* Where there was no live database there are no grants to carry over, and staging was closed to
 * PUBLIC: it is opened as CREATE DATABASE would have left it, unless somebody else was granted
 * something (the archive did so). */
static enum errc look_at_staging(struct work *w, struct error *err)
{
    struct rows rows;
    const char *params[] = {control_int(w->arena, w->swap->staging_oid)};
    enum errc rc = conn_query(
        w->conn, w->arena,
        "SELECT " CONTROL_RFC3339("now()") ", coalesce((SELECT bool_and(a.grantee = d.datdba)"
                                           " FROM pg_catalog.pg_database d, aclexplode(d.datacl) a "
                                           "WHERE d.oid = $1::oid), false)",
        params, 1, &rows, err);
    if (rc)
        return rc;
    w->now = rows_get(&rows, 0, 0);
    w->opens_to_public = !w->swap->live && *rows_get(&rows, 0, 1) == 't';
    return RR_OK;
}

static enum errc prepare(struct work *w, struct error *err)
{
    enum errc rc = control_helper_open(w->control, &w->killer, err);
    if (rc || (rc = look_at_staging(w, err)) ||
        (w->swap->live && (rc = choose_previous_name(w, err))))
        return rc;
    conn_set_limit_ms(w->killer, KILLER_LIMIT_MS);
    struct sessions *s = arena_alloc(w->arena, sizeof *s);
    s->conn = w->killer;
    s->databases[0] = w->swap->staging_name;
    s->databases[1] = w->live_name;
    s->for_pid = conn_backend_pid(w->conn);
    s->in_the_way = STR_INIT(500);
    w->sessions = s;
    sessions_end(s); /* ends nobody yet: the first use of a session's caches is the slow one */
    return RR_OK;
}

/*
 * --- the message -------------------------------------------------------------------------------
 */

static void add_block(struct work *w, const char *body)
{
    str_printf(&w->message, "DO %s; ", sql_literal(w->arena, body));
}

static void add_begin(struct work *w)
{
    str_append(&w->message,
               "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '8s'; "
               "SET LOCAL statement_timeout = '30s'; SET LOCAL synchronous_commit = on; ");
}

static void add_fence_check(struct work *w)
{
    const char *target = literal(w, w->live_name);
    add_block(w,
              arena_printf(
                  w->arena,
                  "BEGIN PERFORM 1 FROM restore_reconciler.fence WHERE target = %s AND token = %lld"
                  " AND run_id = %s FOR UPDATE;"
                  " IF NOT FOUND THEN RAISE EXCEPTION 'fence lost' USING ERRCODE = 'RR001'; END IF;"
                  " PERFORM 1 FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted"
                  " AND pid = pg_catalog.pg_backend_pid() AND objsubid = 2 AND classid "
                  "= " CONTROL_LOCK_CLASS
                  " AND objid = (pg_catalog.hashtext(%s)::bigint & 4294967295)::oid;"
                  " IF NOT FOUND THEN RAISE EXCEPTION 'database lock lost' USING ERRCODE = "
                  "'RR002'; END IF; END",
                  target, (long long)w->control->token, literal(w, w->control->options.run_id),
                  target));
}

/* Only what the registry has, under this name and oid, in the state that it must be in. */
static void add_registry_check(struct work *w)
{
    const char *states =
        w->swap->kind == SWAP_ROLLBACK ? "kind = 'previous' AND state = 'kept'" : "state = 'ready'";
    add_block(w, arena_printf(w->arena,
                              "BEGIN DELETE FROM restore_reconciler.database WHERE name = %s AND "
                              "oid = %u AND target = %s"
                              " AND %s; IF NOT FOUND THEN RAISE EXCEPTION 'the registry does not "
                              "have the database that is"
                              " to become live' USING ERRCODE = 'RR003'; END IF; END",
                              literal(w, w->swap->staging_name), w->swap->staging_oid,
                              literal(w, w->live_name), states));
}

static void add_renames(struct work *w)
{
    const char *live = identifier(w, w->live_name);
    if (w->previous_name)
        str_printf(&w->message, "ALTER DATABASE %s RENAME TO %s; ", live,
                   identifier(w, w->previous_name));
    str_printf(&w->message, "ALTER DATABASE %s RENAME TO %s; ",
               identifier(w, w->swap->staging_name), live);
}

/* An invalid database, left by a DROP that was cut off, can be renamed but never used. */
static void add_oid_check(struct work *w)
{
    const char *previous = "";
    if (w->previous_name)
        previous =
            arena_printf(w->arena,
                         " AND EXISTS (SELECT FROM pg_catalog.pg_database p WHERE p.datname = %s"
                         " AND p.oid = %u AND p.datconnlimit <> -2)",
                         literal(w, w->previous_name), w->swap->live->oid);
    add_block(
        w,
        arena_printf(
            w->arena,
            "BEGIN PERFORM 1 FROM pg_catalog.pg_database n WHERE n.datname = %s AND n.oid = %u"
            " AND n.datconnlimit <> -2%s;"
            " IF NOT FOUND THEN RAISE EXCEPTION 'the databases are not those that were looked at'"
            " USING ERRCODE = 'RR003'; END IF; END",
            literal(w, w->live_name), w->swap->staging_oid, previous));
}

static void add_carry_over(struct work *w)
{
    const struct carry_over *plan = w->swap->carry_over;
    for (size_t i = 0; plan && i < plan->count; i++)
        if (!plan->is_left_out[i])
            str_printf(&w->message, "%s; ", plan->statements[i]);
    const char *live = identifier(w, w->live_name);
    if (w->opens_to_public)
        str_printf(&w->message, "GRANT CONNECT, TEMPORARY ON DATABASE %s TO PUBLIC; ", live);
    str_printf(&w->message, "ALTER DATABASE %s ALLOW_CONNECTIONS true; ", live);
    if (w->previous_name)
        str_printf(&w->message, "ALTER DATABASE %s ALLOW_CONNECTIONS false; ",
                   identifier(w, w->previous_name));
}

static const char *live_line(struct work *w)
{
    const struct swap *swap = w->swap;
    const char *what = swap->backup && *swap->backup ? swap->backup
                       : swap->desired && *swap->desired
                           ? arena_printf(w->arena, "the backup of %s", swap->desired)
                           : "what was live before";
    return arena_printf(w->arena, "%s %s at %s",
                        swap->kind == SWAP_ROLLBACK ? "rolled back to" : "restored from", what,
                        w->now);
}

static void add_comments(struct work *w)
{
    const char *text = w->swap->carry_over ? w->swap->carry_over->user_comment : NULL;
    if (!text)
        text = "";
    str_printf(&w->message, "COMMENT ON DATABASE %s IS %s; ", identifier(w, w->live_name),
               literal(w, comment_compose(w->arena, text, live_line(w))));
    if (!w->previous_name)
        return;
    const char *line = arena_printf(
        w->arena, "replaced at %s, kept %s", w->now,
        w->swap->never_expires ? "until it is dropped by hand"
                               : arena_printf(w->arena, "for %llu s at least",
                                              (unsigned long long)w->swap->keep_previous_s));
    str_printf(&w->message, "COMMENT ON DATABASE %s IS %s; ", identifier(w, w->previous_name),
               literal(w, comment_compose(w->arena, text, line)));
}

/* Whether we made the replaced database, and the key of its data, are taken from the history before
 * the new row. */
static void add_previous_row(struct work *w)
{
    if (!w->previous_name)
        return;
    const char *of_live =
        arena_printf(w->arena,
                     "FROM restore_reconciler.history h WHERE h.target = %s AND h.new_oid = %u"
                     " AND h.system_id = " CONTROL_SYSTEM_ID,
                     literal(w, w->live_name), w->swap->live->oid);
    const char *expires = w->swap->never_expires
                              ? "NULL"
                              : arena_printf(w->arena, "now() + make_interval(secs => %llu)",
                                             (unsigned long long)w->swap->keep_previous_s);
    str_printf(&w->message,
               "INSERT INTO restore_reconciler.database (name, oid, target, kind, run_id, state, "
               "desired, request,"
               " made_by_us, created_at, expires_at) SELECT %s, %u, %s, 'previous', %s, 'kept',"
               " coalesce((SELECT h.desired %s ORDER BY h.seq DESC LIMIT 1), ''),"
               " coalesce((SELECT h.request %s ORDER BY h.seq DESC LIMIT 1), ''),"
               " EXISTS (SELECT %s AND h.kind IN ('restore', 'job')), now(), %s; ",
               literal(w, w->previous_name), w->swap->live->oid, literal(w, w->live_name),
               literal(w, w->control->options.run_id), of_live, of_live, of_live, expires);
}

static void add_history(struct work *w)
{
    const struct swap *s = w->swap;
    const char *started = s->started_at && *s->started_at ? literal(w, s->started_at) : "now()";
    str_printf(&w->message,
               "INSERT INTO restore_reconciler.history (kind, target, desired, request, "
               "held_desired, held_request,"
               " state_ref, run_id, system_id, old_oid, new_oid, backup, size_bytes, checksum, "
               "started_at, finished_at)"
               " SELECT %s, %s, %s, %s, %s, %s, %s, %s, " CONTROL_SYSTEM_ID
               ", %u, %u, %s, %lld, %s, %s, clock_timestamp(); ",
               s->kind == SWAP_ROLLBACK ? "'rollback'" : "'restore'", literal(w, w->live_name),
               literal(w, s->desired), literal(w, s->request), literal(w, s->held_desired),
               literal(w, s->held_request), literal(w, w->control->options.state_ref),
               literal(w, w->control->options.run_id), s->live ? s->live->oid : 0, s->staging_oid,
               literal(w, s->backup), (long long)s->size_bytes, literal(w, s->checksum), started);
}

static enum errc compose(struct work *w, struct error *err)
{
    add_begin(w);
    add_fence_check(w);
    add_registry_check(w);
    add_renames(w);
    add_oid_check(w);
    add_carry_over(w);
    add_comments(w);
    add_previous_row(w);
    add_history(w);
    str_printf(&w->message,
               "UPDATE restore_reconciler.fence SET phase = 'swapped', updated_at = now() WHERE "
               "target = %s; ",
               literal(w, w->live_name));
    str_append(&w->message, "COMMIT");
    return str_check(&w->message, "the swap's message", err);
}

/*
 * --- sending it --------------------------------------------------------------------------------
 */

static bool has_state(const struct error *error, const char *const states[])
{
    for (; *states; states++)
        if (strcmp(error->sqlstate, *states) == 0)
            return true;
    return false;
}

/* What an error of the message means; nothing of it is committed when the server has answered with
 * one. */
static enum errc classify(struct work *w, struct error *err, bool *ret_may_pass)
{
    static const char *const fence[] = {"RR001", "RR002", NULL};
    static const char *const changed[] = {"RR003", "3D000", "42P04", NULL};
    /*
     * XX000 is "tuple concurrently updated": somebody else's GRANT or ALTER on the same database.
     */
    static const char *const passing[] = {"55006", "55P03", "40P01", "57014", "XX000", NULL};
    *ret_may_pass = false;
    if (err->code != ERR_SQL && err->code != ERR_TIMEOUT)
        return err->code;
    if (has_state(err, fence)) {
        error_hint(err, "the next run goes on from what the database says");
        return error_recode(err, ERR_FENCE_LOST);
    }
    if (has_state(err, changed)) {
        error_hint(
            err,
            "somebody renamed, dropped or made one of the databases; the next run looks again");
        return error_recode(err, ERR_DATABASE_CHANGED);
    }
    *ret_may_pass = err->code == ERR_SQL && has_state(err, passing);
    error_recode(err, ERR_SWAP);
    if (!w->sessions->in_the_way.length)
        return err->code;
    error_hint(err, "end these sessions; those of superusers only a superuser can end, those of "
                    "other roles need"
                    " GRANT pg_signal_backend TO our role");
    return error_wrap(err, "in the way: %s", str_text(&w->sessions->in_the_way));
}

static enum errc try_once(struct work *w, struct swap_result *result, struct error *err)
{
    const struct clock *clock = clock_system();
    const char *warning = NULL;
    uint64_t start = clock_boottime_ms(clock);
    conn_set_limit_ms(w->conn, MESSAGE_LIMIT_MS);
    enum errc rc = conn_exec_meanwhile(w->conn, str_text(&w->message), END_SESSIONS_EVERY_MS,
                                       sessions_end, w->sessions, w->arena, &warning, err);
    conn_set_limit_ms(w->conn, CONTROL_LIMIT_MS);
    result->locked_ms = clock_boottime_ms(clock) - start;
    if (rc)
        control_roll_back(w->conn);
    else if (warning && *warning)
        log_warn("the server warned at the swap", LOG_TEXT("warning", warning));
    return rc;
}

static enum errc swap_names(struct work *w, struct swap_result *result, struct error *err)
{
    for (unsigned attempt = 1;; attempt++) {
        bool may_pass = false;
        result->tries = attempt;
        enum errc rc = try_once(w, result, err);
        if (!rc || (classify(w, err, &may_pass), !may_pass) || attempt == SWAP_TRIES)
            return rc ? err->code : RR_OK;
        log_debug("the swap did not get through", LOG_UINT("attempt", attempt),
                  LOG_TEXT("cause", err->text));
        error_clear(err);
        sessions_clear(w->sessions);
        clock_sleep_ms(clock_system(), PAUSE_MS, NULL);
    }
}

static void work_release(struct work *w)
{
    if (w->sessions)
        sessions_release(w->sessions);
    str_release(&w->message);
    conn_close(w->killer);
}

static enum errc swap_on(struct work *w, struct swap_result *result, struct error *err)
{
    enum errc rc;
    if (strlen(w->live_name) > LIMIT_DATABASE_NAME_BYTES ||
        strlen(w->swap->staging_name) > LIMIT_DATABASE_NAME_BYTES)
        return error_set(err, ERR_BUG, "a name is longer than names of databases may be");
    if ((rc = prepare(w, err)) || (rc = compose(w, err)))
        return rc;
    rc = swap_names(w, result, err);
    result->previous_name = w->previous_name;
    result->new_oid = w->swap->staging_oid;
    result->ended_sessions = (unsigned)w->sessions->ended_count;
    return rc;
}

enum errc database_swap(struct control *control, struct arena *arena, const struct swap *swap,
                        struct swap_result *ret_result, struct error *err)
{
    __attribute__((cleanup(work_release))) struct work w = {
        .control = control,
        .arena = arena,
        .swap = swap,
        .live_name = control->options.target,
        .message = STR_INIT(LIMIT_STATEMENT_BYTES),
    };
    struct swap_result result = {0};
    w.conn = control_conn_take(control, err);
    if (!w.conn)
        return err->code;
    enum errc rc = swap_on(&w, &result, err);
    control_conn_give(control);
    if (rc) {
        STR_GUARD struct str name = STR_INIT(512);
        str_append_quoted(&name, w.live_name, LIMIT_DATABASE_NAME_BYTES);
        return error_wrap(err, "swap of database %s", str_text(&name));
    }
    *ret_result = result;
    return RR_OK;
}

/*
 * --- afterwards --------------------------------------------------------------------------------
 */

enum errc database_look(struct control *control, const char *run_id, uint32_t expected_oid,
                        struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *conn = NULL;
    struct rows rows;
    enum errc rc = control_second_open(control, &conn, err);
    if (rc)
        return rc;
    const char *params[] = {control->options.target, run_id, control_int(&arena, expected_oid)};
    rc = conn_query(
        conn, &arena,
        "SELECT pg_is_in_recovery(), EXISTS (SELECT FROM pg_catalog.pg_database WHERE "
        "datname::text = $1"
        " AND oid = $3::oid AND datallowconn), EXISTS (SELECT FROM restore_reconciler.history"
        " WHERE target = $1 AND run_id = $2 AND new_oid = $3::oid AND system_id "
        "= " CONTROL_SYSTEM_ID ")",
        params, 3, &rows, err);
    if (rc)
        return rc;
    bool is_standby = *rows_get(&rows, 0, 0) == 't', is_live = *rows_get(&rows, 0, 1) == 't',
         is_recorded = *rows_get(&rows, 0, 2) == 't';
    if (is_live && is_recorded && !is_standby)
        return RR_OK;
    error_set(err, ERR_DATABASE_CHANGED, "after the swap %s",
              is_standby ? "the server is a standby"
              : !is_recorded
                  ? "its record is missing: another server answers, or an older state of this one"
                  : "the live database is another one than was swapped in");
    return error_hint(err,
                      "a failover or a manual change came in between; the next run looks again");
}
