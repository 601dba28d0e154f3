#include "lib/pg/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "lib/pg/control_internal.h"

/* Whose lock `for_pid` waits for is asked less often: the question takes locks of its own. */
enum { BLOCKERS_EVERY = 20 };

static const char find_sessions[] =
    "SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, '')"
    " FROM pg_catalog.pg_stat_activity a WHERE a.datname::text IN ($1, $2) AND a.pid <> "
    "pg_catalog.pg_backend_pid()"
    " AND ($3::int = 0 OR EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.pid = $3::int"
    "  AND l.locktype = 'object' AND l.classid = 1262 AND l.mode = 'AccessExclusiveLock'))";

static const char find_blockers[] =
    "SELECT b, coalesce(a.usename, ''), coalesce(a.application_name, '')"
    " FROM unnest(pg_catalog.pg_blocking_pids($1::int)) b LEFT JOIN pg_catalog.pg_stat_activity a "
    "ON a.pid = b";

static bool contains(const int *pids, size_t count, int pid)
{
    for (size_t i = 0; i < count; i++)
        if (pids[i] == pid)
            return true;
    return false;
}

/* Adds a session once, to `pids` and to the text. */
static void note(struct sessions *s, const struct rows *rows, size_t row, int *pids, size_t *count,
                 const char *why)
{
    int pid = (int)control_to_int(rows_get(rows, row, 0));
    if (*count == SESSIONS_MAX_REFUSED || contains(pids, *count, pid))
        return;
    pids[(*count)++] = pid;
    if (s->in_the_way.length)
        str_append(&s->in_the_way, ", ");
    str_printf(&s->in_the_way, "pid %d of role ", pid);
    str_append_quoted(&s->in_the_way, rows_get(rows, row, 1), 63);
    if (*rows_get(rows, row, 2)) {
        str_append(&s->in_the_way, " ");
        str_append_quoted(&s->in_the_way, rows_get(rows, row, 2), 63);
    }
    str_printf(&s->in_the_way, " (%s)", why);
}

/* Ends one session; one that is gone already is fine. */
static void end_session(struct sessions *s, const struct rows *rows, size_t row)
{
    ARENA_GUARD struct arena arena = {0};
    struct error error = ERROR_INIT;
    struct rows answer;
    const char *params[] = {rows_get(rows, row, 0)};
    int pid = (int)control_to_int(params[0]);
    enum errc rc = conn_query(s->conn, &arena, "SELECT pg_catalog.pg_terminate_backend($1::int)",
                              params, 1, &answer, &error);
    if (rc == ERR_SQL && strcmp(error.sqlstate, "42501") == 0)
        note(s, rows, row, s->refused, &s->refused_count, "may not be ended by our role");
    else if (!rc && s->ended_count < SESSIONS_MAX_ENDED && !contains(s->ended, s->ended_count, pid))
        s->ended[s->ended_count++] = pid;
}

static void look_for_blockers(struct sessions *s)
{
    ARENA_GUARD struct arena arena = {0};
    struct error ignored = ERROR_INIT;
    struct rows rows;
    const char *params[] = {control_int(&arena, s->for_pid)};
    if (conn_query(s->conn, &arena, find_blockers, params, 1, &rows, &ignored))
        return;
    for (size_t i = 0; i < rows.row_count; i++)
        note(s, &rows, i, s->blockers, &s->blocker_count, "holds a lock on the database");
}

void sessions_end(void *sessions)
{
    struct sessions *s = sessions;
    ARENA_GUARD struct arena arena = {0};
    struct error ignored = ERROR_INIT;
    struct rows rows;
    const char *params[] = {s->databases[0], s->databases[1], control_int(&arena, s->for_pid)};
    if (conn_query(s->conn, &arena, find_sessions, params, 3, &rows, &ignored))
        return;
    for (size_t i = 0; i < rows.row_count; i++)
        end_session(s, &rows, i);
    if (s->for_pid && ++s->passes % BLOCKERS_EVERY == 0)
        look_for_blockers(s);
}

void sessions_clear(struct sessions *s)
{
    str_clear(&s->in_the_way);
    s->refused_count = s->blocker_count = 0;
}

void sessions_release(struct sessions *s)
{
    str_release(&s->in_the_way);
}
