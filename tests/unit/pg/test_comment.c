#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/pg/comment.h"

static void test_our_lines_are_taken_off_and_nothing_else(void **state)
{
    (void)state;
    static const struct {
        const char *comment, *user_text;
    } cases[] = {
        {"", ""},
        {"the shop", "the shop"},
        {"[restore-reconciler] restored from x at y", ""},
        {"the shop\n[restore-reconciler] restored from x at y", "the shop"},
        {"the shop\n\n[restore-reconciler] a\n[restore-reconciler] b", "the shop\n"},
        {"[restore-reconciler] a\nthe shop", "[restore-reconciler] a\nthe shop"},
        {"about [restore-reconciler] runs", "about [restore-reconciler] runs"},
        {"the shop\n", "the shop\n"},
        {"\n[restore-reconciler] a", ""},
        {"[restore-reconciler]", "[restore-reconciler]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_GUARD struct arena arena = {0};
        assert_string_equal(comment_strip(&arena, cases[i].comment), cases[i].user_text);
    }
}

static void test_a_composed_comment_is_recognised_again(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "the shop", "two\nlines", "it's \\ 100%"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ARENA_GUARD struct arena arena = {0};
        const char *once = comment_compose(&arena, texts[i], "restored from s3://b/a\nb at noon");
        assert_null(strstr(once, "a\nb"));
        assert_string_equal(comment_strip(&arena, once), texts[i]);
        assert_string_equal(comment_strip(&arena, comment_compose(&arena, once, "replaced")),
                            texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_our_lines_are_taken_off_and_nothing_else),
        cmocka_unit_test(test_a_composed_comment_is_recognised_again),
    };
    return cmocka_run_group_tests_name("pg/comment", tests, NULL, NULL);
}
