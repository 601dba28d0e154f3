/*
 * reader - the data blocks of a custom-format archive, read in ranges, without local disk.
 *
 * Format: PostgreSQL's src/bin/pg_dump/pg_backup_custom.c. A `struct data_reader` has one owner thread and
 * reads one block at a time: open at an entry, pull plain (decompressed) bytes until the end. The end is
 * proved: stream terminator, end of the compressed frame, its checksum where it has one.
 *
 * For COPY data pg_dump writes the text of COPY with a last line "\." inside the data; data_pull() hands that
 * over as it is; `struct copy_splitter` finds it, checks it and counts rows.
 */
#ifndef RR_ARCHIVE_READER_H
#define RR_ARCHIVE_READER_H

#include <stdint.h>

#include "lib/archive/toc.h"
#include "lib/base/error.h"
#include "lib/base/source.h"

struct cancel;
struct data_reader;

/* Where the blocks of an archive without offsets are: one pass over the framing (not decompressing),
 * with ranged reads; full chunks of zlib streams are leapt over (galloping), so that a large archive costs a
 * few requests a block. Fills offset, offset_state and block_bytes of every entry with data, and
 * toc->data_end. The blocks found must be exactly the entries with data, in archive order, up to the end
 * of the archive, else ERR_ARCHIVE_CORRUPT. With offsets present it checks them (distinct, in range, block
 * header with the right id when read) and fills block_bytes. */
enum errc blocks_locate(struct source_reader *reader, struct toc *toc, struct error *err) RR_MUST_CHECK;

/* Caller: data_close(). The reader and toc must outlive it. */
enum errc data_open(struct source_reader *reader, const struct toc *toc,
                    struct data_reader **ret_reader, struct error *err) RR_MUST_CHECK;
void data_close(struct data_reader *data); /* NULL is accepted */
void data_guard(struct data_reader **data);
#define DATA_GUARD __attribute__((cleanup(data_guard)))

/* Begins the block of a TABLE DATA entry. Its type and dump id must match. */
enum errc data_begin(struct data_reader *data, const struct entry *entry, struct error *err)
    RR_MUST_CHECK;
/* Begins the block of a BLOBS entry. */
enum errc data_begin_blobs(struct data_reader *data, const struct entry *entry, struct error *err)
    RR_MUST_CHECK;
/* Next large object of a BLOBS block: *ret_oid, or *ret_is_end. Its bytes are then pulled like a
 * stream's. */
enum errc data_next_blob(struct data_reader *data, uint32_t *ret_oid, bool *ret_is_end,
                         struct error *err) RR_MUST_CHECK;
/* Next plain bytes of the stream: *ret_bytes stays valid until the next call; *ret_length = 0 is the proved
 * end of the stream. */
enum errc data_pull(struct data_reader *data, const char **ret_bytes, size_t *ret_length,
                    struct error *err) RR_MUST_CHECK;
/* Bytes of the block on disk consumed so far, for progress. */
uint64_t data_position(const struct data_reader *data);

/* Follows COPY text through any cuts. Zero value is ready. */
struct copy_splitter {
    uint64_t rows;      /* rows handed on so far */
    int state;
    unsigned newlines_after_end;
};
/* Looks at the next piece; *ret_send = how many leading bytes of it belong to COPY rows and are to be
 * sent (the end marker and what follows are not). A marker split over two pieces is handled: bytes that may
 * be its beginning are held back and returned with the next piece in `ret_held` (up to 3 bytes to be sent
 * before it). ERR_ARCHIVE_CORRUPT when anything but newlines follows the marker. */
enum errc copy_splitter_feed(struct copy_splitter *splitter, const char *bytes, size_t length,
                             char ret_held[4], size_t *ret_held_length, size_t *ret_send,
                             struct error *err) RR_MUST_CHECK;
/* The stream has ended: the marker must have been seen and every row been complete. */
enum errc copy_splitter_finish(const struct copy_splitter *splitter, struct error *err) RR_MUST_CHECK;

#endif
