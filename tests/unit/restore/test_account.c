#include "support.h"

#include "lib/restore/account.h"

static const struct row rows[] = {{1, ENTRY_TABLE, .tag = "a"},
                                  {2, ENTRY_SUBSCRIPTION, .tag = "s"},
                                  {3, ENTRY_INDEX, .tag = "i"}};

struct books {
    struct arena arena;
    struct toc toc;
    struct account account;
};

static void books_guard(struct books *books)
{
    arena_release(&books->arena);
}
#define BOOKS_GUARD __attribute__((cleanup(books_guard)))

static void open_books(struct books *books)
{
    MAKE_TOC(rows, &books->arena, &books->toc);
    account_init(&books->account, &books->toc, &books->arena);
}

static void test_done_and_skipped_together_must_be_all(void **state)
{
    (void)state;
    BOOKS_GUARD struct books books = {0};
    struct error err = ERROR_INIT;
    open_books(&books);
    account_finish(&books.account, 0, SKIP_NONE);
    account_finish(&books.account, 2, SKIP_NONE);
    assert_int_equal(account_check(&books.account, &err), ERR_LOAD);
    assert_non_null(strstr(err.text, "1 of 3"));
    assert_non_null(strstr(err.text, "SUBSCRIPTION 's' (entry 2)"));
    error_clear(&err);
    account_finish(&books.account, 1, SKIP_SUBSCRIPTION);
    assert_int_equal(account_check(&books.account, &err), RR_OK);
    assert_int_equal(books.account.done, 2);
    assert_int_equal(books.account.skipped, 1);
}

static void test_a_failed_entry_is_not_restored(void **state)
{
    (void)state;
    BOOKS_GUARD struct books books = {0};
    struct error err = ERROR_INIT;
    open_books(&books);
    account_finish(&books.account, 0, SKIP_NONE);
    account_finish(&books.account, 1, SKIP_NONE);
    account_fail(&books.account, 2);
    assert_int_equal(account_check(&books.account, &err), ERR_LOAD);
}

static void test_an_entry_booked_twice_is_noticed(void **state)
{
    (void)state;
    BOOKS_GUARD struct books books = {0};
    struct error err = ERROR_INIT;
    open_books(&books);
    for (uint32_t i = 0; i < 3; i++)
        account_finish(&books.account, i, SKIP_NONE);
    account_finish(&books.account, 2, SKIP_NONE);
    assert_int_equal(account_check(&books.account, &err), ERR_BUG);
}

static void test_subscriptions_are_named_to_people_and_settings_are_not(void **state)
{
    (void)state;
    BOOKS_GUARD struct books books = {0};
    const char **texts;
    size_t count;
    open_books(&books);
    account_finish(&books.account, 0, SKIP_SETTINGS);
    account_finish(&books.account, 1, SKIP_SUBSCRIPTION);
    account_notable(&books.account, &books.arena, &texts, &count);
    assert_int_equal(count, 1);
    assert_true(text_has_prefix(texts[0], "SUBSCRIPTION 's' (entry 2): "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_done_and_skipped_together_must_be_all),
        cmocka_unit_test(test_a_failed_entry_is_not_restored),
        cmocka_unit_test(test_an_entry_booked_twice_is_noticed),
        cmocka_unit_test(test_subscriptions_are_named_to_people_and_settings_are_not),
    };
    return cmocka_run_group_tests_name("restore/account", tests, NULL, NULL);
}
