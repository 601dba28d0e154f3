/* The reader by itself: pieces, order of calls, ends of streams, requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/unit/archive/archive_builder.h"
#include "tests/unit/archive/archive_check.h"

enum { BUILT_LIMIT = 64 * 1024 * 1024, ENTRIES = 3 };

/* Blocks alone, with a table of contents made by hand. */
struct bench {
    struct str blocks;
    struct entry entries[ENTRIES];
    struct toc toc;
    struct counted_source source;
    struct source_reader *reader;
    struct data_reader *data;
};

static void add_entry(struct bench *b, int at, enum entry_kind kind, uint64_t begin)
{
    b->entries[at] = (struct entry){.dump_id = at + 1,
                                    .kind = kind,
                                    .section = SECTION_DATA,
                                    .has_data = true,
                                    .offset_state = OFFSET_SET,
                                    .offset = begin,
                                    .block_bytes = b->blocks.length - begin,
                                    .position = (size_t)at};
}

static void add_table(struct bench *b, int at, const void *bytes, size_t length, size_t chunk)
{
    uint64_t begin = b->blocks.length;
    put_block_header(&b->blocks, 1, at + 1);
    put_stream(&b->blocks, bytes, length, chunk);
    add_entry(b, at, ENTRY_TABLE_DATA, begin);
}

static void open_bench(struct bench *b, enum compression compression)
{
    struct error err = ERROR_INIT;
    b->toc = (struct toc){.compression = compression,
                          .entries = b->entries,
                          .count = ENTRIES,
                          .data_end = b->blocks.length,
                          .has_offsets = true};
    b->source = counted_source(b->blocks.data, b->blocks.length);
    assert_int_equal(source_reader_open(&b->source.base, NULL, &b->reader, &err), RR_OK);
    assert_int_equal(data_open(b->reader, &b->toc, &b->data, &err), RR_OK);
}

static void close_bench(struct bench *b)
{
    data_close(b->data);
    source_reader_close(b->reader);
    counted_release(&b->source);
    str_release(&b->blocks);
}

/* Pulls to the end or the error; what came is added to `plain`. */
static enum errc pull_all(struct bench *b, struct str *plain, struct error *err)
{
    for (;;) {
        const char *bytes;
        size_t length;
        enum errc code = data_pull(b->data, &bytes, &length, err);
        if (code || length == 0)
            return code;
        assert_true(length <= LIMIT_COPY_PIECE_BYTES);
        str_append_bytes(plain, bytes, length);
    }
}

static char *make_text(size_t length)
{
    char *text = mem_alloc(length + 1);
    for (size_t i = 0; i < length; i++)
        text[i] = i % 61 == 60 ? '\n' : (char)('a' + (i * 2654435761u >> 7) % 26);
    return text;
}

static void test_chunks_of_every_size_come_out_as_one_text(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 7, 4096, 65537, 5000000};
    size_t length = 900000;
    char *text = make_text(length);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct bench b = {.blocks = STR_INIT(BUILT_LIMIT)};
        add_table(&b, 0, text, length, chunks[i]);
        open_bench(&b, COMPRESSION_NONE);
        STR_GUARD struct str plain = STR_INIT(BUILT_LIMIT);
        struct error err = ERROR_INIT;
        for (int again = 0; again < 2; again++) {
            str_clear(&plain);
            assert_int_equal(data_begin(b.data, &b.entries[0], &err), RR_OK);
            assert_int_equal(pull_all(&b, &plain, &err), RR_OK);
            assert_int_equal(plain.length, length);
            assert_memory_equal(plain.data, text, length);
            assert_int_equal(data_position(b.data), b.blocks.length);
        }
        assert_true(b.source.largest_read <= LIMIT_READ_BYTES);
        close_bench(&b);
    }
    free(text);
}

static void test_a_bomb_comes_out_in_pieces(void **state)
{
    (void)state;
    enum { PART = 1 << 20, PARTS = 256 };
    static Bytef part[PART], packed[4 * PART];
    z_stream z = {.next_out = packed, .avail_out = sizeof packed};
    assert_int_equal(deflateInit(&z, 1), Z_OK);
    for (int i = 0; i < PARTS; i++) {
        z.next_in = part;
        z.avail_in = PART;
        deflate(&z, i + 1 < PARTS ? Z_NO_FLUSH : Z_FINISH);
    }
    struct bench b = {.blocks = STR_INIT(BUILT_LIMIT)};
    add_table(&b, 0, packed, z.total_out, 4096);
    deflateEnd(&z);
    open_bench(&b, COMPRESSION_ZLIB);
    struct error err = ERROR_INIT;
    assert_int_equal(data_begin(b.data, &b.entries[0], &err), RR_OK);
    uint64_t total = 0;
    for (size_t length = 1; length;) {
        const char *bytes;
        assert_int_equal(data_pull(b.data, &bytes, &length, &err), RR_OK);
        total += length;
    }
    assert_int_equal(total, (uint64_t)PART * PARTS);
    close_bench(&b);
}

/* What may be wrong at the end of a compressed stream, none of which pg_restore sees for every
 * format. */
static void test_ends_of_compressed_streams(void **state)
{
    (void)state;
    char *text = make_text(30000);
    uLongf packed_length = compressBound(30000);
    Bytef *packed = mem_alloc(packed_length + 1);
    assert_int_equal(compress2(packed, &packed_length, (const Bytef *)text, 30000, 6), Z_OK);
    static const struct {
        const char *name;
        int more;    /* bytes added or taken away */
        int altered; /* byte from the end, 0: none */
        const char *text;
    } cases[] = {
        {"right", 0, 0, NULL},
        {"checksum altered", 0, 1, "damaged gzip stream"},
        {"checksum cut", -4, 0, "ends before its own end"},
        {"cut inside", -1000, 0, "ends before its own end"},
        {"a byte behind the end", 1, 0, "after the end of the gzip stream"},
        {"nothing at all", -1000000, 0, "ends before its own end"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t chunk = 1; chunk <= 4096; chunk += 4095) {
            struct bench b = {.blocks = STR_INIT(BUILT_LIMIT)};
            size_t length =
                cases[i].more < -100000 ? 0 : (size_t)((long)packed_length + cases[i].more);
            packed[packed_length - (size_t)cases[i].altered] ^= 1;
            add_table(&b, 0, packed, length, chunk);
            packed[packed_length - (size_t)cases[i].altered] ^= 1;
            open_bench(&b, COMPRESSION_ZLIB);
            STR_GUARD struct str plain = STR_INIT(BUILT_LIMIT);
            struct error err = ERROR_INIT;
            assert_int_equal(data_begin(b.data, &b.entries[0], &err), RR_OK);
            enum errc code = pull_all(&b, &plain, &err);
            if (code != (cases[i].text ? ERR_ARCHIVE_CORRUPT : RR_OK) ||
                (cases[i].text && !strstr(err.text, cases[i].text)))
                fail_msg("%s: %s", cases[i].name, err.text);
            /* After an error nothing more comes of this block. */
            struct error again = ERROR_INIT;
            const char *bytes;
            size_t none;
            if (code)
                assert_int_equal(data_pull(b.data, &bytes, &none, &again), ERR_BUG);
            close_bench(&b);
        }
    free(packed);
    free(text);
}

static void test_calls_out_of_order_are_told(void **state)
{
    (void)state;
    struct bench b = {.blocks = STR_INIT(BUILT_LIMIT)};
    add_table(&b, 0, "1\n\\.\n\n\n", 7, 3);
    uint64_t begin = b.blocks.length;
    put_block_header(&b.blocks, 3, 2);
    put_int(&b.blocks, 5);
    put_stream(&b.blocks, "object", 6, 2);
    put_int(&b.blocks, 0);
    add_entry(&b, 1, ENTRY_BLOBS, begin);
    open_bench(&b, COMPRESSION_NONE);
    const char *bytes;
    size_t length;
    uint32_t oid;
    bool is_end;
    struct error err = ERROR_INIT;
    assert_int_equal(data_pull(b.data, &bytes, &length, &err), ERR_BUG); /* nothing begun */
    error_clear(&err);
    assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err), ERR_BUG);
    error_clear(&err);
    assert_int_equal(data_begin_blobs(b.data, &b.entries[0], &err),
                     ERR_BUG); /* of the other kind */
    error_clear(&err);
    assert_int_equal(data_begin(b.data, &b.entries[1], &err), ERR_BUG);
    error_clear(&err);
    b.entries[2] = (struct entry){
        .dump_id = 3, .kind = ENTRY_TABLE_DATA, .has_data = true, .offset_state = OFFSET_UNKNOWN};
    assert_int_equal(data_begin(b.data, &b.entries[2], &err), ERR_BUG); /* nobody knows where */
    error_clear(&err);
    assert_int_equal(data_begin(b.data, &b.entries[0], &err), RR_OK);
    assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err), ERR_BUG);
    error_clear(&err);
    assert_int_equal(data_begin_blobs(b.data, &b.entries[1], &err),
                     RR_OK); /* the table left unread */
    assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err), RR_OK);
    assert_int_equal(oid, 5);
    assert_false(is_end);
    assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err),
                     ERR_BUG); /* the object left unread */
    close_bench(&b);
}

static void test_large_objects_one_after_the_other(void **state)
{
    (void)state;
    struct bench b = {.blocks = STR_INIT(BUILT_LIMIT)};
    uint64_t begin = b.blocks.length;
    put_block_header(&b.blocks, 3, 1);
    static const int64_t oids[] = {1, INT32_MAX, -(int64_t)INT32_MAX - 1, -1};
    for (size_t i = 0; i < 4; i++) {
        put_int(&b.blocks, oids[i]);
        put_stream(&b.blocks, "object", i == 1 ? 0 : 6, 4);
    }
    put_int(&b.blocks, 0);
    add_entry(&b, 0, ENTRY_BLOBS, begin);
    open_bench(&b, COMPRESSION_NONE);
    struct error err = ERROR_INIT;
    assert_int_equal(data_begin_blobs(b.data, &b.entries[0], &err), RR_OK);
    static const uint32_t expected[] = {1, 2147483647u, 2147483648u, 4294967295u};
    uint32_t oid;
    bool is_end;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err), RR_OK);
        assert_false(is_end);
        assert_int_equal(oid, expected[i]);
        STR_GUARD struct str plain = STR_INIT(100);
        assert_int_equal(pull_all(&b, &plain, &err), RR_OK);
        assert_string_equal(str_text(&plain), i == 1 ? "" : "object");
    }
    assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err), RR_OK);
    assert_true(is_end);
    assert_int_equal(data_position(b.data), b.blocks.length);
    assert_int_equal(data_next_blob(b.data, &oid, &is_end, &err), ERR_BUG);
    close_bench(&b);
}

/* Neighbours that fit into one read take one; a long block takes reads of the largest size. */
static void test_requests(void **state)
{
    (void)state;
    size_t length = 10 * LIMIT_MIB;
    char *text = make_text(length);
    struct bench b = {.blocks = STR_INIT(BUILT_LIMIT)};
    add_table(&b, 0, "1\n\\.\n\n\n", 7, 3);
    add_table(&b, 1, "2\n\\.\n\n\n", 7, 3);
    add_table(&b, 2, text, length, 65536);
    open_bench(&b, COMPRESSION_NONE);
    STR_GUARD struct str plain = STR_INIT(BUILT_LIMIT);
    struct error err = ERROR_INIT;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(data_begin(b.data, &b.entries[i], &err), RR_OK);
        assert_int_equal(pull_all(&b, &plain, &err), RR_OK);
    }
    assert_int_equal(b.source.reads, 1);
    assert_int_equal(b.source.read_bytes, 64 * LIMIT_KIB);
    assert_int_equal(data_begin(b.data, &b.entries[2], &err), RR_OK);
    assert_int_equal(pull_all(&b, &plain, &err), RR_OK);
    assert_true(b.source.reads <= 5);
    assert_int_equal(b.source.read_bytes, b.blocks.length);
    assert_int_equal(b.source.largest_read, LIMIT_READ_BYTES);
    close_bench(&b);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunks_of_every_size_come_out_as_one_text),
        cmocka_unit_test(test_a_bomb_comes_out_in_pieces),
        cmocka_unit_test(test_ends_of_compressed_streams),
        cmocka_unit_test(test_calls_out_of_order_are_told),
        cmocka_unit_test(test_large_objects_one_after_the_other),
        cmocka_unit_test(test_requests),
    };
    return cmocka_run_group_tests_name("archive/reader", tests, NULL, NULL);
}
