/* Makes the control database where there is none. */
#include <string.h>

#include "lib/pg/control_internal.h"
#include "lib/pg/sql.h"

/* 42P04: it is there; 23505: it came into being while we made it. */
static bool is_there_already(const struct error *err)
{
    return strcmp(err->sqlstate, "42P04") == 0 || strcmp(err->sqlstate, "23505") == 0;
}

/* Any database will do to send CREATE DATABASE from; these are the ones that servers have. */
enum errc control_maintenance_open(const struct control_options *options,
                                   const char *application_name, struct conn **ret_conn,
                                   const char **ret_database, struct error *err)
{
    const char *const databases[] = {"postgres", "template1", options->target};
    struct error first = ERROR_INIT;
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
        struct error own = ERROR_INIT;
        struct conn_options connection = {
            .database = databases[i],
            .application_name = application_name,
            .cancel = options->cancel,
        };
        enum errc rc = conn_open(&connection, ret_conn, &own);
        *ret_database = databases[i];
        if (!rc)
            return RR_OK;
        if (i == 0 || rc != ERR_SQL)
            first = own;
        if (rc != ERR_SQL)
            break;
    }
    *err = first;
    return err->code;
}

/* Always the same encoding and locale, which fit together on every server. */
static enum errc create(struct conn *conn, const char *name, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    const char *identifier = sql_identifier(&arena, name);
    enum errc rc =
        conn_execf(conn, err,
                   "CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' "
                   "LC_CTYPE 'C'%s",
                   identifier, conn_server_version(conn) >= 150000 ? " LOCALE_PROVIDER libc" : "");
    if (rc == ERR_SQL && is_there_already(err)) {
        error_clear(err);
        return RR_OK;
    }
    if (rc == ERR_SQL && strcmp(err->sqlstate, "42501") == 0)
        error_hint(err,
                   "ALTER ROLE %s CREATEDB; or make it for us: CREATE DATABASE %s OWNER %s "
                   "TEMPLATE template0",
                   sql_identifier(&arena, conn_user(conn)), identifier,
                   sql_identifier(&arena, conn_user(conn)));
    if (rc)
        return error_wrap(err, "it cannot be created");
    return conn_execf(conn, err, "REVOKE ALL ON DATABASE %s FROM PUBLIC", identifier);
}

enum errc control_create_database(const struct control_options *options,
                                  const char *application_name, struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    const char *database;
    enum errc rc = control_maintenance_open(options, application_name, &conn, &database, err);
    if (rc || (rc = control_refuse_pooler(conn, err)))
        return rc;
    if (strlen(options->control_database) > 63)
        return error_set(err, ERR_CONFIG, "its name is longer than 63 bytes");
    return create(conn, options->control_database, err);
}
