#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/source_file.h"
#include "lib/base/cancel.h"
#include "tests/unit/backup/folder.h"

static void test_ranges_are_read(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    folder_make(&folder);
    folder_write(&folder, "a",
                 "0123\0"
                 "56789",
                 10);
    SOURCE_GUARD struct source *source = NULL;
    SOURCE_READER_GUARD struct source_reader *one = NULL, *other = NULL;
    assert_int_equal(source_file_open(folder_path(&folder, "a"), "file:///a", &source, &err),
                     RR_OK);
    assert_int_equal(source->size_bytes, 10);
    assert_string_equal(source->name, "file:///a");
    assert_true(*source->identity);
    assert_int_equal(source_reader_open(source, NULL, &one, &err), RR_OK);
    assert_int_equal(source_reader_open(source, NULL, &other, &err), RR_OK);
    char buffer[10];
    assert_int_equal(source_read(one, 3, buffer, 4, &err), RR_OK);
    assert_memory_equal(buffer,
                        "3\0"
                        "56",
                        4);
    assert_int_equal(source_read(other, 0, buffer, 10, &err), RR_OK);
    assert_memory_equal(buffer,
                        "0123\0"
                        "56789",
                        10);
    assert_int_equal(source_read(one, 10, buffer, 0, &err), RR_OK);
    assert_int_equal(source_read(one, 8, buffer, 3, &err), ERR_ARCHIVE_CORRUPT);
    folder_remove(&folder);
}

/* What can happen to a file between two reads. */
static void append_to(const char *path)
{
    FILE *file = fopen(path, "a");
    fputs("more", file);
    fclose(file);
}

static void write_over(const char *path)
{
    FILE *file = fopen(path, "r+");
    fputs("XX", file);
    fclose(file);
}

static void cut_off(const char *path)
{
    assert_int_equal(truncate(path, 2), 0);
}

static void remove_it(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void replace_it(const char *path)
{
    char other[4200];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *file = fopen(other, "w");
    fputs("9876543210", file);
    fclose(file);
    assert_int_equal(rename(other, path), 0);
}

/* Gives `path` the time of change of content that `like` has. */
static void copy_time(const char *path, const struct stat *like)
{
    const struct timespec times[] = {like->st_atim, like->st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void append_and_set_back_the_time(const char *path)
{
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    append_to(path);
    copy_time(path, &before);
}

static void replace_by_one_of_the_same_size_and_time(const char *path)
{
    struct stat before;
    assert_int_equal(stat(path, &before), 0);
    replace_it(path);
    copy_time(path, &before);
}

static void turn_into_folder(const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
}

static void test_a_change_between_two_reads_is_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*change)(const char *path);
        const char *must_say;
    } rows[] = {
        {"appended", append_to, "written to"},
        {"written over", write_over, "written to"},
        {"cut off", cut_off, "made shorter"},
        {"removed", remove_it, "removed"},
        {"replaced", replace_it, "replaced"},
        {"a folder now", turn_into_folder, "replaced"},
        {"appended, time set back", append_and_set_back_the_time, "written to"},
        {"replaced by a twin", replace_by_one_of_the_same_size_and_time, "replaced"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct folder folder;
        struct error err = ERROR_INIT;
        char buffer[4];
        folder_make(&folder);
        folder_write_text(&folder, "a", "0123456789");
        SOURCE_GUARD struct source *source = NULL;
        SOURCE_READER_GUARD struct source_reader *reader = NULL, *late = NULL;
        assert_int_equal(source_file_open(folder_path(&folder, "a"), "file:///a", &source, &err),
                         RR_OK);
        assert_int_equal(source_reader_open(source, NULL, &reader, &err), RR_OK);
        assert_int_equal(source_read(reader, 0, buffer, 4, &err), RR_OK);
        usleep(10 * 1000); /* file times have the kernel's tick, not its clock */
        rows[i].change(folder_path(&folder, "a"));
        enum errc code = source_read(reader, 4, buffer, 4, &err);
        if (code != ERR_BACKUP_CHANGED || !strstr(err.text, rows[i].must_say))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        error_clear(&err);
        assert_int_equal(source_reader_open(source, NULL, &late, &err), ERR_BACKUP_CHANGED);
        folder_remove(&folder);
    }
}

static void test_what_is_no_file_is_refused(void **state)
{
    (void)state;
    struct folder folder;
    folder_make(&folder);
    folder_write_text(&folder, "file", "x");
    assert_int_equal(mkdir(folder_path(&folder, "folder"), 0777), 0);
    assert_int_equal(mkfifo(folder_path(&folder, "pipe"), 0666), 0);
    assert_int_equal(symlink("file", folder_path(&folder, "link")), 0);
    assert_int_equal(symlink("nowhere", folder_path(&folder, "dangling")), 0);
    assert_int_equal(symlink("loop", folder_path(&folder, "loop")), 0);
    static const struct {
        const char *name;
        enum errc code;
        const char *hint;
    } rows[] = {
        {"file", RR_OK, ""},
        {"link", RR_OK, ""},
        {"folder", ERR_ARCHIVE_UNSUPPORTED, "a file is meant"},
        {"pipe", ERR_ARCHIVE_UNSUPPORTED, "file"},
        {"none", ERR_BACKUP_NOT_FOUND, ""},
        {"file/below", ERR_BACKUP_NOT_FOUND, ""},
        {"dangling", ERR_BACKUP_NOT_FOUND, ""},
        {"loop", ERR_IO, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        SOURCE_GUARD struct source *source = NULL;
        enum errc code =
            source_file_open(folder_path(&folder, rows[i].name), "file:///x", &source, &err);
        if (code != rows[i].code || !strstr(err.hint, rows[i].hint))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), err.text, err.hint);
    }
    SOURCE_GUARD struct source *device = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(source_file_open("/dev/null", "file:///dev/null", &device, &err),
                     ERR_ARCHIVE_UNSUPPORTED);
    folder_remove(&folder);
}

static void test_a_file_without_permission(void **state)
{
    (void)state;
    char user[24];
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    snprintf(user, sizeof user, "%u", (unsigned)geteuid());
    struct error err = ERROR_INIT;
    SOURCE_GUARD struct source *source = NULL;
    enum errc code = source_file_open("/etc/shadow", "file:///etc/shadow", &source, &err);
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(code, ERR_OBJECT_STORE_DENIED);
    assert_non_null(strstr(err.hint, user));
}

static void test_cancel(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    struct cancel cancel = {0};
    char byte;
    folder_make(&folder);
    folder_write_text(&folder, "a", "0");
    SOURCE_GUARD struct source *source = NULL;
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    assert_int_equal(source_file_open(folder_path(&folder, "a"), "file:///a", &source, &err),
                     RR_OK);
    assert_int_equal(source_reader_open(source, &cancel, &reader, &err), RR_OK);
    cancel_request(&cancel);
    assert_int_equal(source_read(reader, 0, &byte, 1, &err), ERR_CANCELLED);
    folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_are_read),
        cmocka_unit_test(test_a_change_between_two_reads_is_noticed),
        cmocka_unit_test(test_what_is_no_file_is_refused),
        cmocka_unit_test(test_a_file_without_permission),
        cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests_name("backup/source_file", tests, NULL, NULL);
}
