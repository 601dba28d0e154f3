/*
 * conn_internal - what the modules of this room share about a connection. Private to lib/pg.
 *
 * A statement goes: conn_start() (usable? cancelled?), a PQsend... call, then conn_next_result()
 * until it gives NULL. All sockets are non-blocking, so nothing waits outside conn_wait(), which
 * polls for at most CANCEL_POLL_MS and knows three ways to end a wait that lasts too long: the
 * cancel flag and the connection's own time limit make it ask the server to cancel; a server that
 * does not answer within CONN_CANCEL_GRACE_MS after that makes it drop the connection.
 */
#ifndef RR_PG_CONN_INTERNAL_H
#define RR_PG_CONN_INTERNAL_H

#include "lib/base/str.h"
#include "lib/pg/conn.h"

struct errand;
struct pg_conn;   /* libpq's PGconn */
struct pg_result; /* libpq's PGresult */

enum { CONN_CANCEL_GRACE_MS = 10 * 1000 };

struct conn {
    struct pg_conn *pg;
    const struct cancel *cancel;
    uint64_t limit_ms; /* longest time one statement may take by our clock, 0: any */
    char *peer, *user;
    bool is_lost;          /* dropped by us; libpq may not know yet */
    unsigned notice_count; /* notices and warnings so far */
    struct str warnings;   /* texts of WARNINGs while keeps_warnings */
    bool keeps_warnings;
    bool has_input;               /* something was read since copyin.c last looked */
    bool is_copying, looks_early; /* copyin.c */
    unsigned seen_notice_count;   /* notices when copyin.c last looked */
};

/* One running statement. All zero but `sql` at its start. */
struct conn_wait {
    const char *sql; /* for error texts; NULL: none */
    uint64_t started_ms, drop_at_ms;
    bool is_uncancellable; /* the cancel flag is not looked at */
    bool was_cancelled, was_too_long;
    bool is_writable;          /* what the last conn_wait() found */
    struct errand *cancelling; /* the request to cancel, under way */
};

/* The longest a statement may take before it is cancelled, 0: no limit. For sessions whose
 * statements are short by nature, so that a server that hangs does not make us hang. */
void conn_set_limit_ms(struct conn *conn, uint64_t limit_ms);

/* Usable and not cancelled; begins `wait`. */
enum errc conn_start(struct conn *conn, struct conn_wait *wait, struct error *err) RR_MUST_CHECK;
/* Waits for the socket (for writing too if `wants_write`), at most `slice_ms`, and takes in what
 * came. */
enum errc conn_wait(struct conn *conn, struct conn_wait *wait, bool wants_write, unsigned slice_ms,
                    struct error *err) RR_MUST_CHECK;
/* Sends all that libpq has buffered. */
enum errc conn_flush(struct conn *conn, struct conn_wait *wait, struct error *err) RR_MUST_CHECK;
/* The statement's next result, NULL after the last. The caller clears it. */
enum errc conn_next_result(struct conn *conn, struct conn_wait *wait, struct pg_result **ret_result,
                           struct error *err) RR_MUST_CHECK;
/* Takes the remaining results and throws them away. Ends what `wait` holds. After that the session
 * is ready for the next statement, or lost. */
void conn_finish(struct conn *conn, struct conn_wait *wait);
/* Asks the server to cancel the running statement; the session is dropped if that does not help in
 * time. */
void conn_ask_cancel(struct conn *conn, struct conn_wait *wait);
/* Gives the session up: the server sees it end. */
void conn_drop(struct conn *conn);

/* Fills `err` from a failed result (NULL: from the connection), with SQLSTATE, message, detail,
 * context; the code follows the SQLSTATE. */
enum errc conn_fail(struct conn *conn, const struct conn_wait *wait, const struct pg_result *result,
                    struct error *err);
/* The code that a SQLSTATE means for a running statement. */
enum errc conn_errc_of_sqlstate(const char *sqlstate);
/* Appends foreign text: control characters and newlines escaped, at most `max` bytes, not in
 * quotes. */
void conn_append_message(struct str *s, const char *text, size_t max);
/* Appends the head of a statement for an error text: up to the first string constant, which may
 * hold a secret, and at most 200 bytes. */
void conn_append_statement(struct str *s, const char *sql);

/* connect.c: makes the PGconn. On failure `err` is filled. */
enum errc conn_connect(const struct conn_options *options, struct pg_conn **ret_pg,
                       struct error *err) RR_MUST_CHECK;

#endif
