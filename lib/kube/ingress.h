/*
 * ingress - Ingresses (networking.k8s.io/v1): every backend pointed at a maintenance Service, and
 * back, field by field.
 *
 * Nothing is deleted; class, TLS and other annotations are not touched. The record of what there
 * was is a JSON array, kept by the caller (journal) and as an annotation of the Ingress; its form
 * is in lib/kube/backends.h. A record from an annotation or a journal is read strictly: one that is
 * not ours is ERR_STEP, and nothing is changed.
 *
 * Every patch tests uid, resourceVersion and each backend that it replaces.
 */
#ifndef RR_KUBE_INGRESS_H
#define RR_KUBE_INGRESS_H

#include "lib/kube/kube.h"

struct ingress {
    const char *name, *uid, *resource_version;
    const char *backends;        /* as they are now, a record; "[]": it has none */
    bool is_marked;              /* any of the three annotations is there, legible or not */
    const char *marked_backends; /* what the annotation records, NULL: not there */
    const char *marked_run, *marked_state; /* NULL: not there */
    bool has_annotations;
    size_t annotation_bytes; /* the server takes LIMIT_ANNOTATIONS_BYTES */
    bool is_being_deleted;   /* somebody deleted it; finalizers hold it */
    const char *controller;  /* "Kind/name" of its owner, which may undo what we do; or NULL */
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

/* Points every backend at `service_backend` and marks the Ingress, in one patch; *ingress is what
 * the server has then. An Ingress without any backend is left as it is. An existing mark stays, and
 * then only what it records is pointed away. ERR_CONFLICT: changed since it was read; *ingress is
 * the new one. ERR_TOO_LARGE: the record does not fit into its annotations. ERR_STEP: marked by
 * another state, which is named. ERR_REJECTED: an admission webhook or the server refused. Lost
 * answers are read back. */
enum errc ingress_disable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                          const char *service_backend, const char *run, const char *state,
                          struct error *err) RR_MUST_CHECK;
/* Puts back what `recorded` says (NULL: what the mark says) wherever the backend still is
 * `service_backend`, also where its rule has moved to, and removes the mark, whoever's it is.
 * *ret_left_alone counts the backends that somebody changed or removed meanwhile: they stay as they
 * are. Errors as above. */
enum errc ingress_enable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                         const char *recorded, const char *service_backend, size_t *ret_left_alone,
                         struct error *err) RR_MUST_CHECK;

#endif
