/*
 * Trials of what goes wrong, against a real server on this machine: not part of `make unit`.
 * Connection parameters come from libpq's environment, role a superuser; must run as root or as the
 * server's own user, because it stops and continues processes of the server. Roles app_owner,
 * app_user and rr must exist.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/pg/control.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/copyin.h"
#include "lib/pg/database.h"
#include "lib/pg/sql.h"
#include "tests/unit/pg/live.h"

#define CONTROL "rr_live_trouble"

static struct conn *open_to(const char *database, const char *conninfo)
{
    struct error err = ERROR_INIT;
    struct conn *conn = NULL;
    MUST(!conn_open(
        &(struct conn_options){.database = database, .conninfo = conninfo, .is_for_user_sql = true},
        &conn, &err));
    return conn;
}

static void sql(const char *database, const char *text)
{
    struct error err = ERROR_INIT;
    CONN_GUARD struct conn *conn = open_to(database, NULL);
    MUST(!conn_exec(conn, text, &err));
}

static const char *ask(struct arena *arena, const char *database, const char *text)
{
    struct error err = ERROR_INIT;
    struct rows rows;
    CONN_GUARD struct conn *conn = open_to(database, NULL);
    MUST(!conn_query(conn, arena, text, NULL, 0, &rows, &err));
    return rows.row_count ? rows_get(&rows, 0, 0) : NULL;
}

static int postmaster(void)
{
    ARENA_GUARD struct arena arena = {0};
    const char *line =
        ask(&arena, "postgres", "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
    return atoi(line);
}

static void *request_later(void *argument)
{
    usleep(500 * 1000);
    cancel_request(argument);
    return NULL;
}

static void try_hung_server(void)
{
    struct error err = ERROR_INIT;
    struct cancel cancel = {0};
    pthread_t thread;
    int pid = postmaster();
    struct conn *conn = open_to("postgres", NULL);
    conn_set_cancel(conn, &cancel);
    kill(pid, SIGSTOP);
    struct conn *other = NULL;
    uint64_t start = now();
    MUST(conn_open(&(struct conn_options){.connect_timeout_s = 2}, &other, &err) ==
         ERR_DATABASE_UNREACHABLE);
    printf("  connect to a stopped server: %d ms: %s\n", (int)(now() - start), err.text);
    MUST(now() - start < 8000);
    error_clear(&err);
    start = now();
    pthread_create(&thread, NULL, request_later, &cancel);
    MUST(conn_open(&(struct conn_options){.cancel = &cancel}, &other, &err) == ERR_CANCELLED);
    pthread_join(thread, NULL);
    MUST(now() - start < 1500);
    error_clear(&err);
    cancel.is_requested = false;
    kill(conn_backend_pid(conn), SIGSTOP);
    start = now();
    pthread_create(&thread, NULL, request_later, &cancel);
    MUST(conn_exec(conn, "SELECT 1", &err) == ERR_CANCELLED);
    pthread_join(thread, NULL);
    printf("  statement on a stopped server: %d ms: %s\n", (int)(now() - start), err.text);
    MUST(!conn_is_alive(conn) && now() - start < 13000);
    error_clear(&err);
    kill(pid, SIGCONT);
    kill(conn_backend_pid(conn), SIGCONT);
    conn_close(conn);
    /* a backend alone */
    conn = open_to("postgres", NULL);
    conn_set_limit_ms(conn, 1000);
    kill(conn_backend_pid(conn), SIGSTOP);
    start = now();
    MUST(conn_exec(conn, "SELECT 1", &err) == ERR_DATABASE_LOST);
    printf("  statement on a stopped backend: %d ms: %s\n", (int)(now() - start), err.text);
    error_clear(&err);
    kill(conn_backend_pid(conn), SIGCONT);
    conn_close(conn);
    conn = open_to("postgres", NULL);
    conn_set_limit_ms(conn, 1000);
    MUST(conn_exec(conn, "SELECT pg_sleep(5)", &err) == ERR_TIMEOUT);
    printf("  statement past its limit: %s\n", err.text);
    error_clear(&err);
    MUST(!conn_exec(conn, "SELECT 1", &err));
    /* killed */
    kill(conn_backend_pid(conn), SIGTERM);
    usleep(200 * 1000);
    MUST(conn_exec(conn, "SELECT 1", &err) == ERR_DATABASE_LOST);
    printf("  terminated: %s\n", err.text);
    conn_close(conn);
}

static void try_copy_to_a_killed_backend(void)
{
    struct error err = ERROR_INIT;
    static char block[1 << 20];
    for (size_t i = 0; i < sizeof block; i += 4)
        memcpy(block + i, "7\ty\n", 4);
    CONN_GUARD struct conn *conn = open_to("postgres", NULL);
    MUST(!conn_exec(conn, "CREATE TEMP TABLE t(a int, b text)", &err));
    MUST(!copyin_begin(conn, "COPY pg_temp.t FROM STDIN", &err));
    MUST(!copyin_write(conn, block, sizeof block, &err));
    kill(conn_backend_pid(conn), SIGTERM);
    usleep(200 * 1000);
    enum errc rc = RR_OK;
    int i;
    for (i = 0; i < 200 && !rc; i++)
        rc = copyin_write(conn, block, sizeof block, &err);
    printf("  after %d MiB: %s %s\n", i, errc_name(rc), err.text);
    MUST(rc == ERR_DATABASE_LOST && i < 50);
    copyin_abort(conn, "x");
}

static void try_ways_to_connect(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct rows rows;
    const char *host = getenv("PGHOST"), *port = getenv("PGPORT");
    conn_close(open_to(NULL, arena_printf(&arena, "host=127.0.0.1,%s port=1,%s", host, port)));
    uint64_t start = now();
    struct conn *conn = NULL;
    /* the first host takes the connection and says nothing */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int mute = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(mute, (struct sockaddr *)&address, size) || listen(mute, 5) ||
        getsockname(mute, (struct sockaddr *)&address, &size))
        exit(3);
    const char *list = arena_printf(&arena, "host=127.0.0.1,%s port=%d,%s dbname=postgres", host,
                                    ntohs(address.sin_port), port);
    MUST(!conn_open(&(struct conn_options){.conninfo = list, .connect_timeout_s = 2}, &conn, &err));
    printf("  second of two hosts after %d ms: %s\n", (int)(now() - start), conn_peer(conn));
    conn_close(conn);
    /* a service, options of the environment, and ours */
    FILE *file = fopen("/tmp/rr_live_service.conf", "w");
    fprintf(file, "[live]\nhost=%s\nport=%s\nuser=postgres\ndbname=postgres\n", host, port);
    fclose(file);
    const char *saved_host = arena_strdup(&arena, host), *saved_port = arena_strdup(&arena, port);
    setenv("PGSERVICEFILE", "/tmp/rr_live_service.conf", 1);
    setenv("PGSERVICE", "live", 1);
    unsetenv("PGHOST");
    unsetenv("PGPORT");
    setenv("PGOPTIONS", "-c work_mem=17MB -c maintenance_work_mem=18MB", 1);
    MUST(
        !conn_open(&(struct conn_options){.options = "-c maintenance_work_mem=19MB"}, &conn, &err));
    MUST(!conn_query(conn, &arena,
                     "SELECT current_setting('work_mem'), current_setting('maintenance_work_mem')",
                     NULL, 0, &rows, &err));
    MUST(!strcmp(rows_get(&rows, 0, 0), "17MB") && !strcmp(rows_get(&rows, 0, 1), "19MB"));
    conn_close(conn);
    setenv("PGSERVICE", "nowhere", 1);
    MUST(conn_open(&(struct conn_options){0}, &conn, &err) == ERR_CONFIG);
    printf("  %s\n", err.text);
    error_clear(&err);
    unsetenv("PGSERVICE");
    unsetenv("PGSERVICEFILE");
    unsetenv("PGOPTIONS");
    setenv("PGHOST", saved_host, 1);
    setenv("PGPORT", saved_port, 1);
    unlink("/tmp/rr_live_service.conf");
    setenv("DATABASE_URL",
           arena_printf(&arena, "postgresql:///template1?host=%s&port=%s&application_name=x",
                        saved_host, saved_port),
           1);
    MUST(!conn_open(&(struct conn_options){.database = "postgres", .application_name = "y"}, &conn,
                    &err));
    MUST(!conn_query(conn, &arena, "SELECT current_database(), current_setting('application_name')",
                     NULL, 0, &rows, &err));
    MUST(!strcmp(rows_get(&rows, 0, 0), "postgres") && !strcmp(rows_get(&rows, 0, 1), "y"));
    conn_close(conn);
    unsetenv("DATABASE_URL");
}

/* A role's settings do not get into the way of our sessions. */
static void try_hostile_settings(void)
{
    struct error err = ERROR_INIT;
    sql("postgres",
        "DROP ROLE IF EXISTS hostile; CREATE ROLE hostile SUPERUSER LOGIN; ALTER ROLE hostile SET "
        "default_transaction_read_only = on; ALTER ROLE hostile SET search_path = public; ALTER "
        "ROLE hostile SET "
        "statement_timeout = '1ms'; ALTER ROLE hostile SET default_transaction_isolation = "
        "serializable; ALTER ROLE "
        "hostile SET client_min_messages = error; ALTER ROLE hostile SET "
        "standard_conforming_strings = off; ALTER "
        "ROLE hostile SET idle_in_transaction_session_timeout = '1ms'; ALTER ROLE hostile SET "
        "datestyle = 'SQL, DMY'; "
        "ALTER ROLE hostile SET default_tablespace = 'nowhere'; ALTER ROLE hostile SET "
        "quote_all_identifiers = on; "
        "ALTER ROLE hostile SET synchronous_commit = off");
    setenv("PGUSER", "hostile", 1);
    ARENA_GUARD struct arena arena = {0};
    struct control *control = NULL;
    struct fence fence;
    bool is_held = false;
    const char *holder;
    struct control_options options = {.control_database = "rr_hostile",
                                      .target = "x",
                                      .run_id = "r",
                                      .state_ref = "s",
                                      .may_create = true};
    MUST(!control_open(&options, &control, &err));
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    MUST(!control_history_adopt(control, 1, "2024-12-10T00:00:00Z", "", &err));
    control_close(control);
    setenv("PGUSER", "postgres", 1);
    sql("postgres", "DROP DATABASE rr_hostile");
    sql("postgres", "DROP ROLE hostile");
}

/* --- the whole of it ---------------------------------------------------------------------------
 */

static struct arena texts; /* outlives every call */

static struct control *lock(const char *run_id, unsigned silent_s)
{
    struct error err = ERROR_INIT;
    struct control *control = NULL;
    bool is_held = false;
    const char *holder = "";
    struct control_options options = {.control_database = CONTROL,
                                      .target = "app",
                                      .run_id = run_id,
                                      .state_ref = "s",
                                      .silent_holder_s = silent_s,
                                      .may_create = true};
    MUST(!control_open(&options, &control, &err));
    for (int i = 0; i < 20 && !is_held; i++) {
        MUST(!control_lock(control, &texts, &is_held, &holder, &err));
        if (!is_held) {
            printf("  locked by %s\n", holder);
            sleep(2);
        }
    }
    MUST(is_held);
    return control;
}

static struct control *begin(const char *run_id, unsigned silent_s)
{
    struct error err = ERROR_INIT;
    struct fence fence;
    struct control *control = lock(run_id, silent_s);
    MUST(!control_fence_take(control, &texts, NULL, &fence, &err));
    return control;
}

static void drop_app(struct arena *arena)
{
    struct error err = ERROR_INIT;
    struct rows rows;
    CONN_GUARD struct conn *conn = open_to("postgres", NULL);
    MUST(!conn_query(
        conn, arena,
        "SELECT datname FROM pg_database WHERE datname LIKE 'app%' OR datname = '" CONTROL "'",
        NULL, 0, &rows, &err));
    for (size_t i = 0; i < rows.row_count; i++)
        MUST(!conn_execf(conn, &err, "DROP DATABASE %s WITH (FORCE)",
                         sql_identifier(arena, rows_get(&rows, i, 0))));
}

static struct swap staged(struct control *control, struct arena *arena, const char *becomes_live)
{
    struct error err = ERROR_INIT;
    struct swap swap = {.kind = SWAP_RESTORE, .desired = "d", .request = "", .keep_previous_s = 10};
    static struct database_info live;
    static struct carry_over plan;
    struct findings findings = {.arena = arena};
    struct carry_over rehearsal;
    bool is_found = false;
    MUST(!database_find(control, arena, "app", &live, &is_found, &err) && is_found);
    swap.live = &live;
    if (!becomes_live)
        MUST(!database_create_staging(control, arena, &live, NULL, &swap.staging_name,
                                      &swap.staging_oid, &err));
    MUST(!database_carry_over_plan(control, arena, &live, swap.staging_name, &rehearsal, &err));
    MUST(!database_carry_over_rehearse(control, &rehearsal, true, &findings, &err));
    for (size_t i = 0; i < findings.count; i++)
        printf("  rehearsal: %s\n", findings.items[i]);
    MUST(!database_carry_over_plan(control, arena, &live, "app", &plan, &err));
    MUST(!carry_over_leave_out(&plan, &rehearsal, &err));
    swap.carry_over = &plan;
    return swap;
}

/* The process dies while its COMMIT waits for a standby: the next run ends that backend, and finds
 * the swap done. */
static void try_death_in_commit(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    drop_app(&arena);
    sql("postgres", "CREATE DATABASE app OWNER app_owner TEMPLATE template0");
    sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
    int ready[2];
    if (pipe(ready))
        exit(3);
    pid_t child = fork();
    if (child == 0) {
        struct control *control = begin("victim", 4);
        struct swap swap = staged(control, &arena, NULL);
        struct swap_result result;
        if (write(ready[1], "x", 1) != 1)
            exit(3);
        sleep(3); /* meanwhile the standby goes missing */
        (void)!database_swap(control, &arena, &swap, &result, &err);
        exit(0);
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1)
        exit(3);
    sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    sql("postgres", "SET synchronous_commit = off; SELECT pg_reload_conf()");
    sleep(6);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    printf("  killed; the old backend: %s\n",
           ask(&arena, "postgres",
               "SELECT state || ' ' || coalesce(wait_event, '') || ' ' || left(query, 20) FROM "
               "pg_stat_activity WHERE application_name = 'restore-reconciler/victim' AND state = "
               "'active'"));
    uint64_t start = now();
    /* names are not swapped yet for anybody else, and nobody can connect */
    struct control *control = lock("next", 4);
    sql("postgres", "SET synchronous_commit = off; SELECT pg_reload_conf(), pg_sleep(0.5)");
    struct fence fence;
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    struct history_row row;
    bool is_found = false;
    MUST(!control_history_of_run(control, &arena, "victim", &row, &is_found, &err) && is_found);
    printf("  settled after %d ms: swapped, oid %u is live\n", (int)(now() - start), row.new_oid);
    MUST(!strcmp(fence.displaced, "victim") && !strcmp(fence.phase, "swapped"));
    control_close(control);
}

/* Dies while it makes staging: the row is there, and the next run drops what there is. */
static void try_death_in_create(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    for (int i = 0; i < 12; i++) {
        drop_app(&arena);
        sql("postgres", "CREATE DATABASE app OWNER app_owner TEMPLATE template0");
        int ready[2];
        if (pipe(ready))
            exit(3);
        pid_t child = fork();
        if (child == 0) {
            struct control *control = begin("victim", 60);
            if (write(ready[1], "x", 1) != 1)
                exit(3);
            staged(control, &arena, NULL);
            pause();
        }
        char byte;
        if (read(ready[0], &byte, 1) != 1)
            exit(3);
        usleep((useconds_t)i * 8000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        struct control *control = begin("next", 60);
        struct registry_row *rows;
        const char **names;
        size_t count, strangers;
        MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count <= 1);
        printf("  killed after %d ms: %s\n", i * 8, count ? rows[0].state : "no row");
        if (count)
            MUST(!control_drop(control, &rows[0], &err));
        MUST(!control_registry_strangers(control, &arena, &names, &strangers, &err) &&
             strangers == 0);
        control_close(control);
        close(ready[0]);
        close(ready[1]);
    }
}

static void *commit_later(void *argument)
{
    struct error err = ERROR_INIT;
    sleep(1);
    MUST(!conn_exec(argument, "COMMIT", &err));
    return NULL;
}

static void try_concurrent_grant(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    drop_app(&arena);
    sql("postgres", "CREATE DATABASE app OWNER app_owner TEMPLATE template0");
    struct control *control = begin("run", 60);
    struct swap swap = staged(control, &arena, NULL);
    struct swap_result result;
    CONN_GUARD struct conn *admin = open_to("postgres", NULL);
    MUST(!conn_exec(admin, "BEGIN; GRANT CREATE ON DATABASE app TO app_user", &err));
    pthread_t thread;
    pthread_create(&thread, NULL, commit_later, admin);
    MUST(!database_swap(control, &arena, &swap, &result, &err));
    pthread_join(thread, NULL);
    printf("  swapped in %u tries, %d ms\n", result.tries, (int)result.locked_ms);
    control_close(control);
}

/* As role rr, which may not do everything. */
static void try_best_effort(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    drop_app(&arena);
    sql("postgres", "CREATE DATABASE app OWNER app_owner TEMPLATE template0");
    sql("postgres", "ALTER DATABASE app SET log_min_duration_statement = 5");
    sql("postgres", "ALTER DATABASE app SET myapp.secret = 'hush'");
    sql("postgres", "ALTER ROLE postgres IN DATABASE app SET work_mem = '5MB'");
    sql("postgres", "ALTER DATABASE app SET work_mem = '6MB'");
    setenv("PGUSER", "rr", 1);
    struct control *control = begin("run", 60);
    struct swap swap = staged(control, &arena, NULL);
    struct swap_result result;
    MUST(!database_swap(control, &arena, &swap, &result, &err));
    control_close(control);
    setenv("PGUSER", "postgres", 1);
    const char *settings = ask(&arena, "postgres",
                               "SELECT string_agg(setconfig::text, ';') FROM pg_db_role_setting "
                               "JOIN pg_database d ON d.oid = setdatabase WHERE datname = 'app'");
    printf("  carried: %s\n", settings);
    MUST(strstr(settings, "work_mem=6MB") && !strstr(settings, "hush"));
    /* with the right that the finding asks for */
    CONN_GUARD struct conn *conn = open_to("postgres", NULL);
    if (conn_server_version(conn) < 150000)
        return;
    sql("postgres", "ALTER DATABASE app SET myapp.secret = 'hush'");
    sql("postgres", "GRANT SET ON PARAMETER \"myapp.secret\" TO \"rr\"");
    setenv("PGUSER", "rr", 1);
    control = begin("run2", 60);
    swap = staged(control, &arena, NULL);
    MUST(!database_swap(control, &arena, &swap, &result, &err));
    control_close(control);
    setenv("PGUSER", "postgres", 1);
    settings = ask(&arena, "postgres",
                   "SELECT string_agg(setconfig::text, ';') FROM pg_db_role_setting JOIN "
                   "pg_database d ON d.oid = setdatabase WHERE datname = 'app'");
    MUST(strstr(settings, "hush"));
    sql("postgres", "REVOKE SET ON PARAMETER \"myapp.secret\" FROM \"rr\"");
}

static void try_preflight(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    drop_app(&arena);
    sql("postgres", "DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN CONNECTION LIMIT 5");
    sql("postgres", "CREATE DATABASE app OWNER app_owner TEMPLATE template0");
    sql("postgres", "DROP DATABASE IF EXISTS " CONTROL);
    sql("postgres", "CREATE DATABASE " CONTROL " OWNER poor TEMPLATE template0");
    sql("app", "SELECT pg_create_logical_replication_slot('live_slot', 'pgoutput')");
    sql("app", "CREATE TABLE public.t(); CREATE SUBSCRIPTION \"it's\" CONNECTION 'host=x "
               "password=topsecret' PUBLICATION p WITH (connect = false)");
    CONN_GUARD struct conn *prepared = open_to("app", NULL);
    MUST(!conn_exec(prepared, "BEGIN; SELECT pg_advisory_xact_lock(1); PREPARE TRANSACTION 'a''b'",
                    &err));
    CONN_GUARD struct conn *user = open_to("app", "user=app_user application_name='the shop'");
    CONN_GUARD struct conn *user2 = open_to("app", "user=app_user");
    setenv("PGUSER", "poor", 1);
    struct control *control = begin("run", 60);
    struct database_info live;
    bool is_found = false;
    struct findings findings = {.arena = &arena};
    MUST(!database_find(control, &arena, "app", &live, &is_found, &err) && is_found);
    MUST(!database_preflight(control, &live, 100, &findings, &err));
    for (size_t i = 0; i < findings.count; i++)
        printf("  %zu. %s\n", i + 1, findings.items[i]);
    MUST(findings.count == 9);
    control_close(control);
    setenv("PGUSER", "postgres", 1);
    /* a kept database with a subscription inside says why it stays */
    control = begin("run2", 60);
    sql(CONTROL, "INSERT INTO restore_reconciler.database SELECT 'app2', oid, 'app', 'previous', "
                 "'r', 'kept', '', '', true, now(), now() FROM pg_database WHERE datname = 'app'");
    MUST(!conn_exec(prepared, "ROLLBACK PREPARED 'a''b'", &err));
    conn_close(prepared);
    conn_close(user);
    conn_close(user2);
    prepared = user = user2 = NULL;
    sql("postgres", "ALTER DATABASE app RENAME TO app2");
    struct registry_row *rows;
    size_t count;
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
    MUST(control_drop(control, &rows[0], &err) == ERR_SQL);
    printf("  %s | %s\n", err.text, err.hint);
    error_clear(&err);
    sql("app2", "ALTER SUBSCRIPTION \"it's\" DISABLE");
    sql("app2", "ALTER SUBSCRIPTION \"it's\" SET (slot_name = NONE)");
    sql("app2", "DROP SUBSCRIPTION \"it's\"");
    MUST(!control_drop(control, &rows[0], &err)); /* the slot goes with it */
    control_close(control);
    sql("postgres", "DROP DATABASE " CONTROL);
    sql("postgres", "DROP ROLE poor");
}

/* Staging looks like live, whatever live looks like. */
static void try_shapes(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    static const struct {
        int version;
        const char *options;
    } shapes[] = {
        {140000, "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"},
        {140000, "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"},
        {140000, "ENCODING 'SQL_ASCII' LC_COLLATE 'POSIX' LC_CTYPE 'POSIX'"},
        {140000, "TABLESPACE live_space"},
        {150000, "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE'"},
        {160000, "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' ICU_RULES '&a < g'"},
        {170000, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"},
        {180000, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'"},
    };
    const char *directory =
        ask(&arena, "postgres", "SELECT current_setting('data_directory') || '_space'");
    const char *command =
        arena_printf(&arena, "mkdir -p '%s' && chown postgres '%s'", directory, directory);
    if (system(command))
        exit(3);
    drop_app(&arena);
    struct error ignored = ERROR_INIT;
    CONN_GUARD struct conn *conn = open_to("postgres", NULL);
    (void)!conn_exec(conn,
                     arena_printf(&arena, "CREATE TABLESPACE live_space LOCATION '%s'", directory),
                     &ignored);
    sql("postgres", "GRANT CREATE ON TABLESPACE live_space TO rr");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct error refused = ERROR_INIT;
        if (conn_server_version(conn) < shapes[i].version)
            continue;
        drop_app(&arena);
        if (conn_exec(conn,
                      arena_printf(&arena,
                                   "CREATE DATABASE app OWNER app_owner TEMPLATE template0 %s",
                                   shapes[i].options),
                      &refused)) {
            printf("  not here: %s: %s\n", shapes[i].options, refused.text);
            continue;
        }
        setenv("PGUSER", "rr", 1);
        struct control *control = begin("run", 60);
        struct swap swap = staged(control, &arena, NULL);
        struct database_info made;
        bool is_found;
        MUST(!database_find(control, &arena, swap.staging_name, &made, &is_found, &err));
        const struct database_info *live = swap.live;
        printf("  %s: %s %s %s %c %s %s %s\n", shapes[i].options, made.encoding, made.collate,
               made.ctype, made.provider, made.locale ? made.locale : "-",
               made.icu_rules ? made.icu_rules : "-", made.tablespace);
        MUST(text_equal(live->encoding, made.encoding) && text_equal(live->collate, made.collate) &&
             text_equal(live->ctype, made.ctype));
        MUST(live->provider == made.provider && text_equal(live->locale, made.locale) &&
             text_equal(live->icu_rules, made.icu_rules));
        MUST(text_equal(live->tablespace, made.tablespace) && text_equal(live->owner, made.owner));
        struct registry_row *rows;
        size_t count;
        MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1 &&
             !control_drop(control, &rows[0], &err));
        control_close(control);
        setenv("PGUSER", "postgres", 1);
    }
    drop_app(&arena);
    sql("postgres", "DROP TABLESPACE live_space");
}

/* A name longer than names may be finds nothing, rather than the database with the cut name. */
static void try_longer_name(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    char longer[80] = "app";
    memset(longer + 3, 'x', 70);
    longer[73] = '\0';
    drop_app(&arena);
    sql("postgres", arena_printf(&arena, "CREATE DATABASE %.63s TEMPLATE template0", longer));
    sql("postgres", "CREATE DATABASE app TEMPLATE template0");
    struct control *control = begin("run", 60);
    struct database_info info;
    bool is_found = true;
    MUST(!database_find(control, &arena, longer, &info, &is_found, &err) && !is_found);
    struct registry_row row = {
        .name = longer, .oid = 5, .kind = "previous", .state = "kept", .run_id = ""};
    MUST(control_drop(control, &row, &err) == ERR_BUG);
    control_close(control);
    drop_app(&arena);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*trial)(void);
    } trials[] = {
        {"ways", try_ways_to_connect},
        {"hung", try_hung_server},
        {"copy", try_copy_to_a_killed_backend},
        {"hostile", try_hostile_settings},
        {"create", try_death_in_create},
        {"commit", try_death_in_commit},
        {"grant", try_concurrent_grant},
        {"effort", try_best_effort},
        {"preflight", try_preflight},
        {"shapes", try_shapes},
        {"longer", try_longer_name},
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        if (argc < 2 || !strcmp(argv[1], trials[i].name)) {
            puts(trials[i].name);
            trials[i].trial();
        }
    ARENA_GUARD struct arena arena = {0};
    drop_app(&arena);
    puts("all fine");
    return 0;
}
