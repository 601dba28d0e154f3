/*
 * toc_entries - bytes of the table of contents to entries; private to this room (see toc.h).
 *
 * Knows the order of the fields in every archive version and which values they may have; knows
 * nothing of where the bytes come from or what lies behind them.
 */
#ifndef RR_ARCHIVE_TOC_ENTRIES_H
#define RR_ARCHIVE_TOC_ENTRIES_H

#include "lib/archive/input.h"
#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

/* ReadToc(). The header's fields of `toc` must be filled; entries and count are, ids are not
 * compared and offsets not checked. With `is_second`, STATISTICS DATA entries have no definition:
 * pg_dump 18 leaves it out when it writes the table again (WriteToc() seeks over it, which an
 * appending file ignores). *ret_left_out: bytes of definitions by which a second table is shorter
 * than this one. */
enum errc toc_entries_parse(struct input *in, bool is_second, struct arena *arena, struct toc *toc,
                            uint64_t *ret_left_out, struct error *err) RR_MUST_CHECK;

#endif
