/*
 * The control session: opened, guarded, closed. Tables and their making are in control_schema.c and
 * control_create.c, the lock and the fence in fence.c, the rest in history.c and registry*.c.
 */
#include "lib/pg/control.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/sql.h"

/* The server must notice within half a minute that we are gone, and give up what we hold; and a
 * transaction that we were frozen in must not keep the application out. What we are told is
 * committed must stay so, even where the server or the role commits asynchronously to load faster.
 */
static const char session_settings[] =
    "SET synchronous_commit = on; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; "
    "SET tcp_user_timeout = '30s'; SET idle_in_transaction_session_timeout = '15s'";

const char *control_int(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%" PRId64, value);
}

int64_t control_to_int(const char *text)
{
    return text ? strtoll(text, NULL, 10) : 0;
}

enum errc control_refuse_pooler(struct conn *conn, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    enum errc rc =
        conn_query(conn, &arena, "SELECT pg_catalog.pg_backend_pid()", NULL, 0, &rows, err);
    if (rc || control_to_int(rows_get(&rows, 0, 0)) == conn_backend_pid(conn))
        return rc;
    error_set(err, ERR_POOLER, "%s is a connection pooler, not the PostgreSQL server itself",
              conn_peer(conn));
    return error_hint(
        err, "locks do not hold through a pooler: let PGHOST and PGPORT (or DATABASE_URL) point at "
             "the server itself");
}

static enum errc open_session(const struct control_options *options, const char *application_name,
                              struct conn **ret_conn, struct error *err)
{
    struct conn_options connection = {
        .database = options->control_database,
        .application_name = application_name,
        .cancel = options->cancel,
    };
    CONN_GUARD struct conn *conn = NULL;
    enum errc rc = conn_open(&connection, &conn, err);
    if (rc || (rc = control_refuse_pooler(conn, err)) ||
        (rc = conn_exec(conn, session_settings, err)))
        return rc;
    conn_set_limit_ms(conn, CONTROL_LIMIT_MS);
    conn_set_cancel(conn,
                    NULL); /* from here on statements are short: a run that stops must clean up */
    *ret_conn = conn;
    conn = NULL;
    return RR_OK;
}

enum errc control_second_open(const struct control *control, struct conn **ret_conn,
                              struct error *err)
{
    struct control_options options = control->options;
    options.cancel = NULL;
    return open_session(&options, control->application_name, ret_conn, err);
}

static enum errc ask_server(struct conn *conn, struct arena *arena, const char **ret_server,
                            struct error *err)
{
    struct rows rows;
    enum errc rc = conn_query(
        conn, arena,
        "SELECT system_identifier || ' ' || pg_postmaster_start_time() FROM pg_control_system()",
        NULL, 0, &rows, err);
    if (!rc)
        *ret_server = rows_get(&rows, 0, 0);
    return rc;
}

enum errc control_helper_open(struct control *control, struct conn **ret_conn, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *helper = NULL;
    const char *ours = NULL, *its = NULL;
    enum errc rc = control_second_open(control, &helper, err);
    if (rc || (rc = ask_server(helper, &arena, &its, err)) ||
        (rc = ask_server(control->conn, &arena, &ours, err)))
        return rc;
    if (strcmp(ours, its) != 0) {
        error_set(err, ERR_DATABASE_CHANGED,
                  "a second connection has reached another server than the first");
        return error_hint(err, "was there a failover? PGHOST must lead to one server at a time");
    }
    *ret_conn = helper;
    helper = NULL;
    return RR_OK;
}

/* A pooler answers for a database that is not there in its own words, with the SQLSTATE of a
 * protocol violation. The first use of this program would end with a riddle; through a database
 * that is there the pooler shows itself. */
static enum errc look_for_pooler(const struct control *control, struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    struct error own = ERROR_INIT;
    const char *database;
    enum errc rc = control_maintenance_open(&control->options, control->application_name, &conn,
                                            &database, &own);
    if (!rc && control_refuse_pooler(conn, &own) == ERR_POOLER)
        *err = own;
    return err->code;
}

/* When there is no control database and none may be made, the session is one to a maintenance
 * database, from where the rest of the server can be looked at. */
static enum errc open_or_create(struct control *control, struct error *err)
{
    struct control_options *options = &control->options;
    enum errc rc = open_session(options, control->application_name, &control->conn, err);
    if (rc && strcmp(err->sqlstate, "08P01") == 0)
        return look_for_pooler(control, err);
    if (rc != ERR_SQL || strcmp(err->sqlstate, "3D000") != 0)
        return rc;
    error_clear(err);
    if (options->may_create) {
        rc = control_create_database(options, control->application_name, err);
        return rc ? rc : open_session(options, control->application_name, &control->conn, err);
    }
    rc = control_maintenance_open(options, control->application_name, &control->conn,
                                  &options->control_database, err);
    return rc ? rc : control_refuse_pooler(control->conn, err);
}

static struct control *new_control(const struct control_options *options)
{
    struct control *control = mem_alloc(sizeof *control);
    control->options = *options;
    control->options.control_database = arena_strdup(&control->texts, options->control_database);
    control->options.target = arena_strdup(&control->texts, options->target);
    control->options.run_id = arena_strdup(&control->texts, options->run_id ? options->run_id : "");
    control->options.state_ref =
        arena_strdup(&control->texts, options->state_ref ? options->state_ref : "");
    control->application_name =
        arena_printf(&control->texts, "restore-reconciler/%s", control->options.run_id);
    pthread_mutex_init(&control->mutex, NULL);
    pthread_mutex_init(&control->stop_mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&control->stop_signal, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return control;
}

static void control_guard(struct control **control)
{
    control_close(*control);
}

/* Trouble that is about this database, and not about the way to it. */
static enum errc blame_control_database(const struct control_options *options, struct error *err)
{
    enum errc code = err->code == ERR_SQL ? ERR_CONTROL_DATABASE : err->code;
    STR_GUARD struct str name = STR_INIT(256);
    str_append_quoted(&name, options->control_database, 63);
    error_recode(err, code);
    return error_wrap(err, "control database %s", str_text(&name));
}

enum errc control_open(const struct control_options *options, struct control **ret_control,
                       struct error *err)
{
    __attribute__((cleanup(control_guard))) struct control *control = new_control(options);
    enum errc rc = open_or_create(control, err);
    if (!rc)
        rc = control_schema_prepare(control->conn, &control->options, &control->has_tables, err);
    if (rc)
        return blame_control_database(options, err);
    *ret_control = control;
    control = NULL;
    return RR_OK;
}

bool control_is_there(const struct control *control)
{
    return control->has_tables;
}

void control_close(struct control *control)
{
    if (!control)
        return;
    control_heart_stop(control);
    conn_close(control->conn);
    pthread_cond_destroy(&control->stop_signal);
    pthread_mutex_destroy(&control->stop_mutex);
    pthread_mutex_destroy(&control->mutex);
    arena_release(&control->texts);
    free(control);
}

bool control_is_lost(const struct control *control)
{
    return atomic_load(&control->is_lost);
}

struct conn *control_conn_take(struct control *control, struct error *err)
{
    pthread_mutex_lock(&control->mutex);
    if (!conn_is_alive(control->conn))
        atomic_store(&control->is_lost, true);
    if (!control_is_lost(control))
        return control->conn;
    pthread_mutex_unlock(&control->mutex);
    error_set(err, ERR_FENCE_LOST, "the session that held the database lock is gone");
    error_hint(err,
               "the next run finds out from the database what happened, and goes on from there");
    return NULL;
}

void control_conn_give(struct control *control)
{
    if (!conn_is_alive(control->conn))
        atomic_store(&control->is_lost, true);
    control->last_used_ms = clock_boottime_ms(clock_system());
    pthread_mutex_unlock(&control->mutex);
}

enum errc control_query(struct control *control, struct arena *arena, const char *sql,
                        const char *const params[], size_t param_count, struct rows *ret_rows,
                        struct error *err)
{
    struct conn *conn = control_conn_take(control, err);
    if (!conn)
        return err->code;
    enum errc rc = conn_query(conn, arena, sql, params, param_count, ret_rows, err);
    control_conn_give(control);
    return rc == ERR_SQL ? error_recode(err, ERR_CONTROL_DATABASE) : rc;
}

void control_roll_back(struct conn *conn)
{
    if (!conn_is_alive(conn))
        return;
    const struct cancel *cancel = conn->cancel;
    struct error ignored = ERROR_INIT;
    conn_set_cancel(conn, NULL);
    if (conn_exec(conn, "ROLLBACK", &ignored))
        conn_drop(conn);
    conn_set_cancel(conn, cancel);
}

bool control_end_backend(struct conn *conn, const char *pid, unsigned wait_ms)
{
    ARENA_GUARD struct arena arena = {0};
    struct error ignored = ERROR_INIT;
    struct rows rows;
    const char *params[] = {pid, control_int(&arena, wait_ms)};
    if (conn_query(conn, &arena, "SELECT pg_catalog.pg_terminate_backend($1::int, $2::bigint)",
                   params, 2, &rows, &ignored))
        return false;
    return rows.row_count == 1 && text_equal(rows_get(&rows, 0, 0), "t");
}

const struct control_options *control_get_options(const struct control *control)
{
    return &control->options;
}

int64_t control_token(const struct control *control)
{
    return control->token;
}

int control_server_version(const struct control *control)
{
    return conn_server_version(control->conn);
}

enum errc control_server_address(struct control *control, struct arena *arena,
                                 const char **ret_address, struct error *err)
{
    struct rows rows;
    enum errc rc =
        control_query(control, arena, "SELECT pg_catalog.host(pg_catalog.inet_server_addr())", NULL,
                      0, &rows, err);
    if (!rc)
        *ret_address = rows_get(&rows, 0, 0);
    return rc;
}
