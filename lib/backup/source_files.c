#include "lib/backup/source_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/backup/folder.h"
#include "lib/backup/source_file.h"
#include "lib/base/arena.h"
#include "lib/base/str.h"

struct files_source {
    struct source base;
    struct arena arena;
    struct location location;
    const char **identities; /* of each part, as its own source has it */
};

/* Holds one file open: that of the last read. */
struct files_reader {
    struct source_reader base;
    const struct cancel *cancel;
    const struct source_part *part; /* NULL: none yet */
    struct source *file;
    struct source_reader *reader;
};

static enum errc open_file(const struct location *folder, const char *name,
                           struct source **ret_source, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct location object = location_join(&arena, folder, name);
    return source_file_open(object.path, object.url, ret_source, err);
}

static void close_part(struct files_reader *reader)
{
    source_reader_close(reader->reader);
    source_free(reader->file);
    reader->reader = NULL;
    reader->file = NULL;
    reader->part = NULL;
}

static enum errc report_changed(const struct files_source *source, const struct source_part *part,
                                const char *how, struct error *err)
{
    error_clear(err);
    error_set(err, ERR_BACKUP_CHANGED, "'%s' of '%s' was %s while the backup was being read",
              part->name, source->base.name, how);
    return error_hint(err, "give each backup a folder of its own, and do not touch it afterwards");
}

static enum errc open_part(struct files_reader *reader, const struct source_part *part,
                           struct error *err)
{
    const struct files_source *source = (const struct files_source *)reader->base.source;
    close_part(reader);
    if (open_file(&source->location, part->name, &reader->file, err))
        return err->code == ERR_BACKUP_NOT_FOUND ? report_changed(source, part, "removed", err)
                                                 : err->code;
    if (!text_equal(reader->file->identity, source->identities[part - source->base.parts]))
        return report_changed(source, part, "replaced or written to", err);
    if (source_reader_open(reader->file, reader->cancel, &reader->reader, err))
        return err->code;
    reader->part = part;
    return RR_OK;
}

static enum errc files_read(struct source_reader *base, uint64_t offset, void *buffer,
                            size_t length, struct error *err)
{
    struct files_reader *reader = (struct files_reader *)base;
    const struct source_part *part = source_part_at(base->source, offset);
    if (part != reader->part && open_part(reader, part, err))
        return err->code;
    return source_read(reader->reader, offset - part->begin, buffer, length, err);
}

static enum errc files_reader_open(const struct source *source, const struct cancel *cancel,
                                   struct source_reader **ret_reader, struct error *err)
{
    (void)err;
    struct files_reader *reader = mem_alloc(sizeof *reader);
    reader->base.source = source;
    reader->cancel = cancel;
    *ret_reader = &reader->base;
    return RR_OK;
}

static void files_reader_close(struct source_reader *base)
{
    close_part((struct files_reader *)base);
    free(base);
}

static void files_free(struct source *base)
{
    struct files_source *source = (struct files_source *)base;
    arena_release(&source->arena);
    free(source);
}

/* Whether it can be read is found out now, not after hours of loading. */
static enum errc look_at_files(struct files_source *source, struct folder *folder,
                               struct error *err)
{
    source->identities = arena_array(&source->arena, folder->count, sizeof *source->identities);
    for (size_t i = 0; i < folder->count; i++) {
        SOURCE_GUARD struct source *file = NULL;
        if (open_file(&source->location, folder->parts[i].name, &file, err))
            return err->code;
        folder->parts[i].size_bytes = file->size_bytes;
        source->identities[i] = arena_strdup(&source->arena, file->identity);
    }
    folder_lay(folder);
    return RR_OK;
}

enum errc source_files_open(const struct location *location, const struct cancel *cancel,
                            struct source **ret_source, struct error *err)
{
    static const struct source_ops ops = {files_reader_open, files_read, files_reader_close,
                                          files_free};
    struct files_source *source = mem_alloc(sizeof *source);
    struct folder folder;
    char identity[64];
    source->location = location_copy(&source->arena, location);
    if (folder_list(location, cancel, &source->arena, &folder, err) ||
        look_at_files(source, &folder, err)) {
        files_free(&source->base);
        return err->code;
    }
    snprintf(identity, sizeof identity, "%zu files", folder.count);
    source->base = (struct source){
        .ops = &ops,
        .size_bytes = folder.size_bytes,
        .name = mem_strdup(location->url),
        .identity = mem_strdup(identity),
        .parts = folder.parts,
        .part_count = folder.count,
    };
    *ret_source = &source->base;
    return RR_OK;
}
