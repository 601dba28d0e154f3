#include "lib/backup/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

/* RR_OK with *ret_has_any false: this link has nothing to say. */
struct link {
    const char *name;
    enum errc (*load)(struct credentials *credentials, bool *ret_has_any, struct error *err);
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* Secrets made with `echo` end in a line break, which no header can carry. */
static enum errc check_value(const char *name, const char *value, struct error *err)
{
    for (const char *p = value; p && *p; p++) {
        if ((unsigned char)*p > ' ' && (unsigned char)*p < 0x7f)
            continue;
        error_set(err, ERR_CREDENTIALS,
                  "%s holds a blank, a line break or another character that no key has", name);
        return error_hint(err,
                          "write the value without a line break at its end (printf or echo -n)");
    }
    return RR_OK;
}

static enum errc load_environment(struct credentials *credentials, bool *ret_has_any,
                                  struct error *err)
{
    const char *id = variable("AWS_ACCESS_KEY_ID"), *secret = variable("AWS_SECRET_ACCESS_KEY");
    const char *token = variable("AWS_SESSION_TOKEN");
    if (!id && !secret)
        return RR_OK;
    if (!id || !secret) {
        error_set(err, ERR_CREDENTIALS, "%s is set, but %s is not",
                  id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                  id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
        return error_hint(err, "set both, for example from one Secret");
    }
    if (check_value("AWS_ACCESS_KEY_ID", id, err) ||
        check_value("AWS_SECRET_ACCESS_KEY", secret, err) ||
        check_value("AWS_SESSION_TOKEN", token, err))
        return err->code;
    credentials->access_key_id = mem_strdup(id);
    secret_set(&credentials->secret_access_key, secret, strlen(secret));
    if (token)
        secret_set(&credentials->session_token, token, strlen(token));
    *ret_has_any = true;
    return RR_OK;
}

static const struct link chain[] = {
    {"the environment", load_environment},
};

enum errc credentials_load(struct credentials *ret_credentials, struct error *err)
{
    for (size_t i = 0; i < sizeof chain / sizeof *chain; i++) {
        struct credentials credentials = {.origin = chain[i].name};
        bool has_any = false;
        if (chain[i].load(&credentials, &has_any, err))
            return err->code;
        if (has_any) {
            *ret_credentials = credentials;
            return RR_OK;
        }
    }
    error_set(err, ERR_CREDENTIALS, "there are no credentials for the object store");
    return error_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
}

void credentials_release(struct credentials *credentials)
{
    if (!credentials)
        return;
    free(credentials->access_key_id);
    credentials->access_key_id = NULL;
    secret_release(&credentials->secret_access_key);
    secret_release(&credentials->session_token);
}
