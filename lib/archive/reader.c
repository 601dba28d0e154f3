#include "lib/archive/reader.h"

#include <stdlib.h>

#include "lib/archive/framing.h"
#include "lib/archive/input.h"
#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/codec/decompress.h"

/* The first read of a block whose length is not known. */
static const size_t first_read_bytes = 64 * LIMIT_KIB;

enum place {
    NOWHERE,         /* no block was begun, or it is done with */
    BETWEEN_OBJECTS, /* behind the header of a BLOBS block */
    IN_STREAM,       /* chunks are being read */
    AFTER_STREAM,    /* its end was read and proved, and is to be told by data_pull() */
};

struct data_reader {
    const struct toc *toc;
    struct input in;
    struct decompress *decompress;
    char *plain; /* LIMIT_COPY_PIECE_BYTES */
    const struct entry *entry;
    enum place place;
    size_t chunk_left;
};

enum errc data_open(struct source_reader *reader, const struct toc *toc,
                    struct data_reader **ret_reader, struct error *err)
{
    (void)err; /* opening reads nothing yet */
    struct data_reader *data = mem_alloc(sizeof *data);
    data->toc = toc;
    data->decompress = decompress_new(toc->compression);
    data->plain = mem_alloc(LIMIT_COPY_PIECE_BYTES);
    input_init(&data->in, reader, toc->data_begin, toc->data_end, first_read_bytes);
    *ret_reader = data;
    return RR_OK;
}

void data_close(struct data_reader *data)
{
    if (!data)
        return;
    input_release(&data->in);
    decompress_free(data->decompress);
    free(data->plain);
    free(data);
}

void data_guard(struct data_reader **data)
{
    data_close(*data);
}

/* A block that fits is read at once. */
static size_t plan_first_read(const struct entry *entry)
{
    if (entry->block_bytes > LIMIT_READ_BYTES)
        return LIMIT_READ_BYTES;
    return entry->block_bytes < first_read_bytes ? first_read_bytes : (size_t)entry->block_bytes;
}

static enum errc begin(struct data_reader *data, const struct entry *entry, enum entry_kind kind,
                       struct error *err)
{
    data->place = NOWHERE;
    data->entry = entry;
    if (entry->kind != kind || !entry->has_data || entry->offset_state != OFFSET_SET)
        return error_set(err, ERR_BUG, "entry %d has no block of data that could be read",
                         (int)entry->dump_id);
    data->in.first_read = plan_first_read(entry);
    input_move(&data->in, entry->offset,
               entry->block_bytes ? entry->offset + entry->block_bytes : data->toc->data_end);
    return framing_header(&data->in, entry, err);
}

static void begin_stream(struct data_reader *data)
{
    decompress_reset(data->decompress);
    data->place = IN_STREAM;
    data->chunk_left = 0;
}

enum errc data_begin(struct data_reader *data, const struct entry *entry, struct error *err)
{
    enum errc code = begin(data, entry, ENTRY_TABLE_DATA, err);
    if (code == RR_OK)
        begin_stream(data);
    return code;
}

enum errc data_begin_blobs(struct data_reader *data, const struct entry *entry, struct error *err)
{
    enum errc code = begin(data, entry, ENTRY_BLOBS, err);
    if (code == RR_OK)
        data->place = BETWEEN_OBJECTS;
    return code;
}

/* The block must end where the next one begins: bytes between them belong to nothing. */
static enum errc check_block_end(struct data_reader *data, struct error *err)
{
    if (data->entry->block_bytes && input_left(&data->in))
        return input_corrupt(&data->in, err,
                             "the block ends here, but %llu bytes are left before the next",
                             (unsigned long long)input_left(&data->in));
    return RR_OK;
}

enum errc data_next_blob(struct data_reader *data, uint32_t *ret_oid, bool *ret_is_end,
                         struct error *err)
{
    bool is_between = data->place == BETWEEN_OBJECTS ||
                      (data->place == AFTER_STREAM && data->entry->kind == ENTRY_BLOBS);
    if (!is_between)
        return error_set(err, ERR_BUG,
                         "no block of large objects was begun, or the object before was not "
                         "read to its end");
    data->place = NOWHERE;
    uint32_t oid;
    enum errc code = framing_oid(&data->in, &oid, err);
    if (code == RR_OK && oid == 0)
        code = check_block_end(data, err);
    if (code)
        return code;
    if (oid)
        begin_stream(data);
    *ret_oid = oid;
    *ret_is_end = oid == 0;
    return RR_OK;
}

static enum errc end_stream(struct data_reader *data, struct error *err)
{
    if (decompress_finish(data->decompress, err))
        return error_wrap(err, "byte %llu", (unsigned long long)data->in.position);
    data->place = AFTER_STREAM;
    return data->entry->kind == ENTRY_TABLE_DATA ? check_block_end(data, err) : RR_OK;
}

/* Hands the next compressed bytes to the decompressor, or ends the stream. */
static enum errc feed(struct data_reader *data, struct error *err)
{
    if (data->chunk_left == 0) {
        enum errc code = framing_chunk(&data->in, &data->chunk_left, err);
        if (code)
            return code;
        if (data->chunk_left == 0)
            return end_stream(data, err);
    }
    const unsigned char *bytes;
    size_t length;
    enum errc code = input_peek(&data->in, data->chunk_left, &bytes, &length, err);
    if (code == RR_OK)
        code = input_skip(&data->in, length, err);
    if (code)
        return code;
    decompress_push(data->decompress, bytes, length);
    data->chunk_left -= length;
    return RR_OK;
}

/* Fills the piece as far as the stream goes. */
static enum errc fill(struct data_reader *data, size_t *ret_length, struct error *err)
{
    size_t have = 0;
    while (have < LIMIT_COPY_PIECE_BYTES && data->place == IN_STREAM) {
        size_t length;
        if (decompress_pull(data->decompress, data->plain + have, LIMIT_COPY_PIECE_BYTES - have,
                            &length, err))
            return error_wrap(err, "byte %llu", (unsigned long long)data->in.position);
        have += length;
        enum errc code = length ? RR_OK : feed(data, err);
        if (code)
            return code;
    }
    *ret_length = have;
    return RR_OK;
}

enum errc data_pull(struct data_reader *data, const char **ret_bytes, size_t *ret_length,
                    struct error *err)
{
    if (data->place != IN_STREAM && data->place != AFTER_STREAM)
        return error_set(err, ERR_BUG, "no stream of data was begun");
    size_t length = 0;
    enum errc code = fill(data, &length, err);
    if (code) {
        data->place = NOWHERE;
        return code;
    }
    *ret_bytes = data->plain;
    *ret_length = length;
    return RR_OK;
}

uint64_t data_position(const struct data_reader *data)
{
    return data->entry ? data->in.position - data->entry->offset : 0;
}
