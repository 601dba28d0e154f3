#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <cmocka.h>

#include "lib/restore/queue.h"

enum { ITEMS = 2000, GIVERS = 3 };

static void *give_many(void *context)
{
    struct queue *queue = context;
    for (int i = 1; i <= ITEMS; i++)
        if (!queue_put(queue, &i))
            return NULL;
    return NULL;
}

static void test_everything_given_is_taken_once_through_a_small_queue(void **state)
{
    (void)state;
    struct queue *queue = queue_new(sizeof(int), 2);
    pthread_t givers[GIVERS];
    long sum = 0;
    for (int i = 0; i < GIVERS; i++)
        assert_int_equal(pthread_create(&givers[i], NULL, give_many, queue), 0);
    for (int i = 0, item; i < GIVERS * ITEMS; i++) {
        assert_true(queue_take(queue, &item));
        sum += item;
    }
    for (int i = 0; i < GIVERS; i++)
        pthread_join(givers[i], NULL);
    assert_int_equal(sum, (long)GIVERS * ITEMS * (ITEMS + 1) / 2);
    queue_free(queue);
}

static void test_order_is_kept_and_waiting_ends(void **state)
{
    (void)state;
    struct queue *queue = queue_new(sizeof(int), 3);
    int item = 0;
    assert_false(queue_take_within(queue, &item, 20));
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 3; i++)
            assert_true(queue_put(queue, &i));
        for (int i = 0; i < 3; i++) {
            assert_true(queue_take_within(queue, &item, 1000));
            assert_int_equal(item, i);
        }
    }
    queue_free(queue);
}

static void test_a_closed_queue_gives_what_it_has_and_takes_no_more(void **state)
{
    (void)state;
    struct queue *queue = queue_new(sizeof(int), 3);
    int item = 5;
    assert_true(queue_put(queue, &item));
    queue_close(queue);
    assert_false(queue_put(queue, &item));
    item = 0;
    assert_true(queue_take(queue, &item));
    assert_int_equal(item, 5);
    assert_false(queue_take(queue, &item));
    assert_false(queue_take_within(queue, &item, 60000));
    queue_free(queue);
}

static void test_closing_wakes_a_giver_that_waits_for_room(void **state)
{
    (void)state;
    struct queue *queue = queue_new(sizeof(int), 1);
    pthread_t giver;
    int item;
    assert_int_equal(pthread_create(&giver, NULL, give_many, queue), 0);
    assert_true(queue_take(queue, &item));
    queue_close(queue);
    pthread_join(giver, NULL);
    queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_given_is_taken_once_through_a_small_queue),
        cmocka_unit_test(test_order_is_kept_and_waiting_ends),
        cmocka_unit_test(test_a_closed_queue_gives_what_it_has_and_takes_no_more),
        cmocka_unit_test(test_closing_wakes_a_giver_that_waits_for_room),
    };
    return cmocka_run_group_tests_name("restore/queue", tests, NULL, NULL);
}
