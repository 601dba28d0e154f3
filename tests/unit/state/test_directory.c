#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/state/directory.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/rr-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void put(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct store *open_store(void)
{
    struct store *store = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(directory_open(folder, "restore-state", &store, &err), RR_OK);
    return store;
}

#define STATE "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\ndata:\n"

static void test_what_was_published_wins_over_the_users_file(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STORE_GUARD struct store *store = open_store();
    struct error err = ERROR_INIT;
    struct state_view view;
    put("restore-state.yaml", STATE "  desiredBackupTimestamp: \"2024-12-10T00:00:00Z\"\n"
                                    "  lastAppliedTimestamp: \"2020-01-01T00:00:00Z\"\n"
                                    "  restore.yaml: |\n    database: app\n");
    assert_int_equal(store_read(store, &arena, &view, &err), RR_OK);
    assert_string_equal(view.applied, "2020-01-01T00:00:00Z");
    assert_string_equal(view.spec_text, "database: app\n");
    assert_int_equal(view.spec_first_line, 8);
    assert_int_equal(store_publish(store, "2020-01-01T00:00:00Z", "2024-12-10T00:00:00Z", &err),
                     RR_OK);
    assert_int_equal(store_read(store, &arena, &view, &err), RR_OK);
    assert_string_equal(view.applied, "2024-12-10T00:00:00Z");
    assert_string_equal(view.applied_manager, "restore-state.applied.yaml");
}

static void test_publish_is_compare_and_swap(void **state)
{
    (void)state;
    STORE_GUARD struct store *store = open_store();
    struct error err = ERROR_INIT;
    put("restore-state.yaml", STATE "  desiredBackupTimestamp: \"2024-12-10T00:00:00Z\"\n");
    assert_int_equal(store_publish(store, "2020-01-01T00:00:00Z", "x", &err), ERR_CONFLICT);
    error_clear(&err);
    assert_int_equal(store_publish(store, NULL, "x", &err), RR_OK);
    assert_int_equal(store_publish(store, NULL, "y", &err), ERR_CONFLICT);
}

static void test_bad_states(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *expected;
        enum errc code;
    } rows[] = {
        {"empty", "", "holds no ConfigMap", ERR_CONFIG},
        {"a list", "- a\n", "holds no ConfigMap", ERR_CONFIG},
        {"no data", "kind: ConfigMap\n", "has no 'data'", ERR_CONFIG},
        {"data is a list", "data: [a]\n", "1:7", ERR_CONFIG},
        {"another kind", "kind: Secret\ndata: {}\n", "1:7: 'kind' must be 'ConfigMap'", ERR_CONFIG},
        {"a number", STATE "  restoreRequest: 7\n", "6:19: 'restoreRequest' must be a string",
         ERR_CONFIG},
        {"misspelled", STATE "  desiredBackupTimestmap: x\n",
         "did you mean 'desiredBackupTimestamp'", ERR_CONFIG},
        {"not YAML", "data: {\n", "restore-state.yaml", ERR_CONFIG},
        {"twice", STATE "  takeOver: a\n  takeOver: b\n", "7:3", ERR_CONFIG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        STORE_GUARD struct store *store = open_store();
        struct error err = ERROR_INIT;
        struct state_view view;
        put("restore-state.yaml", rows[i].text);
        if (store_read(store, &arena, &view, &err) != rows[i].code ||
            !strstr(err.text, rows[i].expected))
            fail_msg("%s: %s: %s", rows[i].name, errc_name(err.code), err.text);
    }
}

static void test_a_missing_state_says_where_it_was_looked_for(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STORE_GUARD struct store *store = open_store();
    struct error err = ERROR_INIT;
    struct state_view view;
    char path[200];
    snprintf(path, sizeof path, "%s/restore-state.yaml", folder);
    unlink(path);
    assert_int_equal(store_read(store, &arena, &view, &err), ERR_STATE_MISSING);
    assert_non_null(strstr(err.text, path));
    struct store *none = NULL;
    error_clear(&err);
    assert_int_equal(directory_open("/no/such/folder", "restore-state", &none, &err),
                     ERR_STATE_MISSING);
    error_clear(&err);
    assert_int_equal(directory_open(folder, "../etc/passwd", &none, &err), ERR_USAGE);
}

static void test_a_state_that_is_too_large_is_refused(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STORE_GUARD struct store *store = open_store();
    struct error err = ERROR_INIT;
    struct state_view view;
    char *big = malloc(1200000);
    memset(big, '#', 1199999);
    big[1199999] = '\0';
    put("restore-state.yaml", big);
    free(big);
    assert_int_equal(store_read(store, &arena, &view, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "larger than 1048576 bytes"));
}

static void test_journal_is_compare_and_swap_and_comes_back_as_written(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STORE_GUARD struct store *store = open_store();
    struct error err = ERROR_INIT;
    struct journal_data journal, stale;
    assert_int_equal(store_journal_read(store, &arena, &journal, &err), RR_OK);
    assert_false(journal.exists);
    stale = journal;
    journal.names = (const char *[]){"phase", "message"};
    journal.values = (const char *[]){"Stage", "a \"quoted\"\nline"};
    journal.count = 2;
    assert_int_equal(store_journal_write(store, &journal, &err), RR_OK);
    assert_int_equal(store_journal_write(store, &stale, &err), ERR_CONFLICT);
    error_clear(&err);
    assert_int_equal(store_journal_write(store, &journal, &err), RR_OK);
    assert_int_equal(store_journal_read(store, &arena, &journal, &err), RR_OK);
    assert_int_equal(journal.count, 2);
    assert_string_equal(journal.values[1], "a \"quoted\"\nline");
}

static void test_a_journal_that_is_not_ours_is_never_overwritten(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "{",
                                       "[]",
                                       "{\"version\":1}",
                                       "{\"version\":\"1\",\"data\":{}}",
                                       "{\"version\":-1,\"data\":{}}",
                                       "{\"version\":1,\"data\":{\"a\":1}}"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        STORE_GUARD struct store *store = open_store();
        struct error err = ERROR_INIT;
        struct journal_data journal = {.exists = true, .version = 1};
        put("restore-state.journal.json", rows[i]);
        if (store_journal_write(store, &journal, &err) != ERR_JOURNAL_CORRUPT)
            fail_msg("%s: %s", rows[i], err.text);
    }
}

static void test_the_lock_is_held_by_one(void **state)
{
    (void)state;
    STORE_GUARD struct store *first = open_store();
    struct store *second = open_store();
    struct error err = ERROR_INIT;
    bool is_held = false;
    assert_int_equal(store_lock(first, &is_held, &err), RR_OK);
    assert_true(is_held);
    assert_int_equal(store_lock(second, &is_held, &err), RR_OK);
    assert_false(is_held);
    assert_int_equal(store_lock(first, &is_held, &err), RR_OK);
    assert_true(is_held);
    assert_string_equal(first->ref, second->ref);
    store_close(second);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_what_was_published_wins_over_the_users_file),
        IN_FOLDER(test_publish_is_compare_and_swap),
        IN_FOLDER(test_bad_states),
        IN_FOLDER(test_a_missing_state_says_where_it_was_looked_for),
        IN_FOLDER(test_a_state_that_is_too_large_is_refused),
        IN_FOLDER(test_journal_is_compare_and_swap_and_comes_back_as_written),
        IN_FOLDER(test_a_journal_that_is_not_ours_is_never_overwritten),
        IN_FOLDER(test_the_lock_is_held_by_one),
    };
    return cmocka_run_group_tests_name("state/directory", tests, NULL, NULL);
}
