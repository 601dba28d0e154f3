/*
 * The tar format: a real archive, changed header by header. Its members are addressed by their
 * names here, and their headers get the right checksum again where the change is not about that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/str.h"
#include "tests/unit/archive/archive_check.h"

enum { BLOCK = 512, SIZE_AT = 124, CHECKSUM_AT = 148, TYPE_AT = 156, MAGIC_AT = 257 };

static struct sample {
    char *bytes;
    size_t length;
    struct findings right;
} original;

static int open_original(void **state)
{
    (void)state;
    struct whole whole = {0};
    struct error err = ERROR_INIT;
    original.bytes = read_archive("pg17-none-tar.tar", &original.length);
    enum errc code = read_whole_bytes(original.bytes, original.length, &whole, &err);
    original.right = whole.found;
    return code != RR_OK;
}

static int close_original(void **state)
{
    (void)state;
    free(original.bytes);
    return 0;
}

/* ---- the tar under change ---- */

static size_t member_bytes(const char *header)
{
    return strtoul(header + SIZE_AT, NULL, 8);
}

/* NULL: behind the last one */
static char *find(struct str *tar, const char *name)
{
    size_t at = 0;
    while (at < tar->length && tar->data[at]) {
        if (name && strcmp(tar->data + at, name) == 0)
            return tar->data + at;
        at += BLOCK + (member_bytes(tar->data + at) + BLOCK - 1) / BLOCK * BLOCK;
    }
    if (name)
        fail_msg("no member '%s'", name);
    return tar->data + at;
}

static void sum_up(char *header)
{
    unsigned sum = 0;
    memset(header + CHECKSUM_AT, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    snprintf(header + CHECKSUM_AT, 8, "%06o", sum & 0777777);
}

static void rename_member(struct str *tar, const char *name, const char *to)
{
    char *header = find(tar, name);
    memset(header, 0, 100);
    memcpy(header, to, strlen(to));
    sum_up(header);
}

static void set_size(struct str *tar, const char *name, const char *field, size_t length)
{
    char *header = find(tar, name);
    memcpy(header + SIZE_AT, field, length);
    sum_up(header);
}

static void set_type(struct str *tar, char type)
{
    char *header = find(tar, "2602.dat");
    header[TYPE_AT] = type;
    sum_up(header);
}

static void set_content(struct str *tar, const char *name, const char *from, const char *to)
{
    char *header = find(tar, name);
    char *at = memmem(header + BLOCK, member_bytes(header), from, strlen(from));
    assert_non_null(at);
    memcpy(at, to, strlen(to));
}

static void append_zeros(struct str *tar, size_t count)
{
    while (count--)
        str_append_bytes(tar, "", 1);
}

static void cut(struct str *tar, size_t count)
{
    tar->length -= count;
}

/* Takes a whole member out. */
static void drop(struct str *tar, const char *name)
{
    char *header = find(tar, name);
    size_t bytes = BLOCK + (member_bytes(header) + BLOCK - 1) / BLOCK * BLOCK;
    memmove(header, header + bytes, tar->length - (size_t)(header - tar->data) - bytes);
    cut(tar, bytes);
}

#define CHANGE(name, ...)                                                                          \
    static void name(struct str *t)                                                                \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

CHANGE(nothing, (void)t)
CHANGE(records, append_zeros(t, 18 * BLOCK))
CHANGE(gnu_magic, memcpy(find(t, "2602.dat") + MAGIC_AT, "ustar  ", 8); sum_up(find(t, "2602.dat")))
CHANGE(old_magic, memcpy(find(t, "2602.dat") + MAGIC_AT, "ustar00", 8); sum_up(find(t, "2602.dat")))
CHANGE(zero_type, set_type(t, '\0'))
CHANGE(base_256, set_size(t, "2602.dat", "\x80\0\0\0\0\0\0\0\0\0\x06\x9b", 12)) /* 1691 */
CHANGE(no_script, drop(t, "restore.sql"))

CHANGE(folder_type, set_type(t, '5'))
CHANGE(link_type, set_type(t, '2'))
CHANGE(pax_type, set_type(t, 'x'))
CHANGE(long_name_type, set_type(t, 'L'))
CHANGE(wrong_sum, find(t, "2602.dat")[CHECKSUM_AT + 5] ^= 1)
CHANGE(no_magic, memset(find(t, "2602.dat") + MAGIC_AT, 0, 5); sum_up(find(t, "2602.dat")))
CHANGE(size_of_letters, set_size(t, "2602.dat", "0000000000x ", 12))
CHANGE(size_of_nothing, set_size(t, "2602.dat", "            ", 12))
CHANGE(size_with_gap, set_size(t, "2602.dat", "0000 000001 ", 12))
CHANGE(size_too_large, set_size(t, "2602.dat", "77777777777 ", 12))
CHANGE(size_overflow, set_size(t, "2602.dat", "\x80\1\0\0\0\0\0\0\0\0\x06\x9b", 12))
CHANGE(size_negative,
       set_size(t, "2602.dat", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12))
CHANGE(size_of_2_63, set_size(t, "2602.dat", "\x80\0\0\0\x80\0\0\0\0\0\0\0", 12))
CHANGE(size_wraps, set_size(t, "2602.dat", "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12))
CHANGE(size_without_end, set_size(t, "2602.dat", "00000003226 ", 12)) /* its last lines */
CHANGE(twice, rename_member(t, "2602.dat", "2600.dat"))
CHANGE(no_name, rename_member(t, "2602.dat", ""))
CHANGE(folder, rename_member(t, "2602.dat", "a/2602.dat"))
CHANGE(dots, rename_member(t, "2602.dat", "../2602.dat"))
CHANGE(hidden, rename_member(t, "2602.dat", ".2602.dat"))
CHANGE(newline, rename_member(t, "2602.dat", "2602\n.dat"))
CHANGE(long_name, char name[101]; memset(name, 'x', 100); name[100] = '\0';
       rename_member(t, "2602.dat", name))
CHANGE(behind_name, memcpy(find(t, "2602.dat") + 20, "x", 1); sum_up(find(t, "2602.dat")))
CHANGE(no_contents, rename_member(t, "toc.dat", "tic.dat"))
CHANGE(stranger, rename_member(t, "restore.sql", "notes.txt"))
CHANGE(no_table, drop(t, "2602.dat"))
CHANGE(compressed, rename_member(t, "2602.dat", "2602.dat.gz"))
CHANGE(no_object, drop(t, "blob_16002.dat"))
CHANGE(no_list, drop(t, "blobs_2610.toc"))
CHANGE(old_list, rename_member(t, "blobs_2610.toc", "blobs.toc"))
CHANGE(list_of_other, set_content(t, "blobs_2610.toc", "16002 b", "16003 b"))
CHANGE(list_of_same, set_content(t, "blobs_2610.toc", "16002 blob_16002", "16001 blob_16001"))
CHANGE(list_of_zero, set_content(t, "blobs_2610.toc", "16002 b", "00000 b"))
CHANGE(list_of_giant, set_content(t, "blobs_2610.toc", "4000000000 b", "9000000000 b"))
CHANGE(list_cut, set_content(t, "blobs_2610.toc", "4000000000.dat\n", "4000000000.datx"))
CHANGE(list_path, set_content(t, "blobs_2610.toc", "blob_16002.dat", "../../16002.dt"))
CHANGE(script_is_last, rename_member(t, "toc.dat", "restore.sql"))
CHANGE(no_end, cut(t, 2 * BLOCK))
CHANGE(half_end, cut(t, BLOCK))
CHANGE(end_cut, cut(t, 1))
CHANGE(after_end, append_zeros(t, BLOCK - 1); str_append(t, "x"))
CHANGE(in_end, t->data[t->length - BLOCK] = 'x')
CHANGE(long_end, append_zeros(t, 40 * BLOCK))
CHANGE(early_end, memset(find(t, "2602.dat"), 0, BLOCK))
CHANGE(newer, find(t, "toc.dat")[BLOCK + 6] = 99)
CHANGE(custom_inside, find(t, "toc.dat")[BLOCK + 10] = 1)
CHANGE(zlib_inside, find(t, "toc.dat")[BLOCK + 11] = 1)
CHANGE(contents_longer, set_size(t, "toc.dat", "00000021310 ", 12))
CHANGE(contents_shorter, set_size(t, "toc.dat", "00000021306 ", 12))
CHANGE(other_file, set_content(t, "toc.dat", "2602.dat", "2600.dat"))

static const struct {
    const char *name;
    void (*change)(struct str *tar);
    enum errc code;
    const char *told;
} changes[] = {
    {"nothing", nothing, RR_OK, NULL},
    {"filled up to a record of tar", records, RR_OK, NULL},
    {"GNU's magic", gnu_magic, RR_OK, NULL},
    {"pg_dump's older magic", old_magic, RR_OK, NULL},
    {"a regular file of old", zero_type, RR_OK, NULL},
    {"a size in base 256", base_256, RR_OK, NULL},
    {"no restore.sql", no_script, RR_OK, NULL},
    {"a folder", folder_type, ERR_ARCHIVE_CORRUPT, "'2602.dat' is no regular file"},
    {"a link", link_type, ERR_ARCHIVE_CORRUPT, "no regular file"},
    {"a pax header", pax_type, ERR_ARCHIVE_CORRUPT, "no regular file"},
    {"a long name of GNU", long_name_type, ERR_ARCHIVE_CORRUPT, "no regular file"},
    {"checksum", wrong_sum, ERR_ARCHIVE_CORRUPT, "header of a tar member should be here"},
    {"no magic", no_magic, ERR_ARCHIVE_CORRUPT, "header of a tar member should be here"},
    {"size of letters", size_of_letters, ERR_ARCHIVE_CORRUPT, "is no number"},
    {"size of blanks", size_of_nothing, ERR_ARCHIVE_CORRUPT, "is no number"},
    {"size with a gap", size_with_gap, ERR_ARCHIVE_CORRUPT, "is no number"},
    {"size too large", size_too_large, ERR_ARCHIVE_CORRUPT, "8589934591 bytes, but only"},
    {"size beyond 64 bits", size_overflow, ERR_ARCHIVE_CORRUPT, "is no number"},
    {"negative size", size_negative, ERR_ARCHIVE_CORRUPT, "is no number"},
    {"size of 2^63", size_of_2_63, ERR_ARCHIVE_CORRUPT, "is no number"},
    {"size of 2^63 - 1", size_wraps, ERR_ARCHIVE_CORRUPT, "are left"},
    {"a table without its end", size_without_end, ERR_ARCHIVE_CORRUPT, "end"},
    {"twice", twice, ERR_ARCHIVE_CORRUPT, "'2600.dat' is there twice"},
    {"no name", no_name, ERR_ARCHIVE_UNSUPPORTED, "a member named ''"},
    {"name in a folder", folder, ERR_ARCHIVE_UNSUPPORTED, "a/2602.dat"},
    {"name out of the folder", dots, ERR_ARCHIVE_UNSUPPORTED, "../2602.dat"},
    {"hidden name", hidden, ERR_ARCHIVE_UNSUPPORTED, "'.2602.dat'"},
    {"newline in a name", newline, ERR_ARCHIVE_UNSUPPORTED, "'2602\\n.dat'"},
    {"name without end", long_name, ERR_ARCHIVE_UNSUPPORTED, "a member named"},
    {"something behind a name", behind_name, ERR_ARCHIVE_UNSUPPORTED, "a member named"},
    {"no table of contents", no_contents, ERR_ARCHIVE_CORRUPT, "'toc.dat' is missing"},
    {"a stranger", stranger, ERR_ARCHIVE_CORRUPT, "'notes.txt' belongs to nothing"},
    {"no table", no_table, ERR_ARCHIVE_CORRUPT, "'2602.dat' is missing"},
    {"a compressed table", compressed, ERR_ARCHIVE_CORRUPT, "'2602.dat' is missing"},
    {"no large object", no_object, ERR_ARCHIVE_CORRUPT, "'blob_16002.dat' is missing"},
    {"no list", no_list, ERR_ARCHIVE_CORRUPT, "'blobs_2610.toc' is missing"},
    {"a list with the old name", old_list, ERR_ARCHIVE_CORRUPT, "'blobs_2610.toc' is missing"},
    {"list: another oid", list_of_other, ERR_ARCHIVE_CORRUPT, "line 2 names no large object"},
    {"list: the same twice", list_of_same, ERR_ARCHIVE_CORRUPT, "'blob_16001.dat' is named twice"},
    {"list: oid 0", list_of_zero, ERR_ARCHIVE_CORRUPT, "line 2 names no"},
    {"list: oid of 34 bits", list_of_giant, ERR_ARCHIVE_CORRUPT, "line 3 names no"},
    {"list: cut off", list_cut, ERR_ARCHIVE_CORRUPT, "last line is cut off"},
    {"list: a path", list_path, ERR_ARCHIVE_CORRUPT, "line 2 names no"},
    {"the script twice", script_is_last, ERR_ARCHIVE_CORRUPT, "'restore.sql' is there twice"},
    {"no end", no_end, ERR_ARCHIVE_CORRUPT, "it is cut off"},
    {"half an end", half_end, ERR_ARCHIVE_CORRUPT, "end of the tar is cut off"},
    {"an end without its end", end_cut, ERR_ARCHIVE_CORRUPT, "end of the tar is cut off"},
    {"something after the end", after_end, ERR_ARCHIVE_CORRUPT, "follows the end"},
    {"something in the end", in_end, ERR_ARCHIVE_CORRUPT, "follows the end"},
    {"an end that does not end", long_end, ERR_ARCHIVE_CORRUPT, "follow the end"},
    {"an end in the middle", early_end, ERR_ARCHIVE_CORRUPT, "follow"},
    {"a newer archive", newer, ERR_ARCHIVE_UNSUPPORTED, "newer than 1.16"},
    {"custom format in a tar", custom_inside, ERR_ARCHIVE_CORRUPT, "archive format 1"},
    {"compressed members", zlib_inside, ERR_ARCHIVE_UNSUPPORTED, "members are compressed"},
    {"toc.dat a byte longer", contents_longer, ERR_ARCHIVE_CORRUPT, "1 bytes follow"},
    {"toc.dat a byte shorter", contents_shorter, ERR_ARCHIVE_CORRUPT, "table of contents"},
    {"another entry's file", other_file, ERR_ARCHIVE_CORRUPT, "are not in '2602.dat'"},
};

static struct str copy_original(void)
{
    struct str tar = STR_INIT(16 * LIMIT_MIB);
    str_append_bytes(&tar, original.bytes, original.length);
    return tar;
}

static void test_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        STR_GUARD struct str tar = copy_original();
        changes[i].change(&tar);
        struct whole whole = {0};
        struct error err = ERROR_INIT;
        enum errc code = read_whole_bytes(tar.data, tar.length, &whole, &err);
        if (code != changes[i].code || (changes[i].told && !strstr(err.text, changes[i].told)))
            fail_msg("%s: %s %s", changes[i].name, errc_name(code), err.text);
        if (code == RR_OK && memcmp(&whole.found, &original.right, sizeof whole.found) != 0)
            fail_msg("%s: something else was read", changes[i].name);
    }
}

/* The checksum of a header notices whatever happens to it. */
static void test_every_byte_of_every_header_altered(void **state)
{
    (void)state;
    static const unsigned char masks[] = {0x01, 0x20, 0x80, 0xff};
    STR_GUARD struct str tar = copy_original();
    size_t noticed = 0;
    alarm(300);
    for (char *header = tar.data, *end = find(&tar, NULL); header < end;) {
        size_t step = BLOCK + (member_bytes(header) + BLOCK - 1) / BLOCK * BLOCK;
        for (size_t i = 0; i < BLOCK; i++) {
            struct whole whole = {0};
            struct error err = ERROR_INIT;
            unsigned char mask = masks[i % sizeof masks];
            header[i] = (char)(header[i] ^ mask);
            enum errc code = read_whole_bytes(tar.data, tar.length, &whole, &err);
            header[i] = (char)(header[i] ^ mask);
            noticed += code != RR_OK;
            if (code ? code != ERR_ARCHIVE_CORRUPT && code != ERR_ARCHIVE_UNSUPPORTED
                     : i < CHECKSUM_AT || i >= CHECKSUM_AT + 8)
                fail_msg("byte %zu of the header of '%s' altered by %02x: %s %s", i, header, mask,
                         errc_name(code), err.text);
            if (code == RR_OK && memcmp(&whole.found, &original.right, sizeof whole.found) != 0)
                fail_msg("byte %zu of the header of '%s': something else was read", i, header);
        }
        header += step;
    }
    assert_true(noticed > 6000);
}

/* ---- a giant ---- */

/* The original with 2600.dat of 20 GiB, whose bytes are all 'x'. */
struct giant {
    struct str front, back; /* up to its content, behind it */
    uint64_t bytes;
};

static void make_giant(void *context, uint64_t offset, void *buffer, size_t length)
{
    const struct giant *giant = context;
    for (size_t i = 0; i < length; i++) {
        uint64_t at = offset + i;
        char *out = (char *)buffer + i;
        if (at < giant->front.length)
            *out = giant->front.data[at];
        else if (at < giant->front.length + giant->bytes)
            *out = 'x';
        else
            *out = giant->back.data[at - giant->front.length - giant->bytes];
    }
}

static void test_a_giant_is_not_read_to_be_indexed(void **state)
{
    (void)state;
    STR_GUARD struct str tar = copy_original();
    char *header = find(&tar, "2600.dat");
    size_t content = (size_t)(header - tar.data) + BLOCK, old_bytes = member_bytes(header);
    size_t behind = content + (old_bytes + BLOCK - 1) / BLOCK * BLOCK;
    set_size(&tar, "2600.dat", "\x80\0\0\0\0\0\0\x05\0\0\0\0", 12);
    struct giant giant = {STR_INIT(LIMIT_MIB), STR_INIT(LIMIT_MIB), (uint64_t)20 << 30};
    str_append_bytes(&giant.front, tar.data, content);
    str_append_bytes(&giant.back, tar.data + behind, tar.length - behind);
    struct counted_source source =
        counted_source(NULL, giant.front.length + giant.bytes + giant.back.length);
    source.make = make_giant;
    source.context = &giant;
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    assert_int_equal(source_reader_open(&source.base, NULL, &reader, &err), RR_OK);
    if (toc_read(reader, &arena, &toc, &err))
        fail_msg("%s", err.text);
    printf("21 GB: %u requests, %.1f MB\n", source.reads, (double)source.read_bytes / 1e6);
    assert_true(source.reads < 8 && source.read_bytes < 4 * LIMIT_MIB);
    const struct entry *entry = toc_find(&toc, 2600);
    assert_non_null(entry);
    assert_int_equal(entry->block_bytes, giant.bytes);
    source.fail_at_read = source.reads + 1;
    ARENA_GUARD struct arena again = {0};
    assert_int_equal(toc_read(reader, &again, &toc, &err), ERR_NETWORK);
    counted_release(&source);
    str_release(&giant.front);
    str_release(&giant.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_every_byte_of_every_header_altered),
        cmocka_unit_test(test_a_giant_is_not_read_to_be_indexed),
    };
    return cmocka_run_group_tests_name("archive/tar", tests, open_original, close_original);
}
