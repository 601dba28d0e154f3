/*
 * files - what the files of an archive in tar or directory format are for; private to this room.
 *
 * The files are those of pg_dump: toc.dat; DUMPID.dat for each table with data; for the large
 * objects of a BLOBS entry a list, blobs.toc or since archive version 1.16 blobs_DUMPID.toc, whose
 * lines name an object and its file, blob_OID.dat. In a directory .gz, .lz4 or .zst is appended to
 * a file that is compressed so, whatever the header says. A tar also holds restore.sql, which is a
 * program for psql and never looked at.
 */
#ifndef RR_ARCHIVE_FILES_H
#define RR_ARCHIVE_FILES_H

#include "lib/archive/members.h"
#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/source.h"
#include "lib/base/str.h"

/* Takes the file `name`, or what it is when compressed (directory format only).
 * ERR_ARCHIVE_CORRUPT when it is missing or there in two forms; `what` names it in the error. */
enum errc files_take(const struct members *members, enum archive_format format, const char *name,
                     const char *what, struct extent *ret_extent, struct error *err) RR_MUST_CHECK;

/* The plain text of a small file; not more than the limit of `text`. */
enum errc files_read_text(struct source_reader *reader, const struct extent *extent,
                          struct str *text, struct error *err) RR_MUST_CHECK;

/* Gives every entry with data its extents, and refuses files that belong to none. */
enum errc files_assign(struct source_reader *reader, const struct members *members,
                       struct arena *arena, struct toc *toc, struct error *err) RR_MUST_CHECK;

#endif
