/*
 * copyin - COPY ... FROM STDIN on an open connection.
 *
 * begin, then write any number of pieces (any cut is fine), then end, which answers the number of
 * rows that the server stored. An error that the server reports in the middle is noticed within a
 * few pieces, not at the end: libpq hides it otherwise. After any error, and after abort, the COPY
 * is over and the connection is ready for the next statement unless it is broken. Memory stays
 * bounded however slow the server is; the connection's cancel flag ends a COPY in order
 * (ERR_CANCELLED).
 */
#ifndef RR_PG_COPYIN_H
#define RR_PG_COPYIN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/pg/conn.h"

/* `sql` is one COPY ... FROM STDIN. ERR_SQL if the server answers anything but CopyIn. */
enum errc copyin_begin(struct conn *conn, const char *sql, struct error *err) RR_MUST_CHECK;
/* As copyin_begin(), but errors in the middle come back at the end only: for the repetition of a
 * COPY that ended in a false alarm. */
enum errc copyin_begin_blind(struct conn *conn, const char *sql, struct error *err) RR_MUST_CHECK;
enum errc copyin_write(struct conn *conn, const void *bytes, size_t length,
                       struct error *err) RR_MUST_CHECK;
enum errc copyin_end(struct conn *conn, uint64_t *ret_rows, struct error *err) RR_MUST_CHECK;
/* Ends a COPY that must not count, telling the server why. Does nothing when none is going on. */
void copyin_abort(struct conn *conn, const char *why);

/* Whether a failed write stopped because the server sent something that was no error after all (its
 * configuration was reloaded): nothing is wrong with the data. Repeat the COPY with
 * copyin_begin_blind(). */
bool copyin_is_false_alarm(const struct error *err);

#endif
