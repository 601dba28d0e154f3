/*
 * rights - what the program must be allowed to do in the namespace, from the configuration. Pure.
 *
 * The same rules are asked of the server before a restore (application_check.c) and printed as a
 * Role (`print-rbac`), so that nothing is found missing when the application is away. Whatever the
 * configuration names is named here; objects of a selector cannot be, as a Role knows no labels.
 * Reading workloads and Ingresses is in every Role: what an earlier run left away is found by it,
 * whatever today's configuration says.
 */
#ifndef RR_RECONCILE_RIGHTS_H
#define RR_RECONCILE_RIGHTS_H

#include "lib/base/arena.h"
#include "lib/base/str.h"
#include "lib/kube/kube.h"
#include "lib/reconcile/spec.h"

enum { RIGHT_RESOURCES_MAX = 2, RIGHT_VERBS_MAX = 4, RIGHTS_MAX = 16 };

/* One rule of a Role: every verb on every resource and name. Resources are of one API group. */
struct right {
    const char *why;
    const struct kube_resource *resources[RIGHT_RESOURCES_MAX]; /* NULL fills up */
    const char *const *names; /* `name_count` 0: all of the kind */
    size_t name_count;
    const char *verbs[RIGHT_VERBS_MAX]; /* in order of the alphabet; NULL fills up */
    bool is_courtesy;                   /* a restore works without it */
};

struct rights {
    struct right items[RIGHTS_MAX];
    size_t count;
};

/* `state` is the ConfigMap's name. Texts live in the arena. */
void rights_of(struct arena *arena, const struct spec *spec, const char *state,
               struct rights *ret_rights);

/* The Role as YAML. `namespace_name` NULL: it has none. */
void rights_render_role(const struct rights *rights, const char *namespace_name, struct str *text);

#endif
