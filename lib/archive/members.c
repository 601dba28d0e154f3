#include "lib/archive/members.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

enum { SHOWN_BYTES = 120 };

/* Grows inside the arena: what it leaves behind is at most as much again. */
static void make_room(struct members *members, struct arena *arena)
{
    size_t capacity = members->capacity ? 2 * members->capacity : 64;
    struct member *larger = arena_array(arena, capacity, sizeof *larger);
    if (members->count)
        memcpy(larger, members->rows, members->count * sizeof *larger);
    members->rows = larger;
    members->capacity = capacity;
}

enum errc members_add(struct members *members, struct arena *arena, const char *name,
                      uint64_t offset, uint64_t bytes, struct error *err)
{
    if (members->count >= LIMIT_ARCHIVE_MEMBERS)
        return error_set(err, ERR_TOO_LARGE, "the archive consists of more than %zu files",
                         LIMIT_ARCHIVE_MEMBERS);
    if (members->count == members->capacity)
        make_room(members, arena);
    members->rows[members->count++] = (struct member){
        .name = arena_strdup(arena, name),
        .offset = offset,
        .bytes = bytes,
    };
    return RR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

enum errc members_sort(struct members *members, struct error *err)
{
    if (members->count)
        qsort(members->rows, members->count, sizeof members->rows[0], by_name);
    for (size_t i = 1; i < members->count; i++) {
        if (by_name(&members->rows[i - 1], &members->rows[i]) != 0)
            continue;
        STR_GUARD struct str name = STR_INIT(4 * SHOWN_BYTES);
        str_append_quoted(&name, members->rows[i].name, SHOWN_BYTES);
        return error_set(err, ERR_ARCHIVE_CORRUPT, "%s is there twice", str_text(&name));
    }
    return RR_OK;
}

struct member *members_find(const struct members *members, const char *name)
{
    const struct member key = {.name = name};
    return members->count ? bsearch(&key, members->rows, members->count, sizeof key, by_name)
                          : NULL;
}

const struct member *members_left(const struct members *members, bool (*is_due)(const char *name))
{
    for (size_t i = 0; i < members->count; i++)
        if (!members->rows[i].is_taken && is_due(members->rows[i].name))
            return &members->rows[i];
    return NULL;
}
