/*
 * folder - all objects directly in a folder, as the parts of one source; private to this room.
 *
 * Names and ETags come from one listing. Sub-folders, and what is in them, are no part.
 */
#ifndef RR_BACKUP_FOLDER_H
#define RR_BACKUP_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/backup/location.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/source.h"

struct cancel;

struct folder {
    struct source_part *parts; /* by name */
    const char **etags;        /* of each, "" where the store tells none */
    size_t count;
    uint64_t size_bytes;
};

/* Lists the folder; everything lives in the arena. ERR_BACKUP_NOT_FOUND when nothing is there. */
enum errc folder_list(const struct location *location, const struct cancel *cancel,
                      struct arena *arena, struct folder *ret_folder,
                      struct error *err) RR_MUST_CHECK;

/* Lays the parts behind each other, once their sizes are right. */
void folder_lay(struct folder *folder);

#endif
