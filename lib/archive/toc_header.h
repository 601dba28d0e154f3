/*
 * toc_header - what stands in front of the table of contents; private to this room (see toc.h).
 */
#ifndef RR_ARCHIVE_TOC_HEADER_H
#define RR_ARCHIVE_TOC_HEADER_H

#include "lib/archive/input.h"
#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

/* ReadHead() of PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c. toc->format says where the bytes
 * were found, which they must agree with. Fills version, sizes, compression and names of `toc`.
 * Bytes that are no archive are told apart, as far as they can be, in the hint. */
enum errc toc_header_parse(struct input *in, struct arena *arena, struct toc *toc,
                           struct error *err) RR_MUST_CHECK;

#endif
