/*
 * access - what we are allowed to do, asked of the server before it is needed
 * (SelfSubjectAccessReview, authorization.k8s.io/v1; everybody may ask).
 */
#ifndef RR_KUBE_ACCESS_H
#define RR_KUBE_ACCESS_H

#include "lib/kube/kube.h"

/* One verb on one kind in the client's namespace; `name` NULL: on all of them. */
struct access {
    const struct kube_resource *resource;
    const char *verb; /* "get", "list", "create", "update", "patch" */
    const char *name;
};

enum errc access_check(struct kube *kube, const struct access *access, bool *ret_is_allowed,
                       struct error *err) RR_MUST_CHECK;
/* The rule that a Role needs, in one line of YAML: `- {apiGroups: [apps], resources: [...], ...}`.
 */
void access_render_rule(struct str *s, const struct kube_resource *resource, const char *verb,
                        const char *name);

#endif
