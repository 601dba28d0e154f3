/*
 * input - the bytes of an archive one after another, through a window that is read in ranges.
 *
 * Private to this room: table of contents, scanner and data reader stand on it. A read fetches
 * `first_read` bytes at a place the window does not cover, and twice as many each time reading goes
 * on where the window ended, up to LIMIT_READ_BYTES: a small block costs a small request, a large
 * one few. What lies in the window already is not read again. Moving forward or back fetches
 * nothing by itself. Numbers are encoded as in PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c
 * (ReadInt). One owner thread; the source reader must outlive it.
 */
#ifndef RR_ARCHIVE_INPUT_H
#define RR_ARCHIVE_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct source_reader;

struct input {
    struct source_reader *reader; /* NULL: the window is all there is, and is not ours */
    const unsigned char *window;  /* bytes window_begin ... */
    uint64_t window_begin;
    size_t window_length;
    uint64_t position; /* offset in the archive of the next byte */
    uint64_t end;      /* no byte at or beyond this offset is given out */
    size_t first_read, next_read;
    unsigned char *buffer; /* what the window lies in, capacity bytes */
    size_t capacity;
    bool is_short; /* something was asked for that reaches beyond `end` */
};

/* An int: one byte for the sign, four for the magnitude. */
enum { INPUT_INT_BYTES = 5 };

/* Reads from `begin` up to `end`, which must not be beyond the end of the source. */
void input_init(struct input *in, struct source_reader *reader, uint64_t begin, uint64_t end,
                size_t first_read);
/* Reads `length` bytes in memory that begin at offset 0 of an archive which is `end` bytes long. */
void input_init_memory(struct input *in, const void *bytes, size_t length, uint64_t end);
/* Frees the window; all zero is accepted. */
void input_release(struct input *in);
#define INPUT_GUARD __attribute__((cleanup(input_release)))

/* Goes on at `position` and reads up to `end`; the window stays where it is. */
void input_move(struct input *in, uint64_t position, uint64_t end);

/* Bytes from the position up to `end`. */
uint64_t input_left(const struct input *in);

/* At least one byte at the position, at most `max`, without moving: *ret_bytes is valid until the
 * next call with this input. At `end`: ERR_ARCHIVE_CORRUPT. */
enum errc input_peek(struct input *in, size_t max, const unsigned char **ret_bytes,
                     size_t *ret_length, struct error *err) RR_MUST_CHECK;
/* Copies exactly `length` bytes and moves behind them. */
enum errc input_bytes(struct input *in, void *buffer, size_t length,
                      struct error *err) RR_MUST_CHECK;
/* Moves behind `length` bytes, without reading those that are not in the window. */
enum errc input_skip(struct input *in, uint64_t length, struct error *err) RR_MUST_CHECK;
enum errc input_byte(struct input *in, unsigned *ret_value, struct error *err) RR_MUST_CHECK;
/* -(2^32 - 1) to 2^32 - 1. */
enum errc input_int(struct input *in, int64_t *ret_value, struct error *err) RR_MUST_CHECK;
/* An int between `min` and `max`, else ERR_ARCHIVE_CORRUPT naming `what`. */
enum errc input_int_between(struct input *in, int64_t min, int64_t max, const char *what,
                            int64_t *ret_value, struct error *err) RR_MUST_CHECK;

/* Says where, in front of an error's text. */
enum errc input_wrap(const struct input *in, struct error *err);

/* ERR_ARCHIVE_CORRUPT "byte <position>: <text>" with a hint. */
enum errc input_corrupt(const struct input *in, struct error *err, const char *fmt, ...)
    RR_PRINTF(3, 4);

#endif
