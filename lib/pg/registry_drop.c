/*
 * Dropping a database of ours. In order: the row is marked "dropping" together with the fence
 * check, so that nothing takes it for usable any more; name and oid are compared with what the
 * server has; then DROP DATABASE, on a session of its own because it may last; then the row goes.
 * Cut off anywhere, the next call goes on: a database that a cut-off DROP left behind (datconnlimit
 * -2) can only be dropped, and one that is gone loses its row.
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/sessions.h"
#include "lib/pg/sql.h"

/* Files of a large database take their time; a server that hangs must not hold us for ever. */
enum { DROP_LIMIT_MS = 15 * 60 * 1000, DROP_TRIES = 3, END_SESSIONS_EVERY_MS = 100 };

#define FENCE_IS_OURS                                                                              \
    "f AS MATERIALIZED (SELECT 1 FROM restore_reconciler.fence WHERE target = $1 AND token = "     \
    "$2::bigint"                                                                                   \
    " AND run_id = $3 FOR UPDATE)"

struct drop {
    struct control *control;
    struct conn *conn; /* the control session, ours during the drop */
    const struct registry_row *row;
    struct arena arena;
    struct str shown; /* the name for texts */
};

static void drop_release(struct drop *drop)
{
    arena_release(&drop->arena);
    str_release(&drop->shown);
}

/* Runs a statement that begins with FENCE_IS_OURS and answers: is the fence ours, how many rows
 * were hit. */
static enum errc change_row(struct drop *d, const char *sql, bool *ret_is_hit, struct error *err)
{
    struct rows rows;
    const struct control_options *options = &d->control->options;
    const char *params[] = {options->target, control_int(&d->arena, d->control->token),
                            options->run_id, d->row->name, control_int(&d->arena, d->row->oid)};
    enum errc rc = conn_query(d->conn, &d->arena, sql, params, 5, &rows, err);
    if (rc)
        return rc;
    if (*rows_get(&rows, 0, 0) != 't')
        return control_fence_lost(err);
    *ret_is_hit = *rows_get(&rows, 0, 1) == 't';
    return RR_OK;
}

static enum errc mark(struct drop *d, struct error *err)
{
    bool is_hit = false;
    enum errc rc = change_row(
        d,
        "WITH " FENCE_IS_OURS ", u AS (UPDATE restore_reconciler.database SET state = 'dropping'"
        "  FROM f WHERE name = $4 AND oid = $5::oid AND target = $1 RETURNING 1)"
        " SELECT EXISTS (SELECT FROM f), EXISTS (SELECT FROM u)",
        &is_hit, err);
    if (rc || is_hit)
        return rc;
    return error_set(err, ERR_DATABASE_CHANGED, "database %s is not in the registry any more",
                     str_text(&d->shown));
}

static enum errc forget(struct drop *d, struct error *err)
{
    bool is_hit = false;
    return change_row(d,
                      "WITH " FENCE_IS_OURS
                      ", u AS (DELETE FROM restore_reconciler.database USING f"
                      "  WHERE name = $4 AND oid = $5::oid AND target = $1 RETURNING 1)"
                      " SELECT EXISTS (SELECT FROM f), EXISTS (SELECT FROM u)",
                      &is_hit, err);
}

/* CREATE DATABASE was intended, and nobody wrote down that it was done. The name holds a hash of
 * that run's id, and the row came only where no such name was taken; the owner must be the one that
 * CREATE would have given. */
static bool is_proven_ours(struct drop *d, bool has_right_owner)
{
    const char *expected =
        sql_own_database_name(&d->arena, d->control->options.target,
                              strcmp(d->row->kind, "prestaged") == 0 ? 't' : 's', d->row->run_id);
    return has_right_owner && strcmp(expected, d->row->name) == 0;
}

/* Whether there is something to drop: a database of this name and oid that is not the live one. */
static enum errc look(struct drop *d, bool *ret_is_there, bool *ret_is_template, struct error *err)
{
    struct rows rows;
    const char *params[] = {d->row->name, d->control->options.target};
    enum errc rc = conn_query(
        d->conn, &d->arena,
        "SELECT d.oid, coalesce(d.oid = l.oid, false), d.datistemplate,"
        " d.datdba = l.datdba OR pg_get_userbyid(d.datdba) = current_user"
        " FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_database l ON l.datname::text = $2"
        " WHERE d.datname::text = $1",
        params, 2, &rows, err);
    if (rc)
        return rc;
    *ret_is_there = false;
    if (rows.row_count == 0)
        return RR_OK;
    uint32_t oid = (uint32_t)control_to_int(rows_get(&rows, 0, 0));
    bool is_live = *rows_get(&rows, 0, 1) == 't' || strcmp(d->row->name, params[1]) == 0;
    *ret_is_template = *rows_get(&rows, 0, 2) == 't';
    const char *right_owner = rows_get(&rows, 0, 3);
    if (d->row->oid && d->row->oid != oid) {
        log_debug("a database has a name of ours and another oid: left alone",
                  LOG_TEXT("database", d->row->name), LOG_UINT("oid", oid));
        return RR_OK;
    }
    if (is_live)
        return error_set(err, ERR_DATABASE_CHANGED, "database %s is the live one",
                         str_text(&d->shown));
    if (!d->row->oid && !is_proven_ours(d, text_equal(right_owner, "t")))
        return error_set(err, ERR_DATABASE_CHANGED, "database %s may not be ours",
                         str_text(&d->shown));
    *ret_is_there = true;
    return RR_OK;
}

/* What DROP DATABASE refuses even when no session is left. */
static enum errc refuse_obstacles(struct drop *d, struct error *err)
{
    struct rows rows;
    const char *params[] = {d->row->name};
    enum errc rc = conn_query(
        d->conn, &d->arena,
        "SELECT 1, 'the prepared transaction ' || quote_literal(gid), 'ROLLBACK PREPARED ' || "
        "quote_literal(gid)"
        " FROM pg_catalog.pg_prepared_xacts WHERE database::text = $1"
        " UNION ALL SELECT 2, 'the subscription ' || quote_ident(subname), format('ALTER "
        "SUBSCRIPTION %1$I DISABLE; "
        "ALTER SUBSCRIPTION %1$I SET (slot_name = NONE); DROP SUBSCRIPTION %1$I', subname)"
        " FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid "
        "WHERE d.datname::text = $1"
        " ORDER BY 1, 2 LIMIT 1",
        params, 1, &rows, err);
    if (rc || rows.row_count == 0)
        return rc;
    STR_GUARD struct str what = STR_INIT(400), how = STR_INIT(400);
    conn_append_message(&what, rows_get(&rows, 0, 1), 300);
    conn_append_message(&how, rows_get(&rows, 0, 2), 300);
    error_set(err, ERR_SQL, "%s is in it", str_text(&what));
    return error_hint(err, "ALTER DATABASE %s ALLOW_CONNECTIONS true; then, connected to it: %s",
                      sql_identifier(&d->arena, d->row->name), str_text(&how));
}

static enum errc drop_with(struct drop *d, struct conn *helper, struct sessions *sessions,
                           struct error *err)
{
    const char *sql =
        arena_printf(&d->arena, "DROP DATABASE %s", sql_identifier(&d->arena, d->row->name));
    for (int attempt = 1;; attempt++) {
        enum errc rc = conn_exec_meanwhile(helper, sql, END_SESSIONS_EVERY_MS, sessions_end,
                                           sessions, &d->arena, NULL, err);
        if (rc == ERR_SQL && strcmp(err->sqlstate, "3D000") == 0) {
            error_clear(err);
            return RR_OK;
        }
        if (rc != ERR_SQL || strcmp(err->sqlstate, "55006") != 0)
            return rc;
        if (attempt == DROP_TRIES) {
            if (sessions->in_the_way.length)
                error_hint(err, "in the way: %s; end them, or grant our role pg_signal_backend",
                           str_text(&sessions->in_the_way));
            return rc;
        }
        error_clear(err);
        sessions_clear(sessions);
    }
}

static enum errc drop_database(struct drop *d, bool is_template, struct error *err)
{
    CONN_GUARD struct conn *helper = NULL;
    enum errc rc = control_helper_open(d->control, &helper, err);
    if (rc)
        return rc;
    conn_set_limit_ms(helper, DROP_LIMIT_MS);
    if (is_template)
        rc = conn_execf(helper, err, "ALTER DATABASE %s IS_TEMPLATE false",
                        sql_identifier(&d->arena, d->row->name));
    if (rc)
        return rc;
    struct sessions *sessions = arena_alloc(&d->arena, sizeof *sessions);
    sessions->conn = d->conn;
    sessions->databases[0] = d->row->name;
    sessions->in_the_way = STR_INIT(400);
    rc = drop_with(d, helper, sessions, err);
    sessions_release(sessions);
    return rc;
}

static enum errc run(struct drop *d, struct error *err)
{
    bool is_there = false, is_template = false;
    enum errc rc;
    if (strlen(d->row->name) > LIMIT_DATABASE_NAME_BYTES)
        return error_set(err, ERR_BUG, "the name %s is longer than a name may be",
                         str_text(&d->shown));
    if ((rc = mark(d, err)) || (rc = look(d, &is_there, &is_template, err)))
        return rc;
    if (is_there && ((rc = refuse_obstacles(d, err)) || (rc = drop_database(d, is_template, err))))
        return error_wrap(err, "database %s cannot be dropped", str_text(&d->shown));
    return forget(d, err);
}

enum errc control_drop(struct control *control, const struct registry_row *row, struct error *err)
{
    __attribute__((cleanup(drop_release))) struct drop d = {
        .control = control,
        .row = row,
        .shown = STR_INIT(512),
    };
    str_append_quoted(&d.shown, row->name, 2 * LIMIT_DATABASE_NAME_BYTES);
    d.conn = control_conn_take(control, err);
    if (!d.conn)
        return err->code;
    enum errc rc = run(&d, err);
    control_conn_give(control);
    return rc;
}
