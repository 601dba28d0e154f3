#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/yaml.h"

static enum errc parse(struct arena *arena, const char *text, struct yaml_node **ret_root,
                       struct error *err)
{
    return yaml_parse(arena, text, strlen(text), "restore.yaml", 0, ret_root, err);
}

static void test_a_document_becomes_a_tree_with_places(void **state)
{
    (void)state;
    static const char text[] = "# comment\n"
                               "database: shop\n"
                               "backups:\n"
                               "  location: \"s3://b/é\"   # why\n"
                               "steps: [a, 'b', 4]\n"
                               "sql: |\n"
                               "  SELECT 1;\n"
                               "  SELECT 2\n"
                               "nothing:\n";
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct yaml_node *root = NULL;
    assert_int_equal(parse(&arena, text, &root, &err), RR_OK);
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->count, 5);
    assert_string_equal(root->keys[4]->text, "nothing");

    const struct yaml_node *location = yaml_get(yaml_get(root, "backups"), "location");
    assert_string_equal(location->text, "s3://b/é");
    assert_false(location->is_plain);
    assert_int_equal(location->line, 4);
    assert_int_equal(location->column, 13);

    const struct yaml_node *steps = yaml_get(root, "steps");
    int64_t number;
    assert_int_equal(steps->kind, YAML_SEQUENCE);
    assert_int_equal(steps->count, 3);
    assert_true(steps->items[0]->is_plain && !steps->items[1]->is_plain);
    assert_true(yaml_as_int(steps->items[2], &number));
    assert_int_equal(number, 4);

    assert_string_equal(yaml_get(root, "sql")->text, "SELECT 1;\nSELECT 2\n");
    assert_true(yaml_is_null(yaml_get(root, "nothing")));
    assert_null(yaml_get(root, "Database"));
    assert_null(yaml_get(location, "x"));
    assert_null(yaml_get(NULL, "x"));
}

static void test_an_empty_document_has_no_root(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# only a comment\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct yaml_node other, *root = &other;
        assert_int_equal(parse(&arena, texts[i], &root, &err), RR_OK);
        assert_null(root);
    }
}

static void test_lines_of_an_embedded_text_count_from_its_place(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct yaml_node *root = NULL;
    assert_int_equal(yaml_parse(&arena, "\na: 1", 5, "state", 10, &root, &err), RR_OK);
    assert_int_equal(root->items[0]->line, 12);
    assert_int_equal(yaml_parse(&arena, "\na: *b", 6, "state", 10, &root, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "state:12:4: "));
}

static void test_bad_input_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *problem;
    } rows[] = {
        {"two documents", "a: 1\n---\nb: 2\n", "restore.yaml:2:1: there is a second document"},
        {"anchor", "a: &x 1\n", "restore.yaml:1:4: anchors"},
        {"anchor on a list", "a: &x [1]\n", ":1:4: anchors"},
        {"anchor on a mapping", "a: &x {b: 1}\n", ":1:4: anchors"},
        {"alias", "a: *x\n", ":1:4: anchors"},
        {"alias as key", "*x : 1\n", ":1:1: anchors"},
        {"merge key", "a:\n  <<: {b: 1}\n", ":2:3: anchors, aliases and merge keys"},
        {"bomb", "a: &a [x]\nb: [*a, *a, *a]\n", ":1:4: anchors"},
        {"own tag", "a: !secret x\n", ":1:4: tags"},
        {"python tag", "a: !!python/object:os.system x\n", ":1:4: tags"},
        {"binary tag", "a: !!binary aGk=\n", ":1:4: tags"},
        {"non-specific tag", "a: ! x\n", ":1:4: tags"},
        {"mapping tagged as list", "a: !!seq {b: 1}\n", ":1:4: tags"},
        {"scalar tagged as mapping", "a: !!map x\n", ":1:4: tags"},
        {"duplicate key", "a: 1\nb: 2\na: 3\n",
         ":3:1: key 'a' stands twice in one mapping, first in line 1"},
        {"duplicate key in quotes", "a: 1\n\"a\": 3\n", ":2:1: key 'a' stands twice"},
        {"duplicate key deep inside", "x:\n- {k: 1, k: 2}\n", ":2:10: key 'k'"},
        {"list as key", "[a]: 1\n", ":1:1: a key must be a word"},
        {"mapping as key", "{a: 1}: 1\n", ":1:1: a key must be a word"},
        {"complex key", "? [a]\n: 1\n", "a key must be a word"},
        {"NUL escape", "a: \"x\\0y\"\n", ":1:4: a text holds a NUL"},
        {"NUL escape in a key", "\"a\\0\": 1\n", ":1:1: a text holds a NUL"},
        {"control character", "a: 1\nb: \x01\n", ":2:4: control character"},
        {"invalid UTF-8", "é: 1\nab: \xff\n", ":2:5: invalid UTF-8"},
        {"UTF-16",
         "\xff\xfe"
         "a\n",
         ":1:1: invalid UTF-8"},
        {"tab as indentation", "a:\n\tb: 1\n", ":2:1: a tab"},
        {"no blank after colon", "a:1\nb: 2\n", "a ':' "},
        {"colon in a value", "a: b: c\n", ":1:5: a ':' makes no sense here"},
        {"unclosed quote", "a: 'x\n", "a quoted text has no end"},
        {"unclosed bracket", "a: [1, 2\n", "a list in brackets has no end"},
        {"at sign", "a: @x\n", ":1:4: a value cannot begin"},
        {"backtick", "a: `x`\n", ":1:4: a value cannot begin"},
        {"wrong indentation", "a:\n    b: 1\n  c: 2\n", ":3:3: this line fits no mapping above it"},
        {"key in a list", "a:\n- b\nc\n", ":4:1: a ':' is missing"},
        {"unknown escape", "a: \"\\q\"\n", "unknown escape"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct yaml_node *root = NULL;
        if (parse(&arena, rows[i].text, &root, &err) != ERR_CONFIG || root ||
            !strstr(err.text, rows[i].problem))
            fail_msg("%s: '%s'", rows[i].name, err.text);
    }
}

static void test_a_nul_byte_is_refused(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct yaml_node *root = NULL;
    assert_int_equal(yaml_parse(&arena, "a: b\0c", 6, "f", 0, &root, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "f:1:5: control character"));
}

static enum errc parse_nested(char open, size_t depth, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    char text[20000];
    struct yaml_node *root = NULL;
    memset(text, open, depth);
    memset(text + depth, open == '[' ? ']' : '}', depth);
    return yaml_parse(&arena, text, 2 * depth, "f", 0, &root, err);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_int_equal(parse_nested('[', LIMIT_YAML_DEPTH, &err), RR_OK);
    assert_int_equal(parse_nested('[', LIMIT_YAML_DEPTH + 1, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "nested too deeply"));
    error_clear(&err);
    assert_int_equal(parse_nested('[', 9000, &err), ERR_CONFIG);
    error_clear(&err);
    assert_int_equal(parse_nested('{', 9000, &err), ERR_CONFIG);
}

static void test_the_number_of_values_is_bounded(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(LIMIT_MIB);
    for (size_t i = 0; i < LIMIT_YAML_NODES + 1; i++)
        str_append(&text, "- a\n");
    struct error err = ERROR_INIT;
    struct yaml_node *root = NULL;
    assert_int_equal(parse(&arena, str_text(&text), &root, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "too many values"));
}

static void test_length_is_bounded(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    size_t length = LIMIT_STATE_FILE_BYTES + 1;
    char *text = malloc(length);
    memset(text, 'a', length);
    struct error err = ERROR_INIT;
    struct yaml_node *root = NULL;
    assert_int_equal(yaml_parse(&arena, text, length - 1, "f", 0, &root, &err), RR_OK);
    assert_int_equal(yaml_parse(&arena, text, length, "f", 0, &root, &err), ERR_CONFIG);
    free(text);
}

static void test_scalars_have_the_types_of_the_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_bool, is_int, is_null;
        int64_t value;
    } rows[] = {
        {"true", true, false, false, 1},
        {"FALSE", true, false, false, 0},
        {"yes", false, false, false, 0},
        {"on", false, false, false, 0},
        {"'true'", false, false, false, 0},
        {"4", false, true, false, 4},
        {"-4", false, true, false, -4},
        {"+4", false, true, false, 4},
        {"0", false, true, false, 0},
        {"'4'", false, false, false, 0},
        {"007", false, false, false, 0},
        {"0x10", false, false, false, 0},
        {"1_000", false, false, false, 0},
        {"1.0", false, false, false, 0},
        {"--4", false, false, false, 0},
        {"9223372036854775807", false, true, false, INT64_MAX},
        {"9223372036854775808", false, false, false, 0},
        {"~", false, false, true, 0},
        {"null", false, false, true, 0},
        {"''", false, false, false, 0},
        {"!!str 4", false, false, false, 0},
        {"!!int '4'", false, true, false, 4},
        {"[4]", false, false, false, 0},
        {"4 5", false, false, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct yaml_node *root = NULL;
        bool flag = false;
        int64_t value = 0;
        if (parse(&arena, rows[i].text, &root, &err))
            fail_msg("%s: %s", rows[i].text, err.text);
        bool is_good = yaml_as_bool(root, &flag) == rows[i].is_bool &&
                       yaml_as_int(root, &value) == rows[i].is_int &&
                       yaml_is_null(root) == rows[i].is_null && (flag ? 1 : value) == rows[i].value;
        if (!is_good)
            fail_msg("%s", rows[i].text);
    }
    assert_false(yaml_is_null(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_document_becomes_a_tree_with_places),
        cmocka_unit_test(test_an_empty_document_has_no_root),
        cmocka_unit_test(test_lines_of_an_embedded_text_count_from_its_place),
        cmocka_unit_test(test_bad_input_is_refused_with_its_place),
        cmocka_unit_test(test_a_nul_byte_is_refused),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_the_number_of_values_is_bounded),
        cmocka_unit_test(test_length_is_bounded),
        cmocka_unit_test(test_scalars_have_the_types_of_the_core_schema),
    };
    return cmocka_run_group_tests_name("codec/yaml", tests, NULL, NULL);
}
