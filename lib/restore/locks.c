#include "lib/restore/locks.h"

#include "lib/base/str.h"
#include "lib/restore/order.h"

/* Tables that belong together, as a forest: each names one further up, the top names itself. */
struct trees {
    uint32_t *up;
    bool *is_parent; /* something is attached to it or inherits from it */
};

static bool is_table(const struct order *order, uint32_t position)
{
    enum entry_kind kind = order->items[position].entry->kind;
    return kind == ENTRY_TABLE || kind == ENTRY_TABLE_DATA;
}

/* A table is known by its TABLE entry, or by its data where the archive lacks that. */
static uint32_t name_of(const struct order *order, uint32_t position)
{
    uint32_t table = order->items[position].table;
    return table == ORDER_NOWHERE ? position : table;
}

static uint32_t top_of(const struct trees *trees, uint32_t table)
{
    while (trees->up[table] != table) {
        trees->up[table] = trees->up[trees->up[table]]; /* keeps the way short */
        table = trees->up[table];
    }
    return table;
}

static bool is_same_object(const struct entry *a, const struct entry *b)
{
    return text_equal(a->tag, b->tag) && text_equal(a->schema, b->schema);
}

/* A TABLE that depends on another inherits from it (or uses its row type: harmless here). TABLE
 * ATTACH bears the name of the partition and depends on it and on its parent. */
static void grow_trees(const struct order *order, const struct toc *toc, uint32_t position,
                       struct trees *trees)
{
    const struct entry *entry = order->items[position].entry;
    uint32_t child = ORDER_NOWHERE;
    for (size_t d = 0; d < entry->dependency_count; d++) {
        uint32_t other;
        if (!order_find_dependency(order, toc, position, d, &other) ||
            order->items[other].entry->kind != ENTRY_TABLE)
            continue;
        if (entry->kind == ENTRY_TABLE) {
            trees->up[top_of(trees, position)] = top_of(trees, other);
            trees->is_parent[other] = true;
            continue;
        }
        if (!is_same_object(entry, order->items[other].entry))
            trees->is_parent[other] = true;
        if (child != ORDER_NOWHERE)
            trees->up[top_of(trees, child)] = top_of(trees, other);
        child = other;
    }
}

static struct trees find_trees(const struct order *order, const struct toc *toc,
                               struct arena *arena)
{
    struct trees trees = {.up = arena_array(arena, order->count, sizeof *trees.up),
                          .is_parent = arena_array(arena, order->count, sizeof *trees.is_parent)};
    for (uint32_t i = 0; i < order->count; i++)
        trees.up[i] = i;
    for (uint32_t i = 0; i < order->count; i++) {
        enum entry_kind kind = order->items[i].entry->kind;
        if (kind == ENTRY_TABLE || kind == ENTRY_TABLE_ATTACH)
            grow_trees(order, toc, i, &trees);
    }
    return trees;
}

/* Whether the server carries the entry down to partitions and children. pg_dump writes ONLY for the
 * others. */
static bool goes_down(enum entry_kind kind)
{
    return kind == ENTRY_FK_CONSTRAINT || kind == ENTRY_TRIGGER || kind == ENTRY_CHECK_CONSTRAINT;
}

/* What is held of one table, by an entry that locks it or not: the table, and its tree. */
static void hold(const struct order *order, const struct trees *trees, struct order_item *item,
                 uint32_t table, bool is_exclusive)
{
    bool holds_tree = is_exclusive && goes_down(item->entry->kind) && trees->is_parent[table];
    item->locks.items[item->locks.count++] = (struct lock){table, is_exclusive};
    item->locks.items[item->locks.count++] =
        (struct lock){(uint32_t)order->count + top_of(trees, table), holds_tree};
}

static void hold_tables_of(const struct order *order, const struct toc *toc,
                           const struct trees *trees, struct order_item *item, uint32_t position,
                           bool is_exclusive, unsigned depth)
{
    for (size_t d = 0; d < order->items[position].entry->dependency_count; d++) {
        uint32_t other;
        if (!order_find_dependency(order, toc, position, d, &other))
            continue;
        if (is_table(order, other))
            hold(order, trees, item, name_of(order, other), is_exclusive);
        else if (depth > 0)
            hold_tables_of(order, toc, trees, item, other, is_exclusive, depth - 1);
    }
}

/* How many tables hold_tables_of() can find at most. */
static size_t most_tables(const struct order *order, const struct toc *toc, uint32_t position,
                          unsigned depth)
{
    const struct entry *entry = order->items[position].entry;
    size_t count = entry->dependency_count;
    for (size_t d = 0; depth > 0 && d < entry->dependency_count; d++) {
        uint32_t other;
        if (order_find_dependency(order, toc, position, d, &other))
            count += most_tables(order, toc, other, depth - 1);
    }
    return count;
}

void locks_find(struct order *order, const struct toc *toc, struct arena *arena)
{
    ARENA_GUARD struct arena scratch = {0};
    struct trees trees = find_trees(order, toc, &scratch);
    for (uint32_t i = 0; i < order->count; i++) {
        struct order_item *item = &order->items[i];
        if (item->phase != PHASE_POST_DATA)
            continue;
        unsigned depth = item->entry->kind == ENTRY_INDEX_ATTACH ? 1 : 0;
        bool is_exclusive =
            item->entry->kind != ENTRY_INDEX && item->entry->section == SECTION_POST_DATA;
        item->locks.items =
            arena_array(arena, 2 * most_tables(order, toc, i, depth), sizeof *item->locks.items);
        hold_tables_of(order, toc, &trees, item, i, is_exclusive, depth);
    }
}

bool locks_conflict(const struct locks *a, const struct locks *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (a->items[i].what == b->items[j].what &&
                (a->items[i].is_exclusive || b->items[j].is_exclusive))
                return true;
    return false;
}
