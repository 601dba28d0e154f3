/*
 * credentials - who we are to an object store.
 *
 * Links of a chain are asked in order; the first that has something wins, and a link that has half
 * of what it needs is an error, never passed over. Now there is one link, the environment's static
 * keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN); web identity, container and
 * instance metadata are further rows of the table in credentials.c.
 */
#ifndef RR_BACKUP_CREDENTIALS_H
#define RR_BACKUP_CREDENTIALS_H

#include "lib/base/error.h"
#include "lib/base/secret.h"

struct credentials {
    char *access_key_id; /* owned; no secret: stores name it in their own logs */
    struct secret secret_access_key;
    struct secret session_token; /* unset: none */
    const char *origin;          /* which link it was, for error texts; static */
};

/* ERR_CREDENTIALS when no link has any, or one has half of them. Caller: credentials_release(). */
enum errc credentials_load(struct credentials *ret_credentials, struct error *err) RR_MUST_CHECK;
void credentials_release(struct credentials *credentials); /* NULL and {0} are accepted */
#define CREDENTIALS_GUARD __attribute__((cleanup(credentials_release)))

#endif
