#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/restore/progress.h"

static void test_bytes_under_way_count_and_finished_entries_count_whole(void **state)
{
    (void)state;
    struct progress progress;
    progress_init(&progress, 1000, 800, 4);
    assert_int_equal(progress_now(&progress, "data", false).percent, 0);
    progress_add(&progress, 0, 500, 100, 7);
    progress_add(&progress, 1, 300, 100, 1);
    struct load_progress now = progress_now(&progress, "data", false);
    assert_int_equal(now.percent, 20);
    assert_int_equal(now.bytes_done, 200);
    assert_int_equal(now.rows, 8);
    progress_finish(&progress, 0, 500);
    now = progress_now(&progress, "data", false);
    assert_int_equal(now.percent, 60);
    assert_int_equal(now.entries_done, 1);
}

static void test_a_repeated_entry_neither_overflows_nor_goes_back(void **state)
{
    (void)state;
    struct progress progress;
    progress_init(&progress, 1000, 400, 2);
    for (int i = 0; i < 10; i++)
        progress_add(&progress, 0, 400, 100, 1);
    struct load_progress now = progress_now(&progress, "data", false);
    assert_int_equal(now.percent, 40);
    assert_int_equal(now.bytes_done, 400);
    progress.in_flight[0] = 0;
    assert_int_equal(progress_now(&progress, "data", false).percent, 40);
}

static void test_only_the_end_is_a_hundred(void **state)
{
    (void)state;
    struct progress progress;
    progress_init(&progress, 1000, 0, 1);
    progress_finish(&progress, 0, 5000);
    assert_int_equal(progress_now(&progress, "analyze", false).percent, 99);
    assert_int_equal(progress_now(&progress, "analyze", true).percent, 100);
}

static void test_an_archive_of_nothing_divides_by_nothing(void **state)
{
    (void)state;
    struct progress progress;
    progress_init(&progress, 0, 0, 0);
    assert_int_equal(progress_now(&progress, "pre-data", false).percent, 0);
    assert_int_equal(progress_now(&progress, "analyze", true).percent, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_under_way_count_and_finished_entries_count_whole),
        cmocka_unit_test(test_a_repeated_entry_neither_overflows_nor_goes_back),
        cmocka_unit_test(test_only_the_end_is_a_hundred),
        cmocka_unit_test(test_an_archive_of_nothing_divides_by_nothing),
    };
    return cmocka_run_group_tests_name("restore/progress", tests, NULL, NULL);
}
