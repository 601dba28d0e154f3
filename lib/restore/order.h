/*
 * order - which entry may run when. Pure: built from a table of contents, no connection needed.
 *
 * The work is cut into phases, which follow one another as in pg_restore: pre-data; data;
 * post-data; ACLs (after the data, since owners may have revoked their own INSERT); materialized
 * views, whose queries run as their owners and may need grants; event triggers, after everything
 * they could fire for. (pg_restore has the last two in one pass, with the event triggers first.)
 * Inside a phase an entry is ready when everything it depends on is complete; a dependency on what
 * is not in the archive does not count. An entry that depends on one of a later phase moves to that
 * phase. Entries that nobody wants complete when they become ready, so that chains through them
 * hold.
 *
 * Data, post-data and materialized views run side by side, heaviest first (phase_is_parallel());
 * the other phases one by one in archive order. In post-data two entries never run together when
 * one needs a table exclusively and the other touches it: the rule of pg_restore
 * (identify_locking_dependencies in pg_backup_archiver.c: everything of post-data but CREATE INDEX
 * is taken to lock each table it depends on), made stricter for INDEX ATTACH, which also locks the
 * tables of both indexes. REFRESH only reads tables.
 *
 * One owner thread. Entries are named by their position in the table of contents.
 */
#ifndef RR_RESTORE_ORDER_H
#define RR_RESTORE_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/restore/locks.h"

enum phase {
    PHASE_PRE_DATA,
    PHASE_DATA,
    PHASE_POST_DATA,
    PHASE_ACL,
    PHASE_REFRESH,
    PHASE_EVENT_TRIGGER,
    PHASE_COUNT
};

/* Whether its entries run side by side. */
bool phase_is_parallel(enum phase phase);

/* Why an entry was not run, and that is right so: a closed list. X(enumerator, text for people) */
#define SKIP_TABLE(X)                                                                              \
    X(SKIP_NONE, "not skipped")                                                                    \
    X(SKIP_SETTINGS, "a setting of the session")                                                   \
    X(SKIP_DATABASE, "belongs to the database as a whole, which has its own properties")           \
    X(SKIP_SUBSCRIPTION, "a subscription would start to replicate into the restored copy")         \
    X(SKIP_STATISTICS, "statistics are gathered anew by ANALYZE")                                  \
    X(SKIP_PRIVILEGES, "privileges were left out by option")                                       \
    X(SKIP_EXTENSION_COMMENT, "the extension has this comment, or belongs to somebody else")       \
    X(SKIP_LANGUAGE, "the language is there already")                                              \
    X(SKIP_EMPTY, "there is nothing to run")

enum skip {
#define X(enumerator, text) enumerator,
    SKIP_TABLE(X)
#undef X
        SKIP_COUNT
};

const char *skip_text(enum skip skip);

struct order_options {
    bool no_privileges;
};

/* Why an entry is not wanted; SKIP_NONE when it is to be run. */
enum skip order_skip(const struct entry *entry, const struct order_options *options);

struct order_item {
    const struct entry *entry;
    enum phase phase;
    enum skip skip;       /* not wanted; SKIP_NONE: to be run */
    uint64_t table_bytes; /* on disk in the archive: of its data, or of the largest table it depends
                             on */
    uint64_t cost;        /* guess at the work, comparable between entries (about bytes of data) */
    uint32_t table; /* TABLE DATA: position of the TABLE whose only data it is; or ORDER_NOWHERE */
    uint32_t waits_for;   /* dependencies that are not complete */
    uint32_t *dependants; /* positions */
    uint32_t dependant_count;
    struct locks locks; /* what it holds while it runs */
};

#define ORDER_NOWHERE UINT32_MAX

struct order {
    struct order_item *items; /* one per entry, same positions as toc->entries */
    size_t count;
    uint32_t *ready; /* heap of positions: those of the current phase that may run */
    size_t ready_count;
    uint32_t *running;
    size_t running_count, running_max;
    size_t left[PHASE_COUNT]; /* entries that are not complete */
    enum phase phase;
    uint64_t total_cost; /* of all entries that are to be run */
};

/* Position of the dependency of that index; false when it is not in the archive, or the entry
 * itself. */
bool order_find_dependency(const struct order *order, const struct toc *toc, uint32_t position,
                           size_t index, uint32_t *ret_position);

/* Builds the order for at most `jobs` entries at a time; starts in PHASE_PRE_DATA. The dependencies
 * must have no cycle (toc_check_cycles()). Block sizes should be known (blocks_locate()).
 * Everything lives in the arena; `toc` must outlive it. */
void order_build(struct order *order, const struct toc *toc, const struct order_options *options,
                 unsigned jobs, struct arena *arena);

/* The next entry that may run now, which counts as running from here on. False: none is ready (the
 * phase is over, or running entries stand in the way). Unwanted entries come out too, at their
 * turn. */
bool order_next(struct order *order, uint32_t *ret_position);
/* The entry has been done or skipped; what waited for it may become ready. */
void order_complete(struct order *order, uint32_t position);
/* Whether every entry of the current phase is complete. */
bool order_phase_is_over(const struct order *order);
/* Enters the next phase. False: that was the last one. */
bool order_advance(struct order *order);

#endif
