#include "lib/archive/stream.h"

#include "lib/archive/framing.h"
#include "lib/base/limits.h"

/* The first read where the length is not known. */
static const size_t first_read_bytes = 64 * LIMIT_KIB;

size_t stream_first_read(uint64_t bytes)
{
    if (bytes > LIMIT_READ_BYTES)
        return LIMIT_READ_BYTES;
    return bytes < first_read_bytes ? first_read_bytes : (size_t)bytes;
}

/* ---- custom format ---- */

static enum errc begin_block(struct stream *s, struct error *err)
{
    const struct entry *entry = s->entry;
    s->compression = s->toc->compression;
    s->begin = entry->offset;
    s->in.first_read = stream_first_read(entry->block_bytes);
    input_move(&s->in, entry->offset,
               entry->block_bytes ? entry->offset + entry->block_bytes : s->toc->data_end);
    return framing_header(&s->in, entry, err);
}

static enum errc next_framed_object(struct stream *s, uint32_t *ret_oid, struct error *err)
{
    return framing_oid(&s->in, ret_oid, err);
}

static enum errc next_framed_chunk(struct stream *s, size_t *ret_length, struct error *err)
{
    return framing_chunk(&s->in, ret_length, err);
}

/* The block must end where the next one begins: bytes between them belong to nothing. */
static enum errc end_block(struct stream *s, struct error *err)
{
    if (s->entry->block_bytes && input_left(&s->in))
        return input_corrupt(&s->in, err,
                             "the block ends here, but %llu bytes are left before the next",
                             (unsigned long long)input_left(&s->in));
    return RR_OK;
}

const struct stream_ops stream_blocks = {
    .begin = begin_block,
    .next_object = next_framed_object,
    .next_chunk = next_framed_chunk,
    .end = end_block,
};

/* ---- tar and directory format ---- */

/* Goes to the next extent. The one before counts as passed. */
static const struct extent *enter(struct stream *s)
{
    const struct extent *extent = &s->entry->extents[s->next_extent++];
    if (s->next_extent > 1)
        s->passed_bytes += extent[-1].bytes;
    s->begin = extent->offset;
    s->compression = extent->compression;
    s->in.first_read = stream_first_read(extent->bytes);
    input_move(&s->in, extent->offset, extent->offset + extent->bytes);
    return extent;
}

static enum errc begin_extents(struct stream *s, struct error *err)
{
    s->begin = s->in.position;
    if (s->entry->kind == ENTRY_BLOBS)
        return RR_OK;
    if (s->entry->extent_count != 1)
        return error_set(err, ERR_BUG, "entry %d has %zu extents", (int)s->entry->dump_id,
                         s->entry->extent_count);
    enter(s);
    return RR_OK;
}

static enum errc next_extent(struct stream *s, uint32_t *ret_oid, struct error *err)
{
    (void)err;
    *ret_oid = s->next_extent < s->entry->extent_count ? enter(s)->oid : 0;
    return RR_OK;
}

static enum errc rest_of_extent(struct stream *s, size_t *ret_length, struct error *err)
{
    (void)err;
    uint64_t left = input_left(&s->in);
    *ret_length = left < LIMIT_CHUNK_BYTES ? (size_t)left : LIMIT_CHUNK_BYTES;
    return RR_OK;
}

/* An extent is read to its end, or its stream is not complete. */
static enum errc end_extents(struct stream *s, struct error *err)
{
    (void)s, (void)err;
    return RR_OK;
}

const struct stream_ops stream_extents = {
    .begin = begin_extents,
    .next_object = next_extent,
    .next_chunk = rest_of_extent,
    .end = end_extents,
};
