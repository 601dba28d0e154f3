#include "lib/kube/verdict.h"

#include <string.h>

#include "lib/kube/access.h"

enum {
    SHOWN_MESSAGE_BYTES = 400,
    SHOWN_HEAD_BYTES = 100,
    SHOWN_BODY_BYTES = 80,
    SHOWN_WORD_BYTES = 64
};

/* A Status object (apimachinery, meta/v1), where the answer is one. */
struct status {
    bool is_one;
    const char *message, *reason; /* NULL: it does not say */
};

const char *verdict_rbac_verb(const struct kube_request *request)
{
    switch (request->verb) {
    case KUBE_GET:
        return request->name ? "get" : "list";
    case KUBE_CREATE:
        return "create";
    case KUBE_UPDATE:
        return "update";
    case KUBE_DELETE:
        return "delete";
    case KUBE_JSON_PATCH:
    case KUBE_MERGE_PATCH:
    case KUBE_APPLY:
        break;
    }
    return "patch";
}

bool verdict_is_write(const struct kube_request *request)
{
    return request->verb != KUBE_GET && !request->has_no_effect;
}

/* ---- words ---- */

/* Puts "cannot patch deployments.apps 'web' in namespace 'shop'" in front. */
static enum errc say_what(const struct kube *kube, const struct kube_request *request,
                          struct error *err)
{
    const struct kube_resource *resource = request->resource;
    STR_GUARD struct str what = STR_INIT(4 * SHOWN_MESSAGE_BYTES);
    str_printf(&what, "cannot %s %s", verdict_rbac_verb(request), resource->plural);
    if (*resource->group)
        str_printf(&what, ".%s", resource->group);
    if (request->name) {
        str_append_char(&what, ' ');
        str_append_quoted(&what, request->name, SHOWN_MESSAGE_BYTES);
    }
    if (!resource->is_cluster_wide)
        str_printf(&what, " in namespace '%s'", kube_namespace(kube));
    return error_wrap(err, "%s", str_text(&what));
}

static void append_header(struct str *s, const struct http_response *response, const char *name,
                          const char *before)
{
    STR_GUARD struct str value = STR_INIT(2 * SHOWN_WORD_BYTES);
    if (!http_header_get(response, name, &value) || !value.length)
        return;
    str_append(s, before);
    str_append_quoted(s, str_text(&value), SHOWN_WORD_BYTES);
}

/* A long message (an invalid patch is answered with the whole object) says at its end what is
 * wrong.
 */
static void append_message(struct str *s, const char *message)
{
    size_t length = strlen(message);
    if (length <= SHOWN_MESSAGE_BYTES) {
        str_append_quoted(s, message, SHOWN_MESSAGE_BYTES);
        return;
    }
    str_append_quoted(s, message, SHOWN_HEAD_BYTES);
    str_append(s, " ");
    str_append_quoted(s, message + length - (SHOWN_MESSAGE_BYTES - SHOWN_HEAD_BYTES),
                      SHOWN_MESSAGE_BYTES);
}

static void append_body(struct str *s, const struct http_response *response)
{
    append_header(s, response, "content-type", " of type ");
    if (response->body.length) {
        str_append(s, ": ");
        str_append_quoted(s, str_text(&response->body), SHOWN_BODY_BYTES);
    } else {
        str_append(s, ": nothing");
    }
}

/* Only an API server gives one. */
static bool has_audit_id(const struct http_response *response)
{
    STR_GUARD struct str value = STR_INIT(2 * SHOWN_WORD_BYTES);
    return http_header_get(response, "audit-id", &value);
}

static enum errc hint_at_server(const struct kube *kube, struct error *err)
{
    const struct kubeconfig *config = kube_config(kube);
    return error_hint(err, "check that %s (%s) is a Kubernetes API server, and what stands between",
                      config->server, config->origin);
}

/* ---- refusals ---- */

static struct status read_status(const struct json_document *document)
{
    const struct json *root = document ? json_root(document) : NULL;
    const char *kind = json_get_text(root, "kind");
    return (struct status){
        .is_one = kind && strcmp(kind, "Status") == 0,
        .message = json_get_text(root, "message"),
        .reason = json_get_text(root, "reason"),
    };
}

/* What a proxy or a load balancer answers says nothing about the object. */
static enum errc code_of(const struct kube_request *request, int http_status, bool is_status)
{
    switch (http_status) {
    case 401:
        return ERR_UNAUTHENTICATED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return is_status ? ERR_NOT_FOUND : ERR_API;
    case 409:
        return is_status ? ERR_CONFLICT : ERR_API;
    case 410:
        return is_status ? ERR_EXPIRED : ERR_API;
    case 400:
    case 405:
    case 406:
    case 413:
    case 415:
    case 422:
        return ERR_REJECTED;
    case 500:
    case 502:
    case 504:
        return verdict_is_write(request) ? ERR_ANSWER_LOST : ERR_API;
    default:
        return ERR_API;
    }
}

/* A PUT or an apply that would create needs "create" as well: the server says which verb it missed,
 * "... cannot create resource ...". */
static const char *find_missing_verb(const char *message, const struct kube_request *request)
{
    static const char *const verbs[] = {"get", "list", "create", "update", "delete", "patch", NULL};
    const char *at = message ? strstr(message, " cannot ") : NULL;
    for (const char *const *verb = verbs; at && *verb; verb++)
        if (text_has_prefix(at + 8, *verb) && text_has_prefix(at + 8 + strlen(*verb), " resource"))
            return *verb;
    return message ? NULL : verdict_rbac_verb(request);
}

static enum errc hint_at_right(const struct kube_request *request, const struct status *status,
                               struct error *err)
{
    const char *verb = find_missing_verb(status->message, request);
    if (!verb)
        return error_hint(err, "this is no missing right: a quota, an admission webhook or a "
                               "namespace that is being deleted refuses; the message says which");
    STR_GUARD struct str rule = STR_INIT(ERROR_HINT_SIZE);
    bool is_named = request->name && strcmp(verb, "list") != 0;
    access_render_rule(&rule, request->resource, verb, is_named ? request->name : NULL);
    return error_hint(err, "add to the rules of the %s: %s",
                      request->resource->is_cluster_wide ? "ClusterRole" : "Role", str_text(&rule));
}

static enum errc hint_at_identity(const struct kube *kube, struct error *err)
{
    const struct kubeconfig *config = kube_config(kube);
    if (config->token_file)
        return error_hint(err,
                          "is the token in '%s' of this cluster? it dies with its pod and its "
                          "service account",
                          config->token_file);
    if (secret_reveal(&config->token))
        return error_hint(err, "has the token of %s expired?", config->origin);
    if (config->client_certificate_file || config->client_certificate_pem)
        return error_hint(err, "has the client certificate of %s expired?", config->origin);
    return error_hint(err, "%s names no token and no client certificate", config->origin);
}

static enum errc refuse(const struct kube *kube, const struct kube_request *request,
                        const struct http_response *response, const struct status *status,
                        struct error *err)
{
    enum errc code = code_of(request, response->status, status->is_one);
    bool is_unknown_kind = response->status == 404 && !status->is_one && has_audit_id(response);
    STR_GUARD struct str text = STR_INIT(4 * ERROR_TEXT_SIZE);
    str_printf(&text, "the API server answered %d", response->status);
    if (status->is_one && status->message) {
        str_append(&text, ": ");
        append_message(&text, status->message);
    } else if (status->is_one && status->reason) {
        str_append(&text, ": ");
        str_append_quoted(&text, status->reason, SHOWN_WORD_BYTES);
    } else if (is_unknown_kind) {
        str_printf(&text, ": it serves no %s%s%s", request->resource->group,
                   *request->resource->group ? "/" : "", request->resource->version);
    } else if (response->body.length) {
        str_append(&text, " and what came is not from a Kubernetes API server");
        append_body(&text, response);
    }
    append_header(&text, response, "audit-id", ", audit id ");
    error_set(err, code, "%s", str_text(&text));
    err->http_status = response->status;
    if (code == ERR_FORBIDDEN)
        (void)hint_at_right(request, status, err);
    else if (code == ERR_UNAUTHENTICATED)
        (void)hint_at_identity(kube, err);
    else if (is_unknown_kind)
        (void)error_hint(err, "compare with `kubectl api-versions`; is the path in %s (%s) right?",
                         kube_config(kube)->server, kube_config(kube)->origin);
    else if (!status->is_one)
        (void)hint_at_server(kube, err);
    return say_what(kube, request, err);
}

/* ---- objects ---- */

/* What is wrong with an object that came with 2xx; NULL: nothing. */
static const char *find_fault(const struct kube_request *request, bool is_list,
                              const struct json *root)
{
    const struct kube_resource *resource = request->resource;
    const char *version = json_get_text(root, "apiVersion");
    if (!json_is_object(root))
        return "is no object";
    if (request->verb == KUBE_DELETE)
        return NULL; /* a Status or the object */
    if (version && *resource->group) {
        size_t length = strlen(resource->group);
        if (strncmp(version, resource->group, length) != 0 || version[length] != '/')
            return "is of another API group";
    }
    if (is_list) {
        const struct json *items = json_get(root, "items");
        return json_is_array(items) ? NULL : "is no list";
    }
    if (!json_is_object(json_get(root, "metadata")))
        return "has no metadata";
    const char *name = kube_meta(root, "name");
    return request->name && !text_equal(name, request->name) ? "has another name" : NULL;
}

static enum errc refuse_object(const struct kube *kube, const struct kube_request *request,
                               const struct http_response *response, const char *fault,
                               const char *detail, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(4 * ERROR_TEXT_SIZE);
    str_printf(&text, "what came with %d %s", response->status, fault);
    if (detail)
        str_printf(&text, " (%s)", detail);
    append_body(&text, response);
    error_set(err, verdict_is_write(request) ? ERR_ANSWER_LOST : ERR_API, "%s", str_text(&text));
    err->http_status = response->status;
    (void)hint_at_server(kube, err);
    return say_what(kube, request, err);
}

static enum errc take_object(const struct kube *kube, const struct kube_request *request,
                             bool is_list, const struct http_response *response,
                             struct json_document **document, const char *parse_fault,
                             struct kube_answer *ret_answer, struct error *err)
{
    if (!*document)
        return refuse_object(kube, request, response, "is not JSON", parse_fault, err);
    const char *fault = find_fault(request, is_list, json_root(*document));
    if (fault)
        return refuse_object(kube, request, response, fault, NULL, err);
    *ret_answer = (struct kube_answer){.status = response->status, .document = *document};
    *document = NULL;
    return RR_OK;
}

enum errc verdict_on_answer(const struct kube *kube, const struct kube_request *request,
                            bool is_list, const struct http_response *response,
                            struct kube_answer *ret_answer, struct error *err)
{
    JSON_GUARD struct json_document *document = NULL;
    struct error bad_json = ERROR_INIT;
    if (json_parse(str_text(&response->body), response->body.length, "the answer", &document,
                   &bad_json))
        document = NULL;
    if (response->status >= 200 && response->status < 300)
        return take_object(kube, request, is_list, response, &document,
                           bad_json.code ? bad_json.text : NULL, ret_answer, err);
    struct status status = read_status(document);
    return refuse(kube, request, response, &status, err);
}

enum errc verdict_on_failure(const struct kube *kube, const struct kube_request *request,
                             bool may_have_acted, struct error *err)
{
    switch (err->code) {
    case ERR_NETWORK:
    case ERR_TIMEOUT:
    case ERR_HTTP:
    case ERR_TOO_LARGE:
        (void)error_recode(err,
                           verdict_is_write(request) && may_have_acted ? ERR_ANSWER_LOST : ERR_API);
        break;
    default:
        break;
    }
    const struct kubeconfig *config = kube_config(kube);
    (void)error_wrap(err, "API server %s (%s)", config->server, config->origin);
    return say_what(kube, request, err);
}
