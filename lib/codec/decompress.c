#include "lib/codec/decompress.h"

#define ZLIB_CONST /* next_in points to const */
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"

/* One call of a library must fit its counters: zlib's are 32 bits wide. */
enum { STEP_MAX_BYTES = 1 << 30 };

struct decompress {
    enum compression compression;
    const void *next; /* what is left of the piece */
    size_t left;
    size_t taken;      /* bytes that the library has had in all */
    size_t magic_seen; /* how many of the first bytes were compared */
    bool is_ended;     /* the stream's own end has been seen */
    union {
        z_stream zlib;
        LZ4F_dctx *lz4;
        ZSTD_DCtx *zstd;
    };
};

/* Runs the library once: takes some of the piece, gives some plain text, notices the end. */
typedef enum errc step_fn(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                          struct error *err);

static enum errc damaged(struct error *err, const char *format, const char *problem)
{
    return error_set(err, ERR_ARCHIVE_CORRUPT, "damaged %s stream: %s", format,
                     problem ? problem : "no reason given");
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void take(struct decompress *d, size_t length)
{
    d->next = (const unsigned char *)d->next + length;
    d->left -= length;
    d->taken += length;
}

static enum errc step_none(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                           struct error *err)
{
    (void)err;
    size_t length = smaller(size, d->left);
    if (length)
        memcpy(buffer, d->next, length);
    take(d, length);
    *ret_length = length;
    return RR_OK;
}

/* Also gzip, whose files may hold several members one after the other. */
static enum errc step_zlib(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                           struct error *err)
{
    const char *name = compression_name(d->compression);
    uInt given = (uInt)smaller(d->left, STEP_MAX_BYTES);
    uInt room = (uInt)smaller(size, STEP_MAX_BYTES);
    if (d->is_ended) {
        inflateReset(&d->zlib);
        d->is_ended = false;
    }
    d->zlib.next_in = d->next;
    d->zlib.avail_in = given;
    d->zlib.next_out = buffer;
    d->zlib.avail_out = room;
    int result = inflate(&d->zlib, Z_NO_FLUSH);
    take(d, given - d->zlib.avail_in);
    *ret_length = room - d->zlib.avail_out;
    switch (result) {
    case Z_STREAM_END:
        d->is_ended = true;
        return RR_OK;
    case Z_OK:
    case Z_BUF_ERROR: /* needs more input; says nothing about damage */
        return RR_OK;
    case Z_MEM_ERROR:
        mem_die(size);
    case Z_NEED_DICT:
        return damaged(err, name, "it asks for a dictionary");
    default:
        return damaged(err, name, d->zlib.msg);
    }
}

static enum errc step_lz4(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                          struct error *err)
{
    size_t given = d->left, room = size;
    size_t result = LZ4F_decompress(d->lz4, buffer, &room, d->next, &given, NULL);
    if (LZ4F_isError(result)) {
        const char *problem = LZ4F_getErrorName(result);
        if (strcmp(problem, "ERROR_allocation_failed") == 0)
            mem_die(size);
        return damaged(err, "lz4", problem);
    }
    take(d, given);
    *ret_length = room;
    d->is_ended = result == 0;
    return RR_OK;
}

static enum errc step_zstd(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                           struct error *err)
{
    ZSTD_inBuffer in = {.src = d->next, .size = d->left};
    ZSTD_outBuffer out = {.dst = buffer, .size = size};
    size_t result = ZSTD_decompressStream(d->zstd, &out, &in);
    if (ZSTD_isError(result)) {
        if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation)
            mem_die(size);
        return damaged(err, "zstd", ZSTD_getErrorName(result));
    }
    take(d, in.pos);
    *ret_length = out.pos;
    d->is_ended = result == 0;
    return RR_OK;
}

enum { MAGIC_BYTES = 4 };

static const struct {
    const char *name;
    step_fn *step;
    const unsigned char *magic; /* MAGIC_BYTES, NULL: none to be checked here */
} formats[] = {
    [COMPRESSION_NONE] = {"none", step_none, NULL},
    /* pg_dump calls its zlib streams gzip, and so do its users. */
    [COMPRESSION_ZLIB] = {"gzip", step_zlib, NULL},
    [COMPRESSION_LZ4] = {"lz4", step_lz4, (const unsigned char[]){0x04, 0x22, 0x4d, 0x18}},
    [COMPRESSION_ZSTD] = {"zstd", step_zstd, (const unsigned char[]){0x28, 0xb5, 0x2f, 0xfd}},
    [COMPRESSION_GZIP] = {"gzip", step_zlib, NULL},
};

/* The libraries also read skippable frames, and libzstd as it is packaged the formats of its own
 * prehistory: old code that no archive needs. So a frame must begin as frames do, however it is cut
 * into pieces. */
static bool begins_as_it_should(struct decompress *d)
{
    const unsigned char *magic = formats[d->compression].magic, *next = d->next;
    for (; magic && d->magic_seen < MAGIC_BYTES; d->magic_seen++) {
        size_t at = d->magic_seen - d->taken;
        if (at >= d->left)
            break;
        if (next[at] != magic[d->magic_seen])
            return false;
    }
    return true;
}

static void open_library(struct decompress *d)
{
    enum { GZIP_WRAPPER = 16 };
    bool is_open = true;
    switch (d->compression) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_ZLIB:
        is_open = inflateInit(&d->zlib) == Z_OK;
        break;
    case COMPRESSION_GZIP:
        is_open = inflateInit2(&d->zlib, MAX_WBITS + GZIP_WRAPPER) == Z_OK;
        break;
    case COMPRESSION_LZ4:
        is_open = !LZ4F_isError(LZ4F_createDecompressionContext(&d->lz4, LZ4F_VERSION));
        break;
    case COMPRESSION_ZSTD:
        d->zstd = ZSTD_createDCtx();
        is_open = d->zstd && !ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax,
                                                                  LIMIT_ZSTD_WINDOW_LOG));
        break;
    }
    if (!is_open)
        mem_die(sizeof *d);
}

struct decompress *decompress_new(enum compression compression)
{
    struct decompress *d = mem_alloc(sizeof *d);
    d->compression = compression;
    decompress_push(d, NULL, 0);
    open_library(d);
    return d;
}

void decompress_free(struct decompress *d)
{
    if (!d)
        return;
    switch (d->compression) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_ZLIB:
    case COMPRESSION_GZIP:
        inflateEnd(&d->zlib);
        break;
    case COMPRESSION_LZ4:
        LZ4F_freeDecompressionContext(d->lz4);
        break;
    case COMPRESSION_ZSTD:
        ZSTD_freeDCtx(d->zstd);
        break;
    }
    free(d);
}

void decompress_guard(struct decompress **d)
{
    decompress_free(*d);
}

void decompress_reset(struct decompress *d)
{
    decompress_push(d, NULL, 0);
    d->taken = d->magic_seen = 0;
    d->is_ended = false;
    switch (d->compression) {
    case COMPRESSION_NONE:
        break;
    case COMPRESSION_ZLIB:
    case COMPRESSION_GZIP:
        inflateReset(&d->zlib);
        break;
    case COMPRESSION_LZ4:
        LZ4F_resetDecompressionContext(d->lz4);
        break;
    case COMPRESSION_ZSTD:
        ZSTD_DCtx_reset(d->zstd, ZSTD_reset_session_only);
        break;
    }
}

void decompress_push(struct decompress *d, const void *bytes, size_t length)
{
    d->next = length ? bytes : ""; /* never NULL: the libraries add to it */
    d->left = length;
}

enum errc decompress_pull(struct decompress *d, void *buffer, size_t size, size_t *ret_length,
                          struct error *err)
{
    size_t length = 0, left_before;
    do {
        if (d->is_ended && d->left == 0)
            break;
        if (d->is_ended && d->compression != COMPRESSION_GZIP)
            return error_set(err, ERR_ARCHIVE_CORRUPT, "%zu bytes after the end of the %s stream",
                             d->left, compression_name(d->compression));
        if (!begins_as_it_should(d))
            return damaged(err, compression_name(d->compression), "it does not begin as one");
        left_before = d->left;
        enum errc code = formats[d->compression].step(d, buffer, size, &length, err);
        if (code)
            return code;
    } while (length == 0 && d->left < left_before);
    if (length == 0 && d->left > 0)
        return damaged(err, compression_name(d->compression), "it cannot go on");
    *ret_length = length;
    return RR_OK;
}

enum errc decompress_finish(struct decompress *d, struct error *err)
{
    if (d->is_ended || d->compression == COMPRESSION_NONE)
        return RR_OK;
    return error_set(err, ERR_ARCHIVE_CORRUPT, "the %s stream ends before its own end",
                     compression_name(d->compression));
}

const char *compression_name(enum compression compression)
{
    return formats[compression].name;
}
