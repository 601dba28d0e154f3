/*
 * blocks - where the data blocks of an archive lie, and the proof that they and the tables of
 * contents are all there is. For archives in custom format; toc_read() knows it of all others.
 *
 * Behind the table of contents the blocks of all entries with data follow each other, in the order
 * of the entries, without gaps, up to the end or to a second table of contents (PostgreSQL's
 * src/bin/pg_dump/pg_backup_custom.c and WriteDataChunks() of pg_backup_archiver.c). A block tells
 * where it begins, not how long it is.
 */
#ifndef RR_ARCHIVE_BLOCKS_H
#define RR_ARCHIVE_BLOCKS_H

#include "lib/archive/toc.h"
#include "lib/base/error.h"
#include "lib/base/source.h"

/* Fills offset, offset_state and block_bytes of every entry with data; afterwards toc->has_offsets.
 * Call it before anything of the archive is used, with offsets or without: it finds out that bytes
 * are missing or left over (ERR_ARCHIVE_CORRUPT). Archives in other formats are left as they are.
 *
 * With offsets nothing is read: they must begin where the table of contents ends and ascend; type
 * and id of a block are compared when it is read, and data_pull() compares its length.
 *
 * Without, the framing of all blocks is followed (nothing is decompressed) in ranged reads: zlib
 * streams are leapt over with a few small requests each, which is checked by what follows and
 * repeated step by step when that does not fit; others are read in whole once. */
enum errc blocks_locate(struct source_reader *reader, struct toc *toc,
                        struct error *err) RR_MUST_CHECK;

#endif
