#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/error.h"

static void test_every_code_has_a_reason_of_its_own(void **state)
{
    (void)state;
    for (int i = 1; i < ERRC_COUNT; i++)
        assert_int_equal(errc_from_reason(errc_reason((enum errc)i)), i);
    assert_int_equal(errc_from_reason("NoSuchReason"), ERRC_COUNT);
}

static void test_wrap_puts_the_outer_room_first_and_keeps_the_cause(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(error_set(&err, ERR_NETWORK, "no answer from %s", "peer"), ERR_NETWORK);
    assert_int_equal(error_wrap(&err, "backup '%s'", "x"), ERR_NETWORK);
    assert_string_equal(err.text, "backup 'x': no answer from peer");
    error_hint(&err, "first");
    error_hint(&err, "second");
    assert_string_equal(err.hint, "first");
}

static void test_long_texts_are_cut_and_stay_terminated(void **state)
{
    (void)state;
    char big[3000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    struct error err = ERROR_INIT;
    error_set(&err, ERR_SQL, "%s", big);
    error_wrap(&err, "%s", big);
    assert_int_equal(strlen(err.text), ERROR_TEXT_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_reason_of_its_own),
        cmocka_unit_test(test_wrap_puts_the_outer_room_first_and_keeps_the_cause),
        cmocka_unit_test(test_long_texts_are_cut_and_stay_terminated),
    };
    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
