#include "lib/restore/blobs.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/pg/sql.h"

/* The server keeps large objects in pages of 2 KiB: whole pages are written once. */
enum { PIECE_BYTES = 64 * 1024 };
/* A string of statements is sent when it has grown this long, and holds at most this many: each
 * creation or grant takes a lock until the string ends. */
enum { STRING_BYTES = 512 * 1024, STRING_STATEMENTS = 100 };
enum { OBJECTS_PER_TRANSACTION = 1000 };

/* Statements that go to the server together. */
struct batch {
    struct session *session;
    struct str sql;
    size_t count;
};

static void batch_guard(struct batch *batch)
{
    str_release(&batch->sql);
}
#define BATCH_GUARD __attribute__((cleanup(batch_guard)))

static struct batch batch_init(struct session *session)
{
    return (struct batch){.session = session, .sql = STR_INIT(LIMIT_STATEMENT_BYTES)};
}

static enum errc batch_send(struct batch *batch, struct error *err)
{
    if (batch->count == 0)
        return RR_OK;
    if (str_check(&batch->sql, "statements for large objects", err) ||
        conn_exec(batch->session->conn, str_text(&batch->sql), err))
        return err->code;
    str_clear(&batch->sql);
    batch->count = 0;
    return RR_OK;
}

static enum errc batch_add(struct batch *batch, struct error *err)
{
    batch->count++;
    bool is_full = batch->count >= STRING_STATEMENTS || batch->sql.length >= STRING_BYTES;
    return is_full ? batch_send(batch, err) : RR_OK;
}

enum errc blobs_create(struct session *session, const struct entry *entry, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    BATCH_GUARD struct batch batch = batch_init(session);
    bool has_owner = entry_has_owner(entry) && !session->load->options->no_owner;
    const char *owner = has_owner ? sql_identifier(&arena, entry->owner) : NULL;
    const uint32_t *oids;
    size_t count;
    if (blob_numbers(&arena, entry, &oids, &count, err))
        return err->code;
    for (size_t i = 0; i < count; i++) {
        str_printf(&batch.sql, "SELECT pg_catalog.lo_create('%u');", oids[i]);
        if (has_owner)
            str_printf(&batch.sql, "ALTER LARGE OBJECT %u OWNER TO %s;", oids[i], owner);
        if (batch_add(&batch, err))
            return err->code;
    }
    return batch_send(&batch, err);
}

/* The group is the BLOB METADATA entry among the dependencies. */
static const struct entry *find_group(const struct toc *toc, const struct entry *entry)
{
    for (size_t i = 0; i < entry->dependency_count; i++) {
        const struct entry *other = toc_find(toc, entry->dependencies[i]);
        if (other != NULL && other->kind == ENTRY_BLOB_METADATA)
            return other;
    }
    return NULL;
}

enum errc blobs_grant(struct session *session, const struct entry *entry, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    BATCH_GUARD struct batch batch = batch_init(session);
    const struct entry *group = find_group(session->load->toc, entry);
    const uint32_t *oids;
    size_t count;
    if (group == NULL)
        return error_set(err, ERR_ARCHIVE_CORRUPT,
                         "it belongs to no group of large objects in the archive");
    if (blob_numbers(&arena, group, &oids, &count, err))
        return err->code;
    for (size_t i = 0; i < count; i++) {
        ARENA_GUARD struct arena scratch = {0};
        char *sql;
        if (blob_grants_sql(&scratch, entry, oids[i], &sql, err))
            return err->code;
        str_append(&batch.sql, sql);
        if (batch_add(&batch, err))
            return err->code;
    }
    return batch_send(&batch, err);
}

/* Bytes of one object on their way, cut anew into pieces of whole pages. */
struct blob {
    uint32_t oid;
    uint64_t offset;
    size_t length;
    char piece[PIECE_BYTES];
    uint64_t bytes_reported; /* of the whole block */
};

static void report(struct session *session, struct data_reader *data, struct blob *blob)
{
    uint64_t bytes = data_position(data) - blob->bytes_reported;
    session->meter.report(session->meter.context, bytes, 0);
    blob->bytes_reported += bytes;
}

static enum errc put_piece(struct batch *batch, struct blob *blob, struct error *err)
{
    static const char digits[] = "0123456789abcdef";
    char hex[1024];
    /* E'' means the same whatever standard_conforming_strings is. */
    str_printf(&batch->sql, "SELECT pg_catalog.lo_put(%u, %llu, E'\\\\x", blob->oid,
               (unsigned long long)blob->offset);
    for (size_t at = 0; at < blob->length;) {
        size_t used = 0;
        for (; at < blob->length && used < sizeof hex; at++) {
            hex[used++] = digits[(unsigned char)blob->piece[at] >> 4];
            hex[used++] = digits[(unsigned char)blob->piece[at] & 15];
        }
        str_append_bytes(&batch->sql, hex, used);
    }
    str_append(&batch->sql, "');");
    blob->offset += blob->length;
    blob->length = 0;
    return batch_add(batch, err);
}

static enum errc add_bytes(struct batch *batch, struct blob *blob, const char *bytes, size_t length,
                           struct error *err)
{
    while (length > 0) {
        size_t room = PIECE_BYTES - blob->length, part = length < room ? length : room;
        memcpy(blob->piece + blob->length, bytes, part);
        blob->length += part;
        bytes += part;
        length -= part;
        if (blob->length == PIECE_BYTES && put_piece(batch, blob, err))
            return err->code;
    }
    return RR_OK;
}

static enum errc load_blob(struct batch *batch, struct data_reader *data, struct blob *blob,
                           struct error *err)
{
    for (;;) {
        const char *bytes;
        size_t length;
        if (data_pull(data, &bytes, &length, err))
            return err->code;
        if (length == 0)
            break;
        if (add_bytes(batch, blob, bytes, length, err))
            return err->code;
        if (data_position(data) - blob->bytes_reported >= LIMIT_MIB)
            report(batch->session, data, blob);
    }
    /* Empty objects are written too: that fails when the object is missing. */
    return blob->length > 0 || blob->offset == 0 ? put_piece(batch, blob, err) : RR_OK;
}

/* Loads objects until the transaction is full; *ret_is_end at the end of the block. */
static enum errc load_some(struct session *session, struct data_reader *data, struct blob *blob,
                           bool *ret_is_end, struct error *err)
{
    BATCH_GUARD struct batch batch = batch_init(session);
    *ret_is_end = false;
    for (size_t i = 0; i < OBJECTS_PER_TRANSACTION; i++) {
        if (data_next_blob(data, &blob->oid, ret_is_end, err))
            return err->code;
        if (*ret_is_end)
            break;
        blob->offset = blob->length = 0;
        if (load_blob(&batch, data, blob, err))
            return error_wrap(err, "large object %u", blob->oid);
    }
    return batch_send(&batch, err);
}

/* No try is repeated after a deadlock: nobody else touches large objects meanwhile. */
enum errc blobs_load(struct session *session, const struct entry *entry, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct blob *blob = arena_alloc(&arena, sizeof *blob);
    struct data_reader *data;
    if (session_data(session, &data, err) || data_begin_blobs(data, entry, err))
        return err->code;
    for (bool is_end = false; !is_end;) {
        if (conn_exec(session->conn, "BEGIN", err) ||
            load_some(session, data, blob, &is_end, err) || conn_exec(session->conn, "COMMIT", err))
            return err->code;
        report(session, data, blob);
    }
    return RR_OK;
}
