#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/archive/archive_builder.h"
#include "tests/unit/archive/archive_check.h"

enum { ROWS = 3, BUILT_LIMIT = 64 * 1024 * 1024 };

/* A right archive of a table with data, which a row of the table below then spoils. */
struct plan {
    struct row rows[ROWS];
    struct recipe recipe;
    uint64_t more_bytes; /* that the archive is longer than what is built */
    size_t patch_at;     /* bytes from the front to be overwritten */
    const char *patch;
};

static const int64_t on_table[] = {2, 0}, on_missing[] = {2, 77, 0};

static struct plan plan_right(void)
{
    struct plan plan = {.rows = {row_encoding(1), row_table(2, "t"), row_data(3, "t")},
                        .more_bytes = 100};
    plan.rows[2].dependencies = on_table;
    plan.recipe = recipe_of(NULL, ROWS);
    return plan;
}

static enum errc parse(struct plan *plan, struct arena *arena, struct toc *toc, struct error *err)
{
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    plan->recipe.rows = plan->rows;
    put_header(&s, &plan->recipe);
    put_table(&s, &plan->recipe);
    if (plan->patch)
        memcpy(s.data + plan->patch_at, plan->patch, strlen(plan->patch));
    return toc_parse(s.data, s.length, s.length + plan->more_bytes, arena, toc, err);
}

struct bad {
    const char *name;
    void (*spoil)(struct plan *plan);
    enum errc code;
    const char *text; /* part of the error's */
};

#define SPOIL(name, ...)                                                                           \
    static void name(struct plan *p)                                                               \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

SPOIL(magic, p->patch = "PGDMQ")
SPOIL(plain_sql, p->patch = "--\n--")
SPOIL(gzip, p->patch = "\x1f\x8b\x08")
SPOIL(major_2, p->recipe.major = 2)
SPOIL(major_0, p->recipe.major = 0)
SPOIL(minor_11, p->recipe.minor = 11)
SPOIL(minor_17, p->recipe.minor = 17)
SPOIL(minor_255, p->recipe.minor = 255)
SPOIL(int_size_0, p->recipe.int_size = 0)
SPOIL(int_size_8, p->recipe.int_size = 8)
SPOIL(int_size_255, p->recipe.int_size = 255)
SPOIL(offset_size_0, p->patch_at = 9; p->patch = "\x01")
SPOIL(offset_size_32, p->patch_at = 9; p->patch = "\x20")
SPOIL(format_tar, p->recipe.format = 3)
SPOIL(format_directory, p->recipe.format = 5)
SPOIL(format_files, p->recipe.format = 2)
SPOIL(level_10, p->recipe.compression = 10)
SPOIL(level_minus_2, p->recipe.compression = -2)
SPOIL(algorithm_4, p->recipe.minor = 15; p->recipe.compression = 4)
SPOIL(count_0, p->recipe.count = 0)
SPOIL(count_minus_1, p->recipe.count = -1)
SPOIL(count_2, p->recipe.count = 2)
SPOIL(count_4, p->recipe.count = 4)
SPOIL(count_huge, p->recipe.count = INT32_MAX)
SPOIL(count_huge_in_a_huge_archive, p->recipe.count = 12000000; p->more_bytes = (uint64_t)1 << 40)
SPOIL(id_0, p->rows[1].dump_id = 0)
SPOIL(id_minus_1, p->rows[1].dump_id = -1)
SPOIL(id_above, p->rows[1].dump_id = (int64_t)INT32_MAX + 1)
SPOIL(id_twice, p->rows[1].dump_id = 3)
SPOIL(had_dumper_2, p->rows[2].had_dumper = 2)
SPOIL(had_dumper_lost, p->rows[2].had_dumper = 0; p->rows[2].state = 3)
SPOIL(had_dumper_of_a_table, p->rows[1].had_dumper = 1; p->rows[1].state = 1)
SPOIL(data_without_offset, p->rows[2].state = 3)
SPOIL(offset_without_data, p->rows[1].state = 1)
SPOIL(state_0, p->rows[2].state = 0)
SPOIL(state_4, p->rows[2].state = 4)
SPOIL(state_255, p->rows[2].state = 255)
SPOIL(offset_in_table, p->rows[2].state = 2; p->rows[2].offset = 20)
SPOIL(offset_behind_end, p->rows[2].state = 2; p->rows[2].offset = 100000)
SPOIL(offset_huge, p->rows[2].state = 2; p->rows[2].offset = UINT64_MAX)
SPOIL(section_0, p->rows[1].section = 0)
SPOIL(section_5, p->rows[1].section = 5)
SPOIL(section_minus_1, p->rows[1].section = -1)
SPOIL(data_in_pre_data, p->rows[2].section = 2)
SPOIL(oid_letters, p->rows[1].oid = "12x")
SPOIL(oid_empty, p->rows[1].oid = "")
SPOIL(oid_null, p->rows[1].oid = NULL)
SPOIL(oid_negative, p->rows[1].oid = "-1")
SPOIL(oid_above, p->rows[1].oid = "4294967296")
SPOIL(oid_long,
      p->rows[1].oid = "000000000000000000000000000000000000000000000000000000000000000000001")
SPOIL(table_oid_null, p->rows[1].table_oid = NULL)
SPOIL(tag_null, p->rows[1].tag = NULL)
SPOIL(desc_null, p->rows[1].desc = NULL)
SPOIL(desc_unknown, p->rows[1].desc = "TABLE\nSPACE")
SPOIL(desc_binary_upgrade, p->rows[1].desc = "pg_largeobject")
SPOIL(desc_long, p->rows[1].desc =
                     "TABLE DATA TABLE DATA TABLE DATA TABLE DATA TABLE DATA TABLE DATA TABLE DATA")
SPOIL(with_oids, p->rows[1].with_oids = "true")
SPOIL(with_oids_odd, p->rows[1].with_oids = "maybe")
SPOIL(with_oids_null, p->rows[1].with_oids = NULL)
SPOIL(relkind_odd, p->recipe.minor = 16; p->rows[1].relkind = 'x')
SPOIL(relkind_negative, p->recipe.minor = 16; p->rows[1].relkind = -'r')
SPOIL(relkind_large, p->recipe.minor = 16; p->rows[1].relkind = 256 + 'r')
SPOIL(dependency_0, p->rows[1].odd_dependency = "0")
SPOIL(dependency_negative, p->rows[1].odd_dependency = "-2")
SPOIL(dependency_empty, p->rows[1].odd_dependency = "")
SPOIL(dependency_above, p->rows[1].odd_dependency = "2147483648")

static const struct bad bad[] = {
    {"magic", magic, ERR_ARCHIVE_CORRUPT, "not a pg_dump archive"},
    {"plain SQL", plain_sql, ERR_ARCHIVE_CORRUPT, "not a pg_dump archive"},
    {"gzip", gzip, ERR_ARCHIVE_CORRUPT, "not a pg_dump archive"},
    {"major 2", major_2, ERR_ARCHIVE_UNSUPPORTED, "version 2.14 made by pg_dump '12.5' is newer"},
    {"major 0", major_0, ERR_ARCHIVE_UNSUPPORTED, "older than 1.12"},
    {"minor 11", minor_11, ERR_ARCHIVE_UNSUPPORTED, "1.11 is older than 1.12"},
    {"minor 17", minor_17, ERR_ARCHIVE_UNSUPPORTED,
     "1.17 made by pg_dump '12.5' is newer than 1.16"},
    {"minor 255", minor_255, ERR_ARCHIVE_UNSUPPORTED, "newer"},
    {"int size 0", int_size_0, ERR_ARCHIVE_CORRUPT, "numbers of 0"},
    {"int size 8", int_size_8, ERR_ARCHIVE_CORRUPT, "numbers of 8"},
    {"int size 255", int_size_255, ERR_ARCHIVE_CORRUPT, "numbers of 255"},
    {"offset size 1", offset_size_0, ERR_ARCHIVE_CORRUPT, "offsets of 1 bytes"},
    {"offset size 32", offset_size_32, ERR_ARCHIVE_CORRUPT, "offsets of 32 bytes"},
    {"tar", format_tar, ERR_ARCHIVE_UNSUPPORTED, "without its data"},
    {"directory", format_directory, ERR_ARCHIVE_CORRUPT, "archive format 5"},
    {"files", format_files, ERR_ARCHIVE_CORRUPT, "archive format 2"},
    {"compression level 10", level_10, ERR_ARCHIVE_CORRUPT, "compression level is 10"},
    {"compression level -2", level_minus_2, ERR_ARCHIVE_CORRUPT, "compression level is -2"},
    {"algorithm 4", algorithm_4, ERR_ARCHIVE_UNSUPPORTED, "algorithm 4"},
    {"no entries", count_0, ERR_ARCHIVE_CORRUPT, "number of entries is 0"},
    {"-1 entries", count_minus_1, ERR_ARCHIVE_CORRUPT, "number of entries is -1"},
    {"an entry more", count_4, ERR_ARCHIVE_CORRUPT, "entry 4 of 4"},
    {"2^31 - 1 entries", count_huge, ERR_ARCHIVE_CORRUPT, "number of entries is 2147483647"},
    {"12 million entries", count_huge_in_a_huge_archive, ERR_ARCHIVE_CORRUPT,
     "entry 4 of 12000000"},
    {"id 0", id_0, ERR_ARCHIVE_CORRUPT, "entry 2 of 3: byte "},
    {"id -1", id_minus_1, ERR_ARCHIVE_CORRUPT, "dump id is -1"},
    {"id 2^31", id_above, ERR_ARCHIVE_CORRUPT, "dump id is 2147483648"},
    {"id twice", id_twice, ERR_ARCHIVE_CORRUPT, "two entries have the dump id 3"},
    {"mark of data 2", had_dumper_2, ERR_ARCHIVE_CORRUPT, "mark of entries with data is 2"},
    {"table data without data", had_dumper_lost, ERR_ARCHIVE_CORRUPT,
     "TABLE DATA entry without data"},
    {"a table with data", had_dumper_of_a_table, ERR_ARCHIVE_CORRUPT, "TABLE entry with data"},
    {"data, but no offset", data_without_offset, ERR_ARCHIVE_CORRUPT, "place contradicts"},
    {"an offset, but no data", offset_without_data, ERR_ARCHIVE_CORRUPT, "place contradicts"},
    {"offset state 0", state_0, ERR_ARCHIVE_CORRUPT, "0 where the state of an offset"},
    {"offset state 4", state_4, ERR_ARCHIVE_CORRUPT, "4 where the state of an offset"},
    {"offset state 255", state_255, ERR_ARCHIVE_CORRUPT, "255 where the state of an offset"},
    {"offset into the table of contents", offset_in_table, ERR_ARCHIVE_CORRUPT,
     "are said to begin at byte 20"},
    {"offset beyond the end", offset_behind_end, ERR_ARCHIVE_CORRUPT,
     "are said to begin at byte 100000"},
    {"offset 2^64 - 1", offset_huge, ERR_ARCHIVE_CORRUPT,
     "are said to begin at byte 18446744073709551615"},
    {"section 0", section_0, ERR_ARCHIVE_CORRUPT, "section is 0"},
    {"section 5", section_5, ERR_ARCHIVE_CORRUPT, "section is 5"},
    {"section -1", section_minus_1, ERR_ARCHIVE_CORRUPT, "section is -1"},
    {"data before the data section", data_in_pre_data, ERR_ARCHIVE_CORRUPT,
     "outside the data section"},
    {"oid with letters", oid_letters, ERR_ARCHIVE_CORRUPT, "oid is '12x'"},
    {"oid empty", oid_empty, ERR_ARCHIVE_CORRUPT, "oid is ''"},
    {"oid missing", oid_null, ERR_ARCHIVE_CORRUPT, "oid is (null)"},
    {"oid negative", oid_negative, ERR_ARCHIVE_CORRUPT, "oid is '-1'"},
    {"oid 2^32", oid_above, ERR_ARCHIVE_CORRUPT, "oid is '4294967296'"},
    {"oid of many digits", oid_long, ERR_ARCHIVE_CORRUPT, "bytes long"},
    {"catalog oid missing", table_oid_null, ERR_ARCHIVE_CORRUPT, "catalog oid is (null)"},
    {"name missing", tag_null, ERR_ARCHIVE_CORRUPT, "name of the entry is missing"},
    {"type missing", desc_null, ERR_ARCHIVE_UNSUPPORTED, "unknown type of entry ''"},
    {"type unknown", desc_unknown, ERR_ARCHIVE_UNSUPPORTED,
     "unknown type of entry 'TABLE\\nSPACE'"},
    {"binary upgrade", desc_binary_upgrade, ERR_ARCHIVE_UNSUPPORTED,
     "unknown type of entry 'pg_largeobject'"},
    {"type too long", desc_long, ERR_ARCHIVE_CORRUPT, "type of entry is"},
    {"with oids", with_oids, ERR_ARCHIVE_UNSUPPORTED, "WITH OIDS"},
    {"with oids maybe", with_oids_odd, ERR_ARCHIVE_CORRUPT, "neither true nor false"},
    {"with oids missing", with_oids_null, ERR_ARCHIVE_CORRUPT, "neither true nor false"},
    {"relkind x", relkind_odd, ERR_ARCHIVE_CORRUPT, "relkind is 120"},
    {"relkind -r", relkind_negative, ERR_ARCHIVE_CORRUPT, "relkind is -114"},
    {"relkind 256 + r", relkind_large, ERR_ARCHIVE_CORRUPT, "relkind is 370"},
    {"dependency 0", dependency_0, ERR_ARCHIVE_CORRUPT, "a dependency is 0"},
    {"dependency negative", dependency_negative, ERR_ARCHIVE_CORRUPT, "a dependency is '-2'"},
    {"dependency empty", dependency_empty, ERR_ARCHIVE_CORRUPT, "a dependency is ''"},
    {"dependency 2^31", dependency_above, ERR_ARCHIVE_CORRUPT, "a dependency is '2147483648'"},
};

static void test_what_no_pg_dump_writes_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct plan plan = plan_right();
        bad[i].spoil(&plan);
        struct toc toc;
        struct error err = ERROR_INIT;
        enum errc code = parse(&plan, &arena, &toc, &err);
        if (code != bad[i].code || !strstr(err.text, bad[i].text))
            fail_msg("%s: %s %s", bad[i].name, errc_name(code), err.text);
        assert_true(arena.used_bytes < 100000);
    }
}

/* One entry too few leaves bytes behind the table that no block accounts for. */
static void test_an_entry_too_few_is_found_by_the_blocks(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct plan plan = plan_right();
    count_2(&plan);
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(parse(&plan, &arena, &toc, &err), RR_OK);
    assert_int_equal(blocks_locate(NULL, &toc, &err), ERR_ARCHIVE_CORRUPT);
}

static void test_every_version_is_read(void **state)
{
    (void)state;
    for (int minor = 12; minor <= 16; minor++)
        for (int offset_size = 4; offset_size <= 8; offset_size += 4) {
            ARENA_GUARD struct arena arena = {0};
            struct plan plan = plan_right();
            plan.recipe.minor = minor;
            plan.recipe.offset_size = offset_size;
            plan.recipe.compression = minor < 15 ? -1 : 1;
            plan.rows[2].dependencies = on_missing;
            struct toc toc;
            struct error err = ERROR_INIT;
            if (parse(&plan, &arena, &toc, &err))
                fail_msg("1.%d: %s", minor, err.text);
            assert_int_equal(toc.minor, minor);
            assert_int_equal(toc.compression, COMPRESSION_ZLIB);
            assert_string_equal(toc.database_name, "db");
            assert_string_equal(toc.dump_version, "12.5");
            assert_int_equal(toc_server_major(&toc), 12);
            assert_false(toc.has_offsets);
            const struct entry *table = toc_find(&toc, 2), *data = toc_find(&toc, 3);
            assert_string_equal(table->owner, "me");
            assert_int_equal(table->relkind, minor >= 16 ? 'r' : 0);
            assert_int_equal(table->table_access_method != NULL, minor >= 14);
            assert_string_equal(table->tablespace, "");
            assert_null(data->tablespace);
            assert_int_equal(data->dependency_count, 2);
            assert_int_equal(data->dependencies[1], 77);
            assert_int_equal(toc_check_cycles(&toc, &err), RR_OK);
        }
}

static void test_offsets_are_little_endian(void **state)
{
    (void)state;
    for (int size = 4; size <= 8; size += 4) {
        ARENA_GUARD struct arena arena = {0};
        struct plan plan = plan_right();
        plan.more_bytes = (uint64_t)1 << 33;
        plan.recipe.offset_size = size;
        plan.rows[2].state = 2;
        plan.rows[2].offset = 0x12345678 + (size == 8 ? (uint64_t)1 << 32 : 0);
        struct toc toc;
        struct error err = ERROR_INIT;
        assert_int_equal(parse(&plan, &arena, &toc, &err), RR_OK);
        assert_true(toc.has_offsets);
        assert_int_equal(toc.entries[2].offset, plan.rows[2].offset);
    }
}

static void test_a_zero_byte_in_a_name_is_refused(void **state)
{
    (void)state;
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct row row = row_table(1, "name");
    struct recipe recipe = recipe_of(&row, 1);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    char *name = memmem(s.data, s.length, "name", 4);
    for (int i = 0; i < 4; i++) {
        char kept = name[i];
        name[i] = '\0';
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct error err = ERROR_INIT;
        assert_int_equal(toc_parse(s.data, s.length, s.length, &arena, &toc, &err),
                         ERR_ARCHIVE_CORRUPT);
        assert_non_null(strstr(err.text, "zero byte"));
        name[i] = kept;
    }
}

/* Lengths of texts: those no writer makes, and those that claim more than there is. */
static void test_lengths_of_texts(void **state)
{
    (void)state;
    static const int64_t lengths[] = {-2,        -2147483647, 1 << 20,
                                      INT32_MAX, UINT32_MAX,  (1 << 30) - 1};
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct row row = row_table(1, "name");
    struct recipe recipe = recipe_of(&row, 1);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    char *length_of_name = (char *)memmem(s.data, s.length, "name", 4) - 5;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        STR_GUARD struct str number = STR_INIT(16);
        put_int(&number, lengths[i]);
        memcpy(length_of_name, number.data, 5);
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct error err = ERROR_INIT;
        assert_int_equal(toc_parse(s.data, s.length, s.length, &arena, &toc, &err),
                         ERR_ARCHIVE_CORRUPT);
        assert_true(arena.used_bytes < 100000);
    }
}

/* A text that would fit into the archive, but not into the largest table of contents. */
static void test_a_table_of_contents_without_end(void **state)
{
    (void)state;
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct row row = row_table(1, "name");
    struct recipe recipe = recipe_of(&row, 1);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    STR_GUARD struct str number = STR_INIT(16);
    put_int(&number, (1 << 30) - 1);
    memcpy((char *)memmem(s.data, s.length, "name", 4) - 5, number.data, 5);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(toc_parse(s.data, s.length, (uint64_t)1 << 40, &arena, &toc, &err),
                     ERR_TOO_LARGE);
    assert_non_null(strstr(err.text, "longer than 1024 MiB"));
    assert_true(arena.used_bytes < 100000);
}

static void test_a_million_dependencies(void **state)
{
    (void)state;
    enum { MANY = 1000000 };
    int64_t *ids = mem_alloc((MANY + 1) * sizeof ids[0]);
    for (int i = 0; i < MANY; i++)
        ids[i] = i % 2 ? 2 : MANY - i; /* half of them the same */
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct row rows[] = {row_table(1, "a"), row_table(2, "b")};
    rows[0].dependencies = ids;
    struct recipe recipe = recipe_of(rows, 2);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(toc_parse(s.data, s.length, s.length, &arena, &toc, &err), RR_OK);
    assert_int_equal(toc.entries[0].dependency_count, MANY / 2);
    for (size_t i = 1; i < toc.entries[0].dependency_count; i++)
        assert_true(toc.entries[0].dependencies[i - 1] < toc.entries[0].dependencies[i]);
    assert_int_equal(toc_check_cycles(&toc, &err), RR_OK);
    free(ids);
}

/* `count` tables, each depending on the one before it, the first on number `closes_at` (0: on
 * none). */
static enum errc check_chain(size_t count, int64_t closes_at, struct error *err)
{
    struct row *rows = mem_alloc(count * sizeof rows[0]);
    int64_t(*ids)[2] = mem_alloc(count * sizeof ids[0]);
    for (size_t i = 0; i < count; i++) {
        rows[i] = row_table((int64_t)i + 1, "t");
        ids[i][0] = i ? (int64_t)i : closes_at;
        rows[i].dependencies = ids[i];
    }
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct recipe recipe = recipe_of(rows, count);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    enum errc code = toc_parse(s.data, s.length, s.length, &arena, &toc, err);
    if (code == RR_OK)
        code = toc_check_cycles(&toc, err);
    free(rows);
    free(ids);
    return code;
}

static void test_cycles(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        int64_t closes_at;
        const char *text;
    } cases[] = {
        {1, 1, "1 entries depend on each other in a circle: 1 TABLE 't'"},
        {2, 2, "2 entries depend on each other in a circle: 1 TABLE 't', 2 TABLE 't'"},
        {1000, 1000, "1000 entries depend on each other"},
        {1000, 500, "500 entries depend on each other"},
        {100000, 0, NULL},
        {100000, 99999, "99999 entries depend on each other"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = ERROR_INIT;
        enum errc code = check_chain(cases[i].count, cases[i].closes_at, &err);
        assert_int_equal(code, cases[i].text ? ERR_ARCHIVE_CORRUPT : RR_OK);
        if (cases[i].text && !strstr(err.text, cases[i].text))
            fail_msg("%s", err.text);
    }
}

/* Ids at the ends of their range, in no order. */
static void test_ids_may_be_any_positive_number(void **state)
{
    (void)state;
    struct row rows[] = {row_table(INT32_MAX, "a"), row_table(1, "b"),
                         row_table(INT32_MAX - 1, "c")};
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct recipe recipe = recipe_of(rows, 3);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(toc_parse(s.data, s.length, s.length, &arena, &toc, &err), RR_OK);
    assert_string_equal(toc_find(&toc, INT32_MAX)->tag, "a");
    assert_string_equal(toc_find(&toc, 1)->tag, "b");
    assert_null(toc_find(&toc, 2));
}

/* A table of contents larger than the first read, with a text larger than the largest. */
static void test_ranged_reads(void **state)
{
    (void)state;
    char *text = mem_alloc(6 * LIMIT_MIB + 1);
    memset(text, 'x', 6 * LIMIT_MIB);
    enum { COUNT = 20000 };
    struct row *rows = mem_alloc(COUNT * sizeof rows[0]);
    for (int i = 0; i < COUNT; i++)
        rows[i] = row_table(i + 1, "a table");
    rows[COUNT / 2].definition = text;
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    struct recipe recipe = recipe_of(rows, COUNT);
    put_header(&s, &recipe);
    put_table(&s, &recipe);
    struct counted_source source = counted_source(s.data, s.length);
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    assert_int_equal(source_reader_open(&source.base, NULL, &reader, &err), RR_OK);
    assert_int_equal(toc_read(reader, &arena, &toc, &err), RR_OK);
    assert_int_equal(toc.count, COUNT);
    assert_int_equal(strlen(toc.entries[COUNT / 2].definition), 6 * LIMIT_MIB);
    assert_true(source.reads <= 6);
    assert_int_equal(source.read_bytes, s.length);
    assert_true(source.largest_read <= LIMIT_READ_BYTES);
    counted_release(&source);
    free(rows);
    free(text);
}

static void test_bytes_that_are_no_archive(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text, *hint;
    } cases[] = {
        {"", "the archive is empty", "pg_dump -Fc"},
        {"P", "not a pg_dump archive", "pg_dump -Fc"},
        {"PGDM", "not a pg_dump archive", "pg_dump -Fc"},
        {"PGDMP", "bytes are needed", "damaged or was cut off"},
        {"--\n-- PostgreSQL database dump\n", "not a pg_dump archive", "plain SQL"},
        {"\x1f\x8b\x08\x01", "not a pg_dump archive", "gzip"},
        {"\x28\xb5\x2f\xfd", "not a pg_dump archive", "zstd"},
        {"\x04\x22\x4d\x18", "not a pg_dump archive", "lz4"},
        {"<?xml version='1.0'?><Error/>", "not a pg_dump archive", "check that the name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct error err = ERROR_INIT;
        size_t length = strlen(cases[i].bytes);
        assert_int_equal(toc_parse(cases[i].bytes, length, length, &arena, &toc, &err),
                         ERR_ARCHIVE_CORRUPT);
        if (!strstr(err.text, cases[i].text) || !strstr(err.hint, cases[i].hint))
            fail_msg("%s (%s)", err.text, err.hint);
    }
}

static void test_server_versions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int major;
    } cases[] = {{"17.11 (Debian 17.11-0+deb13u1)", 17},
                 {"9.6.24", 9},
                 {"18beta1", 18},
                 {"", 0},
                 {NULL, 0},
                 {"x", 0},
                 {"-5", 0},
                 {"99999999999999999999", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct toc toc = {.server_version = cases[i].text};
        assert_int_equal(toc_server_major(&toc), cases[i].major);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_no_pg_dump_writes_is_refused),
        cmocka_unit_test(test_an_entry_too_few_is_found_by_the_blocks),
        cmocka_unit_test(test_every_version_is_read),
        cmocka_unit_test(test_offsets_are_little_endian),
        cmocka_unit_test(test_a_zero_byte_in_a_name_is_refused),
        cmocka_unit_test(test_lengths_of_texts),
        cmocka_unit_test(test_a_table_of_contents_without_end),
        cmocka_unit_test(test_a_million_dependencies),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_ids_may_be_any_positive_number),
        cmocka_unit_test(test_ranged_reads),
        cmocka_unit_test(test_bytes_that_are_no_archive),
        cmocka_unit_test(test_server_versions),
    };
    return cmocka_run_group_tests_name("archive/toc", tests, NULL, NULL);
}
