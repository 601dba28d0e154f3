/*
 * Trials of conn and copyin against a real server: not part of `make unit`. Parameters come from
 * libpq's environment (PGHOST, PGPORT, PGUSER ...); every trial says what it saw and ends the
 * program when it is wrong.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/pg/conn.h"
#include "lib/pg/copyin.h"
#include "tests/unit/pg/live.h"

static struct conn *open_with(const struct conn_options *options)
{
    struct error err = ERROR_INIT;
    struct conn *conn = NULL;
    MUST(!conn_open(options, &conn, &err));
    return conn;
}

static void try_failed_connections(void)
{
    static const struct {
        const char *name, *conninfo;
        enum errc code;
        const char *sqlstate;
    } cases[] = {
        {"no such database", "dbname=nope", ERR_SQL, "3D000"},
        {"wrong password", "host=127.0.0.1 user=rr password=topsecret", ERR_DATABASE_LOGIN,
         "28P01"},
        {"no password", "host=127.0.0.1 user=rr passfile=/dev/null", ERR_DATABASE_LOGIN, ""},
        {"no such role", "user=nobody_here", ERR_DATABASE_LOGIN, "28000"},
        {"refused", "host=127.0.0.1 port=1", ERR_DATABASE_UNREACHABLE, ""},
        {"unknown host", "host=no-such-host.invalid", ERR_DATABASE_UNREACHABLE, ""},
        {"no TLS", "host=127.0.0.1 sslmode=require password=secret", ERR_TLS, ""},
        {"bad sslmode", "sslmode=topsecret", ERR_CONFIG, ""},
        {"bad percent", "postgres://a:topsecret%zz@h/d", ERR_CONFIG, ""},
        {"at sign in password", "postgres://a:x@topsecret@h/d", ERR_CONFIG, ""},
        {"slash after digits", "postgres://a:12/topsecret@h/d", ERR_CONFIG, ""},
        {"slash in password", "postgres://a:topsecret/x@h/d", ERR_CONFIG, ""},
        {"no conninfo", "topsecret", ERR_CONFIG, ""},
        {"unknown parameter", "postgres://a:b@h/d?topsecret=1", ERR_CONFIG, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = ERROR_INIT;
        CONN_GUARD struct conn *conn = NULL;
        enum errc rc =
            conn_open(&(struct conn_options){.conninfo = cases[i].conninfo}, &conn, &err);
        printf("%-20s %s | %s | %s\n", cases[i].name, errc_name(rc), err.text, err.hint);
        MUST(rc == cases[i].code && strcmp(err.sqlstate, cases[i].sqlstate) == 0);
        MUST(!strstr(err.text, "topsecret") || i == 7);
    }
}

static void *request_later(void *argument)
{
    usleep(500 * 1000);
    cancel_request(argument);
    return NULL;
}

static void try_statements(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *conn = open_with(&(struct conn_options){.application_name = "x/1"});
    struct rows rows;
    MUST(!conn_query(conn, &arena, "SELECT $1::text, $2::int, NULL, ''",
                     (const char *[]){"a'\\\n", NULL}, 2, &rows, &err));
    MUST(rows.row_count == 1 && rows.column_count == 4 && !strcmp(rows_get(&rows, 0, 0), "a'\\\n"));
    MUST(!rows_get(&rows, 0, 1) && !rows_get(&rows, 0, 2) && !*rows_get(&rows, 0, 3));
    MUST(!conn_query(conn, &arena, "SELECT g, g FROM generate_series(1, 1000) g", NULL, 0, &rows,
                     &err));
    MUST(rows.row_count == 1000 && !strcmp(rows_get(&rows, 999, 1), "1000"));
    MUST(!conn_query_simple(conn, &arena, "SELECT 1; SELECT 2, 3; CREATE TEMP TABLE a()", &rows,
                            &err));
    MUST(rows.row_count == 1 && rows.column_count == 2 && !strcmp(rows_get(&rows, 0, 1), "3"));
    MUST(!conn_query_simple(conn, &arena, "SELECT 1; SELECT 2 WHERE false", &rows, &err));
    MUST(rows.row_count == 0 && rows.column_count == 1);
    MUST(!conn_query_simple(conn, &arena, "", &rows, &err) && rows.row_count == 0);
    MUST(!conn_query(conn, &arena, "SHOW search_path", NULL, 0, &rows, &err));
    MUST(!strcmp(rows_get(&rows, 0, 0), "pg_catalog"));
    MUST(conn_exec(conn, "SELECT 1; SELECT foo\n('secret')", &err) == ERR_SQL);
    printf("%s | %s\n", err.text, err.hint);
    MUST(!strcmp(err.sqlstate, "42703") || !strcmp(err.sqlstate, "42883"));
    MUST(!strstr(err.text, "secret"));
    error_clear(&err);
    MUST(conn_exec(conn, "COPY (SELECT generate_series(1,100000)) TO STDOUT", &err) == ERR_SQL);
    error_clear(&err);
    MUST(conn_exec(conn, "CREATE TEMP TABLE t(a int); COPY t FROM STDIN", &err) == ERR_SQL);
    error_clear(&err);
    MUST(!conn_exec(conn, "SELECT 1", &err));
    MUST(conn_query_simple(conn, &arena, "SELECT generate_series(1,1000000000)", &rows, &err) ==
         ERR_TOO_LARGE);
    error_clear(&err);
    MUST(!conn_exec(conn, "SELECT 1", &err));
    MUST(conn_exec(conn, "SELECT pg_terminate_backend(pg_backend_pid())", &err) ==
         ERR_DATABASE_LOST);
    printf("%s\n", err.text);
    MUST(!conn_is_alive(conn));
    error_clear(&err);
    MUST(conn_exec(conn, "SELECT 1", &err) == ERR_DATABASE_LOST);
    printf("%s\n", err.text);
}

static void try_cancel(void)
{
    struct error err = ERROR_INIT;
    struct cancel cancel = {0};
    CONN_GUARD struct conn *conn = open_with(&(struct conn_options){.cancel = &cancel});
    pthread_t thread;
    uint64_t start = now();
    pthread_create(&thread, NULL, request_later, &cancel);
    MUST(conn_exec(conn, "SELECT pg_sleep(30)", &err) == ERR_CANCELLED);
    pthread_join(thread, NULL);
    printf("cancelled after %d ms: %s\n", (int)(now() - start), err.text);
    MUST(now() - start < 2000);
    error_clear(&err);
    MUST(conn_exec(conn, "SELECT 1", &err) == ERR_CANCELLED);
    error_clear(&err);
    conn_set_cancel(conn, NULL);
    MUST(!conn_exec(conn, "SELECT 1", &err));
}

static void try_copy(void)
{
    struct error err = ERROR_INIT;
    CONN_GUARD struct conn *conn = open_with(&(struct conn_options){0});
    MUST(!conn_exec(conn, "CREATE TEMP TABLE t(a int, b text)", &err));
    MUST(!copyin_begin(conn, "COPY pg_temp.t FROM STDIN", &err));
    for (int i = 0; i < 1000; i++)
        MUST(!copyin_write(conn, "1\tx\n2", 5, &err) && !copyin_write(conn, "\t\\N\n", 4, &err));
    uint64_t rows = 0;
    MUST(!copyin_end(conn, &rows, &err) && rows == 2000);
    MUST(copyin_begin(conn, "SELECT 1", &err) == ERR_SQL);
    error_clear(&err);
    MUST(copyin_begin(conn, "COPY nowhere FROM STDIN", &err) == ERR_SQL);
    error_clear(&err);
    /* a bad first row is noticed long before the end, whenever its error comes */
    static char block[1 << 20];
    for (size_t i = 0; i < sizeof block; i += 4)
        memcpy(block + i, "7\ty\n", 4);
    for (int round = 0; round < 30; round++) {
        MUST(!copyin_begin(conn, "COPY pg_temp.t FROM STDIN", &err));
        enum errc rc = copyin_write(conn, "x\ty\n", 4, &err);
        size_t sent = 0;
        for (; !rc && sent < 500; sent++)
            rc = copyin_write(conn, block, sizeof block, &err);
        if (round == 0)
            printf("bad row noticed after %zu MiB: %s\n", sent, err.text);
        MUST(rc == ERR_SQL && sent < 20 && !strcmp(err.sqlstate, "22P02"));
        error_clear(&err);
        MUST(!conn_exec(conn, "SELECT 1", &err));
    }
    /* warnings are no errors */
    MUST(!conn_exec(conn,
                    "CREATE TEMP TABLE n(a int, b text); CREATE FUNCTION pg_temp.f() RETURNS "
                    "trigger LANGUAGE plpgsql AS "
                    "'BEGIN IF random() < 0.001 THEN RAISE WARNING ''x''; END IF; RETURN NEW; "
                    "END'; CREATE TRIGGER t "
                    "BEFORE INSERT ON n FOR EACH ROW EXECUTE FUNCTION pg_temp.f()",
                    &err));
    MUST(!copyin_begin(conn, "COPY pg_temp.n FROM STDIN", &err));
    MUST(!copyin_write(conn, block, sizeof block, &err) &&
         !copyin_write(conn, block, sizeof block, &err));
    MUST(!copyin_end(conn, &rows, &err) && rows == 2 * sizeof block / 4);
    MUST(!copyin_begin(conn, "COPY pg_temp.t FROM STDIN", &err));
    MUST(!copyin_write(conn, "7\ty\n", 4, &err));
    copyin_abort(conn, "a reason");
    MUST(!conn_exec(
        conn,
        "DO $$BEGIN IF (SELECT count(*) FROM pg_temp.t) <> 2000 THEN RAISE 'rows'; END IF; END$$",
        &err));
}

static void try_copy_cancel(void)
{
    struct error err = ERROR_INIT;
    struct cancel cancel = {0};
    CONN_GUARD struct conn *conn = open_with(&(struct conn_options){.cancel = &cancel});
    /* a slow receiver: the trigger sleeps, so the socket fills up */
    MUST(!conn_exec(
        conn,
        "CREATE TEMP TABLE t(a int, b text); CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE "
        "plpgsql AS 'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END'; CREATE TRIGGER t BEFORE "
        "INSERT "
        "ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.f()",
        &err));
    MUST(!copyin_begin(conn, "COPY pg_temp.t FROM STDIN", &err));
    static char block[1 << 20];
    for (size_t i = 0; i < sizeof block; i += 4)
        memcpy(block + i, "7\ty\n", 4);
    pthread_t thread;
    uint64_t start = now();
    pthread_create(&thread, NULL, request_later, &cancel);
    enum errc rc = RR_OK;
    size_t sent = 0;
    for (; !rc && sent < 500; sent++)
        rc = copyin_write(conn, block, sizeof block, &err);
    pthread_join(thread, NULL);
    printf("COPY cancelled after %d ms, %zu MiB: %s\n", (int)(now() - start), sent, err.text);
    MUST(rc == ERR_CANCELLED && now() - start < 3000);
    conn_set_cancel(conn, NULL);
    error_clear(&err);
    MUST(!conn_exec(conn, "SELECT 1", &err));
}

static void try_reload_during_copy(void)
{
    struct error err = ERROR_INIT;
    CONN_GUARD struct conn *conn = open_with(&(struct conn_options){.is_for_user_sql = true});
    CONN_GUARD struct conn *other = open_with(&(struct conn_options){0});
    MUST(!conn_exec(conn, "CREATE TEMP TABLE t(a int, b text)", &err));
    MUST(!copyin_begin(conn, "COPY pg_temp.t FROM STDIN", &err));
    MUST(!copyin_write(conn, "7\ty\n", 4, &err));
    MUST(!conn_exec(other, "ALTER SYSTEM SET timezone = 'Asia/Tokyo'", &err));
    MUST(!conn_exec(other, "SELECT pg_reload_conf(), pg_sleep(0.5)", &err));
    enum errc rc = RR_OK;
    for (int i = 0; !rc && i < 50; i++) {
        rc = copyin_write(conn, "7\ty\n", 4, &err);
        usleep(10000);
    }
    printf("reload: %s %s\n", errc_name(rc), err.text);
    MUST(rc == RR_OK || copyin_is_false_alarm(&err));
    struct error ignored = ERROR_INIT;
    (void)!conn_exec(other, "ALTER SYSTEM RESET timezone", &ignored);
    (void)!conn_exec(other, "SELECT pg_reload_conf()", &ignored);
}

static int calls;
static void count_call(void *context)
{
    (void)context;
    calls++;
}

static void try_meanwhile(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    CONN_GUARD struct conn *conn = open_with(&(struct conn_options){0});
    const char *warning = NULL;
    MUST(!conn_exec_meanwhile(
        conn, "SELECT pg_sleep(0.5); DO $$BEGIN RAISE WARNING 'look %', 'out'; END$$", 20,
        count_call, NULL, &arena, &warning, &err));
    printf("meanwhile: %d calls, warning '%s'\n", calls, warning);
    MUST(calls > 15 && calls < 30 && !strcmp(warning, "look out"));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool is_superuser = argc > 1 && !strcmp(argv[1], "super");
    if (argc < 3) /* with a password in the environment some of them would not fail */
        try_failed_connections();
    try_statements();
    try_cancel();
    try_copy();
    try_copy_cancel();
    try_meanwhile();
    if (is_superuser)
        try_reload_during_copy();
    puts("all fine");
    return 0;
}
