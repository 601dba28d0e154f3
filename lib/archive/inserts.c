#include "lib/archive/inserts.h"

#include <string.h>

#include "lib/base/limits.h"

/* Where the next byte stands. */
enum { BETWEEN, PLAIN, IN_LITERAL, AFTER_ESCAPE, IN_IDENTIFIER, COMPLETE };

/* Statements are one line feed apart; behind the last one come two more. */
enum { END_LINE_FEEDS = 2 };

static const char statement_begin[] = "INSERT INTO ";

void insert_splitter_init(struct insert_splitter *splitter, bool standard_strings)
{
    *splitter = (struct insert_splitter){
        .standard_strings = standard_strings,
        .state = BETWEEN,
        .statement = STR_INIT(LIMIT_STATEMENT_BYTES),
    };
}

void insert_splitter_release(struct insert_splitter *splitter)
{
    str_release(&splitter->statement);
}

void insert_splitter_feed(struct insert_splitter *splitter, const char *bytes, size_t length)
{
    splitter->piece = bytes;
    splitter->piece_length = length;
}

static bool is_space(char c)
{
    return c == '\n' || c == ' ' || c == '\t' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Outside quotes: what would make the server find another end of the statement than we do is
 * refused, since pg_dump does not write it: E'' and U&'' (B'' holds digits only), dollar quotes,
 * comments. */
static bool is_foreign(char previous, char c)
{
    switch (c) {
    case '\'':
        return previous == '&' || (is_word(previous) && previous != 'B');
    case '"':
        return previous == '&';
    case '-':
        return previous == '-';
    case '*':
        return previous == '/';
    default:
        return c == '$' || c == '\\';
    }
}

static int next_plain_state(char c)
{
    return c == '\'' ? IN_LITERAL : c == '"' ? IN_IDENTIFIER : c == ';' ? COMPLETE : PLAIN;
}

/* Goes on to the next byte that may matter inside quotes; most of the data is there. */
static const char *pass_quoted(const char *p, const char *end, char quote, bool has_escapes)
{
    if (!has_escapes) {
        const char *found = memchr(p, quote, (size_t)(end - p));
        return found ? found : end;
    }
    while (p < end && *p != quote && *p != '\\')
        p++;
    return p;
}

/* Moves through the piece until the statement is complete or the piece used up; returns where. A
 * quote doubled inside quotes ends them and begins them anew, which comes to the same. */
static const char *pass_statement(struct insert_splitter *splitter, const char *p, const char *end,
                                  bool *ret_is_foreign)
{
    *ret_is_foreign = false;
    while (p < end && splitter->state != COMPLETE) {
        bool in_literal = splitter->state == IN_LITERAL;
        if (in_literal || splitter->state == IN_IDENTIFIER) {
            p = pass_quoted(p, end, in_literal ? '\'' : '"',
                            in_literal && !splitter->standard_strings);
            if (p == end)
                break;
            splitter->state = *p == '\\' && in_literal ? AFTER_ESCAPE : PLAIN;
        } else if (splitter->state == AFTER_ESCAPE) {
            splitter->state = IN_LITERAL;
        } else {
            *ret_is_foreign = is_foreign(splitter->previous, *p);
            if (*ret_is_foreign)
                break;
            splitter->state = next_plain_state(*p);
        }
        splitter->previous = *p++;
    }
    return p;
}

/* Takes the next part of a statement out of the piece. */
static enum errc take_part(struct insert_splitter *splitter, struct error *err)
{
    const char *begin = splitter->piece, *end = begin + splitter->piece_length;
    bool has_foreign;
    const char *p = pass_statement(splitter, begin, end, &has_foreign);
    size_t length = (size_t)(p - begin);
    if (has_foreign || memchr(begin, 0, length))
        return error_set(err, ERR_ARCHIVE_CORRUPT,
                         "statement %llu holds what pg_dump --inserts does not write",
                         (unsigned long long)splitter->statements + 1);
    str_append_bytes(&splitter->statement, begin, length);
    splitter->piece += length;
    splitter->piece_length -= length;
    size_t known = splitter->statement.length;
    size_t checked = known < sizeof statement_begin - 1 ? known : sizeof statement_begin - 1;
    if (memcmp(str_text(&splitter->statement), statement_begin, checked) != 0)
        return error_set(err, ERR_ARCHIVE_CORRUPT, "statement %llu is no INSERT",
                         (unsigned long long)splitter->statements + 1);
    return str_check(&splitter->statement, "a statement of the archive", err);
}

static void skip_space(struct insert_splitter *splitter)
{
    while (splitter->piece_length && is_space(*splitter->piece)) {
        splitter->line_feeds += *splitter->piece == '\n';
        splitter->piece++;
        splitter->piece_length--;
    }
}

enum errc insert_splitter_next(struct insert_splitter *splitter, const char **ret_statement,
                               size_t *ret_length, struct error *err)
{
    if (splitter->state == COMPLETE) { /* the caller has done with that one */
        str_clear(&splitter->statement);
        splitter->previous = 0;
        splitter->line_feeds = 0;
        splitter->state = BETWEEN;
    }
    if (splitter->state == BETWEEN)
        skip_space(splitter);
    if (splitter->piece_length) {
        enum errc code = take_part(splitter, err);
        if (code)
            return code;
    }
    bool is_complete = splitter->state == COMPLETE;
    splitter->statements += is_complete;
    *ret_statement = is_complete ? str_text(&splitter->statement) : NULL;
    *ret_length = is_complete ? splitter->statement.length : 0;
    return RR_OK;
}

enum errc insert_splitter_finish(const struct insert_splitter *splitter, struct error *err)
{
    if (splitter->state == BETWEEN && splitter->line_feeds >= END_LINE_FEEDS)
        return RR_OK;
    if (splitter->state == BETWEEN || splitter->state == COMPLETE)
        return error_set(
            err, ERR_ARCHIVE_CORRUPT,
            "the data end behind statement %llu without the empty lines that end them: "
            "they are cut off",
            (unsigned long long)splitter->statements);
    return error_set(err, ERR_ARCHIVE_CORRUPT, "the data end inside statement %llu",
                     (unsigned long long)splitter->statements + 1);
}
