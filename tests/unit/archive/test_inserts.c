#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/archive/inserts.h"

struct row {
    const char *name;
    bool standard_strings;
    const char *input;
    const char *statements; /* joined by |; NULL: refused */
    const char *error;
};

static const struct row rows[] = {
    {"nothing", true, "", "", NULL},
    {"as an empty table", true, "\n\n", "", NULL},
    {"two", true, "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);\n\n\n",
     "INSERT INTO t VALUES (1);|INSERT INTO t VALUES (2);", NULL},
    {"no line feed between them", true, "INSERT INTO t VALUES (1);INSERT INTO t VALUES (2);",
     "INSERT INTO t VALUES (1);|INSERT INTO t VALUES (2);", NULL},
    {"semicolon, line feed and quotes in a literal", true, "INSERT INTO t VALUES ('a;\n''b;''');\n",
     "INSERT INTO t VALUES ('a;\n''b;''');", NULL},
    {"a literal that ends with a backslash", true, "INSERT INTO t VALUES ('a\\');\n",
     "INSERT INTO t VALUES ('a\\');", NULL},
    {"escapes", false, "INSERT INTO t VALUES ('a\\';b\\\\');\n",
     "INSERT INTO t VALUES ('a\\';b\\\\');", NULL},
    {"semicolon and quotes in names", true, "INSERT INTO s.\"a;'\"\"b\" (\"c;\") VALUES (1);",
     "INSERT INTO s.\"a;'\"\"b\" (\"c;\") VALUES (1);", NULL},
    {"a backslash in a name is no escape", false, "INSERT INTO \"a\\\" VALUES (1);",
     "INSERT INTO \"a\\\" VALUES (1);", NULL},
    {"bits, numbers, other options", true,
     "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (B'101', -1.5e-3, NULL, true)\n\tON "
     "CONFLICT DO NOTHING;",
     "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES (B'101', -1.5e-3, NULL, true)\n\tON "
     "CONFLICT DO NOTHING;",
     NULL},
    {"dollars and dashes in a literal", true, "INSERT INTO t VALUES ('$$ -- /* \\');",
     "INSERT INTO t VALUES ('$$ -- /* \\');", NULL},
    {"no columns", true, "INSERT INTO t DEFAULT VALUES;\n", "INSERT INTO t DEFAULT VALUES;", NULL},
    {"cut inside", true, "INSERT INTO t VALUES (1)", NULL, "end inside statement 1"},
    {"cut inside a literal", true, "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES ('a;", NULL,
     "end inside statement 2"},
    {"cut after an escape", false, "INSERT INTO t VALUES ('\\", NULL, "end inside statement 1"},
    {"another statement", true, "INSERT INTO t VALUES (1);\nDROP TABLE t;", NULL,
     "statement 2 is no INSERT"},
    {"an empty statement", true, ";", NULL, "no INSERT"},
    {"in lower case", true, "insert into t values (1);", NULL, "no INSERT"},
    {"a comment", true, "-- x\nINSERT INTO t VALUES (1);", NULL, "statement 1"},
    {"a comment inside", true, "INSERT INTO t VALUES (1 -- ';\n);", NULL, "does not write"},
    {"a long comment", true, "INSERT INTO t VALUES (1 /* ' */);", NULL, "does not write"},
    {"an escape string", true, "INSERT INTO t VALUES (E'\\'; DROP TABLE t; --');", NULL,
     "does not write"},
    {"a unicode string", true, "INSERT INTO t VALUES (U&'x');", NULL, "does not write"},
    {"a unicode name", true, "INSERT INTO U&\"x\" VALUES (1);", NULL, "does not write"},
    {"a dollar quote", true, "INSERT INTO t VALUES ($$;$$);", NULL, "does not write"},
    {"a backslash", true, "INSERT INTO t VALUES (1) \\g\n;", NULL, "does not write"},
};

/* Feeds `input` in two pieces; joins what comes out. */
static enum errc split(const struct row *row, const char *input, size_t length, size_t cut,
                       struct str *joined, uint64_t *ret_count, struct error *err)
{
    INSERT_SPLITTER_GUARD struct insert_splitter splitter;
    insert_splitter_init(&splitter, row->standard_strings);
    for (int i = 0; i < 2; i++) {
        size_t size = i == 0 ? cut : length - cut;
        char *piece = malloc(size + 1);
        memcpy(piece, input + (i == 0 ? 0 : cut), size);
        insert_splitter_feed(&splitter, piece, size);
        const char *statement;
        size_t statement_length;
        enum errc code;
        while ((code = insert_splitter_next(&splitter, &statement, &statement_length, err)) ==
                   RR_OK &&
               statement) {
            assert_int_equal(strlen(statement), statement_length);
            str_append(joined, joined->length ? "|" : "");
            str_append(joined, statement);
        }
        free(piece);
        if (code)
            return code;
    }
    *ret_count = splitter.statements;
    return insert_splitter_finish(&splitter, err);
}

static void test_every_row_of_the_table_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        STR_GUARD struct str input = STR_INIT(10000);
        str_append(&input, row->input);
        if (row->statements)
            str_append(&input, "\n\n");
        size_t length = input.length;
        for (size_t cut = 0; cut <= length; cut++) {
            STR_GUARD struct str joined = STR_INIT(10000);
            struct error err = ERROR_INIT;
            uint64_t count;
            enum errc code = split(row, str_text(&input), length, cut, &joined, &count, &err);
            if ((code == RR_OK) != (row->statements != NULL))
                fail_msg("%s, cut at %zu: '%s' %s", row->name, cut, err.text, str_text(&joined));
            if (row->statements)
                assert_string_equal(str_text(&joined), row->statements);
            else if (code != ERR_ARCHIVE_CORRUPT || !strstr(err.text, row->error))
                fail_msg("%s, cut at %zu: %s", row->name, cut, err.text);
        }
    }
}

static void test_a_zero_byte_is_refused(void **state)
{
    (void)state;
    static const char input[] = "INSERT INTO t VALUES ('a\0b');";
    for (size_t cut = 0; cut < sizeof input; cut++) {
        STR_GUARD struct str joined = STR_INIT(1000);
        struct error err = ERROR_INIT;
        uint64_t count;
        assert_int_equal(split(&rows[0], input, sizeof input - 1, cut, &joined, &count, &err),
                         ERR_ARCHIVE_CORRUPT);
    }
}

/* Where a file of statements was cut off between two of them, nothing else tells. */
static void test_the_empty_lines_at_the_end_are_there(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        bool is_whole;
    } ends[] = {
        {"", false},
        {"\n", false},
        {"\n\n", true},
        {"INSERT INTO t VALUES (1);", false},
        {"INSERT INTO t VALUES (1);\n", false},
        {"INSERT INTO t VALUES (1);\n\n", true},
        {"INSERT INTO t VALUES (1);\n\n\n", true},
        {"\n\nINSERT INTO t VALUES (1);\n", false},
        {"INSERT INTO t VALUES (1);\n\nINSERT INTO t VALUES (2);\n", false},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t length = strlen(ends[i].input);
        for (size_t cut = 0; cut <= length; cut++) {
            STR_GUARD struct str joined = STR_INIT(1000);
            struct error err = ERROR_INIT;
            uint64_t count;
            enum errc code = split(&rows[0], ends[i].input, length, cut, &joined, &count, &err);
            if ((code == RR_OK) != ends[i].is_whole ||
                (code && !strstr(err.text, "they are cut off")))
                fail_msg("end %zu, cut at %zu: %s", i, cut, err.text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_the_table_at_every_cut),
        cmocka_unit_test(test_a_zero_byte_is_refused),
        cmocka_unit_test(test_the_empty_lines_at_the_end_are_there),
    };
    return cmocka_run_group_tests_name("archive/inserts", tests, NULL, NULL);
}
