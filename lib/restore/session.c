#include "lib/restore/session.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/retry.h"
#include "lib/base/str.h"
#include "lib/pg/sql.h"

/* Locks are kept apart by order.h; what it cannot know ends in a deadlock now and then. */
static const struct retry_policy deadlock_policy = {
    .attempts = 4, .first_pause_ms = 100, .max_pause_ms = 1000};

enum errc session_open(const struct load_context *load, struct session_meter meter,
                       struct session **ret_session, struct error *err)
{
    const struct load_options *options = load->options;
    const struct conn_options conn_options = {.database = options->database,
                                              .conninfo = options->conninfo,
                                              .application_name = options->application_name,
                                              .cancel = &load->stop};
    SESSION_GUARD struct session *session = mem_alloc(sizeof *session);
    session->load = load;
    session->meter = meter;
    if (conn_open(&conn_options, &session->conn, err))
        return err->code;
    ARENA_GUARD struct arena arena = {0};
    if (conn_exec(session->conn, settings_sql(&arena, &load->settings, options->role), err))
        return error_wrap(err, "settings of the session");
    *ret_session = session;
    session = NULL;
    return RR_OK;
}

void session_close(struct session *session)
{
    if (session == NULL)
        return;
    data_close(session->data);
    source_reader_close(session->reader);
    conn_close(session->conn);
    free(session->tablespace);
    free(session->access_method);
    free(session->schema);
    free(session);
}

void session_guard(struct session **session)
{
    session_close(*session);
}

/* Deadlocks. `retry` goes on for every error that may pass, but here nothing else will: a lost
 * connection is a lost load. So any other failure is handed round it. */

struct attempt {
    struct session *session;
    const char *sql;
    const struct session_work *work;
    struct error failure; /* that no further try would mend */
};

static enum errc sort_failure(struct attempt *attempt, struct error *err)
{
    if (strcmp(err->sqlstate, "40P01") == 0)
        return error_recode(err, ERR_CONFLICT);
    attempt->failure = *err;
    error_clear(err);
    return RR_OK;
}

static enum errc try_exec(void *context, struct retry *retry, struct error *err)
{
    (void)retry;
    struct attempt *attempt = context;
    return conn_exec(attempt->session->conn, attempt->sql, err) ? sort_failure(attempt, err)
                                                                : RR_OK;
}

static enum errc run_in_transaction(struct session *session, const struct session_work *work,
                                    struct error *err)
{
    if (conn_exec(session->conn, "BEGIN", err) == RR_OK &&
        work->work(session, work->context, err) == RR_OK &&
        conn_exec(session->conn, "COMMIT", err) == RR_OK)
        return RR_OK;
    struct error ignored = ERROR_INIT; /* the first error tells more */
    if (conn_is_alive(session->conn) && conn_exec(session->conn, "ROLLBACK", &ignored))
        error_clear(&ignored);
    return err->code;
}

static enum errc try_work(void *context, struct retry *retry, struct error *err)
{
    (void)retry;
    struct attempt *attempt = context;
    const struct session_work *work = attempt->work;
    enum errc rc = work->needs_transaction ? run_in_transaction(attempt->session, work, err)
                                           : work->work(attempt->session, work->context, err);
    return rc ? sort_failure(attempt, err) : RR_OK;
}

static enum errc with_retry(enum errc (*call)(void *context, struct retry *retry,
                                              struct error *err),
                            struct attempt *attempt, struct error *err)
{
    const struct load_context *load = attempt->session->load;
    if (retry_run(&deadlock_policy, load->options->clock, &load->stop, call, attempt, err))
        return err->code == ERR_CONFLICT ? error_recode(err, ERR_SQL) : err->code;
    if (attempt->failure.code != RR_OK)
        *err = attempt->failure;
    return err->code;
}

enum errc session_exec(struct session *session, const char *sql, struct error *err)
{
    struct attempt attempt = {.session = session, .sql = sql};
    return with_retry(try_exec, &attempt, err);
}

enum errc session_run(struct session *session, const struct session_work *work, struct error *err)
{
    struct attempt attempt = {.session = session, .work = work};
    return with_retry(try_work, &attempt, err);
}

/* Settings that follow the entry. */

static enum errc set_if_other(struct session *session, const char *name, const char *value,
                              const char *value_sql, char **current, struct error *err)
{
    if (*current != NULL && strcmp(*current, value) == 0)
        return RR_OK;
    if (conn_execf(session->conn, err, "SET %s = %s", name, value_sql))
        return err->code;
    free(*current);
    *current = mem_strdup(value);
    return RR_OK;
}

enum errc session_select(struct session *session, const struct entry *entry, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    const char *tablespace = entry->tablespace, *method = entry->table_access_method;
    /* Empty means the database's default, which only a literal can say. */
    if (tablespace != NULL &&
        set_if_other(session, "default_tablespace", tablespace,
                     *tablespace == '\0' ? "''" : sql_identifier(&arena, tablespace),
                     &session->tablespace, err))
        return err->code;
    /* Partitioned tables get theirs by ALTER TABLE, since they have no storage to choose. */
    if (method != NULL && *method != '\0' && entry->relkind != 'p' &&
        set_if_other(session, "default_table_access_method", method, sql_identifier(&arena, method),
                     &session->access_method, err))
        return err->code;
    bool needs_schema =
        !session->load->settings.has_search_path && entry->schema != NULL && *entry->schema != '\0';
    return needs_schema ? set_if_other(session, "search_path", entry->schema,
                                       arena_printf(&arena, "%s, pg_catalog",
                                                    sql_identifier(&arena, entry->schema)),
                                       &session->schema, err)
                        : RR_OK;
}

enum errc session_resume_role(struct session *session, struct error *err)
{
    const char *role = session->load->options->role;
    if (role == NULL)
        return conn_exec(session->conn, "RESET SESSION AUTHORIZATION", err);
    ARENA_GUARD struct arena arena = {0};
    return conn_execf(session->conn, err, "RESET SESSION AUTHORIZATION; SET ROLE %s",
                      sql_identifier(&arena, role));
}

enum errc session_data(struct session *session, struct data_reader **ret_data, struct error *err)
{
    const struct load_context *load = session->load;
    if (session->reader == NULL &&
        source_reader_open(load->options->source, &load->stop, &session->reader, err))
        return err->code;
    if (session->data == NULL && data_open(session->reader, load->toc, &session->data, err))
        return err->code;
    *ret_data = session->data;
    return RR_OK;
}
