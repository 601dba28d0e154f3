/*
 * toc_text - the texts of header and table of contents; private to this room.
 *
 * A text is an int for its length and its bytes; the length -1 is NULL, which differs from an empty
 * text (PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c: ReadStr). All of these refuse, with
 * ERR_ARCHIVE_CORRUPT, a length that exceeds what is left, other negative lengths, and zero bytes
 * inside.
 */
#ifndef RR_ARCHIVE_TOC_TEXT_H
#define RR_ARCHIVE_TOC_TEXT_H

#include "lib/archive/input.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

/* Numbers and words are shorter than this; their terminator is counted. */
enum { TOC_TEXT_SHORT_BYTES = 64 };

/* The length alone, -1 for NULL; the bytes come next. */
enum errc toc_text_length(struct input *in, int64_t *ret_length, struct error *err) RR_MUST_CHECK;

/* Any text, in the arena; NULL where the archive has NULL. */
enum errc toc_text(struct input *in, struct arena *arena, const char **ret_text,
                   struct error *err) RR_MUST_CHECK;

/* A text that may not be NULL; `what` names it in the error. */
enum errc toc_text_required(struct input *in, struct arena *arena, const char *what,
                            const char **ret_text, struct error *err) RR_MUST_CHECK;

/* A word that need not be kept; "" and *ret_is_null where the archive has NULL. */
enum errc toc_text_short(struct input *in, const char *what, char ret_text[TOC_TEXT_SHORT_BYTES],
                         bool *ret_is_null, struct error *err) RR_MUST_CHECK;

/* A decimal number of at most `max`. NULL is allowed only where `ret_is_null` is not NULL. */
enum errc toc_text_decimal(struct input *in, const char *what, uint64_t max, uint64_t *ret_value,
                           bool *ret_is_null, struct error *err) RR_MUST_CHECK;

#endif
