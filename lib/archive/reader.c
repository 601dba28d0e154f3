#include "lib/archive/reader.h"

#include <stdlib.h>

#include "lib/archive/stream.h"
#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/codec/decompress.h"

enum place {
    NOWHERE,         /* no block was begun, or it is done with */
    BETWEEN_OBJECTS, /* a BLOBS entry was begun, no object yet */
    IN_STREAM,       /* its bytes are being read */
    AFTER_STREAM,    /* its end was read and proved, and is to be told by data_pull() */
};

struct data_reader {
    struct stream stream;
    struct decompress *decompress; /* for streams of that compression; NULL before the first */
    enum compression decompress_of;
    char *plain; /* LIMIT_COPY_PIECE_BYTES */
    enum place place;
    size_t chunk_left;
};

enum errc data_open(struct source_reader *reader, const struct toc *toc,
                    struct data_reader **ret_reader, struct error *err)
{
    (void)err; /* opening reads nothing yet */
    struct data_reader *data = mem_alloc(sizeof *data);
    data->stream.toc = toc;
    data->stream.ops = toc->format == FORMAT_CUSTOM ? &stream_blocks : &stream_extents;
    data->plain = mem_alloc(LIMIT_COPY_PIECE_BYTES);
    input_init(&data->stream.in, reader, toc->data_begin, toc->data_end, stream_first_read(0));
    *ret_reader = data;
    return RR_OK;
}

void data_close(struct data_reader *data)
{
    if (!data)
        return;
    input_release(&data->stream.in);
    decompress_free(data->decompress);
    free(data->plain);
    free(data);
}

void data_guard(struct data_reader **data)
{
    data_close(*data);
}

static enum errc begin(struct data_reader *data, const struct entry *entry, enum entry_kind kind,
                       struct error *err)
{
    struct stream *stream = &data->stream;
    data->place = NOWHERE;
    stream->entry = entry;
    stream->passed_bytes = 0;
    stream->next_extent = 0;
    if (entry->kind != kind || !entry->has_data || entry->offset_state != OFFSET_SET)
        return error_set(err, ERR_BUG, "entry %d has no data that could be read",
                         (int)entry->dump_id);
    return stream->ops->begin(stream, err);
}

static void begin_stream(struct data_reader *data)
{
    enum compression compression = data->stream.compression;
    if (data->decompress && data->decompress_of == compression) {
        decompress_reset(data->decompress);
    } else {
        decompress_free(data->decompress);
        data->decompress = decompress_new(compression);
        data->decompress_of = compression;
    }
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

enum errc data_next_blob(struct data_reader *data, uint32_t *ret_oid, bool *ret_is_end,
                         struct error *err)
{
    bool is_between = data->place == BETWEEN_OBJECTS ||
                      (data->place == AFTER_STREAM && data->stream.entry->kind == ENTRY_BLOBS);
    if (!is_between)
        return error_set(err, ERR_BUG,
                         "no block of large objects was begun, or the object before was not "
                         "read to its end");
    data->place = NOWHERE;
    uint32_t oid;
    enum errc code = data->stream.ops->next_object(&data->stream, &oid, err);
    if (code == RR_OK && oid == 0)
        code = data->stream.ops->end(&data->stream, err);
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
    struct stream *stream = &data->stream;
    if (decompress_finish(data->decompress, err))
        return input_wrap(&stream->in, err);
    data->place = AFTER_STREAM;
    return stream->entry->kind == ENTRY_TABLE_DATA ? stream->ops->end(stream, err) : RR_OK;
}

/* Hands the next compressed bytes to the decompressor, or ends the stream. */
static enum errc feed(struct data_reader *data, struct error *err)
{
    struct stream *stream = &data->stream;
    if (data->chunk_left == 0) {
        enum errc code = stream->ops->next_chunk(stream, &data->chunk_left, err);
        if (code)
            return code;
        if (data->chunk_left == 0)
            return end_stream(data, err);
    }
    const unsigned char *bytes;
    size_t length;
    enum errc code = input_peek(&stream->in, data->chunk_left, &bytes, &length, err);
    if (code == RR_OK)
        code = input_skip(&stream->in, length, err);
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
            return input_wrap(&data->stream.in, err);
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
    const struct stream *s = &data->stream;
    return s->entry ? s->passed_bytes + (s->in.position - s->begin) : 0;
}
