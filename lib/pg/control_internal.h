/*
 * control_internal - what the modules of this room share about the control session. Private to
 * lib/pg.
 *
 * The session is one PGconn behind one mutex: the main thread's calls and the heartbeat's pings
 * take turns. control_conn_take() locks, control_conn_give() unlocks; between them several
 * statements may run, but nothing that lasts (dropping a database, sending data): that gets a
 * session of its own (control_helper_open()), so that the heart goes on beating.
 */
#ifndef RR_PG_CONTROL_INTERNAL_H
#define RR_PG_CONTROL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/pg/conn_internal.h"
#include "lib/pg/control.h"

/* First key of every advisory lock of ours; the second is the hash of the target's name. */
#define CONTROL_LOCK_CLASS "29298"
/* pg_locks' objid of the lock of the target that is parameter or literal `target`. */
#define CONTROL_LOCK_OBJECT(target) "(pg_catalog.hashtext(" target ")::bigint & 4294967295)::oid"
/* An instant as RFC 3339 in UTC. */
#define CONTROL_RFC3339(instant)                                                                   \
    "to_char(" instant " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define CONTROL_SYSTEM_ID "(SELECT system_identifier::text FROM pg_catalog.pg_control_system())"

enum { CONTROL_LIMIT_MS = 120 * 1000 };

struct control {
    struct control_options options; /* texts are our own copies, in `texts` */
    struct arena texts;
    const char *application_name;
    struct conn *conn;
    bool has_tables; /* false: opened to look only, and there is nothing yet; every list is empty */
    pthread_mutex_t mutex; /* guards conn */
    uint64_t last_used_ms;
    atomic_bool is_lost;
    int64_t token; /* 0: no fence taken */

    pthread_t heart;
    bool has_heart;
    pthread_mutex_t stop_mutex;
    pthread_cond_t stop_signal;
    bool is_stopping;
};

/* A further session to the control database, prepared like the first. The cancel flag does not
 * matter to it. */
enum errc control_second_open(const struct control *control, struct conn **ret_conn,
                              struct error *err) RR_MUST_CHECK;
/* The same, for killers and for statements that last: certainly to the same server as the control
 * session, which the caller has taken. ERR_DATABASE_CHANGED when several hosts or a moved address
 * lead elsewhere. */
enum errc control_helper_open(struct control *control, struct conn **ret_conn,
                              struct error *err) RR_MUST_CHECK;
/* conn_query() on the control session, for one statement. ERR_SQL becomes ERR_CONTROL_DATABASE. */
enum errc control_query(struct control *control, struct arena *arena, const char *sql,
                        const char *const params[], size_t param_count, struct rows *ret_rows,
                        struct error *err) RR_MUST_CHECK;
/* Rolls back what is open, whatever the cancel flag says; a session that cannot even do that is
 * dropped. */
void control_roll_back(struct conn *conn);
/* Ends a backend and waits for that, up to `wait_ms` (0: does not wait). False when the server
 * refused (no right to signal it) or it has not ended in time. */
bool control_end_backend(struct conn *conn, const char *pid, unsigned wait_ms);

/* control_schema.c: tables there, of our version, nobody else's code in them. *ret_is_there = false
 * when they are not there and may not be made. */
enum errc control_schema_prepare(struct conn *conn, const struct control_options *options,
                                 bool *ret_is_there, struct error *err) RR_MUST_CHECK;
/* control_create.c: makes the control database from a maintenance database. One that somebody else
 * makes at the same moment is fine. */
enum errc control_create_database(const struct control_options *options,
                                  const char *application_name, struct error *err) RR_MUST_CHECK;
/* A session to any database that servers have, and which one it is. */
enum errc control_maintenance_open(const struct control_options *options,
                                   const char *application_name, struct conn **ret_conn,
                                   const char **ret_database, struct error *err) RR_MUST_CHECK;
/* ERR_POOLER when the session's backend changes under our hands. */
enum errc control_refuse_pooler(struct conn *conn, struct error *err) RR_MUST_CHECK;

/* heartbeat.c */
void control_heart_start(struct control *control);
void control_heart_stop(struct control *control);

/* Fills `err`: fence or lock are somebody else's. */
enum errc control_fence_lost(struct error *err);

/* Text of a number as a parameter. */
const char *control_int(struct arena *arena, int64_t value);
/* The other way; 0 for NULL or "". */
int64_t control_to_int(const char *text);

#endif
