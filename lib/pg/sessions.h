/*
 * sessions - ending the sessions of a database while another session waits for them to be gone.
 *
 * RENAME and DROP of a database wait five seconds for its sessions to go, and applications
 * reconnect at once; so sessions are ended again and again until the statement has returned. One by
 * one: in one statement for all, the first that our role may not signal would save the rest. And
 * whatever their type: what kind of backend it is is hidden from roles without pg_read_all_stats,
 * so a filter on it would match nothing, silently.
 *
 * Private to lib/pg.
 */
#ifndef RR_PG_SESSIONS_H
#define RR_PG_SESSIONS_H

#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"
#include "lib/pg/conn.h"

enum { SESSIONS_MAX_ENDED = 4096, SESSIONS_MAX_REFUSED = 16 };

struct sessions {
    struct conn *conn;        /* the session that ends the others */
    const char *databases[2]; /* names; the second may be NULL */
    int for_pid; /* only once this backend has asked for the lock of a database (it has passed its
                  * checks); 0: at once */
    unsigned passes;
    size_t ended_count, refused_count;
    int ended[SESSIONS_MAX_ENDED];
    int refused[SESSIONS_MAX_REFUSED]; /* pids that our role may not end */
    struct str in_the_way; /* who they are, and who else holds a lock that we wait for: for the
                              error text */
    int blockers[SESSIONS_MAX_REFUSED];
    size_t blocker_count;
};

/*
 * One pass; a `meanwhile` of conn_exec_meanwhile(). Its failures show in the statement that waits.
 */
void sessions_end(void *sessions);
/* For a new try: forgets who is in the way. */
void sessions_clear(struct sessions *sessions);
void sessions_release(struct sessions *sessions);

#endif
