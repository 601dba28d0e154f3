/*
 * The tables of the control database, version 1. Made in one transaction, under a lock of their own
 * so that two programs that start at the same moment do not meet half of them.
 *
 * Before they are used it is made sure that they are ours: a role that may create databases could
 * have laid out a control database for us, with triggers or rules that would run with our rights.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/sql.h"

#define SCHEMA_VERSION "1"

static const char create_tables[] =
    "BEGIN; SET LOCAL default_tablespace = ''; SET LOCAL default_table_access_method = heap; "
    "SELECT pg_catalog.pg_advisory_xact_lock(29299, 0); "
    "CREATE SCHEMA IF NOT EXISTS restore_reconciler; "
    "CREATE TABLE IF NOT EXISTS restore_reconciler.schema_version (version int NOT NULL); "
    "CREATE TABLE IF NOT EXISTS restore_reconciler.fence ("
    " target text PRIMARY KEY, token bigint NOT NULL, run_id text NOT NULL, recovering text,"
    " phase text NOT NULL, state_ref text NOT NULL, desired text NOT NULL, request text NOT NULL,"
    " updated_at timestamptz NOT NULL); "
    "CREATE TABLE IF NOT EXISTS restore_reconciler.history ("
    " seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, target text NOT "
    "NULL,"
    " desired text NOT NULL, request text NOT NULL, held_desired text NOT NULL, held_request text "
    "NOT NULL,"
    " state_ref text NOT NULL, run_id text NOT NULL, system_id text NOT NULL, old_oid oid NOT NULL,"
    " new_oid oid NOT NULL, backup text NOT NULL, size_bytes bigint NOT NULL, checksum text NOT "
    "NULL,"
    " started_at timestamptz, finished_at timestamptz NOT NULL); "
    "CREATE INDEX IF NOT EXISTS history_target ON restore_reconciler.history (target, seq); "
    "CREATE TABLE IF NOT EXISTS restore_reconciler.database ("
    " name text PRIMARY KEY, oid oid NOT NULL, target text NOT NULL, kind text NOT NULL, run_id "
    "text NOT NULL,"
    " state text NOT NULL, desired text NOT NULL, request text NOT NULL, made_by_us bool NOT NULL,"
    " created_at timestamptz NOT NULL, expires_at timestamptz, size_bytes bigint); "
    "INSERT INTO restore_reconciler.schema_version SELECT " SCHEMA_VERSION
    " WHERE NOT EXISTS (SELECT FROM restore_reconciler.schema_version); "
    "REVOKE ALL ON ALL TABLES IN SCHEMA restore_reconciler FROM PUBLIC; ";

struct facts {
    bool is_standby, has_tables, is_owner, is_public;
    const char *owner;
};

static enum errc look(struct conn *conn, struct arena *arena, struct facts *ret, struct error *err)
{
    struct rows rows;
    enum errc rc = conn_query(
        conn, arena,
        "SELECT pg_is_in_recovery(),"
        " EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        "         WHERE n.nspname = 'restore_reconciler' AND c.relname = 'schema_version'),"
        " pg_has_role(datdba, 'USAGE'), has_database_privilege('public', oid, 'CONNECT'),"
        " pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()",
        NULL, 0, &rows, err);
    if (rc)
        return rc;
    *ret = (struct facts){
        .is_standby = *rows_get(&rows, 0, 0) == 't',
        .has_tables = *rows_get(&rows, 0, 1) == 't',
        .is_owner = *rows_get(&rows, 0, 2) == 't',
        .is_public = *rows_get(&rows, 0, 3) == 't',
        .owner = rows_get(&rows, 0, 4),
    };
    return RR_OK;
}

static enum errc create_schema(struct conn *conn, const struct control_options *options,
                               const struct facts *facts, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    const char *close_it = "";
    if (facts->is_owner)
        close_it = arena_printf(&arena, "REVOKE ALL ON DATABASE %s FROM PUBLIC; ",
                                sql_identifier(&arena, options->control_database));
    enum errc rc = conn_execf(conn, err, "%s%sCOMMIT", create_tables, close_it);
    if (!rc)
        return RR_OK;
    control_roll_back(conn);
    return error_wrap(err, "its tables cannot be created");
}

/* A column that is missing, and a right that is missing, show at once: each statement names all
 * that we use. */
static const char probe_tables[] = "SELECT f.target, f.token, f.run_id, f.recovering, f.phase, "
                                   "f.state_ref, f.desired, f.request, f.updated_at,"
                                   " h.seq, h.kind, h.target, h.desired, h.request, "
                                   "h.held_desired, h.held_request, h.state_ref, h.run_id,"
                                   " h.system_id, h.old_oid, h.new_oid, h.backup, h.size_bytes, "
                                   "h.checksum, h.started_at, h.finished_at,"
                                   " d.name, d.oid, d.target, d.kind, d.run_id, d.state, "
                                   "d.desired, d.request, d.made_by_us, d.created_at,"
                                   " d.expires_at, d.size_bytes"
                                   " FROM restore_reconciler.fence f, restore_reconciler.history "
                                   "h, restore_reconciler.database d LIMIT 0";

static const char find_foreign_parts[] =
    "SELECT c.relname, CASE WHEN c.relkind NOT IN ('r', 'i', 'S') THEN 'is not a table'"
    "  WHEN c.relhastriggers THEN 'has triggers' WHEN c.relhasrules THEN 'has rules'"
    "  WHEN c.relrowsecurity THEN 'has row security'"
    "  WHEN NOT pg_has_role(c.relowner, 'USAGE') AND NOT r.rolsuper THEN"
    "   'belongs to ' || quote_ident(r.rolname) ELSE 'has a default, a check or an index with an "
    "expression' END"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = "
    "c.relowner"
    " WHERE n.nspname = 'restore_reconciler' AND (c.relkind NOT IN ('r', 'i', 'S') OR "
    "c.relhastriggers"
    "  OR c.relhasrules OR c.relrowsecurity OR NOT (pg_has_role(c.relowner, 'USAGE') OR r.rolsuper)"
    "  OR EXISTS (SELECT FROM pg_attrdef a WHERE a.adrelid = c.oid)"
    "  OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c')"
    "  OR EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid AND (i.indexprs IS NOT NULL"
    "             OR i.indpred IS NOT NULL)))"
    " ORDER BY 1 LIMIT 1";

static enum errc check_schema(struct conn *conn, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    enum errc rc = conn_query(conn, &arena, find_foreign_parts, NULL, 0, &rows, err);
    if (rc)
        return rc;
    if (rows.row_count) {
        STR_GUARD struct str what = STR_INIT(512);
        str_append_quoted(&what, rows_get(&rows, 0, 0), 63);
        str_append_char(&what, ' ');
        conn_append_message(&what, rows_get(&rows, 0, 1), 200);
        error_set(err, ERR_CONTROL_DATABASE, "it is not as this program makes it: %s",
                  str_text(&what));
        return error_hint(err,
                          "find out who changed it; or name another one with 'controlDatabase'");
    }
    rc = conn_query(conn, &arena, "SELECT version FROM restore_reconciler.schema_version", NULL, 0,
                    &rows, err);
    if (rc)
        return rc;
    const char *version = rows.row_count == 1 ? rows_get(&rows, 0, 0) : "unknown";
    if (strcmp(version, SCHEMA_VERSION) != 0) {
        error_set(err, ERR_CONTROL_DATABASE,
                  "its tables have version %s, this program knows version %s", version,
                  SCHEMA_VERSION);
        return error_hint(err, "run the newer one of your versions of this program");
    }
    return conn_query(conn, &arena, probe_tables, NULL, 0, &rows, err);
}

static enum errc refuse_standby(struct error *err)
{
    error_set(err, ERR_CONTROL_DATABASE, "the server is a standby, which cannot be written");
    return error_hint(
        err, "connect to the primary; with several hosts set PGTARGETSESSIONATTRS=read-write");
}

enum errc control_schema_prepare(struct conn *conn, const struct control_options *options,
                                 bool *ret_is_there, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct facts facts;
    enum errc rc = look(conn, &arena, &facts, err);
    if (rc)
        return rc;
    if (facts.is_standby && options->may_create)
        return refuse_standby(err);
    *ret_is_there = facts.has_tables || options->may_create;
    if (!*ret_is_there)
        return RR_OK;
    if (!facts.has_tables && ((rc = create_schema(conn, options, &facts, err)) ||
                              (rc = look(conn, &arena, &facts, err))))
        return rc;
    if (facts.is_public)
        log_warn("every role may connect to the control database, and could hold its lock",
                 LOG_TEXT("database", options->control_database), LOG_TEXT("owner", facts.owner),
                 LOG_TEXT("hint", "REVOKE ALL ON DATABASE ... FROM PUBLIC"));
    return check_schema(conn, err);
}
