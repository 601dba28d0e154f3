/* Databases as wholes: finding them, looking inside, making staging, checking what was loaded. */
#include "lib/pg/database.h"

#include <stdarg.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/sql.h"

void findings_add(struct findings *findings, const char *fmt, ...)
{
    STR_GUARD struct str text = STR_INIT(4096);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&text, fmt, ap);
    va_end(ap);
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? 2 * findings->capacity : 8;
        const char **items = arena_array(findings->arena, capacity, sizeof *items);
        if (findings->count)
            memcpy(items, findings->items, findings->count * sizeof *items);
        findings->items = items;
        findings->capacity = capacity;
    }
    findings->items[findings->count++] = arena_strdup(findings->arena, str_text(&text));
}

/*
 * --- find --------------------------------------------------------------------------------------
 */

/* Columns of pg_database that came and went with the versions: provider, locale, rules. */
static const char *locale_columns(int version)
{
    if (version >= 170000)
        return "d.datlocprovider, d.datlocale, d.daticurules";
    if (version >= 160000)
        return "d.datlocprovider, d.daticulocale, d.daticurules";
    if (version >= 150000)
        return "d.datlocprovider, d.daticulocale, NULL";
    return "'c', NULL, NULL";
}

static void read_info(const struct rows *rows, struct database_info *ret)
{
    *ret = (struct database_info){
        .oid = (uint32_t)control_to_int(rows_get(rows, 0, 0)),
        .name = rows_get(rows, 0, 1),
        .owner = rows_get(rows, 0, 2),
        .encoding = rows_get(rows, 0, 3),
        .collate = rows_get(rows, 0, 4),
        .ctype = rows_get(rows, 0, 5),
        .provider = *rows_get(rows, 0, 6),
        .locale = rows_get(rows, 0, 7),
        .icu_rules = rows_get(rows, 0, 8),
        .tablespace = rows_get(rows, 0, 9),
        .connection_limit = (int)control_to_int(rows_get(rows, 0, 10)),
        .allows_connections = *rows_get(rows, 0, 11) == 't',
        .is_template = *rows_get(rows, 0, 12) == 't',
        .size_bytes = control_to_int(rows_get(rows, 0, 13)),
    };
}

enum errc database_find(struct control *control, struct arena *arena, const char *name,
                        struct database_info *ret_info, bool *ret_is_found, struct error *err)
{
    const char *sql = arena_printf(
        arena,
        "SELECT d.oid, d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), "
        "d.datcollate,"
        " d.datctype, %s, t.spcname, d.datconnlimit, d.datallowconn, d.datistemplate,"
        " CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', "
        "'USAGE')"
        "  THEN coalesce(pg_catalog.pg_database_size(d.oid), -1) ELSE -1 END"
        " FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace"
        " WHERE d.datname::text = $1",
        locale_columns(control_server_version(control)));
    struct rows rows;
    const char *params[] = {name};
    /* As text: compared as names, the server would cut a longer one to 63 bytes and find another
     * database. */
    enum errc rc = control_query(control, arena, sql, params, 1, &rows, err);
    if (rc)
        return rc;
    *ret_is_found = rows.row_count == 1;
    if (*ret_is_found)
        read_info(&rows, ret_info);
    return RR_OK;
}

/*
 * --- look inside -------------------------------------------------------------------------------
 */

static const char find_content[] =
    "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    "  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid "
    "= c.oid"
    "   AND e.deptype = 'e'))"
    " OR EXISTS (SELECT FROM pg_largeobject_metadata)";

/* The server is there, but lets nobody (of us) into this database. */
static bool is_refusal(const struct error *err)
{
    return err->sqlstate[0] && !text_has_prefix(err->sqlstate, "57P") &&
           !text_has_prefix(err->sqlstate, "08");
}

enum errc database_look_inside(struct control *control, struct arena *arena, const char *name,
                               enum database_content *ret_content, const char **ret_why,
                               struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    struct conn_options options = {
        .database = name,
        .application_name = control->application_name,
        .cancel = control->options.cancel,
    };
    struct error own = ERROR_INIT;
    struct rows rows;
    enum errc rc = conn_open(&options, &conn, &own);
    if (!rc)
        rc = conn_query(conn, arena, find_content, NULL, 0, &rows, &own);
    if (rc && is_refusal(&own)) {
        *ret_content = DATABASE_UNKNOWN;
        *ret_why = arena_strdup(arena, own.text);
        return RR_OK;
    }
    if (rc) {
        *err = own;
        return rc;
    }
    *ret_content = *rows_get(&rows, 0, 0) == 't' ? DATABASE_HOLDS_TABLES : DATABASE_EMPTY;
    *ret_why = NULL;
    return RR_OK;
}

/*
 * --- verify ------------------------------------------------------------------------------------
 */

/* An index of a partitioned table is not valid while a partition lacks its part, which the dump may
 * have so on purpose; those of plain tables never are. */
static const char find_invalid_indexes[] = "SELECT format('%I.%I', n.nspname, c.relname) FROM "
                                           "pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
                                           " JOIN pg_namespace n ON n.oid = c.relnamespace"
                                           " WHERE c.relkind = 'i' AND NOT (i.indisvalid AND "
                                           "i.indisready AND i.indislive) ORDER BY 1 LIMIT 20";

static const char find_unvalidated[] =
    "SELECT count(*), min(format('%I on %s', conname, conrelid::regclass)) FROM pg_constraint "
    "WHERE NOT convalidated";

static enum errc verify(struct conn *conn, struct arena *arena, uint64_t expected_unvalidated,
                        struct findings *findings, struct error *err)
{
    struct rows rows;
    enum errc rc = conn_query(conn, arena, find_invalid_indexes, NULL, 0, &rows, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < rows.row_count; i++) {
        STR_GUARD struct str name = STR_INIT(512);
        conn_append_message(&name, rows_get(&rows, i, 0), 200);
        findings_add(findings, "index %s is not valid", str_text(&name));
    }
    rc = conn_query(conn, arena, find_unvalidated, NULL, 0, &rows, err);
    if (rc)
        return rc;
    uint64_t count = (uint64_t)control_to_int(rows_get(&rows, 0, 0));
    if (count > expected_unvalidated) {
        STR_GUARD struct str name = STR_INIT(512);
        conn_append_message(&name, rows_get(&rows, 0, 1), 200);
        findings_add(
            findings,
            "%llu constraints are not validated, and the backup has %llu such (one of them: %s)",
            (unsigned long long)count, (unsigned long long)expected_unvalidated, str_text(&name));
    }
    return RR_OK;
}

enum errc database_verify_catalog(const char *database, const struct conn_options *options,
                                  uint64_t expected_unvalidated, struct findings *findings,
                                  struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *conn = NULL;
    struct conn_options own = *options;
    own.database = database;
    enum errc rc = conn_open(&own, &conn, err);
    return rc ? rc : verify(conn, &arena, expected_unvalidated, findings, err);
}
