/*
 * copy_splitter - finds the end of COPY text inside a data stream, and counts rows.
 *
 * pg_dump writes the rows of a table as lines, then a line "\." and empty lines, all of it as data
 * (PostgreSQL's src/bin/pg_dump/pg_dump.c: dumpTableData_copy). The server drops what follows such
 * a line without an error, and takes a last row that is cut short for a row; so both are found
 * here. A raw line feed always ends a row, since COPY escapes those in values; an empty line is a
 * row of a table without columns.
 *
 *     struct copy_splitter splitter = {0};
 *     for each piece:
 *         copy_splitter_feed(&splitter, bytes, length, held, &held_length, &send, &err);
 *         send held[0 .. held_length), then bytes[0 .. send);
 *     copy_splitter_finish(&splitter, &err);
 */
#ifndef RR_ARCHIVE_COPY_SPLITTER_H
#define RR_ARCHIVE_COPY_SPLITTER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

/* Follows COPY text through any cuts. Zero value is ready. */
struct copy_splitter {
    uint64_t rows; /* rows handed on so far */
    int state;
};

/* Looks at the next piece; *ret_send = how many leading bytes of it belong to COPY rows and are to
 * be sent (the end marker and what follows are not). A marker split over two pieces is handled:
 * bytes that may be its beginning are held back and returned with a later piece in `ret_held` (up
 * to 2 bytes, to be sent before it). ERR_ARCHIVE_CORRUPT when anything but line feeds follows the
 * marker. */
enum errc copy_splitter_feed(struct copy_splitter *splitter, const char *bytes, size_t length,
                             char ret_held[4], size_t *ret_held_length, size_t *ret_send,
                             struct error *err) RR_MUST_CHECK;

/* The stream has ended: the marker must have been seen and every row been complete. */
enum errc copy_splitter_finish(const struct copy_splitter *splitter,
                               struct error *err) RR_MUST_CHECK;

#endif
