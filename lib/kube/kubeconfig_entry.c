/*
 * What one entry of a kubeconfig says: a cluster, a user.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/kube/kubeconfig_internal.h"
#include "lib/kube/token.h"
#include "lib/net/digest.h"

enum { SHOWN_BYTES = 200 };

/* ---- errors ---- */

enum errc config_fail(const struct config_file *file, const struct yaml_node *node,
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

const char *config_quote(struct arena *arena, const char *text)
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
enum errc config_get_text(const struct config_entry *entry, const char *key, const char **ret_text,
                          struct error *err)
{
    const struct yaml_node *node = yaml_get(entry->node, key);
    *ret_text = NULL;
    if (!node || yaml_is_null(node))
        return RR_OK;
    if (node->kind != YAML_SCALAR)
        return config_fail(entry->file, node, err, ERR_CONFIG, "'%s' has to be a text", key);
    if (node->length)
        *ret_text = node->text;
    return RR_OK;
}

/* A path, which starts from the folder of the file that names it. */
static enum errc get_path(struct arena *arena, const struct config_entry *entry, const char *key,
                          const char **ret_path, struct error *err)
{
    const char *path, *slash = strrchr(entry->file->path, '/');
    if (config_get_text(entry, key, &path, err))
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
static enum errc get_pem(const struct config_entry *entry, const char *key, const char *mark,
                         struct secret *ret_pem, struct error *err)
{
    const char *text;
    if (config_get_text(entry, key, &text, err) || !text)
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
        return config_fail(entry->file, node, err, ERR_CONFIG,
                           "'%s' is no base64 (damaged or cut?)", key);
    if (!is_pem)
        return config_fail(entry->file, node, err, ERR_CONFIG, "'%s' holds no %s...", key, mark);
    return RR_OK;
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

static enum errc read_server(struct arena *arena, const struct config_entry *cluster,
                             struct kubeconfig *config, struct error *err)
{
    const char *server;
    if (config_get_text(cluster, "server", &server, err))
        return err->code;
    if (!server)
        return config_fail(cluster->file, cluster->node, err, ERR_CONFIG,
                           "the cluster has no 'server'");
    const struct yaml_node *node = yaml_get(cluster->node, "server");
    if (text_has_prefix(server, "http://")) {
        config_fail(cluster->file, node, err, ERR_UNSUPPORTED,
                    "'server' begins with http://: without TLS nobody can tell who answers");
        return error_hint(err, "use the server's https:// address");
    }
    if (!server_is_valid(server)) {
        config_fail(cluster->file, node, err, ERR_CONFIG, "'server' is %s",
                    config_quote(arena, server));
        return error_hint(err, "it has to look like https://HOST:PORT");
    }
    size_t length = strlen(server);
    while (server[length - 1] == '/')
        length--;
    config->server = arena_strndup(arena, server, length);
    return RR_OK;
}

static enum errc read_trust(struct arena *arena, const struct config_entry *cluster,
                            struct kubeconfig *config, struct error *err)
{
    const struct yaml_node *skip = yaml_get(cluster->node, "insecure-skip-tls-verify");
    bool skips = false;
    if (skip && !yaml_is_null(skip) && !yaml_as_bool(skip, &skips))
        return config_fail(cluster->file, skip, err, ERR_CONFIG,
                           "'insecure-skip-tls-verify' has to be true or false");
    if (skips) {
        config_fail(cluster->file, skip, err, ERR_UNSUPPORTED,
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

static enum errc read_proxy(struct arena *arena, const struct config_entry *cluster,
                            struct kubeconfig *config, struct error *err)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://", NULL};
    const char *url;
    if (config_get_text(cluster, "proxy-url", &url, err) || !url)
        return err->code;
    for (const char *const *scheme = schemes; *scheme; scheme++)
        if (text_has_prefix(url, *scheme) && url[strlen(*scheme)] && token_is_sendable(url)) {
            config->proxy_url = arena_strdup(arena, url);
            return RR_OK;
        }
    config_fail(cluster->file, yaml_get(cluster->node, "proxy-url"), err, ERR_CONFIG,
                "'proxy-url' is no address of a proxy");
    return error_hint(err, "it has to begin with http://, https:// or socks5://");
}

enum errc config_read_cluster(struct arena *arena, const struct config_entry *cluster,
                              struct kubeconfig *config, struct error *err)
{
    const char *name;
    if (read_server(arena, cluster, config, err) || read_trust(arena, cluster, config, err) ||
        read_proxy(arena, cluster, config, err) ||
        config_get_text(cluster, "tls-server-name", &name, err))
        return err->code;
    if (name && name[span_word(name, ".-_:")] != '\0')
        return config_fail(cluster->file, yaml_get(cluster->node, "tls-server-name"), err,
                           ERR_CONFIG, "'tls-server-name' has to be a host name or an address");
    config->tls_server_name = arena_strdup(arena, name);
    return RR_OK;
}

/* ---- the user ---- */

static enum errc refuse_words(const struct config_entry *user, struct error *err)
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
        config_fail(user->file, node, err, ERR_UNSUPPORTED, "'%s' is not supported", words[i].key);
        return error_hint(err, "%s", words[i].hint);
    }
    return RR_OK;
}

static enum errc read_token(struct arena *arena, const struct config_entry *user,
                            struct kubeconfig *config, struct error *err)
{
    const char *token;
    if (get_path(arena, user, "tokenFile", &config->token_file, err) ||
        config_get_text(user, "token", &token, err) || !token)
        return err->code;
    if (!token_is_sendable(token))
        return config_fail(
            user->file, yaml_get(user->node, "token"), err, ERR_CONFIG,
            "'token' holds a blank, a line break or another character that no token has");
    secret_set(&config->token, token, strlen(token));
    return RR_OK;
}

static enum errc read_client_certificate(struct arena *arena, const struct config_entry *user,
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
        return config_fail(user->file, user->node, err, ERR_CONFIG,
                           "the user has a client %s without %s", has_key ? "key" : "certificate",
                           has_key ? "its certificate" : "its key");
    return RR_OK;
}

enum errc config_read_user(struct arena *arena, const struct config_entry *user,
                           struct kubeconfig *config, struct error *err)
{
    if (refuse_words(user, err) || read_token(arena, user, config, err))
        return err->code;
    return read_client_certificate(arena, user, config, err);
}
