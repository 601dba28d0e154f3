/*
 * What every run needs before it may act: the state, the lock of the store, the control database,
 * the advisory lock, a fencing token.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/retry.h"
#include "lib/base/str.h"
#include "lib/codec/rfc3339.h"
#include "lib/net/digest.h"
#include "lib/pg/sql.h"
#include "lib/reconcile/run.h"

static const char *make_run_id(struct arena *arena)
{
    uint8_t bytes[10];
    STR_GUARD struct str text = STR_INIT(64);
    random_bytes(bytes, sizeof bytes);
    base32_render(&text, bytes, sizeof bytes);
    return arena_strdup(arena, str_text(&text));
}

void run_begin(struct run *run, const struct run_options *options)
{
    *run = (struct run){.options = options, .store = options->store};
    run->run_id = make_run_id(&run->arena);
    run->work_run_id = run->run_id;
    run->application_name = arena_printf(&run->arena, "restore-reconciler/%s", run->run_id);
    run->started_at = run_now(run, 0);
    snprintf(run->outcome.run_id, sizeof run->outcome.run_id, "%s", run->run_id);
    log_set_run(run->run_id);
}

void run_end(struct run *run)
{
    log_set_phase(NULL);
    log_set_run(NULL);
    checksum_stop(run);
    control_close(run->control);
    source_free(run->source);
    journal_release(&run->journal);
    arena_release(&run->arena);
}

const char *run_now(struct run *run, int64_t offset_s)
{
    char text[RFC3339_SIZE];
    struct instant now = {.seconds = clock_wall_s(run->options->clock) + offset_s};
    rfc3339_render(now, text);
    return arena_strdup(&run->arena, text);
}

/* What the last run said, before this one says anything. */
static void note_last_words(struct run *run)
{
    if (run->last_reason)
        return;
    run->last_reason = arena_strdup(&run->arena, journal_get(&run->journal, J_REASON));
    run->last_message = arena_strdup(&run->arena, journal_get(&run->journal, J_MESSAGE));
}

/* Journal first: it must be known even when the state cannot be read, because it may hold an
 * application that is away. The error that comes back is the state's. */
enum errc run_read_state(struct run *run, struct error *err)
{
    struct journal journal;
    enum errc code = journal_read(run->store, &journal, err);
    if (code)
        return code;
    journal_release(&run->journal);
    run->journal = journal;
    run->has_values = false;
    note_last_words(run);
    if ((code = store_read(run->store, &run->arena, &run->view, err)))
        return code;
    if ((code = state_values_parse(&run->view, &run->arena, &run->values, err)))
        return code;
    run->has_values = true;
    run->desired = run->values.key.desired_text;
    run->request = run->values.key.request;
    snprintf(run->outcome.desired, sizeof run->outcome.desired, "%s", run->view.desired);
    return RR_OK;
}

static struct spec_text spec_text_of(const struct run *run, const char *text, unsigned first_line)
{
    return (struct spec_text){
        .bytes = text,
        .length = strlen(text),
        .name = run->view.spec_name ? run->view.spec_name : "restore.yaml",
        .first_line = first_line,
    };
}

enum errc run_parse_spec(struct run *run, const char *text, unsigned first_line, struct error *err)
{
    if (!text) {
        error_set(err, ERR_CONFIG, "the state has no key 'restore.yaml'");
        return error_hint(
            err, "the configuration stands under 'data' as 'restore.yaml: |', see the README");
    }
    struct spec_text source = spec_text_of(run, text, first_line);
    struct spec spec;
    struct spec_findings findings;
    enum errc code = spec_parse(&run->arena, &source, &spec, &findings, err);
    if (!code)
        code = spec_check_supported(&run->arena, &spec, run->store->kube != NULL, &findings, err);
    for (size_t i = 1; code && i < findings.count && !run->is_quiet; i++)
        log_error(findings.items[i].text, LOG_TEXT("hint", findings.items[i].hint));
    if (code)
        return code;
    run->spec = spec;
    run->spec_text = text;
    return RR_OK;
}

enum errc run_parse_plan(struct run *run, const char *text, struct error *err)
{
    struct spec_text source = spec_text_of(run, text, 0);
    struct spec spec;
    source.name = "journal key 'plan'";
    enum errc code = spec_parse(&run->arena, &source, &spec, NULL, err);
    if (code)
        return code;
    run->spec = spec;
    run->spec_text = text;
    return RR_OK;
}

void run_take_target(struct run *run)
{
    static const enum journal_key of_target[] = {J_APPLIED,       J_APPLIED_REQUEST, J_PUBLISHED,
                                                 J_HELD,          J_HELD_REQUEST,    J_PREVIOUS,
                                                 J_COLLECT_AFTER, J_REVERTS};
    struct journal *j = &run->journal;
    if (strcmp(journal_get(j, J_TARGET), run->spec.database) == 0)
        return;
    for (size_t i = 0; i < sizeof of_target / sizeof *of_target; i++)
        journal_set(j, of_target[i], "");
    journal_set(j, J_TARGET, run->spec.database);
}

static enum errc lock_database(struct run *run, struct error *err)
{
    bool is_held = false;
    const char *holder = "";
    enum errc code = control_lock(run->control, &run->arena, &is_held, &holder, err);
    if (code || is_held)
        return code;
    return error_set(err, ERR_LOCKED, "the database lock of '%s' is held by %s", run->spec.database,
                     holder);
}

enum errc run_connect(struct run *run, struct error *err)
{
    control_close(run->control);
    run->control = NULL;
    struct control_options options = {
        .control_database = run->spec.control_database,
        .target = run->spec.database,
        .run_id = run->run_id,
        .state_ref = run->store->ref,
        .cancel = run->is_settling ? NULL : run->options->cancel,
        .silent_holder_s = run->store->silent_holder_s,
        .may_create = true,
    };
    enum errc code = control_open(&options, &run->control, err);
    if (code || (code = lock_database(run, err)))
        return code;
    const char *take_over = run->has_values ? run->view.take_over : NULL;
    if ((code = control_fence_take(run->control, &run->arena, take_over, &run->fence, err)))
        return code;
    log_debug("fence taken", LOG_INT("token", run->fence.token),
              LOG_TEXT("displaced", run->fence.displaced), LOG_TEXT("phase", run->fence.phase));
    const char *before = run->fence.state_ref;
    if (before && before[0] && strcmp(before, run->store->ref) != 0)
        run_tell(run, true, "TakenOver",
                 "database '%s' was managed by the state '%s' until now (takeOver)",
                 run->spec.database, before);
    return RR_OK;
}

static enum errc connect_once(void *context, struct retry *retry, struct error *err)
{
    (void)retry;
    enum errc code = run_connect(context, err);
    /* Our own dead session may hold the lock until the server has noticed. */
    return code == ERR_DATABASE_LOST ? error_recode(err, ERR_DATABASE_UNREACHABLE) : code;
}

enum errc run_connect_again(struct run *run, struct error *err)
{
    static const struct retry_policy patience = {
        .attempts = 30, .first_pause_ms = 500, .max_pause_ms = 5000, .total_ms = 90000};
    run->is_settling = true;
    enum errc code = retry_run(&patience, run->options->clock, NULL, connect_once, run, err);
    run->is_settling = false;
    return code;
}

/* Statements of the user's name tables without their schema, as the application does. The settings
 * of the live database are carried over in the swap only: on staging its search_path is given here.
 */
static enum errc give_search_path(struct run *run, struct conn *conn, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const char *params[] = {run->spec.database};
    enum errc code = conn_query(conn, &arena,
                                "SELECT substr(c, 13) FROM pg_catalog.pg_db_role_setting s, "
                                "pg_catalog.unnest(s.setconfig) c, pg_catalog.pg_database d "
                                "WHERE s.setdatabase = d.oid AND s.setrole = 0 AND d.datname = $1 "
                                "AND c LIKE 'search\\_path=%'",
                                params, 1, &rows, err);
    if (code || rows.row_count == 0)
        return code;
    return conn_execf(conn, err, "SELECT pg_catalog.set_config('search_path', %s, false)",
                      sql_literal(&arena, rows_get(&rows, 0, 0)));
}

enum errc run_open_user_session(struct run *run, const char *database, unsigned deadline_s,
                                bool is_cancellable, struct conn **ret_conn, struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    struct conn_options options = {
        .database = database,
        .application_name = run->application_name,
        .cancel = is_cancellable ? run->options->cancel : NULL,
        .is_for_user_sql = true,
    };
    enum errc code = conn_open(&options, &conn, err);
    if (code)
        return error_wrap(err, "database '%s'", database);
    if ((code = conn_execf(conn, err, "SET statement_timeout = '%us'", deadline_s)) ||
        (code = give_search_path(run, conn, err)))
        return code;
    *ret_conn = conn;
    conn = NULL;
    return RR_OK;
}

enum errc run_refresh_live(struct run *run, struct error *err)
{
    return database_find(run->control, &run->arena, run->spec.database, &run->live, &run->has_live,
                         err);
}

enum errc run_check_fence(struct run *run, struct error *err)
{
    return control_check(run->control, err);
}
