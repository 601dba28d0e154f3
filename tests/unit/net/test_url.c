#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/net/url.h"

static void test_encode(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path, *value;
    } rows[] = {
        {"", "", ""},
        {"AZaz09-._~", "AZaz09-._~", "AZaz09-._~"},
        {"a b+c%d", "a%20b%2Bc%25d", "a%20b%2Bc%25d"},
        {"/a//b/", "/a//b/", "%2Fa%2F%2Fb%2F"},
        {"\xc3\xa4\xff", "%C3%A4%FF", "%C3%A4%FF"},
        {"!*'();:@&=$,?#[]", "%21%2A%27%28%29%3B%3A%40%26%3D%24%2C%3F%23%5B%5D",
         "%21%2A%27%28%29%3B%3A%40%26%3D%24%2C%3F%23%5B%5D"},
        {"\x01\n\x7f", "%01%0A%7F", "%01%0A%7F"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        STR_GUARD struct str path = STR_INIT(100), value = STR_INIT(100);
        url_encode(&path, rows[i].text, true);
        url_encode(&value, rows[i].text, false);
        assert_string_equal(str_text(&path), rows[i].path);
        assert_string_equal(str_text(&value), rows[i].value);
        STR_GUARD struct str again = STR_INIT(100);
        assert_true(url_decode(&again, str_text(&value), value.length));
        assert_string_equal(str_text(&again), rows[i].text);
    }
}

static void test_decode(void **state)
{
    (void)state;
    static const struct {
        const char *text, *decoded; /* NULL: refused */
    } rows[] = {
        {"a%2fb%2Fc", "a/b/c"}, {"a+b", "a+b"}, {"%25%32%35", "%25"},   {"%", NULL},
        {"%4", NULL},           {"%4g", NULL},  {"%g4", NULL},          {"a%00b", NULL},
        {"%%41", NULL},         {"% 1", NULL},  {"%c3%a4", "\xc3\xa4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        STR_GUARD struct str decoded = STR_INIT(100);
        bool is_fine = url_decode(&decoded, rows[i].text, strlen(rows[i].text));
        if (is_fine != (rows[i].decoded != NULL) ||
            (is_fine && strcmp(str_text(&decoded), rows[i].decoded)))
            fail_msg("'%s': '%s'", rows[i].text, str_text(&decoded));
    }
    STR_GUARD struct str cut = STR_INIT(100);
    assert_false(url_decode(&cut, "%41", 2)); /* the length counts, not the terminator */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_decode),
    };
    return cmocka_run_group_tests_name("net/url", tests, NULL, NULL);
}
