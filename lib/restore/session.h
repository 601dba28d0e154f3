/*
 * session - one connection of a load with everything that goes with it: the session's settings, a
 * reader of the archive, and what the session was last set to (tablespace, access method,
 * search_path).
 *
 * One owner thread. What many sessions share (struct load_context) is not written to once the first
 * one is open.
 */
#ifndef RR_RESTORE_SESSION_H
#define RR_RESTORE_SESSION_H

#include "lib/archive/reader.h"
#include "lib/archive/toc.h"
#include "lib/base/cancel.h"
#include "lib/pg/conn.h"
#include "lib/restore/load.h"
#include "lib/restore/statements.h"

/* Shared by all sessions of a load. */
struct load_context {
    const struct load_options *options;
    const struct toc *toc;
    struct archive_settings settings;
    struct cancel stop; /* requested when the load is given up; its parent is the caller's */
};

/* Told about progress inside one entry: what came since the last call. */
struct session_meter {
    void (*report)(void *context, uint64_t bytes, uint64_t rows);
    void *context;
};

struct session {
    const struct load_context *load;
    struct session_meter meter;
    struct conn *conn;
    struct source_reader *reader; /* NULL until data are asked for */
    struct data_reader *data;
    char *tablespace, *access_method, *schema; /* as set last; NULL: not set by us */
};

/*
 * Connects and sets the session up. The context must outlive the session. Caller: session_close().
 */
enum errc session_open(const struct load_context *load, struct session_meter meter,
                       struct session **ret_session, struct error *err) RR_MUST_CHECK;
void session_close(struct session *session); /* NULL is accepted */
void session_guard(struct session **session);
#define SESSION_GUARD __attribute__((cleanup(session_guard)))

/* Runs one string of SQL. A deadlock (40P01) is tried again up to three times: the string must be
 * one that is undone whole, outside a transaction block. */
enum errc session_exec(struct session *session, const char *sql, struct error *err) RR_MUST_CHECK;

/* Sets default_tablespace, default_table_access_method and, for archives without a search path of
 * their own, search_path as the entry asks, where they differ from what they are. */
enum errc session_select(struct session *session, const struct entry *entry,
                         struct error *err) RR_MUST_CHECK;

/* After SQL that may have changed who we are (SET SESSION AUTHORIZATION in ACL entries). */
enum errc session_resume_role(struct session *session, struct error *err) RR_MUST_CHECK;

/* The reader of the archive's data blocks, opened when first asked for; owned by the session. */
enum errc session_data(struct session *session, struct data_reader **ret_data,
                       struct error *err) RR_MUST_CHECK;

/* Something that is undone whole when it fails: `work` is one statement, or runs in a transaction
 * block. */
struct session_work {
    enum errc (*work)(struct session *session, void *context, struct error *err);
    void *context;
    bool needs_transaction; /* between BEGIN and COMMIT; an error rolls back */
};

/* Runs the work; after a deadlock again, like session_exec(). */
enum errc session_run(struct session *session, const struct session_work *work,
                      struct error *err) RR_MUST_CHECK;

#endif
