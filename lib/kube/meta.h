/*
 * meta - what every object has: identity, annotations, marks, owner; and lists of objects.
 */
#ifndef RR_KUBE_META_H
#define RR_KUBE_META_H

#include "lib/kube/kube.h"

struct meta {
    const char *name, *uid, *resource_version;
    const char *controller;                /* "Kind/name" of the owner that controls it, or NULL */
    const char *marked_run, *marked_state; /* MARK_RUN, MARK_STATE; NULL: not there */
    size_t annotation_bytes;               /* as the server counts them: names and values */
    bool has_annotations, is_being_deleted;
};

/* ERR_API when the answer lacks what every object has, or a name that no object can have. `kind` is
 * for the text. Texts live in the arena. */
enum errc meta_read(struct arena *arena, const char *kind, const struct json *json,
                    struct meta *ret_meta, struct error *err) RR_MUST_CHECK;

/* ERR_API "KIND 'NAME': the server's answer has no usable FIELD". */
enum errc meta_unusable(const char *kind, const char *name, const char *field, struct error *err);

/* The first member of `array` (of owner references, conditions, ...) whose `member` is `text`. */
const struct json *meta_find(const struct json *array, const char *member, const char *text);
/* The owner reference that controls the object, or NULL. */
const struct json *meta_controller(const struct json *json);

/* How a list is taken: `read` fills one item of `item_bytes` from one object. */
struct meta_list {
    const struct kube_resource *resource;
    const char *label_selector; /* NULL: all of the namespace */
    size_t item_bytes;
    enum errc (*read)(void *context, struct arena *arena, const struct json *json, void *ret_item,
                      struct error *err);
    void *context;
};

/* An array in order of name. ERR_TOO_LARGE over LIMIT_LISTED_OBJECTS. */
enum errc meta_list(struct kube *kube, struct arena *arena, const struct meta_list *list,
                    void **ret_items, size_t *ret_count, struct error *err) RR_MUST_CHECK;

#endif
