/*
 * lexer - the words of one piece of SQL text from an archive. Pure, allocates nothing.
 *
 * Enough of PostgreSQL's lexical rules (src/backend/parser/scan.l) to find names in the texts that
 * pg_dump writes: words, "quoted names", string literals of every form, dollar quotes, numbers,
 * comments and single symbols, with the depth of parentheses. The text must outlive the tokens. An
 * unfinished quote or comment ends in TOKEN_BROKEN; whoever reads it then knows nothing about the
 * text and must not guess.
 */
#ifndef RR_RESTORE_LEXER_H
#define RR_RESTORE_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/arena.h"

enum token_kind {
    TOKEN_END,    /* nothing more */
    TOKEN_BROKEN, /* the text ends inside a quote or a comment */
    TOKEN_WORD,   /* keyword or unquoted name */
    TOKEN_NAME,   /* "quoted name", with its quotes */
    TOKEN_STRING, /* any literal, with its quotes */
    TOKEN_NUMBER,
    TOKEN_SYMBOL, /* one byte of anything else */
};

struct token {
    enum token_kind kind;
    const char *start;
    size_t length;
    unsigned depth; /* of parentheses around it; both parentheses count as outside */
};

struct lexer {
    const char *at;
    bool has_standard_strings; /* standard_conforming_strings of the archive */
    unsigned depth;
};

struct lexer lexer_init(const char *text, bool has_standard_strings);
struct token lexer_next(struct lexer *lexer);

/* Whether the token is this keyword (given in lower case). */
bool token_is_word(const struct token *token, const char *word);
bool token_is_symbol(const struct token *token, char symbol);
/* The name that a word (folded to lower case) or a quoted name (unquoted) stands for; NULL for
 * other tokens. */
char *token_to_name(struct arena *arena, const struct token *token);

#endif
