/*
 * Making the staging database. CREATE DATABASE stands outside of transactions, so the registry row
 * comes first: from then on every later run knows the name. It is sent on the session that holds
 * the lock, so that nobody can take the lock, find no database and forget the row while the server
 * is still at it.
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/database.h"
#include "lib/pg/sql.h"

/* Before 15 it asks for a checkpoint, which takes as long as it takes. */
enum { CREATE_LIMIT_MS = 10 * 60 * 1000 };

/* The intent: with the fence check, and only where no database has the name, so that one that is
 * found under it later can only be ours. */
static const char insert_intent[] =
    "WITH f AS MATERIALIZED (SELECT desired, request FROM restore_reconciler.fence"
    "  WHERE target = $1 AND token = $2::bigint AND run_id = $3 FOR UPDATE),"
    " i AS (INSERT INTO restore_reconciler.database (name, oid, target, kind, run_id, state, "
    "desired, request,"
    "  made_by_us, created_at) SELECT $4, 0, $1, 'staging', $3, 'creating', f.desired, f.request, "
    "true, now() FROM f"
    "  WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname::text = $4)"
    "  ON CONFLICT (name) DO NOTHING RETURNING 1)"
    " SELECT EXISTS (SELECT FROM f), EXISTS (SELECT FROM i)";

static enum errc intend(struct control *control, struct conn *conn, const char *name,
                        struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const char *params[] = {control->options.target, control_int(&arena, control->token),
                            control->options.run_id, name};
    enum errc rc = conn_query(conn, &arena, insert_intent, params, 4, &rows, err);
    if (rc)
        return rc;
    if (*rows_get(&rows, 0, 0) != 't')
        return control_fence_lost(err);
    if (*rows_get(&rows, 0, 1) != 't')
        return error_set(err, ERR_DATABASE_CHANGED, "the name of the staging database is taken");
    return RR_OK;
}

static void forget_intent(struct conn *conn, const char *name)
{
    ARENA_GUARD struct arena arena = {0};
    struct error ignored = ERROR_INIT;
    struct rows rows;
    const char *params[] = {name};
    if (conn_query(conn, &arena,
                   "DELETE FROM restore_reconciler.database WHERE name = $1 AND oid = 0 AND state "
                   "= 'creating'",
                   params, 1, &rows, &ignored))
        log_debug("the intent of a staging database stays", LOG_TEXT("cause", ignored.text));
}

static void add_option(struct str *sql, struct arena *arena, const char *word, const char *value)
{
    if (value)
        str_printf(sql, " %s %s", word, sql_literal(arena, value));
}

/* LC_COLLATE and LC_CTYPE always: they say how text sorts and what is a letter, whatever the
 * provider. Indexes are built new, so the version of the collation does not matter. */
static void add_shape(struct str *sql, struct arena *arena, const struct database_shape *shape,
                      int version)
{
    add_option(sql, arena, "ENCODING", shape->encoding);
    add_option(sql, arena, "LC_COLLATE", shape->collate);
    add_option(sql, arena, "LC_CTYPE", shape->ctype);
    if (version < 150000 || !shape->provider)
        return;
    str_printf(sql, " LOCALE_PROVIDER %s",
               shape->provider == 'i'   ? "icu"
               : shape->provider == 'b' ? "builtin"
                                        : "libc");
    if (shape->provider == 'i')
        add_option(sql, arena, "ICU_LOCALE", shape->locale);
    if (shape->provider == 'i' && version >= 160000)
        add_option(sql, arena, "ICU_RULES", shape->icu_rules);
    if (shape->provider == 'b')
        add_option(sql, arena, "BUILTIN_LOCALE", shape->locale);
}

/*
 * Naming the tablespace asks for a right on it, even if it is where the database would go anyway.
 */
static enum errc needs_tablespace(struct conn *conn, struct arena *arena, const char *tablespace,
                                  bool *ret_needs, struct error *err)
{
    struct rows rows;
    const char *params[] = {tablespace};
    enum errc rc =
        conn_query(conn, arena,
                   "SELECT 1 FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t"
                   " ON t.oid = d.dattablespace WHERE d.datname = 'template0' AND t.spcname = $1",
                   params, 1, &rows, err);
    *ret_needs = !rc && rows.row_count == 0;
    return rc;
}

static enum errc render(struct conn *conn, struct arena *arena, const char *name,
                        const struct database_info *live, const struct database_shape *shape,
                        struct str *sql, struct error *err)
{
    struct database_shape wanted = shape ? *shape : (struct database_shape){0};
    if (live)
        wanted = (struct database_shape){
            .encoding = live->encoding,
            .collate = live->collate,
            .ctype = live->ctype,
            .locale = live->locale,
            .icu_rules = live->icu_rules,
            .provider = live->provider,
        };
    str_printf(sql, "CREATE DATABASE %s", sql_identifier(arena, name));
    if (live)
        str_printf(sql, " OWNER %s", sql_identifier(arena, live->owner));
    str_append(sql, " TEMPLATE template0");
    add_shape(sql, arena, &wanted, conn_server_version(conn));
    bool is_elsewhere = false;
    enum errc rc =
        live ? needs_tablespace(conn, arena, live->tablespace, &is_elsewhere, err) : RR_OK;
    if (is_elsewhere)
        str_printf(sql, " TABLESPACE %s", sql_identifier(arena, live->tablespace));
    return rc ? rc : str_check(sql, "the statement that creates a database", err);
}

static enum errc create(struct control *control, struct conn *conn, const char *name,
                        const struct database_info *live, const struct database_shape *shape,
                        struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str sql = STR_INIT(64 * LIMIT_KIB);
    enum errc rc = render(conn, &arena, name, live, shape, &sql, err);
    if (rc || (rc = intend(control, conn, name, err)))
        return rc;
    conn_set_limit_ms(conn, CREATE_LIMIT_MS);
    rc = conn_exec(conn, str_text(&sql), err);
    conn_set_limit_ms(conn, CONTROL_LIMIT_MS);
    /* Refused: nothing was made, and a database that has the name already is somebody else's. */
    if (rc && conn_is_alive(conn))
        forget_intent(conn, name);
    if (rc && strcmp(err->sqlstate, "42P04") == 0)
        error_recode(err, ERR_DATABASE_CHANGED);
    return rc ? err->code : RR_OK;
}

/*
 * The load is nobody else's business, until the swap gives the database the grants of the live one.
 */
static enum errc close_to_public(struct conn *conn, const char *name, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    return conn_execf(conn, err, "REVOKE ALL ON DATABASE %s FROM PUBLIC",
                      sql_identifier(&arena, name));
}

static enum errc record(struct control *control, struct conn *conn, const char *name,
                        uint32_t *ret_oid, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const char *params[] = {control->options.target, name};
    enum errc rc =
        conn_query(conn, &arena,
                   "UPDATE restore_reconciler.database r SET oid = d.oid, state = 'ready'"
                   " FROM pg_catalog.pg_database d WHERE r.target = $1 AND r.name = $2"
                   " AND r.state = 'creating' AND d.datname::text = $2 RETURNING d.oid",
                   params, 2, &rows, err);
    if (rc)
        return rc;
    if (rows.row_count != 1)
        return control_fence_lost(err);
    *ret_oid = (uint32_t)control_to_int(rows_get(&rows, 0, 0));
    return RR_OK;
}

enum errc database_create_staging(struct control *control, struct arena *arena,
                                  const struct database_info *live,
                                  const struct database_shape *shape, const char **ret_name,
                                  uint32_t *ret_oid, struct error *err)
{
    const char *name =
        sql_own_database_name(arena, control->options.target, 's', control->options.run_id);
    STR_GUARD struct str shown = STR_INIT(512);
    str_append_quoted(&shown, name, LIMIT_DATABASE_NAME_BYTES);
    struct conn *conn = control_conn_take(control, err);
    if (!conn)
        return err->code;
    enum errc rc = create(control, conn, name, live, shape, err);
    if (!rc && !(rc = close_to_public(conn, name, err)))
        rc = record(control, conn, name, ret_oid, err);
    control_conn_give(control);
    if (rc)
        return error_wrap(err, "staging database %s", str_text(&shown));
    *ret_name = name;
    return RR_OK;
}
