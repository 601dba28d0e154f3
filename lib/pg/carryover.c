/*
 * Carrying the properties of the live database over to the one that replaces it. A database made
 * from template0 has none of them: grants, settings, per-role settings, connection limit, comment,
 * labels.
 *
 * A statement is kept as the text before and after the database's name, since the same statements
 * are rehearsed on the database under its present name and run in the swap under the live one.
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/pg/comment.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/database.h"
#include "lib/pg/sql.h"

struct carry_part {
    const char *head, *tail;
    bool is_reset; /* takes away what the target has, rather than giving it what `from` has */
};

/* A plan under construction. */
struct builder {
    struct conn *conn;
    struct arena *arena;
    struct carry_part *parts;
    size_t count, capacity;
    bool is_resetting;
};

static void add(struct builder *b, const char *head, const char *tail)
{
    if (b->count == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 16;
        struct carry_part *parts = arena_array(b->arena, capacity, sizeof *parts);
        if (b->count)
            memcpy(parts, b->parts, b->count * sizeof *parts);
        b->parts = parts;
        b->capacity = capacity;
    }
    b->parts[b->count++] = (struct carry_part){head, tail, b->is_resetting};
}

static enum errc ask(struct builder *b, const char *sql, uint32_t oid, struct rows *ret_rows,
                     struct error *err)
{
    const char *params[] = {control_int(b->arena, oid)};
    return conn_query(b->conn, b->arena, sql, params, 1, ret_rows, err);
}

/*
 * --- what the target has -----------------------------------------------------------------------
 */

static enum errc reset_grants(struct builder *b, uint32_t oid, struct error *err)
{
    struct rows rows;
    enum errc rc =
        ask(b,
            "SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee)) FROM pg_catalog.pg_database d,"
            " aclexplode(d.datacl) a WHERE d.oid = $1::oid AND a.grantee NOT IN (0, d.datdba) "
            "ORDER BY 1",
            oid, &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++)
        add(b, "REVOKE ALL ON DATABASE ",
            arena_printf(b->arena, " FROM %s CASCADE", rows_get(&rows, i, 0)));
    return rc;
}

static enum errc reset_settings(struct builder *b, uint32_t oid, struct error *err)
{
    struct rows rows;
    enum errc rc =
        ask(b,
            "SELECT CASE WHEN setrole <> 0 THEN quote_ident(pg_get_userbyid(setrole)) END"
            " FROM pg_catalog.pg_db_role_setting WHERE setdatabase = $1::oid ORDER BY setrole",
            oid, &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++) {
        const char *role = rows_get(&rows, i, 0);
        add(b,
            role ? arena_printf(b->arena, "ALTER ROLE %s IN DATABASE ", role) : "ALTER DATABASE ",
            " RESET ALL");
    }
    return rc;
}

static enum errc reset_labels(struct builder *b, uint32_t oid, struct error *err)
{
    struct rows rows;
    enum errc rc =
        ask(b,
            "SELECT quote_ident(provider) FROM pg_catalog.pg_shseclabel WHERE objoid = $1::oid"
            " AND classoid = 'pg_database'::regclass ORDER BY 1",
            oid, &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++)
        add(b, arena_printf(b->arena, "SECURITY LABEL FOR %s ON DATABASE ", rows_get(&rows, i, 0)),
            " IS NULL");
    return rc;
}

/* A database of that name that is not the one we copy from: it starts from nothing. */
static enum errc reset_target(struct builder *b, const char *to_name, uint32_t from_oid,
                              struct error *err)
{
    struct rows rows;
    const char *params[] = {to_name, control_int(b->arena, from_oid)};
    enum errc rc =
        conn_query(b->conn, b->arena,
                   "SELECT oid, datistemplate FROM pg_catalog.pg_database WHERE datname::text = $1"
                   " AND oid <> $2::oid",
                   params, 2, &rows, err);
    if (rc || rows.row_count == 0)
        return rc;
    uint32_t oid = (uint32_t)control_to_int(rows_get(&rows, 0, 0));
    b->is_resetting = true;
    if (*rows_get(&rows, 0, 1) == 't')
        add(b, "ALTER DATABASE ", " IS_TEMPLATE false");
    if ((rc = reset_grants(b, oid, err)) || (rc = reset_settings(b, oid, err)) ||
        (rc = reset_labels(b, oid, err)))
        return rc;
    b->is_resetting = false;
    return RR_OK;
}

/*
 * --- what the live database has ----------------------------------------------------------------
 */

/* No list of grants stands for the built-in one; staging has a list, because PUBLIC was shut out of
 * it. */
static void add_default_grants(struct builder *b, const char *owner)
{
    add(b, "REVOKE ALL ON DATABASE ", " FROM PUBLIC");
    add(b, "GRANT ALL ON DATABASE ", arena_printf(b->arena, " TO %s", owner));
    add(b, "GRANT CONNECT, TEMPORARY ON DATABASE ", " TO PUBLIC");
}

static enum errc add_grants(struct builder *b, const struct database_info *from, struct error *err)
{
    struct rows rows;
    const char *owner = sql_identifier(b->arena, from->owner);
    enum errc rc = ask(b, "SELECT datacl IS NULL FROM pg_catalog.pg_database WHERE oid = $1::oid",
                       from->oid, &rows, err);
    if (rc)
        return rc;
    if (rows.row_count && *rows_get(&rows, 0, 0) == 't') {
        add_default_grants(b, owner);
        return RR_OK;
    }
    add(b, "REVOKE ALL ON DATABASE ", arena_printf(b->arena, " FROM PUBLIC, %s", owner));
    rc = ask(
        b,
        "SELECT string_agg(privilege_type, ', ' ORDER BY privilege_type), CASE grantee WHEN 0 THEN "
        "'PUBLIC'"
        " ELSE quote_ident(pg_get_userbyid(grantee)) END,"
        " CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END"
        " FROM (SELECT DISTINCT grantee, is_grantable, privilege_type FROM pg_catalog.pg_database,"
        "  aclexplode(datacl) WHERE oid = $1::oid) a GROUP BY grantee, is_grantable ORDER BY 2, 3",
        from->oid, &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++)
        add(b, arena_printf(b->arena, "GRANT %s ON DATABASE ", rows_get(&rows, i, 0)),
            arena_printf(b->arena, " TO %s%s", rows_get(&rows, i, 1), rows_get(&rows, i, 2)));
    return rc;
}

/* Parameters whose stored value is a list of identifiers: as one literal it would become one odd
 * name. */
static bool is_list_parameter(const char *name)
{
    static const char *const names[] = {"search_path",
                                        "temp_tablespaces",
                                        "local_preload_libraries",
                                        "session_preload_libraries",
                                        "shared_preload_libraries",
                                        "unix_socket_directories"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static const char *render_value(struct arena *arena, const char *name, const char *value)
{
    const char **items;
    size_t count;
    if (!is_list_parameter(name) || !sql_split_list(arena, value, &items, &count) || count == 0)
        return sql_literal(arena, value);
    STR_GUARD struct str list = STR_INIT(LIMIT_MIB);
    for (size_t i = 0; i < count; i++)
        str_printf(&list, "%s%s", i ? ", " : "", sql_literal(arena, items[i]));
    return arena_strdup(arena, str_text(&list));
}

static enum errc add_settings(struct builder *b, uint32_t oid, struct error *err)
{
    struct rows rows;
    enum errc rc =
        ask(b,
            "SELECT CASE WHEN setrole <> 0 THEN quote_ident(pg_get_userbyid(setrole)) END,"
            " split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)"
            " FROM pg_catalog.pg_db_role_setting, unnest(setconfig) WITH ORDINALITY u(c, n)"
            " WHERE setdatabase = $1::oid ORDER BY setrole, n",
            oid, &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++) {
        const char *role = rows_get(&rows, i, 0), *name = rows_get(&rows, i, 1);
        add(b,
            role ? arena_printf(b->arena, "ALTER ROLE %s IN DATABASE ", role) : "ALTER DATABASE ",
            arena_printf(b->arena, " SET %s TO %s", sql_identifier(b->arena, name),
                         render_value(b->arena, name, rows_get(&rows, i, 2))));
    }
    return rc;
}

static enum errc add_labels(struct builder *b, uint32_t oid, struct error *err)
{
    struct rows rows;
    enum errc rc = ask(
        b,
        "SELECT quote_ident(provider), label FROM pg_catalog.pg_shseclabel WHERE objoid = $1::oid"
        " AND classoid = 'pg_database'::regclass ORDER BY 1",
        oid, &rows, err);
    for (size_t i = 0; !rc && i < rows.row_count; i++)
        add(b, arena_printf(b->arena, "SECURITY LABEL FOR %s ON DATABASE ", rows_get(&rows, i, 0)),
            arena_printf(b->arena, " IS %s", sql_literal(b->arena, rows_get(&rows, i, 1))));
    return rc;
}

static enum errc add_comment(struct builder *b, uint32_t oid, const char **ret_comment,
                             struct error *err)
{
    struct rows rows;
    enum errc rc =
        ask(b, "SELECT coalesce(shobj_description($1::oid, 'pg_database'), '')", oid, &rows, err);
    if (rc)
        return rc;
    *ret_comment = comment_strip(b->arena, rows_get(&rows, 0, 0));
    add(b, "COMMENT ON DATABASE ",
        arena_printf(b->arena, " IS %s",
                     **ret_comment ? sql_literal(b->arena, *ret_comment) : "NULL"));
    return RR_OK;
}

static enum errc build(struct builder *b, const struct database_info *from, const char *to_name,
                       const char **ret_comment, struct error *err)
{
    enum errc rc;
    if ((rc = reset_target(b, to_name, from->oid, err)) || (rc = add_grants(b, from, err)) ||
        (rc = add_settings(b, from->oid, err)) || (rc = add_labels(b, from->oid, err)))
        return rc;
    add(b, "ALTER DATABASE ",
        arena_printf(b->arena, " CONNECTION LIMIT %d", from->connection_limit));
    if (from->is_template)
        add(b, "ALTER DATABASE ", " IS_TEMPLATE true");
    return add_comment(b, from->oid, ret_comment, err);
}

/*
 * --- the plan ----------------------------------------------------------------------------------
 */

static void render_statements(struct carry_over *plan)
{
    const char *name = sql_identifier(plan->arena, plan->to_name);
    plan->statements = arena_array(plan->arena, plan->count, sizeof *plan->statements);
    for (size_t i = 0; i < plan->count; i++)
        plan->statements[i] =
            arena_printf(plan->arena, "%s%s%s", plan->parts[i].head, name, plan->parts[i].tail);
}

enum errc database_carry_over_plan(struct control *control, struct arena *arena,
                                   const struct database_info *from, const char *to_name,
                                   struct carry_over *ret_plan, struct error *err)
{
    struct builder b = {.arena = arena};
    const char *comment = "";
    b.conn = control_conn_take(control, err);
    if (!b.conn)
        return err->code;
    enum errc rc = build(&b, from, to_name, &comment, err);
    control_conn_give(control);
    if (rc)
        return error_wrap(err, "properties of the live database");
    *ret_plan = (struct carry_over){
        .count = b.count,
        .is_left_out = arena_array(arena, b.count, sizeof(bool)),
        .user_comment = comment,
        .arena = arena,
        .parts = b.parts,
        .to_name = arena_strdup(arena, to_name),
    };
    render_statements(ret_plan);
    return RR_OK;
}

enum errc carry_over_leave_out(struct carry_over *plan, const struct carry_over *rehearsal,
                               struct error *err)
{
    size_t i = 0;
    bool is_same = true;
    for (size_t j = 0; j < rehearsal->count && is_same; j++) {
        if (rehearsal->parts[j].is_reset)
            continue;
        is_same = i < plan->count && strcmp(plan->parts[i].head, rehearsal->parts[j].head) == 0 &&
                  strcmp(plan->parts[i].tail, rehearsal->parts[j].tail) == 0;
        i++;
    }
    if (!is_same || i != plan->count) {
        error_set(err, ERR_DATABASE_CHANGED,
                  "grants or settings of the live database were changed meanwhile");
        return error_hint(err, "the next run reads them again");
    }
    plan->count = rehearsal->count;
    plan->parts = rehearsal->parts;
    plan->is_left_out = rehearsal->is_left_out;
    render_statements(plan);
    return RR_OK;
}

/*
 * --- rehearsal ---------------------------------------------------------------------------------
 */

/*
 * The quoted name between " SET " and " TO " of a part that sets a parameter, as text and length.
 */
static bool find_parameter(const struct carry_part *part, const char **ret_name, int *ret_length)
{
    const char *end = strstr(part->tail, "\" TO ");
    if (!text_has_prefix(part->tail, " SET ") || !end)
        return false;
    *ret_name = part->tail + strlen(" SET ");
    *ret_length = (int)(end + 1 - *ret_name);
    return true;
}

/* The cause names the statement already, up to its value. */
static void add_finding(const struct carry_part *part, const char *role, int version,
                        const struct error *cause, struct findings *findings)
{
    const char *name;
    int length;
    bool is_denied = strcmp(cause->sqlstate, "42501") == 0;
    if (is_denied && text_has_prefix(part->head, "ALTER ROLE"))
        findings_add(findings,
                     "%s: grant role %s that role WITH ADMIN OPTION, or let a superuser restore",
                     cause->text, role);
    else if (is_denied && find_parameter(part, &name, &length) && version >= 150000)
        findings_add(findings, "%s: GRANT SET ON PARAMETER %.*s TO %s;", cause->text, length, name,
                     role);
    else if (is_denied && find_parameter(part, &name, &length))
        findings_add(findings, "%s: before version 15 only a superuser may set it", cause->text);
    else
        findings_add(findings, "%s", cause->text);
}

/* Each statement between savepoints, so that one that fails does not hide the others. */
static enum errc rehearse(struct conn *conn, struct carry_over *plan, bool is_best_effort,
                          struct findings *findings, struct error *err)
{
    const char *role = sql_identifier(findings->arena, conn_user(conn));
    enum errc rc = conn_exec(conn, "BEGIN; SET LOCAL lock_timeout = '10s'", err);
    for (size_t i = 0; i < plan->count && !rc; i++) {
        struct error own = ERROR_INIT;
        if ((rc = conn_exec(conn, "SAVEPOINT rehearsal", err)))
            break;
        if (!conn_exec(conn, plan->statements[i], &own))
            continue;
        if (own.code != ERR_SQL) {
            *err = own;
            return own.code;
        }
        add_finding(&plan->parts[i], role, conn_server_version(conn), &own, findings);
        plan->is_left_out[i] |= is_best_effort;
        rc = conn_exec(conn, "ROLLBACK TO rehearsal", err);
    }
    return rc;
}

enum errc database_carry_over_rehearse(struct control *control, struct carry_over *plan,
                                       bool is_best_effort, struct findings *findings,
                                       struct error *err)
{
    struct conn *conn = control_conn_take(control, err);
    if (!conn)
        return err->code;
    enum errc rc = rehearse(conn, plan, is_best_effort, findings, err);
    control_roll_back(conn);
    control_conn_give(control);
    return rc ? error_wrap(err, "rehearsal of the carry-over") : RR_OK;
}
