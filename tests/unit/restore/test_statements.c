#include "support.h"

#include "lib/restore/statements.h"

static void test_settings_are_taken_in_pg_dumps_wording_only(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct row row;
        bool is_refused;
    } rows[] = {
        {"utf8", {1, ENTRY_ENCODING, .definition = "SET client_encoding = 'UTF8';\n"}, false},
        {"two statements",
         {1, ENTRY_ENCODING, .definition = "SET client_encoding = 'UTF8'; DROP TABLE x;"},
         true},
        {"other setting", {1, ENTRY_ENCODING, .definition = "SET role = 'postgres';"}, true},
        {"quote in the name",
         {1, ENTRY_ENCODING, .definition = "SET client_encoding = 'a''b';"},
         true},
        {"empty name", {1, ENTRY_ENCODING, .definition = "SET client_encoding = '';"}, true},
        {"no text", {1, ENTRY_ENCODING, .definition = ""}, true},
        {"on",
         {1, ENTRY_STDSTRINGS, .definition = "SET standard_conforming_strings = 'on';\n"},
         false},
        {"off",
         {1, ENTRY_STDSTRINGS, .definition = "SET standard_conforming_strings = 'off';\n"},
         false},
        {"maybe",
         {1, ENTRY_STDSTRINGS, .definition = "SET standard_conforming_strings = 'maybe';\n"},
         true},
        {"path",
         {1, ENTRY_SEARCHPATH,
          .definition = "SELECT pg_catalog.set_config('search_path', '', false);\n"},
         false},
        {"path and more",
         {1, ENTRY_SEARCHPATH,
          .definition = "SELECT pg_catalog.set_config('search_path', '', false); x"},
         true},
        {"own path",
         {1, ENTRY_SEARCHPATH,
          .definition = "SELECT pg_catalog.set_config('search_path', 'evil', false);"},
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        struct archive_settings settings;
        struct error err = ERROR_INIT;
        make_toc(&rows[i].row, 1, &arena, &toc);
        enum errc rc = settings_parse(&toc, &arena, &settings, &err);
        if (rc != (rows[i].is_refused ? ERR_ARCHIVE_CORRUPT : RR_OK))
            fail_msg("%s: %s", rows[i].name, err.text);
    }
}

static void test_an_archive_without_settings_is_read_like_pg_restore_does(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct archive_settings settings;
    struct error err = ERROR_INIT;
    const struct row rows[] = {{1, ENTRY_SCHEMA, .tag = "s"}};
    MAKE_TOC(rows, &arena, &toc);
    assert_int_equal(settings_parse(&toc, &arena, &settings, &err), RR_OK);
    assert_string_equal(settings.encoding, "SQL_ASCII");
    assert_false(settings.has_standard_strings);
    assert_false(settings.has_search_path);
    const char *sql = settings_sql(&arena, &settings, "a\"b");
    assert_non_null(strstr(sql, "standard_conforming_strings = off"));
    assert_non_null(strstr(sql, "SET ROLE \"a\"\"b\";"));
    assert_non_null(strstr(sql, "row_security = off"));
}

static void test_copy_statements_are_built_anew_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *copy, *sql; /* NULL: refused */
        enum errc code;
    } rows[] = {
        {"COPY public.t (a, b) FROM stdin;\n", "COPY \"public\".\"t\" (\"a\", \"b\") FROM STDIN",
         0},
        {"COPY public.t  FROM stdin;\n", "COPY \"public\".\"t\" FROM STDIN", 0},
        {"COPY t (a) FROM stdin;\n", "COPY \"t\" (\"a\") FROM STDIN", 0},
        {"COPY \"S\".\"a\"\"b (c) FROM\" (\"x,y\", \"\") FROM stdin;\n",
         "COPY \"S\".\"a\"\"b (c) FROM\" (\"x,y\", \"\") FROM STDIN", 0},
        {"COPY t (a) WITH OIDS FROM stdin;\n", NULL, ERR_ARCHIVE_UNSUPPORTED},
        {"COPY t FROM PROGRAM 'rm -rf /';\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t FROM '/etc/passwd';\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t (a) FROM stdin; DROP TABLE t;\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t (a) FROM stdin WITH (FORMAT binary);\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY (SELECT 1) TO PROGRAM 'x';\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY a.b.c (a) FROM stdin;\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t () FROM stdin;\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t (a,) FROM stdin;\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t (a FROM stdin;\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY \"t (a) FROM stdin;\n", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY t (a) FROM stdin", NULL, ERR_ARCHIVE_CORRUPT},
        {"DROP TABLE t;", NULL, ERR_ARCHIVE_CORRUPT},
        {"COPY", NULL, ERR_ARCHIVE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct entry entry = {
            .kind = ENTRY_TABLE_DATA, .tag = "t", .copy_statement = rows[i].copy};
        struct copy_target target;
        struct error err = ERROR_INIT;
        if (copy_parse(&arena, &entry, &target, &err) != rows[i].code)
            fail_msg("%s: %s", rows[i].copy, err.text);
        if (rows[i].sql != NULL)
            assert_string_equal(copy_sql(&arena, &target, false), rows[i].sql);
    }
}

static void test_more_columns_than_a_table_can_have_are_refused(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str copy = STR_INIT(LIMIT_MIB);
    str_append(&copy, "COPY t (a");
    for (int i = 0; i < 1600; i++)
        str_append(&copy, ",a");
    str_append(&copy, ") FROM stdin;\n");
    const struct entry entry = {.kind = ENTRY_TABLE_DATA, .tag = "t", .copy_statement = copy.data};
    struct copy_target target;
    struct error err = ERROR_INIT;
    assert_int_equal(copy_parse(&arena, &entry, &target, &err), ERR_ARCHIVE_CORRUPT);
}

static void test_a_load_through_the_root_is_known_by_mark_or_by_name(void **state)
{
    (void)state;
    static const struct {
        struct entry entry;
        bool is_root_load;
    } rows[] = {
        {{.schema = "s", .tag = "t", .copy_statement = "COPY s.t (a) FROM stdin;\n"}, false},
        {{.schema = "s", .tag = "t", .copy_statement = "COPY s.root (a) FROM stdin;\n"}, true},
        {{.schema = "s", .tag = "t", .copy_statement = "COPY other.t (a) FROM stdin;\n"}, true},
        {{.schema = "s", .tag = "t", .copy_statement = "COPY t (a) FROM stdin;\n"}, false},
        {{.schema = "s", .tag = "t", .definition = "-- load via partition root s.root"}, true},
        {{.schema = "s", .tag = "t", .definition = "", .copy_statement = ""}, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(entry_is_root_load(&rows[i].entry), rows[i].is_root_load);
}

static void test_owners_are_set_as_the_kind_asks(void **state)
{
    (void)state;
    static const struct {
        struct entry entry;
        const char *sql; /* NULL: has no owner */
    } rows[] = {
        {{.kind = ENTRY_TABLE,
          .schema = "s",
          .tag = "a\"b",
          .owner = "o",
          .drop_statement = "DROP"},
         "ALTER TABLE \"s\".\"a\"\"b\" OWNER TO \"o\""},
        {{.kind = ENTRY_TS_CONFIGURATION,
          .schema = "s",
          .tag = "c",
          .owner = "o",
          .drop_statement = "DROP"},
         "ALTER TEXT SEARCH CONFIGURATION \"s\".\"c\" OWNER TO \"o\""},
        {{.kind = ENTRY_SCHEMA, .tag = "s", .owner = "o", .drop_statement = "-- *not* dropping"},
         "ALTER SCHEMA \"s\" OWNER TO \"o\""},
        {{.kind = ENTRY_FUNCTION,
          .schema = "s",
          .tag = "f(integer)",
          .owner = "o",
          .drop_statement = "DROP FUNCTION s.f(integer);\n"},
         "ALTER FUNCTION s.f(integer) OWNER TO \"o\""},
        {{.kind = ENTRY_OPERATOR_CLASS,
          .schema = "s",
          .tag = "c",
          .owner = "o",
          .drop_statement = "DROP OPERATOR CLASS s.c USING btree;\n"},
         "ALTER OPERATOR CLASS s.c USING btree OWNER TO \"o\""},
        {{.kind = ENTRY_SEQUENCE, .tag = "identity", .owner = "o", .drop_statement = ""}, NULL},
        {{.kind = ENTRY_TABLE, .tag = "t", .owner = "", .drop_statement = "DROP"}, NULL},
        {{.kind = ENTRY_INDEX, .tag = "i", .owner = "o", .drop_statement = "DROP"}, NULL},
        {{.kind = ENTRY_CAST, .tag = "c", .owner = "o", .drop_statement = "DROP"}, NULL},
        {{.kind = ENTRY_EXTENSION, .tag = "e", .owner = "", .drop_statement = "DROP"}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        char *sql;
        assert_int_equal(entry_has_owner(&rows[i].entry), rows[i].sql != NULL);
        if (rows[i].sql == NULL)
            continue;
        assert_int_equal(owner_sql(&arena, &rows[i].entry, &sql, &err), RR_OK);
        assert_string_equal(sql, rows[i].sql);
    }
}

static void test_an_owner_is_not_taken_from_a_foreign_drop_statement(void **state)
{
    (void)state;
    static const char *const drops[] = {"DELETE FROM users;", "DROP", "DROP TABLE f(integer)",
                                        "DROP FUNCTIONf(integer)"};
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct entry entry = {
            .kind = ENTRY_FUNCTION, .tag = "f", .owner = "o", .drop_statement = drops[i]};
        struct error err = ERROR_INIT;
        char *sql;
        assert_int_equal(owner_sql(&arena, &entry, &sql, &err), ERR_ARCHIVE_CORRUPT);
    }
}

static void test_large_object_numbers_are_numbers(void **state)
{
    (void)state;
    static const struct {
        struct entry entry;
        size_t count; /* 0: refused */
        uint32_t last;
    } rows[] = {
        {{.kind = ENTRY_BLOB, .tag = "16444"}, 1, 16444},
        {{.kind = ENTRY_BLOB, .tag = "4294967295"}, 1, UINT32_MAX},
        {{.kind = ENTRY_BLOB, .tag = "4294967296"}, 0, 0},
        {{.kind = ENTRY_BLOB, .tag = "0"}, 0, 0},
        {{.kind = ENTRY_BLOB, .tag = "1; DROP TABLE t"}, 0, 0},
        {{.kind = ENTRY_BLOB, .tag = "-1"}, 0, 0},
        {{.kind = ENTRY_BLOB_METADATA, .tag = "1..3", .definition = "1\n2\n3\n"}, 3, 3},
        {{.kind = ENTRY_BLOB_METADATA, .tag = "1..3", .definition = "1\n\n3\n"}, 0, 0},
        {{.kind = ENTRY_BLOB_METADATA, .tag = "1..3", .definition = "1\n2x\n"}, 0, 0},
        {{.kind = ENTRY_BLOB_METADATA, .tag = "1..3"}, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        const uint32_t *oids;
        size_t count;
        enum errc rc = blob_numbers(&arena, &rows[i].entry, &oids, &count, &err);
        assert_int_equal(rc, rows[i].count == 0 ? ERR_ARCHIVE_CORRUPT : RR_OK);
        if (rows[i].count > 0) {
            assert_int_equal(count, rows[i].count);
            assert_int_equal(oids[count - 1], rows[i].last);
        }
    }
}

static void test_grants_of_one_object_become_those_of_another(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    char *sql;
    struct entry entry = {.kind = ENTRY_ACL,
                          .definition = "REVOKE ALL ON LARGE OBJECT 7 FROM o;\n"
                                        "GRANT SELECT ON LARGE OBJECT 7 TO \"LARGE OBJECT 7\";\n"};
    assert_int_equal(blob_grants_sql(&arena, &entry, 4000000001U, &sql, &err), RR_OK);
    assert_string_equal(sql, "REVOKE ALL ON LARGE OBJECT 4000000001 FROM o;\n"
                             "GRANT SELECT ON LARGE OBJECT 4000000001 TO \"LARGE OBJECT 7\";\n");
    entry.definition = "GRANT SELECT ON TABLE t TO x;";
    assert_int_equal(blob_grants_sql(&arena, &entry, 8, &sql, &err), ERR_ARCHIVE_CORRUPT);
    error_clear(&err);
    entry.definition = "GRANT SELECT ON LARGE OBJECT 7 TO \"x;";
    assert_int_equal(blob_grants_sql(&arena, &entry, 8, &sql, &err), ERR_ARCHIVE_CORRUPT);
}

static void test_comments_on_extensions_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *definition, *extension, *text;
        bool has_escapes;
    } rows[] = {
        {"COMMENT ON EXTENSION hstore IS 'it''s \\ x';\n", "hstore", "it's \\ x", false},
        {"COMMENT ON EXTENSION \"uuid-ossp\" IS 'a\\\\b''c';\n", "uuid-ossp", "a\\b'c", true},
        {"COMMENT ON EXTENSION x IS NULL;\n", "x", NULL, false},
        {"COMMENT ON TABLE extension IS 'x';\n", NULL, NULL, false},
        {"DROP TABLE x;", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct entry entry = {.kind = ENTRY_COMMENT, .definition = rows[i].definition};
        const struct archive_settings settings = {.has_standard_strings = !rows[i].has_escapes};
        const char *extension, *text;
        extension_comment_parse(&arena, &entry, &settings, &extension, &text);
        assert_true(text_equal(extension, rows[i].extension));
        assert_true(text_equal(text, rows[i].text));
    }
}

static void test_a_comment_is_no_statement_and_not_valid_is_found(void **state)
{
    (void)state;
    const struct archive_settings settings = {.has_standard_strings = true};
    static const struct {
        struct entry entry;
        bool has_sql, is_not_valid;
    } rows[] = {
        {{.kind = ENTRY_SCHEMA,
          .definition = "-- *not* creating schema, since initdb creates it\n"},
         false,
         false},
        {{.kind = ENTRY_SCHEMA, .definition = ""}, false, false},
        {{.kind = ENTRY_TABLE, .definition = "-- x\nCREATE TABLE t (a text DEFAULT 'NOT VALID');"},
         true,
         false},
        {{.kind = ENTRY_FK_CONSTRAINT,
          .definition =
              "ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES b(c) NOT VALID;\n"},
         true,
         true},
        {{.kind = ENTRY_CHECK_CONSTRAINT,
          .definition = "ALTER TABLE t ADD CONSTRAINT c CHECK ((a <> 'NOT VALID')) NOT VALID;\n"},
         true,
         true},
        {{.kind = ENTRY_CHECK_CONSTRAINT,
          .definition = "ALTER TABLE t ADD CONSTRAINT \"NOT VALID\" CHECK ((not valid));\n"},
         true,
         false},
        {{.kind = ENTRY_TRIGGER, .definition = "CREATE TRIGGER not valid"}, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(entry_has_sql(&rows[i].entry), rows[i].has_sql);
        assert_int_equal(entry_is_not_valid(&rows[i].entry, &settings), rows[i].is_not_valid);
    }
}

static void test_titles_are_safe_to_print(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    const struct entry entry = {
        .dump_id = 12, .kind = ENTRY_TABLE, .schema = "s\n", .tag = "\x1b[31m'x"};
    assert_string_equal(entry_title(&arena, &entry), "TABLE 's\\n'.'\\x1b[31m\\'x' (entry 12)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_are_taken_in_pg_dumps_wording_only),
        cmocka_unit_test(test_an_archive_without_settings_is_read_like_pg_restore_does),
        cmocka_unit_test(test_copy_statements_are_built_anew_or_refused),
        cmocka_unit_test(test_more_columns_than_a_table_can_have_are_refused),
        cmocka_unit_test(test_a_load_through_the_root_is_known_by_mark_or_by_name),
        cmocka_unit_test(test_owners_are_set_as_the_kind_asks),
        cmocka_unit_test(test_an_owner_is_not_taken_from_a_foreign_drop_statement),
        cmocka_unit_test(test_large_object_numbers_are_numbers),
        cmocka_unit_test(test_grants_of_one_object_become_those_of_another),
        cmocka_unit_test(test_comments_on_extensions_are_taken_apart),
        cmocka_unit_test(test_a_comment_is_no_statement_and_not_valid_is_found),
        cmocka_unit_test(test_titles_are_safe_to_print),
    };
    return cmocka_run_group_tests_name("restore/statements", tests, NULL, NULL);
}
