/*
 * Connecting. libpq resolves names while it connects, and moves on to the next address of a list
 * only in its blocking calls; so a connection is made by an errand (a thread of its own) with
 * libpq's own rules, while the caller waits with the cancel flag in sight. First the steps of
 * PQconnectPoll, up to the time limit; if that passes on an address that does not answer, PQreset,
 * which goes through every address with a limit each.
 *
 * SQLSTATE: libpq does not hand it out when connecting fails. With verbosity set before the server
 * can answer, the message text carries it ("FATAL:  28P01: ..."), whatever language the server
 * speaks.
 */
#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else /* where Debian keeps it */
#include <postgresql/libpq-fe.h>
#endif

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/pg/conn_internal.h"
#include "lib/pg/errand.h"

enum { CONNECT_TIMEOUT_S = 15, MAX_PARAMETERS = 96, MESSAGE_BYTES = 600, OPTIONS_BYTES = 65536 };

/* One attempt: keyword and value copies, each list ended by NULL (values may be secret and are
 * wiped), and what came of it. */
struct attempt {
    char *keywords[MAX_PARAMETERS + 1];
    char *values[MAX_PARAMETERS + 1];
    size_t count;
    uint64_t timeout_ms;
    PGconn *pg;
};

static void release_attempt(void *work)
{
    struct attempt *a = work;
    if (!a)
        return;
    PQfinish(a->pg);
    for (size_t i = 0; i < a->count; i++) {
        explicit_bzero(a->values[i], strlen(a->values[i]));
        free(a->keywords[i]);
        free(a->values[i]);
    }
    free(a);
}

static void attempt_guard(struct attempt **attempt)
{
    release_attempt(*attempt);
}

static const char *get(const struct attempt *a, const char *keyword)
{
    for (size_t i = a->count; i-- > 0;)
        if (strcmp(a->keywords[i], keyword) == 0)
            return a->values[i];
    return NULL;
}

/* The last value of a keyword counts. */
static void add(struct attempt *a, const char *keyword, const char *value)
{
    if (a->count == MAX_PARAMETERS)
        return;
    a->keywords[a->count] = mem_strdup(keyword);
    a->values[a->count++] = mem_strdup(value);
}

/* The user's value of a parameter: from the connection string, else from the environment or a
 * service file;
 * "" if there is none. Not for secrets. */
static void find_theirs(const struct attempt *a, const char *keyword, struct str *ret_value)
{
    const char *given = get(a, keyword);
    if (given) {
        str_append(ret_value, given);
        return;
    }
    PQconninfoOption *defaults = PQconndefaults();
    for (PQconninfoOption *o = defaults; o && o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val)
            str_append(ret_value, o->val);
    PQconninfoFree(defaults);
}

/* A password with '@', '/' or ':' that was not percent-encoded shifts the parts of a URI, and then
 * a piece of it becomes "host" or "port", which error texts show. */
static bool looks_shifted(const struct attempt *a, const char *conninfo)
{
    const char *host = get(a, "host"), *port = get(a, "port"), *database = get(a, "dbname");
    bool is_uri = strstr(conninfo, "://") != NULL;
    return (host && strchr(host, '@')) || (port && port[strspn(port, "0123456789,")] != '\0') ||
           (is_uri && database && strchr(database, '@'));
}

static enum errc refuse_conninfo(const char *why, struct error *err)
{
    error_set(err, ERR_CONFIG, "DATABASE_URL is no valid connection string: %s", why);
    return error_hint(err,
                      "write postgresql://USER:PASSWORD@HOST:PORT/DATABASE with special characters "
                      "of the password as %%XX, or use PGHOST, PGUSER and PGPASSWORD instead");
}

/* libpq's own text is not shown: it quotes the piece that it could not read, which may be the
 * password. */
static enum errc add_conninfo(struct attempt *a, const char *conninfo, struct error *err)
{
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(conninfo, &message);
    if (!parsed) {
        bool is_percent = message && strstr(message, "percent-encoded");
        bool is_option = message && text_has_prefix(message, "invalid URI query parameter");
        PQfreemem(message);
        return refuse_conninfo(is_percent  ? "a percent sign is not followed by two digits"
                               : is_option ? "it has a parameter that libpq does not know"
                                           : "libpq cannot read it",
                               err);
    }
    for (PQconninfoOption *o = parsed; o->keyword; o++)
        if (o->val)
            add(a, o->keyword, o->val);
    PQconninfoFree(parsed);
    if (looks_shifted(a, conninfo))
        return refuse_conninfo("host and port cannot be told from the password", err);
    return RR_OK;
}

/* Ours come after the user's: the server takes the last of two values of one parameter. */
static void add_options(struct attempt *a, const char *options)
{
    STR_GUARD struct str all = STR_INIT(OPTIONS_BYTES);
    find_theirs(a, "options", &all);
    if (all.length)
        str_append_char(&all, ' ');
    str_append(&all, options);
    add(a, "options", str_text(&all));
}

static void add_timeout(struct attempt *a, uint64_t asked_s)
{
    uint64_t seconds = asked_s;
    if (seconds == 0) {
        STR_GUARD struct str theirs = STR_INIT(64);
        find_theirs(a, "connect_timeout", &theirs);
        if (!text_to_u64(str_text(&theirs), 3600, &seconds) || seconds == 0)
            seconds = CONNECT_TIMEOUT_S;
    }
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)seconds);
    add(a, "connect_timeout", text);
    a->timeout_ms = seconds * 1000;
}

/* A peer that is gone without a word is noticed within 30 seconds, idle or not. */
static void add_keepalives(struct attempt *a)
{
    add(a, "keepalives", "1");
    add(a, "keepalives_idle", "10");
    add(a, "keepalives_interval", "5");
    add(a, "keepalives_count", "4");
    add(a, "tcp_user_timeout", "30000");
}

static enum errc collect_parameters(struct attempt *a, const struct conn_options *options,
                                    struct error *err)
{
    const char *conninfo = options->conninfo ? options->conninfo : getenv("DATABASE_URL");
    if (conninfo && *conninfo) {
        enum errc rc = add_conninfo(a, conninfo, err);
        if (rc)
            return rc;
    }
    if (options->database)
        add(a, "dbname", options->database);
    add(a, "application_name",
        options->application_name ? options->application_name : "restore-reconciler");
    add(a, "client_encoding", "UTF8");
    add_timeout(a, options->connect_timeout_s);
    add_keepalives(a);
    if (options->options)
        add_options(a, options->options);
    return RR_OK;
}

/* False: the time is over and the connection is still being made. */
static bool poll_to_the_end(struct attempt *a)
{
    const struct clock *clock = clock_system();
    uint64_t end = clock_boottime_ms(clock) + a->timeout_ms;
    for (PostgresPollingStatusType state = PGRES_POLLING_WRITING;; state = PQconnectPoll(a->pg)) {
        if (state == PGRES_POLLING_OK || state == PGRES_POLLING_FAILED)
            return true;
        uint64_t now = clock_boottime_ms(clock);
        struct pollfd fd = {.fd = PQsocket(a->pg),
                            .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        if (now >= end)
            return false;
        if (poll(&fd, 1, (int)(end - now)) == 0)
            return false;
    }
}

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static void run_attempt(void *work)
{
    struct attempt *a = work;
    a->pg =
        PQconnectStartParams((const char *const *)a->keywords, (const char *const *)a->values, 0);
    if (!a->pg)
        mem_die(0);
    PQsetErrorVerbosity(a->pg, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(a->pg, ignore_notice, NULL);
    if (PQstatus(a->pg) != CONNECTION_BAD && !poll_to_the_end(a))
        PQreset(a->pg);
}

/* Finds ":  XXXXX: ", what verbosity puts between the severity and the message. */
static const char *find_sqlstate(const char *line)
{
    for (const char *p = strstr(line, ":  "); p; p = strstr(p + 1, ":  ")) {
        const char *state = p + 3;
        if (strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && state[5] == ':' &&
            state[6] == ' ')
            return state;
    }
    return NULL;
}

/* Makes one line of libpq's message, without the source location and the SQLSTATE, which goes to
 * `ret_sqlstate` ("" if there is none; of several hosts the last one counts). */
static void read_message(const char *message, struct str *ret_text, char ret_sqlstate[6])
{
    STR_GUARD struct str copy = STR_INIT(64 * 1024), clean = STR_INIT(64 * 1024);
    str_append(&copy, message);
    ret_sqlstate[0] = '\0';
    char *rest = copy.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        line += strspn(line, " \t");
        if (*line == '\0' || text_has_prefix(line, "LOCATION:"))
            continue;
        if (clean.length)
            str_append(&clean, "; ");
        const char *state = find_sqlstate(line);
        if (state) {
            memcpy(ret_sqlstate, state, 5);
            ret_sqlstate[5] = '\0';
            str_append_bytes(&clean, line, (size_t)(state - line));
            line += (state - line) + 7;
        }
        str_append(&clean, line);
    }
    conn_append_message(ret_text, str_text(&clean), MESSAGE_BYTES);
}

static bool has_any(const char *text, const char *const words[])
{
    for (; *words; words++)
        if (strstr(text, *words))
            return true;
    return false;
}

/* What a failure means that the server did not give a SQLSTATE for; libpq's texts are never
 * translated here. */
static enum errc classify_by_text(const char *text)
{
    static const char *const passing[] = {"SSL SYSCALL", "closed unexpectedly",
                                          "closed the connection", "SSL negotiation packet", NULL};
    static const char *const login[] = {"no password supplied", "authentication", "SCRAM", NULL};
    static const char *const tls[] = {"certificate", "SSL error", "support SSL", "SSL SNI", NULL};
    static const char *const reached[] = {"connection to server", "could not translate host name",
                                          "could not parse network address", "timeout expired",
                                          NULL};
    if (has_any(text, passing))
        return ERR_DATABASE_UNREACHABLE;
    if (has_any(text, login))
        return ERR_DATABASE_LOGIN;
    if (has_any(text, tls))
        return ERR_TLS;
    return has_any(text, reached) || *text == '\0' ? ERR_DATABASE_UNREACHABLE : ERR_CONFIG;
}

static enum errc classify(const char *sqlstate, const char *text)
{
    if (*sqlstate == '\0')
        return classify_by_text(text);
    if (text_has_prefix(sqlstate, "28"))
        return ERR_DATABASE_LOGIN;
    bool may_pass = text_has_prefix(sqlstate, "53") || text_has_prefix(sqlstate, "57P") ||
                    text_has_prefix(sqlstate, "08");
    return may_pass ? ERR_DATABASE_UNREACHABLE : ERR_SQL;
}

static void add_hint(struct error *err)
{
    if (err->code == ERR_DATABASE_LOGIN)
        error_hint(err,
                   "check PGUSER and PGPASSWORD (or DATABASE_URL) and the server's pg_hba.conf");
    else if (err->code == ERR_TLS)
        error_hint(err, "check PGSSLMODE and PGSSLROOTCERT against the server's certificate");
    else if (strcmp(err->sqlstate, "53300") == 0)
        error_hint(err,
                   "the server (or the role, or the database) has no free connection: raise the "
                   "limit or end sessions");
    else if (err->code == ERR_DATABASE_UNREACHABLE)
        error_hint(err, "check PGHOST and PGPORT (or DATABASE_URL), that the server runs, and that "
                        "the network lets this program reach it");
}

static enum errc attempt_error(const struct attempt *a, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(2 * ERROR_TEXT_SIZE), names = STR_INIT(ERROR_TEXT_SIZE);
    char sqlstate[6];
    read_message(PQerrorMessage(a->pg), &text, sqlstate);
    const char *database = PQdb(a->pg), *user = PQuser(a->pg);
    str_append(&names, database ? " to database " : " to the database server");
    if (database)
        str_append_quoted(&names, database, LIMIT_DATABASE_NAME_BYTES);
    if (user) {
        str_append(&names, " as ");
        str_append_quoted(&names, user, LIMIT_DATABASE_NAME_BYTES);
    }
    enum errc code = classify(sqlstate, str_text(&text));
    error_set(err, code, "cannot connect%s: %s", str_text(&names),
              text.length ? str_text(&text) : "timeout expired");
    memcpy(err->sqlstate, sqlstate, sizeof sqlstate);
    add_hint(err);
    return code;
}

enum errc conn_connect(const struct conn_options *options, PGconn **ret_pg, struct error *err)
{
    __attribute__((cleanup(attempt_guard))) struct attempt *a = mem_alloc(sizeof *a);
    enum errc rc = cancel_check(options->cancel, err);
    if (rc || (rc = collect_parameters(a, options, err)))
        return rc;
    struct errand *errand = errand_start(run_attempt, release_attempt, a);
    if (!errand)
        run_attempt(a); /* no thread to be had: then without the cancel flag */
    while (errand && !errand_wait(errand, CANCEL_POLL_MS)) {
        if (!cancel_is_requested(options->cancel))
            continue;
        a = errand_end(errand);
        return cancel_check(options->cancel, err);
    }
    if (errand)
        a = errand_end(errand);
    if (PQstatus(a->pg) != CONNECTION_OK)
        return attempt_error(a, err);
    *ret_pg = a->pg;
    a->pg = NULL;
    return RR_OK;
}
