/*
 * A kubeconfig from any bytes. What is accepted must be fit for use: a server with TLS, a namespace
 * that is a label, a token that a header can carry, PEM without a NUL, certificate and key
 * together.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/kube/kubeconfig.h"
#include "lib/kube/kubeconfig_internal.h"
#include "lib/kube/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void must(bool is_true)
{
    if (!is_true)
        abort();
}

static void check(const struct kubeconfig *config)
{
    const char *token = secret_reveal(&config->token);
    must(server_is_valid(config->server));
    must(config->server[strlen(config->server) - 1] != '/');
    must(!config->namespace_name || is_dns_label(config->namespace_name));
    must(!token || token_is_sendable(token));
    must(strlen(token ? token : "") == config->token.length);
    bool has_certificate = config->client_certificate_pem || config->client_certificate_file;
    bool has_key = secret_reveal(&config->client_key_pem) || config->client_key_file;
    must(has_certificate == has_key);
    must(!config->ca_pem || strstr(config->ca_pem, "-----BEGIN "));
    must(config->origin && !strpbrk(config->origin, "\r\n\t\x1b"));
}

/* With the current context, and with one called "c". */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char *const contexts[] = {NULL, "c"};
    for (size_t i = 0; i < 2; i++) {
        ARENA_GUARD struct arena arena = {0};
        KUBECONFIG_GUARD struct kubeconfig config = {0};
        struct error err = ERROR_INIT;
        if (!kubeconfig_parse(&arena, (const char *)bytes, length, "folder/fuzz", contexts[i],
                              &config, &err))
            check(&config);
        else
            must(err.code == ERR_CONFIG || err.code == ERR_UNSUPPORTED);
    }
    return 0;
}
