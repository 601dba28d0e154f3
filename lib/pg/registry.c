/* The registry: every database that we made or replaced. Nothing without a row here is ever renamed
 * or dropped. */
#include <string.h>

#include "lib/pg/control_internal.h"
#include "lib/pg/sql.h"

/* The size is asked of the server only where it would not refuse. A row without an oid is of a
 * CREATE DATABASE that was cut off: the database is there or not, and only its name is known. */
static const char list_registry[] =
    "SELECT r.name, r.oid, r.kind, r.state, r.run_id, r.desired, r.request,"
    " " CONTROL_RFC3339("r.created_at") ", coalesce(" CONTROL_RFC3339(
        "r.expires_at") ", ''),"
                        " coalesce(r.expires_at <= now(), false), d.oid IS NOT NULL,"
                        " CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR "
                        "pg_has_role('pg_read_all_stats', 'USAGE')"
                        "  THEN coalesce(pg_catalog.pg_database_size(d.oid), -1) ELSE -1 END"
                        " FROM restore_reconciler.database r LEFT JOIN pg_catalog.pg_database d"
                        "  ON d.datname::text = r.name AND (r.oid = 0 OR d.oid = r.oid)"
                        " WHERE r.target = $1 ORDER BY r.created_at, r.name";

static void read_row(const struct rows *rows, size_t row, struct registry_row *ret)
{
    size_t column = 0;
    ret->name = rows_get(rows, row, column++);
    ret->oid = (uint32_t)control_to_int(rows_get(rows, row, column++));
    ret->kind = rows_get(rows, row, column++);
    ret->state = rows_get(rows, row, column++);
    ret->run_id = rows_get(rows, row, column++);
    ret->desired = rows_get(rows, row, column++);
    ret->request = rows_get(rows, row, column++);
    ret->created_at = rows_get(rows, row, column++);
    ret->expires_at = rows_get(rows, row, column++);
    ret->is_due = *rows_get(rows, row, column++) == 't';
    ret->exists = *rows_get(rows, row, column++) == 't';
    ret->size_bytes = control_to_int(rows_get(rows, row, column));
}

enum errc control_registry_list(struct control *control, struct arena *arena,
                                struct registry_row **ret_rows, size_t *ret_count,
                                struct error *err)
{
    struct rows rows;
    const char *params[] = {control->options.target};
    *ret_count = 0;
    if (!control->has_tables)
        return RR_OK;
    enum errc rc = control_query(control, arena, list_registry, params, 1, &rows, err);
    if (rc)
        return rc;
    struct registry_row *list = arena_array(arena, rows.row_count, sizeof *list);
    for (size_t i = 0; i < rows.row_count; i++)
        read_row(&rows, i, &list[i]);
    *ret_rows = list;
    *ret_count = rows.row_count;
    return RR_OK;
}

enum errc control_registry_strangers(struct control *control, struct arena *arena,
                                     const char ***ret_names, size_t *ret_count, struct error *err)
{
    struct rows rows;
    *ret_count = 0;
    if (!control->has_tables)
        return RR_OK;
    const char *prefix =
        arena_printf(arena, "%s_rr", sql_live_part(arena, control->options.target));
    const char *params[] = {prefix};
    enum errc rc = control_query(
        control, arena,
        "SELECT d.datname FROM pg_catalog.pg_database d WHERE starts_with(d.datname::text, $1)"
        " AND substr(d.datname::text, length($1) + 1) ~ '^[spt][a-z2-7]{12}$'"
        " AND NOT EXISTS (SELECT FROM restore_reconciler.database r WHERE r.name = d.datname::text)"
        " ORDER BY 1",
        params, 1, &rows, err);
    if (rc)
        return rc;
    const char **names = arena_array(arena, rows.row_count, sizeof *names);
    for (size_t i = 0; i < rows.row_count; i++)
        names[i] = rows_get(&rows, i, 0);
    *ret_names = names;
    *ret_count = rows.row_count;
    return RR_OK;
}

enum errc control_registry_next_expiry(struct control *control, struct arena *arena,
                                       const char **ret_when, struct error *err)
{
    struct rows rows;
    const char *params[] = {control->options.target};
    *ret_when = "";
    if (!control->has_tables)
        return RR_OK;
    enum errc rc = control_query(
        control, arena, /* rounded up: at that second it is due */
        "SELECT coalesce(" CONTROL_RFC3339(
            "(min(expires_at) + interval '1 s')") ", '') FROM restore_reconciler.database"
                                                  " WHERE target = $1 AND state IN ('kept', "
                                                  "'dropping')",
        params, 1, &rows, err);
    if (!rc)
        *ret_when = rows_get(&rows, 0, 0);
    return rc;
}
