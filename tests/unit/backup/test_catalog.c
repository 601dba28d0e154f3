#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/catalog.h"
#include "lib/base/cancel.h"
#include "tests/unit/backup/folder.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RFC_NAME "%Y-%m-%dT%H:%M:%SZ.dump"

static struct folder root;

static int make_root(void **state)
{
    (void)state;
    folder_make(&root);
    static const char *const names[] = {
        /* what a folder of backups looks like after a while */
        "prod/2024-12-08T00:00:00Z.dump",
        "prod/2024-12-09T00:00:00Z.dump",
        "prod/2024-12-10T00:00:00Z.dump",
        "prod/2024-12-10T06:00:00Z.dump",
        "prod/2024-12-10T00:00:00Z.dump.sha256",
        "prod/README",
        "prod/2024-12-11T00:00:00Z.dump.tmp",
        "prod/old/2024-12-01T00:00:00Z.dump",
        /* a folder a day, and strangers beside */
        "tree/2024/12/10/db.dump",
        "tree/2024/12/11/db.dump",
        "tree/2024/12/11/notes",
        "tree/2024/13/11/db.dump",
        "tree/2024/db.dump",
        "tree/x/12/11/db.dump",
        "tree/2024/12/11/12/db.dump",
        /* backups that are folders, and a file among them */
        "dirs/2024-12-08/toc.dat",
        "dirs/2024-12-08/12.dat",
        "dirs/2024-12-10/toc.dat",
        "dirs/2024-12-10x/toc.dat",
        "dirs/2024-12-11",
        "dirs/old/2024-12-01/toc.dat",
        "deep/2024/11/30/toc.dat",
        "deep/2024/12/01/toc.dat",
        "deep/2024/12/01/more/12.dat",
        "deep/2024/12/notes",
        /* zones make names of one instant */
        "zones/2024-12-10 00:00:00Z",
        "zones/2024-12-10 01:00:00+0100",
        "zones/2024-12-11 01:00:00+01:00",
        /* nothing that matches */
        "strange/dump.1",
        "strange/dump.2",
        /* names that are text, not patterns */
        "short/d",
        "odd/a'b\n%2024-12-10",
        "days/db-2024-12-10.dump",
    };
    for (size_t i = 0; i < COUNT(names); i++)
        folder_write_text(&root, names[i], "x");
    assert_int_equal(mkdir(folder_path(&root, "empty"), 0777), 0);
    assert_int_equal(mkdir(folder_path(&root, "prod/2024-12-12T00:00:00Z.dump"), 0777), 0);
    assert_int_equal(mkfifo(folder_path(&root, "prod/2024-12-13T00:00:00Z.dump"), 0666), 0);
    assert_int_equal(
        symlink("2024-12-08T00:00:00Z.dump", folder_path(&root, "prod/2024-12-14T00:00:00Z.dump")),
        0);
    assert_int_equal(symlink("nowhere", folder_path(&root, "prod/2024-12-15T00:00:00Z.dump")), 0);
    assert_int_equal(symlink("..", folder_path(&root, "tree/2024/12/12")), 0);
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    folder_remove(&root);
    return 0;
}

static void options_for(struct arena *arena, const char *folder, const char *pattern,
                        struct catalog_options *ret_options)
{
    struct error err = ERROR_INIT;
    *ret_options = (struct catalog_options){.name_pattern = pattern};
    const char *url = arena_printf(arena, "%s/%s", root.url, folder);
    if (location_parse(arena, url, &ret_options->location, &err))
        fail_msg("%s", err.text);
}

static void test_lists_are_complete_and_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *pattern, *names[6];
    } rows[] = {
        {"prod/",
         RFC_NAME,
         {"2024-12-08T00:00:00Z.dump", "2024-12-09T00:00:00Z.dump", "2024-12-10T00:00:00Z.dump",
          "2024-12-10T06:00:00Z.dump", "2024-12-14T00:00:00Z.dump"}},
        {"prod", "old/" RFC_NAME, {"old/2024-12-01T00:00:00Z.dump"}},
        {"tree",
         "%Y/%m/%d/db.dump",
         {"2024/12/10/db.dump", "2024/12/11/db.dump", "2024/12/12/db.dump"}}, /* by a link */
        {"zones",
         "%F %T%z",
         {"2024-12-10 00:00:00Z", "2024-12-10 01:00:00+0100", "2024-12-11 01:00:00+01:00"}},
        {"empty", RFC_NAME, {NULL}},
        {"strange", RFC_NAME, {NULL}},
        {"days", "db-%F.dump", {"db-2024-12-10.dump"}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct catalog_options options;
        struct backup *backups;
        size_t count, want = 0;
        options_for(&arena, rows[i].folder, rows[i].pattern, &options);
        if (catalog_list(&options, &arena, &backups, &count, &err))
            fail_msg("%s: %s", rows[i].folder, err.text);
        while (want < COUNT(rows[i].names) && rows[i].names[want])
            want++;
        if (count != want)
            fail_msg("%s '%s': %zu instead of %zu", rows[i].folder, rows[i].pattern, count, want);
        for (size_t n = 0; n < count; n++) {
            assert_string_equal(backups[n].name, rows[i].names[n]);
            assert_int_equal(backups[n].size_bytes, 1);
            SOURCE_GUARD struct source *source = NULL;
            assert_int_equal(backup_open(&backups[n].object, NULL, &source, &err), RR_OK);
        }
    }
}

static void test_backups_that_are_folders(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *pattern, *names[3];
    } rows[] = {
        {"dirs", "%F/", {"2024-12-08/", "2024-12-10/"}},
        {"dirs/", "old/%F/", {"old/2024-12-01/"}},
        {"deep", "%Y/%m/%d/", {"2024/11/30/", "2024/12/01/"}},
        {"dirs", "%Fx/", {"2024-12-10x/"}},
        {"prod", "%F/", {NULL}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct catalog_options options;
        struct backup *backups;
        size_t count, want = 0;
        options_for(&arena, rows[i].folder, rows[i].pattern, &options);
        if (catalog_list(&options, &arena, &backups, &count, &err))
            fail_msg("%s: %s", rows[i].folder, err.text);
        while (rows[i].names[want])
            want++;
        if (count != want)
            fail_msg("%s '%s': %zu instead of %zu", rows[i].folder, rows[i].pattern, count, want);
        for (size_t n = 0; n < count; n++) {
            assert_string_equal(backups[n].name, rows[i].names[n]);
            assert_int_equal(backups[n].size_bytes, 0);
            SOURCE_GUARD struct source *source = NULL;
            assert_int_equal(backup_open(&backups[n].object, NULL, &source, &err), RR_OK);
            assert_true(source->part_count == 1 || n == 0);
            assert_string_equal(source->parts[source->part_count - 1].name, "toc.dat");
        }
    }
}

static void test_every_backup_of_a_long_list_is_there(void **state)
{
    (void)state;
    struct folder folder;
    folder_make(&folder);
    for (int i = 0; i < 500; i++) {
        char name[40];
        snprintf(name, sizeof name, "%d.dump", 1733788800 + (i * 7919) % 500);
        folder_write_text(&folder, name, "");
    }
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct catalog_options options = {.name_pattern = "%s.dump"};
    struct backup *backups;
    size_t count;
    assert_int_equal(location_parse(&arena, folder.path, &options.location, &err), RR_OK);
    assert_int_equal(catalog_list(&options, &arena, &backups, &count, &err), RR_OK);
    assert_int_equal(count, 500);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(backups[i].taken_at.seconds, 1733788800 + (int)i);
    folder_remove(&folder);
}

static void test_the_choice(void **state)
{
    (void)state;
    enum { DAY_S = 86400 };
    static const struct {
        const char *name, *folder, *pattern, *desired;
        enum catalog_select select;
        uint64_t max_age_s;
        enum errc code;
        const char *answer; /* the name, or what the error must say (parts separated by '|') */
    } rows[] = {
        {"exact", "prod", RFC_NAME, "2024-12-10T00:00:00Z", CATALOG_EXACT, 0, RR_OK,
         "2024-12-10T00:00:00Z.dump"},
        {"exact in another zone", "prod", RFC_NAME, "2024-12-10T01:00:00+01:00", CATALOG_EXACT, 0,
         RR_OK, "2024-12-10T00:00:00Z.dump"},
        {"exact, a link", "prod", RFC_NAME, "2024-12-14T00:00:00Z", CATALOG_EXACT, 0, RR_OK,
         "2024-12-14T00:00:00Z.dump"},
        {"exact, a day", "days", "db-%F.dump", "2024-12-10T00:00:00Z", CATALOG_EXACT, 0, RR_OK,
         "db-2024-12-10.dump"},
        {"exact, a noon of a day", "days", "db-%F.dump", "2024-12-10T12:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "the newest is 'db-2024-12-10.dump' (2024-12-10T00:00:00Z)"},
        {"exact in sub-folders", "tree", "%Y/%m/%d/db.dump", "2024-12-11T00:00:00Z", CATALOG_EXACT,
         0, RR_OK, "2024/12/11/db.dump"},
        {"between two", "prod", RFC_NAME, "2024-12-10T01:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND,
         "2024-12-10T01:00:00Z|'2024-12-10T00:00:00Z.dump'|before "
         "it|'2024-12-10T06:00:00Z.dump'|after it"},
        {"exact, a folder", "dirs", "%F/", "2024-12-10T00:00:00Z", CATALOG_EXACT, 0, RR_OK,
         "2024-12-10/"},
        {"exact, a folder below folders", "deep", "%Y/%m/%d/", "2024-12-01T00:00:00Z",
         CATALOG_EXACT, 0, RR_OK, "2024/12/01/"},
        {"a folder before", "dirs", "%F/", "2024-12-09T12:00:00Z", CATALOG_AT_OR_BEFORE, 0, RR_OK,
         "2024-12-08/"},
        {"a folder before, of last month", "deep", "%Y/%m/%d/", "2024-11-30T12:00:00Z",
         CATALOG_AT_OR_BEFORE, 86400, RR_OK, "2024/11/30/"},
        {"a file is no folder", "dirs", "%F/", "2024-12-11T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "the newest is '2024-12-10/' (2024-12-10T00:00:00Z)"},
        {"no folder at all", "prod", "%F/", "2024-12-11T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "none of the|'%F/'"},
        {"a nanosecond off", "prod", RFC_NAME, "2024-12-10T00:00:00.000000001Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "'2024-12-10T00:00:00Z.dump'|before it"},
        {"before all", "prod", RFC_NAME, "2020-01-01T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "the oldest is '2024-12-08T00:00:00Z.dump'"},
        {"after all", "prod", RFC_NAME, "2025-01-01T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "the newest is '2024-12-14T00:00:00Z.dump'"},
        {"a folder is no backup", "prod", RFC_NAME, "2024-12-12T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "no backup of"},
        {"a pipe is no backup", "prod", RFC_NAME, "2024-12-13T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "no backup of"},
        {"a dangling link is no backup", "prod", RFC_NAME, "2024-12-15T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "no backup of"},
        {"an upload under way is no backup", "prod", RFC_NAME, "2024-12-11T00:00:00Z",
         CATALOG_EXACT, 0, ERR_BACKUP_NOT_FOUND, "no backup of"},
        {"two of one instant", "zones", "%F %T%z", "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_AMBIGUOUS, "'2024-12-10 00:00:00Z'|'2024-12-10 01:00:00+0100'"},
        {"two of another instant do not matter", "zones", "%F %T%z", "2024-12-11T00:00:00Z",
         CATALOG_EXACT, 0, RR_OK, "2024-12-11 01:00:00+01:00"},
        {"at", "prod", RFC_NAME, "2024-12-10T00:00:00Z", CATALOG_AT_OR_BEFORE, DAY_S, RR_OK,
         "2024-12-10T00:00:00Z.dump"},
        {"before", "prod", RFC_NAME, "2024-12-10T05:59:59Z", CATALOG_AT_OR_BEFORE, DAY_S, RR_OK,
         "2024-12-10T00:00:00Z.dump"},
        {"before, in another month", "prod", RFC_NAME, "2025-01-01T00:00:00Z", CATALOG_AT_OR_BEFORE,
         30 * DAY_S, RR_OK, "2024-12-14T00:00:00Z.dump"},
        {"before, of any age", "prod", RFC_NAME, "2034-01-01T00:00:00Z", CATALOG_AT_OR_BEFORE, 0,
         RR_OK, "2024-12-14T00:00:00Z.dump"},
        {"exactly as old as allowed", "prod", RFC_NAME, "2024-12-15T00:00:00Z",
         CATALOG_AT_OR_BEFORE, DAY_S, RR_OK, "2024-12-14T00:00:00Z.dump"},
        {"a second too old", "prod", RFC_NAME, "2024-12-15T00:00:01Z", CATALOG_AT_OR_BEFORE, DAY_S,
         ERR_BACKUP_TOO_OLD, "'2024-12-14T00:00:00Z.dump'|1d1s older|allows 1d"},
        {"a nanosecond too old", "prod", RFC_NAME, "2024-12-15T00:00:00.000000001Z",
         CATALOG_AT_OR_BEFORE, DAY_S, ERR_BACKUP_TOO_OLD, "1d1s older"},
        {"nothing before", "prod", RFC_NAME, "2024-12-07T23:59:59Z", CATALOG_AT_OR_BEFORE, DAY_S,
         ERR_BACKUP_NOT_FOUND, "no backup at or before|the oldest is '2024-12-08T00:00:00Z.dump'"},
        {"before, two of one instant", "zones", "%F %T%z", "2024-12-10T05:00:00Z",
         CATALOG_AT_OR_BEFORE, DAY_S, ERR_BACKUP_AMBIGUOUS, "same time"},
        {"before the epoch", "prod", RFC_NAME, "1960-01-01T00:00:00Z", CATALOG_AT_OR_BEFORE, DAY_S,
         ERR_BACKUP_NOT_FOUND, "the oldest"},
        {"empty folder", "empty", RFC_NAME, "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "there is nothing in"},
        {"nothing begins so", "strange", "db-%F", "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "there is nothing in|db-%F"},
        {"only less than the beginning", "short", "db-%F", "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "there is nothing in"},
        {"nothing matches", "strange", RFC_NAME, "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_BACKUP_NOT_FOUND, "none of the 2 names|'dump."},
        {"no folder", "none", RFC_NAME, "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_LOCATION_MISSING, "no folder"},
        {"a file", "prod/README", RFC_NAME, "2024-12-10T00:00:00Z", CATALOG_EXACT, 0,
         ERR_LOCATION_MISSING, "not a folder"},
        {"bad pattern", "prod", "%Q", "2024-12-10T00:00:00Z", CATALOG_EXACT, 0, ERR_CONFIG, "'%Q'"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct catalog_options options;
        struct instant desired;
        struct backup backup = {0};
        options_for(&arena, rows[i].folder, rows[i].pattern, &options);
        options.select = rows[i].select;
        options.max_age_s = rows[i].max_age_s;
        assert_int_equal(rfc3339_parse(rows[i].desired, &desired, &err), RR_OK);
        enum errc code = catalog_select(&options, desired, &arena, &backup, &err);
        if (code != rows[i].code)
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        if (code == RR_OK) {
            assert_string_equal(backup.name, rows[i].answer);
            assert_string_equal(backup.url, backup.object.url);
            continue;
        }
        char parts[300];
        snprintf(parts, sizeof parts, "%s", rows[i].answer);
        for (char *part = strtok(parts, "|"); part; part = strtok(NULL, "|"))
            if (!strstr(err.text, part))
                fail_msg("%s: '%s' does not say '%s'", rows[i].name, err.text, part);
    }
}

/* As somebody who may not read everything: root may. */
static enum errc list_as_nobody(const struct folder *folder, size_t *ret_count)
{
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct catalog_options options = {.name_pattern = "%Y/%m/%d/db.dump"};
    struct backup *backups;
    uid_t uid = geteuid();
    assert_int_equal(location_parse(&arena, folder->path, &options.location, &err), RR_OK);
    assert_int_equal(uid == 0 ? seteuid(65534) : 0, 0);
    enum errc code = catalog_list(&options, &arena, &backups, ret_count, &err);
    assert_int_equal(seteuid(uid), 0);
    return code;
}

/* A sub-folder that may not be read matters only where a backup could be in it. */
static void test_folders_without_permission(void **state)
{
    (void)state;
    struct folder folder;
    size_t count;
    folder_make(&folder);
    folder_write_text(&folder, "2024/12/10/db.dump", "x");
    assert_int_equal(chmod(folder.path, 0755), 0);
    assert_int_equal(mkdir(folder_path(&folder, "lost+found"), 0), 0);
    assert_int_equal(list_as_nobody(&folder, &count), RR_OK);
    assert_int_equal(count, 1);
    assert_int_equal(mkdir(folder_path(&folder, "2025"), 0), 0);
    assert_int_equal(list_as_nobody(&folder, &count), ERR_OBJECT_STORE_DENIED);
    folder_remove(&folder);
}

static void test_a_name_is_shown_escaped(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct catalog_options options;
    struct backup backup;
    options_for(&arena, "odd", "%F", &options);
    assert_int_equal(catalog_select(&options, (struct instant){0}, &arena, &backup, &err),
                     ERR_BACKUP_NOT_FOUND);
    assert_non_null(strstr(err.text, "'a\\'b\\n%2024-12-10'"));
}

static void test_a_cancel_ends_a_listing(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct cancel cancel = {0};
    struct catalog_options options;
    struct backup *backups;
    size_t count;
    cancel_request(&cancel);
    options_for(&arena, "prod", RFC_NAME, &options);
    options.cancel = &cancel;
    assert_int_equal(catalog_list(&options, &arena, &backups, &count, &err), ERR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_complete_and_in_order),
        cmocka_unit_test(test_backups_that_are_folders),
        cmocka_unit_test(test_every_backup_of_a_long_list_is_there),
        cmocka_unit_test(test_the_choice),
        cmocka_unit_test(test_folders_without_permission),
        cmocka_unit_test(test_a_name_is_shown_escaped),
        cmocka_unit_test(test_a_cancel_ends_a_listing),
    };
    return cmocka_run_group_tests_name("backup/catalog", tests, make_root, remove_root);
}
