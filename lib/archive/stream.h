/*
 * stream - where the bytes of an entry come from, in one format of archive; private to this room.
 *
 * What differs between formats stands behind `struct stream_ops`: how an entry's data begin, what
 * the next large object is, how far the next run of stored bytes goes, and the proof that nothing
 * is left. Reading, decompressing and the order of calls are the data reader's (reader.c).
 */
#ifndef RR_ARCHIVE_STREAM_H
#define RR_ARCHIVE_STREAM_H

#include "lib/archive/entry.h"
#include "lib/archive/input.h"
#include "lib/archive/toc.h"
#include "lib/base/error.h"

struct stream {
    const struct stream_ops *ops;
    const struct toc *toc;
    struct input in;
    const struct entry *entry;
    enum compression compression; /* of the stream that was begun */
    uint64_t begin;               /* where the bytes now being read begin ... */
    uint64_t passed_bytes;        /* ... and how many of the entry came before */
    size_t next_extent;
};

struct stream_ops {
    /* Goes to the data of s->entry: those of a table are then pulled, large objects asked for. */
    enum errc (*begin)(struct stream *s, struct error *err);
    /* The next large object, whose bytes are then pulled; 0 when there is none. */
    enum errc (*next_object)(struct stream *s, uint32_t *ret_oid, struct error *err);
    /* How many bytes at the input's position go on the stream; 0 at its end. */
    enum errc (*next_chunk)(struct stream *s, size_t *ret_length, struct error *err);
    /* The entry's data have been read: nothing of them may be left. */
    enum errc (*end)(struct stream *s, struct error *err);
};

/* Blocks of the custom format, and what lies in extents: tar members, files. */
extern const struct stream_ops stream_blocks, stream_extents;

/* How much to read first of `bytes` that will all be read, if nothing goes wrong; 0: unknown. */
size_t stream_first_read(uint64_t bytes);

#endif
