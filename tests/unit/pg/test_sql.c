#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/pg/sql.h"

static void test_identifiers_and_literals_are_quoted_whatever_they_hold(void **state)
{
    (void)state;
    static const struct {
        const char *text, *identifier, *literal;
    } cases[] = {
        {"app", "\"app\"", "'app'"},
        {"", "\"\"", "''"},
        {"a\"b", "\"a\"\"b\"", "'a\"b'"},
        {"it's", "\"it's\"", "'it''s'"},
        {"a\\b", "\"a\\b\"", "E'a\\\\b'"},
        {"\\'", "\"\\'\"", "E'\\\\'''"},
        {"100%s\n", "\"100%s\n\"", "'100%s\n'"},
        {"$$;--", "\"$$;--\"", "'$$;--'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_GUARD struct arena arena = {0};
        assert_string_equal(sql_identifier(&arena, cases[i].text), cases[i].identifier);
        assert_string_equal(sql_literal(&arena, cases[i].text), cases[i].literal);
    }
    ARENA_GUARD struct arena arena = {0};
    assert_string_equal(sql_literal(&arena, NULL), "NULL");
    assert_string_equal(sql_qualified(&arena, "a", "b\""), "\"a\".\"b\"\"\"");
    assert_string_equal(sql_qualified(&arena, "", "b"), "\"b\"");
    assert_string_equal(sql_qualified(&arena, NULL, "b"), "\"b\"");
}

static void test_own_names_fit_and_differ(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    char live[64];
    memset(live, 'x', 63);
    live[63] = '\0';
    const char *first = sql_own_database_name(&arena, live, 's', "run-1");
    assert_true(strlen(first) <= LIMIT_DATABASE_NAME_BYTES);
    assert_memory_equal(first, live, 40);
    assert_memory_equal(first + 40, "_rrs", 4);
    assert_int_equal(strlen(first), 40 + 4 + 12);
    assert_string_equal(first, sql_own_database_name(&arena, live, 's', "run-1"));
    assert_string_not_equal(first, sql_own_database_name(&arena, live, 's', "run-2"));
    assert_string_not_equal(first, sql_own_database_name(&arena, live, 'p', "run-1"));
    live[62] = 'y'; /* equal first 40 bytes, another database */
    assert_string_not_equal(first, sql_own_database_name(&arena, live, 's', "run-1"));
    assert_string_not_equal(sql_own_database_name(&arena, "ab", 's', "c"),
                            sql_own_database_name(&arena, "a", 's', "bc"));
}

static void test_own_names_are_cut_between_characters(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    /* 39 letters and a sign of two, three and four bytes */
    static const char *const signs[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < 3; i++) {
        char live[64] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        strcat(live, signs[i]);
        assert_int_equal(strlen(sql_live_part(&arena, live)), 39);
    }
    assert_string_equal(sql_live_part(&arena, "short"), "short");
    /* nothing but continuation bytes: not UTF-8, still a name */
    char odd[64];
    memset(odd, 0x80, 63);
    odd[63] = '\0';
    assert_true(strlen(sql_own_database_name(&arena, odd, 's', "r")) <= LIMIT_DATABASE_NAME_BYTES);
}

static void test_lists_are_split_as_the_server_does(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        bool is_list;
        size_t count;
        const char *items[3];
    } cases[] = {
        {"a, \"B c\"", true, 2, {"a", "B c"}},
        {"\"$user\", public", true, 2, {"$user", "public"}},
        {"\"\"", true, 1, {""}},
        {"", true, 0, {NULL}},
        {"  ", true, 0, {NULL}},
        {"\"a\"\"b\" , c,d", true, 3, {"a\"b", "c", "d"}},
        {"\"a,b\"", true, 1, {"a,b"}},
        {"\"a", false, 0, {NULL}},
        {"\"a\"\"", false, 0, {NULL}},
        {"a,", false, 0, {NULL}},
        {",a", false, 0, {NULL}},
        {"a b", false, 0, {NULL}},
        {"\"a\"b", false, 0, {NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_GUARD struct arena arena = {0};
        const char **items = NULL;
        size_t count = 0;
        assert_int_equal(sql_split_list(&arena, cases[i].list, &items, &count), cases[i].is_list);
        assert_int_equal(count, cases[i].count);
        for (size_t j = 0; j < count; j++)
            assert_string_equal(items[j], cases[i].items[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identifiers_and_literals_are_quoted_whatever_they_hold),
        cmocka_unit_test(test_own_names_fit_and_differ),
        cmocka_unit_test(test_own_names_are_cut_between_characters),
        cmocka_unit_test(test_lists_are_split_as_the_server_does),
    };
    return cmocka_run_group_tests_name("pg/sql", tests, NULL, NULL);
}
