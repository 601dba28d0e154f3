/*
 * What the archive needs and the server lacks, before anything is changed. Each finding says what
 * is missing, for what, and the SQL that cures it. Only what is certain is a finding: names that
 * cannot be compared (another encoding than the connection's), objects that an extension may bring,
 * and rights that a provider may have changed are left to the load itself.
 */
#include "lib/restore/load.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/pg/sql.h"
#include "lib/restore/needs.h"
#include "lib/restore/statements.h"

enum { OLDEST_SERVER = 13 };

/* One preflight. */
struct check {
    const struct toc *toc;
    struct conn *conn;
    const struct load_options *options;
    struct archive_settings settings;
    struct needs needs;
    struct arena arena;
    const char *role; /* that will do the work */
    bool is_superuser;
    bool is_providers; /* a managed service's stand-in for a superuser: what it may do is not in the
                          catalog */
    void (*add)(void *context, const char *finding);
    void *context;
};

static void check_guard(struct check *check)
{
    arena_release(&check->arena);
}

static void add(struct check *check, const char *fmt, ...) RR_PRINTF(2, 3);
static void add(struct check *check, const char *fmt, ...)
{
    STR_GUARD struct str text = STR_INIT(4 * LIMIT_KIB);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&text, fmt, ap);
    va_end(ap);
    check->add(check->context, str_text(&text));
}

static const char *quoted(struct check *check, const char *name)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_KIB);
    str_append_quoted(&text, name, 100);
    return arena_strdup(&check->arena, str_text(&text));
}

/* "TABLE 't' (entry 3) and 4 others" */
static const char *users_of(struct check *check, const struct need *need)
{
    const char *first = entry_title(&check->arena, need->first);
    if (need->count == 1)
        return first;
    return arena_printf(&check->arena, "%s and %zu more", first, need->count - 1);
}

/* Names are the archive's bytes; the connection speaks UTF-8. */
static bool is_comparable(const struct check *check, const char *name)
{
    if (text_equal(check->settings.encoding, "UTF8"))
        return true;
    for (; *name != '\0'; name++)
        if ((unsigned char)*name >= 0x80)
            return false;
    return true;
}

/* The names as a literal of type text[]; names that cannot be compared are empty, which no object
 * is called. */
static const char *array_of(struct check *check, const struct need_list *list)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_STATEMENT_BYTES);
    str_append_char(&text, '{');
    for (size_t i = 0; i < list->count; i++) {
        str_append(&text, i == 0 ? "\"" : ",\"");
        const char *name = list->items[i].name;
        for (; is_comparable(check, list->items[i].name) && *name != '\0'; name++) {
            if (*name == '"' || *name == '\\')
                str_append_char(&text, '\\');
            str_append_char(&text, *name);
        }
        str_append_char(&text, '"');
    }
    str_append_char(&text, '}');
    return arena_strdup(&check->arena, str_text(&text));
}

/* Runs `sql` with the names as $1 and the role as $2; it answers positions (from 1) of names that
 * something is wrong with, each of which is reported. */
static enum errc each_bad(struct check *check, const struct need_list *list, const char *sql,
                          void (*report)(struct check *check, const struct need *need),
                          struct error *err)
{
    if (list->count == 0)
        return RR_OK;
    const char *const params[] = {array_of(check, list), check->role};
    struct rows rows;
    if (conn_query(check->conn, &check->arena, sql, params, 2, &rows, err))
        return err->code;
    for (size_t i = 0; i < rows.row_count; i++) {
        uint64_t position;
        if (!text_to_u64(rows_get(&rows, i, 0), list->count, &position) || position == 0)
            return error_set(err, ERR_BUG, "a position came back as something else");
        report(check, &list->items[position - 1]);
    }
    return RR_OK;
}

/* Missing things. */

static void report_role(struct check *check, const struct need *need, const char *why)
{
    if (text_has_prefix(need->name, "pg_"))
        add(check,
            "role %s, which is built into newer servers, does not exist here, but %s %s: restore "
            "into a "
            "newer server",
            quoted(check, need->name), why, users_of(check, need));
    else
        add(check, "role %s does not exist, but %s %s: run CREATE ROLE %s;",
            quoted(check, need->name), why, users_of(check, need),
            sql_identifier(&check->arena, need->name));
}

static void report_owner(struct check *check, const struct need *need)
{
    report_role(check, need, "would own");
}

/* A role that owns something too has been reported for that. */
static void report_named_role(struct check *check, const struct need *need)
{
    for (size_t i = 0; i < check->needs.owners.count; i++)
        if (strcmp(check->needs.owners.items[i].name, need->name) == 0)
            return;
    report_role(check, need, "is named by");
}

static void report_tablespace(struct check *check, const struct need *need)
{
    add(check,
        "tablespace %s does not exist, but %s would live in it: run CREATE TABLESPACE %s LOCATION "
        "'/a/folder/on/the/server';",
        quoted(check, need->name), users_of(check, need),
        sql_identifier(&check->arena, need->name));
}

static void report_extension(struct check *check, const struct need *need)
{
    add(check,
        "extension %s is not available on the server: install its package on the server's machine, "
        "until SELECT * FROM pg_available_extensions WHERE name = %s; finds it",
        quoted(check, need->name), sql_literal(&check->arena, need->name));
}

static void report_access_method(struct check *check, const struct need *need)
{
    add(check,
        "table access method %s does not exist, but %s would use it: install the extension that "
        "brings it",
        quoted(check, need->name), users_of(check, need));
}

#define MISSING_FROM(catalog, column)                                                              \
    "SELECT i FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS u(n, i) "                      \
    "WHERE n <> '' AND $2::text IS NOT NULL AND NOT EXISTS "                                       \
    "(SELECT FROM " catalog " WHERE " column " = n) ORDER BY i"

static enum errc check_missing(struct check *check, struct error *err)
{
    struct needs *needs = &check->needs;
    static const char roles_sql[] = MISSING_FROM("pg_catalog.pg_roles", "rolname");
    if (each_bad(check, &needs->owners, roles_sql, report_owner, err) ||
        each_bad(check, &needs->roles, roles_sql, report_named_role, err) ||
        each_bad(check, &needs->tablespaces, MISSING_FROM("pg_catalog.pg_tablespace", "spcname"),
                 report_tablespace, err) ||
        each_bad(check, &needs->extensions,
                 MISSING_FROM("pg_catalog.pg_available_extensions", "name"), report_extension, err))
        return err->code;
    if (needs->brings_access_methods)
        return RR_OK;
    return each_bad(check, &needs->access_methods, MISSING_FROM("pg_catalog.pg_am", "amname"),
                    report_access_method, err);
}

/* Rights. */

static void report_membership(struct check *check, const struct need *need)
{
    add(check, "role %s is no member of role %s, which is to own %s: run GRANT %s TO %s;",
        quoted(check, check->role), quoted(check, need->name), users_of(check, need),
        sql_identifier(&check->arena, need->name), sql_identifier(&check->arena, check->role));
}

static void report_superuser_owner(struct check *check, const struct need *need)
{
    add(check,
        "only a superuser may give anything to role %s, which is one and is to own %s, and role %s "
        "is none: run "
        "ALTER ROLE %s SUPERUSER; or restore as a superuser",
        quoted(check, need->name), users_of(check, need), quoted(check, check->role),
        sql_identifier(&check->arena, check->role));
}

static void report_tablespace_right(struct check *check, const struct need *need)
{
    add(check,
        "role %s may not create anything in tablespace %s, but %s would live there: run GRANT "
        "CREATE "
        "ON TABLESPACE %s TO %s;",
        quoted(check, check->role), quoted(check, need->name), users_of(check, need),
        sql_identifier(&check->arena, need->name), sql_identifier(&check->arena, check->role));
}

static void report_extension_right(struct check *check, const struct need *need)
{
    add(check,
        "only a superuser may create extension %s, and role %s is none: run ALTER ROLE %s "
        "SUPERUSER; or "
        "restore as a superuser",
        quoted(check, need->name), quoted(check, check->role),
        sql_identifier(&check->arena, check->role));
}

/* Membership in pg_database_owner depends on the database that one is connected to. */
#define NO_MEMBER(superuser)                                                                       \
    "SELECT i FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS u(n, i) "                      \
    "JOIN pg_catalog.pg_roles r ON r.rolname = n "                                                 \
    "WHERE n <> 'pg_database_owner' AND r.rolsuper = " superuser                                   \
    " AND NOT pg_catalog.pg_has_role($2::name, r.oid, "                                            \
    "CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000 THEN 'SET' "        \
    "ELSE 'MEMBER' END) ORDER BY i"
static const char tablespace_right_sql[] =
    "SELECT i FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS u(n, i) "
    "JOIN pg_catalog.pg_tablespace t ON t.spcname = n "
    "WHERE NOT pg_catalog.has_tablespace_privilege($2::name, t.oid, 'CREATE') ORDER BY i";
static const char extension_right_sql[] =
    "SELECT i FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS u(n, i) "
    "JOIN pg_catalog.pg_available_extensions e ON e.name = n "
    "JOIN pg_catalog.pg_available_extension_versions v ON v.name = n AND v.version = "
    "e.default_version "
    "WHERE v.superuser AND NOT v.trusted AND n <> 'plpgsql' AND $2::text IS NOT NULL ORDER BY i";

static void check_powers(struct check *check)
{
    for (int i = 0; i < POWER_COUNT; i++) {
        const struct need *need = &check->needs.powers[i];
        if (need->count > 0)
            add(check,
                "only a superuser may restore %s, and role %s is none: %s; run ALTER ROLE %s "
                "SUPERUSER; "
                "or restore as a superuser",
                power_text((enum power)i), quoted(check, check->role), users_of(check, need),
                sql_identifier(&check->arena, check->role));
    }
}

static enum errc check_rights(struct check *check, struct error *err)
{
    if (check->is_superuser)
        return RR_OK;
    if (each_bad(check, &check->needs.owners, NO_MEMBER("false"), report_membership, err) ||
        each_bad(check, &check->needs.owners, NO_MEMBER("true"), report_superuser_owner, err) ||
        each_bad(check, &check->needs.tablespaces, tablespace_right_sql, report_tablespace_right,
                 err))
        return err->code;
    if (check->is_providers)
        return RR_OK;
    check_powers(check);
    return each_bad(check, &check->needs.extensions, extension_right_sql, report_extension_right,
                    err);
}

/* Versions and encodings. */

static void check_versions(struct check *check)
{
    int server = conn_server_version(check->conn) / 10000, dumped = toc_server_major(check->toc);
    if (server < OLDEST_SERVER)
        add(check, "the server is PostgreSQL %d: restoring is supported from PostgreSQL %d on",
            server, OLDEST_SERVER);
    if (dumped > server)
        add(check,
            "the archive comes from PostgreSQL %d and the server is PostgreSQL %d, which does not "
            "understand all of it: restore into PostgreSQL %d or later",
            dumped, server, dumped);
    if (check->needs.with_oids != NULL && server >= 12)
        add(check,
            "%s was dumped WITH OIDS, which PostgreSQL 12 and later do not have: run ALTER TABLE "
            "%s SET "
            "WITHOUT OIDS; on the source and dump again",
            entry_title(&check->arena, check->needs.with_oids),
            entry_qualified(&check->arena, check->needs.with_oids));
}

/* SQL_ASCII on either side means that nothing is converted. */
static enum errc check_encoding(struct check *check, struct error *err)
{
    const char *const params[] = {check->settings.encoding, check->options->database};
    struct rows rows;
    if (conn_query(
            check->conn, &check->arena,
            "SELECT pg_catalog.pg_char_to_encoding($1) >= 0, "
            "pg_catalog.pg_encoding_to_char(encoding), "
            "$1 = 'SQL_ASCII' OR encoding IN (0, pg_catalog.pg_char_to_encoding($1)) OR EXISTS "
            "(SELECT FROM pg_catalog.pg_conversion WHERE condefault AND contoencoding = encoding "
            "AND conforencoding = pg_catalog.pg_char_to_encoding($1)) "
            "FROM pg_catalog.pg_database "
            "WHERE datname = coalesce($2, pg_catalog.current_database())",
            params, 2, &rows, err))
        return err->code;
    if (rows.row_count == 0)
        return RR_OK; /* the database is yet to be made */
    if (text_equal(rows_get(&rows, 0, 0), "f"))
        add(check, "the archive's encoding '%s' is unknown to the server",
            check->settings.encoding);
    else if (text_equal(rows_get(&rows, 0, 2), "f"))
        add(check,
            "the archive's encoding %s cannot be converted to the database's encoding %s: restore "
            "into a "
            "database made with CREATE DATABASE ... TEMPLATE template0 ENCODING '%s';",
            check->settings.encoding, rows_get(&rows, 0, 1), check->settings.encoding);
    return RR_OK;
}

/* Who we are. */

static enum errc look_at_role(struct check *check, struct error *err)
{
    const char *const params[] = {check->options->role};
    struct rows rows;
    if (conn_query(check->conn, &check->arena,
                   "SELECT r.rolname, r.rolsuper, EXISTS (SELECT FROM pg_catalog.pg_roles p "
                   "WHERE NOT p.rolsuper AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER') AND "
                   "(p.rolname ~ 'super_?user|superadmin' OR "
                   "p.rolname IN ('azure_pg_admin', 'doadmin', 'avnadmin', 'supabase_admin'))) "
                   "FROM pg_catalog.pg_roles r WHERE r.rolname = coalesce($1, current_user)",
                   params, 1, &rows, err))
        return err->code;
    if (rows.row_count == 0) {
        add(check, "role %s, as which the restore is to run, does not exist: run CREATE ROLE %s;",
            quoted(check, check->options->role),
            sql_identifier(&check->arena, check->options->role));
        check->role = check->options->role;
        check->is_superuser = true; /* rights of nobody cannot be checked */
        return RR_OK;
    }
    check->role = rows_get(&rows, 0, 0);
    check->is_superuser = text_equal(rows_get(&rows, 0, 1), "t");
    check->is_providers = text_equal(rows_get(&rows, 0, 2), "t");
    return RR_OK;
}

enum errc load_preflight(const struct toc *toc, struct conn *conn,
                         const struct load_options *options,
                         void (*add_finding)(void *context, const char *finding), void *context,
                         struct error *err)
{
    __attribute__((cleanup(check_guard))) struct check check = {
        .toc = toc, .conn = conn, .options = options, .add = add_finding, .context = context};
    if (toc_check_cycles(toc, err) || settings_parse(toc, &check.arena, &check.settings, err) ||
        look_at_role(&check, err))
        return err->code;
    needs_collect(&check.needs, toc, &check.settings, options, &check.arena);
    check_versions(&check);
    if (check_encoding(&check, err) || check_missing(&check, err) || check_rights(&check, err))
        return err->code;
    return RR_OK;
}
