/*
 * framing - what stands around the bytes of a data block; private to this room.
 *
 *     block  := byte type, int dump id, body
 *     type 1 (BLK_DATA)   body := stream
 *     type 3 (BLK_BLOBS)  body := { int oid, stream } ... int 0
 *     stream := { int length, length bytes } ... int 0
 *
 * as in PostgreSQL's src/bin/pg_dump/pg_backup_custom.c: _StartData, _StartLOs, _StartLO,
 * _CustomWriteFunc, _readBlockHeader.
 */
#ifndef RR_ARCHIVE_FRAMING_H
#define RR_ARCHIVE_FRAMING_H

#include "lib/archive/entry.h"
#include "lib/archive/input.h"
#include "lib/base/error.h"

enum { BLOCK_DATA = 1, BLOCK_BLOBS = 3 };

/* Header, and the zero that ends a stream or the large objects: a smaller block does not exist. */
enum {
    BLOCK_HEADER_BYTES = 1 + INPUT_INT_BYTES,
    BLOCK_MIN_BYTES = BLOCK_HEADER_BYTES + INPUT_INT_BYTES
};

/* Reads the header; it must be that of the entry's block. */
enum errc framing_header(struct input *in, const struct entry *entry,
                         struct error *err) RR_MUST_CHECK;

/* Reads the length of the next chunk, which must fit into what is left; 0 ends the stream. */
enum errc framing_chunk(struct input *in, size_t *ret_length, struct error *err) RR_MUST_CHECK;

/* Reads the oid of the next large object; 0 is the end of the block. */
enum errc framing_oid(struct input *in, uint32_t *ret_oid, struct error *err) RR_MUST_CHECK;

#endif
