#include "lib/kube/route.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/kube/file.h"
#include "lib/kube/kube_internal.h"
#include "lib/net/http.h"

/* `server` taken apart: "https://host:port/path"; the port may be missing. */
struct place {
    size_t scheme_length; /* with "://" */
    const char *host;     /* with the brackets of IPv6 */
    size_t host_length;
    const char *port; /* "" : the scheme's */
    size_t port_length;
    const char *path;
};

static struct place take_apart(const char *server)
{
    struct place place = {0};
    const char *begin = strstr(server, "://");
    begin = begin ? begin + 3 : server;
    place.scheme_length = (size_t)(begin - server);
    place.path = begin + strcspn(begin, "/");
    const char *colon = memrchr(begin, ':', (size_t)(place.path - begin));
    const char *bracket = memrchr(begin, ']', (size_t)(place.path - begin));
    if (colon && (!bracket || colon > bracket)) {
        place.port = colon + 1;
        place.port_length = (size_t)(place.path - place.port);
    }
    place.host = begin;
    place.host_length = (size_t)((place.port ? colon : place.path) - begin);
    return place;
}

/* libcurl takes the name that a certificate must have from the URL: so the URL is made of that name
 * and the connection goes to where the server is. */
void route_init(struct route *route, const struct kubeconfig *config)
{
    *route = (struct route){.config = config};
    if (!config->tls_server_name) {
        route->base_url = mem_strdup(config->server);
        return;
    }
    struct place place = take_apart(config->server);
    const char *port = text_has_prefix(config->server, "http:") ? "80" : "443";
    STR_GUARD struct str url = STR_INIT(KUBE_URL_BYTES), address = STR_INIT(KUBE_URL_BYTES);
    str_append_bytes(&address, place.host, place.host_length);
    str_append_char(&address, ':');
    if (place.port_length)
        str_append_bytes(&address, place.port, place.port_length);
    else
        str_append(&address, port);
    bool is_ipv6 = strchr(config->tls_server_name, ':') != NULL;
    str_append_bytes(&url, config->server, place.scheme_length);
    str_printf(&url, is_ipv6 ? "[%s]" : "%s", config->tls_server_name);
    str_append(&url, strrchr(str_text(&address), ':'));
    str_append(&url, place.path);
    route->base_url = str_take(&url);
    route->connect_to = str_take(&address);
}

void route_release(struct route *route)
{
    free(route->base_url);
    free(route->connect_to);
}

static void explain_authority(const struct kubeconfig *config, struct str *s)
{
    str_append(s, "the server's certificate is checked against ");
    if (config->ca_pem)
        str_printf(s, "the certificate-authority-data of %s", config->origin);
    else if (config->ca_file)
        str_printf(s, "the CA file '%s' of %s", config->ca_file, config->origin);
    else
        str_printf(s, "this machine's authorities, since %s names none", config->origin);
    str_append(s, ": give it the authority of this cluster (certificate-authority)");
}

static void explain_name(const struct kubeconfig *config, struct str *s)
{
    str_printf(s,
               "the server's certificate is not for '%s': use a server address that it names, or "
               "name one of its names as tls-server-name (%s)",
               config->tls_server_name ? config->tls_server_name : config->server, config->origin);
}

/* Go's clients let the proxy look the name up, with either scheme. */
static void append_proxy(struct str *s, const char *proxy_url)
{
    static const char socks[] = "socks5://";
    if (!text_has_prefix(proxy_url, socks))
        str_append(s, proxy_url);
    else
        str_printf(s, "socks5h://%s", proxy_url + strlen(socks));
}

static enum errc open_http(const struct route *route, const char *certificate_pem,
                           const struct secret *key_pem, struct http **ret_http, struct error *err)
{
    const struct kubeconfig *config = route->config;
    STR_GUARD struct str authority = STR_INIT(ERROR_HINT_SIZE), name = STR_INIT(ERROR_HINT_SIZE);
    STR_GUARD struct str proxy = STR_INIT(KUBE_URL_BYTES);
    explain_authority(config, &authority);
    explain_name(config, &name);
    if (config->proxy_url)
        append_proxy(&proxy, config->proxy_url);
    struct http_options options = {
        .ca_file = config->ca_file,
        .ca_pem = config->ca_pem,
        .certificate_pem = certificate_pem,
        .key_pem = key_pem,
        .proxy_url = config->proxy_url ? str_text(&proxy) : NULL,
        .connect_to = route->connect_to,
        .unknown_ca_hint = str_text(&authority),
        .wrong_name_hint = str_text(&name),
        .connection_lifetime_ms = ROUTE_LIFETIME_MS,
        .clock = route->clock,
        .cancel = route->cancel,
        .stall_timeout_ms = route->stall_timeout_ms,
    };
    return http_open(&options, ret_http, err);
}

enum errc route_open(const struct route *route, struct http **ret_http, struct error *err)
{
    const struct kubeconfig *config = route->config;
    SECRET_GUARD struct secret certificate = {0}, key = {0};
    if (!config->client_certificate_pem && config->client_certificate_file &&
        file_read(config->client_certificate_file, "client certificate", LIMIT_PEM_BYTES,
                  &certificate, err))
        return error_recode(err, ERR_IO);
    if (!secret_reveal(&config->client_key_pem) && config->client_key_file &&
        file_read(config->client_key_file, "client key", LIMIT_PEM_BYTES, &key, err))
        return error_recode(err, ERR_IO);
    const char *certificate_pem = config->client_certificate_pem ? config->client_certificate_pem
                                                                 : secret_reveal(&certificate);
    bool has_inline_key = secret_reveal(&config->client_key_pem) != NULL;
    return open_http(route, certificate_pem, has_inline_key ? &config->client_key_pem : &key,
                     ret_http, err);
}
