/*
 * Trials of the control database against a real server: not part of `make unit`. Connection
 * parameters come from libpq's environment. Everything goes on in a control database of its own,
 * which is dropped at the end.
 */
#include <pthread.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/pg/control.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/database.h"
#include "lib/pg/sql.h"
#include "tests/unit/pg/live.h"

#define CONTROL "rr live \"control%"
#define TARGET "no'such\n\"target%s\\"

static struct control *open_as(const char *run_id, const char *state_ref)
{
    struct error err = ERROR_INIT;
    struct control *control = NULL;
    struct control_options options = {
        .control_database = CONTROL,
        .target = TARGET,
        .run_id = run_id,
        .state_ref = state_ref,
        .silent_holder_s = 3,
        .may_create = true,
    };
    MUST(!control_open(&options, &control, &err) && control);
    return control;
}

static void sql(const char *text)
{
    struct error err = ERROR_INIT;
    CONN_GUARD struct conn *conn = NULL;
    MUST(!conn_open(&(struct conn_options){.database = CONTROL}, &conn, &err));
    MUST(!conn_exec(conn, text, &err));
}

static void drop_control(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *conn = NULL;
    MUST(!conn_open(&(struct conn_options){.database = "postgres"}, &conn, &err));
    MUST(!conn_execf(conn, &err, "DROP DATABASE IF EXISTS %s", sql_identifier(&arena, CONTROL)));
}

static void try_nothing_is_created_unless_allowed(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct control *control = NULL;
    struct registry_row *rows;
    struct history_row row;
    struct database_info info;
    bool is_found = true;
    const char **names, *when;
    size_t count = 1;
    struct control_options options = {
        .control_database = CONTROL, .target = TARGET, .run_id = "", .state_ref = ""};
    MUST(!control_open(&options, &control, &err) && control && !control_is_there(control));
    MUST(!control_history_newest(control, &arena, &row, &is_found, &err) && !is_found);
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 0);
    MUST(!control_registry_strangers(control, &arena, &names, &count, &err) && count == 0);
    MUST(!control_registry_next_expiry(control, &arena, &when, &err) && !*when);
    MUST(!database_find(control, &arena, "template1", &info, &is_found, &err) && is_found);
    control_close(control);
    CONN_GUARD struct conn *conn = NULL;
    MUST(conn_open(&(struct conn_options){.database = CONTROL}, &conn, &err) == ERR_SQL);
}

static void *open_one(void *argument)
{
    *(struct control **)argument = open_as("racer", "ref");
    return NULL;
}

static void try_creators_race(void)
{
    enum { RACERS = 6 };
    pthread_t threads[RACERS];
    struct control *controls[RACERS];
    for (int i = 0; i < RACERS; i++)
        pthread_create(&threads[i], NULL, open_one, &controls[i]);
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        control_close(controls[i]);
    }
}

/* Lets a run take lock and fence and end without a word. */
static struct fence take_fence(const char *run_id, const char *state_ref, const char *phase,
                               bool clears)
{
    struct error err = ERROR_INIT;
    static struct arena arena; /* the texts outlive the call */
    struct control *control = open_as(run_id, state_ref);
    bool is_held = false;
    const char *holder;
    struct fence fence;
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    MUST(!control_check(control, &err));
    if (phase)
        MUST(!control_fence_set_phase(control, phase, "2024-01-01T00:00:00Z", "req", &err));
    if (clears)
        MUST(!control_fence_clear(control, &err));
    control_close(control);
    return fence;
}

static void try_fence(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct fence a = take_fence("A", "ref", "swap", false);
    MUST(a.token == 1 && !a.displaced && !strcmp(a.phase, ""));
    struct fence b = take_fence("B", "ref", NULL, false); /* killed right after the bump */
    MUST(b.token == 2 && !strcmp(b.displaced, "A") && !strcmp(b.phase, "swap"));
    struct fence c = take_fence("C", "ref", NULL, true);
    MUST(c.token == 3 && !strcmp(c.displaced, "A") && !strcmp(c.phase, "swap"));
    struct fence d = take_fence("D", "ref", NULL, false);
    MUST(d.token == 4 && !strcmp(d.displaced, "C") && !strcmp(d.phase, ""));
    /* another state */
    struct control *control = open_as("E", "other");
    bool is_held = false;
    const char *holder, *run_id;
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(control_fence_take(control, &arena, NULL, &a, &err) == ERR_FOREIGN_STATE);
    printf("%s | %s\n", err.text, err.hint);
    error_clear(&err);
    MUST(control_check(control, &err) == ERR_FENCE_LOST);
    error_clear(&err);
    MUST(!control_fence_take(control, &arena, "ref", &a, &err) && a.token == 5);
    bool is_found = false;
    MUST(!control_fence_read(control, &arena, &b, &run_id, &is_found, &err) && is_found);
    MUST(!strcmp(run_id, "E") && !strcmp(b.state_ref, "other") && !strcmp(b.displaced, "C"));
    /* a stale holder: the token is somebody else's */
    sql("UPDATE restore_reconciler.fence SET token = 99");
    MUST(control_check(control, &err) == ERR_FENCE_LOST);
    error_clear(&err);
    MUST(control_fence_set_phase(control, "x", "", "", &err) == ERR_FENCE_LOST);
    error_clear(&err);
    MUST(control_history_adopt(control, 5, "", "", &err) == ERR_FENCE_LOST);
    error_clear(&err);
    control_close(control);
    sql("DELETE FROM restore_reconciler.fence");
}

static void try_history(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct control *control = open_as("H", "ref");
    bool is_held = false, is_found = true;
    const char *holder;
    struct fence fence;
    struct history_row row, *rows;
    size_t count;
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    MUST(!control_history_newest(control, &arena, &row, &is_found, &err) && !is_found);
    MUST(!control_history_adopt(control, 4711, "2024-12-10T00:00:00Z", "r'1", &err));
    MUST(!control_history_newest(control, &arena, &row, &is_found, &err) && is_found);
    MUST(row.new_oid == 4711 && !strcmp(row.kind, "adopt") && !strcmp(row.request, "r'1") &&
         row.is_on_this_system);
    printf("adopted: seq %d at %s on system %s\n", (int)row.seq, row.finished_at, row.system_id);
    MUST(!control_history_of_run(control, &arena, "H", &row, &is_found, &err) && is_found);
    MUST(!control_history_of_run(control, &arena, "I", &row, &is_found, &err) && !is_found);
    MUST(!control_history_of_oid(control, &arena, 4711, &row, &is_found, &err) && is_found);
    MUST(!control_history_of_oid(control, &arena, 4712, &row, &is_found, &err) && !is_found);
    MUST(!control_history_list(control, &arena, 10, &rows, &count, &err) && count == 1);
    sql("UPDATE restore_reconciler.history SET system_id = '1'");
    MUST(!control_history_of_oid(control, &arena, 4711, &row, &is_found, &err) && !is_found);
    MUST(!control_history_newest(control, &arena, &row, &is_found, &err) && is_found &&
         !row.is_on_this_system);
    control_close(control);
}

static void try_lock_holders(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    bool is_held = false;
    const char *holder = "";
    struct control *alive = open_as("alive", "ref"), *other = open_as("other", "ref");
    MUST(!control_lock(alive, &arena, &is_held, &holder, &err) && is_held);
    sleep(7); /* longer than silent_holder_s: its heart beats every 5 s, so give it room */
    MUST(!control_query(alive, &arena, "SELECT 1", NULL, 0, &(struct rows){0}, &err));
    MUST(!control_lock(other, &arena, &is_held, &holder, &err) && !is_held);
    printf("held by %s\n", holder);
    control_heart_stop(alive); /* a frozen process */
    sleep(4);
    MUST(!control_lock(other, &arena, &is_held, &holder, &err) && is_held);
    MUST(control_check(alive, &err) == ERR_DATABASE_LOST);
    printf("the frozen one: %s\n", err.text);
    error_clear(&err);
    MUST(control_check(alive, &err) == ERR_FENCE_LOST && control_is_lost(alive));
    error_clear(&err);
    /* the same run, whose session was lost */
    struct control *again = open_as("other", "ref");
    uint64_t start = now();
    MUST(!control_lock(again, &arena, &is_held, &holder, &err) && is_held && now() - start < 2000);
    control_close(alive);
    control_close(other);
    /* a silent holder that works for another state is left alone */
    struct fence fence;
    MUST(!control_fence_take(again, &arena, NULL, &fence, &err));
    control_heart_stop(again);
    sleep(4);
    struct control *foreign = open_as("foreign", "other ref");
    MUST(!control_lock(foreign, &arena, &is_held, &holder, &err) && !is_held);
    control_close(foreign);
    control_close(again);
}

static void try_heart_notices(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    bool is_held = false;
    const char *holder = "";
    struct control *control = open_as("heart", "ref");
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    ARENA_GUARD struct arena text = {0};
    sql(arena_printf(&text, "SELECT pg_terminate_backend(%d)", conn_backend_pid(control->conn)));
    for (int i = 0; i < 60 && !control_is_lost(control); i++)
        usleep(200 * 1000);
    MUST(control_is_lost(control));
    MUST(control_check(control, &err) == ERR_FENCE_LOST);
    control_close(control);
}

static void try_fence_is_bounded(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct cancel cancel = {0};
    bool is_held = false;
    const char *holder = "";
    CONN_GUARD struct conn *conn = NULL;
    MUST(!conn_open(&(struct conn_options){.database = CONTROL}, &conn, &err));
    struct control *control = open_as("bounded", "ref");
    struct fence fence;
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(!conn_exec(conn, "BEGIN; SELECT * FROM restore_reconciler.fence FOR UPDATE", &err));
    cancel_request(&cancel);
    control->options.cancel = &cancel;
    MUST(control_fence_take(control, &arena, NULL, &fence, &err) == ERR_CANCELLED);
    error_clear(&err);
    control->options.cancel = NULL;
    uint64_t start = now();
    MUST(control_fence_take(control, &arena, NULL, &fence, &err) == ERR_TIMEOUT);
    printf("after %d s: %s | %s\n", (int)(now() - start) / 1000, err.text, err.hint);
    error_clear(&err);
    MUST(!conn_exec(conn, "COMMIT", &err));
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    control_close(control);
}

static void try_foreign_tables(void)
{
    static const char *const breaks[] = {
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; "
        "CREATE TRIGGER t "
        "BEFORE UPDATE ON restore_reconciler.fence FOR EACH ROW EXECUTE FUNCTION public.f()",
        "DROP TRIGGER t ON restore_reconciler.fence; VACUUM restore_reconciler.fence",
        "CREATE VIEW restore_reconciler.v AS SELECT 1",
        "DROP VIEW restore_reconciler.v",
        "ALTER TABLE restore_reconciler.fence ALTER phase SET DEFAULT 'x'",
        "ALTER TABLE restore_reconciler.fence ALTER phase DROP DEFAULT",
        "UPDATE restore_reconciler.schema_version SET version = 2",
        "UPDATE restore_reconciler.schema_version SET version = 1",
        "ALTER TABLE restore_reconciler.history RENAME checksum TO chk",
        "ALTER TABLE restore_reconciler.history RENAME chk TO checksum",
    };
    struct control_options options = {.control_database = CONTROL,
                                      .target = TARGET,
                                      .run_id = "x",
                                      .state_ref = "",
                                      .may_create = true};
    sql("SET search_path = public; CREATE SCHEMA IF NOT EXISTS public");
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        struct error err = ERROR_INIT;
        struct control *control = NULL;
        if (i == 1) {
            sql("DROP TRIGGER t ON restore_reconciler.fence");
            sql("VACUUM restore_reconciler.fence");
        } else if (i == 0) {
            sql("DO $$BEGIN EXECUTE 'GRANT CREATE ON SCHEMA public TO CURRENT_USER'; EXCEPTION "
                "WHEN OTHERS THEN NULL; END$$");
            sql("CREATE FUNCTION restore_reconciler.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
                "RETURN NEW; END'; "
                "CREATE TRIGGER t BEFORE UPDATE ON restore_reconciler.fence FOR EACH ROW EXECUTE "
                "FUNCTION "
                "restore_reconciler.f()");
        } else
            sql(breaks[i]);
        enum errc rc = control_open(&options, &control, &err);
        if (i % 2 == 0) {
            printf("%s | %s\n", err.text, err.hint);
            MUST(rc == ERR_CONTROL_DATABASE);
        } else
            MUST(!rc);
        control_close(control);
    }
}

/* A database of that name, made by hand, and a registry row for it. */
static void register_database(const char *name, const char *kind, const char *state, bool with_oid)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *conn = NULL;
    MUST(!conn_open(&(struct conn_options){.database = CONTROL}, &conn, &err));
    MUST(!conn_execf(conn, &err, "CREATE DATABASE %s TEMPLATE template0",
                     sql_identifier(&arena, name)));
    MUST(!conn_execf(conn, &err,
                     "INSERT INTO restore_reconciler.database SELECT %s, %s, %s, %s, 'R', %s, '', "
                     "'', true, now(), NULL, "
                     "NULL FROM pg_database WHERE datname = %s",
                     sql_literal(&arena, name), with_oid ? "oid" : "0", sql_literal(&arena, TARGET),
                     sql_literal(&arena, kind), sql_literal(&arena, state),
                     sql_literal(&arena, name)));
}

static void try_drop(bool is_superuser)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    bool is_held = false;
    const char *holder = "", **names, *when;
    struct fence fence;
    struct registry_row *rows;
    size_t count;
    struct control *control = open_as("R", "ref");
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    const char *staging = sql_own_database_name(&arena, TARGET, 's', "R");
    const char *previous = sql_own_database_name(&arena, TARGET, 'p', "R");
    register_database(staging, "staging", "creating", false);
    register_database(previous, "previous", "kept", true);
    register_database("gone", "previous", "kept", true);
    register_database("renamed", "previous", "kept", true);
    register_database("other oid", "previous", "kept", true);
    register_database("not provable", "staging", "creating", false);
    sql("DROP DATABASE gone");
    sql("ALTER DATABASE renamed RENAME TO renamed2");
    sql("DROP DATABASE \"other oid\"");
    sql("CREATE DATABASE \"other oid\" TEMPLATE template0");
    const char *stranger = sql_own_database_name(&arena, TARGET, 't', "nobody");
    sql(arena_printf(&arena, "CREATE DATABASE %s TEMPLATE template0",
                     sql_identifier(&arena, stranger)));
    MUST(!control_registry_strangers(control, &arena, &names, &count, &err));
    MUST(count == 1 && !strcmp(names[0], stranger));
    MUST(!control_registry_next_expiry(control, &arena, &when, &err) && !*when);
    sql("UPDATE restore_reconciler.database SET expires_at = now() - interval '1 min' WHERE name = "
        "'gone'");
    MUST(!control_registry_next_expiry(control, &arena, &when, &err) && *when);
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 6);
    /* somebody is inside */
    CONN_GUARD struct conn *inside = NULL;
    MUST(!conn_open(&(struct conn_options){.database = previous}, &inside, &err));
    for (size_t i = 0; i < count; i++) {
        printf("%-40s oid %u exists %d due %d size %lld: ", rows[i].name, rows[i].oid,
               rows[i].exists, rows[i].is_due, (long long)rows[i].size_bytes);
        enum errc rc = control_drop(control, &rows[i], &err);
        printf("%s %s\n", errc_name(rc), err.text);
        MUST(rc == (strcmp(rows[i].name, "not provable") == 0 ? ERR_DATABASE_CHANGED : RR_OK));
        if (rc)
            error_clear(&err);
    }
    MUST(conn_exec(inside, "SELECT 1", &err) == ERR_DATABASE_LOST);
    error_clear(&err);
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
    sql("DELETE FROM restore_reconciler.database");
    CONN_GUARD struct conn *conn = NULL;
    MUST(!conn_open(&(struct conn_options){.database = CONTROL}, &conn, &err));
    struct rows answer;
    MUST(!conn_query(
        conn, &arena,
        "SELECT datname FROM pg_database WHERE datname IN ('renamed2', 'other oid', $1, $2, $3)",
        (const char *[]){staging, previous, stranger}, 3, &answer, &err));
    MUST(answer.row_count == 3);
    /* an interrupted DROP */
    register_database(previous, "previous", "kept", true);
    if (is_superuser) {
        sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname LIKE '%\\_rrp%'");
        MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
        MUST(!control_drop(control, &rows[0], &err));
    } else {
        /* a session that we may not end */
        setenv("PGUSER", "postgres", 1);
        CONN_GUARD struct conn *super = NULL;
        MUST(!conn_open(
            &(struct conn_options){.database = previous, .application_name = "monitoring"}, &super,
            &err));
        setenv("PGUSER", "rr", 1);
        MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
        MUST(control_drop(control, &rows[0], &err) == ERR_SQL);
        printf("%s | %s\n", err.text, err.hint);
        error_clear(&err);
        conn_close(super);
        super = NULL;
        MUST(!control_drop(control, &rows[0], &err));
    }
    /* a template, and a prepared transaction */
    register_database(previous, "previous", "kept", true);
    sql(arena_printf(&arena, "ALTER DATABASE %s IS_TEMPLATE true",
                     sql_identifier(&arena, previous)));
    CONN_GUARD struct conn *prepared = NULL;
    MUST(!conn_open(&(struct conn_options){.database = previous}, &prepared, &err));
    MUST(!conn_exec(prepared,
                    "BEGIN; CREATE TABLE pg_temp.x(); ROLLBACK; BEGIN; SELECT "
                    "pg_advisory_xact_lock(1); PREPARE TRANSACTION 'it''s'",
                    &err));
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
    MUST(control_drop(control, &rows[0], &err) == ERR_SQL);
    printf("%s | %s\n", err.text, err.hint);
    error_clear(&err);
    MUST(!conn_exec(prepared, "ROLLBACK PREPARED 'it''s'", &err));
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1 &&
         !strcmp(rows[0].state, "dropping"));
    /* a stale holder drops nothing */
    sql("UPDATE restore_reconciler.fence SET token = token + 1");
    MUST(control_drop(control, &rows[0], &err) == ERR_FENCE_LOST);
    error_clear(&err);
    sql("UPDATE restore_reconciler.fence SET token = token - 1");
    MUST(!control_drop(control, &rows[0], &err));
    control_close(control);
    sql("DROP DATABASE renamed2");
    sql("DROP DATABASE \"other oid\"");
    sql("DROP DATABASE \"not provable\"");
    sql(arena_printf(&arena, "DROP DATABASE %s", sql_identifier(&arena, stranger)));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool is_superuser = argc > 1 && !strcmp(argv[1], "super");
    drop_control();
    try_nothing_is_created_unless_allowed();
    try_creators_race();
    try_fence();
    try_history();
    try_drop(is_superuser);
    try_heart_notices();
    try_lock_holders();
    if (argc > 2)
        try_fence_is_bounded();
    try_foreign_tables();
    drop_control();
    puts("all fine");
    return 0;
}
