/* How blocks are found (arithmetic, leaping, following the chunks), and when they are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/archive/archive_builder.h"
#include "tests/unit/archive/archive_check.h"

enum { TABLES = 4, STEP = 5 + 4096, BUILT_LIMIT = 64 * 1024 * 1024 };

/*
 * An archive too large to be built: blocks of full chunks and one shorter, whose bytes are made
 * when they are read. What is in the chunks is `filler`, over and over, counted from the beginning
 * of the archive.
 */
struct stream {
    uint64_t begin; /* of the block */
    int64_t dump_id;
    uint64_t full_chunks;
    unsigned short_bytes; /* of the last chunk, not 0 */
};

struct giant {
    struct stream streams[TABLES];
    const char *filler;
    size_t filler_bytes;
    struct toc toc;
    struct entry entries[TABLES];
};

static uint64_t block_bytes(const struct stream *stream)
{
    return 6 + stream->full_chunks * STEP + 5 + stream->short_bytes + 5;
}

/* Bytes of an archive, some of which are in the buffer that is being filled. */
struct fill {
    unsigned char *buffer;
    uint64_t offset;
    size_t length;
};

static void lay(const struct fill *fill, uint64_t at, const struct str *bytes)
{
    for (size_t i = 0; i < bytes->length; i++)
        if (at + i >= fill->offset && at + i - fill->offset < fill->length)
            fill->buffer[at + i - fill->offset] = (unsigned char)bytes->data[i];
}

static void lay_int(const struct fill *fill, uint64_t at, int64_t value)
{
    STR_GUARD struct str bytes = STR_INIT(16);
    put_int(&bytes, value);
    lay(fill, at, &bytes);
}

static void lay_stream(const struct fill *fill, const struct stream *stream)
{
    STR_GUARD struct str header = STR_INIT(16);
    put_block_header(&header, 1, stream->dump_id);
    lay(fill, stream->begin, &header);
    const uint64_t first = stream->begin + 6, fill_end = fill->offset + fill->length;
    uint64_t k = fill->offset > first ? (fill->offset - first) / STEP : 0;
    for (; k < stream->full_chunks && first + k * STEP < fill_end; k++)
        lay_int(fill, first + k * STEP, 4096);
    lay_int(fill, first + stream->full_chunks * STEP, stream->short_bytes);
    lay_int(fill, stream->begin + block_bytes(stream) - 5, 0);
}

static void make_giant(void *context, uint64_t offset, void *buffer, size_t length)
{
    const struct giant *giant = context;
    const struct fill fill = {buffer, offset, length};
    memset(buffer, giant->filler[0], length);
    for (size_t i = 0; giant->filler_bytes > 1 && i < length; i++)
        fill.buffer[i] = (unsigned char)giant->filler[(offset + i) % giant->filler_bytes];
    for (int i = 0; i < TABLES; i++)
        if (giant->streams[i].begin < offset + length &&
            giant->streams[i].begin + block_bytes(&giant->streams[i]) > offset)
            lay_stream(&fill, &giant->streams[i]);
}

static void plan_giant(struct giant *giant, const uint64_t full_chunks[TABLES],
                       unsigned short_bytes, const char *filler, size_t filler_bytes)
{
    *giant = (struct giant){.filler = filler, .filler_bytes = filler_bytes};
    uint64_t offset = 0;
    for (int i = 0; i < TABLES; i++) {
        giant->streams[i] = (struct stream){offset, i + 7, full_chunks[i], short_bytes};
        offset += block_bytes(&giant->streams[i]);
        giant->entries[i] = (struct entry){.dump_id = i + 7,
                                           .kind = ENTRY_TABLE_DATA,
                                           .section = SECTION_DATA,
                                           .has_data = true,
                                           .offset_state = OFFSET_UNKNOWN,
                                           .position = (size_t)i};
    }
    giant->toc = (struct toc){.compression = COMPRESSION_ZLIB,
                              .entries = giant->entries,
                              .count = TABLES,
                              .data_end = offset};
}

/* Locates, compares with the plan; the source tells what it took. */
static struct counted_source locate_giant(struct giant *giant)
{
    struct counted_source source = counted_source(NULL, giant->toc.data_end);
    source.make = make_giant;
    source.context = giant;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(source_reader_open(&source.base, NULL, &reader, &err), RR_OK);
    if (blocks_locate(reader, &giant->toc, &err))
        fail_msg("%s", err.text);
    assert_true(giant->toc.has_offsets);
    for (int i = 0; i < TABLES; i++) {
        assert_int_equal(giant->entries[i].offset, giant->streams[i].begin);
        assert_int_equal(giant->entries[i].block_bytes, block_bytes(&giant->streams[i]));
        assert_int_equal(giant->entries[i].offset_state, OFFSET_SET);
    }
    assert_true(source.largest_read <= LIMIT_READ_BYTES);
    return source;
}

static void test_large_streams_take_few_requests(void **state)
{
    (void)state;
    struct giant giant;
    plan_giant(&giant, (const uint64_t[]){1000000, 3, 60000, 250000000}, 77, "x",
               1); /* 4 GB, ..., 1 TB */
    struct counted_source source = locate_giant(&giant);
    print_message("4 blocks, %.1f GB: %u requests, %.1f MB\n", (double)giant.toc.data_end / 1e9,
                  source.reads, (double)source.read_bytes / 1e6);
    assert_true(source.reads < 100);
    assert_true(source.read_bytes < 12 * LIMIT_MIB);
    counted_release(&source);
}

/* Every length around the point where leaping begins. */
static void test_streams_of_every_length(void **state)
{
    (void)state;
    for (uint64_t chunks = 250; chunks < 264; chunks++) {
        struct giant giant;
        plan_giant(&giant, (const uint64_t[]){chunks, chunks * 2, 0, chunks - 1}, 4095, "x", 1);
        struct counted_source source = locate_giant(&giant);
        counted_release(&source);
    }
}

/* The next stream's headers lie where this one's would: leaping runs on into it, which must be
 * noticed. */
static void test_a_leap_into_the_next_stream_is_noticed(void **state)
{
    (void)state;
    struct giant giant;
    /* The distance between first headers is a multiple of a step: 5 + short + 5 + 6 = STEP. */
    plan_giant(&giant, (const uint64_t[]){400, 3000, 10, 500}, STEP - 16, "x", 1);
    struct counted_source source = locate_giant(&giant);
    assert_true(source.read_bytes < giant.toc.data_end * 2);
    counted_release(&source);
}

/* Data in which every fifth byte begins what looks like the header of a full chunk. */
static void test_data_that_look_like_headers(void **state)
{
    (void)state;
    for (unsigned short_bytes = 1000; short_bytes < 1005; short_bytes++) {
        struct giant giant;
        plan_giant(&giant, (const uint64_t[]){300, 700, 300, 5}, short_bytes, "\0\0\x10\0\0", 5);
        struct counted_source source = locate_giant(&giant);
        counted_release(&source);
    }
}

/* What cannot be leapt over is read once, in reads of the largest size. */
static void test_other_compressions_are_read_through(void **state)
{
    (void)state;
    struct giant giant;
    plan_giant(&giant, (const uint64_t[]){9000, 3, 1000, 1}, 77, "x", 1);
    giant.toc.compression = COMPRESSION_ZSTD;
    struct counted_source source = locate_giant(&giant);
    assert_true(source.reads <= giant.toc.data_end / LIMIT_READ_BYTES + 4);
    assert_true(source.read_bytes <= giant.toc.data_end);
    counted_release(&source);
}

/* Archives small enough to be built. */
struct plan {
    struct row rows[5];
    struct recipe recipe;
    struct str blocks;
    bool with_offsets;
    int unknown;         /* the row that has none nevertheless, 0: all have */
    uint64_t offsets[2]; /* of the blocks, from where data begin */
};

/* A table of contents and three blocks: two tables and, between them, large objects. */
static void plan_right(struct plan *plan)
{
    *plan = (struct plan){
        .rows = {row_encoding(1), row_table(2, "t"), row_data(3, "t"), row_blobs(4),
                 row_data(5, "u")},
        .recipe = recipe_of(NULL, 5),
        .blocks = STR_INIT(BUILT_LIMIT),
    };
    put_copy_block(&plan->blocks, 3, "1\n2\n\\.\n\n\n", 2);
    plan->offsets[0] = plan->blocks.length;
    put_block_header(&plan->blocks, 3, 4);
    put_int(&plan->blocks, 16001);
    put_stream(&plan->blocks, "large object", 12, 5);
    put_int(&plan->blocks, -294967296); /* 4000000000 */
    put_stream(&plan->blocks, "", 0, 1);
    put_int(&plan->blocks, 0);
    plan->offsets[1] = plan->blocks.length;
    put_copy_block(&plan->blocks, 5, "3\n\\.\n\n\n", 100);
}

static void put_plan(struct plan *plan, struct str *s)
{
    plan->recipe.rows = plan->rows;
    put_header(s, &plan->recipe);
    STR_GUARD struct str table = STR_INIT(BUILT_LIMIT); /* its length does not depend on offsets */
    put_table(&table, &plan->recipe);
    uint64_t begin = s->length + table.length;
    for (int i = 0; plan->with_offsets && i < 3; i++) {
        plan->rows[i + 2].state = plan->unknown == i + 2 ? 1 : 2;
        plan->rows[i + 2].offset += begin + (i ? plan->offsets[i - 1] : 0);
    }
    put_table(s, &plan->recipe);
    str_append_bytes(s, plan->blocks.data, plan->blocks.length);
}

static enum errc read_plan(struct plan *plan, struct findings *ret_found, struct error *err)
{
    STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
    put_plan(plan, &s);
    struct whole whole = {0};
    enum errc code = read_whole_bytes(s.data, s.length, &whole, err);
    *ret_found = whole.found;
    str_release(&plan->blocks);
    return code;
}

struct bad {
    const char *name;
    void (*spoil)(struct plan *plan);
    bool is_right;
    const char *text; /* part of the error's, with and without offsets */
};

static void patch(struct plan *p, size_t at, const char *bytes, size_t length)
{
    memcpy(p->blocks.data + at, bytes, length);
}

/* Puts another block in front of what lies at `at`. */
static void insert(struct plan *p, size_t at, const struct str *more)
{
    STR_GUARD struct str tail = STR_INIT(BUILT_LIMIT);
    str_append_bytes(&tail, p->blocks.data + at, p->blocks.length - at);
    p->blocks.length = at;
    str_append_bytes(&p->blocks, more->data, more->length);
    str_append_bytes(&p->blocks, tail.data, tail.length);
}

static void put_block_twice(struct plan *p)
{
    STR_GUARD struct str more = STR_INIT(BUILT_LIMIT);
    str_append_bytes(&more, p->blocks.data, p->offsets[0]);
    insert(p, p->offsets[0], &more);
    p->offsets[0] += more.length;
    p->offsets[1] += more.length;
}

static void drop_last_block(struct plan *p)
{
    p->blocks.length = p->offsets[1];
}

#define SPOIL(name, ...)                                                                           \
    static void name(struct plan *p)                                                               \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }
#define FIRST_CHUNK 6

SPOIL(nothing, (void)p)
SPOIL(offset_of_another, p->rows[2].offset = p->offsets[1]; p->rows[4].offset = -p->offsets[1])
SPOIL(offset_equal, p->rows[4].offset = p->offsets[0] - p->offsets[1])
SPOIL(offset_inside, p->rows[3].offset = 3)
SPOIL(offset_late, p->rows[2].offset = 1)
SPOIL(id_of_another, patch(p, 2, "\x05", 1))
SPOIL(id_negative, patch(p, 1, "\x01", 1))
SPOIL(type_of_blobs, patch(p, 0, "\x03", 1))
SPOIL(type_of_data, patch(p, p->offsets[0], "\x01", 1))
SPOIL(type_0, patch(p, 0, "\0", 1))
SPOIL(type_2, patch(p, 0, "\x02", 1))
SPOIL(chunk_negative, patch(p, FIRST_CHUNK, "\x01", 1))
SPOIL(chunk_sign_odd, patch(p, FIRST_CHUNK, "\x02", 1))
SPOIL(chunk_huge, patch(p, FIRST_CHUNK, "\0\xff\xff\xff\x3f", 5))
SPOIL(chunk_largest, patch(p, FIRST_CHUNK, "\0\xff\xff\xff\xff", 5))
SPOIL(chunk_most_negative, patch(p, FIRST_CHUNK, "\x01\0\0\0\x80", 5))
SPOIL(chunk_into_the_next, patch(p, FIRST_CHUNK, "\0\x30\0\0\0", 5))
SPOIL(chunk_0, patch(p, FIRST_CHUNK, "\0\0\0\0\0", 5))
SPOIL(bytes_after, str_append(&p->blocks, "x"))
SPOIL(zeros_after, str_append_bytes(&p->blocks, "\0\0\0\0\0\0\0\0\0\0\0\0", 12))
SPOIL(cut_by_one, p->blocks.length--)
SPOIL(end_missing, p->blocks.length -= 5)
SPOIL(oid_0, patch(p, p->offsets[0] + 6, "\0\0\0\0\0", 5))

static const struct bad bad[] = {
    {"right", nothing, true, ""},
    {"offset of another block", offset_of_another, false, "data begin at byte"},
    {"two equal offsets", offset_equal, false, "begin at byte"},
    {"offset inside a block", offset_inside, false, ""},
    {"first offset behind the table", offset_late, false, "table of contents ends"},
    {"id of another block", id_of_another, false, "the data of entry 3 should begin here"},
    {"id negative", id_negative, false, "type 1 and id -3"},
    {"type of large objects", type_of_blobs, false, "type 3 and id 3"},
    {"type of tables", type_of_data, false, "type 1 and id 4"},
    {"type 0", type_0, false, "type 0"},
    {"type 2", type_2, false, "type 2"},
    {"chunk of negative length", chunk_negative, false, "length of a chunk of data is -2"},
    {"chunk with an odd sign", chunk_sign_odd, false, "2 where the sign"},
    {"chunk of a gigabyte", chunk_huge, false, "a chunk of 1073741823 bytes"},
    {"chunk of 2^32 - 1", chunk_largest, false, "length of a chunk of data is 4294967295"},
    {"chunk of -2^31", chunk_most_negative, false, "length of a chunk of data is -2147483648"},
    {"chunk that reaches into the next block", chunk_into_the_next, false, ""},
    {"chunk of no bytes", chunk_0, false, ""},
    {"a byte after the last block", bytes_after, false, "bytes "},
    {"zeros after the last block", zeros_after, false, "bytes "},
    {"the last byte missing", cut_by_one, false, ""},
    {"the end of the last stream missing", end_missing, false, ""},
    {"oid 0", oid_0, false, ""},
    {"a block twice", put_block_twice, false, ""},
    {"a block missing", drop_last_block, false, ""},
};

static void test_blocks_that_do_not_tile_the_archive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int with_offsets = 0; with_offsets < 2; with_offsets++) {
            struct plan plan;
            plan_right(&plan);
            plan.with_offsets = with_offsets;
            bad[i].spoil(&plan);
            bool only_offsets = plan.rows[2].offset || plan.rows[3].offset || plan.rows[4].offset;
            bool is_right =
                bad[i].is_right || (only_offsets && !with_offsets); /* not written then */
            struct findings found;
            struct error err = ERROR_INIT;
            enum errc code = read_plan(&plan, &found, &err);
            if (code != (is_right ? RR_OK : ERR_ARCHIVE_CORRUPT) ||
                (!is_right && !strstr(err.text, bad[i].text)))
                fail_msg("%s, offsets %d: %s %s", bad[i].name, with_offsets, errc_name(code),
                         err.text);
            if (is_right) {
                assert_int_equal(found.rows, 3);
                assert_int_equal(found.blobs, 2);
            }
        }
}

/* Where some offsets are known, those that are must be right. */
static void test_some_offsets(void **state)
{
    (void)state;
    for (int unknown = 2; unknown < 5; unknown++)
        for (int wrong = 0; wrong < 5; wrong += wrong ? 1 : 2) {
            struct plan plan;
            plan_right(&plan);
            plan.with_offsets = true;
            plan.unknown = unknown;
            if (wrong)
                plan.rows[wrong].offset = 1;
            struct findings found;
            struct error err = ERROR_INIT;
            bool is_right = wrong == 0 || wrong == unknown;
            assert_int_equal(read_plan(&plan, &found, &err),
                             is_right ? RR_OK : ERR_ARCHIVE_CORRUPT);
        }
}

/* The table of contents once more behind the data, as pg_dump leaves it; and not quite so. */
static void test_second_table_of_contents(void **state)
{
    (void)state;
    enum {
        RIGHT,
        ID,
        TAG,
        DEPENDENCY,
        SHORTER_LIST,
        UNSET,
        SHORTER,
        LONGER,
        IN_FRONT,
        SECOND_KINDS
    };
    static const int64_t twice[] = {2, 2, 0}, other[] = {2, 9, 0}, once[] = {2, 0};
    for (int kind = 0; kind < SECOND_KINDS; kind++) {
        struct plan plan;
        plan_right(&plan);
        plan.rows[2].dependencies = twice;
        STR_GUARD struct str s = STR_INIT(BUILT_LIMIT);
        put_plan(&plan, &s);
        plan.rows[2].offset = s.length - plan.blocks.length;
        for (int i = 2; i < 5; i++) {
            plan.rows[i].state = kind == UNSET ? 1 : 2;
            plan.rows[i].offset = plan.rows[2].offset + (i > 2 ? plan.offsets[i - 3] : 0);
        }
        if (kind == ID)
            plan.rows[1].dump_id = 6;
        if (kind == TAG)
            plan.rows[1].tag = "v";
        if (kind == DEPENDENCY ||
            kind == SHORTER_LIST) /* of the same number of bytes, or filled up to it */
            plan.rows[2].dependencies = kind == DEPENDENCY ? other : once;
        if (kind == IN_FRONT)
            str_append(&s, "x");
        put_table(&s, &plan.recipe);
        str_append(&s, kind == SHORTER_LIST ? "xxxxxx" : "");
        s.length -= kind == SHORTER;
        if (kind == LONGER)
            str_append(&s, "x");
        struct counted_source source = counted_source(s.data, s.length);
        SOURCE_READER_GUARD struct source_reader *reader = NULL;
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct error err = ERROR_INIT;
        assert_int_equal(source_reader_open(&source.base, NULL, &reader, &err), RR_OK);
        assert_int_equal(toc_read(reader, &arena, &toc, &err), RR_OK);
        assert_int_equal(toc.has_offsets, kind == RIGHT || kind == IN_FRONT);
        enum errc code = blocks_locate(reader, &toc, &err);
        assert_int_equal(code, kind == RIGHT || kind == IN_FRONT ? RR_OK : ERR_ARCHIVE_CORRUPT);
        struct whole whole = {0};
        struct error again = ERROR_INIT; /* one byte in front of it belongs to no block */
        assert_int_equal(read_whole(reader, &whole, &again),
                         kind == RIGHT ? RR_OK : ERR_ARCHIVE_CORRUPT);
        counted_release(&source);
        str_release(&plan.blocks);
    }
}

/* A failing network is reported as that, wherever it fails, and not taken for a damaged archive. */
static void test_a_failing_read_anywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"pg17-gzip-append", "pg14-none-pipe", "pg18-lz4-append"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/data/archives/%s.dump", names[i]);
        size_t length;
        char *bytes = read_file(path, &length);
        enum errc code = ERR_NETWORK;
        unsigned n = 0;
        while (code != RR_OK) {
            struct counted_source source = counted_source(bytes, length);
            source.fail_at_read = ++n;
            SOURCE_READER_GUARD struct source_reader *reader = NULL;
            struct whole whole = {0};
            struct error err = ERROR_INIT;
            assert_int_equal(source_reader_open(&source.base, NULL, &reader, &err), RR_OK);
            code = read_whole(reader, &whole, &err);
            assert_true(code == RR_OK ? source.reads < n : code == ERR_NETWORK);
            counted_release(&source);
        }
        assert_true(n > 2);
        free(bytes);
    }
}

static void test_a_failing_probe_anywhere(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 20; n++) {
        struct giant giant;
        plan_giant(&giant, (const uint64_t[]){5000, 3, 60000, 1}, STEP - 16, "x", 1);
        struct counted_source source = counted_source(NULL, giant.toc.data_end);
        source.make = make_giant;
        source.context = &giant;
        source.fail_at_read = n;
        SOURCE_READER_GUARD struct source_reader *reader = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(source_reader_open(&source.base, NULL, &reader, &err), RR_OK);
        assert_int_equal(blocks_locate(reader, &giant.toc, &err), ERR_NETWORK);
        assert_false(giant.toc.has_offsets);
        counted_release(&source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_streams_take_few_requests),
        cmocka_unit_test(test_streams_of_every_length),
        cmocka_unit_test(test_a_leap_into_the_next_stream_is_noticed),
        cmocka_unit_test(test_data_that_look_like_headers),
        cmocka_unit_test(test_other_compressions_are_read_through),
        cmocka_unit_test(test_blocks_that_do_not_tile_the_archive),
        cmocka_unit_test(test_some_offsets),
        cmocka_unit_test(test_second_table_of_contents),
        cmocka_unit_test(test_a_failing_read_anywhere),
        cmocka_unit_test(test_a_failing_probe_anywhere),
    };
    return cmocka_run_group_tests_name("archive/blocks", tests, NULL, NULL);
}
