/*
 * members - the named streams of an archive that consists of files; private to this room.
 *
 * Of a tar they are its members, of a directory its files. Rows live in the arena. Once all have
 * been added they are sorted; then each is taken at most once, so that what nobody took can be
 * told.
 */
#ifndef RR_ARCHIVE_MEMBERS_H
#define RR_ARCHIVE_MEMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct member {
    const char *name;
    uint64_t offset, bytes; /* in the source */
    bool is_taken;
};

struct members {
    struct member *rows; /* by name, once sorted */
    size_t count, capacity;
};

/* Copies the name. ERR_TOO_LARGE. */
enum errc members_add(struct members *members, struct arena *arena, const char *name,
                      uint64_t offset, uint64_t bytes, struct error *err) RR_MUST_CHECK;

/* ERR_ARCHIVE_CORRUPT when a name is there twice. */
enum errc members_sort(struct members *members, struct error *err) RR_MUST_CHECK;

/* NULL if there is none of that name. */
struct member *members_find(const struct members *members, const char *name);

/* The first one that was not taken and for which `is_due` says true; NULL if there is none. */
const struct member *members_left(const struct members *members, bool (*is_due)(const char *name));

#endif
