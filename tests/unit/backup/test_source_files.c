#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/source_files.h"
#include "lib/base/cancel.h"
#include "tests/unit/backup/folder.h"

static enum errc open_folder(const struct folder *folder, struct source **ret_source,
                             struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct location location;
    if (location_parse(&arena, folder->url, &location, err))
        return err->code;
    return source_files_open(&location, NULL, ret_source, err);
}

static void make(struct folder *folder)
{
    folder_make(folder);
    folder_write_text(folder, "b", "bbb");
    folder_write_text(folder, "a", "aa");
    folder_write_text(folder, "empty", "");
    folder_write_text(folder, "z", "z");
    folder_write_text(folder, "sub/c", "no part");
}

static void test_files_follow_each_other(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    SOURCE_GUARD struct source *source = NULL;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    make(&folder);
    if (open_folder(&folder, &source, &err))
        fail_msg("%s", err.text);
    assert_int_equal(source->part_count, 4);
    assert_int_equal(source->size_bytes, 6);
    assert_string_equal(source->parts[0].name, "a");
    assert_string_equal(source->parts[2].name, "empty");
    assert_int_equal(source->parts[3].begin, 5);
    assert_string_equal(source_part_at(source, 4)->name, "b");
    assert_string_equal(source_part_at(source, 5)->name, "z");
    assert_null(source_part_at(source, 6));
    assert_int_equal(source_run_bytes(source, 3), 2);
    assert_int_equal(source_run_bytes(source, 6), 0);
    assert_int_equal(source_reader_open(source, NULL, &reader, &err), RR_OK);
    for (size_t begin = 0; begin <= 6; begin++)
        for (size_t end = begin; end <= 6; end++) {
            char buffer[8] = "-------";
            assert_int_equal(source_read(reader, begin, buffer, end - begin, &err), RR_OK);
            assert_memory_equal(buffer, "aabbbz" + begin, end - begin);
            assert_int_equal(buffer[end - begin], '-');
        }
    char byte;
    assert_int_equal(source_read(reader, 6, &byte, 1, &err), ERR_ARCHIVE_CORRUPT);
    folder_remove(&folder);
}

static void remove_file(const struct folder *folder)
{
    assert_int_equal(unlink(folder_path(folder, "b")), 0);
}

static void write_over(const struct folder *folder)
{
    folder_write_text(folder, "b", "BBB");
}

static void replace(const struct folder *folder)
{
    folder_write_text(folder, "new", "bbb");
    char from[4096 + 64];
    snprintf(from, sizeof from, "%s", folder_path(folder, "new"));
    assert_int_equal(rename(from, folder_path(folder, "b")), 0);
}

static void test_a_file_that_changes_is_noticed_when_it_is_read(void **state)
{
    (void)state;
    static void (*const changes[])(const struct folder *) = {remove_file, write_over, replace};
    for (size_t i = 0; i < 2 * sizeof changes / sizeof changes[0]; i++) {
        struct folder folder;
        struct error err = ERROR_INIT;
        SOURCE_GUARD struct source *source = NULL;
        SOURCE_READER_GUARD struct source_reader *reader = NULL;
        char buffer[4];
        make(&folder);
        assert_int_equal(open_folder(&folder, &source, &err), RR_OK);
        assert_int_equal(source_reader_open(source, NULL, &reader, &err), RR_OK);
        if (i % 2) /* open already */
            assert_int_equal(source_read(reader, 2, buffer, 1, &err), RR_OK);
        usleep(10 * 1000); /* file times have the kernel's tick */
        changes[i / 2](&folder);
        enum errc code = source_read(reader, 2, buffer, 3, &err);
        if (code != ERR_BACKUP_CHANGED)
            fail_msg("change %zu: %s %s", i, errc_name(code), err.text);
        error_clear(&err);
        assert_int_equal(source_read(reader, 0, buffer, 2, &err), RR_OK); /* the others are fine */
        folder_remove(&folder);
    }
}

static void test_what_comes_later_is_no_part(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    SOURCE_GUARD struct source *source = NULL;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    char buffer[6];
    make(&folder);
    assert_int_equal(open_folder(&folder, &source, &err), RR_OK);
    folder_write_text(&folder, "aa", "later");
    assert_int_equal(source_reader_open(source, NULL, &reader, &err), RR_OK);
    assert_int_equal(source_read(reader, 0, buffer, 6, &err), RR_OK);
    assert_memory_equal(buffer, "aabbbz", 6);
    folder_remove(&folder);
}

static void test_folders_that_cannot_be_opened(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    struct source *source = NULL;
    folder_make(&folder);
    assert_int_equal(open_folder(&folder, &source, &err), ERR_BACKUP_NOT_FOUND);
    assert_non_null(strstr(err.text, "there is nothing in"));
    error_clear(&err);
    folder_remove(&folder);
    assert_int_equal(open_folder(&folder, &source, &err), ERR_BACKUP_NOT_FOUND);
    assert_non_null(strstr(err.text, "there is no folder"));
}

static void test_cancel(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    struct cancel cancel = {0};
    SOURCE_GUARD struct source *source = NULL;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    char byte;
    make(&folder);
    assert_int_equal(open_folder(&folder, &source, &err), RR_OK);
    assert_int_equal(source_reader_open(source, &cancel, &reader, &err), RR_OK);
    cancel_request(&cancel);
    assert_int_equal(source_read(reader, 0, &byte, 1, &err), ERR_CANCELLED);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_follow_each_other),
        cmocka_unit_test(test_a_file_that_changes_is_noticed_when_it_is_read),
        cmocka_unit_test(test_what_comes_later_is_no_part),
        cmocka_unit_test(test_folders_that_cannot_be_opened),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests_name("backup/source_files", tests, NULL, NULL);
}
