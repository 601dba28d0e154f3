/*
 * conn - one connection to PostgreSQL, on libpq, which stays inside this room.
 *
 * A connection has one owner thread. Every statement runs with the caller's cancel flag in sight:
 * the wait is a poll of at most CANCEL_POLL_MS; when the flag is set the server is asked to cancel
 * and the call returns ERR_CANCELLED. Server errors come back with SQLSTATE, message, detail and
 * hint in the text, names and values escaped, never with the password. A connection that breaks is
 * ERR_DATABASE_LOST; nothing reconnects by itself, because a lost session is a lost lock.
 *
 * Parameters come from DATABASE_URL if set, else from libpq's own environment (PGHOST ...).
 */
#ifndef RR_PG_CONN_H
#define RR_PG_CONN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct cancel;
struct conn;

struct conn_options {
    const char *database; /* overrides dbname of the parameters; NULL: theirs */
    const char *conninfo; /* a conninfo string or URI in place of DATABASE_URL; NULL: none */
    const char *application_name; /* "restore-reconciler/RUN" */
    const struct cancel *cancel;  /* may be NULL; must outlive the connection */
    /* For each address that the hosts resolve to; one that does not answer at all may be tried
     * twice. 0: the user's own (connect_timeout, PGCONNECT_TIMEOUT), else 15. */
    uint64_t connect_timeout_s;
    /* For the load: extra libpq "options" (-c name=value ...), NULL for none; PGOPTIONS stay in
     * force. */
    const char *options;
    /* For statements that the user wrote: search_path, DateStyle and IntervalStyle stay as role and
     * database have them. */
    bool is_for_user_sql;
};

/* ERR_DATABASE_UNREACHABLE (host and port named), ERR_DATABASE_LOGIN (role named), ERR_SQL with
 * SQLSTATE 3D000 in err->sqlstate when the database does not exist, ERR_SQL with other SQLSTATEs;
 * ERR_CONFIG for parameters that libpq does not take, ERR_TLS. Sets search_path to pg_catalog,
 * client_encoding UTF8, the timeouts of statements, locks and transactions to none, and short TCP
 * keepalives. Caller: conn_close(). */
enum errc conn_open(const struct conn_options *options, struct conn **ret_conn,
                    struct error *err) RR_MUST_CHECK;
void conn_close(struct conn *conn); /* NULL is accepted */
void conn_guard(struct conn **conn);
#define CONN_GUARD __attribute__((cleanup(conn_guard)))

/* Result of a query: text values, all in the arena given to conn_query(). */
struct rows {
    size_t row_count, column_count;
    const char *const *values; /* row by row; NULL is SQL's NULL */
};
static inline const char *rows_get(const struct rows *rows, size_t row, size_t column)
{
    return rows->values[row * rows->column_count + column];
}

/* Runs one or more statements by the simple protocol: one string is one implicit transaction.
 * Results are dropped. A COPY in the string is an error. */
enum errc conn_exec(struct conn *conn, const char *sql, struct error *err) RR_MUST_CHECK;

/* As conn_exec(), with printf. Quote with sql_identifier() / sql_literal() first. */
enum errc conn_execf(struct conn *conn, struct error *err, const char *fmt, ...) RR_MUST_CHECK
    RR_PRINTF(3, 4);

/* One statement by the extended protocol, parameters $1... as text (NULL = SQL NULL). At most
 * LIMIT_RESULT_ROWS rows. */
enum errc conn_query(struct conn *conn, struct arena *arena, const char *sql,
                     const char *const params[], size_t param_count, struct rows *ret_rows,
                     struct error *err) RR_MUST_CHECK;

/* The statements of one string by the simple protocol; the rows of the last statement that returned
 * any. For the user's own check statements. */
enum errc conn_query_simple(struct conn *conn, struct arena *arena, const char *sql,
                            struct rows *ret_rows, struct error *err) RR_MUST_CHECK;

/* The swap's way: sends the string, then waits, calling `meanwhile(context)` about every
 * `interval_ms` until the server has answered. Not cancelled by the cancel flag: the deadline is
 * the statement's own. When the connection breaks after sending, the result is ERR_DATABASE_LOST:
 * outcome unknown. `ret_warning` (may be NULL; arena) receives the text of WARNINGs that came
 * along. */
enum errc conn_exec_meanwhile(struct conn *conn, const char *sql, unsigned interval_ms,
                              void (*meanwhile)(void *context), void *context, struct arena *arena,
                              const char **ret_warning, struct error *err) RR_MUST_CHECK;

/* Server version as libpq gives it: 150018 for 15.18. */
int conn_server_version(const struct conn *conn);
/* Backend pid as libpq knows it (differs from pg_backend_pid() behind a transaction pooler). */
int conn_backend_pid(const struct conn *conn);
/* Whether the session is still usable, without asking the server. */
bool conn_is_alive(const struct conn *conn);
/* "host:port" or socket folder, for messages. */
const char *conn_peer(const struct conn *conn);
/* Role that the session authenticated as. */
const char *conn_user(const struct conn *conn);
/* Replaces the connection's cancel flag (NULL: none), for parts that must not be interrupted. */
void conn_set_cancel(struct conn *conn, const struct cancel *cancel);

#endif
