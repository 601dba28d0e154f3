#include "lib/kube/access.h"

#include <string.h>

#include "lib/base/limits.h"

static const struct kube_resource reviews = {
    .group = "authorization.k8s.io",
    .version = "v1",
    .plural = "selfsubjectaccessreviews",
    .is_cluster_wide = true,
};

static void append_attribute(struct str *body, const char *name, const char *value)
{
    str_printf(body, ",\"%s\":", name);
    str_append_json(body, value);
}

static void render_review(const struct kube *kube, const struct access *access, struct str *body)
{
    str_append(body, "{\"apiVersion\":\"authorization.k8s.io/v1\","
                     "\"kind\":\"SelfSubjectAccessReview\",\"spec\":{\"resourceAttributes\":{"
                     "\"verb\":");
    str_append_json(body, access->verb);
    append_attribute(body, "group", access->resource->group);
    append_attribute(body, "resource", access->resource->plural);
    if (!access->resource->is_cluster_wide)
        append_attribute(body, "namespace", kube_namespace(kube));
    if (access->name)
        append_attribute(body, "name", access->name);
    str_append(body, "}}}");
}

enum errc access_check(struct kube *kube, const struct access *access, bool *ret_is_allowed,
                       struct error *err)
{
    STR_GUARD struct str body = STR_INIT(LIMIT_STATE_FILE_BYTES);
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    render_review(kube, access, &body);
    const struct kube_request request = {
        .verb = KUBE_CREATE,
        .resource = &reviews,
        .body = str_text(&body),
        .has_no_effect = true,
    };
    if (str_check(&body, "a question about rights", err) || kube_send(kube, &request, &answer, err))
        return err->code;
    const struct json *status = json_get(json_root(answer.document), "status");
    if (!json_bool(json_get(status, "allowed"), ret_is_allowed))
        return error_set(err, ERR_API, "the API server does not say whether we may %s %s",
                         access->verb, access->resource->plural);
    return RR_OK;
}

void access_render_rule(struct str *s, const struct kube_resource *resource, const char *verb,
                        const char *name)
{
    str_printf(s, "- {apiGroups: [%s], resources: [%s]",
               *resource->group ? resource->group : "\"\"", resource->plural);
    if (name)
        str_printf(s, ", resourceNames: [\"%s\"]", name);
    str_printf(s, ", verbs: [%s]}", verb);
}
