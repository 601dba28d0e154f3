#include "lib/restore/data.h"

#include "lib/archive/copy_splitter.h"
#include "lib/archive/inserts.h"
#include "lib/base/limits.h"
#include "lib/pg/copyin.h"
#include "lib/pg/sql.h"

/* Below this TRUNCATE and a transaction of its own cost more than FREEZE saves. */
static const uint64_t freeze_min_bytes = 1024 * 1024;
/* How much of a block is read between two reports. */
static const uint64_t report_bytes = 1024 * 1024;

/* One table on its way. */
struct table_load {
    const struct entry *entry;
    struct data_reader *data;
    uint64_t rows, rows_reported;
    uint64_t bytes_reported;
    const char *truncate_sql; /* NULL: the table is not truncated */
    const char *copy_sql;     /* NULL: INSERT statements */
};

static void report(struct session *session, struct table_load *table, bool is_last)
{
    uint64_t bytes = data_position(table->data) - table->bytes_reported;
    if (bytes < report_bytes && !is_last)
        return;
    session->meter.report(session->meter.context, bytes, table->rows - table->rows_reported);
    table->bytes_reported += bytes;
    table->rows_reported = table->rows;
}

/* Sends what belongs to rows of one piece. */
static enum errc send_piece(struct conn *conn, struct copy_splitter *splitter, const char *bytes,
                            size_t length, struct error *err)
{
    char held[4];
    size_t held_length = 0, send = 0;
    if (copy_splitter_feed(splitter, bytes, length, held, &held_length, &send, err) ||
        (held_length > 0 && copyin_write(conn, held, held_length, err)))
        return err->code;
    while (send > 0) {
        size_t part = send < LIMIT_COPY_PIECE_BYTES ? send : LIMIT_COPY_PIECE_BYTES;
        if (copyin_write(conn, bytes, part, err))
            return err->code;
        bytes += part;
        send -= part;
    }
    return RR_OK;
}

static enum errc send_rows(struct session *session, struct table_load *table, struct error *err)
{
    struct copy_splitter splitter = {0};
    for (;;) {
        const char *bytes;
        size_t length;
        if (data_pull(table->data, &bytes, &length, err))
            return err->code;
        if (length == 0)
            break;
        if (send_piece(session->conn, &splitter, bytes, length, err))
            return err->code;
        table->rows = splitter.rows;
        report(session, table, false);
    }
    return copy_splitter_finish(&splitter, err);
}

static enum errc copy_rows(struct session *session, struct table_load *table, struct error *err)
{
    uint64_t stored;
    if (data_begin(table->data, table->entry, err) ||
        copyin_begin(session->conn, table->copy_sql, err))
        return err->code;
    if (send_rows(session, table, err)) {
        copyin_abort(session->conn, "the archive could not be read to its end");
        return err->code;
    }
    if (copyin_end(session->conn, &stored, err))
        return err->code;
    if (stored != table->rows)
        return error_set(err, ERR_LOAD, "%llu rows were sent, but the server stored %llu",
                         (unsigned long long)table->rows, (unsigned long long)stored);
    return RR_OK;
}

/* Statements on their way to the server together, since each string costs a round trip. */
static enum errc send_inserts(struct session *session, struct str *batch, struct error *err)
{
    if (batch->length == 0)
        return RR_OK;
    if (str_check(batch, "INSERT statements", err) ||
        conn_exec(session->conn, str_text(batch), err))
        return err->code;
    str_clear(batch);
    return RR_OK;
}

/* Takes the complete statements out of the splitter. */
static enum errc take_inserts(struct session *session, struct insert_splitter *splitter,
                              struct str *batch, struct error *err)
{
    for (;;) {
        const char *statement;
        size_t length;
        if (insert_splitter_next(splitter, &statement, &length, err))
            return err->code;
        if (statement == NULL)
            return RR_OK;
        bool is_full = batch->length + length > LIMIT_COPY_PIECE_BYTES;
        if (is_full && send_inserts(session, batch, err))
            return err->code;
        str_append_bytes(batch, statement, length);
        str_append_char(batch, '\n');
    }
}

static enum errc run_inserts(struct session *session, struct table_load *table, struct error *err)
{
    INSERT_SPLITTER_GUARD struct insert_splitter splitter;
    STR_GUARD struct str batch = STR_INIT(LIMIT_STATEMENT_BYTES);
    insert_splitter_init(&splitter, session->load->settings.has_standard_strings);
    if (data_begin(table->data, table->entry, err))
        return err->code;
    for (;;) {
        const char *bytes;
        size_t length;
        if (data_pull(table->data, &bytes, &length, err))
            return err->code;
        if (length == 0)
            break;
        insert_splitter_feed(&splitter, bytes, length);
        if (take_inserts(session, &splitter, &batch, err))
            return err->code;
        report(session, table, false);
    }
    return insert_splitter_finish(&splitter, err) ? err->code : send_inserts(session, &batch, err);
}

static enum errc load_once(struct session *session, void *context, struct error *err)
{
    struct table_load *table = context;
    table->bytes_reported = table->rows_reported = table->rows = 0;
    if (table->truncate_sql != NULL && conn_exec(session->conn, table->truncate_sql, err))
        return err->code;
    return table->copy_sql != NULL ? copy_rows(session, table, err)
                                   : run_inserts(session, table, err);
}

/* Only a table that this archive creates is known to be empty: tables of extensions hold rows of
 * the extension's script, and a load through the root of a partition tree puts rows into tables
 * that others fill too. */
static bool may_truncate(const struct order_item *item)
{
    return item->table != ORDER_NOWHERE && !entry_is_root_load(item->entry) &&
           item->entry->block_bytes >= freeze_min_bytes;
}

enum errc data_load(struct session *session, const struct order_item *item, uint64_t *ret_rows,
                    struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct table_load table = {.entry = item->entry};
    bool is_copy = item->entry->copy_statement != NULL && *item->entry->copy_statement != '\0';
    if (session_data(session, &table.data, err))
        return err->code;
    if (is_copy) {
        struct copy_target target;
        bool is_frozen = may_truncate(item);
        if (copy_parse(&arena, item->entry, &target, err))
            return err->code;
        if (is_frozen)
            table.truncate_sql = arena_printf(&arena, "TRUNCATE TABLE ONLY %s",
                                              entry_qualified(&arena, item->entry));
        table.copy_sql = copy_sql(&arena, &target, is_frozen);
    }
    const struct session_work work = {.work = load_once,
                                      .context = &table,
                                      .needs_transaction = !is_copy || table.truncate_sql != NULL};
    if (session_run(session, &work, err))
        return err->code;
    report(session, &table, true);
    *ret_rows = table.rows;
    return RR_OK;
}
