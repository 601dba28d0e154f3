/*
 * ingress - Ingresses (networking.k8s.io/v1): every backend pointed at a maintenance Service, and
 * back, field by field.
 *
 * Nothing is deleted; class, TLS and other annotations are not touched. The record of what there
 * was is a JSON array, kept by the caller (journal) and as an annotation of the Ingress:
 *
 *     [{"path":"/spec/rules/0/http/paths/0/backend","backend":{"service":{...}}}, ...]
 *
 * Every patch tests uid, resourceVersion and each backend that it replaces.
 */
#ifndef RR_KUBE_INGRESS_H
#define RR_KUBE_INGRESS_H

#include "lib/kube/kube.h"

struct ingress {
    const char *name, *uid, *resource_version;
    const char *backends;        /* as they are now, the array above; "[]": it has none */
    const char *marked_backends; /* what the annotation records, NULL: not marked */
    const char *marked_run, *marked_state;
    bool has_annotations;
};

const struct kube_resource *ingress_resource(void);
/* Texts live in the arena. */
enum errc ingress_get(struct kube *kube, struct arena *arena, const char *name,
                      struct ingress *ret_ingress, struct error *err) RR_MUST_CHECK;
/* In order of name; `label_selector` NULL: all of the namespace. */
enum errc ingress_list(struct kube *kube, struct arena *arena, const char *label_selector,
                       struct ingress **ret_ingresses, size_t *ret_count,
                       struct error *err) RR_MUST_CHECK;

/* A Service as a backend: "NAME" (port 80), "NAME:8080" or "NAME:http". ERR_CONFIG. */
enum errc ingress_render_service(struct arena *arena, const char *service, const char **ret_backend,
                                 struct error *err) RR_MUST_CHECK;

/* Points every backend at `service_backend` and marks the Ingress, in one patch. An existing mark
 * stays. ERR_CONFLICT: changed since it was read. Lost answers are read back. */
enum errc ingress_disable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                          const char *service_backend, const char *run, const char *state,
                          struct error *err) RR_MUST_CHECK;
/* Puts back what `recorded` says (the mark, if there is one, is the same) wherever the backend
 * still is `service_backend`, and removes the mark. *ret_left_alone counts the backends that
 * somebody changed meanwhile: they stay as they are. */
enum errc ingress_enable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                         const char *recorded, const char *service_backend, size_t *ret_left_alone,
                         struct error *err) RR_MUST_CHECK;

#endif
