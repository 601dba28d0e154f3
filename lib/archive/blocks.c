/*
 * A zlib stream is cut into chunks of 4096 bytes, only the last of which may be shorter
 * (DEFAULT_IO_BUFFER_SIZE in src/bin/pg_dump/compress_io.h, ZLIB_OUT_SIZE before version 16). So
 * header k of a stream whose first header lies at p is at p + 4101 * k, and says 4096: the end is
 * found by doubling k and then halving the distance, with reads of five bytes. Such a read can hit
 * a header of a later stream by chance (1 of 4101 at each boundary), or bytes that look like one.
 * That is noticed, because the next entry's block does not begin where the stream then seems to
 * end; the block is then followed chunk by chunk.
 */
#include "lib/archive/blocks.h"

#include "lib/archive/framing.h"
#include "lib/archive/input.h"
#include "lib/base/limits.h"

enum { FULL_CHUNK = 4096, FULL_STEP = INPUT_INT_BYTES + FULL_CHUNK };

/* A shorter distance than this is read through rather than halved. */
static const size_t first_read_bytes = LIMIT_MIB;

struct locator {
    struct input in;
    struct toc *toc;
    bool may_leap;
};

/* Whether a chunk of full size begins at `position`; beyond the end none does. */
static enum errc probe(struct locator *l, uint64_t position, bool *ret_is_full, struct error *err)
{
    *ret_is_full = false;
    if (position > l->in.end || l->in.end - position < FULL_STEP)
        return RR_OK;
    INPUT_GUARD struct input in; /* its own window: the one we read through stays as it is */
    input_init(&in, l->in.reader, position, l->in.end, INPUT_INT_BYTES);
    unsigned char b[INPUT_INT_BYTES];
    enum errc code = input_bytes(&in, b, sizeof b, err);
    if (code == RR_OK)
        *ret_is_full = b[0] == 0 && b[1] == 0 && b[2] == FULL_CHUNK >> 8 && b[3] == 0 && b[4] == 0;
    return code;
}

/* From the header of a full chunk, `known` steps behind the first one, towards the last: leaves the
 * input at the header of a full chunk that is near enough to read on from there. */
static enum errc leap(struct locator *l, uint64_t first, uint64_t known, struct error *err)
{
    uint64_t beyond = known * 2;
    for (;;) {
        bool is_full;
        enum errc code = probe(l, first + beyond * FULL_STEP, &is_full, err);
        if (code)
            return code;
        if (!is_full)
            break;
        known = beyond;
        beyond *= 2;
    }
    while ((beyond - known) * FULL_STEP > first_read_bytes) {
        uint64_t middle = known + (beyond - known) / 2;
        bool is_full;
        enum errc code = probe(l, first + middle * FULL_STEP, &is_full, err);
        if (code)
            return code;
        if (is_full)
            known = middle;
        else
            beyond = middle;
    }
    input_move(&l->in, first + known * FULL_STEP, l->in.end);
    return RR_OK;
}

/* Whether reading on would need another request, after so many full chunks that many may follow. */
static bool is_leap_due(const struct locator *l, uint64_t full_chunks)
{
    return l->may_leap && full_chunks * FULL_STEP >= first_read_bytes / 2 &&
           l->in.position + INPUT_INT_BYTES > l->in.window_begin + l->in.window_length;
}

static enum errc pass_stream(struct locator *l, struct error *err)
{
    const uint64_t first = l->in.position;
    uint64_t full_chunks = 0; /* as long as there was no other */
    bool has_leapt = false;
    for (;;) {
        size_t length;
        enum errc code = framing_chunk(&l->in, &length, err);
        if (code || length == 0)
            return code;
        code = input_skip(&l->in, length, err);
        if (code)
            return code;
        full_chunks = length == FULL_CHUNK ? full_chunks + 1 : 0;
        if (!has_leapt && first + full_chunks * FULL_STEP == l->in.position &&
            is_leap_due(l, full_chunks)) {
            code = leap(l, first, full_chunks - 1, err);
            has_leapt = true;
        }
        if (code)
            return code;
    }
}

static enum errc pass_body(struct locator *l, const struct entry *entry, struct error *err)
{
    if (entry->kind != ENTRY_BLOBS)
        return pass_stream(l, err);
    for (;;) {
        uint32_t oid;
        enum errc code = framing_oid(&l->in, &oid, err);
        if (code || oid == 0)
            return code;
        code = pass_stream(l, err);
        if (code)
            return code;
    }
}

/* Reads what must follow a block: the header of the next entry's, or nothing. */
static enum errc pass_next_header(struct locator *l, const struct entry *next, struct error *err)
{
    if (next)
        return framing_header(&l->in, next, err);
    if (input_left(&l->in))
        return input_corrupt(&l->in, err, "%llu bytes follow the last block of data",
                             (unsigned long long)input_left(&l->in));
    return RR_OK;
}

static enum errc pass_block(struct locator *l, const struct entry *entry, const struct entry *next,
                            uint64_t *ret_end, struct error *err)
{
    enum errc code = pass_body(l, entry, err);
    if (code)
        return code;
    *ret_end = l->in.position;
    return pass_next_header(l, next, err);
}

/* The input stands behind the header of the entry's block, afterwards behind that of the next. */
static enum errc locate_block(struct locator *l, struct entry *entry, const struct entry *next,
                              struct error *err)
{
    const uint64_t body = l->in.position;
    struct error why = ERROR_INIT;
    uint64_t end;
    l->may_leap = l->toc->compression == COMPRESSION_ZLIB;
    enum errc code = pass_block(l, entry, next, &end, &why);
    if (code == ERR_ARCHIVE_CORRUPT && l->may_leap) {
        error_clear(&why);
        l->may_leap = false;
        input_move(&l->in, body, l->in.end);
        code = pass_block(l, entry, next, &end, &why);
    }
    if (code) {
        *err = why;
        return code;
    }
    uint64_t offset = body - BLOCK_HEADER_BYTES;
    if (entry->offset_state == OFFSET_SET && entry->offset != offset)
        return input_corrupt(&l->in, err, "the data of entry %d begin at byte %llu, not %llu",
                             (int)entry->dump_id, (unsigned long long)offset,
                             (unsigned long long)entry->offset);
    entry->offset = offset;
    entry->offset_state = OFFSET_SET;
    entry->block_bytes = end - offset;
    return RR_OK;
}

/* The next entry with data from `position` in the table on, NULL if there is none. */
static struct entry *next_with_data(const struct toc *toc, size_t position)
{
    for (size_t i = position; i < toc->count; i++)
        if (toc->entries[i].has_data)
            return &toc->entries[i];
    return NULL;
}

static enum errc locate_by_framing(struct locator *l, struct error *err)
{
    struct entry *entry = next_with_data(l->toc, 0);
    enum errc code = pass_next_header(l, entry, err);
    while (code == RR_OK && entry) {
        struct entry *next = next_with_data(l->toc, entry->position + 1);
        code = locate_block(l, entry, next, err);
        entry = next;
    }
    return code;
}

/* Offsets tile the data: the first block begins where they do, each is followed by the next. */
static enum errc locate_by_offsets(struct toc *toc, struct error *err)
{
    uint64_t begin = toc->data_begin; /* of the next block, at least; of the first, exactly */
    struct entry *entry = next_with_data(toc, 0), *next;
    if ((entry ? entry->offset : toc->data_end) != begin)
        return error_set(err, ERR_ARCHIVE_CORRUPT,
                         "the table of contents ends at byte %llu, but the data begin at byte %llu",
                         (unsigned long long)begin,
                         (unsigned long long)(entry ? entry->offset : toc->data_end));
    for (; entry; entry = next) {
        next = next_with_data(toc, entry->position + 1);
        uint64_t end = next ? next->offset : toc->data_end;
        if (end < entry->offset || end - entry->offset < BLOCK_MIN_BYTES)
            return error_set(err, ERR_ARCHIVE_CORRUPT,
                             "the data of entry %d begin at byte %llu, what follows at byte %llu",
                             (int)entry->dump_id, (unsigned long long)entry->offset,
                             (unsigned long long)end);
        entry->block_bytes = end - entry->offset;
    }
    return RR_OK;
}

enum errc blocks_locate(struct source_reader *reader, struct toc *toc, struct error *err)
{
    enum errc code;
    if (toc->format != FORMAT_CUSTOM)
        return RR_OK;
    if (toc->has_offsets) {
        code = locate_by_offsets(toc, err);
    } else {
        struct locator locator = {.toc = toc};
        input_init(&locator.in, reader, toc->data_begin, toc->data_end, first_read_bytes);
        code = locate_by_framing(&locator, err);
        input_release(&locator.in);
        toc->has_offsets = code == RR_OK;
    }
    return code ? error_wrap(err, "blocks of data") : RR_OK;
}
