#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/reconcile/values.h"

#define T "2024-12-10T00:00:00Z"
#define T_EAST "2024-12-10T01:00:00+01:00"

static void test_values_of_the_state(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct state_view view;
        enum state_time_kind applied, allow;
        bool has_consent;
        size_t warnings;
        const char *request;
    } rows[] = {
        {"desired alone", {.desired = T}, STATE_TIME_MISSING, STATE_TIME_MISSING, false, 0, ""},
        {"all",
         {.desired = T_EAST, .applied = T, .request = "x", .allow_initial = T},
         STATE_TIME_GIVEN,
         STATE_TIME_GIVEN,
         true,
         0,
         "x"},
        {"consent in another zone",
         {.desired = T, .allow_initial = T_EAST},
         STATE_TIME_MISSING,
         STATE_TIME_GIVEN,
         true,
         0,
         ""},
        {"consent to another time",
         {.desired = T, .allow_initial = "2024-12-09T00:00:00Z"},
         STATE_TIME_MISSING,
         STATE_TIME_GIVEN,
         false,
         0,
         ""},
        {"consent that names no time",
         {.desired = T, .allow_initial = "true"},
         STATE_TIME_MISSING,
         STATE_TIME_MALFORMED,
         false,
         1,
         ""},
        {"consent without a zone",
         {.desired = T, .allow_initial = "2024-12-10T00:00:00"},
         STATE_TIME_MISSING,
         STATE_TIME_MALFORMED,
         false,
         1,
         ""},
        {"both malformed",
         {.desired = T, .applied = "x", .allow_initial = "y"},
         STATE_TIME_MALFORMED,
         STATE_TIME_MALFORMED,
         false,
         2,
         ""},
        {"empty is missing",
         {.desired = T, .applied = "", .request = "", .allow_initial = "", .take_over = ""},
         STATE_TIME_MISSING,
         STATE_TIME_MISSING,
         false,
         0,
         ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct state_values v;
        if (state_values_parse(&rows[i].view, &arena, &v, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        if (v.last_applied.kind != rows[i].applied || v.allow_initial.kind != rows[i].allow ||
            v.has_consent != rows[i].has_consent || v.warning_count != rows[i].warnings ||
            strcmp(v.key.request, rows[i].request) != 0 || v.take_over)
            fail_msg("%s", rows[i].name);
        assert_string_equal(v.key.desired_text, T);
    }
}

static void test_a_state_without_a_usable_desired_time_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {NULL,
                                        "",
                                        "2024-12-10",
                                        "latest",
                                        T " soon",
                                        " " T "",
                                        "99999-12-10T00:00:00Z",
                                        "2024-12-10T00:00:00"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct state_view view = {.desired = texts[i], .applied = T};
        struct state_values v;
        assert_int_equal(state_values_parse(&view, &arena, &v, &err), ERR_CONFIG);
        assert_non_null(strstr(err.text, "desiredBackupTimestamp"));
        assert_non_null(strstr(err.hint, T));
    }
}

static void test_keys_compare_by_instant_and_request(void **state)
{
    (void)state;
    struct restore_key key = {.desired = {.seconds = 1733788800}, .request = "x"};
    struct restore_key none = {.desired = {.seconds = 1733788800}, .request = ""};
    struct restore_key null = {.desired = {.seconds = 1733788800}, .request = NULL};
    assert_true(key_equals(&key, &key) && key_equals(&none, &null));
    assert_false(key_equals(&key, &none));
    assert_true(key_equals_text(&key, T, "x") && key_equals_text(&key, T_EAST, "x"));
    assert_true(key_equals_text(&none, T, NULL) && key_equals_text(&null, T, ""));
    assert_false(key_equals_text(&key, T, "X"));
    assert_false(key_equals_text(&key, T, NULL));
    assert_false(key_equals_text(&key, "2024-12-10T00:00:00.5Z", "x"));
    assert_false(key_equals_text(&key, NULL, "x"));
    assert_false(key_equals_text(&key, "", "x"));
    assert_false(key_equals_text(&key, "2024-12-10T00:00:00", "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_of_the_state),
        cmocka_unit_test(test_a_state_without_a_usable_desired_time_is_refused),
        cmocka_unit_test(test_keys_compare_by_instant_and_request),
    };
    return cmocka_run_group_tests_name("reconcile/values", tests, NULL, NULL);
}
