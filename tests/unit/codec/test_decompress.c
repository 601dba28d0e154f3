#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "lib/base/str.h"
#include "lib/codec/decompress.h"

static const enum compression formats[] = {COMPRESSION_ZLIB, COMPRESSION_LZ4, COMPRESSION_ZSTD,
                                           COMPRESSION_GZIP};
enum { FORMATS = sizeof formats / sizeof *formats, PLAIN_BYTES = 300000, PACKED_MAX = 400000 };

static char plain[PLAIN_BYTES]; /* half text, half noise */

static size_t deflate_to(char *packed, const char *text, size_t length, int window_bits)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)length;
    z.next_out = (Bytef *)packed;
    z.avail_out = PACKED_MAX;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t size = z.total_out;
    deflateEnd(&z);
    return size;
}

static size_t pack(enum compression format, char *packed, const char *text, size_t length)
{
    switch (format) {
    case COMPRESSION_ZLIB:
        return deflate_to(packed, text, length, 15);
    case COMPRESSION_GZIP:
        return deflate_to(packed, text, length, 15 + 16);
    case COMPRESSION_LZ4: {
        LZ4F_preferences_t preferences = {
            .frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled,
        };
        return LZ4F_compressFrame(packed, PACKED_MAX, text, length, &preferences);
    }
    case COMPRESSION_ZSTD:
        return ZSTD_compress(packed, PACKED_MAX, text, length, 3);
    case COMPRESSION_NONE:
        break;
    }
    memcpy(packed, text, length);
    return length;
}

/* Pushes `packed` in pieces and collects what comes out. Every piece is a copy of its own, so that
 * a sanitizer sees a use after its time. */
static enum errc unpack(struct decompress *d, const char *packed, size_t size, size_t piece_size,
                        struct str *out, struct error *err)
{
    char buffer[777];
    enum errc code = RR_OK;
    for (size_t at = 0; at < size && !code; at += piece_size) {
        size_t piece = size - at < piece_size ? size - at : piece_size, got = 1;
        char *copy = malloc(piece);
        memcpy(copy, packed + at, piece);
        decompress_push(d, copy, piece);
        while (got > 0 && !code) {
            code = decompress_pull(d, buffer, sizeof buffer, &got, err);
            if (!code)
                str_append_bytes(out, buffer, got);
        }
        free(copy);
    }
    return code ? code : decompress_finish(d, err);
}

static bool is_equal(const struct str *out, const char *text, size_t length)
{
    return out->length == length && (length == 0 || memcmp(out->data, text, length) == 0);
}

/* Whether all comes out and nothing is wrong. */
static bool unpacks_to(struct decompress *d, const char *packed, size_t size, size_t piece_size,
                       const char *text, size_t length, struct error *err)
{
    STR_GUARD struct str out = STR_INIT(2 * PLAIN_BYTES);
    return unpack(d, packed, size, piece_size, &out, err) == RR_OK && is_equal(&out, text, length);
}

static int make_plain(void **state)
{
    (void)state;
    unsigned noise = 1;
    for (size_t i = 0; i < PLAIN_BYTES; i++) {
        noise = noise * 1103515245u + 12345u;
        plain[i] = i < PLAIN_BYTES / 2 ? "1\t\\N\tsome row\n"[i % 14] : (char)(noise >> 16);
    }
    return 0;
}

static void test_every_format_in_pieces_of_every_kind(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 7, 4096, PACKED_MAX};
    static const size_t lengths[] = {0, 1, 5000, PLAIN_BYTES};
    static char packed[PACKED_MAX];
    for (size_t f = 0; f <= FORMATS; f++) {
        enum compression format = f < FORMATS ? formats[f] : COMPRESSION_NONE;
        DECOMPRESS_GUARD struct decompress *d = decompress_new(format);
        for (size_t i = 0; i < 16; i++) {
            size_t length = lengths[i / 4], size = pack(format, packed, plain, length);
            struct error err = ERROR_INIT;
            if (!unpacks_to(d, packed, size, pieces[i % 4], plain, length, &err))
                fail_msg("%s: %zu in pieces of %zu: %s", compression_name(format), length,
                         pieces[i % 4], err.text);
            decompress_reset(d);
        }
    }
}

static void test_a_stream_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    static char packed[PACKED_MAX];
    for (size_t f = 0; f < FORMATS; f++) {
        DECOMPRESS_GUARD struct decompress *d = decompress_new(formats[f]);
        size_t size = pack(formats[f], packed, plain, 2000);
        for (size_t cut = 0; cut < size; cut++) {
            struct error err = ERROR_INIT;
            decompress_reset(d);
            if (unpacks_to(d, packed, cut, 50, plain, 2000, &err) ||
                err.code != ERR_ARCHIVE_CORRUPT)
                fail_msg("%s cut at %zu: '%s'", compression_name(formats[f]), cut, err.text);
        }
    }
}

/* Not every bit of a stream carries meaning (padding, a time stamp), but none may change the
 * content unseen. zstd is packed without a checksum here, as pg_dump does it. */
static void test_a_flipped_byte_never_changes_the_content_unseen(void **state)
{
    (void)state;
    static char packed[PACKED_MAX];
    for (size_t f = 0; f < FORMATS; f++) {
        if (formats[f] == COMPRESSION_ZSTD)
            continue;
        DECOMPRESS_GUARD struct decompress *d = decompress_new(formats[f]);
        size_t size = pack(formats[f], packed, plain + PLAIN_BYTES / 2 - 250, 500), errors = 0;
        for (size_t at = 0; at < size; at++) {
            struct error err = ERROR_INIT;
            STR_GUARD struct str out = STR_INIT(PLAIN_BYTES);
            decompress_reset(d);
            packed[at] ^= 0x10;
            enum errc code = unpack(d, packed, size, 4096, &out, &err);
            packed[at] ^= 0x10;
            if (!code && !is_equal(&out, plain + PLAIN_BYTES / 2 - 250, 500))
                fail_msg("%s: flip at %zu unseen", compression_name(formats[f]), at);
            errors += code == ERR_ARCHIVE_CORRUPT;
        }
        assert_true(errors > size * 9 / 10);
    }
}

static void test_bytes_after_the_end_are_refused(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, PACKED_MAX};
    static char packed[PACKED_MAX];
    for (size_t i = 0; i < FORMATS * 2; i++) {
        enum compression format = formats[i / 2];
        DECOMPRESS_GUARD struct decompress *d = decompress_new(format);
        size_t size = pack(format, packed, plain, 100);
        packed[size] = 'x';
        struct error err = ERROR_INIT;
        if (unpacks_to(d, packed, size + 1, pieces[i % 2], plain, 100, &err) ||
            err.code != ERR_ARCHIVE_CORRUPT)
            fail_msg("%s: '%s'", compression_name(format), err.text);
    }
}

static void test_a_second_frame_belongs_to_gzip_only(void **state)
{
    (void)state;
    static char packed[PACKED_MAX];
    for (size_t f = 0; f < FORMATS; f++) {
        DECOMPRESS_GUARD struct decompress *d = decompress_new(formats[f]);
        size_t size = pack(formats[f], packed, plain, 700);
        size += pack(formats[f], packed + size, plain + 700, 300);
        struct error err = ERROR_INIT;
        bool is_fine = unpacks_to(d, packed, size, 64, plain, 1000, &err);
        assert_int_equal(is_fine, formats[f] == COMPRESSION_GZIP);
    }
}

static void test_streams_of_another_format_are_refused(void **state)
{
    (void)state;
    static char packed[PACKED_MAX];
    for (size_t i = 0; i < FORMATS * FORMATS; i++) {
        enum compression is = formats[i / FORMATS], taken_for = formats[i % FORMATS];
        if (is == taken_for)
            continue;
        DECOMPRESS_GUARD struct decompress *d = decompress_new(taken_for);
        size_t size = pack(is, packed, plain, 100);
        struct error err = ERROR_INIT;
        assert_false(unpacks_to(d, packed, size, 4096, plain, 100, &err));
        assert_int_equal(err.code, ERR_ARCHIVE_CORRUPT);
    }
}

static void test_frames_that_no_archive_holds_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum compression format;
        unsigned char bytes[9];
        size_t length;
    } rows[] = {
        {"zstd 0.6", COMPRESSION_ZSTD, {0x26, 0xb5, 0x2f, 0xfd, 0x12, 0xf7, 0x9b, 0x09}, 8},
        {"zstd 0.7", COMPRESSION_ZSTD, {0x27, 0xb5, 0x2f, 0xfd, 0x12, 0xf7, 0x9b, 0x09}, 8},
        {"zstd skippable", COMPRESSION_ZSTD, {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, 9},
        {"lz4 skippable", COMPRESSION_LZ4, {0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}, 9},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 1; piece <= 9; piece++) {
            DECOMPRESS_GUARD struct decompress *d = decompress_new(rows[i].format);
            STR_GUARD struct str out = STR_INIT(100);
            struct error err = ERROR_INIT;
            if (unpack(d, (const char *)rows[i].bytes, rows[i].length, piece, &out, &err) !=
                    ERR_ARCHIVE_CORRUPT ||
                !strstr(err.text, "does not begin as one"))
                fail_msg("%s in pieces of %zu: '%s'", rows[i].name, piece, err.text);
        }
    }
}

static void test_a_zstd_window_that_is_too_large_is_refused(void **state)
{
    (void)state;
    static char packed[PACKED_MAX];
    ZSTD_CCtx *compressor = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(compressor, ZSTD_c_windowLog, 28);
    ZSTD_outBuffer out = {.dst = packed, .size = PACKED_MAX};
    ZSTD_inBuffer in = {.src = plain, .size = PLAIN_BYTES};
    /* Not all at once, so that the window is not made to fit the content. */
    ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_continue);
    assert_int_equal(ZSTD_compressStream2(compressor, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(compressor);
    DECOMPRESS_GUARD struct decompress *d = decompress_new(COMPRESSION_ZSTD);
    struct error err = ERROR_INIT;
    assert_false(unpacks_to(d, packed, out.pos, 4096, plain, PLAIN_BYTES, &err));
    assert_int_equal(err.code, ERR_ARCHIVE_CORRUPT);
    assert_non_null(strstr(err.text, "memory"));
}

static void test_empty_pieces_are_allowed_and_nothing_is_not_a_stream(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        DECOMPRESS_GUARD struct decompress *d = decompress_new(formats[f]);
        struct error err = ERROR_INIT;
        char buffer[10];
        size_t got = 1;
        decompress_push(d, NULL, 0);
        assert_int_equal(decompress_pull(d, buffer, sizeof buffer, &got, &err), RR_OK);
        assert_int_equal(got, 0);
        assert_int_equal(decompress_finish(d, &err), ERR_ARCHIVE_CORRUPT);
    }
    decompress_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_format_in_pieces_of_every_kind),
        cmocka_unit_test(test_a_stream_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_a_flipped_byte_never_changes_the_content_unseen),
        cmocka_unit_test(test_bytes_after_the_end_are_refused),
        cmocka_unit_test(test_a_second_frame_belongs_to_gzip_only),
        cmocka_unit_test(test_streams_of_another_format_are_refused),
        cmocka_unit_test(test_frames_that_no_archive_holds_are_refused),
        cmocka_unit_test(test_a_zstd_window_that_is_too_large_is_refused),
        cmocka_unit_test(test_empty_pieces_are_allowed_and_nothing_is_not_a_stream),
    };
    return cmocka_run_group_tests_name("codec/decompress", tests, make_plain, NULL);
}
