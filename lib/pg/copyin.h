/*
 * copyin - COPY ... FROM STDIN on an open connection.
 *
 * begin, then write any number of pieces (any cut is fine), then end, which answers the number of
 * rows that the server stored. An error that the server reports in the middle is noticed within a few
 * pieces, not at the end: libpq hides it otherwise. After any error, and after abort, the connection is
 * ready for the next statement unless it is broken.
 */
#ifndef RR_PG_COPYIN_H
#define RR_PG_COPYIN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/pg/conn.h"

/* `sql` is one COPY ... FROM STDIN. ERR_SQL if the server answers anything but CopyIn. */
enum errc copyin_begin(struct conn *conn, const char *sql, struct error *err) RR_MUST_CHECK;
enum errc copyin_write(struct conn *conn, const void *bytes, size_t length, struct error *err)
    RR_MUST_CHECK;
enum errc copyin_end(struct conn *conn, uint64_t *ret_rows, struct error *err) RR_MUST_CHECK;
/* Ends a COPY that must not count, telling the server why. */
void copyin_abort(struct conn *conn, const char *why);

#endif
