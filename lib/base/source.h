/*
 * source - bytes of known length that can be read at any offset: a file, an object in a store.
 *
 * A `struct source` describes one object as it was when it was opened: its length and, where the
 * store has one, its identity (ETag, version, or for files device, inode, size and time). Every
 * later read makes sure that it is still the same object: ERR_BACKUP_CHANGED when it is not, never
 * a mixture of two. It is immutable and may be shared by threads. Reading goes through a
 * `struct source_reader`, which has one owner thread and holds what a read needs (a connection).
 * A source may also be several objects, whose bytes then follow each other: its parts.
 * Implementations live in lib/backup; tests make their own from a buffer (source_from_memory()).
 */
#ifndef RR_BASE_SOURCE_H
#define RR_BASE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct cancel;
struct source;
struct source_reader;

struct source_ops {
    enum errc (*reader_open)(const struct source *source, const struct cancel *cancel,
                             struct source_reader **ret_reader, struct error *err);
    /* Of a source of parts, never more than lies in one of them. */
    enum errc (*read)(struct source_reader *reader, uint64_t offset, void *buffer, size_t length,
                      struct error *err);
    void (*reader_close)(struct source_reader *reader);
    void (*free)(struct source *source);
};

/* One object of several. */
struct source_part {
    const char *name; /* below what the source is named */
    uint64_t begin, size_bytes;
};

/* First member of every implementation's own struct. */
struct source {
    const struct source_ops *ops;
    uint64_t size_bytes;
    char *name;     /* for people: URL or path, without secrets; owned by the source */
    char *identity; /* ETag or the like, "" if the store has none; owned by the source */
    const struct source_part *parts; /* without gaps, by name; the implementation's */
    size_t part_count;               /* 0: one object */
};

/* First member of every implementation's own reader. */
struct source_reader {
    const struct source *source;
    uint64_t read_bytes; /* fetched so far, for progress and statistics */
};

/* Opens a reader. The source and `cancel` (may be NULL) must outlive it. */
enum errc source_reader_open(const struct source *source, const struct cancel *cancel,
                             struct source_reader **ret_reader, struct error *err) RR_MUST_CHECK;

/* Fills `buffer` with exactly `length` bytes from `offset`. A range that reaches past the end is
 * ERR_ARCHIVE_CORRUPT ("ends at byte ..."), since offsets come from the archive. Retries what may
 * pass; other errors: ERR_BACKUP_CHANGED, ERR_NETWORK, ERR_IO, ERR_CANCELLED ... */
enum errc source_read(struct source_reader *reader, uint64_t offset, void *buffer, size_t length,
                      struct error *err) RR_MUST_CHECK;

/* The part that the byte at the offset lies in; NULL for a source of one object, or at its end. */
const struct source_part *source_part_at(const struct source *source, uint64_t offset);

/* How many bytes from the offset on can be had in one go: up to the end of the part. */
uint64_t source_run_bytes(const struct source *source, uint64_t offset);

/* NULL is accepted. */
void source_reader_close(struct source_reader *reader);
void source_free(struct source *source);
void source_reader_guard(struct source_reader **reader);
void source_guard(struct source **source);
#define SOURCE_READER_GUARD __attribute__((cleanup(source_reader_guard)))
#define SOURCE_GUARD __attribute__((cleanup(source_guard)))

/* A source over bytes in memory, which must outlive it. For tests and for parts already fetched. */
struct source *source_from_memory(const void *bytes, size_t length, const char *name);

#endif
