#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/restore/lexer.h"

/* Tokens as one line: kind letter, depth if not 0, text. */
static const char *tokens_of(struct arena *arena, const char *text, bool has_standard_strings)
{
    static const char letters[] = {
        [TOKEN_WORD] = 'w',   [TOKEN_NAME] = 'n',   [TOKEN_STRING] = 's',
        [TOKEN_NUMBER] = 'd', [TOKEN_SYMBOL] = 'y', [TOKEN_BROKEN] = '!'};
    struct lexer lexer = lexer_init(text, has_standard_strings);
    char *line = arena_strdup(arena, "");
    for (;;) {
        struct token token = lexer_next(&lexer);
        if (token.kind == TOKEN_END)
            return line;
        if (token.kind == TOKEN_BROKEN)
            return arena_printf(arena, "%s!", line);
        line = arena_printf(arena, "%s%c%.*u%.*s ", line, letters[token.kind], token.depth > 0,
                            token.depth, (int)token.length, token.start);
    }
}

static void test_words_quotes_and_comments_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *tokens;
        bool has_escapes;
    } rows[] = {
        {"empty", "", "", false},
        {"blanks and comments", " \t\n-- x\n/* a /* b */ c */", "", false},
        {"comment at the end", "a -- b", "wa ", false},
        {"words", "GRANT a_1$ \xc3\xbc", "wGRANT wa_1$ w\xc3\xbc ", false},
        {"quoted name", "\"a\"\"b;\".c", "n\"a\"\"b;\" y. wc ", false},
        {"literal", "'it''s;' x", "s'it''s;' wx ", false},
        {"backslash is plain", "'a\\' b", "s'a\\' wb ", false},
        {"backslash escapes", "'a\\' b' c", "s'a\\' b' wc ", true},
        {"E literal", "E'a\\'b' c", "sE'a\\'b' wc ", false},
        {"other literals", "B'1' x'f' N'n' U&'u'", "sB'1' sx'f' sN'n' sU&'u' ", false},
        {"dollar quote", "$$a'b$$ $x$ $$ ; $x$ y", "s$$a'b$$ s$x$ $$ ; $x$ wy ", false},
        {"parameter", "$1", "y$ d1 ", false},
        {"numbers", "12 1.5e3", "d12 d1.5e3 ", false},
        {"depth", "a(b(c)d)e", "wa y( w1b y1( w2c y1) w1d y) we ", false},
        {"too many closed", ")a", "y) wa ", false},
        {"unfinished literal", "a 'b", "wa !", false},
        {"unfinished name", "a \"b", "wa !", false},
        {"unfinished comment", "a /* /* */", "wa !", false},
        {"unfinished dollar quote", "$a$ $b$", "!", false},
        {"backslash at the end", "'a\\", "!", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        const char *tokens = tokens_of(&arena, rows[i].text, !rows[i].has_escapes);
        if (strcmp(tokens, rows[i].tokens) != 0)
            fail_msg("%s: %s", rows[i].name, tokens);
    }
}

static void test_names_are_folded_or_unquoted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } rows[] = {
        {"Bob", "bob"}, {"\"Bob\"", "Bob"}, {"\"a\"\"b\"", "a\"b"}, {"\"\"\"\"", "\""},
        {"\"\"", ""},   {"'x'", NULL},      {"12", NULL},           {"\xc3\x9c", "\xc3\x9c"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct lexer lexer = lexer_init(rows[i].text, true);
        struct token token = lexer_next(&lexer);
        const char *name = token_to_name(&arena, &token);
        if (rows[i].name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_quotes_and_comments_are_told_apart),
        cmocka_unit_test(test_names_are_folded_or_unquoted),
    };
    return cmocka_run_group_tests_name("restore/lexer", tests, NULL, NULL);
}
