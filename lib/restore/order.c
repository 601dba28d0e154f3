#include "lib/restore/order.h"

#include <string.h>

#include "lib/base/str.h"

/* What any statement costs, in bytes of data that could be copied meanwhile. */
static const uint64_t statement_cost = 16 * 1024;

const char *skip_text(enum skip skip)
{
    static const char *const texts[SKIP_COUNT] = {
#define X(enumerator, text) [enumerator] = text,
        SKIP_TABLE(X)
#undef X
    };
    return (unsigned)skip < SKIP_COUNT ? texts[skip] : "?";
}

bool phase_is_parallel(enum phase phase)
{
    return phase == PHASE_DATA || phase == PHASE_POST_DATA || phase == PHASE_REFRESH;
}

/* Classification. */

static bool is_attribute(enum entry_kind kind)
{
    return kind == ENTRY_COMMENT || kind == ENTRY_ACL || kind == ENTRY_SECURITY_LABEL;
}

static bool is_tagged(const struct entry *entry, const char *prefix)
{
    return is_attribute(entry->kind) && entry->tag != NULL && text_has_prefix(entry->tag, prefix);
}

static bool is_privilege(enum entry_kind kind)
{
    return kind == ENTRY_ACL || kind == ENTRY_ACL_LANGUAGE || kind == ENTRY_DEFAULT_ACL;
}

enum skip order_skip(const struct entry *entry, const struct order_options *options)
{
    switch (entry->kind) {
    case ENTRY_ENCODING:
    case ENTRY_STDSTRINGS:
    case ENTRY_SEARCHPATH:
        return SKIP_SETTINGS;
    case ENTRY_DATABASE:
    case ENTRY_DATABASE_PROPERTIES:
        return SKIP_DATABASE;
    case ENTRY_SUBSCRIPTION:
    case ENTRY_SUBSCRIPTION_TABLE:
        return SKIP_SUBSCRIPTION;
    case ENTRY_STATISTICS_DATA:
        return SKIP_STATISTICS;
    default:
        break;
    }
    if (is_tagged(entry, "DATABASE "))
        return SKIP_DATABASE;
    if (is_tagged(entry, "SUBSCRIPTION "))
        return SKIP_SUBSCRIPTION;
    if (is_privilege(entry->kind) && options->no_privileges)
        return SKIP_PRIVILEGES;
    return SKIP_NONE;
}

/* As pg_restore's _tocEntryRestorePass(), with the section that the entry belongs to. */
static enum phase phase_of(const struct entry *entry, enum section section)
{
    if (is_privilege(entry->kind))
        return PHASE_ACL;
    if (entry->kind == ENTRY_MATERIALIZED_VIEW_DATA)
        return PHASE_REFRESH;
    if (entry->kind == ENTRY_EVENT_TRIGGER || is_tagged(entry, "EVENT TRIGGER "))
        return PHASE_EVENT_TRIGGER;
    if (section == SECTION_DATA)
        return PHASE_DATA;
    return section == SECTION_POST_DATA ? PHASE_POST_DATA : PHASE_PRE_DATA;
}

/* Percent of its table's data that an entry costs; a guess that only orders the work. */
static unsigned cost_percent(const struct entry *entry)
{
    switch (entry->kind) {
    case ENTRY_TABLE_DATA:
    case ENTRY_BLOBS:
        return 100;
    case ENTRY_INDEX:
        if (entry->definition != NULL && (strstr(entry->definition, " USING gin ") != NULL ||
                                          strstr(entry->definition, " USING gist ") != NULL))
            return 60;
        return 15;
    case ENTRY_CONSTRAINT:
        return 15;
    case ENTRY_FK_CONSTRAINT:
    case ENTRY_CHECK_CONSTRAINT:
        return 10;
    case ENTRY_MATERIALIZED_VIEW_DATA:
        return 50;
    default:
        return 0;
    }
}

static void classify(struct order *order, const struct toc *toc,
                     const struct order_options *options)
{
    enum section section = SECTION_PRE_DATA;
    for (uint32_t i = 0; i < order->count; i++) {
        const struct entry *entry = &toc->entries[i];
        struct order_item *item = &order->items[i];
        if (entry->section != SECTION_NONE)
            section = entry->section;
        item->entry = entry;
        item->phase = phase_of(entry, section);
        item->skip = order_skip(entry, options);
        item->table = ORDER_NOWHERE;
        item->table_bytes = entry->has_data ? entry->block_bytes : 0;
    }
}

/* The graph. */

bool order_find_dependency(const struct order *order, const struct toc *toc, uint32_t position,
                           size_t index, uint32_t *ret_position)
{
    const struct entry *other = toc_find(toc, order->items[position].entry->dependencies[index]);
    if (other == NULL || other->position == position)
        return false;
    *ret_position = (uint32_t)other->position;
    return true;
}

/* The one entry that a TABLE DATA depends on; false when there is none or more than one. */
static bool find_only_dependency(const struct order *order, const struct toc *toc,
                                 uint32_t position, uint32_t *ret_position)
{
    size_t found = 0;
    for (size_t d = 0; d < order->items[position].entry->dependency_count; d++)
        found += order_find_dependency(order, toc, position, d, ret_position);
    return found == 1;
}

/* For each TABLE the position of its TABLE DATA. A data entry depends on its table alone, which may
 * be missing. Data that depend on more are no part of the map: pg_dump writes none, and whoever
 * waits for a table could not wait for its data without closing a circle somewhere. */
static uint32_t *map_table_data(struct order *order, const struct toc *toc, struct arena *arena)
{
    uint32_t *data_of = arena_array(arena, order->count, sizeof *data_of);
    for (size_t i = 0; i < order->count; i++)
        data_of[i] = ORDER_NOWHERE;
    for (uint32_t i = 0; i < order->count; i++) {
        struct order_item *item = &order->items[i];
        uint32_t table;
        if (item->entry->kind != ENTRY_TABLE_DATA || !find_only_dependency(order, toc, i, &table) ||
            (order->items[table].entry->kind != ENTRY_TABLE &&
             order->items[table].entry->kind != ENTRY_FOREIGN_TABLE))
            continue;
        /* A foreign table is never truncated, nor one whose data come in two parts. */
        if (data_of[table] != ORDER_NOWHERE)
            order->items[data_of[table]].table = ORDER_NOWHERE;
        else if (order->items[table].entry->kind == ENTRY_TABLE)
            item->table = table;
        data_of[table] = i;
        order->items[table].table_bytes = item->table_bytes;
    }
    return data_of;
}

struct edge {
    uint32_t from, to; /* `to` waits for `from` */
};

struct edges {
    struct edge *items;
    size_t count;
};

/* What stands in the archive; and an entry that needs a table in a later phase needs its data as
 * well. */
static struct edges collect_edges(struct order *order, const struct toc *toc,
                                  const uint32_t *data_of, struct arena *arena)
{
    size_t most = 0;
    for (size_t i = 0; i < order->count; i++)
        most += 2 * toc->entries[i].dependency_count;
    struct edges edges = {.items = arena_array(arena, most, sizeof *edges.items)};
    for (uint32_t i = 0; i < order->count; i++) {
        struct order_item *item = &order->items[i];
        for (size_t d = 0; d < item->entry->dependency_count; d++) {
            uint32_t other;
            if (!order_find_dependency(order, toc, i, d, &other))
                continue;
            edges.items[edges.count++] = (struct edge){other, i};
            bool is_after_data = item->phase > PHASE_DATA;
            if (is_after_data && data_of[other] != ORDER_NOWHERE && data_of[other] != i)
                edges.items[edges.count++] = (struct edge){data_of[other], i};
            if (item->entry->kind != ENTRY_TABLE_DATA &&
                order->items[other].table_bytes > item->table_bytes)
                item->table_bytes = order->items[other].table_bytes;
        }
    }
    return edges;
}

static void link_edges(struct order *order, const struct edges *edges, struct arena *arena)
{
    for (size_t i = 0; i < edges->count; i++)
        order->items[edges->items[i].from].dependant_count++;
    uint32_t *room = arena_array(arena, edges->count, sizeof *room);
    for (size_t i = 0; i < order->count; i++) {
        order->items[i].dependants = room;
        room += order->items[i].dependant_count;
        order->items[i].dependant_count = 0;
    }
    for (size_t i = 0; i < edges->count; i++) {
        struct order_item *from = &order->items[edges->items[i].from];
        from->dependants[from->dependant_count++] = edges->items[i].to;
        order->items[edges->items[i].to].waits_for++;
    }
}

/* In topological order: nothing runs in an earlier phase than what it depends on. */
static void settle_phases(struct order *order, struct arena *arena)
{
    uint32_t *waits_for = arena_array(arena, order->count, sizeof *waits_for);
    uint32_t *queue = arena_array(arena, order->count, sizeof *queue);
    size_t head = 0, tail = 0;
    for (uint32_t i = 0; i < order->count; i++) {
        waits_for[i] = order->items[i].waits_for;
        if (waits_for[i] == 0)
            queue[tail++] = i;
    }
    while (head < tail) {
        const struct order_item *item = &order->items[queue[head++]];
        for (size_t d = 0; d < item->dependant_count; d++) {
            struct order_item *dependant = &order->items[item->dependants[d]];
            if (dependant->phase < item->phase)
                dependant->phase = item->phase;
            if (--waits_for[item->dependants[d]] == 0)
                queue[tail++] = item->dependants[d];
        }
    }
}

/* Running side by side. */

static bool stands_in_the_way(const struct order *order, const struct order_item *item)
{
    for (size_t i = 0; i < order->running_count; i++) {
        const struct order_item *other = &order->items[order->running[i]];
        if (locks_conflict(&item->locks, &other->locks))
            return true;
    }
    return false;
}

/* The heap of ready entries. */

static bool is_before(const struct order *order, uint32_t a, uint32_t b)
{
    if (phase_is_parallel(order->phase) && order->items[a].cost != order->items[b].cost)
        return order->items[a].cost > order->items[b].cost;
    return a < b;
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t old = *a;
    *a = *b;
    *b = old;
}

static void heap_push(struct order *order, uint32_t position)
{
    size_t at = order->ready_count++;
    order->ready[at] = position;
    for (; at > 0 && is_before(order, order->ready[at], order->ready[(at - 1) / 2]);
         at = (at - 1) / 2)
        swap(&order->ready[at], &order->ready[(at - 1) / 2]);
}

static uint32_t heap_pop(struct order *order)
{
    uint32_t top = order->ready[0];
    order->ready[0] = order->ready[--order->ready_count];
    for (size_t at = 0;;) {
        size_t best = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < order->ready_count; child++)
            if (is_before(order, order->ready[child], order->ready[best]))
                best = child;
        if (best == at)
            return top;
        swap(&order->ready[at], &order->ready[best]);
        at = best;
    }
}

static void push_ready_of_phase(struct order *order)
{
    for (uint32_t i = 0; i < order->count; i++) {
        const struct order_item *item = &order->items[i];
        if (item->phase == order->phase && item->waits_for == 0)
            heap_push(order, i);
    }
}

static void weigh(struct order *order)
{
    for (size_t i = 0; i < order->count; i++) {
        struct order_item *item = &order->items[i];
        item->cost = statement_cost + item->table_bytes / 100 * cost_percent(item->entry);
        order->left[item->phase]++;
        if (item->skip == SKIP_NONE)
            order->total_cost += item->cost;
    }
}

void order_build(struct order *order, const struct toc *toc, const struct order_options *options,
                 unsigned jobs, struct arena *arena)
{
    *order = (struct order){.count = toc->count, .running_max = jobs};
    order->items = arena_array(arena, order->count, sizeof *order->items);
    order->ready = arena_array(arena, order->count, sizeof *order->ready);
    order->running = arena_array(arena, jobs, sizeof *order->running);
    ARENA_GUARD struct arena scratch = {0};
    classify(order, toc, options);
    uint32_t *data_of = map_table_data(order, toc, &scratch);
    struct edges edges = collect_edges(order, toc, data_of, &scratch);
    link_edges(order, &edges, arena);
    settle_phases(order, &scratch);
    locks_find(order, toc, arena);
    weigh(order);
    push_ready_of_phase(order);
}

/* Takes the first ready entry that nothing running stands in the way of; the others go back. */
static bool pop_runnable(struct order *order, uint32_t *ret_position)
{
    /* The room behind the heap is free: the heap has shrunk by what was taken out. */
    size_t was = order->ready_count, passed = 0;
    bool is_found = false;
    while (!is_found && order->ready_count > 0) {
        uint32_t position = heap_pop(order);
        if (stands_in_the_way(order, &order->items[position])) {
            order->ready[was - ++passed] = position;
        } else {
            *ret_position = position;
            is_found = true;
        }
    }
    for (; passed > 0; passed--) {
        uint32_t position = order->ready[was - passed];
        heap_push(order, position);
    }
    return is_found;
}

bool order_next(struct order *order, uint32_t *ret_position)
{
    uint32_t position;
    if (order->running_count == order->running_max || !pop_runnable(order, &position))
        return false;
    order->running[order->running_count++] = position;
    *ret_position = position;
    return true;
}

static void forget_running(struct order *order, uint32_t position)
{
    for (size_t i = 0; i < order->running_count; i++) {
        if (order->running[i] == position) {
            order->running[i] = order->running[--order->running_count];
            return;
        }
    }
}

void order_complete(struct order *order, uint32_t position)
{
    struct order_item *item = &order->items[position];
    forget_running(order, position);
    order->left[item->phase]--;
    for (size_t i = 0; i < item->dependant_count; i++) {
        struct order_item *dependant = &order->items[item->dependants[i]];
        if (--dependant->waits_for == 0 && dependant->phase == order->phase)
            heap_push(order, item->dependants[i]);
    }
}

bool order_phase_is_over(const struct order *order)
{
    return order->left[order->phase] == 0;
}

bool order_advance(struct order *order)
{
    if (order->phase + 1 == PHASE_COUNT)
        return false;
    order->phase++;
    push_ready_of_phase(order);
    return true;
}
