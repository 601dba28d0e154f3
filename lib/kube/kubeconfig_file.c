/*
 * What a kubeconfig says: three lists (clusters, users, contexts) of named entries and the name of
 * the current context, which may lie in several files.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/kube/kubeconfig_internal.h"
#include "lib/kube/token.h"
#include "lib/net/digest.h"

enum { SHOWN_BYTES = 200, SHOWN_NAMES_BYTES = 300 };

/* One entry of a list, and the file that it stands in. */
struct entry {
    const struct config_file *file; /* NULL: there is no such entry */
    const struct yaml_node *node;   /* its mapping; NULL: empty */
};

/* ---- errors ---- */

RR_PRINTF(5, 6)
static enum errc fail_at(const struct config_file *file, const struct yaml_node *node,
                         struct error *err, enum errc code, const char *fmt, ...)
{
    char text[ERROR_TEXT_SIZE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!node)
        return error_set(err, code, "%s: %s", file->shown, text);
    return error_set(err, code, "%s:%u:%u: %s", file->shown, node->line, node->column, text);
}

static const char *quote(struct arena *arena, const char *text)
{
    STR_GUARD struct str quoted = STR_INIT(8 * SHOWN_BYTES);
    str_append_quoted(&quoted, text, SHOWN_BYTES);
    return arena_strdup(arena, str_text(&quoted));
}

/* ---- values ---- */

static bool is_set(const struct yaml_node *node)
{
    if (!node || yaml_is_null(node))
        return false;
    return node->kind == YAML_SCALAR ? node->length > 0 : node->count > 0;
}

/* NULL: it is missing, null or empty, which are one to kubectl. */
static enum errc get_text(const struct entry *entry, const char *key, const char **ret_text,
                          struct error *err)
{
    const struct yaml_node *node = yaml_get(entry->node, key);
    *ret_text = NULL;
    if (!node || yaml_is_null(node))
        return RR_OK;
    if (node->kind != YAML_SCALAR)
        return fail_at(entry->file, node, err, ERR_CONFIG, "'%s' has to be a text", key);
    if (node->length)
        *ret_text = node->text;
    return RR_OK;
}

/* A path, which starts from the folder of the file that names it. */
static enum errc get_path(struct arena *arena, const struct entry *entry, const char *key,
                          const char **ret_path, struct error *err)
{
    const char *path, *slash = strrchr(entry->file->path, '/');
    if (get_text(entry, key, &path, err))
        return err->code;
    if (!path)
        *ret_path = NULL;
    else if (*path == '/' || !slash)
        *ret_path = arena_strdup(arena, path);
    else
        *ret_path = arena_printf(arena, "%.*s/%s", (int)(slash - entry->file->path),
                                 entry->file->path, path);
    return RR_OK;
}

/* PEM in base64, decoded into `ret_pem`; unset: it is not there. `mark`: what PEM of its kind
 * holds. */
static enum errc get_pem(const struct entry *entry, const char *key, const char *mark,
                         struct secret *ret_pem, struct error *err)
{
    const char *text;
    if (get_text(entry, key, &text, err) || !text)
        return err->code;
    const struct yaml_node *node = yaml_get(entry->node, key);
    struct str pem = STR_INIT(LIMIT_PEM_BYTES);
    bool is_base64 = base64_parse(&pem, text, strlen(text));
    bool is_pem = strlen(str_text(&pem)) == pem.length && strstr(str_text(&pem), mark);
    if (is_base64 && is_pem)
        secret_set(ret_pem, str_text(&pem), pem.length);
    if (pem.data)
        explicit_bzero(pem.data, pem.capacity);
    str_release(&pem);
    if (!is_base64)
        return fail_at(entry->file, node, err, ERR_CONFIG, "'%s' is no base64 (damaged or cut?)",
                       key);
    if (!is_pem)
        return fail_at(entry->file, node, err, ERR_CONFIG, "'%s' holds no %s...", key, mark);
    return RR_OK;
}

/* ---- files ---- */

static const char *render_shown(struct arena *arena, const char *path)
{
    const char *quoted = quote(arena, path);
    return arena_strndup(arena, quoted + 1, strlen(quoted) - 2);
}

static enum errc check_head(const struct config_file *file, struct error *err)
{
    const struct entry top = {file, file->root};
    const char *kind, *version;
    if (file->root->kind != YAML_MAPPING)
        return fail_at(file, file->root, err, ERR_CONFIG, "a kubeconfig has to be a mapping");
    if (get_text(&top, "kind", &kind, err) || get_text(&top, "apiVersion", &version, err))
        return err->code;
    if (kind && strcmp(kind, "Config") != 0)
        return fail_at(file, yaml_get(file->root, "kind"), err, ERR_CONFIG,
                       "the kind of a kubeconfig is Config");
    if (version && strcmp(version, "v1") != 0)
        return fail_at(file, yaml_get(file->root, "apiVersion"), err, ERR_UNSUPPORTED,
                       "of kubeconfigs only apiVersion v1 is known");
    return RR_OK;
}

enum errc config_file_parse(struct arena *arena, const char *bytes, size_t length, const char *path,
                            struct config_file *ret_file, struct error *err)
{
    struct yaml_node *root;
    struct config_file file = {.path = path, .shown = render_shown(arena, path)};
    if (yaml_parse(arena, bytes, length, file.shown, 0, &root, err))
        return err->code;
    file.root = root && !yaml_is_null(root) ? root : NULL;
    if (file.root && check_head(&file, err))
        return err->code;
    *ret_file = file;
    return RR_OK;
}

/* ---- entries ---- */

static enum errc check_list(const struct config_file *file, const char *list_key,
                            const struct yaml_node **ret_list, struct error *err)
{
    const struct yaml_node *list = yaml_get(file->root, list_key);
    *ret_list = NULL;
    if (!list || yaml_is_null(list))
        return RR_OK;
    if (list->kind != YAML_SEQUENCE)
        return fail_at(file, list, err, ERR_CONFIG, "'%s' has to be a list", list_key);
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->kind != YAML_MAPPING)
            return fail_at(file, list->items[i], err, ERR_CONFIG,
                           "an entry of '%s' has to be a mapping", list_key);
    *ret_list = list;
    return RR_OK;
}

static enum errc find_in_file(const struct config_file *file, const char *list_key,
                              const char *item_key, const char *name, struct entry *ret_entry,
                              struct error *err)
{
    const struct yaml_node *list;
    if (check_list(file, list_key, &list, err))
        return err->code;
    for (size_t i = 0; list && i < list->count; i++) {
        const struct entry item = {file, list->items[i]};
        const char *item_name;
        if (get_text(&item, "name", &item_name, err))
            return err->code;
        if (!text_equal(item_name, name))
            continue;
        if (ret_entry->file)
            return fail_at(file, item.node, err, ERR_CONFIG, "'%s' holds two entries of this name",
                           list_key);
        const struct yaml_node *value = yaml_get(item.node, item_key);
        bool is_empty = !value || yaml_is_null(value);
        if (!is_empty && value->kind != YAML_MAPPING)
            return fail_at(file, value, err, ERR_CONFIG, "'%s' has to be a mapping", item_key);
        *ret_entry = (struct entry){file, is_empty ? NULL : value};
    }
    return RR_OK;
}

static enum errc find_entry(const struct config_file *files, size_t count, const char *list_key,
                            const char *item_key, const char *name, struct entry *ret_entry,
                            struct error *err)
{
    *ret_entry = (struct entry){0};
    for (size_t i = 0; i < count && !ret_entry->file; i++)
        if (find_in_file(&files[i], list_key, item_key, name, ret_entry, err))
            return err->code;
    return RR_OK;
}

/* "a", "b": what there is to choose from. */
static const char *render_names(struct arena *arena, const struct config_file *files, size_t count,
                                const char *list_key)
{
    STR_GUARD struct str names = STR_INIT(SHOWN_NAMES_BYTES);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *list = yaml_get(files[i].root, list_key);
        for (size_t k = 0; list && list->kind == YAML_SEQUENCE && k < list->count; k++) {
            const struct yaml_node *name = yaml_get(list->items[k], "name");
            if (!name || name->kind != YAML_SCALAR)
                continue;
            str_append(&names, names.length ? ", " : "");
            str_append_quoted(&names, name->text, SHOWN_BYTES);
        }
    }
    return names.length ? arena_strdup(arena, str_text(&names)) : "none";
}

/* ---- the cluster ---- */

/* [A-Za-z0-9] and what `more` holds; at least one. */
static size_t span_word(const char *text, const char *more)
{
    size_t length = 0;
    while ((text[length] >= '0' && text[length] <= '9') ||
           (text[length] >= 'a' && text[length] <= 'z') ||
           (text[length] >= 'A' && text[length] <= 'Z') ||
           (text[length] && strchr(more, text[length])))
        length++;
    return length;
}

bool server_is_valid(const char *server)
{
    if (!text_has_prefix(server, "https://"))
        return false;
    const char *at = server + strlen("https://");
    bool is_ipv6 = *at == '[';
    size_t length = is_ipv6 ? span_word(at + 1, ":.") : span_word(at, ".-_");
    if (!length || (is_ipv6 && at[1 + length] != ']'))
        return false;
    at += length + (is_ipv6 ? 2 : 0);
    if (*at == ':') {
        char port[6] = "";
        size_t digits = strspn(++at, "0123456789");
        uint64_t number;
        snprintf(port, sizeof port, "%.*s", digits < sizeof port ? (int)digits : 0, at);
        if (!text_to_u64(port, 65535, &number) || number == 0)
            return false;
        at += digits;
    }
    return !*at || (*at == '/' && at[span_word(at, "/.-_~%:@!$&'()*+,;=")] == '\0');
}

static enum errc read_server(struct arena *arena, const struct entry *cluster,
                             struct kubeconfig *config, struct error *err)
{
    const char *server;
    if (get_text(cluster, "server", &server, err))
        return err->code;
    if (!server)
        return fail_at(cluster->file, cluster->node, err, ERR_CONFIG,
                       "the cluster has no 'server'");
    const struct yaml_node *node = yaml_get(cluster->node, "server");
    if (text_has_prefix(server, "http://")) {
        fail_at(cluster->file, node, err, ERR_UNSUPPORTED,
                "'server' begins with http://: without TLS nobody can tell who answers");
        return error_hint(err, "use the server's https:// address");
    }
    if (!server_is_valid(server)) {
        fail_at(cluster->file, node, err, ERR_CONFIG, "'server' is %s", quote(arena, server));
        return error_hint(err, "it has to look like https://HOST:PORT");
    }
    size_t length = strlen(server);
    while (server[length - 1] == '/')
        length--;
    config->server = arena_strndup(arena, server, length);
    return RR_OK;
}

static enum errc read_trust(struct arena *arena, const struct entry *cluster,
                            struct kubeconfig *config, struct error *err)
{
    const struct yaml_node *skip = yaml_get(cluster->node, "insecure-skip-tls-verify");
    bool skips = false;
    if (skip && !yaml_is_null(skip) && !yaml_as_bool(skip, &skips))
        return fail_at(cluster->file, skip, err, ERR_CONFIG,
                       "'insecure-skip-tls-verify' has to be true or false");
    if (skips) {
        fail_at(cluster->file, skip, err, ERR_UNSUPPORTED,
                "'insecure-skip-tls-verify' is refused: it lets anybody answer for the server");
        return error_hint(err, "remove it and give the cluster's authority as "
                               "certificate-authority(-data); a name that the certificate lacks is "
                               "put right with tls-server-name");
    }
    SECRET_GUARD struct secret pem = {0};
    if (get_pem(cluster, "certificate-authority-data", "-----BEGIN ", &pem, err))
        return err->code;
    config->ca_pem = arena_strdup(arena, secret_reveal(&pem));
    if (config->ca_pem)
        return RR_OK;
    return get_path(arena, cluster, "certificate-authority", &config->ca_file, err);
}

static enum errc read_proxy(struct arena *arena, const struct entry *cluster,
                            struct kubeconfig *config, struct error *err)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://", NULL};
    const char *url;
    if (get_text(cluster, "proxy-url", &url, err) || !url)
        return err->code;
    for (const char *const *scheme = schemes; *scheme; scheme++)
        if (text_has_prefix(url, *scheme) && url[strlen(*scheme)] && token_is_sendable(url)) {
            config->proxy_url = arena_strdup(arena, url);
            return RR_OK;
        }
    fail_at(cluster->file, yaml_get(cluster->node, "proxy-url"), err, ERR_CONFIG,
            "'proxy-url' is no address of a proxy");
    return error_hint(err, "it has to begin with http://, https:// or socks5://");
}

static enum errc read_cluster(struct arena *arena, const struct entry *cluster,
                              struct kubeconfig *config, struct error *err)
{
    const char *name;
    if (read_server(arena, cluster, config, err) || read_trust(arena, cluster, config, err) ||
        read_proxy(arena, cluster, config, err) || get_text(cluster, "tls-server-name", &name, err))
        return err->code;
    if (name && name[span_word(name, ".-_:")] != '\0')
        return fail_at(cluster->file, yaml_get(cluster->node, "tls-server-name"), err, ERR_CONFIG,
                       "'tls-server-name' has to be a host name or an address");
    config->tls_server_name = arena_strdup(arena, name);
    return RR_OK;
}

/* ---- the user ---- */

static enum errc refuse_words(const struct entry *user, struct error *err)
{
    static const char plugin_hint[] =
        "it runs a program that the image does not hold: use a kubeconfig with a token of a "
        "service "
        "account (kubectl create token NAME) or a client certificate, or run in the cluster";
    static const char password_hint[] =
        "API servers take no passwords: use a token or a client certificate";
    static const char as_hint[] =
        "give the rights to the user or service account itself, and its token here";
    static const struct {
        const char *key, *hint;
    } words[] = {
        {"exec", plugin_hint},
        {"auth-provider", plugin_hint},
        {"username", password_hint},
        {"password", password_hint},
        {"as", as_hint},
        {"as-uid", as_hint},
        {"as-groups", as_hint},
        {"as-user-extra", as_hint},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const struct yaml_node *node = yaml_get(user->node, words[i].key);
        if (!is_set(node))
            continue;
        fail_at(user->file, node, err, ERR_UNSUPPORTED, "'%s' is not supported", words[i].key);
        return error_hint(err, "%s", words[i].hint);
    }
    return RR_OK;
}

static enum errc read_token(struct arena *arena, const struct entry *user,
                            struct kubeconfig *config, struct error *err)
{
    const char *token;
    if (get_path(arena, user, "tokenFile", &config->token_file, err) ||
        get_text(user, "token", &token, err) || !token)
        return err->code;
    if (!token_is_sendable(token))
        return fail_at(
            user->file, yaml_get(user->node, "token"), err, ERR_CONFIG,
            "'token' holds a blank, a line break or another character that no token has");
    secret_set(&config->token, token, strlen(token));
    return RR_OK;
}

static enum errc read_client_certificate(struct arena *arena, const struct entry *user,
                                         struct kubeconfig *config, struct error *err)
{
    SECRET_GUARD struct secret pem = {0};
    if (get_pem(user, "client-certificate-data", "-----BEGIN CERTIFICATE", &pem, err) ||
        get_pem(user, "client-key-data", "PRIVATE KEY-----", &config->client_key_pem, err))
        return err->code;
    config->client_certificate_pem = arena_strdup(arena, secret_reveal(&pem));
    bool has_key = secret_reveal(&config->client_key_pem) != NULL;
    if (!config->client_certificate_pem &&
        get_path(arena, user, "client-certificate", &config->client_certificate_file, err))
        return err->code;
    if (!has_key && get_path(arena, user, "client-key", &config->client_key_file, err))
        return err->code;
    bool has_certificate = config->client_certificate_pem || config->client_certificate_file;
    has_key = has_key || config->client_key_file;
    if (has_certificate != has_key)
        return fail_at(user->file, user->node, err, ERR_CONFIG,
                       "the user has a client %s without %s", has_key ? "key" : "certificate",
                       has_key ? "its certificate" : "its key");
    return RR_OK;
}

/* ---- the context ---- */

bool is_dns_label(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= 63 && text[length] == '\0' && *text != '-' &&
           text[length - 1] != '-';
}

static enum errc choose_context(struct arena *arena, const struct config_file *files, size_t count,
                                const char *wanted, struct entry *ret_context,
                                const char **ret_name, struct error *err)
{
    const char *name = wanted;
    for (size_t i = 0; i < count && !name; i++) {
        const struct entry top = {&files[i], files[i].root};
        if (get_text(&top, "current-context", &name, err))
            return err->code;
    }
    if (!name) {
        fail_at(&files[0], NULL, err, ERR_CONFIG, "there is no current-context");
        return error_hint(err, "choose one with --context; there are: %s",
                          render_names(arena, files, count, "contexts"));
    }
    if (find_entry(files, count, "contexts", "context", name, ret_context, err))
        return err->code;
    if (!ret_context->file) {
        fail_at(&files[0], NULL, err, ERR_CONFIG, "there is no context %s", quote(arena, name));
        return error_hint(err, "choose one with --context; there are: %s",
                          render_names(arena, files, count, "contexts"));
    }
    *ret_name = arena_strdup(arena, name);
    return RR_OK;
}

/* The entry that the context names by `key`; ret_entry->file NULL: it names none. */
static enum errc follow(struct arena *arena, const struct config_file *files, size_t count,
                        const struct entry *context, const char *list_key, const char *key,
                        struct entry *ret_entry, struct error *err)
{
    const char *name;
    *ret_entry = (struct entry){0};
    if (get_text(context, key, &name, err) || !name)
        return err->code;
    if (find_entry(files, count, list_key, key, name, ret_entry, err))
        return err->code;
    if (ret_entry->file)
        return RR_OK;
    fail_at(context->file, yaml_get(context->node, key), err, ERR_CONFIG,
            "the context names the %s %s, which is not there", key, quote(arena, name));
    return error_hint(err, "'%s' holds: %s", list_key, render_names(arena, files, count, list_key));
}

static enum errc read_context(struct arena *arena, const struct config_file *files, size_t count,
                              const struct entry *context, struct kubeconfig *config,
                              struct error *err)
{
    struct entry cluster, user;
    const char *namespace_name;
    if (follow(arena, files, count, context, "clusters", "cluster", &cluster, err) ||
        follow(arena, files, count, context, "users", "user", &user, err) ||
        get_text(context, "namespace", &namespace_name, err))
        return err->code;
    if (!cluster.file)
        return fail_at(context->file, context->node, err, ERR_CONFIG,
                       "the context names no cluster");
    if (namespace_name && !is_dns_label(namespace_name))
        return fail_at(context->file, yaml_get(context->node, "namespace"), err, ERR_CONFIG,
                       "%s is no name of a namespace", quote(arena, namespace_name));
    config->namespace_name = arena_strdup(arena, namespace_name);
    if (read_cluster(arena, &cluster, config, err))
        return err->code;
    if (!user.file)
        return RR_OK;
    if (refuse_words(&user, err) || read_token(arena, &user, config, err))
        return err->code;
    return read_client_certificate(arena, &user, config, err);
}

enum errc config_files_read(struct arena *arena, const struct config_file *files, size_t count,
                            const char *context, struct kubeconfig *ret_config, struct error *err)
{
    KUBECONFIG_GUARD struct kubeconfig config = {0};
    struct entry entry = {0};
    const char *name = NULL;
    if (choose_context(arena, files, count, context, &entry, &name, err) ||
        read_context(arena, files, count, &entry, &config, err))
        return err->code;
    config.origin = arena_printf(arena, "kubeconfig %s, context %s", quote(arena, entry.file->path),
                                 quote(arena, name));
    *ret_config = config;
    config = (struct kubeconfig){0}; /* the secrets are the caller's now */
    return RR_OK;
}

enum errc kubeconfig_parse(struct arena *arena, const char *bytes, size_t length, const char *path,
                           const char *context, struct kubeconfig *ret_config, struct error *err)
{
    struct config_file file;
    if (config_file_parse(arena, bytes, length, path, &file, err))
        return err->code;
    return config_files_read(arena, &file, 1, context, ret_config, err);
}
