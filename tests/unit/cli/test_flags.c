#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/cli/flags.h"

static const struct flag table[] = {
    {"jobs", 'j', "N", "", "4", false},
    {"state-dir", 0, "DIR", "", NULL, false},
    {"analyze", 'a', NULL, "", NULL, false},
    {.name = NULL},
};

static enum errc parse(struct flags *flags, struct arena *arena, struct error *err, char **words)
{
    int count = 0;
    while (words[count])
        count++;
    *flags = (struct flags){0};
    flags_add(flags, table);
    return flags_parse(flags, arena, count, words, err);
}
#define WORDS(...) ((char **)(uintptr_t)(const char *const[]){"program", __VA_ARGS__, NULL})

static void test_command_line_wins_over_environment_over_default(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct flags flags;
    struct error err = ERROR_INIT;
    assert_int_equal(parse(&flags, &arena, &err, WORDS("archive")), RR_OK);
    assert_string_equal(flags_get(&flags, "jobs"), "4");
    assert_string_equal(flags.arguments[0], "archive");
    setenv("RESTORE_RECONCILER_JOBS", "8", 1);
    setenv("RESTORE_RECONCILER_ANALYZE", "true", 1);
    assert_int_equal(parse(&flags, &arena, &err, WORDS("archive")), RR_OK);
    assert_string_equal(flags_get(&flags, "jobs"), "8");
    assert_true(flags_is_set(&flags, "analyze"));
    assert_int_equal(parse(&flags, &arena, &err, WORDS("-j", "2")), RR_OK);
    assert_string_equal(flags_get(&flags, "jobs"), "2");
    setenv("RESTORE_RECONCILER_ANALYZE", "perhaps", 1);
    assert_int_equal(parse(&flags, &arena, &err, WORDS("x")), ERR_USAGE);
    unsetenv("RESTORE_RECONCILER_JOBS");
    unsetenv("RESTORE_RECONCILER_ANALYZE");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *words[5];
        const char *expected;
    } rows[] = {
        {"unknown", {"p", "--state-dirr", "x"}, "unknown or incomplete flag '--state-dirr'"},
        {"no value", {"p", "--state-dir"}, "unknown or incomplete flag '--state-dir'"},
        {"twice", {"p", "--jobs=1", "--jobs=2"}, "'--jobs' is given twice"},
        {"unknown letter", {"p", "-q"}, "unknown or incomplete flag '-q'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct flags flags;
        struct error err = ERROR_INIT;
        char *words[5];
        memcpy(words, rows[i].words, sizeof words);
        if (parse(&flags, &arena, &err, words) != ERR_USAGE || !strstr(err.text, rows[i].expected))
            fail_msg("%s: %s", rows[i].name, err.text);
    }
}

static void test_counts(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct flags flags;
    struct error err = ERROR_INIT;
    uint64_t value;
    assert_int_equal(parse(&flags, &arena, &err, WORDS("-j", "16")), RR_OK);
    assert_int_equal(flags_get_count(&flags, "jobs", 64, &value, &err), RR_OK);
    assert_int_equal(value, 16);
    assert_int_equal(flags_get_count(&flags, "jobs", 8, &value, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line_wins_over_environment_over_default),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_counts),
    };
    return cmocka_run_group_tests_name("cli/flags", tests, NULL, NULL);
}
