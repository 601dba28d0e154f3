/*
 * Real archives, cut off and with bytes altered, read as a load reads them. What is asked for:
 * never a crash, never a hang, and never success with anything missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/unit/archive/archive_check.h"

#define FOLDER "tests/data/archives/"

/* How far apart the lengths and places are that are tried, in the table of contents and behind. */
struct subject {
    const char *name;
    size_t table_step, data_step;
};

/* One of each kind byte by byte, the others in samples. */
static const struct subject subjects[] = {
    {"pg14-gzip-file", 1, 31},
    {"pg15-gzip-pipe", 13, 5},
    {"pg14-none-pipe", 31, 101},
    {"pg15-none-file", 31, 301},
    {"pg15-gzip-file-inserts-escapes", 31, 61},
    {"pg16-gzip-append", 7, 31},
    {"pg16-lz4-file", 31, 101},
    {"pg16-zstd-pipe", 13, 17},
    {"pg17-lz4-pipe", 31, 31},
    {"pg17-gzip-append-schema", 1, 1},
    {"pg17-gzip-pipe-schema", 1, 1},
    {"pg18-zstd-append-statistics", 31, 31},
    {"pg18-gzip-pipe-statistics", 13, 61},
    {"pg14-none-tar.tar", 1, 31},
    {"pg18-none-tar-inserts.tar", 31, 61},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0], HANG_SECONDS = 300 };

struct sample {
    char *bytes;
    size_t length, data_begin;
    enum compression compression;
    struct findings right;
};

static void open_sample(const struct subject *subject, struct sample *sample)
{
    sample->bytes = read_archive(subject->name, &sample->length);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    struct whole whole = {0};
    if (read_toc_bytes(sample->bytes, sample->length, &arena, &toc, &err) ||
        read_whole_bytes(sample->bytes, sample->length, &whole, &err))
        fail_msg("%s: %s", subject->name, err.text);
    sample->right = whole.found;
    sample->data_begin = (size_t)toc.data_begin;
    sample->compression = toc.compression;
}

/* Errors that bytes can cause; anything else is a bug of ours. */
static bool is_right_error(enum errc code, const struct error *err)
{
    return (code == ERR_ARCHIVE_CORRUPT || code == ERR_ARCHIVE_UNSUPPORTED) && err->code == code &&
           err->text[0];
}

/* The end of an archive that was cut is nowhere else: success only when what was cut off told
 * nothing new. */
static void test_cut_at_every_length(void **state)
{
    (void)state;
    alarm(HANG_SECONDS);
    for (size_t i = 0; i < SUBJECTS; i++) {
        struct sample sample;
        open_sample(&subjects[i], &sample);
        for (size_t length = 0; length < sample.length; length += length < sample.data_begin
                                                                      ? subjects[i].table_step
                                                                      : subjects[i].data_step) {
            char *part =
                mem_alloc(length + 1); /* of its own, so that a sanitizer sees reads beyond it */
            memcpy(part, sample.bytes, length);
            struct whole whole = {0};
            struct error err = ERROR_INIT;
            enum errc code = read_whole_bytes(part, length, &whole, &err);
            if (code ? !is_right_error(code, &err)
                     : memcmp(&whole.found, &sample.right, sizeof whole.found) != 0)
                fail_msg("%s, cut to %zu of %zu bytes: %s %s", subjects[i].name, length,
                         sample.length, errc_name(code), err.text);
            free(part);
        }
        free(sample.bytes);
    }
}

/* The one cut that loses nothing: exactly the second table of contents. */
static void test_without_its_second_table_an_archive_is_whole(void **state)
{
    (void)state;
    size_t length;
    char *bytes = read_file(FOLDER "pg17-gzip-append.dump", &length);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(toc_parse(bytes, length, length, &arena, &toc, &err), RR_OK);
    assert_true(toc.data_end < length);
    struct whole all = {0}, part = {0};
    assert_int_equal(read_whole_bytes(bytes, length, &all, &err), RR_OK);
    assert_int_equal(read_whole_bytes(bytes, (size_t)toc.data_end, &part, &err), RR_OK);
    assert_memory_equal(&all.found, &part.found, sizeof all.found);
    free(bytes);
}

static void check_altered(const struct subject *subject, const struct sample *sample, size_t at,
                          unsigned mask)
{
    struct whole whole = {0};
    struct error err = ERROR_INIT;
    sample->bytes[at] = (char)((unsigned char)sample->bytes[at] ^ mask);
    enum errc code = read_whole_bytes(sample->bytes, sample->length, &whole, &err);
    sample->bytes[at] = (char)((unsigned char)sample->bytes[at] ^ mask);
    bool is_right = code ? is_right_error(code, &err) : true;
    const struct findings *found = &whole.found, *right = &sample->right;
    /* Names and statements have no checksum, but no table's data may get lost by them. */
    if (code == RR_OK && at < sample->data_begin)
        is_right = found->rows == right->rows && found->statements == right->statements &&
                   found->blobs == right->blobs && found->plain_bytes == right->plain_bytes;
    /* zlib streams have one: what is read is right. Oids of large objects stand outside of it. */
    else if (code == RR_OK && sample->compression == COMPRESSION_ZLIB)
        is_right = found->rows == right->rows && found->blobs == right->blobs &&
                   found->plain_bytes == right->plain_bytes;
    if (!is_right)
        fail_msg("%s, byte %zu altered by %02x: %s %s", subject->name, at, mask, errc_name(code),
                 err.text);
}

static void test_every_byte_altered(void **state)
{
    (void)state;
    static const unsigned masks[] = {0x01, 0x02, 0x80, 0xff};
    alarm(HANG_SECONDS);
    for (size_t i = 0; i < SUBJECTS; i++) {
        struct sample sample;
        open_sample(&subjects[i], &sample);
        for (size_t at = 0; at < sample.length;
             at += at < sample.data_begin ? subjects[i].table_step : subjects[i].data_step)
            check_altered(&subjects[i], &sample, at,
                          masks[(at + i) % (sizeof masks / sizeof masks[0])]);
        free(sample.bytes);
    }
}

/* Two archives that belong together in no way: the table of one, the data of the other. */
static void test_data_of_another_archive(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++)
        for (size_t k = 0; k < SUBJECTS; k++) {
            if (i == k)
                continue;
            struct sample table, data;
            open_sample(&subjects[i], &table);
            open_sample(&subjects[k], &data);
            STR_GUARD struct str s = STR_INIT(LIMIT_MIB);
            str_append_bytes(&s, table.bytes, table.data_begin);
            str_append_bytes(&s, data.bytes + data.data_begin, data.length - data.data_begin);
            struct whole whole = {0};
            struct error err = ERROR_INIT;
            enum errc code = read_whole_bytes(s.data, s.length, &whole, &err);
            bool has_data = table.right.blobs || data.right.blobs;
            if (has_data && !is_right_error(code, &err))
                fail_msg("table of %s, data of %s: %s %s", subjects[i].name, subjects[k].name,
                         errc_name(code), err.text);
            free(table.bytes);
            free(data.bytes);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_length),
        cmocka_unit_test(test_without_its_second_table_an_archive_is_whole),
        cmocka_unit_test(test_every_byte_altered),
        cmocka_unit_test(test_data_of_another_archive),
    };
    return cmocka_run_group_tests_name("archive/damage", tests, NULL, NULL);
}
