/*
 * Sending. One piece at a time: PQputCopyData, then PQflush until all of it is on the socket, so
 * that libpq's buffer never holds more than a piece however slow the server is, and the cancel flag
 * is seen meanwhile. A piece is sent only when the socket has room for all of it: where a send
 * falls short, libpq reads as well, behind our back, and we would not learn that the server has
 * said something.
 *
 * Errors in the middle. While a COPY runs, libpq parses nothing but notices: an error of the server
 * lies unread until PQputCopyEnd, and the rest of the table would be sent for nothing. So after
 * each piece, if the server has sent something, libpq is made to look at it (a PQputCopyData of
 * length 0 delivers notices). If it was no notice it can hardly be anything but an error, and the
 * COPY is ended with a reason: the server's own error comes back. The one exception is a parameter
 * report after a configuration reload: then what comes back is our own reason, and
 * copyin_is_false_alarm() tells.
 */
#include "lib/pg/copyin.h"

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else /* where Debian keeps it */
#include <postgresql/libpq-fe.h>
#endif

#include <poll.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/pg/conn_internal.h"

/* Less than a socket that polls as writable takes at once. */
enum { PIECE_BYTES = 32 * 1024 };

static const char alarm_reason[] = "restore-reconciler: the server sent something during COPY";

static enum errc begin(struct conn *conn, const char *sql, bool looks_early, struct error *err)
{
    struct conn_wait wait = {.sql = sql};
    enum errc rc = conn_start(conn, &wait, err);
    if (rc)
        return rc;
    if (!PQsendQuery(conn->pg, sql))
        return conn_fail(conn, &wait, NULL, err);
    PGresult *result = NULL;
    rc = conn_next_result(conn, &wait, &result, err);
    ExecStatusType status = PQresultStatus(result);
    if (!rc && status == PGRES_COPY_IN) {
        PQclear(result);
        conn->is_copying = true;
        conn->looks_early = looks_early;
        conn->has_input = false;
        conn->seen_notice_count = conn->notice_count;
        return RR_OK;
    }
    if (!rc && result && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
        status != PGRES_COPY_OUT && status != PGRES_COPY_BOTH && status != PGRES_EMPTY_QUERY)
        rc = conn_fail(conn, &wait, result, err);
    PQclear(result);
    if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
        conn_drop(conn);
    conn_finish(conn, &wait);
    return rc ? rc : error_set(err, ERR_SQL, "the statement is no COPY ... FROM STDIN");
}

enum errc copyin_begin(struct conn *conn, const char *sql, struct error *err)
{
    return begin(conn, sql, true, err);
}

enum errc copyin_begin_blind(struct conn *conn, const char *sql, struct error *err)
{
    return begin(conn, sql, false, err);
}

/* Ends the COPY (with a reason: it fails) and takes the server's answer. */
static enum errc end(struct conn *conn, struct conn_wait *wait, const char *reason,
                     uint64_t *ret_rows, struct error *err)
{
    conn->is_copying = false;
    enum errc rc = RR_OK;
    int queued;
    while ((queued = PQputCopyEnd(conn->pg, reason)) == 0 && !rc)
        rc = conn_flush(conn, wait, err);
    if (!rc && queued < 0)
        rc = conn_fail(conn, wait, NULL, err);
    PGresult *result = NULL;
    if (!rc)
        rc = conn_next_result(conn, wait, &result, err);
    uint64_t rows = 0;
    if (!rc && PQresultStatus(result) != PGRES_COMMAND_OK)
        rc = conn_fail(conn, wait, result, err);
    else if (!rc && !text_to_u64(PQcmdTuples(result), UINT64_MAX, &rows))
        rc = error_set(err, ERR_SQL, "the server did not say how many rows it stored");
    PQclear(result);
    conn_finish(conn, wait);
    if (!rc && ret_rows)
        *ret_rows = rows;
    return rc;
}

void copyin_abort(struct conn *conn, const char *why)
{
    if (!conn->is_copying)
        return;
    struct conn_wait wait = {.is_uncancellable = true};
    uint64_t limit_ms = conn->limit_ms;
    conn->limit_ms = CONN_CANCEL_GRACE_MS;
    struct error ignored = ERROR_INIT;
    if (conn_is_alive(conn)) {
        conn->is_copying = false;
        enum errc rc = conn_start(conn, &wait, &ignored);
        if (!rc)
            rc = end(conn, &wait, why, NULL, &ignored);
    }
    conn->is_copying = false;
    conn->limit_ms = limit_ms;
}

/* Whether the server has sent something that is no notice. It may have been read already, while a
 * piece waited for the socket. */
static bool has_alarm(struct conn *conn)
{
    struct pollfd fd = {.fd = PQsocket(conn->pg), .events = POLLIN};
    if (!conn->looks_early || (!conn->has_input && poll(&fd, 1, 0) <= 0))
        return false;
    conn->has_input = false;
    if (!PQconsumeInput(conn->pg))
        return true;
    PQputCopyData(conn->pg, "", 0);
    bool is_notice = conn->notice_count != conn->seen_notice_count;
    conn->seen_notice_count = conn->notice_count;
    return !is_notice;
}

static enum errc send_piece(struct conn *conn, struct conn_wait *wait, const char *bytes,
                            size_t length, struct error *err)
{
    enum errc rc = RR_OK;
    int queued = 0;
    for (wait->is_writable = false; !rc && !wait->is_writable;)
        rc = conn_wait(conn, wait, true, CANCEL_POLL_MS, err);
    while (!rc && (queued = PQputCopyData(conn->pg, bytes, (int)length)) == 0)
        rc = conn_flush(conn, wait, err);
    if (rc)
        return rc;
    return queued < 0 ? conn_fail(conn, wait, NULL, err) : conn_flush(conn, wait, err);
}

/* The cancel flag is set: ends the COPY in order, so that the session stays usable. */
static enum errc stop(struct conn *conn, struct conn_wait *wait, struct error *err)
{
    if (wait->was_cancelled)
        return end(conn, wait, "interrupted", NULL, err);
    conn_finish(conn, wait);
    copyin_abort(conn, "interrupted");
    return cancel_check(conn->cancel, err);
}

enum errc copyin_write(struct conn *conn, const void *bytes, size_t length, struct error *err)
{
    if (!conn->is_copying)
        return error_set(err, ERR_BUG, "no COPY is going on in this session");
    struct conn_wait wait = {0};
    conn->is_copying = false;
    enum errc rc = conn_start(conn, &wait, err);
    conn->is_copying = conn_is_alive(conn);
    if (rc == ERR_CANCELLED) {
        copyin_abort(conn, "interrupted");
        return rc;
    }
    const char *p = bytes;
    while (!rc && length) {
        size_t piece = length < PIECE_BYTES ? length : PIECE_BYTES;
        rc = send_piece(conn, &wait, p, piece, err);
        p += piece;
        length -= piece;
        if (!rc && (wait.was_cancelled || cancel_is_requested(conn->cancel)))
            return stop(conn, &wait, err);
        if (!rc && has_alarm(conn))
            return end(conn, &wait, alarm_reason, NULL, err);
    }
    if (rc) {
        conn->is_copying = false;
        conn_finish(conn, &wait);
    }
    return rc;
}

enum errc copyin_end(struct conn *conn, uint64_t *ret_rows, struct error *err)
{
    if (!conn->is_copying)
        return error_set(err, ERR_BUG, "no COPY is going on in this session");
    struct conn_wait wait = {0};
    conn->is_copying = false;
    enum errc rc = conn_start(conn, &wait, err);
    if (rc == ERR_CANCELLED) {
        conn->is_copying = true;
        copyin_abort(conn, "interrupted");
    }
    return rc ? rc : end(conn, &wait, NULL, ret_rows, err);
}

bool copyin_is_false_alarm(const struct error *err)
{
    return strcmp(err->sqlstate, "57014") == 0 && strstr(err->text, alarm_reason);
}
