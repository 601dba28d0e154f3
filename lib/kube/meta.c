#include "lib/kube/meta.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/kube/workload.h"

enum { NAME_MAX_BYTES = 253 }; /* DNS subdomain: what the API server allows at most */

/* Names become part of URLs and of texts that are shown: nothing else than what the server itself
 * allows. */
static bool is_object_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= NAME_MAX_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == length && name[0] != '.' &&
           name[0] != '-';
}

enum errc meta_unusable(const char *kind, const char *name, const char *field, struct error *err)
{
    return error_set(err, ERR_API, "%s '%s': the server's answer has no usable %s", kind, name,
                     field);
}

const struct json *meta_find(const struct json *array, const char *member, const char *text)
{
    if (!json_is_array(array))
        return NULL;
    for (const struct json *item = json_first(array); item; item = json_next(item)) {
        const char *value = json_get_text(item, member);
        if (value && strcmp(value, text) == 0)
            return item;
    }
    return NULL;
}

const struct json *meta_controller(const struct json *json)
{
    const struct json *owners = json_get(json_get(json, "metadata"), "ownerReferences");
    if (!json_is_array(owners))
        return NULL;
    for (const struct json *owner = json_first(owners); owner; owner = json_next(owner)) {
        bool is_controller = false;
        if (json_bool(json_get(owner, "controller"), &is_controller) && is_controller)
            return owner;
    }
    return NULL;
}

static const char *controller_text(struct arena *arena, const struct json *json)
{
    const struct json *owner = meta_controller(json);
    const char *kind = json_get_text(owner, "kind"), *name = json_get_text(owner, "name");
    return owner ? arena_printf(arena, "%s/%s", kind ? kind : "?", name ? name : "?") : NULL;
}

static size_t annotation_bytes(const struct json *annotations)
{
    size_t bytes = 0;
    for (const struct json *one = json_first(annotations); one; one = json_next(one)) {
        const char *value = json_text(one);
        bytes += strlen(json_name(one)) + (value ? strlen(value) : 0);
    }
    return bytes;
}

enum errc meta_read(struct arena *arena, const char *kind, const struct json *json,
                    struct meta *ret_meta, struct error *err)
{
    const char *name = kube_meta(json, "name");
    if (!name || !is_object_name(name))
        return error_set(err, ERR_API, "%s without a usable name in the server's answer", kind);
    const char *uid = kube_meta(json, "uid");
    const char *version = kube_meta(json, "resourceVersion");
    if (!uid || !*uid)
        return meta_unusable(kind, name, "metadata.uid", err);
    if (!version || !*version)
        return meta_unusable(kind, name, "metadata.resourceVersion", err);
    const struct json *metadata = json_get(json, "metadata");
    const struct json *annotations = json_get(metadata, "annotations");
    *ret_meta = (struct meta){
        .name = arena_strdup(arena, name),
        .uid = arena_strdup(arena, uid),
        .resource_version = arena_strdup(arena, version),
        .controller = controller_text(arena, json),
        .marked_run = arena_strdup(arena, kube_annotation(json, MARK_RUN)),
        .marked_state = arena_strdup(arena, kube_annotation(json, MARK_STATE)),
        .annotation_bytes = annotation_bytes(annotations),
        .has_annotations = json_is_object(annotations),
        .is_being_deleted = json_get_text(metadata, "deletionTimestamp") != NULL,
    };
    return RR_OK;
}

/* ---- lists ---- */

struct entry {
    const char *name;
    void *item;
};

struct collection {
    const struct meta_list *list;
    struct arena *arena;
    struct entry *entries; /* heap */
    size_t count, capacity;
};

static void release_collection(struct collection *collection)
{
    free(collection->entries);
}

static enum errc take_item(void *context, const struct json *json, struct error *err)
{
    struct collection *c = context;
    if (c->count == LIMIT_LISTED_OBJECTS) {
        error_set(err, ERR_TOO_LARGE, "more than %zu %s in one list", c->count,
                  c->list->resource->plural);
        return error_hint(err, "name them, or use a narrower selector");
    }
    void *item = arena_alloc(c->arena, c->list->item_bytes);
    enum errc code = c->list->read(c->list->context, c->arena, json, item, err);
    if (code)
        return code;
    if (c->count == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 16;
        c->entries = mem_resize(c->entries, c->capacity * sizeof *c->entries);
    }
    const char *name = arena_strdup(c->arena, kube_meta(json, "name"));
    c->entries[c->count++] = (struct entry){name, item};
    return RR_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

enum errc meta_list(struct kube *kube, struct arena *arena, const struct meta_list *list,
                    void **ret_items, size_t *ret_count, struct error *err)
{
    __attribute__((cleanup(release_collection))) struct collection c = {.list = list,
                                                                        .arena = arena};
    enum errc code = kube_list(kube, list->resource, list->label_selector, take_item, &c, err);
    if (code == ERR_EXPIRED) { /* it grew too old between two pages: once more from the start */
        error_clear(err);
        c.count = 0;
        code = kube_list(kube, list->resource, list->label_selector, take_item, &c, err);
    }
    if (code)
        return code;
    if (c.count > 1)
        qsort(c.entries, c.count, sizeof *c.entries, compare_entries);
    char *items = arena_array(arena, c.count, list->item_bytes);
    for (size_t i = 0; i < c.count; i++)
        memcpy(items + i * list->item_bytes, c.entries[i].item, list->item_bytes);
    *ret_items = items;
    *ret_count = c.count;
    return RR_OK;
}
