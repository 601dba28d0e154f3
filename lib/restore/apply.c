#include "lib/restore/apply.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/restore/blobs.h"
#include "lib/restore/data.h"

/* Whether the query (with one or two parameters) finds a row whose first column is true. */
static enum errc ask(struct session *session, const char *sql, const char *first,
                     const char *second, bool *ret_answer, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    const char *const params[] = {first, second};
    struct rows rows;
    if (conn_query(session->conn, &arena, sql, params, second == NULL ? 1 : 2, &rows, err))
        return err->code;
    *ret_answer = rows.row_count > 0 && text_equal(rows_get(&rows, 0, 0), "t");
    return RR_OK;
}

/* Every extension brings its comment, and only its owner may set one. */
static enum errc is_comment_needless(struct session *session, const struct entry *entry,
                                     bool *ret_answer, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    const char *extension, *text;
    extension_comment_parse(&arena, entry, &session->load->settings, &extension, &text);
    *ret_answer = false;
    if (extension == NULL)
        return RR_OK;
    return ask(session,
               "SELECT NOT pg_catalog.pg_has_role(extowner, 'USAGE') OR "
               "pg_catalog.obj_description(oid, 'pg_extension') = $2 "
               "FROM pg_catalog.pg_extension WHERE extname = $1",
               extension, text == NULL ? "" : text, ret_answer, err);
}

/* Whether the definition creates what every database has from the start (old dumps do so). */
static enum errc is_built_in(struct session *session, const struct entry *entry, bool *ret_answer,
                             struct error *err)
{
    *ret_answer = false;
    if (entry->kind == ENTRY_SCHEMA && text_equal(entry->tag, "public"))
        return ask(session, "SELECT true FROM pg_catalog.pg_namespace WHERE nspname = $1",
                   entry->tag, NULL, ret_answer, err);
    if (entry->kind == ENTRY_LANGUAGE && text_equal(entry->tag, "plpgsql"))
        return ask(session, "SELECT true FROM pg_catalog.pg_language WHERE lanname = $1",
                   entry->tag, NULL, ret_answer, err);
    return RR_OK;
}

static enum errc run_definition(struct session *session, const struct entry *entry,
                                struct error *err)
{
    if (session_exec(session, entry->definition, err))
        return err->code;
    if (entry->kind != ENTRY_ACL && entry->kind != ENTRY_DEFAULT_ACL)
        return RR_OK;
    return strstr(entry->definition, "SESSION AUTHORIZATION") != NULL
               ? session_resume_role(session, err)
               : RR_OK;
}

static enum errc run_alterations(struct session *session, const struct entry *entry,
                                 struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    char *sql;
    if (entry_has_owner(entry) && !session->load->options->no_owner)
        if (owner_sql(&arena, entry, &sql, err) || session_exec(session, sql, err))
            return err->code;
    sql = partitioned_access_method_sql(&arena, entry);
    return sql == NULL ? RR_OK : session_exec(session, sql, err);
}

static enum errc apply_definition(struct session *session, const struct entry *entry,
                                  struct applied *applied, struct error *err)
{
    bool is_there = false, is_needless = false;
    if (!entry_has_sql(entry) && !entry_has_owner(entry)) {
        applied->skip = SKIP_EMPTY;
        return RR_OK;
    }
    if (is_comment_needless(session, entry, &is_needless, err) ||
        is_built_in(session, entry, &is_there, err))
        return err->code;
    if (is_needless || (is_there && entry->kind == ENTRY_LANGUAGE)) {
        applied->skip = is_needless ? SKIP_EXTENSION_COMMENT : SKIP_LANGUAGE;
        return RR_OK;
    }
    if (entry_has_sql(entry) && !is_there && run_definition(session, entry, err))
        return err->code;
    return run_alterations(session, entry, err);
}

static enum errc apply_kind(struct session *session, const struct order_item *item,
                            struct applied *applied, struct error *err)
{
    const struct entry *entry = item->entry;
    if (session_select(session, entry, err))
        return err->code;
    switch (entry->kind) {
    case ENTRY_TABLE_DATA:
        return data_load(session, item, &applied->rows, err);
    case ENTRY_BLOBS:
        return blobs_load(session, entry, err);
    case ENTRY_BLOB:
    case ENTRY_BLOB_METADATA:
        return blobs_create(session, entry, err);
    case ENTRY_ACL:
        if (text_has_prefix(entry->tag, "LARGE OBJECTS "))
            return blobs_grant(session, entry, err);
        return apply_definition(session, entry, applied, err);
    default:
        return apply_definition(session, entry, applied, err);
    }
}

static bool has_data_to_load(const struct entry *entry)
{
    return entry->has_data && entry->offset_state != OFFSET_NO_DATA;
}

enum errc apply_entry(struct session *session, const struct order_item *item,
                      struct applied *ret_applied, struct error *err)
{
    const struct entry *entry = item->entry;
    struct applied applied = {.skip = SKIP_NONE};
    bool is_data = entry->kind == ENTRY_TABLE_DATA || entry->kind == ENTRY_BLOBS;
    if (is_data && !has_data_to_load(entry)) {
        *ret_applied = (struct applied){.skip = SKIP_EMPTY};
        return RR_OK;
    }
    if (apply_kind(session, item, &applied, err)) {
        ARENA_GUARD struct arena arena = {0};
        /* A session is open, so a refused role (class 28) is the statement's fault, not the
         * login's. */
        if (err->code == ERR_SQL || err->code == ERR_DATABASE_LOGIN)
            error_recode(err, ERR_LOAD);
        return err->code == ERR_CANCELLED ? err->code
                                          : error_wrap(err, "%s", entry_title(&arena, entry));
    }
    *ret_applied = applied;
    return RR_OK;
}
