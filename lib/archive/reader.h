/*
 * reader - the data of an archive, read in ranges, without local disk.
 *
 * Formats: PostgreSQL's src/bin/pg_dump/pg_backup_custom.c, pg_backup_tar.c and
 * pg_backup_directory.c. A `struct data_reader` has one owner thread and reads the data of one
 * entry at a time: open at an entry, pull plain (decompressed) bytes until the end. The end is
 * proved as far as the format has it: stream terminator, end of the compressed frame, its checksum
 * (zlib and gzip; lz4 and zstd as pg_dump writes them have none), and the length of the block where
 * blocks_locate() has told it. Of a file in a directory nothing tells how long an uncompressed
 * large object was. Memory: one read of at most LIMIT_READ_BYTES, the decompressor's
 * window, one piece.
 *
 *     toc_read(); blocks_locate();
 *     DATA_GUARD struct data_reader *data = NULL;
 *     data_open(); for each table { data_begin(); while (data_pull() gives bytes) ...; }
 *
 * For COPY data pg_dump writes the text of COPY with a last line "\." inside the data; data_pull()
 * hands that over as it is; `struct copy_splitter` finds it, checks it and counts rows. Data
 * without a COPY statement
 * (--inserts) are SQL, which `struct insert_splitter` cuts.
 *
 * Errors: ERR_ARCHIVE_CORRUPT with the place in the archive, those of source_read(), and ERR_BUG
 * for calls out of order. After an error only data_begin() (of any block) and data_close() are of
 * use.
 */
#ifndef RR_ARCHIVE_READER_H
#define RR_ARCHIVE_READER_H

#include <stdint.h>

#include "lib/archive/blocks.h"
#include "lib/archive/copy_splitter.h"
#include "lib/archive/inserts.h"
#include "lib/archive/toc.h"
#include "lib/base/error.h"
#include "lib/base/source.h"

struct data_reader;

/* Caller: data_close(). The reader and toc must outlive it. */
enum errc data_open(struct source_reader *reader, const struct toc *toc,
                    struct data_reader **ret_reader, struct error *err) RR_MUST_CHECK;
void data_close(struct data_reader *data); /* NULL is accepted */
void data_guard(struct data_reader **data);
#define DATA_GUARD __attribute__((cleanup(data_guard)))

/* Begins the data of a TABLE DATA entry. Of a block, type and dump id must match. A block that was
 * begun before need not have been pulled to its end. */
enum errc data_begin(struct data_reader *data, const struct entry *entry,
                     struct error *err) RR_MUST_CHECK;
/* Begins the data of a BLOBS entry. */
enum errc data_begin_blobs(struct data_reader *data, const struct entry *entry,
                           struct error *err) RR_MUST_CHECK;
/* Next large object of a BLOBS block: *ret_oid, or *ret_is_end, which is the proved end of the
 * block. Its bytes are then pulled like a stream's, to their end. */
enum errc data_next_blob(struct data_reader *data, uint32_t *ret_oid, bool *ret_is_end,
                         struct error *err) RR_MUST_CHECK;
/* Next plain bytes of the stream: *ret_bytes stays valid until the next call, at most
 * LIMIT_COPY_PIECE_BYTES of them; *ret_length = 0 is the proved end of the stream (and of the block
 * of a TABLE DATA entry). */
enum errc data_pull(struct data_reader *data, const char **ret_bytes, size_t *ret_length,
                    struct error *err) RR_MUST_CHECK;
/* Bytes of the entry's data on disk consumed so far, for progress. */
uint64_t data_position(const struct data_reader *data);

#endif
