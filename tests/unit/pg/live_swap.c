/*
 * Trials of staging, carry-over, swap and rollback against a real server: not part of `make unit`.
 * Connection parameters come from libpq's environment; the role must be able to do what a restore
 * needs, and a superuser "postgres" must be let in as well, for the setting up. Role "app_owner"
 * owns the live databases, "app_user" uses them.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/pg/control.h"
#include "lib/pg/control_internal.h"
#include "lib/pg/database.h"
#include "lib/pg/sql.h"
#include "tests/unit/pg/live.h"

#define CONTROL "rr_live_swap"

static bool is_superuser;

static struct conn *open_as(const char *role, const char *database)
{
    struct error err = ERROR_INIT;
    struct conn *conn = NULL;
    ARENA_GUARD struct arena arena = {0};
    const char *conninfo = arena_printf(&arena, "user=%s", role);
    MUST(!conn_open(
        &(struct conn_options){.database = database, .conninfo = conninfo, .is_for_user_sql = true},
        &conn, &err));
    return conn;
}

static void super(const char *database, const char *text)
{
    struct error err = ERROR_INIT;
    CONN_GUARD struct conn *conn = open_as("postgres", database);
    MUST(!conn_exec(conn, text, &err));
}

/* Single value, or NULL. */
static const char *ask(struct arena *arena, const char *database, const char *text,
                       const char *param)
{
    struct error err = ERROR_INIT;
    struct rows rows;
    CONN_GUARD struct conn *conn = open_as("postgres", database);
    MUST(!conn_query(conn, arena, text, (const char *[]){param}, param ? 1 : 0, &rows, &err));
    return rows.row_count ? rows_get(&rows, 0, 0) : NULL;
}

static void drop_all(struct arena *arena)
{
    struct error err = ERROR_INIT;
    struct rows rows;
    CONN_GUARD struct conn *conn = open_as("postgres", "postgres");
    MUST(!conn_query(conn, arena,
                     "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.)$' "
                     "AND datname NOT LIKE 'keep%'",
                     NULL, 0, &rows, &err));
    for (size_t i = 0; i < rows.row_count; i++) {
        const char *name = sql_identifier(arena, rows_get(&rows, i, 0));
        struct rows ended;
        MUST(!conn_query(
            conn, arena,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1",
            (const char *[]){rows_get(&rows, i, 0)}, 1, &ended, &err));
        struct error ignored = ERROR_INIT;
        (void)!conn_execf(conn, &ignored, "ALTER DATABASE %s IS_TEMPLATE false", name);
        MUST(!conn_execf(conn, &err, "DROP DATABASE %s", name));
    }
}

static struct control *begin(const char *target, const char *run_id)
{
    struct error err = ERROR_INIT;
    static struct arena arena;
    struct control *control = NULL;
    struct fence fence;
    bool is_held = false;
    const char *holder;
    struct control_options options = {.control_database = CONTROL,
                                      .target = target,
                                      .run_id = run_id,
                                      .state_ref = "ref",
                                      .silent_holder_s = 60,
                                      .may_create = true};
    MUST(!control_open(&options, &control, &err));
    MUST(!control_lock(control, &arena, &is_held, &holder, &err) && is_held);
    MUST(!control_fence_take(control, &arena, NULL, &fence, &err));
    return control;
}

static void make_live(struct arena *arena, const char *name)
{
    const char *n = sql_identifier(arena, name);
    super("postgres",
          arena_printf(arena, "CREATE DATABASE %s OWNER app_owner TEMPLATE template0", n));
    super(name, "CREATE TABLE public.marker(what text); INSERT INTO public.marker VALUES ('old'); "
                "GRANT SELECT ON "
                "public.marker TO PUBLIC");
}

static void dress_live(struct arena *arena, const char *name)
{
    const char *n = sql_identifier(arena, name);
    super("postgres", arena_printf(arena,
                                   "REVOKE CONNECT ON DATABASE %s FROM PUBLIC; GRANT CONNECT, "
                                   "CREATE ON DATABASE %s TO app_user "
                                   "WITH GRANT OPTION",
                                   n, n));
    super("postgres",
          arena_printf(arena, "ALTER DATABASE %s SET search_path TO 'a', 'B c', '$user'", n));
    super("postgres",
          arena_printf(arena, "ALTER DATABASE %s SET default_transaction_read_only = off", n));
    super("postgres", arena_printf(arena, "ALTER DATABASE %s SET work_mem = '13MB'", n));
    super(
        "postgres",
        arena_printf(arena, "ALTER ROLE app_user IN DATABASE %s SET statement_timeout = '7s'", n));
    super("postgres", arena_printf(arena, "ALTER DATABASE %s CONNECTION LIMIT 77", n));
    super("postgres", arena_printf(arena, "COMMENT ON DATABASE %s IS 'it''s\nthe \\ shop'", n));
}

static const char properties[] =
    "SELECT concat_ws(' | ', pg_get_userbyid(datdba), (SELECT array_agg(a::text ORDER BY a::text) "
    "FROM unnest(datacl) a),"
    " datconnlimit, datallowconn, datistemplate, pg_encoding_to_char(encoding), datcollate, "
    "datctype,"
    " (SELECT array_agg(setrole::regrole::text || ' ' || setconfig::text ORDER BY setrole) FROM "
    "pg_db_role_setting s WHERE setdatabase = d.oid))"
    " FROM pg_database d WHERE datname = $1";

struct prepared {
    struct database_info live;
    bool has_live;
    const char *staging;
    uint32_t staging_oid;
    struct carry_over carry_over;
};

static void plan(struct control *control, struct arena *arena, struct prepared *p,
                 const char *becomes_live)
{
    struct error err = ERROR_INIT;
    struct findings findings = {.arena = arena};
    struct carry_over rehearsal;
    if (!p->has_live)
        return;
    MUST(!database_carry_over_plan(control, arena, &p->live, becomes_live, &rehearsal, &err));
    MUST(!database_carry_over_rehearse(control, &rehearsal, false, &findings, &err));
    for (size_t i = 0; i < findings.count; i++)
        printf("  finding: %s\n", findings.items[i]);
    MUST(findings.count == 0);
    MUST(!database_carry_over_plan(control, arena, &p->live, control->options.target,
                                   &p->carry_over, &err));
    MUST(!carry_over_leave_out(&p->carry_over, &rehearsal, &err));
}

static struct prepared stage(struct control *control, struct arena *arena)
{
    struct error err = ERROR_INIT;
    struct prepared p = {0};
    struct findings findings = {.arena = arena};
    MUST(!control_fence_set_phase(control, "staging", "2024-12-10T00:00:00Z", "q", &err));
    MUST(!database_find(control, arena, control->options.target, &p.live, &p.has_live, &err));
    MUST(!database_preflight(control, p.has_live ? &p.live : NULL, 4, &findings, &err));
    for (size_t i = 0; i < findings.count; i++)
        printf("  preflight: %s\n", findings.items[i]);
    MUST(findings.count == 0);
    MUST(!database_create_staging(control, arena, p.has_live ? &p.live : NULL, NULL, &p.staging,
                                  &p.staging_oid, &err));
    CONN_GUARD struct conn *conn = NULL;
    MUST(!conn_open(&(struct conn_options){.database = p.staging}, &conn, &err));
    /* where 14's schema public belongs to the superuser, a restore has rights on it by the owner's
     * membership only */
    MUST(!conn_exec(conn,
                    "CREATE SCHEMA IF NOT EXISTS data; CREATE TABLE data.marker(what text); INSERT "
                    "INTO data.marker "
                    "VALUES ('new'); GRANT USAGE ON SCHEMA data TO PUBLIC; GRANT SELECT ON "
                    "data.marker TO PUBLIC",
                    &err));
    plan(control, arena, &p, p.staging);
    MUST(!database_verify_catalog(p.staging, &(struct conn_options){0}, 0, &findings, &err) &&
         findings.count == 0);
    return p;
}

static enum errc swap(struct control *control, struct arena *arena, const struct prepared *p,
                      enum swap_kind kind, struct swap_result *result, struct error *err)
{
    struct swap s = {
        .kind = kind,
        .live = p->has_live ? &p->live : NULL,
        .staging_name = p->staging,
        .staging_oid = p->staging_oid,
        .carry_over = &p->carry_over,
        .desired = "2024-12-10T00:00:00Z",
        .request = "q",
        .held_desired = kind == SWAP_ROLLBACK ? "2024-12-10T00:00:00Z" : "",
        .held_request = "",
        .backup = kind == SWAP_RESTORE ? "s3://b/it's %s\n.dump" : "",
        .checksum = "",
        .keep_previous_s = 3600,
        .never_expires = false,
        .started_at = "2024-12-10T00:00:00Z",
    };
    return database_swap(control, arena, &s, result, err);
}

/* --- clients that are busy and reconnect -------------------------------------------------------
 */

enum { CLIENTS = 20 };
static atomic_bool stop_clients;
static atomic_uint queries, breaks, new_seen;
static const char *client_database;

static void *client(void *argument)
{
    (void)argument;
    while (!stop_clients) {
        struct error err = ERROR_INIT;
        struct conn *conn = NULL;
        if (conn_open(&(struct conn_options){.database = client_database,
                                             .conninfo = "user=app_user",
                                             .application_name = "busy"},
                      &conn, &err)) {
            breaks++;
            continue;
        }
        while (!stop_clients) {
            ARENA_GUARD struct arena arena = {0};
            struct rows rows;
            if (conn_query(
                    conn, &arena,
                    "SELECT to_regclass('data.marker') IS NOT NULL, pg_sleep(random() * 0.02)",
                    NULL, 0, &rows, &err))
                break;
            queries++;
            new_seen += *rows_get(&rows, 0, 0) == 't';
        }
        breaks += err.code != RR_OK;
        conn_close(conn);
    }
    return NULL;
}

static pthread_t threads[CLIENTS];

static void start_clients(const char *database)
{
    client_database = database;
    stop_clients = false;
    queries = breaks = new_seen = 0;
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, client, NULL);
    usleep(1500 * 1000);
}

static void end_clients(void)
{
    usleep(1000 * 1000);
    stop_clients = true;
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
}

/* --- trials ------------------------------------------------------------------------------------
 */

static void try_round_trip(const char *name, bool is_busy)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    drop_all(&arena);
    make_live(&arena, name);
    dress_live(&arena, name);
    const char *before = ask(&arena, "postgres", properties, name);
    struct control *control = begin(name, "run1");
    enum database_content content;
    const char *why;
    struct history_row row;
    bool is_found;
    MUST(!database_look_inside(control, &arena, name, &content, &why, &err) &&
         content == DATABASE_HOLDS_TABLES);
    struct prepared p = stage(control, &arena);
    printf("  %s: %zu statements carried over, like %s\n", p.staging, p.carry_over.count,
           p.carry_over.statements[5]);
    if (is_busy)
        start_clients(name);
    struct swap_result result;
    MUST(!swap(control, &arena, &p, SWAP_RESTORE, &result, &err));
    printf("  swapped in %d ms, %u tries, %u sessions ended\n", (int)result.locked_ms, result.tries,
           result.ended_sessions);
    if (is_busy) {
        end_clients();
        printf("  clients: %u queries, %u on the new database, %u breaks\n", queries, new_seen,
               breaks);
        MUST(new_seen > 20 && result.locked_ms < 3000);
    }
    MUST(!database_look(control, "run1", p.staging_oid, &err));
    MUST(database_look(control, "run2", p.staging_oid, &err) == ERR_DATABASE_CHANGED);
    error_clear(&err);
    const char *after = ask(&arena, "postgres", properties, name);
    printf("  before %s\n  after  %s\n", before, after);
    MUST(!strcmp(before, after));
    printf("  comment: %s\n",
           ask(&arena, "postgres",
               "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1",
               name));
    printf("  comment: %s\n",
           ask(&arena, "postgres",
               "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1",
               result.previous_name));
    MUST(*ask(&arena, "postgres", "SELECT datallowconn FROM pg_database WHERE datname = $1",
              result.previous_name) == 'f');
    MUST(!database_look_inside(control, &arena, result.previous_name, &content, &why, &err) &&
         content == DATABASE_UNKNOWN);
    printf("  previous: %s\n", why);
    MUST(!control_history_newest(control, &arena, &row, &is_found, &err) && is_found &&
         row.new_oid == p.staging_oid && row.old_oid == p.live.oid && !strcmp(row.run_id, "run1") &&
         !strcmp(row.kind, "restore") && !strcmp(row.request, "q"));
    struct registry_row *rows;
    size_t count;
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
    MUST(rows[0].oid == p.live.oid && rows[0].exists && !strcmp(rows[0].state, "kept") &&
         *rows[0].expires_at && !rows[0].is_due);
    MUST(!strcmp(
        ask(&arena, CONTROL, "SELECT made_by_us::text FROM restore_reconciler.database", NULL),
        "false"));

    /* the live database gets other properties, then it is rolled back by the same run (a smoke
     * check failed) */
    super("postgres",
          arena_printf(&arena, "ALTER DATABASE %s RESET work_mem", sql_identifier(&arena, name)));
    super("postgres", arena_printf(&arena, "REVOKE ALL ON DATABASE %s FROM app_user",
                                   sql_identifier(&arena, name)));
    before = ask(&arena, "postgres", properties, name);
    struct prepared back = {.staging = rows[0].name, .staging_oid = rows[0].oid};
    MUST(!database_find(control, &arena, name, &back.live, &back.has_live, &err));
    plan(control, &arena, &back, back.staging);
    MUST(!swap(control, &arena, &back, SWAP_ROLLBACK, &result, &err));
    after = ask(&arena, "postgres", properties, name);
    printf("  rolled back in %d ms\n  before %s\n  after  %s\n", (int)result.locked_ms, before,
           after);
    MUST(!strcmp(before, after));
    MUST(!strcmp(ask(&arena, name, "SELECT what FROM public.marker", NULL), "old"));
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
    MUST(rows[0].oid == p.staging_oid && !strcmp(rows[0].desired, "2024-12-10T00:00:00Z") &&
         !strcmp(rows[0].request, "q"));
    MUST(!strcmp(
        ask(&arena, CONTROL, "SELECT made_by_us::text FROM restore_reconciler.database", NULL),
        "true"));
    MUST(!control_history_of_run(control, &arena, "run1", &row, &is_found, &err) && is_found &&
         !strcmp(row.kind, "rollback"));
    /* rolled back once more: not twice from the same row */
    MUST(swap(control, &arena, &back, SWAP_ROLLBACK, &result, &err) == ERR_DATABASE_CHANGED);
    printf("  again: %s\n", err.text);
    error_clear(&err);
    MUST(!control_drop(control, &rows[0], &err));
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 0);
    control_close(control);
}

/* Two live databases with the same first 40 bytes do not get into each other's way. */
static void try_long_names(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    char one[64], two[64];
    memset(one, 'n', 63);
    one[63] = '\0';
    memcpy(two, one, 64);
    two[62] = 'm';
    drop_all(&arena);
    make_live(&arena, one);
    make_live(&arena, two);
    struct control *a = begin(one, "run1"), *b = begin(two, "run1");
    struct prepared pa = stage(a, &arena), pb = stage(b, &arena);
    struct swap_result ra, rb;
    MUST(!swap(a, &arena, &pa, SWAP_RESTORE, &ra, &err) &&
         !swap(b, &arena, &pb, SWAP_RESTORE, &rb, &err));
    MUST(strcmp(ra.previous_name, rb.previous_name) != 0);
    struct registry_row *rows;
    size_t count;
    const char **names;
    MUST(!control_registry_strangers(a, &arena, &names, &count, &err) && count == 0);
    MUST(!control_registry_list(a, &arena, &rows, &count, &err) && count == 1 &&
         rows[0].oid == pa.live.oid);
    MUST(!control_drop(a, &rows[0], &err));
    MUST(ask(&arena, "postgres", "SELECT 1::text FROM pg_database WHERE datname = $1",
             rb.previous_name));
    control_close(a);
    control_close(b);
}

static void try_absent(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    drop_all(&arena);
    struct control *control = begin("absent", "run1");
    struct prepared p = stage(control, &arena);
    struct swap_result result;
    MUST(!p.has_live && !swap(control, &arena, &p, SWAP_RESTORE, &result, &err) &&
         !result.previous_name);
    printf("  %s\n", ask(&arena, "postgres", properties, "absent"));
    conn_close(open_as("app_user", "absent"));
    MUST(!database_look(control, "run1", p.staging_oid, &err));
    control_close(control);
}

static void try_refusals(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct swap_result result;
    drop_all(&arena);
    make_live(&arena, "app");
    struct control *control = begin("app", "run1");
    struct prepared p = stage(control, &arena);
    const char *names = "SELECT string_agg(datname || oid, ',' ORDER BY oid) FROM pg_database";
    const char *before = ask(&arena, "postgres", names, NULL);

    super(CONTROL, "UPDATE restore_reconciler.fence SET token = token + 1");
    MUST(swap(control, &arena, &p, SWAP_RESTORE, &result, &err) == ERR_FENCE_LOST);
    printf("  %s | %s\n", err.text, err.hint);
    error_clear(&err);
    super(CONTROL, "UPDATE restore_reconciler.fence SET token = token - 1");

    struct prepared wrong = p;
    wrong.staging_oid++;
    MUST(swap(control, &arena, &wrong, SWAP_RESTORE, &result, &err) == ERR_DATABASE_CHANGED);
    printf("  %s | %s\n", err.text, err.hint);
    error_clear(&err);
    wrong = p;
    wrong.live.oid++;
    MUST(swap(control, &arena, &wrong, SWAP_RESTORE, &result, &err) == ERR_DATABASE_CHANGED);
    error_clear(&err);
    MUST(swap(control, &arena, &p, SWAP_ROLLBACK, &result, &err) == ERR_DATABASE_CHANGED);
    error_clear(&err);
    super("postgres", "ALTER DATABASE app RENAME TO app2");
    MUST(swap(control, &arena, &p, SWAP_RESTORE, &result, &err) == ERR_DATABASE_CHANGED);
    printf("  %s | %s\n", err.text, err.hint);
    error_clear(&err);
    super("postgres", "ALTER DATABASE app2 RENAME TO app");
    super("postgres",
          arena_printf(&arena, "UPDATE pg_database SET datconnlimit = -2 WHERE oid = %u",
                       p.staging_oid));
    MUST(swap(control, &arena, &p, SWAP_RESTORE, &result, &err) == ERR_DATABASE_CHANGED);
    error_clear(&err);
    super("postgres",
          arena_printf(&arena, "UPDATE pg_database SET datconnlimit = -1 WHERE oid = %u",
                       p.staging_oid));

    if (!is_superuser) { /* a session that our role may not end */
        CONN_GUARD struct conn *monitoring = open_as("postgres", "app");
        struct findings findings = {.arena = &arena};
        MUST(!database_preflight(control, &p.live, 4, &findings, &err) && findings.count == 1);
        printf("  preflight: %s\n", findings.items[0]);
        uint64_t start = now();
        MUST(swap(control, &arena, &p, SWAP_RESTORE, &result, &err) == ERR_SWAP);
        printf("  after %d ms: %s | %s\n", (int)(now() - start), err.text, err.hint);
        error_clear(&err);
    }
    { /* somebody's open ALTER on the database: the name is locked, from another database */
        CONN_GUARD struct conn *admin = open_as("postgres", "postgres");
        MUST(!conn_exec(admin, "BEGIN; COMMENT ON DATABASE app IS 'x'", &err));
        MUST(swap(control, &arena, &p, SWAP_RESTORE, &result, &err) == ERR_SWAP);
        printf("  %s | %s\n", err.text, err.hint);
        error_clear(&err);
    }
    MUST(!strcmp(before, ask(&arena, "postgres", names, NULL)));
    MUST(!control_check(control, &err)); /* the lock is still there */
    MUST(!swap(control, &arena, &p, SWAP_RESTORE, &result, &err) && result.tries == 1);
    control_close(control);
}

/* --- a connection that is cut ------------------------------------------------------------------
 */

/* Forwards one connection after the other to the server, until it sees COMMIT go by: then it cuts,
 * before or after it has passed that on. */
static int proxy_socket;
static atomic_int cut_mode; /* 0 never, 1 before, 2 after */

struct pair {
    int client, server;
};

static bool pump(int from, int to, bool is_from_client)
{
    char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    if (n <= 0)
        return false;
    bool is_commit =
        is_from_client && cut_mode && memmem(bytes, (size_t)n, "SET phase = 'swapped'", 21);
    if (is_commit && cut_mode == 1)
        return false;
    for (ssize_t sent = 0, k; sent < n; sent += k)
        if ((k = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) <= 0)
            return false;
    return !is_commit;
}

static void *forward(void *argument)
{
    struct pair *p = argument;
    for (bool goes_on = true; goes_on;) {
        struct pollfd fds[] = {{.fd = p->client, .events = POLLIN},
                               {.fd = p->server, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[0].revents)
            goes_on = pump(p->client, p->server, true);
        if (goes_on && fds[1].revents)
            goes_on = pump(p->server, p->client, false);
    }
    close(p->client);
    close(p->server);
    free(p);
    return NULL;
}

static int server_port;

static void *accept_all(void *argument)
{
    (void)argument;
    for (;;) {
        struct pair *p = malloc(sizeof *p);
        pthread_t thread;
        p->client = accept(proxy_socket, NULL, NULL);
        if (p->client < 0)
            exit(3);
        p->server = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)server_port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        if (connect(p->server, (struct sockaddr *)&address, sizeof address))
            exit(3);
        pthread_create(&thread, NULL, forward, p);
        pthread_detach(thread);
    }
}

static int start_proxy(void)
{
    pthread_t thread;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server_port = atoi(getenv("PGPORT"));
    proxy_socket = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(proxy_socket, (struct sockaddr *)&address, sizeof address) ||
        listen(proxy_socket, 50) || getsockname(proxy_socket, (struct sockaddr *)&address, &size))
        exit(3);
    pthread_create(&thread, NULL, accept_all, NULL);
    pthread_detach(thread);
    return ntohs(address.sin_port);
}

static void try_cut(int mode)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct swap_result result;
    drop_all(&arena);
    make_live(&arena, "app");
    static int port;
    if (!port)
        port = start_proxy();
    ARENA_GUARD struct arena saved = {0};
    const char *host = arena_strdup(&saved, getenv("PGHOST")),
               *real = arena_strdup(&saved, getenv("PGPORT"));
    setenv("PGHOST", "127.0.0.1", 1);
    setenv("PGPORT", arena_printf(&saved, "%d", port), 1);
    struct control *control = begin("app", "run1");
    setenv("PGHOST", host, 1);
    setenv("PGPORT", real, 1);
    struct prepared p = stage(control, &arena);
    cut_mode = mode;
    enum errc rc = swap(control, &arena, &p, SWAP_RESTORE, &result, &err);
    cut_mode = 0;
    printf("  cut %s the server: %s %s\n", mode == 1 ? "before" : "after", errc_name(rc), err.text);
    MUST(rc == ERR_DATABASE_LOST);
    error_clear(&err);
    MUST(control_check(control, &err) == ERR_FENCE_LOST);
    error_clear(&err);
    control_close(control);
    /* settled by the next session: lock, fence, history */
    control = begin("app", "run2");
    struct history_row row;
    bool is_found;
    MUST(!control_history_of_run(control, &arena, "run1", &row, &is_found, &err));
    MUST(is_found == (mode == 2));
    struct registry_row *rows;
    size_t count;
    MUST(!control_registry_list(control, &arena, &rows, &count, &err) && count == 1);
    MUST(!strcmp(rows[0].kind, mode == 2 ? "previous" : "staging") && rows[0].exists);
    MUST(!control_drop(control, &rows[0], &err));
    control_close(control);
}

/* COMMIT waits for a standby that is not there. */
static void try_sync_standby(void)
{
    struct error err = ERROR_INIT;
    ARENA_GUARD struct arena arena = {0};
    struct swap_result result;
    drop_all(&arena);
    make_live(&arena, "app");
    struct control *control = begin("app", "run1");
    struct prepared p = stage(control, &arena);
    super("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    super("postgres", "SET synchronous_commit = off; SELECT pg_reload_conf(), pg_sleep(1)");
    enum errc rc = swap(control, &arena, &p, SWAP_RESTORE, &result, &err);
    printf("  after %d ms: %s %s\n", (int)result.locked_ms, errc_name(rc), err.text);
    super("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    super("postgres", "SET synchronous_commit = off; SELECT pg_reload_conf(), pg_sleep(1)");
    MUST(!rc);
    MUST(!database_look(control, "run1", p.staging_oid, &err));
    control_close(control);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    is_superuser = !strcmp(getenv("PGUSER"), "postgres");
    puts("round trip");
    try_round_trip("shop", false);
    puts("odd names");
    try_round_trip("it's \"100%s\"\n\\ $$ -- /*", false);
    puts("busy clients");
    for (int i = 0; i < 3; i++)
        try_round_trip("busy", true);
    puts("long names");
    try_long_names();
    puts("absent");
    try_absent();
    puts("refusals");
    try_refusals();
    puts("cut connections");
    try_cut(1);
    try_cut(2);
    if (argc > 1 && !strcmp(argv[1], "slow")) {
        puts("synchronous standby");
        try_sync_standby();
    }
    ARENA_GUARD struct arena arena = {0};
    drop_all(&arena);
    puts("all fine");
    return 0;
}
