#include "lib/restore/lexer.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word_part(char c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

/* Each skip_ function starts behind the opening mark and returns the place behind the closing one,
 * or NULL. */
static const char *skip_quoted(const char *at, char quote, bool has_escapes)
{
    for (; *at != '\0'; at++) {
        if (has_escapes && *at == '\\' && at[1] != '\0')
            at++;
        else if (*at == quote && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    return NULL;
}

static const char *skip_block_comment(const char *at)
{
    for (unsigned depth = 1; *at != '\0'; at++) {
        if (at[0] == '/' && at[1] == '*') {
            depth++;
            at++;
        } else if (at[0] == '*' && at[1] == '/') {
            at++;
            if (--depth == 0)
                return at + 1;
        }
    }
    return NULL;
}

/* `at` is on the first dollar sign. Returns `at` itself when this opens no dollar quote. */
static const char *skip_dollar_quoted(const char *at)
{
    const char *tag_end = at + 1;
    if (is_word_start(*tag_end))
        while (is_word_part(*tag_end) && *tag_end != '$')
            tag_end++;
    if (*tag_end != '$')
        return at;
    size_t mark = (size_t)(tag_end + 1 - at);
    for (const char *close = tag_end + 1; (close = strchr(close, '$')) != NULL; close++)
        if (strncmp(close, at, mark) == 0)
            return close + mark;
    return NULL;
}

static const char *skip_blanks_and_comments(const char *at)
{
    for (;;) {
        if (is_blank(*at)) {
            at++;
        } else if (at[0] == '-' && at[1] == '-') {
            at += strcspn(at, "\r\n");
        } else if (at[0] == '/' && at[1] == '*') {
            at = skip_block_comment(at + 2);
            if (at == NULL)
                return NULL;
        } else {
            return at;
        }
    }
}

/* Whether a literal begins here, after the prefix letters that a literal may have. */
static const char *literal_quote(const char *at, bool has_standard_strings, bool *ret_has_escapes)
{
    *ret_has_escapes = !has_standard_strings;
    if (*at == '\'')
        return at;
    if (at[0] != '\0' && strchr("eEbBxXnN", at[0]) != NULL && at[1] == '\'') {
        if (at[0] == 'e' || at[0] == 'E')
            *ret_has_escapes = true;
        return at + 1;
    }
    if ((at[0] == 'u' || at[0] == 'U') && at[1] == '&' && at[2] == '\'')
        return at + 2;
    return NULL;
}

struct lexer lexer_init(const char *text, bool has_standard_strings)
{
    return (struct lexer){.at = text, .has_standard_strings = has_standard_strings};
}

static struct token finish(struct lexer *lexer, enum token_kind kind, const char *start,
                           const char *end)
{
    struct token token = {.kind = end == NULL ? TOKEN_BROKEN : kind,
                          .start = start,
                          .length = end == NULL ? 0 : (size_t)(end - start),
                          .depth = lexer->depth};
    lexer->at = end == NULL ? start + strlen(start) : end;
    return token;
}

static struct token next_symbol(struct lexer *lexer, const char *at)
{
    if (*at == ')' && lexer->depth > 0)
        lexer->depth--;
    struct token token = finish(lexer, TOKEN_SYMBOL, at, at + 1);
    if (*at == '(')
        lexer->depth++;
    return token;
}

struct token lexer_next(struct lexer *lexer)
{
    const char *at = skip_blanks_and_comments(lexer->at);
    if (at == NULL)
        return finish(lexer, TOKEN_BROKEN, lexer->at, NULL);
    if (*at == '\0')
        return finish(lexer, TOKEN_END, at, at);
    bool has_escapes;
    const char *quote = literal_quote(at, lexer->has_standard_strings, &has_escapes);
    if (quote != NULL)
        return finish(lexer, TOKEN_STRING, at, skip_quoted(quote + 1, '\'', has_escapes));
    if (*at == '"')
        return finish(lexer, TOKEN_NAME, at, skip_quoted(at + 1, '"', false));
    if (*at == '$') {
        const char *end = skip_dollar_quoted(at);
        return end == at ? next_symbol(lexer, at) : finish(lexer, TOKEN_STRING, at, end);
    }
    const char *end = at;
    if (is_word_start(*at)) {
        while (is_word_part(*end))
            end++;
        return finish(lexer, TOKEN_WORD, at, end);
    }
    if (is_digit(*at)) {
        while (is_digit(*end) || *end == '.' || is_word_start(*end))
            end++;
        return finish(lexer, TOKEN_NUMBER, at, end);
    }
    return next_symbol(lexer, at);
}

bool token_is_word(const struct token *token, const char *word)
{
    return token->kind == TOKEN_WORD && strlen(word) == token->length &&
           strncasecmp(token->start, word, token->length) == 0;
}

bool token_is_symbol(const struct token *token, char symbol)
{
    return token->kind == TOKEN_SYMBOL && *token->start == symbol;
}

char *token_to_name(struct arena *arena, const struct token *token)
{
    if (token->kind == TOKEN_WORD) {
        char *name = arena_strndup(arena, token->start, token->length);
        for (char *c = name; *c != '\0'; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
        return name;
    }
    if (token->kind != TOKEN_NAME)
        return NULL;
    char *name = arena_strndup(arena, token->start + 1, token->length - 2);
    char *to = name;
    for (const char *from = name; *from != '\0'; from++) {
        *to++ = *from;
        if (from[0] == '"' && from[1] == '"')
            from++;
    }
    *to = '\0';
    return name;
}
