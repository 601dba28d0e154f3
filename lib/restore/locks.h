/*
 * locks - which entries of the post-data phase stand in each other's way on the server. Pure.
 *
 * An entry holds locks on tables, shared or exclusive; two entries conflict when they name the same
 * thing and one of them exclusively. All locks of an entry are taken together before it starts, so
 * waiting for them cannot end in a deadlock.
 *
 * At least as strict as pg_restore (identify_locking_dependencies in pg_backup_archiver.c):
 * everything but CREATE INDEX holds each table that it depends on exclusively, CREATE INDEX shares
 * them. In addition:
 *
 * - INDEX ATTACH holds the tables of both indexes, which older archives do not name.
 * - Tables that are attached to or inherit from one another form a tree, which each entry on one of
 * them shares. What the server carries down to all partitions or children of a table (foreign keys,
 * from either side, row triggers, checks) holds the tree exclusively. Without that, a foreign key
 * on a partitioned table and an INDEX ATTACH below it end in a deadlock; so it is with pg_restore.
 */
#ifndef RR_RESTORE_LOCKS_H
#define RR_RESTORE_LOCKS_H

#include <stdint.h>

#include "lib/archive/toc.h"
#include "lib/base/arena.h"

struct order;

struct lock {
    uint32_t what; /* position of the table, or behind all positions the number of a tree */
    bool is_exclusive;
};

struct locks {
    struct lock *items;
    size_t count;
};

/* Fills the locks of the items of the post-data phase; the graph and the phases must be known. */
void locks_find(struct order *order, const struct toc *toc, struct arena *arena);

bool locks_conflict(const struct locks *a, const struct locks *b);

#endif
