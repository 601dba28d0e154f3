/*
 * The directory format: real archives, their files in memory as the parts of one source, as they
 * are and changed, cut, missing or too many.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/str.h"
#include "tests/unit/archive/archive_check.h"

#define FOLDER "tests/data/archives/"

enum { MAX_FILES = 32, ROWS = 400 + 100 + 3 + 0 + 1 + 3 + 1, BLOBS = 3 };

struct file {
    char name[64];
    char *bytes;
    size_t length;
};

struct folder {
    struct file files[MAX_FILES];
    size_t count;
};

static void add_file(struct folder *folder, const char *name, const char *bytes, size_t length)
{
    assert_true(folder->count < MAX_FILES);
    struct file *file = &folder->files[folder->count++];
    snprintf(file->name, sizeof file->name, "%s", name);
    file->bytes = mem_alloc(length + 1);
    memcpy(file->bytes, bytes, length);
    file->length = length;
}

static void load_folder(struct folder *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, FOLDER "%s", name);
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    *folder = (struct folder){.count = 0};
    if (count < 0)
        fail_msg("%s", path);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            size_t length;
            snprintf(path, sizeof path, FOLDER "%s/%s", name, entries[i]->d_name);
            char *bytes = read_file(path, &length);
            add_file(folder, entries[i]->d_name, bytes, length);
            free(bytes);
        }
        free(entries[i]);
    }
    free(entries);
}

static void free_folder(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        free(folder->files[i].bytes);
    folder->count = 0;
}

static struct file *find(struct folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->count; i++)
        if (strcmp(folder->files[i].name, name) == 0)
            return &folder->files[i];
    fail_msg("no file '%s'", name);
    return NULL;
}

/* As a load reads it. */
static enum errc read_folder(const struct folder *folder, struct whole *whole, struct error *err)
{
    STR_GUARD struct str all = STR_INIT(LIMIT_MIB);
    struct source_part parts[MAX_FILES];
    for (size_t i = 0; i < folder->count; i++) {
        parts[i] = (struct source_part){folder->files[i].name, all.length, folder->files[i].length};
        str_append_bytes(&all, folder->files[i].bytes, folder->files[i].length);
    }
    SOURCE_GUARD struct source *source = source_from_memory(str_text(&all), all.length, "test");
    source->parts = parts;
    source->part_count = folder->count;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    assert_int_equal(source_reader_open(source, NULL, &reader, err), RR_OK);
    return read_whole(reader, whole, err);
}

static const struct {
    const char *name;
    uint64_t rows, statements;
} samples[] = {
    {"pg14-gzip-directory", ROWS, 0},
    {"pg15-none-directory-inserts", 0, ROWS},
    {"pg16-lz4-directory", ROWS, 0},
    {"pg16-zstd-directory", ROWS, 0},
    {"pg17-gzip-directory", ROWS, 0},
    {"pg18-none-directory", ROWS, 0},
    {"pg18-zstd-directory-statistics", ROWS, 0},
};
enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* Data as the server's COPY wrote them. */
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
            fail_msg("%s: the data differ behind byte %zu", e->file, e->seen);
        e->seen += length;
    }
}

static void test_real_directories(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct expected expected[] = {{.name = "customers", .file = "customers.copy"},
                                      {.name = "wide", .file = "wide.copy"},
                                      {.name = "16001", .file = "16001.blob"},
                                      {.name = "16002", .file = "16002.blob"},
                                      {.name = "4000000000", .file = "4000000000.blob"},
                                      {.name = NULL}};
        for (struct expected *e = expected; e->name; e++) {
            char path[256];
            snprintf(path, sizeof path, FOLDER "expected/%s", e->file);
            e->bytes = read_file(path, &e->length);
        }
        struct folder folder;
        struct whole whole = {.sink = samples[i].rows ? compare : NULL, .context = expected};
        struct error err = ERROR_INIT;
        load_folder(&folder, samples[i].name);
        if (read_folder(&folder, &whole, &err))
            fail_msg("%s: %s", samples[i].name, err.text);
        assert_int_equal(whole.found.rows, samples[i].rows);
        assert_int_equal(whole.found.statements, samples[i].statements);
        assert_int_equal(whole.found.blobs, BLOBS);
        for (struct expected *e = expected; e->name; e++) {
            if (samples[i].rows)
                assert_int_equal(e->seen, e->length);
            free(e->bytes);
        }
        free_folder(&folder);
    }
}

static bool is_right_error(enum errc code, const struct error *err)
{
    return (code == ERR_ARCHIVE_CORRUPT || code == ERR_ARCHIVE_UNSUPPORTED) && err->code == code &&
           err->text[0];
}

static void test_each_file_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        struct folder folder;
        load_folder(&folder, samples[i].name);
        for (size_t k = 0; k < folder.count; k++) {
            struct folder part = folder;
            memmove(&part.files[k], &part.files[k + 1],
                    (part.count - k - 1) * sizeof part.files[0]);
            part.count--;
            struct whole whole = {0};
            struct error err = ERROR_INIT;
            enum errc code = read_folder(&part, &whole, &err);
            if (code != ERR_ARCHIVE_CORRUPT || !strstr(err.text, "is missing") ||
                whole.found.digest != 0) /* nothing was read of it before */
                fail_msg("%s without %s: %s %s", samples[i].name, folder.files[k].name,
                         errc_name(code), err.text);
        }
        free_folder(&folder);
    }
}

/* An uncompressed large object, and an empty one, are all that has no end of its own. */
static bool has_end(const struct file *file)
{
    bool is_object = text_has_prefix(file->name, "blob_");
    return !is_object || (file->length && !text_has_suffix(file->name, ".dat"));
}

/* An empty file is an empty object to pg_dump, if compressed by lz4 or zstd. */
static bool may_be_empty(const struct file *file)
{
    return text_has_prefix(file->name, "blob_") && !text_has_suffix(file->name, ".gz");
}

/* The two empty lines behind INSERTs are for people; that the last "\." has its newline too. */
static bool is_blank_rest(const struct file *file, size_t length)
{
    for (size_t i = length; i < file->length; i++)
        if (file->bytes[i] != '\n')
            return false;
    return true;
}

static void test_each_file_cut_at_every_length(void **state)
{
    (void)state;
    static const size_t steps[SAMPLES] = {7, 101, 31, 13, 61, 401, 61};
    alarm(300);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct folder folder;
        load_folder(&folder, samples[i].name);
        for (size_t k = 0; k < folder.count; k++) {
            struct file *file = &folder.files[k];
            size_t length = file->length;
            for (size_t cut = 0; cut < length && has_end(file);
                 cut += length < 1000 ? 1 : steps[i]) {
                if ((cut == 0 && may_be_empty(file)) || is_blank_rest(file, cut))
                    continue;
                file->length = cut;
                struct whole whole = {0};
                struct error err = ERROR_INIT;
                enum errc code = read_folder(&folder, &whole, &err);
                if (!is_right_error(code, &err))
                    fail_msg("%s, %s cut to %zu of %zu: %s %s", samples[i].name, file->name, cut,
                             length, errc_name(code), err.text);
                file->length = length;
            }
        }
        free_folder(&folder);
    }
}

static void test_every_byte_altered(void **state)
{
    (void)state;
    static const unsigned char masks[] = {0x01, 0x20, 0x80, 0xff};
    alarm(300);
    for (size_t i = 0; i < SAMPLES; i++) {
        struct folder folder;
        struct whole right = {0};
        struct error none = ERROR_INIT;
        load_folder(&folder, samples[i].name);
        assert_int_equal(read_folder(&folder, &right, &none), RR_OK);
        for (size_t k = 0; k < folder.count; k++) {
            struct file *file = &folder.files[k];
            bool is_zipped = text_has_suffix(file->name, ".gz");
            for (size_t at = 0; at < file->length; at += is_zipped ? 5 : 17) {
                struct whole whole = {0};
                struct error err = ERROR_INIT;
                unsigned char mask = masks[at % sizeof masks];
                file->bytes[at] = (char)(file->bytes[at] ^ mask);
                enum errc code = read_folder(&folder, &whole, &err);
                file->bytes[at] = (char)(file->bytes[at] ^ mask);
                /* gzip has a checksum: what is read is right */
                if (code ? !is_right_error(code, &err)
                         : is_zipped && memcmp(&whole.found, &right.found, sizeof whole.found) != 0)
                    fail_msg("%s, %s, byte %zu altered by %02x: %s %s", samples[i].name, file->name,
                             at, mask, errc_name(code), err.text);
            }
        }
        free_folder(&folder);
    }
}

/* ---- the files of one folder, changed ---- */

static void rename_file(struct folder *f, const char *name, const char *to)
{
    struct file *file = find(f, name);
    snprintf(file->name, sizeof file->name, "%s", to);
}

/* One gzip member, stored. */
static void zip(struct folder *f, const char *name)
{
    struct file *file = find(f, name);
    uLongf length = compressBound(file->length) + 64;
    unsigned char *out = mem_alloc(length);
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (unsigned char *)file->bytes;
    stream.avail_in = (uInt)file->length;
    stream.next_out = out;
    stream.avail_out = (uInt)length;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    free(file->bytes);
    file->bytes = (char *)out;
    file->length = stream.total_out;
    deflateEnd(&stream);
    strcat(file->name, ".gz");
}

#define CHANGE(name, ...)                                                                          \
    static void name(struct folder *f)                                                             \
    {                                                                                              \
        __VA_ARGS__;                                                                               \
    }

CHANGE(nothing, (void)f)
CHANGE(notes, add_file(f, "README", "x", 1); add_file(f, "SHA256SUMS", "x", 1))
CHANGE(zipped_table, zip(f, "2617.dat"))
CHANGE(zipped_contents, zip(f, "toc.dat"))
CHANGE(zipped_list, zip(f, "blobs_2627.toc"))
CHANGE(zipped_object, zip(f, "blob_16001.dat"))
CHANGE(twice, add_file(f, "2617.dat", "x", 1))
CHANGE(two_forms, add_file(f, "2617.dat.gz", "x", 1))
CHANGE(other_table, add_file(f, "9999.dat", "x", 1))
CHANGE(other_zipped, add_file(f, "9999.dat.zst", "x", 1))
CHANGE(other_list, add_file(f, "blobs_9999.toc", "", 0))
CHANGE(old_list, add_file(f, "blobs.toc", "", 0))
CHANGE(other_object, add_file(f, "blob_77.dat", "", 0))
CHANGE(wrong_suffix, rename_file(f, "2617.dat", "2617.dat.gz"))
CHANGE(wrong_lz4, rename_file(f, "2617.dat", "2617.dat.lz4"))
CHANGE(unknown_suffix, rename_file(f, "2617.dat", "2617.dat.bz2"))
CHANGE(empty_table, find(f, "2617.dat")->length = 0)
CHANGE(empty_contents, find(f, "toc.dat")->length = 0)
CHANGE(cut_zip, zip(f, "toc.dat"); find(f, "toc.dat.gz")->length -= 3)
CHANGE(no_archive, memset(find(f, "toc.dat")->bytes, 'x', 5))
CHANGE(custom, find(f, "toc.dat")->bytes[10] = 1)

static const struct {
    const char *name;
    void (*change)(struct folder *folder);
    enum errc code;
    const char *told;
} changes[] = {
    {"nothing", nothing, RR_OK, NULL},
    {"notes of people", notes, RR_OK, NULL},
    {"a table compressed later", zipped_table, RR_OK, NULL},
    {"toc.dat compressed later", zipped_contents, RR_OK, NULL},
    {"a list compressed later", zipped_list, RR_OK, NULL},
    {"an empty object compressed later", zipped_object, RR_OK, NULL},
    {"a name twice", twice, ERR_ARCHIVE_CORRUPT, "'2617.dat' is there twice"},
    {"two forms", two_forms, ERR_ARCHIVE_CORRUPT, "both '2617.dat' and '2617.dat.gz' are there"},
    {"another table", other_table, ERR_ARCHIVE_CORRUPT, "'9999.dat' belongs to nothing"},
    {"another table, compressed", other_zipped, ERR_ARCHIVE_CORRUPT, "'9999.dat.zst' belongs"},
    {"another list", other_list, ERR_ARCHIVE_CORRUPT, "'blobs_9999.toc' belongs to nothing"},
    {"a list of an older version", old_list, ERR_ARCHIVE_CORRUPT, "'blobs.toc' belongs"},
    {"another object", other_object, ERR_ARCHIVE_CORRUPT, "'blob_77.dat' belongs to nothing"},
    {"not what the suffix says", wrong_suffix, ERR_ARCHIVE_CORRUPT, "2617.dat.gz"},
    {"not lz4", wrong_lz4, ERR_ARCHIVE_CORRUPT, "2617.dat.lz4"},
    {"an unknown suffix", unknown_suffix, ERR_ARCHIVE_CORRUPT, "'2617.dat' is missing"},
    {"an empty table", empty_table, ERR_ARCHIVE_CORRUPT, NULL},
    {"an empty toc.dat", empty_contents, ERR_ARCHIVE_CORRUPT, "the archive is empty"},
    {"toc.dat.gz cut off", cut_zip, ERR_ARCHIVE_CORRUPT, "before its own end"},
    {"toc.dat of something else", no_archive, ERR_ARCHIVE_CORRUPT, "not a pg_dump archive"},
    {"toc.dat in custom format", custom, ERR_ARCHIVE_CORRUPT, "archive format 1"},
};

static void test_changes(void **state)
{
    (void)state;
    struct folder original;
    struct whole right = {0};
    struct error none = ERROR_INIT;
    load_folder(&original, "pg18-none-directory");
    assert_int_equal(read_folder(&original, &right, &none), RR_OK);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct folder folder;
        struct whole whole = {0};
        struct error err = ERROR_INIT;
        load_folder(&folder, "pg18-none-directory");
        changes[i].change(&folder);
        enum errc code = read_folder(&folder, &whole, &err);
        if (code != changes[i].code || (changes[i].told && !strstr(err.text, changes[i].told)))
            fail_msg("%s: %s %s", changes[i].name, errc_name(code), err.text);
        if (code == RR_OK && memcmp(&whole.found, &right.found, sizeof whole.found) != 0)
            fail_msg("%s: something else was read", changes[i].name);
        free_folder(&folder);
    }
    free_folder(&original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_directories),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_each_file_missing),
        cmocka_unit_test(test_each_file_cut_at_every_length),
        cmocka_unit_test(test_every_byte_altered),
    };
    return cmocka_run_group_tests_name("archive/directory", tests, NULL, NULL);
}
