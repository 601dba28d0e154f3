#include "lib/kube/kube.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/retry.h"
#include "lib/kube/file.h"
#include "lib/kube/kube_internal.h"
#include "lib/kube/token.h"
#include "lib/kube/verdict.h"
#include "lib/net/http.h"
#include "lib/net/url.h"

enum {
    DEADLINE_MS = 30 * 1000,
    PATIENCE_MS = 30 * 1000,
    FIRST_PAUSE_MS = 250,
    MAX_PAUSE_MS = 10 * 1000, /* of ours, and of a Retry-After */
    CONNECTION_LIFETIME_MS = 5 * 60 * 1000,
};

struct kube {
    const struct kubeconfig *config;
    const struct clock *clock;
    const struct cancel *cancel;
    uint64_t deadline_ms, patience_ms;
    bool is_deaf;
    struct http *http;
    struct token token;
    char *base_url;     /* what requests go to: with the TLS name, where there is one */
    char *connect_to;   /* NULL: to where base_url says */
    char *last_warning; /* the server repeats itself */
};

/* ---- the client ---- */

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
static void choose_url(struct kube *kube)
{
    const struct kubeconfig *config = kube->config;
    if (!config->tls_server_name) {
        kube->base_url = mem_strdup(config->server);
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
    kube->base_url = str_take(&url);
    kube->connect_to = str_take(&address);
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

static enum errc open_http(struct kube *kube, const char *certificate_pem,
                           const struct secret *key_pem, struct error *err)
{
    const struct kubeconfig *config = kube->config;
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
        .connect_to = kube->connect_to,
        .unknown_ca_hint = str_text(&authority),
        .wrong_name_hint = str_text(&name),
        .connection_lifetime_ms = CONNECTION_LIFETIME_MS,
        .clock = kube->clock,
        .cancel = kube->cancel,
        .stall_timeout_ms = kube->deadline_ms,
    };
    return http_open(&options, &kube->http, err);
}

static enum errc open_identity(struct kube *kube, struct error *err)
{
    const struct kubeconfig *config = kube->config;
    SECRET_GUARD struct secret certificate = {0}, key = {0};
    if (token_init(&kube->token, config->token_file, &config->token, kube->clock, err))
        return err->code;
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
    return open_http(kube, certificate_pem, has_inline_key ? &config->client_key_pem : &key, err);
}

enum errc kube_open(const struct kube_options *options, struct kube **ret_kube, struct error *err)
{
    KUBE_GUARD struct kube *kube = mem_alloc(sizeof *kube);
    *kube = (struct kube){
        .config = options->config,
        .clock = options->clock ? options->clock : clock_system(),
        .cancel = options->cancel,
        .deadline_ms = options->deadline_ms ? options->deadline_ms : DEADLINE_MS,
        .patience_ms = options->patience_ms ? options->patience_ms : PATIENCE_MS,
    };
    choose_url(kube);
    if (open_identity(kube, err))
        return error_wrap(err, "%s", options->config->origin);
    *ret_kube = kube;
    kube = NULL;
    return RR_OK;
}

void kube_close(struct kube *kube)
{
    if (!kube)
        return;
    http_close(kube->http);
    token_release(&kube->token);
    free(kube->base_url);
    free(kube->connect_to);
    free(kube->last_warning);
    free(kube);
}

void kube_guard(struct kube **kube)
{
    kube_close(*kube);
}

const char *kube_namespace(const struct kube *kube)
{
    return kube->config->namespace_name;
}

const struct kubeconfig *kube_config(const struct kube *kube)
{
    return kube->config;
}

void kube_set_patience(struct kube *kube, uint64_t patience_ms)
{
    kube->patience_ms = patience_ms ? patience_ms : PATIENCE_MS;
}

uint64_t kube_patience(const struct kube *kube)
{
    return kube->patience_ms;
}

void kube_set_deaf(struct kube *kube, bool is_deaf)
{
    kube->is_deaf = is_deaf;
}

/* ---- requests ---- */

static const char *method_of(enum kube_verb verb)
{
    static const char *const methods[] = {
        [KUBE_GET] = "GET",          [KUBE_CREATE] = "POST",       [KUBE_UPDATE] = "PUT",
        [KUBE_JSON_PATCH] = "PATCH", [KUBE_MERGE_PATCH] = "PATCH", [KUBE_APPLY] = "PATCH",
        [KUBE_DELETE] = "DELETE",
    };
    return methods[verb];
}

static const char *content_type_of(enum kube_verb verb)
{
    switch (verb) {
    case KUBE_JSON_PATCH:
        return "application/json-patch+json";
    case KUBE_MERGE_PATCH:
        return "application/merge-patch+json";
    case KUBE_APPLY:
        return "application/apply-patch+yaml"; /* JSON is YAML */
    default:
        return "application/json";
    }
}

static const char *parameters_of(enum kube_verb verb)
{
    switch (verb) {
    case KUBE_GET:
    case KUBE_DELETE:
        return NULL;
    case KUBE_APPLY:
        return "fieldManager=" KUBE_FIELD_MANAGER "&fieldValidation=Strict&force=true";
    default:
        return "fieldManager=" KUBE_FIELD_MANAGER "&fieldValidation=Strict";
    }
}

static void append_parameters(struct str *url, const char *parameters)
{
    if (!parameters || !*parameters)
        return;
    str_append_char(url, strchr(str_text(url), '?') ? '&' : '?');
    str_append(url, parameters);
}

static enum errc render_url(const struct kube *kube, const struct kube_request *request,
                            struct str *url, struct error *err)
{
    const struct kube_resource *resource = request->resource;
    str_append(url, kube->base_url);
    if (*resource->group)
        str_printf(url, "/apis/%s/%s", resource->group, resource->version);
    else
        str_printf(url, "/api/%s", resource->version);
    if (!resource->is_cluster_wide) {
        str_append(url, "/namespaces/");
        url_encode(url, kube_namespace(kube), false);
    }
    str_printf(url, "/%s", resource->plural);
    if (request->name) {
        str_append_char(url, '/');
        url_encode(url, request->name, false);
    }
    append_parameters(url, parameters_of(request->verb));
    append_parameters(url, request->query);
    return str_check(url, "the URL of a request to the API server", err);
}

/* Before each try: a call may go on for longer than a token lives. */
static enum errc add_token(void *context, struct str *ret_lines, struct error *err)
{
    (void)err;
    struct token *token = context;
    token_refresh(token);
    if (secret_reveal(&token->value))
        str_printf(ret_lines, "Authorization: Bearer %s\n", secret_reveal(&token->value));
    return RR_OK;
}

static enum errc exchange(struct kube *kube, const struct kube_request *request, const char *url,
                          struct http_response *ret_response, struct error *err)
{
    const struct http_header headers[] = {
        {"Accept", "application/json"},
        {request->body ? "Content-Type" : NULL, content_type_of(request->verb)},
        {0},
    };
    const struct retry_policy policy = {
        .attempts = request->is_impatient ? 1 : UINT_MAX,
        .first_pause_ms = FIRST_PAUSE_MS,
        .max_pause_ms = MAX_PAUSE_MS,
        .total_ms = kube->patience_ms,
    };
    const struct http_request http_request = {
        .method = method_of(request->verb),
        .url = url,
        .headers = headers,
        .body = request->body,
        .body_length = request->body ? strlen(request->body) : 0,
        .deadline_ms = request->deadline_ms ? request->deadline_ms : kube->deadline_ms,
        .body_limit = LIMIT_KUBE_ANSWER_BYTES,
        .retry = &policy,
        .sign = add_token,
        .sign_context = &kube->token,
        .is_write = verdict_is_write(request),
        .is_deaf = kube->is_deaf,
    };
    return http_send(kube->http, &http_request, ret_response, err);
}

/* A 401 had no effect, so a write may be sent again as well. */
static enum errc exchange_as_ourselves(struct kube *kube, const struct kube_request *request,
                                       const char *url, struct http_response *ret_response,
                                       struct error *err)
{
    if (exchange(kube, request, url, ret_response, err))
        return err->code;
    if (ret_response->status != 401 || !kube->token.file)
        return RR_OK;
    log_debug("the token was not accepted: reading it again");
    http_response_release(ret_response);
    token_distrust(&kube->token);
    return exchange(kube, request, url, ret_response, err);
}

static void log_warning(struct kube *kube, const struct http_response *response)
{
    STR_GUARD struct str warning = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    if (!http_header_get(response, "warning", &warning) ||
        text_equal(kube->last_warning, str_text(&warning)))
        return;
    log_debug("the API server warns", LOG_TEXT("warning", str_text(&warning)));
    free(kube->last_warning);
    kube->last_warning = str_take(&warning);
}

enum errc kube_ask(struct kube *kube, const struct kube_request *request, bool is_list,
                   struct kube_answer *ret_answer, bool *ret_is_too_large, struct error *err)
{
    STR_GUARD struct str url = STR_INIT(KUBE_URL_BYTES);
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (render_url(kube, request, &url, err))
        return err->code;
    if (exchange_as_ourselves(kube, request, str_text(&url), &response, err)) {
        *ret_is_too_large = err->code == ERR_TOO_LARGE;
        return verdict_on_failure(kube, request, response.may_have_acted, err);
    }
    log_warning(kube, &response);
    return verdict_on_answer(kube, request, is_list, &response, ret_answer, err);
}

enum errc kube_send(struct kube *kube, const struct kube_request *request,
                    struct kube_answer *ret_answer, struct error *err)
{
    bool is_too_large;
    return kube_ask(kube, request, false, ret_answer, &is_too_large, err);
}

void kube_answer_release(struct kube_answer *answer)
{
    if (!answer)
        return;
    json_free(answer->document);
    *answer = (struct kube_answer){0};
}
