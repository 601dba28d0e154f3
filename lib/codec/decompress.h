/*
 * decompress - one compressed stream, pushed in pieces, pulled in pieces.
 *
 * For the streams inside pg_dump archives: zlib format (RFC 1950), one LZ4 frame, one Zstandard
 * frame (RFC 8878), or none; and gzip (RFC 1952) for files, of one member or several. The end is
 * checked: a stream that stops before its own end marker, fails its checksum, or has bytes after
 * its end is ERR_ARCHIVE_CORRUPT. After an error only reset and free are of use. One owner thread.
 * The window of a zstd frame is bounded by LIMIT_ZSTD_WINDOW_LOG.
 */
#ifndef RR_CODEC_DECOMPRESS_H
#define RR_CODEC_DECOMPRESS_H

#include <stddef.h>

#include "lib/base/error.h"

enum compression {
    COMPRESSION_NONE,
    COMPRESSION_ZLIB,
    COMPRESSION_LZ4,
    COMPRESSION_ZSTD,
    COMPRESSION_GZIP
};

struct decompress;

/* Never fails (out of memory ends the process). */
struct decompress *decompress_new(enum compression compression);
void decompress_free(struct decompress *d); /* NULL is accepted */
void decompress_guard(struct decompress **d);
#define DECOMPRESS_GUARD __attribute__((cleanup(decompress_guard)))

/* Ready for the next stream, with all memory kept. */
void decompress_reset(struct decompress *d);

/* Hands over the next piece of compressed bytes, which must stay valid until decompress_pull() has
 * answered *ret_length = 0. Pieces of length 0 are allowed; their `bytes` may be NULL. */
void decompress_push(struct decompress *d, const void *bytes, size_t length);

/* Writes up to `size` (at least 1) bytes of plain text into `buffer`; *ret_length = 0 means: the
 * piece is used up, push the next one (or finish). ERR_ARCHIVE_CORRUPT on damaged input or bytes
 * after the end. */
enum errc decompress_pull(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                          struct error *err) RR_MUST_CHECK;

/* All pieces have been pushed and pulled: RR_OK only if the stream is complete. */
enum errc decompress_finish(struct decompress *d, struct error *err) RR_MUST_CHECK;

/* "none", "gzip", "lz4", "zstd" for people. */
const char *compression_name(enum compression compression);

#endif
