#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/xml.h"

static enum errc parse(struct arena *arena, const char *text, struct xml_node **ret,
                       struct error *err)
{
    return xml_parse(arena, text, strlen(text), "listing", ret, err);
}

static void test_a_listing_becomes_a_tree(void **state)
{
    (void)state;
    static const char text[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<s3:ListBucketResult xmlns:s3=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n"
        "  <IsTruncated>false</IsTruncated>\n"
        "  <Contents><Key>a&amp;b/&#233;</Key><Size>12</Size></Contents>\n"
        "  <Contents><Key>x<!-- not text -->y<![CDATA[<z>]]></Key></Contents>\n"
        "  <Empty/>\n"
        "</s3:ListBucketResult>\n";
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct xml_node *root = NULL;
    assert_int_equal(parse(&arena, text, &root, &err), RR_OK);
    assert_string_equal(root->name, "ListBucketResult");
    assert_string_equal(xml_child_text(root, "IsTruncated"), "false");
    const struct xml_node *first = xml_child(root, "Contents");
    assert_string_equal(xml_child_text(first, "Key"), "a&b/é");
    assert_string_equal(xml_child_text(first, "Size"), "12");
    assert_string_equal(xml_child_text(first->next, "Key"), "xy<z>");
    assert_null(xml_child_text(first->next, "Size"));
    assert_string_equal(xml_child_text(root, "Empty"), "");
    assert_null(xml_child(root, "contents"));
    assert_null(xml_child(NULL, "Key"));
    assert_null(xml_child_text(NULL, "Key"));
}

static void test_bad_input_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *problem;
    } rows[] = {
        {"empty", "", "listing: not the XML expected: line 1"},
        {"text", "hello", "line 1"},
        {"cut", "<a>\n<b>", "line 2"},
        {"wrong end", "<a>\n</b>", "line 2: mismatched tag"},
        {"two roots", "<a/><b/>", "line 1: junk"},
        {"doctype", "<!DOCTYPE a><a/>", "document type declaration"},
        {"bomb", "<!DOCTYPE a [<!ENTITY x \"xx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>",
         "document type declaration"},
        {"external entity", "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
         "document type declaration"},
        {"unknown entity", "<a>&x;</a>", "undefined entity"},
        {"NUL reference", "<a>&#0;</a>", "line 1"},
        {"invalid UTF-8", "<a>\xff</a>", "line 1"},
        {"repeated attribute", "<a b='1' b='2'/>", "duplicate attribute"},
        {"HTML", "<html><br></html>", "mismatched tag"},
        {"JSON", "{\"a\": 1}", "line 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct xml_node *root = NULL;
        if (parse(&arena, rows[i].text, &root, &err) != ERR_HTTP || root ||
            !strstr(err.text, rows[i].problem))
            fail_msg("%s: '%s'", rows[i].name, err.text);
    }
}

static enum errc parse_nested(size_t depth, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(LIMIT_MIB);
    struct xml_node *root = NULL;
    for (size_t i = 0; i < depth; i++)
        str_append(&text, "<a>");
    for (size_t i = 0; i < depth; i++)
        str_append(&text, "</a>");
    return parse(&arena, str_text(&text), &root, err);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(parse_nested(LIMIT_XML_DEPTH, &err), RR_OK);
    assert_int_equal(parse_nested(LIMIT_XML_DEPTH + 1, &err), ERR_HTTP);
    assert_non_null(strstr(err.text, "nested too deeply"));
}

static void test_number_of_elements_and_length_are_bounded(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(2 * LIMIT_HTTP_BODY_BYTES);
    str_append(&text, "<r>");
    for (size_t i = 0; i < LIMIT_XML_NODES; i++)
        str_append(&text, "<a/>");
    str_append(&text, "</r>");
    struct error err = ERROR_INIT;
    struct xml_node *root = NULL;
    assert_int_equal(parse(&arena, str_text(&text), &root, &err), ERR_HTTP);
    assert_non_null(strstr(err.text, "too many elements"));
    error_clear(&err);
    while (text.length <= LIMIT_HTTP_BODY_BYTES)
        str_append(&text, "                                                        ");
    assert_int_equal(parse(&arena, str_text(&text), &root, &err), ERR_HTTP);
    assert_non_null(strstr(err.text, "longer than"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_listing_becomes_a_tree),
        cmocka_unit_test(test_bad_input_is_refused_with_its_line),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_number_of_elements_and_length_are_bounded),
    };
    return cmocka_run_group_tests_name("codec/xml", tests, NULL, NULL);
}
