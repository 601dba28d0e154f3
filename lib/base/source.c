#include "lib/base/source.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/cancel.h"

enum errc source_reader_open(const struct source *source, const struct cancel *cancel,
                             struct source_reader **ret_reader, struct error *err)
{
    return source->ops->reader_open(source, cancel, ret_reader, err);
}

/* The last part that begins at or before the offset: of empty ones and one that is not, the one
 * that is not. */
const struct source_part *source_part_at(const struct source *source, uint64_t offset)
{
    size_t low = 0, high = source->part_count;
    if (high == 0 || offset >= source->size_bytes)
        return NULL;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (source->parts[middle].begin <= offset)
            low = middle;
        else
            high = middle;
    }
    return &source->parts[low];
}

uint64_t source_run_bytes(const struct source *source, uint64_t offset)
{
    const struct source_part *part = source_part_at(source, offset);
    return part ? part->begin + part->size_bytes - offset : source->size_bytes - offset;
}

enum errc source_read(struct source_reader *reader, uint64_t offset, void *buffer, size_t length,
                      struct error *err)
{
    const struct source *source = reader->source;
    if (offset > source->size_bytes || length > source->size_bytes - offset)
        return error_set(err, ERR_ARCHIVE_CORRUPT,
                         "'%s' ends at byte %llu, but bytes %llu to %llu are needed: it is cut off "
                         "or damaged",
                         source->name, (unsigned long long)source->size_bytes,
                         (unsigned long long)offset, (unsigned long long)offset + length);
    for (char *at = buffer; length;) {
        uint64_t run = source_run_bytes(source, offset);
        size_t piece = length < run ? length : (size_t)run;
        enum errc code = source->ops->read(reader, offset, at, piece, err);
        if (code)
            return code;
        reader->read_bytes += piece;
        at += piece;
        offset += piece;
        length -= piece;
    }
    return RR_OK;
}

void source_reader_close(struct source_reader *reader)
{
    if (reader)
        reader->source->ops->reader_close(reader);
}

void source_free(struct source *source)
{
    if (!source)
        return;
    free(source->name);
    free(source->identity);
    source->name = source->identity = NULL;
    source->ops->free(source);
}

void source_reader_guard(struct source_reader **reader)
{
    source_reader_close(*reader);
}

void source_guard(struct source **source)
{
    source_free(*source);
}

struct memory_source {
    struct source base;
    const char *bytes;
};

struct memory_reader {
    struct source_reader base;
    const struct cancel *cancel;
};

static enum errc memory_open(const struct source *source, const struct cancel *cancel,
                             struct source_reader **ret_reader, struct error *err)
{
    (void)err;
    struct memory_reader *reader = mem_alloc(sizeof *reader);
    reader->base.source = source;
    reader->cancel = cancel;
    *ret_reader = &reader->base;
    return RR_OK;
}

static enum errc memory_read(struct source_reader *base, uint64_t offset, void *buffer,
                             size_t length, struct error *err)
{
    struct memory_reader *reader = (struct memory_reader *)base;
    const struct memory_source *source = (const struct memory_source *)base->source;
    enum errc code = cancel_check(reader->cancel, err);
    if (code == RR_OK)
        memcpy(buffer, source->bytes + offset, length);
    return code;
}

static void memory_close(struct source_reader *reader)
{
    free(reader);
}

static void memory_free(struct source *source)
{
    free(source);
}

struct source *source_from_memory(const void *bytes, size_t length, const char *name)
{
    static const struct source_ops ops = {memory_open, memory_read, memory_close, memory_free};
    struct memory_source *source = mem_alloc(sizeof *source);
    source->base = (struct source){
        .ops = &ops,
        .size_bytes = length,
        .name = mem_strdup(name),
        .identity = mem_strdup(""),
    };
    source->bytes = bytes;
    return &source->base;
}
