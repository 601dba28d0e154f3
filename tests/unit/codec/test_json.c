#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/json.h"

static enum errc parse(const char *text, size_t length, struct json_document **ret,
                       struct error *err)
{
    /* A copy of exactly that size, so that a sanitizer sees a read past the end. */
    char *copy = malloc(length ? length : 1);
    memcpy(copy, text, length);
    enum errc code = json_parse(copy, length, "answer", ret, err);
    free(copy);
    return code;
}

static void test_what_rfc_8259_allows_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        " true\r\n\t",
        "0",
        "-0",
        "-1.5e+10",
        "1E5",
        "\"\"",
        "[]",
        "{}",
        "[1,2, 3]",
        "{\"a\":{\"b\":[null,false]}}",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
        "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "{\"a\":1,\"A\":2}",
        "[{\"a\":1},{\"a\":1}]",
        "\"\x7f\"",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error err = ERROR_INIT;
        JSON_GUARD struct json_document *document = NULL;
        if (parse(texts[i], strlen(texts[i]), &document, &err))
            fail_msg("%s: %s", texts[i], err.text);
        assert_non_null(json_root(document));
    }
}

#define BYTES(literal) literal, sizeof literal - 1

static void test_what_it_forbids_is_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        size_t length;
        const char *problem;
    } rows[] = {
        {"empty", BYTES(""), "answer: empty"},
        {"blanks", BYTES("  "), "not valid JSON"},
        {"cut object", BYTES("{\"a\":"), "byte 5: it ends too early"},
        {"cut string", BYTES("\"abc"), "byte 4: a string does not end"},
        {"cut escape", BYTES("\"\\"), "byte 1: unknown escape"},
        {"cut \\u", BYTES("\"\\u00"), "byte 1: \\u without four"},
        {"cut literal", BYTES("tru"), "not valid JSON"},
        {"run-on literal", BYTES("truefalse"), "byte 4: text after the end"},
        {"second value", BYTES("{} {}"), "byte 3: text after the end"},
        {"trailing comma", BYTES("[1,]"), "not valid JSON"},
        {"missing comma", BYTES("[1 2]"), "not valid JSON"},
        {"wrong bracket", BYTES("[1}"), "not valid JSON"},
        {"closing too much", BYTES("[]]"), "byte 2: text after the end"},
        {"bare key", BYTES("{a:1}"), "not valid JSON"},
        {"number as key", BYTES("{1:1}"), "not valid JSON"},
        {"single quotes", BYTES("'a'"), "byte 0: unexpected character"},
        {"comment", BYTES("/**/1"), "byte 0: unexpected character"},
        {"NaN", BYTES("NaN"), "byte 0: unexpected character"},
        {"leading zero", BYTES("[01]"), "byte 1: malformed number"},
        {"leading plus", BYTES("+1"), "byte 0: unexpected character"},
        {"leading point", BYTES(".5"), "byte 0: unexpected character"},
        {"trailing point", BYTES("1."), "malformed number"},
        {"empty exponent", BYTES("1e+"), "malformed number"},
        {"lone minus", BYTES("-"), "malformed number"},
        {"hexadecimal", BYTES("0x10"), "text after the end"},
        {"newline in string", BYTES("\"a\nb\""), "byte 2: control character"},
        {"unknown escape", BYTES("\"\\x41\""), "byte 1: unknown escape"},
        {"NUL byte in string", BYTES("\"a\0b\""), "byte 2: control character"},
        {"NUL byte between", BYTES("[1\0]"), "byte 2: NUL byte"},
        {"NUL byte after", BYTES("1\0"), "byte 1: NUL byte"},
        {"NUL as escape", BYTES("\"a\\u0000b\""), "byte 2: NUL in a string"},
        {"NUL in a key", BYTES("{\"a\\u0000\":1,\"a\":2}"), "NUL in a string"},
        {"lone high surrogate", BYTES("\"\\ud83d\""), "not valid JSON"},
        {"lone low surrogate", BYTES("\"\\ude00\""), "not valid JSON"},
        {"invalid UTF-8", BYTES("\"\xff\""), "byte 1: invalid UTF-8"},
        {"overlong UTF-8", BYTES("\"\xc0\x80\""), "byte 1: invalid UTF-8"},
        {"surrogate in UTF-8", BYTES("\"\xed\xa0\x80\""), "byte 1: invalid UTF-8"},
        {"cut UTF-8", BYTES("\"\xe2\x82"), "byte 1: invalid UTF-8"},
        {"byte order mark", BYTES("\xef\xbb\xbf{}"), "byte 0: unexpected character"},
        {"form feed as blank", BYTES("[\f1]"), "byte 1: unexpected character"},
        {"duplicate key", BYTES("{\"a\":1,\"b\":2,\"a\":3}"), "key 'a' stands twice"},
        {"duplicate key by escape", BYTES("{\"a\":1,\"\\u0061\":2}"), "key 'a' stands twice"},
        {"duplicate key deep inside", BYTES("[[{\"x\":{\"k\":1,\"k\":1}}]]"),
         "key 'k' stands twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        struct json_document *document = NULL;
        if (parse(rows[i].text, rows[i].length, &document, &err) != ERR_CONFIG || document ||
            !strstr(err.text, rows[i].problem))
            fail_msg("%s: '%s'", rows[i].name, err.text);
    }
}

static enum errc parse_nested(size_t depth, struct error *err)
{
    char text[1000];
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    JSON_GUARD struct json_document *document = NULL;
    return parse(text, 2 * depth, &document, err);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(parse_nested(LIMIT_JSON_DEPTH, &err), RR_OK);
    assert_int_equal(parse_nested(LIMIT_JSON_DEPTH + 1, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "nested too deeply"));
}

static void test_a_number_with_endless_digits_is_refused(void **state)
{
    (void)state;
    char digits[200];
    memset(digits, '1', sizeof digits);
    struct error err = ERROR_INIT;
    struct json_document *document = NULL;
    assert_int_equal(parse(digits, sizeof digits, &document, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "too many digits"));
}

static void test_an_object_with_many_members_takes_no_quadratic_time(void **state)
{
    (void)state;
    STR_GUARD struct str text = STR_INIT(16 * LIMIT_MIB);
    str_append(&text, "{");
    for (int i = 0; i < 400000; i++)
        str_printf(&text, "%s\"k%d\":0", i ? "," : "", i);
    str_append(&text, "}");
    struct error err = ERROR_INIT;
    JSON_GUARD struct json_document *document = NULL;
    assert_int_equal(json_parse(text.data, text.length, "answer", &document, &err), RR_OK);
}

static void test_lookups_answer_wrong_types_with_nothing(void **state)
{
    (void)state;
    static const char text[] =
        "{\"s\":\"x\",\"n\":5,\"big\":9007199254740993,\"half\":0.5,\"b\":true,"
        "\"huge\":1e999,\"neg\":-7,\"list\":[1,\"two\"],\"o\":{\"s\":\"y\"},\"z\":null}";
    struct error err = ERROR_INIT;
    JSON_GUARD struct json_document *document = NULL;
    assert_int_equal(parse(text, sizeof text - 1, &document, &err), RR_OK);
    const struct json *root = json_root(document);
    int64_t number = 1;
    bool flag = false;

    assert_string_equal(json_get_text(root, "s"), "x");
    assert_string_equal(json_get_text(json_get(root, "o"), "s"), "y");
    assert_null(json_get_text(root, "S"));
    assert_null(json_get_text(root, "n"));
    assert_null(json_get_text(root, "z"));
    assert_null(json_get(json_get(root, "missing"), "s"));
    assert_null(json_get(json_get(root, "list"), "s"));

    assert_true(json_int(json_get(root, "n"), &number));
    assert_int_equal(number, 5);
    assert_true(json_int(json_get(root, "neg"), &number));
    assert_int_equal(number, -7);
    assert_false(json_int(json_get(root, "half"), &number));
    assert_false(json_int(json_get(root, "huge"), &number));
    assert_false(json_int(json_get(root, "big"), &number));
    assert_false(json_int(json_get(root, "s"), &number));
    assert_false(json_int(NULL, &number));
    assert_int_equal(number, -7);

    assert_true(json_bool(json_get(root, "b"), &flag));
    assert_true(flag);
    assert_false(json_bool(json_get(root, "n"), &flag));

    const struct json *item = json_first(json_get(root, "list"));
    assert_null(json_name(item));
    assert_string_equal(json_text(json_next(item)), "two");
    assert_null(json_next(json_next(item)));
    assert_null(json_first(json_get(root, "s")));
    assert_string_equal(json_name(json_first(root)), "s");
    assert_true(json_is_object(root) && json_is_array(json_get(root, "list")));
    assert_false(json_is_object(NULL) || json_is_array(NULL));
}

static void test_equality(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_equal;
    } rows[] = {
        {"1", "1", true},
        {"{\"a\":1,\"b\":[1,2]}", "{\"b\":[1,2],\"a\":1}", true},
        {"{}", "{}", true},
        {"null", "null", true},
        {"{\"a\":1}", "{\"a\":2}", false},
        {"{\"a\":1}", "{\"A\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":1,\"b\":1}", "{\"a\":1}", false},
        {"[1,2]", "[2,1]", false},
        {"1", "\"1\"", false},
        {"{}", "[]", false},
        {"{\"a\":null}", "{}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        JSON_GUARD struct json_document *a = NULL, *b = NULL;
        struct error err = ERROR_INIT;
        assert_int_equal(json_parse(rows[i].a, strlen(rows[i].a), "a", &a, &err), RR_OK);
        assert_int_equal(json_parse(rows[i].b, strlen(rows[i].b), "b", &b, &err), RR_OK);
        if (json_equal(json_root(a), json_root(b)) != rows[i].is_equal)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        assert_false(json_equal(json_root(a), NULL));
        assert_false(json_equal(NULL, json_root(a)));
    }
    assert_false(json_equal(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_what_rfc_8259_allows_is_read),
        cmocka_unit_test(test_what_it_forbids_is_refused_with_the_place),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_a_number_with_endless_digits_is_refused),
        cmocka_unit_test(test_an_object_with_many_members_takes_no_quadratic_time),
        cmocka_unit_test(test_lookups_answer_wrong_types_with_nothing),
    };
    return cmocka_run_group_tests_name("codec/json", tests, NULL, NULL);
}
