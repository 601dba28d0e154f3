/*
 * toc - header and table of contents of a pg_dump archive in custom, tar or directory format.
 *
 * Format: PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c (ReadHead, ReadToc, WriteHead,
 * WriteToc), pg_backup_custom.c, pg_backup_tar.c and pg_backup_directory.c; archive versions 1.12
 * (pg_dump 9.0 to 10.2), 1.13 (11), 1.14 (12 to 15), 1.15 (16) and 1.16 (17, 18). The bytes are
 * foreign: every count, length, offset and id is checked, memory is bounded by limits.h, and
 * whatever does not fit is ERR_ARCHIVE_CORRUPT with the byte offset, or ERR_ARCHIVE_UNSUPPORTED
 * with what to do.
 */
#ifndef RR_ARCHIVE_TOC_H
#define RR_ARCHIVE_TOC_H

#include <stddef.h>
#include <stdint.h>

#include "lib/archive/entry.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/source.h"
#include "lib/codec/decompress.h"

struct toc_index;

enum archive_format { FORMAT_CUSTOM, FORMAT_TAR, FORMAT_DIRECTORY };

struct toc {
    enum archive_format format;
    int major, minor, revision;
    int int_size, offset_size;
    enum compression compression; /* of custom format; extents have their own */
    const char *database_name;    /* of the dumped database; may be NULL */
    const char *server_version;   /* of the dumped server, "17.11 (Debian ...)" */
    const char *dump_version;     /* of pg_dump */
    struct entry *entries;        /* in archive order */
    size_t count;
    uint64_t data_begin; /* offset of the first byte after the table of contents */
    uint64_t data_end; /* custom format: offset after the last block (a second table of contents may
                          follow) */
    bool has_offsets;  /* every entry with data knows where its block is */
    const struct toc_index *index; /* for toc_find() */
};

/* Finds out the format (a source of several objects is a directory) and reads header and table of
 * contents with ranged reads that double from 1 MiB, never the whole archive.
 *
 * Tar and directory format: also reads the headers of all members and the lists of large objects,
 * and gives every entry with data its extents. A file that is missing, there twice, or belongs to
 * nothing is ERR_ARCHIVE_CORRUPT.
 *
 * Custom format: uses the second table of contents that some pg_dump versions append, when it is
 * exactly that. Everything lives in the arena. The definitions of STATISTICS DATA entries, which
 * may be most of the table, are not kept (""). That the table is whole is proved only when
 * blocks_locate() finds the data behind it: call that before anything of the archive is used. */
enum errc toc_read(struct source_reader *reader, struct arena *arena, struct toc *ret_toc,
                   struct error *err) RR_MUST_CHECK;

/* The same for custom format, from bytes in memory that hold at least header and table of contents
 * (tests, fuzzing). `total_bytes` is the length of the whole archive, for the check of offsets. A
 * second table of contents is looked for only when the bytes are the whole archive. */
enum errc toc_parse(const void *bytes, size_t length, uint64_t total_bytes, struct arena *arena,
                    struct toc *ret_toc, struct error *err) RR_MUST_CHECK;

/* Entry with that dump id, NULL if there is none (a dependency may name what is not there). */
struct entry *toc_find(const struct toc *toc, int32_t dump_id);

/* Whether the graph of dependencies (those inside the archive) has a cycle: ERR_ARCHIVE_CORRUPT
 * naming the entries of one. */
enum errc toc_check_cycles(const struct toc *toc, struct error *err) RR_MUST_CHECK;

/* Major version of the dumped server (9.x counts as 9), 0 if unknown. */
int toc_server_major(const struct toc *toc);

#endif
