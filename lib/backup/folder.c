#include "lib/backup/folder.h"

#include <stdlib.h>
#include <string.h>

#include "lib/backup/store.h"

struct row {
    const char *name, *etag;
    uint64_t size_bytes;
};

struct rows {
    struct arena *arena;
    struct row *rows;
    size_t count, capacity;
    uint64_t size_bytes;
};

static enum errc add_row(void *context, const struct store_object *object, struct error *err)
{
    struct rows *rows = context;
    if (object->size_bytes > INT64_MAX - rows->size_bytes)
        return error_set(err, ERR_TOO_LARGE, "the sizes in the listing add up to more than 2^63");
    rows->size_bytes += object->size_bytes;
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->rows = mem_resize(rows->rows, rows->capacity * sizeof rows->rows[0]);
    }
    rows->rows[rows->count++] = (struct row){
        .name = arena_strdup(rows->arena, object->name),
        .etag = arena_strdup(rows->arena, object->etag),
        .size_bytes = object->size_bytes,
    };
    return RR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static void take_rows(struct rows *rows, struct folder *folder)
{
    qsort(rows->rows, rows->count, sizeof rows->rows[0], by_name);
    folder->parts = arena_array(rows->arena, rows->count, sizeof folder->parts[0]);
    folder->etags = arena_array(rows->arena, rows->count, sizeof folder->etags[0]);
    folder->count = rows->count;
    for (size_t i = 0; i < rows->count; i++) {
        folder->parts[i] = (struct source_part){.name = rows->rows[i].name,
                                                .size_bytes = rows->rows[i].size_bytes};
        folder->etags[i] = rows->rows[i].etag;
    }
    folder_lay(folder);
}

void folder_lay(struct folder *folder)
{
    folder->size_bytes = 0;
    for (size_t i = 0; i < folder->count; i++) {
        folder->parts[i].begin = folder->size_bytes;
        folder->size_bytes += folder->parts[i].size_bytes;
    }
}

enum errc folder_list(const struct location *location, const struct cancel *cancel,
                      struct arena *arena, struct folder *ret_folder, struct error *err)
{
    static const struct pattern flat = {0}; /* which no sub-folder can match */
    struct rows rows = {.arena = arena};
    const struct store_listing listing = {
        .folder = location,
        .pattern = &flat,
        .prefix = "",
        .cancel = cancel,
        .found = add_row,
        .context = &rows,
    };
    enum errc code = store_of(location->kind)->list(&listing, err);
    if (code == ERR_LOCATION_MISSING)
        code = error_recode(err, ERR_BACKUP_NOT_FOUND);
    else if (!code && rows.count == 0)
        code = error_set(err, ERR_BACKUP_NOT_FOUND, "there is nothing in '%s'", location->url);
    else if (!code)
        take_rows(&rows, ret_folder);
    free(rows.rows);
    return code;
}
