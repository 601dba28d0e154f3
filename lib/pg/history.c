/* The history: one row a swap, job or adoption. Rows are only ever added. */
#include <string.h>

#include "lib/pg/control_internal.h"

#define SELECT_HISTORY                                                                             \
    "SELECT seq, kind, desired, request, held_desired, held_request, state_ref, run_id, "          \
    "system_id,"                                                                                   \
    " old_oid, new_oid, backup, checksum, size_bytes, " CONTROL_RFC3339(                           \
        "finished_at") ","                                                                         \
                       " system_id = " CONTROL_SYSTEM_ID                                           \
                       " FROM restore_reconciler.history WHERE target = $1"

static void read_row(const struct rows *rows, size_t row, struct history_row *ret)
{
    size_t column = 0;
    ret->seq = control_to_int(rows_get(rows, row, column++));
    ret->kind = rows_get(rows, row, column++);
    ret->desired = rows_get(rows, row, column++);
    ret->request = rows_get(rows, row, column++);
    ret->held_desired = rows_get(rows, row, column++);
    ret->held_request = rows_get(rows, row, column++);
    ret->state_ref = rows_get(rows, row, column++);
    ret->run_id = rows_get(rows, row, column++);
    ret->system_id = rows_get(rows, row, column++);
    ret->old_oid = (uint32_t)control_to_int(rows_get(rows, row, column++));
    ret->new_oid = (uint32_t)control_to_int(rows_get(rows, row, column++));
    ret->backup = rows_get(rows, row, column++);
    ret->checksum = rows_get(rows, row, column++);
    ret->size_bytes = control_to_int(rows_get(rows, row, column++));
    ret->finished_at = rows_get(rows, row, column++);
    ret->is_on_this_system = *rows_get(rows, row, column) == 't';
}

/* The first row of a query that begins with SELECT_HISTORY. */
static enum errc read_first(struct control *control, struct arena *arena, const char *sql,
                            const char *param, struct history_row *ret_row, bool *ret_is_found,
                            struct error *err)
{
    struct rows rows;
    const char *params[] = {control->options.target, param};
    *ret_is_found = false;
    if (!control->has_tables)
        return RR_OK;
    enum errc rc = control_query(control, arena, sql, params, param ? 2 : 1, &rows, err);
    if (rc)
        return rc;
    *ret_is_found = rows.row_count > 0;
    if (*ret_is_found)
        read_row(&rows, 0, ret_row);
    return RR_OK;
}

enum errc control_history_newest(struct control *control, struct arena *arena,
                                 struct history_row *ret_row, bool *ret_is_found, struct error *err)
{
    return read_first(control, arena, SELECT_HISTORY " ORDER BY seq DESC LIMIT 1", NULL, ret_row,
                      ret_is_found, err);
}

enum errc control_history_of_run(struct control *control, struct arena *arena, const char *run_id,
                                 struct history_row *ret_row, bool *ret_is_found, struct error *err)
{
    return read_first(control, arena, SELECT_HISTORY " AND run_id = $2 ORDER BY seq DESC LIMIT 1",
                      run_id, ret_row, ret_is_found, err);
}

enum errc control_history_of_oid(struct control *control, struct arena *arena, uint32_t new_oid,
                                 struct history_row *ret_row, bool *ret_is_found, struct error *err)
{
    return read_first(control, arena,
                      SELECT_HISTORY " AND new_oid = $2::oid AND system_id = " CONTROL_SYSTEM_ID
                                     " ORDER BY seq DESC LIMIT 1",
                      control_int(arena, new_oid), ret_row, ret_is_found, err);
}

enum errc control_history_list(struct control *control, struct arena *arena, size_t limit,
                               struct history_row **ret_rows, size_t *ret_count, struct error *err)
{
    struct rows rows;
    const char *params[] = {control->options.target, control_int(arena, (int64_t)limit)};
    *ret_count = 0;
    if (!control->has_tables)
        return RR_OK;
    enum errc rc =
        control_query(control, arena, SELECT_HISTORY " ORDER BY seq DESC LIMIT $2::bigint", params,
                      2, &rows, err);
    if (rc)
        return rc;
    struct history_row *list = arena_array(arena, rows.row_count, sizeof *list);
    for (size_t i = 0; i < rows.row_count; i++)
        read_row(&rows, i, &list[i]);
    *ret_rows = list;
    *ret_count = rows.row_count;
    return RR_OK;
}

/* The fence row is locked by the same statement: a stale holder inserts nothing. */
static const char insert_remark[] =
    "WITH f AS MATERIALIZED (SELECT target, run_id, state_ref FROM restore_reconciler.fence"
    "  WHERE target = $1 AND token = $2::bigint AND run_id = $3 FOR UPDATE)"
    " INSERT INTO restore_reconciler.history (kind, target, desired, request, held_desired, "
    "held_request,"
    "  state_ref, run_id, system_id, old_oid, new_oid, backup, size_bytes, checksum, started_at, "
    "finished_at)"
    " SELECT $5, f.target, $6, $7, $8, $9, f.state_ref, f.run_id, " CONTROL_SYSTEM_ID
    ", 0, $4::oid, '', 0, '', now(), now() FROM f RETURNING 1";

/* A row without a swap. */
static enum errc remark(struct control *control, const char *kind, uint32_t live_oid, const char *const key[2],
                        const char *const held[2], struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const char *params[] = {
        control->options.target, control_int(&arena, control->token), control->options.run_id,
        control_int(&arena, live_oid), kind, key[0], key[1], held[0], held[1],
    };
    enum errc rc = control_query(control, &arena, insert_remark, params, 9, &rows, err);
    if (rc || rows.row_count == 1)
        return rc;
    return control_fence_lost(err);
}

enum errc control_history_adopt(struct control *control, uint32_t live_oid, const char *desired,
                                const char *request, struct error *err)
{
    return remark(control, "adopt", live_oid, (const char *const[]){desired, request}, (const char *const[]){"", ""},
                  err);
}

enum errc control_history_hold(struct control *control, uint32_t live_oid, const char *desired,
                               const char *request, struct error *err)
{
    return remark(control, "rollback", live_oid, (const char *const[]){"", ""},
                  (const char *const[]){desired, request}, err);
}
