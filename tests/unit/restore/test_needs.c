#include "support.h"

#include "lib/restore/needs.h"

static const char *join(struct arena *arena, const struct need_list *list)
{
    char *line = arena_strdup(arena, "");
    for (size_t i = 0; i < list->count; i++)
        line = arena_printf(arena, "%s%s*%zu ", line, list->items[i].name, list->items[i].count);
    return line;
}

static void collect(struct needs *needs, const struct row *rows, size_t count,
                    const struct load_options *options, struct arena *arena)
{
    const struct archive_settings settings = {.encoding = "UTF8", .has_standard_strings = true};
    struct toc *toc = arena_alloc(arena, sizeof *toc);
    make_toc(rows, count, arena, toc);
    needs_collect(needs, toc, &settings, options, arena);
}

static void test_roles_are_found_in_texts_and_nothing_else_is_taken_for_one(void **state)
{
    (void)state;
    static const struct {
        enum entry_kind kind;
        const char *definition, *roles, *owners;
    } cases[] = {
        {ENTRY_ACL, "GRANT SELECT ON TABLE s.t TO bob;\n", "bob*1 ", ""},
        {ENTRY_ACL, "GRANT SELECT ON TABLE s.\"to\" TO \"Bob \"\" x\" WITH GRANT OPTION;\n",
         "Bob \" x*1 ", ""},
        {ENTRY_ACL, "REVOKE ALL ON TABLE t FROM a;\nGRANT ALL ON TABLE t TO b;\n", "a*1 b*1 ", ""},
        {ENTRY_ACL, "REVOKE GRANT OPTION FOR SELECT ON TABLE t FROM a;\n", "a*1 ", ""},
        {ENTRY_ACL, "GRANT ALL ON FUNCTION f(a text, \"from\" interval day to second) TO PUBLIC;\n",
         "", ""},
        {ENTRY_ACL, "REVOKE USAGE ON SCHEMA public FROM PUBLIC;\n", "", ""},
        {ENTRY_ACL, "GRANT ALL ON TABLE t TO CURRENT_USER;\n", "", ""},
        {ENTRY_ACL, "GRANT ALL ON TABLE t TO \"current_user\";\n", "current_user*1 ", ""},
        {ENTRY_ACL, "GRANT SELECT(a),UPDATE(b) ON TABLE t TO c;\n", "c*1 ", ""},
        {ENTRY_ACL,
         "SET SESSION AUTHORIZATION x;\nGRANT SELECT ON TABLE t TO y;\nRESET SESSION "
         "AUTHORIZATION;\n",
         "x*1 y*1 ", ""},
        {ENTRY_ACL, "GRANT SELECT ON TABLE t TO \"unfinished;\n", "", ""},
        {ENTRY_DEFAULT_ACL,
         "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA s GRANT SELECT ON TABLES TO r;\n", "r*1 ",
         "o*1 "},
        {ENTRY_DEFAULT_ACL,
         "ALTER DEFAULT PRIVILEGES FOR ROLE o REVOKE ALL ON FUNCTIONS FROM PUBLIC;\n", "", "o*1 "},
        {ENTRY_POLICY,
         "CREATE POLICY p ON s.t AS RESTRICTIVE FOR SELECT TO a, \"B c\" USING ((x = 'to y')) WITH "
         "CHECK (true);\n",
         "a*1 B c*1 ", ""},
        {ENTRY_POLICY, "CREATE POLICY p ON s.t USING ((a IN ( SELECT x FROM y)));\n", "", ""},
        {ENTRY_USER_MAPPING,
         "CREATE USER MAPPING FOR bob SERVER s OPTIONS (\n    password 'for alice'\n);\n", "bob*1 ",
         ""},
        {ENTRY_USER_MAPPING, "CREATE USER MAPPING FOR public SERVER s;\n", "", ""},
        {ENTRY_TABLE, "CREATE TABLE t (a int); -- GRANT x TO y;", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct row row = {1, cases[i].kind, .definition = cases[i].definition};
        const struct load_options options = {0};
        struct needs needs;
        collect(&needs, &row, 1, &options, &arena);
        if (strcmp(join(&arena, &needs.roles), cases[i].roles) != 0 ||
            strcmp(join(&arena, &needs.owners), cases[i].owners) != 0)
            fail_msg("%s: roles %s, owners %s", cases[i].definition, join(&arena, &needs.roles),
                     join(&arena, &needs.owners));
    }
}

static const struct row rows[] = {
    {1, ENTRY_DATABASE, .tag = "d", .owner = "dba", .drop = "DROP", .tablespace = "dbspace"},
    {2, ENTRY_SUBSCRIPTION, .tag = "s", .owner = "subber", .drop = "DROP"},
    {3, ENTRY_TABLE, .tag = "a", .owner = "bob", .drop = "DROP", .tablespace = "fast",
     .access_method = "heap"},
    {4, ENTRY_TABLE, .tag = "b", .owner = "bob", .drop = "DROP", .tablespace = "",
     .access_method = "zheap"},
    {5, ENTRY_INDEX, .tag = "i", .owner = "nobody", .drop = "DROP", .tablespace = "fast"},
    {6, ENTRY_ACL, .tag = "TABLE a", .definition = "GRANT SELECT ON TABLE a TO carol;"},
    {7, ENTRY_TABLE_DATA, .tag = "a", .owner = "bob", .copy = "COPY a (x) WITH OIDS FROM stdin;"},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void test_only_what_will_run_is_asked_for(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    const struct load_options options = {0};
    struct needs needs;
    collect(&needs, rows, ROWS, &options, &arena);
    assert_string_equal(join(&arena, &needs.owners), "bob*2 ");
    assert_string_equal(join(&arena, &needs.roles), "carol*1 ");
    assert_string_equal(join(&arena, &needs.tablespaces), "fast*2 ");
    assert_string_equal(join(&arena, &needs.access_methods), "heap*1 zheap*1 ");
    assert_int_equal(needs.with_oids->dump_id, 7);
    assert_false(needs.brings_access_methods);
}

static void test_owners_and_grants_that_are_left_out_are_not_needed(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    const struct load_options options = {.no_owner = true, .no_privileges = true};
    struct needs needs;
    collect(&needs, rows, ROWS, &options, &arena);
    assert_int_equal(needs.owners.count, 0);
    assert_int_equal(needs.roles.count, 0);
}

static void test_what_only_a_superuser_may_create_is_known(void **state)
{
    (void)state;
    static const struct {
        struct row row;
        enum power power; /* POWER_COUNT: none */
    } cases[] = {
        {{1, ENTRY_FUNCTION,
          .definition =
              "CREATE FUNCTION f(language text) RETURNS int\n    LANGUAGE c\n    AS 'x', 'y';"},
         POWER_UNTRUSTED_FUNCTION},
        {{1, ENTRY_FUNCTION,
          .definition = "CREATE FUNCTION f() RETURNS int\n    LANGUAGE plpython3u AS $$x$$;"},
         POWER_UNTRUSTED_FUNCTION},
        {{1, ENTRY_FUNCTION,
          .definition =
              "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 1 -- LANGUAGE c$$;"},
         POWER_COUNT},
        {{1, ENTRY_SHELL_TYPE, .tag = "t"}, POWER_BASE_TYPE},
        {{1, ENTRY_TYPE, .definition = "CREATE TYPE t AS ENUM ();"}, POWER_COUNT},
        {{1, ENTRY_CAST, .definition = "CREATE CAST (a AS b) WITHOUT FUNCTION;"},
         POWER_BINARY_CAST},
        {{1, ENTRY_CAST, .definition = "CREATE CAST (a AS b) WITH INOUT;"}, POWER_COUNT},
        {{1, ENTRY_OPERATOR_CLASS, .tag = "c"}, POWER_OPERATOR_CLASS},
        {{1, ENTRY_EVENT_TRIGGER, .tag = "e"}, POWER_EVENT_TRIGGER},
        {{1, ENTRY_PUBLICATION,
          .definition = "CREATE PUBLICATION p FOR ALL TABLES WITH (publish = 'insert');"},
         POWER_PUBLICATION},
        {{1, ENTRY_PUBLICATION,
          .definition = "CREATE PUBLICATION \"ALL TABLES\" WITH (publish = 'insert');"},
         POWER_COUNT},
        {{1, ENTRY_ACL, .schema = "pg_catalog",
          .definition = "GRANT SELECT ON TABLE pg_catalog.pg_authid TO x;"},
         POWER_SYSTEM_GRANT},
        {{1, ENTRY_ACL,
          .definition = "SET SESSION AUTHORIZATION x;GRANT SELECT ON TABLE t TO y;RESET SESSION "
                        "AUTHORIZATION;"},
         POWER_OTHERS_GRANT},
        {{1, ENTRY_LANGUAGE, .tag = "plpgsql"}, POWER_COUNT},
        {{1, ENTRY_LANGUAGE, .tag = "pllua"}, POWER_LANGUAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct load_options options = {0};
        struct needs needs;
        collect(&needs, &cases[i].row, 1, &options, &arena);
        for (int p = 0; p < POWER_COUNT; p++)
            if ((needs.powers[p].count > 0) != (p == (int)cases[i].power))
                fail_msg("case %zu: %s", i, power_text((enum power)p));
    }
}

static void test_many_names_are_kept_apart(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    ARENA_GUARD struct arena arena = {0};
    const struct load_options options = {0};
    struct row *many = arena_array(&arena, MANY, sizeof *many);
    for (int i = 0; i < MANY; i++)
        many[i] = (struct row){i + 1, ENTRY_TABLE, .tag = "t", .drop = "DROP",
                               .owner = arena_printf(&arena, "role %d", i / 2)};
    struct needs needs;
    collect(&needs, many, MANY, &options, &arena);
    assert_int_equal(needs.owners.count, MANY / 2);
    assert_string_equal(needs.owners.items[1234].name, "role 1234");
    assert_int_equal(needs.owners.items[1234].count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roles_are_found_in_texts_and_nothing_else_is_taken_for_one),
        cmocka_unit_test(test_only_what_will_run_is_asked_for),
        cmocka_unit_test(test_owners_and_grants_that_are_left_out_are_not_needed),
        cmocka_unit_test(test_what_only_a_superuser_may_create_is_known),
        cmocka_unit_test(test_many_names_are_kept_apart),
    };
    return cmocka_run_group_tests_name("restore/needs", tests, NULL, NULL);
}
