/*
 * inserts - cuts the data of a table dumped with --inserts into single INSERT statements.
 *
 * Such a stream is SQL: `INSERT INTO ...;` statements, whitespace between them, no comments, no
 * dollar quotes, no E'' (PostgreSQL's src/bin/pg_dump/pg_dump.c: dumpTableData_insert;
 * pg_backup_db.c: ExecuteSimpleCommands). Literals may hold anything, line feeds and semicolons
 * too; backslashes escape in them only when the archive was made with standard_conforming_strings
 * off. Whatever is not of this form is ERR_ARCHIVE_CORRUPT. Bytes are enough to see quotes in every
 * encoding; but with escapes in force and a client encoding whose trail bytes may be backslashes
 * (SJIS, BIG5, GBK, GB18030, UHC, JOHAB) the caller must refuse. Give pieces of any size, take
 * statements:
 *
 *     INSERT_SPLITTER_GUARD struct insert_splitter splitter;
 *     insert_splitter_init(&splitter, standard_strings);
 *     for each piece:
 *         insert_splitter_feed(&splitter, bytes, length);
 *         while (!insert_splitter_next(&splitter, &statement, &length, &err) && statement)
 *             run it;
 *     insert_splitter_finish(&splitter, &err);
 */
#ifndef RR_ARCHIVE_INSERTS_H
#define RR_ARCHIVE_INSERTS_H

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/str.h"

struct insert_splitter {
    uint64_t statements; /* handed out so far; one may hold many rows (--rows-per-insert) */
    bool standard_strings;
    int state;
    char previous; /* byte before the next one, 0 at the start of a statement */
    const char *piece;
    size_t piece_length;
    struct str statement; /* as far as it is known */
    size_t line_feeds;    /* since the last statement */
};

/* `standard_strings`: what the archive's STDSTRINGS entry says. */
void insert_splitter_init(struct insert_splitter *splitter, bool standard_strings);
void insert_splitter_release(struct insert_splitter *splitter); /* all zero is accepted */
#define INSERT_SPLITTER_GUARD __attribute__((cleanup(insert_splitter_release)))

/* The next piece; it must stay valid until insert_splitter_next() has answered NULL. */
void insert_splitter_feed(struct insert_splitter *splitter, const char *bytes, size_t length);

/* The next complete statement, terminated and with its semicolon, valid until the next call; NULL
 * when the piece is used up. ERR_TOO_LARGE beyond LIMIT_STATEMENT_BYTES. */
enum errc insert_splitter_next(struct insert_splitter *splitter, const char **ret_statement,
                               size_t *ret_length, struct error *err) RR_MUST_CHECK;

/* The stream has ended: it must not have ended inside a statement, and the two empty lines that
 * pg_dump writes behind the last one (dumpTableData_insert()) must be there. They are all that
 * marks the end of such data where the stream has no end of its own, as in a file of its own. */
enum errc insert_splitter_finish(const struct insert_splitter *splitter,
                                 struct error *err) RR_MUST_CHECK;

#endif
