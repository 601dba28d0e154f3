#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/arena.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/retry.h"
#include "lib/base/source.h"

/* A clock that only sleeping moves. */
struct fake_clock {
    struct clock base;
    uint64_t now_ms;
    uint64_t slept[20];
    unsigned sleeps;
};

static uint64_t fake_boottime(const struct clock *clock)
{
    return ((const struct fake_clock *)clock->context)->now_ms;
}

static void fake_sleep(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    (void)cancel;
    struct fake_clock *fake = clock->context;
    fake->slept[fake->sleeps++] = ms;
    fake->now_ms += ms;
}

static void fake_init(struct fake_clock *fake)
{
    *fake = (struct fake_clock){.base = {.boottime_ms = fake_boottime, .sleep_ms = fake_sleep}};
    fake->base.context = fake;
}

struct script {
    const enum errc *codes;
    unsigned calls;
    uint64_t ask_ms;
    struct cancel *cancel_at_first;
};

static enum errc play(void *context, struct retry *retry, struct error *err)
{
    struct script *script = context;
    enum errc code = script->codes[script->calls++];
    if (script->cancel_at_first)
        cancel_request(script->cancel_at_first);
    if (script->ask_ms)
        retry_ask_pause(retry, script->ask_ms);
    return code ? error_set(err, code, "cause %u", script->calls) : RR_OK;
}

static const struct retry_policy policy = {
    .attempts = 4, .first_pause_ms = 100, .max_pause_ms = 300};

static void test_pauses_double_up_to_the_most_and_both_causes_are_kept(void **state)
{
    (void)state;
    struct fake_clock clock;
    fake_init(&clock);
    struct script script = {
        .codes = (const enum errc[]){ERR_NETWORK, ERR_NETWORK, ERR_NETWORK, ERR_TIMEOUT}};
    struct error err = ERROR_INIT;
    assert_int_equal(retry_run(&policy, &clock.base, NULL, play, &script, &err), ERR_TIMEOUT);
    assert_int_equal(clock.sleeps, 3);
    assert_int_equal(clock.slept[0], 100);
    assert_int_equal(clock.slept[1], 200);
    assert_int_equal(clock.slept[2], 300);
    assert_string_equal(err.text, "cause 4 (tried 4 times; the first time: cause 1)");
}

static void test_a_lasting_error_is_not_tried_again(void **state)
{
    (void)state;
    struct fake_clock clock;
    fake_init(&clock);
    struct script script = {.codes = (const enum errc[]){ERR_CONFIG}};
    struct error err = ERROR_INIT;
    assert_int_equal(retry_run(&policy, &clock.base, NULL, play, &script, &err), ERR_CONFIG);
    assert_int_equal(script.calls, 1);
    assert_string_equal(err.text, "cause 1");
}

static void test_success_leaves_the_slot_empty(void **state)
{
    (void)state;
    struct fake_clock clock;
    fake_init(&clock);
    struct script script = {.codes = (const enum errc[]){ERR_NETWORK, RR_OK}};
    struct error err = ERROR_INIT;
    assert_int_equal(retry_run(&policy, &clock.base, NULL, play, &script, &err), RR_OK);
    assert_int_equal(err.code, RR_OK);
}

static void test_a_pause_that_the_peer_asks_for_is_bounded(void **state)
{
    (void)state;
    struct fake_clock clock;
    fake_init(&clock);
    struct script script = {.codes = (const enum errc[]){ERR_HTTP, RR_OK}, .ask_ms = 100000};
    struct error err = ERROR_INIT;
    assert_int_equal(retry_run(&policy, &clock.base, NULL, play, &script, &err), RR_OK);
    assert_int_equal(clock.slept[0], 300);
}

static void test_total_time_ends_it(void **state)
{
    (void)state;
    struct fake_clock clock;
    fake_init(&clock);
    struct retry_policy bounded = policy;
    bounded.total_ms = 250;
    struct script script = {.codes = (const enum errc[]){ERR_NETWORK, ERR_NETWORK, RR_OK}};
    struct error err = ERROR_INIT;
    assert_int_equal(retry_run(&bounded, &clock.base, NULL, play, &script, &err), ERR_NETWORK);
    assert_int_equal(script.calls, 2);
}

static void test_cancel_during_the_pause(void **state)
{
    (void)state;
    struct fake_clock clock;
    fake_init(&clock);
    struct cancel cancel = {0};
    struct script script = {.codes = (const enum errc[]){ERR_NETWORK, RR_OK},
                            .cancel_at_first = &cancel};
    struct error err = ERROR_INIT;
    assert_int_equal(retry_run(&policy, &clock.base, &cancel, play, &script, &err), ERR_CANCELLED);
    assert_int_equal(script.calls, 1);
}

static void test_cancel_of_a_parent_counts(void **state)
{
    (void)state;
    struct cancel parent = {0}, child = {.parent = &parent};
    assert_false(cancel_is_requested(&child));
    cancel_request(&parent);
    assert_true(cancel_is_requested(&child));
    assert_false(cancel_is_requested(NULL));
}

static void test_reading_past_the_end_of_a_source_is_corruption(void **state)
{
    (void)state;
    SOURCE_GUARD struct source *source = source_from_memory("0123456789", 10, "memory");
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    struct error err = ERROR_INIT;
    char buffer[10];
    assert_int_equal(source_reader_open(source, NULL, &reader, &err), RR_OK);
    assert_int_equal(source_read(reader, 8, buffer, 2, &err), RR_OK);
    assert_memory_equal(buffer, "89", 2);
    assert_int_equal(source_read(reader, 8, buffer, 3, &err), ERR_ARCHIVE_CORRUPT);
    error_clear(&err);
    assert_int_equal(source_read(reader, UINT64_MAX, buffer, 2, &err), ERR_ARCHIVE_CORRUPT);
}

static void test_arena_gives_zeroed_memory_that_stays(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    char *first = arena_strdup(&arena, "first");
    for (size_t i = 1; i < 200000; i = i * 3 + 1) {
        unsigned char *p = arena_alloc(&arena, i);
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[k], 0);
        memset(p, 0xff, i);
    }
    assert_string_equal(first, "first");
    assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    assert_null(arena_strdup(&arena, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_double_up_to_the_most_and_both_causes_are_kept),
        cmocka_unit_test(test_a_lasting_error_is_not_tried_again),
        cmocka_unit_test(test_success_leaves_the_slot_empty),
        cmocka_unit_test(test_a_pause_that_the_peer_asks_for_is_bounded),
        cmocka_unit_test(test_total_time_ends_it),
        cmocka_unit_test(test_cancel_during_the_pause),
        cmocka_unit_test(test_cancel_of_a_parent_counts),
        cmocka_unit_test(test_reading_past_the_end_of_a_source_is_corruption),
        cmocka_unit_test(test_arena_gives_zeroed_memory_that_stays),
    };
    return cmocka_run_group_tests_name("base/retry, cancel, source, arena", tests, NULL, NULL);
}
