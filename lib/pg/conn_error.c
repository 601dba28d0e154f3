/* From a failed result to a `struct error`. */
#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else /* where Debian keeps it */
#include <postgresql/libpq-fe.h>
#endif

#include <string.h>

#include "lib/base/limits.h"
#include "lib/pg/conn_internal.h"

enum { MESSAGE_BYTES = 400, DETAIL_BYTES = 250, CONTEXT_BYTES = 160, STATEMENT_BYTES = 200 };

static const char *field_of(const PGresult *result, int field)
{
    const char *text = result ? PQresultErrorField(result, field) : NULL;
    return text ? text : "";
}

void conn_append_message(struct str *s, const char *text, size_t max)
{
    STR_GUARD struct str quoted = STR_INIT(8 * max + 16);
    str_append_quoted(&quoted, text, max);
    /* Quotes around the whole would make every quote inside look escaped: take them off again. */
    for (size_t i = 1; i + 1 < quoted.length; i++) {
        if (quoted.data[i] == '\\' && quoted.data[i + 1] == '\'')
            i++;
        str_append_char(s, quoted.data[i]);
    }
}

void conn_append_statement(struct str *s, const char *sql)
{
    sql += strspn(sql, " \t\r\n");
    size_t length = strcspn(sql, "'$");
    bool is_cut = sql[length] != '\0';
    if (length > STATEMENT_BYTES) {
        length = STATEMENT_BYTES;
        is_cut = true;
    }
    while (length && strchr(" \t\r\n;", sql[length - 1]))
        length--;
    STR_GUARD struct str head = STR_INIT(STATEMENT_BYTES);
    str_append_bytes(&head, sql, length);
    conn_append_message(s, str_text(&head), STATEMENT_BYTES);
    if (is_cut)
        str_append(s, " ...");
}

enum errc conn_errc_of_sqlstate(const char *sqlstate)
{
    static const char *const ended[] = {"57P01", "57P02", "57P03", "57P04",
                                        "57P05", "25P03", "25P04"};
    if (strcmp(sqlstate, "53100") == 0)
        return ERR_DISK_FULL;
    if (text_has_prefix(sqlstate, "28"))
        return ERR_DATABASE_LOGIN;
    if (text_has_prefix(sqlstate, "08"))
        return ERR_DATABASE_LOST;
    for (size_t i = 0; i < sizeof ended / sizeof *ended; i++)
        if (strcmp(sqlstate, ended[i]) == 0)
            return ERR_DATABASE_LOST;
    return ERR_SQL;
}

/* The connection itself failed; libpq's text names no secret. */
static enum errc fail_lost(struct conn *conn, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(ERROR_TEXT_SIZE), clean = STR_INIT(ERROR_TEXT_SIZE);
    for (const char *p = PQerrorMessage(conn->pg); *p; p++)
        str_append_char(&text, *p == '\n' || *p == '\t' ? ' ' : *p);
    while (text.length && text.data[text.length - 1] == ' ')
        text.data[--text.length] = '\0';
    conn_append_message(&clean, str_text(&text), MESSAGE_BYTES);
    return error_set(err, ERR_DATABASE_LOST, "the connection to %s broke: %s", conn->peer,
                     clean.length ? str_text(&clean) : "closed");
}

static void describe(struct str *text, const struct conn_wait *wait, const PGresult *result)
{
    const char *detail = field_of(result, PG_DIAG_MESSAGE_DETAIL);
    const char *context = field_of(result, PG_DIAG_CONTEXT);
    conn_append_message(text, field_of(result, PG_DIAG_MESSAGE_PRIMARY), MESSAGE_BYTES);
    if (*detail) {
        str_append(text, ": ");
        conn_append_message(text, detail, DETAIL_BYTES);
    }
    str_printf(text, " (SQLSTATE %s", field_of(result, PG_DIAG_SQLSTATE));
    /* A line number within a DO block tells nobody anything. */
    if (*context && !text_has_prefix(context, "PL/pgSQL function inline_code_block")) {
        str_append(text, "; ");
        conn_append_message(text, context, CONTEXT_BYTES);
    }
    if (wait && wait->sql) {
        str_append(text, "; statement: ");
        conn_append_statement(text, wait->sql);
    }
    str_append_char(text, ')');
}

static void add_hint(const PGresult *result, struct error *err)
{
    const char *hint = field_of(result, PG_DIAG_MESSAGE_HINT);
    if (*hint) {
        STR_GUARD struct str clean = STR_INIT(ERROR_HINT_SIZE);
        conn_append_message(&clean, hint, 300);
        error_hint(err, "%s", str_text(&clean));
    }
    if (err->code == ERR_DISK_FULL)
        error_hint(
            err, "make room on the database server's disk; a restore needs room for a second copy");
}

/* A server that ends a session says why before it hangs up; libpq may not have looked at that yet.
 * It does not wait here: the connection is known to be broken. */
static enum errc fail_with_last_words(struct conn *conn, const struct conn_wait *wait,
                                      struct error *err)
{
    PGresult *last = PQstatus(conn->pg) == CONNECTION_BAD ? PQgetResult(conn->pg) : NULL;
    enum errc rc = strlen(field_of(last, PG_DIAG_SQLSTATE)) == 5 ? conn_fail(conn, wait, last, err)
                                                                 : fail_lost(conn, err);
    PQclear(last);
    return rc == ERR_SQL ? error_recode(err, ERR_DATABASE_LOST) : rc;
}

enum errc conn_fail(struct conn *conn, const struct conn_wait *wait, const PGresult *result,
                    struct error *err)
{
    const char *sqlstate = field_of(result, PG_DIAG_SQLSTATE);
    if (!result)
        return fail_with_last_words(conn, wait, err);
    if (strlen(sqlstate) != 5)
        return fail_lost(conn, err);
    bool was_stopped = strcmp(sqlstate, "57014") == 0;
    if (was_stopped && wait && wait->was_cancelled)
        return error_set(err, ERR_CANCELLED, "interrupted");
    enum errc code = conn_errc_of_sqlstate(sqlstate);
    STR_GUARD struct str text = STR_INIT(4 * ERROR_TEXT_SIZE);
    if (was_stopped && wait && wait->was_too_long) {
        code = ERR_TIMEOUT;
        str_printf(&text, "stopped after %llu s without an end: ",
                   (unsigned long long)conn->limit_ms / 1000);
    }
    describe(&text, wait, result);
    error_set(err, code, "%s", str_text(&text));
    memcpy(err->sqlstate, sqlstate, 6);
    add_hint(result, err);
    return code;
}
