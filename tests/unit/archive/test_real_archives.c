/* Archives made by the pg_dump of PostgreSQL 14 to 18 (tests/data/archives/generate). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/archive/archive_check.h"

#define FOLDER "tests/data/archives/"

struct archive {
    const char *name;
    int server_major, minor;
    enum compression compression;
    bool has_data, has_offsets; /* offsets: after toc_read() */
    uint64_t rows, statements;
};

enum {
    ROWS = 400 + 100 + 3 + 0 + 1 + 3 + 1,
    BLOBS = 3,
    STATEMENTS_BY_TEN = 40 + 10 + 3 + 1 + 1 + 1
};

static const struct archive archives[] = {
    {"pg14-gzip-file", 14, 14, COMPRESSION_ZLIB, true, true, ROWS, 0},
    {"pg14-none-pipe", 14, 14, COMPRESSION_NONE, true, false, ROWS, 0},
    {"pg15-gzip-pipe", 15, 14, COMPRESSION_ZLIB, true, false, ROWS, 0},
    {"pg15-none-file", 15, 14, COMPRESSION_NONE, true, true, ROWS, 0},
    {"pg15-none-file-inserts", 15, 14, COMPRESSION_NONE, true, true, 0, ROWS},
    {"pg15-gzip-file-inserts-escapes", 15, 14, COMPRESSION_ZLIB, true, true, 0, STATEMENTS_BY_TEN},
    {"pg16-lz4-file", 16, 15, COMPRESSION_LZ4, true, true, ROWS, 0},
    {"pg16-zstd-pipe", 16, 15, COMPRESSION_ZSTD, true, false, ROWS, 0},
    {"pg16-gzip-append", 16, 15, COMPRESSION_ZLIB, true, true, ROWS, 0},
    {"pg17-gzip-append", 17, 16, COMPRESSION_ZLIB, true, true, ROWS, 0},
    {"pg17-lz4-pipe", 17, 16, COMPRESSION_LZ4, true, false, ROWS, 0},
    {"pg17-none-append", 17, 16, COMPRESSION_NONE, true, true, ROWS, 0},
    {"pg17-gzip-append-schema", 17, 16, COMPRESSION_ZLIB, false, true, 0, 0},
    {"pg17-gzip-pipe-schema", 17, 16, COMPRESSION_ZLIB, false, true, 0, 0},
    {"pg18-zstd-append-statistics", 18, 16, COMPRESSION_ZSTD, true, true, ROWS, 0},
    {"pg18-zstd-file-statistics", 18, 16, COMPRESSION_ZSTD, true, true, ROWS, 0},
    {"pg18-gzip-pipe-statistics", 18, 16, COMPRESSION_ZLIB, true, false, ROWS, 0},
    {"pg18-lz4-append", 18, 16, COMPRESSION_LZ4, true, true, ROWS, 0},
    {"pg18-gzip-file", 18, 16, COMPRESSION_ZLIB, true, true, ROWS, 0},
    {"pg14-none-tar.tar", 14, 14, COMPRESSION_NONE, true, true, ROWS, 0},
    {"pg15-none-tar.tar", 15, 14, COMPRESSION_NONE, true, true, ROWS, 0},
    {"pg17-none-tar.tar", 17, 16, COMPRESSION_NONE, true, true, ROWS, 0},
    {"pg18-none-tar.tar", 18, 16, COMPRESSION_NONE, true, true, ROWS, 0},
    {"pg18-none-tar-inserts.tar", 18, 16, COMPRESSION_NONE, true, true, 0, ROWS},
};
enum { ARCHIVES = sizeof archives / sizeof archives[0] };

static char *load(const struct archive *archive, size_t *ret_length)
{
    return read_archive(archive->name, ret_length);
}

/* Expected data, and how far they have been seen. */
struct expected {
    const char *name, *file;
    char *bytes;
    size_t length, seen;
};

static void compare(void *context, const char *name, const char *bytes, size_t length)
{
    for (struct expected *e = context; e->name; e++) {
        if (strcmp(e->name, name) != 0)
            continue;
        if (length > e->length - e->seen || memcmp(e->bytes + e->seen, bytes, length) != 0)
            fail_msg("%s: the data differ from expected/%s behind byte %zu", name, e->file,
                     e->seen);
        e->seen += length;
    }
}

static void test_tables_of_contents(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHIVES; i++) {
        const struct archive *a = &archives[i];
        size_t length;
        char *bytes = load(a, &length);
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct error err = ERROR_INIT;
        if (read_toc_bytes(bytes, length, &arena, &toc, &err))
            fail_msg("%s: %s", a->name, err.text);
        if (toc_server_major(&toc) != a->server_major || toc.minor != a->minor ||
            toc.compression != a->compression || toc.has_offsets != a->has_offsets)
            fail_msg("%s: server %d, version 1.%d, %s, offsets %d", a->name, toc_server_major(&toc),
                     toc.minor, compression_name(toc.compression), toc.has_offsets);
        assert_string_equal(toc.database_name, "source");
        assert_int_equal(toc_check_cycles(&toc, &err), RR_OK);
        for (size_t k = 0; k < toc.count; k++) {
            assert_int_equal(toc.entries[k].position, k);
            assert_ptr_equal(toc_find(&toc, toc.entries[k].dump_id), &toc.entries[k]);
        }
        assert_null(toc_find(&toc, INT32_MAX));
        assert_null(toc_find(&toc, 0));
        free(bytes);
    }
}

static void test_fields_of_an_entry(void **state)
{
    (void)state;
    size_t length;
    char *bytes = read_file(FOLDER "pg17-gzip-append.dump", &length);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(toc_parse(bytes, length, length, &arena, &toc, &err), RR_OK);
    const struct entry *table = NULL, *data = NULL;
    for (size_t i = 0; i < toc.count; i++) {
        if (strcmp(toc.entries[i].tag, "customers") == 0 && toc.entries[i].kind == ENTRY_TABLE)
            table = &toc.entries[i];
        if (strcmp(toc.entries[i].tag, "customers") == 0 && toc.entries[i].kind == ENTRY_TABLE_DATA)
            data = &toc.entries[i];
    }
    assert_non_null(table);
    assert_non_null(data);
    assert_int_equal(table->section, SECTION_PRE_DATA);
    assert_int_equal(table->relkind, 'r');
    assert_string_equal(table->schema, "shop");
    assert_string_equal(table->owner, "postgres");
    assert_string_equal(table->table_access_method, "heap");
    assert_string_equal(table->tablespace, "");
    assert_true(strstr(table->definition, "CREATE TABLE shop.customers") != NULL);
    assert_string_equal(table->drop_statement, "DROP TABLE shop.customers;\n");
    assert_false(table->has_data);
    assert_int_equal(table->offset_state, OFFSET_NO_DATA);
    assert_true(data->has_data);
    assert_string_equal(data->copy_statement,
                        "COPY shop.customers (id, name, mood, note) FROM stdin;\n");
    assert_null(data->tablespace);
    assert_int_equal(data->dependency_count, 1);
    assert_int_equal(data->dependencies[0], table->dump_id);
    assert_int_equal(data->offset_state, OFFSET_SET);
    free(bytes);
}

static void test_data_are_what_the_server_copied(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHIVES; i++) {
        const struct archive *a = &archives[i];
        struct expected expected[] = {
            {.name = "customers", .file = "customers.copy"},
            {.name = "orders", .file = "orders.copy"},
            {.name = "no_columns", .file = "no_columns.copy"},
            {.name = "empty", .file = "empty.copy"},
            {.name = "wide", .file = "wide.copy"},
            {.name = "parted_low", .file = "parted_low.copy"},
            {.name = "16001", .file = "16001.blob"},
            {.name = "16002", .file = "16002.blob"},
            {.name = "4000000000", .file = "4000000000.blob"},
            {.name = NULL},
        };
        for (struct expected *e = expected; e->name; e++) {
            char path[256];
            snprintf(path, sizeof path, FOLDER "expected/%s", e->file);
            e->bytes = read_file(path, &e->length);
        }
        size_t length;
        char *bytes = load(a, &length);
        struct whole whole = {.sink = a->statements ? NULL : compare, .context = expected};
        struct error err = ERROR_INIT;
        if (read_whole_bytes(bytes, length, &whole, &err))
            fail_msg("%s: %s", a->name, err.text);
        if (whole.found.rows != a->rows || whole.found.statements != a->statements ||
            whole.found.blobs != (a->has_data ? BLOBS : 0))
            fail_msg("%s: %" PRIu64 " rows, %" PRIu64 " statements, %" PRIu64 " large objects",
                     a->name, whole.found.rows, whole.found.statements, whole.found.blobs);
        for (struct expected *e = expected; e->name; e++) {
            if (a->rows && e->seen != e->length)
                fail_msg("%s: %zu of %zu bytes of expected/%s", a->name, e->seen, e->length,
                         e->file);
            free(e->bytes);
        }
        free(bytes);
    }
}

/* Offsets as pg_dump wrote them and as the framing tells them are the same. */
static void test_framing_agrees_with_offsets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARCHIVES; i++) {
        size_t length;
        char *bytes = load(&archives[i], &length);
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct error err = ERROR_INIT;
        assert_int_equal(read_toc_bytes(bytes, length, &arena, &toc, &err), RR_OK);
        if (toc.format != FORMAT_CUSTOM) {
            free(bytes);
            continue;
        }
        struct toc found = toc;
        found.entries = arena_array(&arena, toc.count, sizeof toc.entries[0]);
        for (size_t k = 0; k < toc.count; k++) {
            found.entries[k] = toc.entries[k];
            if (found.entries[k].has_data)
                found.entries[k].offset_state = OFFSET_UNKNOWN;
        }
        found.has_offsets = false;
        SOURCE_GUARD struct source *source = source_from_memory(bytes, length, "test");
        SOURCE_READER_GUARD struct source_reader *reader = NULL;
        assert_int_equal(source_reader_open(source, NULL, &reader, &err), RR_OK);
        if (blocks_locate(reader, &found, &err) || blocks_locate(reader, &toc, &err))
            fail_msg("%s: %s", archives[i].name, err.text);
        assert_true(found.has_offsets);
        for (size_t k = 0; k < toc.count; k++) {
            assert_int_equal(found.entries[k].offset, toc.entries[k].offset);
            assert_int_equal(found.entries[k].block_bytes, toc.entries[k].block_bytes);
            assert_int_equal(found.entries[k].offset_state, toc.entries[k].offset_state);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_of_contents),
        cmocka_unit_test(test_fields_of_an_entry),
        cmocka_unit_test(test_data_are_what_the_server_copied),
        cmocka_unit_test(test_framing_agrees_with_offsets),
    };
    return cmocka_run_group_tests_name("archive/real archives", tests, NULL, NULL);
}
