/* What would stop a restore later, asked before anything is changed. Every finding says what to
 * run. */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/database.h"
#include "lib/pg/sql.h"

/* Connections that a restore needs besides those of its workers: lock, helper, checks. */
enum { OWN_CONNECTIONS = 3, OLDEST_SERVER = 140000 };

struct look {
    struct conn *conn;
    struct arena *arena;
    const struct database_info *live; /* NULL: absent */
    unsigned jobs;
    struct findings *findings;
    const char *role, *role_identifier; /* the current role: as shown, as written in SQL */
    const char *live_shown;
};

static const char *shown(struct arena *arena, const char *text)
{
    STR_GUARD struct str quoted = STR_INIT(1024);
    str_append_quoted(&quoted, text, 200);
    return arena_strdup(arena, str_text(&quoted));
}

static enum errc ask(struct look *l, const char *sql, struct rows *ret_rows, struct error *err)
{
    const char *params[] = {l->live ? l->live->name : NULL};
    return conn_query(l->conn, l->arena, sql, params, strstr(sql, "$1") ? 1 : 0, ret_rows, err);
}

static enum errc look_at_server(struct look *l, struct error *err)
{
    struct rows rows;
    if (conn_server_version(l->conn) < OLDEST_SERVER)
        findings_add(l->findings,
                     "the server has version %d, and 14 is the oldest that is supported",
                     conn_server_version(l->conn) / 10000);
    enum errc rc = ask(l, "SELECT pg_is_in_recovery()", &rows, err);
    if (!rc && *rows_get(&rows, 0, 0) == 't')
        findings_add(
            l->findings,
            "the server is a standby: connect to the primary (PGTARGETSESSIONATTRS=read-write)");
    return rc;
}

static enum errc look_at_role(struct look *l, struct error *err)
{
    struct rows rows;
    enum errc rc = ask(l,
                       "SELECT current_user, rolsuper OR rolcreatedb FROM pg_catalog.pg_roles"
                       " WHERE rolname = current_user",
                       &rows, err);
    if (rc || rows.row_count == 0)
        return rc;
    l->role = shown(l->arena, rows_get(&rows, 0, 0));
    l->role_identifier = sql_identifier(l->arena, rows_get(&rows, 0, 0));
    if (*rows_get(&rows, 0, 1) != 't')
        findings_add(l->findings,
                     "role %s may not create or rename databases: ALTER ROLE %s CREATEDB;", l->role,
                     l->role_identifier);
    return RR_OK;
}

static enum errc look_at_ownership(struct look *l, struct error *err)
{
    struct rows rows;
    bool has_set_option = conn_server_version(l->conn) >= 160000;
    const char *sql = arena_printf(
        l->arena,
        "SELECT pg_has_role(datdba, 'USAGE'), pg_has_role(datdba, '%s'),"
        " pg_get_userbyid(datdba) FROM pg_catalog.pg_database WHERE datname::text = $1",
        has_set_option ? "SET" : "MEMBER");
    enum errc rc = ask(l, sql, &rows, err);
    if (rc || rows.row_count == 0)
        return rc;
    const char *owner = rows_get(&rows, 0, 2);
    if (*rows_get(&rows, 0, 0) == 't' && *rows_get(&rows, 0, 1) == 't')
        return RR_OK;
    findings_add(
        l->findings,
        "database %s belongs to %s, whose rights role %s does not have: GRANT %s TO %s%s;%s",
        l->live_shown, shown(l->arena, owner), l->role, sql_identifier(l->arena, owner),
        l->role_identifier, has_set_option ? " WITH INHERIT TRUE, SET TRUE" : "",
        has_set_option ? "" : " (and the role must have INHERIT)");
    return RR_OK;
}

static enum errc look_at_database(struct look *l, struct error *err)
{
    struct rows rows;
    if (l->live->connection_limit == -2)
        findings_add(
            l->findings,
            "database %s is invalid: a DROP DATABASE was cut off; finish it: DROP DATABASE %s;",
            l->live_shown, sql_identifier(l->arena, l->live->name));
    enum errc rc = ask(
        l,
        "SELECT t.spcname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t"
        " ON t.oid = d.dattablespace WHERE d.datname::text = $1 AND t.oid <> (SELECT dattablespace"
        " FROM pg_catalog.pg_database WHERE datname = 'template0')"
        " AND NOT has_tablespace_privilege(t.oid, 'CREATE')",
        &rows, err);
    if (!rc && rows.row_count)
        findings_add(
            l->findings,
            "database %s is in tablespace %s, where role %s may not create: GRANT CREATE ON"
            " TABLESPACE %s TO %s;",
            l->live_shown, shown(l->arena, rows_get(&rows, 0, 0)), l->role,
            sql_identifier(l->arena, rows_get(&rows, 0, 0)), l->role_identifier);
    return rc;
}

/* The server's own rule: superusers' sessions are ended by superusers only; others' by members of
 * the role or of pg_signal_backend. Sessions without a role are autovacuum's, which gives way by
 * itself. */
static enum errc look_at_sessions(struct look *l, struct error *err)
{
    struct rows rows;
    enum errc rc = ask(
        l,
        "SELECT r.rolname, r.rolsuper, count(*), min(a.pid), coalesce(min(a.application_name), '')"
        " FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid"
        " WHERE a.datname::text = $1 AND a.pid <> pg_catalog.pg_backend_pid()"
        " AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
        " AND (r.rolsuper OR NOT (pg_has_role(r.oid, 'USAGE')"
        "      OR pg_has_role('pg_signal_backend', 'USAGE')))"
        " GROUP BY r.rolname, r.rolsuper ORDER BY 1",
        &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++) {
        bool is_super = *rows_get(&rows, i, 1) == 't';
        const char *application = rows_get(&rows, i, 4);
        findings_add(
            l->findings,
            "role %s may not end %s session%s of role %s in database %s (pid %s%s%s): %s%s%s",
            l->role, rows_get(&rows, i, 2), strcmp(rows_get(&rows, i, 2), "1") == 0 ? "" : "s",
            shown(l->arena, rows_get(&rows, i, 0)), l->live_shown, rows_get(&rows, i, 3),
            *application ? " " : "", *application ? shown(l->arena, application) : "",
            is_super ? "a superuser must end it and keep it out, or run the restore"
                     : "GRANT pg_signal_backend TO ",
            is_super ? "" : l->role_identifier, is_super ? "" : ";");
    }
    return rc;
}

static enum errc look_at_prepared(struct look *l, struct error *err)
{
    struct rows rows;
    enum errc rc = ask(l,
                       "SELECT gid, owner FROM pg_catalog.pg_prepared_xacts WHERE database::text = "
                       "$1 ORDER BY prepared LIMIT 20",
                       &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++) {
        const char *gid = sql_literal(l->arena, rows_get(&rows, i, 0));
        findings_add(l->findings,
                     "database %s holds the prepared transaction %s of role %s: connected to it, "
                     "COMMIT PREPARED %s; or"
                     " ROLLBACK PREPARED %s;",
                     l->live_shown, shown(l->arena, rows_get(&rows, i, 0)),
                     shown(l->arena, rows_get(&rows, i, 1)), gid, gid);
    }
    return rc;
}

/* A slot follows the database that is replaced, and keeps the server's WAL for as long as that is
 * kept; its consumer would go on reading the old data. */
static enum errc look_at_slots(struct look *l, struct error *err)
{
    struct rows rows;
    enum errc rc = ask(
        l,
        "SELECT slot_name, active FROM pg_catalog.pg_replication_slots WHERE database::text = $1"
        " AND NOT temporary ORDER BY 1 LIMIT 20",
        &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++)
        findings_add(l->findings,
                     "database %s has the logical replication slot %s (%s), which would stay with "
                     "the replaced"
                     " database: stop its consumer and SELECT pg_drop_replication_slot(%s);",
                     l->live_shown, shown(l->arena, rows_get(&rows, i, 0)),
                     *rows_get(&rows, i, 1) == 't' ? "in use" : "not in use",
                     sql_literal(l->arena, rows_get(&rows, i, 0)));
    return rc;
}

static enum errc look_at_subscriptions(struct look *l, struct error *err)
{
    struct rows rows;
    enum errc rc =
        ask(l,
            "SELECT s.subname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d"
            " ON d.oid = s.subdbid WHERE d.datname::text = $1 ORDER BY 1 LIMIT 20",
            &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++)
        findings_add(l->findings,
                     "database %s has the subscription %s, which would stay with the replaced "
                     "database: connected to"
                     " it, DROP SUBSCRIPTION %s;",
                     l->live_shown, shown(l->arena, rows_get(&rows, i, 0)),
                     sql_identifier(l->arena, rows_get(&rows, i, 0)));
    return rc;
}

static enum errc look_at_connections(struct look *l, struct error *err)
{
    struct rows rows;
    const char *sql = arena_printf(
        l->arena,
        "SELECT current_setting('max_connections')::int - CASE WHEN r.rolsuper THEN 0 ELSE"
        " current_setting('superuser_reserved_connections')::int"
        " + coalesce(current_setting('reserved_connections', true)::int, 0) END"
        " - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usesysid IS NOT NULL),"
        " CASE WHEN r.rolsuper OR r.rolconnlimit < 0 THEN NULL ELSE r.rolconnlimit"
        " - (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user) END"
        " FROM pg_catalog.pg_roles r WHERE r.rolname = current_user");
    enum errc rc = ask(l, sql, &rows, err);
    if (rc || rows.row_count == 0)
        return rc;
    int64_t needed = l->jobs + OWN_CONNECTIONS, free_now = control_to_int(rows_get(&rows, 0, 0));
    if (free_now < needed)
        findings_add(
            l->findings,
            "the server has %lld free connections and %lld are needed: lower 'jobs' (%u), or"
            " raise max_connections",
            (long long)free_now, (long long)needed, l->jobs);
    const char *of_role = rows_get(&rows, 0, 1);
    if (of_role && control_to_int(of_role) < needed)
        findings_add(
            l->findings,
            "role %s has %s free connections and %lld are needed: lower 'jobs' (%u), or ALTER ROLE"
            " %s CONNECTION LIMIT -1;",
            l->role, of_role, (long long)needed, l->jobs, l->role_identifier);
    return rc;
}

static enum errc look_at_live(struct look *l, struct error *err)
{
    enum errc rc;
    if (!l->live)
        return RR_OK;
    l->live_shown = shown(l->arena, l->live->name);
    if ((rc = look_at_ownership(l, err)) || (rc = look_at_database(l, err)) ||
        (rc = look_at_sessions(l, err)) || (rc = look_at_prepared(l, err)) ||
        (rc = look_at_slots(l, err)))
        return rc;
    return look_at_subscriptions(l, err);
}

/* The server's own databases, and ours. */
static void look_at_target(struct look *l, const struct control_options *options)
{
    static const char *const reserved[] = {"template0", "template1", NULL};
    for (size_t i = 0; reserved[i]; i++)
        if (strcmp(options->target, reserved[i]) == 0)
            findings_add(l->findings, "database '%s' belongs to the server and cannot be restored",
                         reserved[i]);
    if (strcmp(options->target, options->control_database) == 0)
        findings_add(
            l->findings,
            "database %s cannot be both the target and the control database: set 'controlDatabase'",
            shown(l->arena, options->target));
}

enum errc database_preflight(struct control *control, const struct database_info *live,
                             unsigned jobs, struct findings *findings, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct look l = {.arena = &arena,
                     .live = live,
                     .jobs = jobs,
                     .findings = findings,
                     .role = "?",
                     .role_identifier = "?"};
    l.conn = control_conn_take(control, err);
    if (!l.conn)
        return err->code;
    enum errc rc;
    if (control->has_tables)
        look_at_target(&l, &control->options);
    if (!(rc = look_at_server(&l, err)) && !(rc = look_at_role(&l, err)) &&
        !(rc = look_at_live(&l, err)))
        rc = look_at_connections(&l, err);
    control_conn_give(control);
    return rc ? error_wrap(err, "preflight of the database server") : RR_OK;
}
