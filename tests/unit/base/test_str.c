#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/str.h"

static void test_append_past_the_limit_is_cut_and_said(void **state)
{
    (void)state;
    STR_GUARD struct str s = STR_INIT(5);
    struct error err = ERROR_INIT;
    str_append(&s, "abc");
    assert_int_equal(str_check(&s, "text", &err), RR_OK);
    str_append(&s, "defg");
    str_append(&s, "h");
    assert_string_equal(str_text(&s), "abcde");
    assert_int_equal(str_check(&s, "text", &err), ERR_TOO_LARGE);
    assert_string_equal(err.text, "text is longer than 5 bytes");
}

static void test_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        size_t max;
        const char *expected;
    } rows[] = {
        {"plain", "users", 100, "'users'"},
        {"null", NULL, 100, "(null)"},
        {"quote and backslash", "a'b\\c", 100, "'a\\'b\\\\c'"},
        {"newline cannot forge a log line", "a\nlevel=error", 100, "'a\\nlevel=error'"},
        {"terminal escape", "\x1b[2J", 100, "'\\x1b[2J'"},
        {"utf-8 stays", "straße", 100, "'straße'"},
        {"broken utf-8", "a\xff", 100, "'a\\xff'"},
        {"overlong utf-8", "\xc0\xaf", 100, "'\\xc0\\xaf'"},
        {"right-to-left override", "\xe2\x80\xae", 100, "'\\xe2\\x80\\xae'"},
        {"cut", "abcdef", 3, "'abc...'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        STR_GUARD struct str s = STR_INIT(1000);
        str_append_quoted(&s, rows[i].text, rows[i].max);
        if (strcmp(str_text(&s), rows[i].expected) != 0)
            fail_msg("%s: %s", rows[i].name, str_text(&s));
    }
}

static void test_json(void **state)
{
    (void)state;
    STR_GUARD struct str s = STR_INIT(1000);
    str_append_json(&s, "a\"b\\c\n\x01\xffé");
    str_append_json(&s, NULL);
    assert_string_equal(str_text(&s), "\"a\\\"b\\\\c\\n\\u0001\\ufffdé\"null");
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_true(text_to_u64("18446744073709551615", UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    static const char *const bad[] = {"",   "-1", "+1",  " 1",
                                      "1 ", "1x", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (text_to_u64(bad[i], UINT64_MAX, &value))
            fail_msg("'%s' was taken for a number", bad[i]);
    assert_false(text_to_u64("11", 10, &value));
    assert_false(text_to_u64(NULL, 10, &value));
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"database", "backups", "keepPrevious", NULL};
    assert_string_equal(text_nearest("databse", words), "database");
    assert_string_equal(text_nearest("keepprevious", words), "keepPrevious");
    assert_null(text_nearest("zzz", words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_past_the_limit_is_cut_and_said),
        cmocka_unit_test(test_quoted),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
