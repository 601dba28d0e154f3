#include "lib/kube/kube.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/retry.h"
#include "lib/kube/kube_internal.h"
#include "lib/kube/route.h"
#include "lib/kube/token.h"
#include "lib/kube/verdict.h"
#include "lib/net/http.h"
#include "lib/net/url.h"

enum {
    DEADLINE_MS = 30 * 1000,
    PATIENCE_MS = 30 * 1000,
    FIRST_PAUSE_MS = 250,
    MAX_PAUSE_MS = 10 * 1000, /* of ours, and of a Retry-After */
    HURRY_MS =
        20 * 1000,    /* patience of one that is told to stop: it must end before it is killed */
    DOUBT_TRIES = 15, /* of what a server refuses that was away a moment ago */
    DOUBT_PAUSE_MS = 1000,
    DOUBT_MS = DOUBT_TRIES * DOUBT_PAUSE_MS,
};

struct kube {
    const struct kubeconfig *config;
    const struct clock *clock;
    const struct cancel *cancel;
    uint64_t deadline_ms, patience_ms;
    bool is_deaf;
    enum errc (*write_guard)(void *context, struct error *err); /* NULL: none */
    void *write_guard_context;
    struct http *http;
    uint64_t identity_ms; /* when the client certificate was read */
    struct token token;
    struct route route;
    char *last_warning;  /* the server repeats itself */
    unsigned tries;      /* of the exchange that is under way */
    uint64_t begin_ms;   /* of that exchange */
    bool is_writing;     /* it is a write */
    uint64_t trouble_ms; /* when the server was last found away; 0: never */
};

/* ---- the client ---- */

/* Client certificates in files are renewed as well. One that cannot be read leaves the client as it
 * was. */
static void renew_identity(struct kube *kube)
{
    uint64_t now = clock_boottime_ms(kube->clock);
    struct error err = ERROR_INIT;
    struct http *http;
    if (!kube->config->client_certificate_file || now - kube->identity_ms < ROUTE_LIFETIME_MS)
        return;
    kube->identity_ms = now;
    if (route_open(&kube->route, &http, &err)) {
        log_debug("keeping the client certificate as it was", LOG_TEXT("cause", err.text));
        return;
    }
    http_close(kube->http);
    kube->http = http;
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
    const struct kubeconfig *config = kube->config;
    kube->identity_ms = clock_boottime_ms(kube->clock);
    route_init(&kube->route, config);
    kube->route.clock = kube->clock;
    kube->route.cancel = kube->cancel;
    kube->route.stall_timeout_ms = kube->deadline_ms;
    if (token_init(&kube->token, config->token_file, &config->token, kube->clock, err) ||
        route_open(&kube->route, &kube->http, err))
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
    route_release(&kube->route);
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
    bool is_in_a_hurry = cancel_is_requested(kube->cancel) && kube->patience_ms > HURRY_MS;
    return is_in_a_hurry ? HURRY_MS : kube->patience_ms;
}

void kube_set_deaf(struct kube *kube, bool is_deaf)
{
    kube->is_deaf = is_deaf;
}

void kube_set_write_guard(struct kube *kube, enum errc (*guard)(void *context, struct error *err),
                          void *context)
{
    kube->write_guard = guard;
    kube->write_guard_context = context;
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
    str_append(url, kube->route.base_url);
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

/* Before each try: a call may go on for longer than a token lives, or a lock. */
static enum errc begin_try(void *context, struct str *ret_lines, struct error *err)
{
    struct kube *kube = context;
    uint64_t spent_ms = clock_boottime_ms(kube->clock) - kube->begin_ms;
    if (kube->tries && spent_ms > kube_patience(kube)) /* it was told to stop since it began */
        return error_set(err, ERR_API, "told to stop while the server is away");
    if (kube->is_writing && kube->write_guard && kube->write_guard(kube->write_guard_context, err))
        return err->code;
    kube->tries++;
    token_refresh(&kube->token);
    if (secret_reveal(&kube->token.value))
        str_printf(ret_lines, "Authorization: Bearer %s\n", secret_reveal(&kube->token.value));
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
        .total_ms = kube_patience(kube),
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
        .sign = begin_try,
        .sign_context = kube,
        .is_write = verdict_is_write(request),
        .is_deaf = kube->is_deaf,
    };
    kube->tries = 0;
    kube->begin_ms = clock_boottime_ms(kube->clock);
    kube->is_writing = http_request.is_write;
    enum errc code = http_send(kube->http, &http_request, ret_response, err);
    if (code || kube->tries > 1)
        kube->trouble_ms = clock_boottime_ms(kube->clock);
    return code;
}

/* A server that has just come back refuses whom it does not know yet: it reads roles and accounts
 * while it answers already. */
static bool is_doubtful(const struct kube *kube, int status)
{
    return (status == 401 || status == 403) && kube->trouble_ms &&
           clock_boottime_ms(kube->clock) - kube->trouble_ms < DOUBT_MS;
}

/* A refusal had no effect, so a write may be sent again as well. */
static enum errc exchange_in_doubt(struct kube *kube, const struct kube_request *request,
                                   const char *url, struct http_response *ret_response,
                                   struct error *err)
{
    const struct cancel *cancel = kube->is_deaf ? NULL : kube->cancel;
    enum errc code = exchange(kube, request, url, ret_response, err);
    for (int try = 0; try < DOUBT_TRIES && !code && is_doubtful(kube, ret_response->status) &&
                      !request->is_impatient && !cancel_is_requested(cancel);
         try++) {
        log_debug("refused by a server that has just come back: asking again");
        http_response_release(ret_response);
        clock_sleep_ms(kube->clock, DOUBT_PAUSE_MS, cancel);
        code = exchange(kube, request, url, ret_response, err);
    }
    return code;
}

/* A 401 had no effect, so a write may be sent again as well. */
static enum errc exchange_as_ourselves(struct kube *kube, const struct kube_request *request,
                                       const char *url, struct http_response *ret_response,
                                       struct error *err)
{
    renew_identity(kube);
    if (exchange_in_doubt(kube, request, url, ret_response, err))
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
