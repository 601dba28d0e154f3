/*
 * control - the control database: what the server itself knows about our restores.
 *
 * One session to the control database (created from template0, closed to PUBLIC, schema
 * `restore_reconciler`, search_path pg_catalog, synchronous_commit on) that holds the advisory lock
 * of one target and answers for the fence, the history and the registry of databases. A heartbeat
 * thread pings the session every 5 s while nothing else runs on it, so that others can tell a live
 * holder from a dead one; the session is guarded inside, every function here may be called from the
 * main thread at any time. A session that breaks is never replaced: the lock went with it, and
 * every later call answers ERR_FENCE_LOST. The cancel flag ends the waits of control_open(),
 * control_lock() and control_fence_take(); everything else is short, bounded (two minutes; a DROP
 * 15) and not interrupted, so that a run that was told to stop can still clean up.
 *
 * Times are decided by the server's clock. Keys are two texts: `desired`, canonical RFC 3339 in UTC
 * ("" where there is none), and `request` ("" where there is none).
 *
 * Tables, version 1 (which stands in a table `schema_version`):
 *   fence(target PK, token, run_id, recovering, phase, state_ref, desired, request, updated_at)
 *   history(seq PK, kind, target, desired, request, held_desired, held_request, state_ref, run_id,
 *           system_id, old_oid, new_oid, backup, size_bytes, checksum, started_at, finished_at)
 *   database(name PK, oid, target, kind, run_id, state, desired, request, made_by_us, created_at,
 *            expires_at, size_bytes)
 */
#ifndef RR_PG_CONTROL_H
#define RR_PG_CONTROL_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/pg/conn.h"

struct control;

struct control_options {
    const char *control_database; /* name */
    const char *target;           /* name of the live database */
    const char *run_id;
    const char *state_ref;
    const struct cancel *cancel;
    uint64_t silent_holder_s; /* a lock holder silent for longer is ended; 60 */
    bool may_create;          /* false for plan and status: never creates anything */
};

/* Connects, creating control database and tables when they are absent and that is allowed. With
 * !may_create and nothing there it is a session that can look at the server, to which history and
 * registry are empty (control_is_there() is false). A control database that exists but cannot be
 * read or written (foreign tables, other version, no rights) is ERR_CONTROL_DATABASE. A transaction
 * pooler in between is ERR_POOLER. Warns when PUBLIC may connect. */
enum errc control_open(const struct control_options *options, struct control **ret_control,
                       struct error *err) RR_MUST_CHECK;
/* Whether there are tables of ours: always, unless it was opened to look only. */
bool control_is_there(const struct control *control);
/* Stops the heartbeat and closes the session (the lock goes with it). NULL is accepted. */
void control_close(struct control *control);

/* Takes the advisory lock of the target. Held by a live holder: *ret_is_held = false, and
 * ret_holder (arena) says who (application_name, pid, since). A holder that has been silent for
 * longer than silent_holder_s is ended and the lock tried again, unless the fence says that it
 * works for another state; one with our own run id is a lost session of ours and is ended at once.
 * Starts the heartbeat. */
enum errc control_lock(struct control *control, struct arena *arena, bool *ret_is_held,
                       const char **ret_holder, struct error *err) RR_MUST_CHECK;

/* The fence row as it was before and after the bump. */
struct fence {
    int64_t token; /* ours */
    /* Run id whose work may be unfinished ("recovering"), NULL: none. The run before us, even when
     * it ended well (then its phase is "" and its journal idle): control_fence_clear() before own
     * work begins. */
    const char *displaced;
    const char *phase;     /* phase that the displaced run left behind, "" if none */
    const char *state_ref; /* before the bump */
};

/* Under the lock: token + 1, run id ours. A displaced run that was not yet recovered stays in
 * `recovering` however many runs die in between. Blocks (bounded, 60 s) while a swap transaction of
 * the displaced run is still open. ERR_FOREIGN_STATE when another state_ref owns the target and
 * take_over (NULL: none) does not name it. */
enum errc control_fence_take(struct control *control, struct arena *arena, const char *take_over,
                             struct fence *ret_fence, struct error *err) RR_MUST_CHECK;
/* The fence row without touching it; *ret_is_found. For plan and status. */
enum errc control_fence_read(struct control *control, struct arena *arena, struct fence *ret_fence,
                             const char **ret_run_id, bool *ret_is_found,
                             struct error *err) RR_MUST_CHECK;
/* Sets phase and key of the work that begins ("" = none) if the fence is still ours, else
 * ERR_FENCE_LOST. */
enum errc control_fence_set_phase(struct control *control, const char *phase, const char *desired,
                                  const char *request, struct error *err) RR_MUST_CHECK;
/* Recovery is done: clears `recovering` and phase if the fence is still ours. */
enum errc control_fence_clear(struct control *control, struct error *err) RR_MUST_CHECK;
/* Lock and fence are still ours, asked of the server: else ERR_FENCE_LOST. Before destructive
 * steps. */
enum errc control_check(struct control *control, struct error *err) RR_MUST_CHECK;
/* Whether the heartbeat has found the session broken (no question to the server). */
bool control_is_lost(const struct control *control);

/* One swap, rollback, job or adoption. Texts in the arena; oids 0 where there is none. */
struct history_row {
    int64_t seq;
    const char *kind;                        /* "restore", "rollback", "job", "adopt" */
    const char *desired, *request;           /* key of the data that it made live; "" if unknown */
    const char *held_desired, *held_request; /* rollback: the key that it undid; else "" */
    const char *state_ref, *run_id, *system_id;
    uint32_t old_oid, new_oid;
    const char *backup, *checksum; /* object and what was verified; "" if none */
    int64_t size_bytes;
    const char *finished_at; /* RFC 3339 */
    bool is_on_this_system;  /* system_id is the server's */
};

/* Newest row of the target; *ret_is_found = false if there is none. */
enum errc control_history_newest(struct control *control, struct arena *arena,
                                 struct history_row *ret_row, bool *ret_is_found,
                                 struct error *err) RR_MUST_CHECK;
/* The row that this run wrote (its own statement, so that it sees what just committed). */
enum errc control_history_of_run(struct control *control, struct arena *arena, const char *run_id,
                                 struct history_row *ret_row, bool *ret_is_found,
                                 struct error *err) RR_MUST_CHECK;
/* The newest row that made this oid live on this system. */
enum errc control_history_of_oid(struct control *control, struct arena *arena, uint32_t new_oid,
                                 struct history_row *ret_row, bool *ret_is_found,
                                 struct error *err) RR_MUST_CHECK;
/*
 * Records that the live database is taken as it is, kind "adopt", fence checked in the transaction.
 */
enum errc control_history_adopt(struct control *control, uint32_t live_oid, const char *desired,
                                const char *request, struct error *err) RR_MUST_CHECK;
/* Records that the data of this key, live as it is, is held: kind "rollback" without a swap, for a
 * first restore that failed its smoke check and has nothing to go back to. Fence checked in the
 * transaction. */
enum errc control_history_hold(struct control *control, uint32_t live_oid, const char *desired,
                               const char *request, struct error *err) RR_MUST_CHECK;
/* Newest first, at most `limit`. */
enum errc control_history_list(struct control *control, struct arena *arena, size_t limit,
                               struct history_row **ret_rows, size_t *ret_count,
                               struct error *err) RR_MUST_CHECK;

/* A database of ours. */
struct registry_row {
    const char *name;
    uint32_t oid;      /* 0: CREATE DATABASE was intended but not recorded as done */
    const char *kind;  /* "staging", "previous", "prestaged" */
    const char *state; /* "creating", "ready", "kept", "dropping" */
    const char *run_id;
    const char *desired, *request; /* key of the data in it; "" if not ours */
    const char *created_at;
    const char *expires_at; /* "" = never by itself */
    bool is_due;            /* expires_at has passed by the server's clock */
    bool exists;            /* a database of that name and oid is there now */
    int64_t size_bytes;     /* pg_database_size now, -1 if unknown */
};

/* Rows of the target, oldest first. */
enum errc control_registry_list(struct control *control, struct arena *arena,
                                struct registry_row **ret_rows, size_t *ret_count,
                                struct error *err) RR_MUST_CHECK;
/* Databases whose name has our form for this target but that have no row: to be reported, never
 * touched. */
enum errc control_registry_strangers(struct control *control, struct arena *arena,
                                     const char ***ret_names, size_t *ret_count,
                                     struct error *err) RR_MUST_CHECK;
/* Earliest expires_at of kept databases as RFC 3339 (rounded up to a second), "" if none. */
enum errc control_registry_next_expiry(struct control *control, struct arena *arena,
                                       const char **ret_when, struct error *err) RR_MUST_CHECK;

/* Drops a database of ours: fence checked and row marked "dropping" first; name and oid compared;
 * never the live database, never one without a row; an interrupted drop is finished. Then the row
 * goes. A database that is gone already (or renamed, or made anew by somebody else) only loses its
 * row. Sessions inside are ended (pid by pid). ERR_SQL: the server refused (55006: sessions we may
 * not end; prepared transactions or subscriptions, which the text names); the row stays "dropping".
 * ERR_DATABASE_CHANGED: not ours to drop. */
enum errc control_drop(struct control *control, const struct registry_row *row,
                       struct error *err) RR_MUST_CHECK;

/* The session itself, for statements of lib/pg that must run on it. Not for other rooms. */
struct conn *control_conn_take(struct control *control, struct error *err);
void control_conn_give(struct control *control);
const struct control_options *control_get_options(const struct control *control);
int64_t control_token(const struct control *control);
int control_server_version(const struct control *control);
/* The address of the server as it sees it itself: in a pod the pod's, whatever Service leads there.
 * NULL: a socket. Lives in the arena. */
enum errc control_server_address(struct control *control, struct arena *arena,
                                 const char **ret_address, struct error *err) RR_MUST_CHECK;

#endif
