#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/reconcile/undo.h"

#define BACKENDS                                                                                   \
    "[{\"path\":\"/spec/defaultBackend\",\"backend\":{\"service\":{\"name\":\"web\"}}}]"
#define SERVICE "{\"service\":{\"name\":\"sorry\",\"port\":{\"number\":80}}}"

static void test_what_is_rendered_is_read_again(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES);
    STR_GUARD struct str again = STR_INIT(LIMIT_JOURNAL_BYTES);
    struct error err = ERROR_INIT;
    struct undo_list list = {0}, read = {0};
    const struct undo entries[] = {
        {.kind = UNDO_INGRESS, .name = "web", .service = SERVICE, .backends = BACKENDS},
        {.kind = UNDO_SCALE, .pre_step = 1, .name = "web", .replicas = 3},
        {.kind = UNDO_SCALE,
         .pre_step = 1,
         .workload = WORKLOAD_STATEFUL_SET,
         .name = "web",
         .replicas = 0},
        {.kind = UNDO_SQL, .pre_step = 2, .sql = "SELECT 'a\\b\"\n'"},
    };
    for (size_t i = 0; i < 20; i++) /* more than a first allocation */
        undo_add(&arena, &list, &entries[i % 4]);
    undo_render(&list, &text);
    assert_int_equal(undo_parse(&arena, str_text(&text), &read, &err), RR_OK);
    assert_int_equal(read.count, 20);
    assert_string_equal(read.items[0].service, SERVICE);
    assert_string_equal(read.items[0].backends, BACKENDS);
    assert_string_equal(read.items[3].sql, entries[3].sql);
    assert_int_equal(read.items[3].pre_step, 2);
    assert_int_equal(undo_find(&read, UNDO_SCALE, WORKLOAD_DEPLOYMENT, "web")->replicas, 3);
    assert_int_equal(undo_find(&read, UNDO_SCALE, WORKLOAD_STATEFUL_SET, "web")->replicas, 0);
    assert_null(undo_find(&read, UNDO_SCALE, WORKLOAD_DEPLOYMENT, "api"));
    assert_int_equal(undo_find(&read, UNDO_INGRESS, 0, "web")->kind, UNDO_INGRESS);
    undo_render(&read, &again);
    assert_string_equal(str_text(&again), str_text(&text));
}

static void test_what_is_done_is_left_out(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES);
    struct undo_list list = {0};
    const struct undo sql = {.kind = UNDO_SQL, .sql = "SELECT 1"};
    undo_render(&list, &text);
    assert_string_equal(str_text(&text), "");
    undo_add(&arena, &list, &sql);
    undo_add(&arena, &list, &sql);
    list.items[0].is_done = true;
    undo_render(&list, &text);
    assert_string_equal(str_text(&text), "[{\"preStep\":0,\"sql\":\"SELECT 1\"}]");
    list.items[1].is_done = true;
    str_clear(&text);
    undo_render(&list, &text);
    assert_string_equal(str_text(&text), "");
}

static void test_lists_of_earlier_versions_are_read(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct undo_list list = {0};
    assert_int_equal(
        undo_parse(&arena, "[{\"preStep\":\"3\",\"sql\":\"a\"},{\"sql\":\"b\"}]", &list, &err),
        RR_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].pre_step, 3);
    assert_string_equal(list.items[1].sql, "b");
}

static void test_what_is_no_list_of_ours_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"no JSON", "scale web to 3"},
        {"cut off", "[{\"sql\":\"a\"}"},
        {"no list", "{\"sql\":\"a\"}"},
        {"a number", "7"},
        {"entry a text", "[\"a\"]"},
        {"entry empty", "[{}]"},
        {"statement a number", "[{\"sql\":1}]"},
        {"unknown entry", "[{\"preStep\":1,\"route\":{\"name\":\"web\"}}]"},
        {"scale without a name", "[{\"scale\":{\"kind\":\"Deployment\",\"replicas\":3}}]"},
        {"scale of nobody", "[{\"scale\":{\"kind\":\"Deployment\",\"name\":\"\",\"replicas\":3}}]"},
        {"scale without replicas", "[{\"scale\":{\"kind\":\"Deployment\",\"name\":\"web\"}}]"},
        {"replicas a text",
         "[{\"scale\":{\"kind\":\"Deployment\",\"name\":\"web\",\"replicas\":\"3\"}}]"},
        {"replicas below nothing",
         "[{\"scale\":{\"kind\":\"Deployment\",\"name\":\"web\",\"replicas\":-1}}]"},
        {"another kind", "[{\"scale\":{\"kind\":\"DaemonSet\",\"name\":\"web\",\"replicas\":3}}]"},
        {"scale a list", "[{\"scale\":[]}]"},
        {"Ingress without backends", "[{\"ingress\":{\"name\":\"web\",\"service\":\"{}\"}}]"},
        {"backends a text",
         "[{\"ingress\":{\"name\":\"web\",\"service\":\"{}\",\"backends\":\"[]\"}}]"},
        {"Ingress without service", "[{\"ingress\":{\"name\":\"web\",\"backends\":[]}}]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct undo_list list = {0};
        if (undo_parse(&arena, rows[i].text, &list, &err) != ERR_JOURNAL_CORRUPT || list.count)
            fail_msg("%s: %zu entries, '%s'", rows[i].name, list.count, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_rendered_is_read_again),
        cmocka_unit_test(test_what_is_done_is_left_out),
        cmocka_unit_test(test_lists_of_earlier_versions_are_read),
        cmocka_unit_test(test_what_is_no_list_of_ours_is_refused),
    };
    return cmocka_run_group_tests_name("reconcile/undo", tests, NULL, NULL);
}
