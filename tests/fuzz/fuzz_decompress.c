/*
 * Compressed streams from any bytes. The first byte tells format and size of the pieces. What comes
 * out must not depend on how the stream was cut into pieces; nor must whether it is complete, but
 * for damaged zstd frames: libzstd is stricter about those that it gets whole.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/decompress.h"

enum { FORMATS = 5, PLAIN_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* At most PLAIN_MAX bytes are collected; a stream may say that it is far longer. */
static enum errc unpack(struct decompress *d, const uint8_t *bytes, size_t length, size_t piece,
                        size_t room, struct str *out)
{
    static char buffer[1 << 16];
    struct error err = ERROR_INIT;
    for (size_t at = 0; at < length; at += piece) {
        decompress_push(d, bytes + at, length - at < piece ? length - at : piece);
        for (size_t got = 1; got > 0;) {
            if (decompress_pull(d, buffer, room, &got, &err))
                return err.code;
            if (got > room)
                abort();
            str_append_bytes(out, buffer, got);
            if (out->is_cut)
                return RR_OK;
        }
    }
    return decompress_finish(d, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return 0;
    enum compression format = (enum compression)(bytes[0] % FORMATS);
    size_t piece = (size_t)bytes[0] / FORMATS + 1;
    DECOMPRESS_GUARD struct decompress *d = decompress_new(format);
    STR_GUARD struct str whole = STR_INIT(PLAIN_MAX), pieces = STR_INIT(PLAIN_MAX);
    enum errc code = unpack(d, bytes + 1, length - 1, length, 1 << 16, &whole);
    decompress_reset(d);
    enum errc code_again = unpack(d, bytes + 1, length - 1, piece, 1000, &pieces);
    if ((code && code != ERR_ARCHIVE_CORRUPT) || (code_again && code_again != ERR_ARCHIVE_CORRUPT))
        abort();
    if (code != code_again && format != COMPRESSION_ZSTD)
        abort();
    if (!code && !code_again &&
        (whole.length != pieces.length ||
         (whole.length && memcmp(whole.data, pieces.data, whole.length) != 0)))
        abort();
    return 0;
}
