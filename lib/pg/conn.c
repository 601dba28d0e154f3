/*
 * Connections. The socket is non-blocking; every wait is conn_wait(), one poll of at most
 * CANCEL_POLL_MS.
 *
 * Cancelling: the request goes out from an errand, because PQcancel blocks until the server has
 * hung up. The statement's results are awaited all the same, for CONN_CANCEL_GRACE_MS; then the
 * session is given up. A statement that was finished before the request reached it counts as done.
 * The errand is awaited too: a request that arrives late would hit the next statement.
 */
#include "lib/pg/conn.h"

#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else /* where Debian keeps it */
#include <postgresql/libpq-fe.h>
#endif

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/pg/conn_internal.h"
#include "lib/pg/errand.h"

enum { WARNINGS_BYTES = 4096 };

static uint64_t now_ms(void)
{
    return clock_boottime_ms(clock_system());
}

static const char *field_of(const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);
    return text ? text : "";
}

/*
 * --- notices -----------------------------------------------------------------------------------
 */

static void take_notice(void *context, const PGresult *result)
{
    struct conn *conn = context;
    const char *severity = field_of(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = field_of(result, PG_DIAG_MESSAGE_PRIMARY);
    conn->notice_count++;
    log_debug("message from the server", LOG_TEXT("severity", severity), LOG_TEXT("text", message),
              LOG_TEXT("sqlstate", field_of(result, PG_DIAG_SQLSTATE)));
    if (!conn->keeps_warnings || strcmp(severity, "WARNING") != 0)
        return;
    if (conn->warnings.length)
        str_append(&conn->warnings, "; ");
    conn_append_message(&conn->warnings, message, 500);
    const char *detail = field_of(result, PG_DIAG_MESSAGE_DETAIL);
    if (*detail) {
        str_append(&conn->warnings, ": ");
        conn_append_message(&conn->warnings, detail, 500);
    }
}

/*
 * --- opening and closing -----------------------------------------------------------------------
 */

/* Role and database may carry settings that get in our way; a session of ours starts from known
 * ones. */
static enum errc prepare_session(struct conn *conn, bool is_for_user_sql, struct error *err)
{
    int version = PQserverVersion(conn->pg);
    STR_GUARD struct str sql = STR_INIT(4096);
    str_append(&sql, "SET standard_conforming_strings = on; SET statement_timeout = 0; "
                     "SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
                     "SET default_transaction_read_only = off; SET client_min_messages = warning");
    if (version >= 140000)
        str_append(&sql, "; SET idle_session_timeout = 0");
    if (version >= 170000)
        str_append(&sql, "; SET transaction_timeout = 0");
    if (!is_for_user_sql)
        str_append(
            &sql,
            "; SET search_path = pg_catalog; SET datestyle = iso; SET intervalstyle = postgres; "
            "SET default_transaction_isolation = 'read committed'; "
            "SET default_transaction_deferrable = off");
    return conn_exec(conn, str_text(&sql), err);
}

static char *make_peer(PGconn *pg)
{
    const char *host = PQhost(pg), *port = PQport(pg);
    STR_GUARD struct str peer = STR_INIT(1024);
    if (host && *host == '/')
        str_printf(&peer, "%s/.s.PGSQL.%s", host, port ? port : "");
    else
        str_printf(&peer, "%s:%s", host && *host ? host : "localhost", port ? port : "");
    return str_take(&peer);
}

enum errc conn_open(const struct conn_options *options, struct conn **ret_conn, struct error *err)
{
    PGconn *pg = NULL;
    enum errc rc = conn_connect(options, &pg, err);
    if (rc)
        return rc;
    CONN_GUARD struct conn *conn = mem_alloc(sizeof *conn);
    conn->pg = pg;
    conn->cancel = options->cancel;
    conn->warnings = STR_INIT(WARNINGS_BYTES);
    conn->peer = make_peer(pg);
    conn->user = mem_strdup(PQuser(pg) ? PQuser(pg) : "");
    PQsetNoticeReceiver(pg, take_notice, conn);
    PQsetnonblocking(pg, 1);
    /* A server that accepts a login but answers nothing more must not hold us up either. */
    conn->limit_ms = 30 * 1000;
    rc = prepare_session(conn, options->is_for_user_sql, err);
    if (rc)
        return rc;
    conn->limit_ms = 0;
    *ret_conn = conn;
    conn = NULL;
    return RR_OK;
}

void conn_close(struct conn *conn)
{
    if (!conn)
        return;
    PQfinish(conn->pg);
    str_release(&conn->warnings);
    free(conn->peer);
    free(conn->user);
    free(conn);
}

void conn_guard(struct conn **conn)
{
    conn_close(*conn);
}

void conn_drop(struct conn *conn)
{
    int fd = PQsocket(conn->pg);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    conn->is_lost = true;
}

/*
 * --- waiting and cancelling --------------------------------------------------------------------
 */

static void send_cancel(void *work)
{
    char ignored[256];
    PQcancel(work, ignored, sizeof ignored);
}

static void release_cancel(void *work)
{
    PQfreeCancel(work);
}

void conn_ask_cancel(struct conn *conn, struct conn_wait *wait)
{
    wait->drop_at_ms = now_ms() + CONN_CANCEL_GRACE_MS;
    PGcancel *request = PQgetCancel(conn->pg);
    if (!request)
        return;
    wait->cancelling = errand_start(send_cancel, release_cancel, request);
    if (!wait->cancelling)
        PQfreeCancel(request);
}

static void end_cancelling(struct conn *conn, struct conn_wait *wait)
{
    if (!wait->cancelling)
        return;
    uint64_t now = now_ms(), left = now < wait->drop_at_ms ? wait->drop_at_ms - now : 0;
    if (!errand_wait(wait->cancelling, conn->is_lost ? 0 : left))
        conn_drop(conn);
    PQfreeCancel(errand_end(wait->cancelling));
    wait->cancelling = NULL;
}

enum errc conn_start(struct conn *conn, struct conn_wait *wait, struct error *err)
{
    if (!conn_is_alive(conn))
        return error_set(err, ERR_DATABASE_LOST, "the connection to %s is closed", conn->peer);
    if (conn->is_copying)
        return error_set(err, ERR_BUG, "a COPY is still going on in this session");
    wait->started_ms = now_ms();
    return wait->is_uncancellable ? RR_OK : cancel_check(conn->cancel, err);
}

static enum errc fail_silent(struct conn *conn, const struct conn_wait *wait, struct error *err)
{
    conn_drop(conn);
    if (wait->was_cancelled)
        return error_set(err, ERR_CANCELLED, "interrupted; %s did not answer the request to cancel",
                         conn->peer);
    return error_set(err, ERR_DATABASE_LOST, "%s has not answered for %llu s", conn->peer,
                     (unsigned long long)(now_ms() - wait->started_ms) / 1000);
}

/* Looks at the cancel flag and the time; asks the server to cancel when one of them says so. */
static enum errc watch(struct conn *conn, struct conn_wait *wait, struct error *err)
{
    uint64_t now = now_ms();
    if (wait->drop_at_ms)
        return now < wait->drop_at_ms ? RR_OK : fail_silent(conn, wait, err);
    if (!wait->is_uncancellable && cancel_is_requested(conn->cancel))
        wait->was_cancelled = true;
    else if (conn->limit_ms && now - wait->started_ms >= conn->limit_ms)
        wait->was_too_long = true;
    else
        return RR_OK;
    conn_ask_cancel(conn, wait);
    return RR_OK;
}

enum errc conn_wait(struct conn *conn, struct conn_wait *wait, bool wants_write, unsigned slice_ms,
                    struct error *err)
{
    enum errc rc = watch(conn, wait, err);
    if (rc)
        return rc;
    struct pollfd fd = {.fd = PQsocket(conn->pg),
                        .events = (short)(POLLIN | (wants_write ? POLLOUT : 0))};
    int ready = fd.fd < 0 ? -1 : poll(&fd, 1, (int)slice_ms);
    wait->is_writable = ready > 0 && (fd.revents & POLLOUT);
    if (ready == 0 || (ready < 0 && fd.fd >= 0 && errno == EINTR))
        return RR_OK;
    /* A write that fails and a read that fails both end here; libpq then has the reason. */
    if (ready < 0 || ((fd.revents & ~POLLOUT) && !PQconsumeInput(conn->pg)))
        return conn_fail(conn, wait, NULL, err);
    conn->has_input |= (fd.revents & ~POLLOUT) != 0;
    return RR_OK;
}

enum errc conn_flush(struct conn *conn, struct conn_wait *wait, struct error *err)
{
    for (;;) {
        int left = PQflush(conn->pg);
        if (left == 0)
            return RR_OK;
        if (left < 0)
            return conn_fail(conn, wait, NULL, err);
        enum errc rc = conn_wait(conn, wait, true, CANCEL_POLL_MS, err);
        if (rc)
            return rc;
    }
}

enum errc conn_next_result(struct conn *conn, struct conn_wait *wait, PGresult **ret_result,
                           struct error *err)
{
    enum errc rc = conn_flush(conn, wait, err);
    while (!rc && PQisBusy(conn->pg))
        rc = conn_wait(conn, wait, false, CANCEL_POLL_MS, err);
    if (!rc)
        *ret_result = PQgetResult(conn->pg);
    return rc;
}

/* COPY TO STDOUT by mistake: its rows must be taken before the session can go on. */
static enum errc drain_copy_out(struct conn *conn, struct conn_wait *wait, struct error *err)
{
    for (;;) {
        char *row = NULL;
        int length = PQgetCopyData(conn->pg, &row, 1);
        PQfreemem(row);
        if (length < 0)
            return RR_OK;
        enum errc rc = length ? RR_OK : conn_wait(conn, wait, false, CANCEL_POLL_MS, err);
        if (rc)
            return rc;
    }
}

void conn_finish(struct conn *conn, struct conn_wait *wait)
{
    struct error ignored = ERROR_INIT;
    enum errc rc = RR_OK;
    while (!rc && conn_is_alive(conn)) {
        PGresult *result = NULL;
        rc = conn_next_result(conn, wait, &result, &ignored);
        if (rc || !result)
            break;
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (status == PGRES_COPY_IN)
            PQputCopyEnd(conn->pg, "COPY is not possible here");
        else if (status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            if (!wait->drop_at_ms)
                conn_ask_cancel(conn, wait);
            rc = drain_copy_out(conn, wait, &ignored);
        }
    }
    if (rc)
        conn_drop(conn);
    end_cancelling(conn, wait);
}

/*
 * --- statements --------------------------------------------------------------------------------
 */

/* Rows on their way from libpq into the arena. */
struct collector {
    struct arena *arena; /* NULL: rows are dropped */
    const char **values; /* heap */
    size_t value_count, capacity, column_count, row_count;
};

static void collector_guard(struct collector *c)
{
    free(c->values);
}

static void begin_rows(struct collector *c, const PGresult *result)
{
    c->value_count = c->row_count = 0;
    c->column_count = (size_t)PQnfields(result);
}

static void take_rows(struct collector *c, const PGresult *result)
{
    int rows = PQntuples(result), columns = PQnfields(result);
    size_t more = (size_t)rows * (size_t)columns;
    c->row_count += (size_t)rows;
    if (c->value_count + more > c->capacity) {
        c->capacity = 2 * (c->value_count + more);
        c->values = mem_resize(c->values, c->capacity * sizeof *c->values);
    }
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++)
            c->values[c->value_count++] =
                PQgetisnull(result, row, column)
                    ? NULL
                    : arena_strndup(c->arena, PQgetvalue(result, row, column),
                                    (size_t)PQgetlength(result, row, column));
}

static struct rows give_rows(struct collector *c)
{
    const char **values = arena_array(c->arena, c->value_count, sizeof *values);
    if (c->value_count)
        memcpy(values, c->values, c->value_count * sizeof *values);
    return (struct rows){
        .values = values, .column_count = c->column_count, .row_count = c->row_count};
}

/* One result of a statement. Rows come one by one (single row mode), then an empty result that ends
 * them. */
static enum errc take_result(struct conn *conn, struct conn_wait *wait, const PGresult *result,
                             struct collector *c, bool *is_inside, struct error *err)
{
    switch (PQresultStatus(result)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
        if (!c->arena)
            return RR_OK;
        if (!*is_inside)
            begin_rows(c, result);
        *is_inside = PQresultStatus(result) == PGRES_SINGLE_TUPLE;
        take_rows(c, result);
        if (c->row_count > LIMIT_RESULT_ROWS)
            return error_set(err, ERR_TOO_LARGE, "a statement returned more than %zu rows",
                             LIMIT_RESULT_ROWS);
        return RR_OK;
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        return RR_OK;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
        return error_set(err, ERR_SQL, "COPY to or from the client is not possible here");
    default:
        return conn_fail(conn, wait, result, err);
    }
}

/* After a PQsend...: takes all results. */
static enum errc run(struct conn *conn, struct conn_wait *wait, struct arena *arena,
                     struct rows *ret_rows, struct error *err)
{
    __attribute__((cleanup(collector_guard))) struct collector c = {.arena = arena};
    PQsetSingleRowMode(conn->pg);
    enum errc rc = RR_OK;
    for (bool is_inside = false; !rc;) {
        PGresult *result = NULL;
        rc = conn_next_result(conn, wait, &result, err);
        if (rc || !result)
            break;
        rc = take_result(conn, wait, result, &c, &is_inside, err);
        if (rc == ERR_TOO_LARGE)
            conn_ask_cancel(conn, wait);
        PQclear(result);
    }
    conn_finish(conn, wait);
    if (!rc && ret_rows)
        *ret_rows = give_rows(&c);
    return rc;
}

static enum errc run_simple(struct conn *conn, const char *sql, struct arena *arena,
                            struct rows *ret_rows, struct error *err)
{
    struct conn_wait wait = {.sql = sql};
    enum errc rc = conn_start(conn, &wait, err);
    if (rc)
        return rc;
    if (!PQsendQuery(conn->pg, sql))
        return conn_fail(conn, &wait, NULL, err);
    return run(conn, &wait, arena, ret_rows, err);
}

enum errc conn_exec(struct conn *conn, const char *sql, struct error *err)
{
    return run_simple(conn, sql, NULL, NULL, err);
}

enum errc conn_execf(struct conn *conn, struct error *err, const char *fmt, ...)
{
    STR_GUARD struct str sql = STR_INIT(LIMIT_STATEMENT_BYTES);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&sql, fmt, ap);
    va_end(ap);
    enum errc rc = str_check(&sql, "an SQL statement", err);
    return rc ? rc : conn_exec(conn, str_text(&sql), err);
}

enum errc conn_query(struct conn *conn, struct arena *arena, const char *sql,
                     const char *const params[], size_t param_count, struct rows *ret_rows,
                     struct error *err)
{
    struct conn_wait wait = {.sql = sql};
    enum errc rc = conn_start(conn, &wait, err);
    if (rc)
        return rc;
    if (!PQsendQueryParams(conn->pg, sql, (int)param_count, NULL, params, NULL, NULL, 0))
        return conn_fail(conn, &wait, NULL, err);
    return run(conn, &wait, arena, ret_rows, err);
}

enum errc conn_query_simple(struct conn *conn, struct arena *arena, const char *sql,
                            struct rows *ret_rows, struct error *err)
{
    return run_simple(conn, sql, arena, ret_rows, err);
}

/* Waits for the answer of a message, with `meanwhile` in between. */
static enum errc wait_meanwhile(struct conn *conn, struct conn_wait *wait, unsigned interval_ms,
                                void (*meanwhile)(void *context), void *context, struct error *err)
{
    enum errc rc = conn_flush(conn, wait, err);
    uint64_t next = now_ms() + interval_ms;
    while (!rc && PQisBusy(conn->pg)) {
        uint64_t now = now_ms();
        if (now >= next) {
            meanwhile(context);
            next = now_ms() + interval_ms;
            continue;
        }
        rc = conn_wait(conn, wait, false, (unsigned)(next - now), err);
    }
    return rc;
}

enum errc conn_exec_meanwhile(struct conn *conn, const char *sql, unsigned interval_ms,
                              void (*meanwhile)(void *context), void *context, struct arena *arena,
                              const char **ret_warning, struct error *err)
{
    struct conn_wait wait = {.is_uncancellable = true};
    enum errc rc = conn_start(conn, &wait, err);
    if (rc)
        return rc;
    str_clear(&conn->warnings);
    conn->keeps_warnings = true;
    if (!PQsendQuery(conn->pg, sql))
        rc = conn_fail(conn, &wait, NULL, err);
    if (!rc)
        rc = wait_meanwhile(conn, &wait, interval_ms, meanwhile, context, err);
    if (!rc)
        rc = run(conn, &wait, NULL, NULL, err);
    else
        conn_finish(conn, &wait);
    conn->keeps_warnings = false;
    if (ret_warning)
        *ret_warning = arena_strdup(arena, str_text(&conn->warnings));
    return rc;
}

/*
 * --- questions ---------------------------------------------------------------------------------
 */

int conn_server_version(const struct conn *conn)
{
    return PQserverVersion(conn->pg);
}

int conn_backend_pid(const struct conn *conn)
{
    return PQbackendPID(conn->pg);
}

bool conn_is_alive(const struct conn *conn)
{
    return !conn->is_lost && PQstatus(conn->pg) == CONNECTION_OK;
}

const char *conn_peer(const struct conn *conn)
{
    return conn->peer;
}

const char *conn_user(const struct conn *conn)
{
    return conn->user;
}

void conn_set_cancel(struct conn *conn, const struct cancel *cancel)
{
    conn->cancel = cancel;
}

void conn_set_limit_ms(struct conn *conn, uint64_t limit_ms)
{
    conn->limit_ms = limit_ms;
}
