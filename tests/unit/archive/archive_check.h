/*
 * What the tests of this room share: reading a whole archive as a load does, with every proof, and
 * a source that counts its reads. Each test is a program of its own, hence the static functions.
 */
#ifndef RR_TESTS_ARCHIVE_CHECK_H
#define RR_TESTS_ARCHIVE_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/archive/reader.h"
#include "lib/base/arena.h"
#include "lib/base/limits.h"

#define UNUSED __attribute__((unused))

/* A file in memory; the caller frees it. */
static UNUSED char *read_file(const char *path, size_t *ret_length)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        abort();
    }
    fseek(file, 0, SEEK_END);
    size_t length = (size_t)ftell(file);
    rewind(file);
    char *bytes = mem_alloc(length + 1);
    if (fread(bytes, 1, length, file) != length)
        abort();
    fclose(file);
    *ret_length = length;
    return bytes;
}

/* "pg14-gzip-file" is custom format; the other formats are named with their ending. */
static UNUSED char *read_archive(const char *name, size_t *ret_length)
{
    char path[256];
    snprintf(path, sizeof path, "tests/data/archives/%s%s", name, strchr(name, '.') ? "" : ".dump");
    return read_file(path, ret_length);
}

/* What a whole reading found. */
struct findings {
    uint64_t rows, statements, blobs, plain_bytes;
    uint64_t digest; /* of everything handed out: entries and data, in order */
};

static UNUSED uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t length)
{
    return crc32((uLong)digest, bytes, (uInt)length);
}

static UNUSED uint64_t digest_text(uint64_t digest, const char *text)
{
    return text ? digest_bytes(digest, text, strlen(text) + 1) : digest_bytes(digest, "\xff", 1);
}

static UNUSED uint64_t digest_toc(uint64_t digest, const struct toc *toc)
{
    digest = digest_text(digest, toc->database_name);
    for (size_t i = 0; i < toc->count; i++) {
        const struct entry *e = &toc->entries[i];
        const char *texts[] = {e->tag,    e->definition, e->drop_statement,      e->copy_statement,
                               e->schema, e->tablespace, e->table_access_method, e->owner};
        int64_t numbers[] = {e->dump_id, e->kind, e->section, e->has_data, e->oid, e->relkind};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            digest = digest_text(digest, texts[k]);
        digest = digest_bytes(digest, numbers, sizeof numbers);
        for (size_t k = 0; k < e->dependency_count; k++)
            digest = digest_bytes(digest, &e->dependencies[k], sizeof e->dependencies[k]);
    }
    return digest;
}

/* Called with every piece of plain data; `name` is the table's, or the oid of a large object. */
typedef void sink_fn(void *context, const char *name, const char *bytes, size_t length);

struct whole {
    struct findings found;
    sink_fn *sink;
    void *context;
    bool standard_strings;
};

static UNUSED enum errc take_copy(struct whole *w, struct data_reader *data,
                                  const struct entry *entry, struct error *err)
{
    struct copy_splitter splitter = {0};
    for (;;) {
        const char *bytes;
        size_t length, held_length, send;
        char held[4];
        enum errc code = data_pull(data, &bytes, &length, err);
        if (code)
            return code;
        if (length == 0)
            break;
        code = copy_splitter_feed(&splitter, bytes, length, held, &held_length, &send, err);
        if (code)
            return code;
        w->found.digest = digest_bytes(w->found.digest, held, held_length);
        w->found.digest = digest_bytes(w->found.digest, bytes, send);
        w->found.plain_bytes += held_length + send;
        if (w->sink) {
            w->sink(w->context, entry->tag, held, held_length);
            w->sink(w->context, entry->tag, bytes, send);
        }
    }
    enum errc code = copy_splitter_finish(&splitter, err);
    w->found.rows += splitter.rows;
    return code;
}

static UNUSED enum errc take_inserts(struct whole *w, struct data_reader *data,
                                     const struct entry *entry, struct error *err)
{
    INSERT_SPLITTER_GUARD struct insert_splitter splitter;
    insert_splitter_init(&splitter, w->standard_strings);
    for (;;) {
        const char *bytes, *statement;
        size_t length;
        enum errc code = data_pull(data, &bytes, &length, err);
        if (code)
            return code;
        if (length == 0)
            break;
        insert_splitter_feed(&splitter, bytes, length);
        while ((code = insert_splitter_next(&splitter, &statement, &length, err)) == RR_OK &&
               statement) {
            w->found.digest = digest_bytes(w->found.digest, statement, length);
            if (w->sink)
                w->sink(w->context, entry->tag, statement, length);
        }
        if (code)
            return code;
    }
    w->found.statements += splitter.statements;
    return insert_splitter_finish(&splitter, err);
}

static UNUSED enum errc take_blobs(struct whole *w, struct data_reader *data,
                                   const struct entry *entry, struct error *err)
{
    enum errc code = data_begin_blobs(data, entry, err);
    while (code == RR_OK) {
        uint32_t oid;
        bool is_end;
        code = data_next_blob(data, &oid, &is_end, err);
        if (code || is_end)
            return code;
        char name[16];
        snprintf(name, sizeof name, "%" PRIu32, oid);
        w->found.blobs++;
        w->found.digest = digest_text(w->found.digest, name);
        for (;;) {
            const char *bytes;
            size_t length;
            code = data_pull(data, &bytes, &length, err);
            if (code || length == 0)
                break;
            w->found.digest = digest_bytes(w->found.digest, bytes, length);
            w->found.plain_bytes += length;
            if (w->sink)
                w->sink(w->context, name, bytes, length);
        }
    }
    return code;
}

static UNUSED enum errc take_entry(struct whole *w, struct data_reader *data,
                                   const struct entry *entry, struct error *err)
{
    bool is_copy = entry->copy_statement && *entry->copy_statement;
    enum errc code =
        entry->kind == ENTRY_BLOBS ? take_blobs(w, data, entry, err) : data_begin(data, entry, err);
    if (code == RR_OK && entry->kind != ENTRY_BLOBS)
        code = is_copy ? take_copy(w, data, entry, err) : take_inserts(w, data, entry, err);
    if (code == RR_OK && data_position(data) != entry->block_bytes)
        abort(); /* all of it was read, and progress says so */
    return code;
}

static UNUSED bool has_standard_strings(const struct toc *toc)
{
    for (size_t i = 0; i < toc->count; i++)
        if (toc->entries[i].kind == ENTRY_STDSTRINGS)
            return toc->entries[i].definition && strstr(toc->entries[i].definition, "'on'");
    return false;
}

/* All of an archive, as a load reads it. RR_OK is the claim that nothing is missing. */
static UNUSED enum errc read_whole(struct source_reader *reader, struct whole *w, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    enum errc code = toc_read(reader, &arena, &toc, err);
    if (code == RR_OK)
        code = toc_check_cycles(&toc, err);
    if (code == RR_OK)
        code = blocks_locate(reader, &toc, err);
    if (code)
        return code;
    w->standard_strings = has_standard_strings(&toc);
    w->found.digest = digest_toc(w->found.digest, &toc);
    DATA_GUARD struct data_reader *data = NULL;
    code = data_open(reader, &toc, &data, err);
    for (size_t i = 0; code == RR_OK && i < toc.count; i++)
        if (toc.entries[i].has_data)
            code = take_entry(w, data, &toc.entries[i], err);
    return code;
}

/* The same from memory. */
static UNUSED enum errc read_whole_bytes(const void *bytes, size_t length, struct whole *w,
                                         struct error *err)
{
    SOURCE_GUARD struct source *source = source_from_memory(bytes, length, "test");
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(source, NULL, &reader, err))
        return err->code;
    return read_whole(reader, w, err);
}

static UNUSED enum errc read_toc_bytes(const void *bytes, size_t length, struct arena *arena,
                                       struct toc *ret_toc, struct error *err)
{
    SOURCE_GUARD struct source *source = source_from_memory(bytes, length, "test");
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(source, NULL, &reader, err))
        return err->code;
    return toc_read(reader, arena, ret_toc, err);
}

/* A source in memory whose reads are counted, and may be answered by a function. */
struct counted_source {
    struct source base;
    const char *bytes; /* NULL: made */
    void (*make)(void *context, uint64_t offset, void *buffer, size_t length);
    void *context;
    unsigned reads;
    size_t largest_read;
    uint64_t read_bytes;
    unsigned fail_at_read; /* the N-th one fails with ERR_NETWORK; 0: none */
};

struct counted_reader {
    struct source_reader base;
    struct counted_source *source;
};

static UNUSED enum errc counted_open(const struct source *source, const struct cancel *cancel,
                                     struct source_reader **ret_reader, struct error *err)
{
    (void)cancel, (void)err;
    struct counted_reader *reader = mem_alloc(sizeof *reader);
    memcpy(&reader->source, &source, sizeof source); /* the counters are written */
    reader->base.source = source;
    *ret_reader = &reader->base;
    return RR_OK;
}

static UNUSED enum errc counted_read(struct source_reader *base, uint64_t offset, void *buffer,
                                     size_t length, struct error *err)
{
    struct counted_source *source = ((struct counted_reader *)base)->source;
    source->reads++;
    source->read_bytes += length;
    if (length > source->largest_read)
        source->largest_read = length;
    if (source->reads == source->fail_at_read)
        return error_set(err, ERR_NETWORK, "the wire was cut");
    if (source->make)
        source->make(source->context, offset, buffer, length);
    else
        memcpy(buffer, source->bytes + offset, length);
    return RR_OK;
}

static UNUSED void counted_close(struct source_reader *reader)
{
    free(reader);
}

static UNUSED void counted_free(struct source *source)
{
    (void)source; /* the test's own */
}

static UNUSED struct counted_source counted_source(const void *bytes, uint64_t length)
{
    static const struct source_ops ops = {counted_open, counted_read, counted_close, counted_free};
    return (struct counted_source){
        .base = {.ops = &ops,
                 .size_bytes = length,
                 .name = mem_strdup("counted"),
                 .identity = mem_strdup("")},
        .bytes = bytes,
    };
}

static UNUSED void counted_release(struct counted_source *source)
{
    source_free(&source->base);
}

#endif
