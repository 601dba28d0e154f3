#include "lib/restore/statements.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/pg/sql.h"
#include "lib/restore/lexer.h"

static const char root_load_mark[] = "-- load via partition root ";
static const char search_path_sql[] = "SELECT pg_catalog.set_config('search_path', '', false);";

/* How the object of an ALTER ... OWNER TO is named (pg_restore's _getObjectDescription). */
enum owner_style {
    OWNER_NONE,
    OWNER_BY_NAME,      /* kind, then "schema"."tag" */
    OWNER_BY_DROP,      /* what the DROP statement names, since the signature stands only there */
    OWNER_BLOB,         /* LARGE OBJECT number */
    OWNER_BLOB_METADATA /* the same for each line of the definition */
};

static const unsigned char owner_styles[ENTRY_KIND_COUNT] = {
    [ENTRY_COLLATION] = OWNER_BY_NAME,
    [ENTRY_CONVERSION] = OWNER_BY_NAME,
    [ENTRY_DOMAIN] = OWNER_BY_NAME,
    [ENTRY_FOREIGN_TABLE] = OWNER_BY_NAME,
    [ENTRY_MATERIALIZED_VIEW] = OWNER_BY_NAME,
    [ENTRY_SEQUENCE] = OWNER_BY_NAME,
    [ENTRY_STATISTICS] = OWNER_BY_NAME,
    [ENTRY_TABLE] = OWNER_BY_NAME,
    [ENTRY_TS_DICTIONARY] = OWNER_BY_NAME,
    [ENTRY_TS_CONFIGURATION] = OWNER_BY_NAME,
    [ENTRY_TYPE] = OWNER_BY_NAME,
    [ENTRY_VIEW] = OWNER_BY_NAME,
    [ENTRY_LANGUAGE] = OWNER_BY_NAME,
    [ENTRY_SCHEMA] = OWNER_BY_NAME,
    [ENTRY_EVENT_TRIGGER] = OWNER_BY_NAME,
    [ENTRY_FOREIGN_DATA_WRAPPER] = OWNER_BY_NAME,
    [ENTRY_SERVER] = OWNER_BY_NAME,
    [ENTRY_PUBLICATION] = OWNER_BY_NAME,
    [ENTRY_SUBSCRIPTION] = OWNER_BY_NAME,
    [ENTRY_AGGREGATE] = OWNER_BY_DROP,
    [ENTRY_FUNCTION] = OWNER_BY_DROP,
    [ENTRY_PROCEDURE] = OWNER_BY_DROP,
    [ENTRY_OPERATOR] = OWNER_BY_DROP,
    [ENTRY_OPERATOR_CLASS] = OWNER_BY_DROP,
    [ENTRY_OPERATOR_FAMILY] = OWNER_BY_DROP,
    [ENTRY_BLOB] = OWNER_BLOB,
    [ENTRY_BLOB_METADATA] = OWNER_BLOB_METADATA,
};

static bool is_empty(const char *text)
{
    return text == NULL || *text == '\0';
}

char *entry_title(struct arena *arena, const struct entry *entry)
{
    STR_GUARD struct str title = STR_INIT(4 * LIMIT_KIB);
    str_printf(&title, "%s ", entry_kind_name(entry->kind));
    if (!is_empty(entry->schema)) {
        str_append_quoted(&title, entry->schema, 80);
        str_append_char(&title, '.');
    }
    str_append_quoted(&title, entry->tag, 160);
    str_printf(&title, " (entry %d)", entry->dump_id);
    return arena_strdup(arena, str_text(&title));
}

char *entry_qualified(struct arena *arena, const struct entry *entry)
{
    return sql_qualified(arena, entry->schema, entry->tag);
}

/* Settings. */

static enum errc refuse_setting(const struct entry *entry, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_KIB);
    str_append_quoted(&text, entry->definition, 100);
    error_set(err, ERR_ARCHIVE_CORRUPT, "%s entry %d holds %s", entry_kind_name(entry->kind),
              entry->dump_id, str_text(&text));
    return error_hint(err, "pg_dump writes no such text; the archive may have been tampered with");
}

/* The value of `SET name = 'value';`, NULL when the text is anything else. */
static const char *set_value(struct arena *arena, const char *text, const char *name)
{
    struct lexer lexer = lexer_init(text == NULL ? "" : text, true);
    struct token set = lexer_next(&lexer), word = lexer_next(&lexer), is = lexer_next(&lexer),
                 value = lexer_next(&lexer), stop = lexer_next(&lexer), end = lexer_next(&lexer);
    if (!token_is_word(&set, "set") || !token_is_word(&word, name) || !token_is_symbol(&is, '=') ||
        value.kind != TOKEN_STRING || *value.start != '\'' || !token_is_symbol(&stop, ';') ||
        end.kind != TOKEN_END)
        return NULL;
    return arena_strndup(arena, value.start + 1, value.length - 2);
}

/* Names of encodings are letters, digits, '_' and '-' (src/common/encnames.c). */
static bool is_encoding_name(const char *name)
{
    size_t length =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return length > 0 && length < 40 && name[length] == '\0';
}

static bool is_search_path_text(const char *text)
{
    size_t length = sizeof search_path_sql - 1;
    return text != NULL && strncmp(text, search_path_sql, length) == 0 &&
           text[length + strspn(text + length, "\n")] == '\0';
}

static enum errc parse_setting(const struct entry *entry, struct arena *arena,
                               struct archive_settings *settings, struct error *err)
{
    if (entry->kind == ENTRY_ENCODING) {
        settings->encoding = set_value(arena, entry->definition, "client_encoding");
        if (settings->encoding == NULL || !is_encoding_name(settings->encoding))
            return refuse_setting(entry, err);
    } else if (entry->kind == ENTRY_STDSTRINGS) {
        const char *value = set_value(arena, entry->definition, "standard_conforming_strings");
        if (!text_equal(value, "on") && !text_equal(value, "off"))
            return refuse_setting(entry, err);
        settings->has_standard_strings = text_equal(value, "on");
    } else if (entry->kind == ENTRY_SEARCHPATH) {
        if (!is_search_path_text(entry->definition))
            return refuse_setting(entry, err);
        settings->has_search_path = true;
    }
    return RR_OK;
}

enum errc settings_parse(const struct toc *toc, struct arena *arena,
                         struct archive_settings *ret_settings, struct error *err)
{
    /* What pg_restore assumes of an archive without these entries. */
    struct archive_settings settings = {.encoding = "SQL_ASCII"};
    for (size_t i = 0; i < toc->count; i++)
        if (parse_setting(&toc->entries[i], arena, &settings, err))
            return err->code;
    *ret_settings = settings;
    return RR_OK;
}

char *settings_sql(struct arena *arena, const struct archive_settings *settings, const char *role)
{
    return arena_printf(
        arena,
        "SET statement_timeout = 0; SET lock_timeout = 0; "
        "SET idle_in_transaction_session_timeout = 0; "
        /* Not every server knows these two. */
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
        "WHERE name IN ('transaction_timeout', 'idle_session_timeout'); "
        "SET client_encoding = '%s'; SET standard_conforming_strings = %s; "
        "SET escape_string_warning = off; SET check_function_bodies = false; "
        "SET xmloption = content; SET client_min_messages = warning; SET row_security = off; "
        "SET default_transaction_read_only = off; SET synchronous_commit = off; "
        "%s%s%sSET search_path = %s;",
        settings->encoding, settings->has_standard_strings ? "on" : "off",
        role == NULL ? "" : "SET ROLE ", role == NULL ? "" : sql_identifier(arena, role),
        role == NULL ? "" : "; ", settings->has_search_path ? "''" : "pg_catalog");
}

/* Entries. */

bool entry_has_sql(const struct entry *entry)
{
    if (is_empty(entry->definition))
        return false;
    struct lexer lexer = lexer_init(entry->definition, true);
    return lexer_next(&lexer).kind != TOKEN_END;
}

bool entry_is_root_load(const struct entry *entry)
{
    if (entry->definition != NULL && text_has_prefix(entry->definition, root_load_mark))
        return true;
    if (is_empty(entry->copy_statement))
        return false;
    ARENA_GUARD struct arena arena = {0};
    struct error ignored = ERROR_INIT;
    struct copy_target target;
    if (copy_parse(&arena, entry, &target, &ignored))
        return false; /* reported when the data are loaded */
    return !text_equal(target.table, entry->tag) ||
           (target.schema != NULL && !text_equal(target.schema, entry->schema));
}

bool entry_is_not_valid(const struct entry *entry, const struct archive_settings *settings)
{
    if (entry->kind != ENTRY_CONSTRAINT && entry->kind != ENTRY_FK_CONSTRAINT &&
        entry->kind != ENTRY_CHECK_CONSTRAINT)
        return false;
    struct lexer lexer = lexer_init(is_empty(entry->definition) ? "" : entry->definition,
                                    settings->has_standard_strings);
    struct token before = {.kind = TOKEN_END};
    for (;;) {
        struct token token = lexer_next(&lexer);
        if (token.kind == TOKEN_END || token.kind == TOKEN_BROKEN)
            return false;
        if (token.depth == 0 && token_is_word(&before, "not") && token_is_word(&token, "valid"))
            return true;
        before = token;
    }
}

bool entry_has_owner(const struct entry *entry)
{
    return owner_styles[entry->kind] != OWNER_NONE && !is_empty(entry->owner) &&
           !is_empty(entry->drop_statement);
}

/* `DROP FUNCTION s.f(integer);` gives `FUNCTION s.f(integer)`. */
static enum errc owner_object_from_drop(struct arena *arena, const struct entry *entry,
                                        char **ret_object, struct error *err)
{
    const char *kind = entry_kind_name(entry->kind), *drop = entry->drop_statement;
    if (!text_has_prefix(drop, "DROP ") || !text_has_prefix(drop + 5, kind) ||
        drop[5 + strlen(kind)] != ' ')
        return error_set(err, ERR_ARCHIVE_CORRUPT, "its DROP statement is none for a %s", kind);
    size_t length = strlen(drop);
    while (length > 5 && (drop[length - 1] == '\n' || drop[length - 1] == ';'))
        length--;
    *ret_object = arena_strndup(arena, drop + 5, length - 5);
    return RR_OK;
}

enum errc owner_sql(struct arena *arena, const struct entry *entry, char **ret_sql,
                    struct error *err)
{
    char *object = NULL;
    if (owner_styles[entry->kind] == OWNER_BY_DROP) {
        if (owner_object_from_drop(arena, entry, &object, err))
            return err->code;
    } else if (owner_styles[entry->kind] == OWNER_BLOB) {
        object = arena_printf(arena, "LARGE OBJECT %s", entry->tag);
    } else {
        object = arena_printf(arena, "%s %s", entry_kind_name(entry->kind),
                              entry_qualified(arena, entry));
    }
    *ret_sql =
        arena_printf(arena, "ALTER %s OWNER TO %s", object, sql_identifier(arena, entry->owner));
    return RR_OK;
}

char *partitioned_access_method_sql(struct arena *arena, const struct entry *entry)
{
    if (entry->relkind != 'p' || is_empty(entry->table_access_method))
        return NULL;
    return arena_printf(arena, "ALTER TABLE %s SET ACCESS METHOD %s", entry_qualified(arena, entry),
                        sql_identifier(arena, entry->table_access_method));
}

/* COPY. */

static enum errc refuse_copy(const struct entry *entry, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_KIB);
    str_append_quoted(&text, entry->copy_statement, 200);
    error_set(err, ERR_ARCHIVE_CORRUPT, "the COPY statement is none that pg_dump writes: %s",
              str_text(&text));
    return error_hint(err, "the archive is damaged or has been tampered with");
}

/* name [. name]: the token behind it is left in *token. False: no name here. */
static bool parse_table_name(struct lexer *lexer, struct arena *arena, struct token *token,
                             struct copy_target *target)
{
    target->table = token_to_name(arena, token);
    *token = lexer_next(lexer);
    if (!token_is_symbol(token, '.'))
        return target->table != NULL;
    *token = lexer_next(lexer);
    target->schema = target->table;
    target->table = token_to_name(arena, token);
    *token = lexer_next(lexer);
    return target->schema != NULL && target->table != NULL;
}

/* A table has at most 1600 columns (MaxHeapAttributeNumber). */
enum { COLUMNS_MAX = 1600 };

/* [(name, ...)]: the token behind it is left in *token. False: no such list here. */
static bool parse_columns(struct lexer *lexer, struct arena *arena, struct token *token,
                          struct copy_target *target)
{
    if (!token_is_symbol(token, '('))
        return true;
    const char **columns = arena_array(arena, COLUMNS_MAX, sizeof *columns);
    target->columns = columns;
    do {
        *token = lexer_next(lexer);
        const char *name = token_to_name(arena, token);
        if (name == NULL || target->column_count == COLUMNS_MAX)
            return false;
        columns[target->column_count++] = name;
        *token = lexer_next(lexer);
    } while (token_is_symbol(token, ','));
    bool is_closed = token_is_symbol(token, ')');
    *token = lexer_next(lexer);
    return is_closed;
}

enum errc copy_parse(struct arena *arena, const struct entry *entry, struct copy_target *ret_target,
                     struct error *err)
{
    struct copy_target target = {0};
    /* Its only quotes are those of names, which no setting changes. */
    struct lexer lexer = lexer_init(entry->copy_statement, true);
    struct token token = lexer_next(&lexer);
    if (!token_is_word(&token, "copy"))
        return refuse_copy(entry, err);
    token = lexer_next(&lexer);
    if (!parse_table_name(&lexer, arena, &token, &target) ||
        !parse_columns(&lexer, arena, &token, &target))
        return refuse_copy(entry, err);
    if (token_is_word(&token, "with"))
        return error_hint(
            (error_set(err, ERR_ARCHIVE_UNSUPPORTED, "the table was dumped WITH OIDS"), err),
            "PostgreSQL 12 and later have no such tables: run ALTER TABLE ... SET "
            "WITHOUT OIDS on the source and dump again");
    struct token in = lexer_next(&lexer), stop = lexer_next(&lexer), end = lexer_next(&lexer);
    if (!token_is_word(&token, "from") || !token_is_word(&in, "stdin") ||
        !token_is_symbol(&stop, ';') || end.kind != TOKEN_END)
        return refuse_copy(entry, err);
    *ret_target = target;
    return RR_OK;
}

char *copy_sql(struct arena *arena, const struct copy_target *target, bool is_frozen)
{
    STR_GUARD struct str sql = STR_INIT(LIMIT_STATEMENT_BYTES);
    str_printf(&sql, "COPY %s", sql_qualified(arena, target->schema, target->table));
    for (size_t i = 0; i < target->column_count; i++)
        str_printf(&sql, "%s%s", i == 0 ? " (" : ", ", sql_identifier(arena, target->columns[i]));
    str_printf(&sql, "%s FROM STDIN%s", target->column_count > 0 ? ")" : "",
               is_frozen ? " WITH (FREEZE)" : "");
    return arena_strdup(arena, str_text(&sql));
}

/* Large objects. */

static bool parse_number(const char *text, size_t length, uint32_t *ret_oid)
{
    char digits[16];
    uint64_t value;
    if (length == 0 || length >= sizeof digits)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    if (!text_to_u64(digits, UINT32_MAX, &value) || value == 0)
        return false;
    *ret_oid = (uint32_t)value;
    return true;
}

static enum errc refuse_number(struct error *err)
{
    return error_set(err, ERR_ARCHIVE_CORRUPT, "it names something that is no large object number");
}

enum errc blob_numbers(struct arena *arena, const struct entry *entry, const uint32_t **ret_oids,
                       size_t *ret_count, struct error *err)
{
    const char *text = entry->kind == ENTRY_BLOB ? entry->tag : entry->definition;
    if (text == NULL)
        return refuse_number(err);
    size_t lines = 1;
    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n';
    uint32_t *oids = arena_array(arena, lines, sizeof *oids);
    size_t count = 0;
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (!parse_number(line, length, &oids[count++]))
            return refuse_number(err);
        line += length + (line[length] == '\n');
    }
    *ret_oids = oids;
    *ret_count = count;
    return RR_OK;
}

/* Each statement reads `... ON LARGE OBJECT 123 TO|FROM ...;`; only the number after those two
 * words, outside quotes, is replaced. */
enum errc blob_grants_sql(struct arena *arena, const struct entry *entry, uint32_t oid,
                          char **ret_sql, struct error *err)
{
    STR_GUARD struct str sql = STR_INIT(LIMIT_STATEMENT_BYTES);
    const char *copied = entry->definition == NULL ? "" : entry->definition;
    struct lexer lexer = lexer_init(copied, true);
    struct token token, before = {.kind = TOKEN_END}, before_that = before;
    bool has_number = false;
    while ((token = lexer_next(&lexer)).kind != TOKEN_END) {
        if (token.kind == TOKEN_BROKEN)
            return error_set(err, ERR_ARCHIVE_CORRUPT, "its text ends inside a quote");
        if (token.kind == TOKEN_NUMBER && token_is_word(&before, "object") &&
            token_is_word(&before_that, "large")) {
            str_append_bytes(&sql, copied, (size_t)(token.start - copied));
            str_printf(&sql, "%u", oid);
            copied = token.start + token.length;
            has_number = true;
        }
        before_that = before;
        before = token;
    }
    if (!has_number)
        return error_set(err, ERR_ARCHIVE_CORRUPT, "it grants nothing on a large object");
    str_append(&sql, copied);
    if (str_check(&sql, "the grants of a large object", err))
        return err->code;
    *ret_sql = arena_strdup(arena, str_text(&sql));
    return RR_OK;
}

/* Comments on extensions. */

/* The value of a plain literal; with backslashes as escapes, only those that pg_dump writes:
 * doubled. */
static char *literal_value(struct arena *arena, const struct token *token,
                           bool has_standard_strings)
{
    if (token->kind != TOKEN_STRING || *token->start != '\'')
        return NULL;
    char *value = arena_strndup(arena, token->start + 1, token->length - 2);
    char *to = value;
    for (const char *from = value; *from != '\0'; from++) {
        *to++ = *from;
        if (from[0] == '\'' || (from[0] == '\\' && !has_standard_strings))
            from += from[1] == from[0];
    }
    *to = '\0';
    return value;
}

void extension_comment_parse(struct arena *arena, const struct entry *entry,
                             const struct archive_settings *settings, const char **ret_extension,
                             const char **ret_text)
{
    *ret_extension = *ret_text = NULL;
    if (entry->kind != ENTRY_COMMENT || entry->definition == NULL)
        return;
    struct lexer lexer = lexer_init(entry->definition, settings->has_standard_strings);
    struct token comment = lexer_next(&lexer), on = lexer_next(&lexer), what = lexer_next(&lexer),
                 name = lexer_next(&lexer), is = lexer_next(&lexer), text = lexer_next(&lexer);
    if (!token_is_word(&comment, "comment") || !token_is_word(&on, "on") ||
        !token_is_word(&what, "extension") || !token_is_word(&is, "is"))
        return;
    *ret_extension = token_to_name(arena, &name);
    *ret_text = literal_value(arena, &text, settings->has_standard_strings);
}
