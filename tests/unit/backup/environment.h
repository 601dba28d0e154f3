/* The AWS variables of one row of a table: all others are unset. */
#ifndef RR_TESTS_ENVIRONMENT_H
#define RR_TESTS_ENVIRONMENT_H

#include <stdlib.h>

struct variable {
    const char *name, *value;
};

/* `variables` ends with name NULL. */
static inline void set_environment(const struct variable *variables)
{
    static const char *const all[] = {
        "AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
        "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3",   "AWS_ENDPOINT_URL",  "AWS_CA_BUNDLE",
        "SSL_CERT_FILE",      "SSL_CERT_DIR",          "http_proxy",        "https_proxy",
        "all_proxy",          "HTTPS_PROXY",           "ALL_PROXY",         NULL,
    };
    for (const char *const *name = all; *name; name++)
        unsetenv(*name);
    for (; variables && variables->name; variables++)
        setenv(variables->name, variables->value, 1);
}

#endif
