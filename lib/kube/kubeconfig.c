#include "lib/kube/kubeconfig.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/kube/file.h"
#include "lib/kube/kubeconfig_internal.h"

enum { MAX_FILES = 32 }; /* of a list in KUBECONFIG */

static const char service_account_folder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

static const char pod_origin[] = "the pod's service account";

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* ---- files ---- */

/* What the configuration names must be there now: better said here than by TLS later. */
static enum errc check_file(const char *path, const char *what, const char *mark, struct error *err)
{
    SECRET_GUARD struct secret content = {0};
    if (!path)
        return RR_OK;
    if (file_read(path, what, LIMIT_PEM_BYTES, &content, err))
        return err->code == ERR_NOT_FOUND || err->code == ERR_TOO_LARGE
                   ? error_recode(err, ERR_CONFIG)
                   : err->code;
    const char *text = secret_reveal(&content);
    if (!text || !*text || !strstr(text, mark))
        return error_set(err, ERR_CONFIG, "%s '%s' holds no %s", what, path,
                         *mark ? mark : "token");
    return RR_OK;
}

static enum errc check_files(const struct kubeconfig *config, struct error *err)
{
    if (check_file(config->ca_file, "CA file", "-----BEGIN ", err) ||
        check_file(config->token_file, "token file", "", err) ||
        check_file(config->client_certificate_file, "client certificate", "-----BEGIN ", err) ||
        check_file(config->client_key_file, "client key", "-----BEGIN ", err))
        return error_wrap(err, "%s", config->origin);
    return RR_OK;
}

static enum errc read_file(struct arena *arena, const char *path, struct config_file *ret_file,
                           struct error *err)
{
    SECRET_GUARD struct secret content = {0};
    if (file_read(path, "kubeconfig", LIMIT_KUBECONFIG_BYTES, &content, err))
        return err->code;
    const char *bytes = secret_reveal(&content);
    return config_file_parse(arena, bytes ? bytes : "", content.length, arena_strdup(arena, path),
                             ret_file, err);
}

/* ---- places to look ---- */

static enum errc load_named(const struct kubeconfig_options *options, struct arena *arena,
                            const char *path, struct kubeconfig *config, struct error *err)
{
    struct config_file file;
    if (read_file(arena, path, &file, err))
        return err->code == ERR_NOT_FOUND || err->code == ERR_TOO_LARGE
                   ? error_recode(err, ERR_CONFIG)
                   : err->code;
    if (config_files_read(arena, &file, 1, options->context, config, err))
        return err->code;
    return check_files(config, err);
}

/* *ret_count: of the files that say something. */
static enum errc read_list(struct arena *arena, const char *list, struct config_file *files,
                           size_t *ret_count, struct error *err)
{
    size_t count = 0;
    for (const char *at = list; *at; at += *at == ':') {
        size_t length = strcspn(at, ":");
        const char *path = arena_strndup(arena, at, length);
        at += length;
        if (!length)
            continue;
        if (count == MAX_FILES)
            return error_set(err, ERR_CONFIG, "KUBECONFIG names more than %d files", MAX_FILES);
        if (!read_file(arena, path, &files[count], err))
            count += files[count].root != NULL;
        else if (err->code == ERR_NOT_FOUND)
            error_clear(err);
        else
            return err->code == ERR_TOO_LARGE ? error_recode(err, ERR_CONFIG) : err->code;
    }
    *ret_count = count;
    return RR_OK;
}

static enum errc load_list(const struct kubeconfig_options *options, struct arena *arena,
                           bool *ret_is_loaded, struct kubeconfig *config, struct error *err)
{
    struct config_file files[MAX_FILES];
    const char *list = environment("KUBECONFIG");
    size_t count = 0;
    if (!list)
        return RR_OK;
    if (read_list(arena, list, files, &count, err))
        return error_wrap(err, "KUBECONFIG");
    if (!count)
        return RR_OK;
    *ret_is_loaded = true;
    if (config_files_read(arena, files, count, options->context, config, err))
        return error_wrap(err, "KUBECONFIG");
    return check_files(config, err);
}

static enum errc refuse_context(const struct kubeconfig_options *options, struct error *err)
{
    error_set(err, ERR_USAGE, "--context '%.100s' chooses from a kubeconfig, and there is none",
              options->context);
    return error_hint(err, "in a pod leave --context out, or name a file with --kubeconfig");
}

static enum errc load_pod(const struct kubeconfig_options *options, struct arena *arena,
                          bool *ret_is_loaded, struct kubeconfig *config, struct error *err)
{
    const char *host = environment("KUBERNETES_SERVICE_HOST");
    const char *port = environment("KUBERNETES_SERVICE_PORT");
    const char *folder =
        options->service_account_folder ? options->service_account_folder : service_account_folder;
    if (!host || !port)
        return RR_OK;
    *ret_is_loaded = true;
    if (options->context)
        return refuse_context(options, err);
    bool is_ipv6 = strchr(host, ':') && *host != '[';
    config->origin = pod_origin;
    config->server = arena_printf(arena, is_ipv6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
    config->ca_file = arena_printf(arena, "%s/ca.crt", folder);
    config->token_file = arena_printf(arena, "%s/token", folder);
    if (!server_is_valid(config->server) || strchr(port, '/'))
        return error_set(err, ERR_CONFIG,
                         "KUBERNETES_SERVICE_HOST and _PORT in the environment make no address");
    if (check_files(config, err))
        return error_hint(err, "the pod needs the token of a service account: is "
                               "automountServiceAccountToken false?");
    return RR_OK;
}

static enum errc load_home(const struct kubeconfig_options *options, struct arena *arena,
                           bool *ret_is_loaded, struct kubeconfig *config, struct error *err)
{
    struct config_file file;
    const char *home = environment("HOME");
    if (!home)
        return RR_OK;
    if (read_file(arena, arena_printf(arena, "%s/.kube/config", home), &file, err)) {
        if (err->code == ERR_NOT_FOUND)
            error_clear(err);
        else if (err->code == ERR_TOO_LARGE)
            return error_recode(err, ERR_CONFIG);
        return err->code;
    }
    if (!file.root)
        return RR_OK;
    *ret_is_loaded = true;
    if (config_files_read(arena, &file, 1, options->context, config, err))
        return err->code;
    return check_files(config, err);
}

static enum errc find_config(const struct kubeconfig_options *options, struct arena *arena,
                             struct kubeconfig *config, struct error *err)
{
    bool is_loaded = false;
    if (options->path)
        return load_named(options, arena, options->path, config, err);
    if (load_list(options, arena, &is_loaded, config, err) || is_loaded)
        return err->code;
    if (load_pod(options, arena, &is_loaded, config, err) || is_loaded)
        return err->code;
    if (load_home(options, arena, &is_loaded, config, err) || is_loaded)
        return err->code;
    error_set(err, ERR_USAGE, "there is no Kubernetes cluster to work with");
    return error_hint(err,
                      "looked at: --kubeconfig (not given), KUBECONFIG (%s), a pod's service "
                      "account (KUBERNETES_SERVICE_HOST is %sset, _PORT is %sset), "
                      "~/.kube/config (%s)",
                      environment("KUBECONFIG") ? "names no file that says anything" : "not set",
                      environment("KUBERNETES_SERVICE_HOST") ? "" : "not ",
                      environment("KUBERNETES_SERVICE_PORT") ? "" : "not ",
                      environment("HOME") ? "missing or empty" : "HOME is not set");
}

/* ---- the namespace ---- */

static enum errc read_pod_namespace(const struct kubeconfig_options *options, struct arena *arena,
                                    const char **ret_name, struct error *err)
{
    SECRET_GUARD struct secret content = {0};
    const char *folder =
        options->service_account_folder ? options->service_account_folder : service_account_folder;
    const char *path = arena_printf(arena, "%s/namespace", folder);
    if (file_read(path, "namespace file", LIMIT_TOKEN_BYTES, &content, err)) {
        if (err->code != ERR_NOT_FOUND)
            return err->code == ERR_TOO_LARGE ? error_recode(err, ERR_CONFIG) : err->code;
        error_clear(err);
        return RR_OK;
    }
    const char *text = secret_reveal(&content);
    if (text && *text)
        *ret_name = arena_strndup(arena, text, strcspn(text, " \t\r\n"));
    return RR_OK;
}

static enum errc choose_namespace(const struct kubeconfig_options *options, struct arena *arena,
                                  struct kubeconfig *config, struct error *err)
{
    const char *name = options->namespace_name, *source = "--namespace";
    if (!name) {
        name = environment("POD_NAMESPACE");
        source = "POD_NAMESPACE";
    }
    if (!name) {
        name = config->namespace_name;
        source = config->origin;
    }
    if (!name && config->origin == pod_origin && read_pod_namespace(options, arena, &name, err))
        return err->code;
    config->namespace_name = arena_strdup(arena, name ? name : "default");
    if (is_dns_label(config->namespace_name))
        return RR_OK;
    STR_GUARD struct str quoted = STR_INIT(1024);
    str_append_quoted(&quoted, name, 100);
    error_set(err, ERR_CONFIG, "%s: %s is no name of a namespace", source, str_text(&quoted));
    return error_hint(err, "lower-case letters, digits and '-', at most 63");
}

enum errc kubeconfig_load(const struct kubeconfig_options *options, struct arena *arena,
                          struct kubeconfig *ret_config, struct error *err)
{
    KUBECONFIG_GUARD struct kubeconfig config = {0};
    if (find_config(options, arena, &config, err))
        return err->code;
    if (choose_namespace(options, arena, &config, err))
        return err->code;
    *ret_config = config;
    config = (struct kubeconfig){0}; /* the secrets are the caller's now */
    return RR_OK;
}

void kubeconfig_release(struct kubeconfig *config)
{
    if (!config)
        return;
    secret_release(&config->client_key_pem);
    secret_release(&config->token);
    *config = (struct kubeconfig){0};
}
