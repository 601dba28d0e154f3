/*
 * database - databases as wholes: look at them, make staging, carry properties over, swap, check.
 */
#ifndef RR_PG_DATABASE_H
#define RR_PG_DATABASE_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/pg/control.h"

/* A row of pg_database. Texts in the arena; NULL where the server has none. */
struct database_info {
    uint32_t oid;
    const char *name, *owner, *encoding, *collate, *ctype;
    char provider;                  /* 'c' libc, 'i' ICU, 'b' builtin */
    const char *locale, *icu_rules; /* ICU or builtin locale; rules */
    const char *tablespace;
    int connection_limit; /* -1 none, -2 invalid: an interrupted DROP */
    bool allows_connections, is_template;
    int64_t size_bytes; /* -1 if it cannot be asked */
};

/* Looks a database up by exact name. */
enum errc database_find(struct control *control, struct arena *arena, const char *name,
                        struct database_info *ret_info, bool *ret_is_found,
                        struct error *err) RR_MUST_CHECK;

enum database_content { DATABASE_EMPTY, DATABASE_HOLDS_TABLES, DATABASE_UNKNOWN };

/* Whether the database holds anything: relations outside system schemas and extensions, or large
 * objects. DATABASE_UNKNOWN (with *ret_why in the arena) when nobody may connect to it. */
enum errc database_look_inside(struct control *control, struct arena *arena, const char *name,
                               enum database_content *ret_content, const char **ret_why,
                               struct error *err) RR_MUST_CHECK;

/* How staging is to look when there is no live database: from the archive's DATABASE entry. NULL
 * fields: the server's default (template0's). */
struct database_shape {
    const char *encoding, *collate, *ctype, *locale, *icu_rules;
    char provider; /* 0: default */
};

/* Creates the staging database from template0: registry row "creating" first (with the key that the
 * fence row has), CREATE DATABASE, then the oid and "ready". Properties of `live` (owner, encoding,
 * locale, tablespace) or, when NULL, of `shape` (may be NULL too) and the connecting role.
 * *ret_name and *ret_oid. Right after it PUBLIC loses CONNECT. When the server refuses, the row is
 * gone again; when the connection breaks, the row stays for the next run. ERR_DATABASE_CHANGED: the
 * name is taken by somebody else. */
enum errc database_create_staging(struct control *control, struct arena *arena,
                                  const struct database_info *live,
                                  const struct database_shape *shape, const char **ret_name,
                                  uint32_t *ret_oid, struct error *err) RR_MUST_CHECK;

/* Texts for people, each with what to do, in the arena. */
struct findings {
    struct arena *arena;
    const char **items;
    size_t count, capacity;
};
void findings_add(struct findings *findings, const char *fmt, ...) RR_PRINTF(2, 3);

/* Everything that preflight must know about the server and the live database, all findings at once:
 * version and standby, CREATEDB of the current role, ownership by inherited membership, sessions
 * that we could not end, prepared transactions, logical slots and subscriptions, tablespace,
 * connections left for `jobs` (0: none, as for a rollback). `live` NULL: absent. */
enum errc database_preflight(struct control *control, const struct database_info *live,
                             unsigned jobs, struct findings *findings,
                             struct error *err) RR_MUST_CHECK;

/*
 * The statements that give `to_name` the database-level grants, settings, per-role settings,
 * connection limit, comment (the user's own text) and security labels of the live database `from`.
 * Where a database of that name is there already and is not `from`, they begin with what takes its
 * own away: a kept previous database has grants and settings of its time.
 *
 * So: plan for the database that becomes live, by its present name; rehearse that plan; plan for
 * the live name; carry_over_leave_out() makes the latter what was rehearsed.
 */
struct carry_part;
struct carry_over {
    const char **statements;
    size_t count;
    bool *is_left_out; /* one a statement: the rehearsal has shown that it fails; never run */
    const char *user_comment; /* of `from`, without what we added; "" if none */
    /* Private: the texts around the database's name, and that name. */
    struct arena *arena;
    struct carry_part *parts;
    const char *to_name;
};
enum errc database_carry_over_plan(struct control *control, struct arena *arena,
                                   const struct database_info *from, const char *to_name,
                                   struct carry_over *ret_plan, struct error *err) RR_MUST_CHECK;
/* Runs the plan in a transaction that is rolled back. What fails is added to `findings`, statement
 * (without values: settings may be secret) and reason; with `is_best_effort` it is marked
 * is_left_out, so that the swap does not run it. */
enum errc database_carry_over_rehearse(struct control *control, struct carry_over *plan,
                                       bool is_best_effort, struct findings *findings,
                                       struct error *err) RR_MUST_CHECK;

/* Makes `plan` (made for the live name) the rehearsed plan (from the same database, for another
 * name) under its own name, left-out marks included. ERR_DATABASE_CHANGED if the two differ
 * otherwise, because somebody changed the properties in between. */
enum errc carry_over_leave_out(struct carry_over *plan, const struct carry_over *rehearsal,
                               struct error *err) RR_MUST_CHECK;

enum swap_kind { SWAP_RESTORE, SWAP_ROLLBACK };

struct swap {
    enum swap_kind kind;
    const struct database_info *live; /* NULL: absent */
    const char *staging_name; /* the database that becomes live (rollback: the kept previous one) */
    uint32_t staging_oid;
    const struct carry_over
        *carry_over;               /* made for the live name; NULL or empty when live is absent */
    const char *desired, *request; /* key of the data that becomes live; "" if unknown */
    const char *held_desired, *held_request; /* rollback: the key that is undone */
    const char *backup, *checksum;           /* for history and the comment; "" if none */
    int64_t size_bytes;
    uint64_t keep_previous_s; /* how long the replaced database is kept, at least */
    bool never_expires;       /* first contact or adopted: only dropped by hand */
    const char *started_at;   /* RFC 3339; NULL or "": now */
};

struct swap_result {
    const char *previous_name; /* in the arena; NULL when live was absent */
    uint32_t new_oid;
    uint64_t locked_ms; /* how long the last try took: at most so long nobody could connect */
    unsigned tries;
    unsigned ended_sessions;
};

/*
 * The commit point. The staging database must stand in the registry as "ready" (rollback: as
 * "kept"), with this oid, and not be invalid. One message from BEGIN to COMMIT on the session that
 * holds the lock: fence and lock checked, live -> previous, staging -> live, oids and validity
 * compared, carry-over, previous closed, comments, history row, registry rows (staging's row goes,
 * previous's row comes: kind previous, state kept), fence phase "swapped". A second session ends
 * the sessions of both databases, pid by pid, until it returns; it begins only when the message has
 * passed its checks. Where live was absent and nobody but the owner was granted anything, PUBLIC
 * gets back what a new database grants it. Up to three tries for what may pass (55006, 55P03,
 * 40P01, 57014, XX000 "tuple concurrently updated"). Not interrupted by the cancel flag.
 *
 * RR_OK: committed. ERR_DATABASE_LOST: the outcome is unknown, to be settled by a new control
 * session (lock, fence, then history). ERR_FENCE_LOST; ERR_DATABASE_CHANGED: names no longer mean
 * what they meant; ERR_SWAP: nothing changed, the text names the sessions in the way.
 */
enum errc database_swap(struct control *control, struct arena *arena, const struct swap *swap,
                        struct swap_result *ret_result, struct error *err) RR_MUST_CHECK;

/* After the swap, on a new connection: the history row of `run_id` is there, the live name has its
 * oid, the server is no standby and is the same system. ERR_DATABASE_CHANGED if not. */
enum errc database_look(struct control *control, const char *run_id, uint32_t expected_oid,
                        struct error *err) RR_MUST_CHECK;

/* Integrity of a loaded database: invalid indexes, and constraints not validated beyond
 * `expected_unvalidated` (as many as the archive has on purpose). Findings are added. A session of
 * its own, by `options` with `database` in place of theirs. */
enum errc database_verify_catalog(const char *database, const struct conn_options *options,
                                  uint64_t expected_unvalidated, struct findings *findings,
                                  struct error *err) RR_MUST_CHECK;

#endif
