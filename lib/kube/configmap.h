/*
 * configmap - reading and writing ConfigMaps (v1).
 *
 * A write whose answer was lost is read back and decided here: the functions come back with what is
 * true on the server.
 */
#ifndef RR_KUBE_CONFIGMAP_H
#define RR_KUBE_CONFIGMAP_H

#include "lib/kube/kube.h"

struct configmap {
    const char *name, *uid, *resource_version;
    const char *managed_by; /* label app.kubernetes.io/managed-by, NULL if there is none */
    const char *kept;       /* what others put into its metadata, see kept.h */
    bool is_immutable, is_being_deleted;
    const char **keys, **values; /* of data */
    size_t count;
};

/* Texts live in the arena. ERR_NOT_FOUND and as kube_send(). `ret_manager` may be NULL; else it
 * gets the manager that owns data[managed_key], NULL: nobody. */
enum errc configmap_read(struct kube *kube, struct arena *arena, const char *name,
                         const char *managed_key, struct configmap *ret_map,
                         const char **ret_manager, struct error *err) RR_MUST_CHECK;
/* Value of a key, NULL if there is none. */
const char *configmap_get(const struct configmap *map, const char *key);
/* Whether its data is exactly this. */
bool configmap_holds(const struct configmap *map, const char *const *keys,
                     const char *const *values, size_t count);
/* A copy whose texts live in another arena. */
struct configmap configmap_copy(struct arena *arena, const struct configmap *map);

/* Sets data[key] if uid is still `map->uid` and the value still what `map` holds (absent: absent).
 * ERR_CONFLICT otherwise. */
enum errc configmap_set_key(struct kube *kube, const struct configmap *map, const char *key,
                            const char *value, struct error *err) RR_MUST_CHECK;

/* Creates an empty one of ours (label managed-by) by server-side apply, so that a Role can name it.
 * ERR_CONFLICT if it is there already. */
enum errc configmap_create(struct kube *kube, struct arena *arena, const char *name,
                           struct configmap *ret_map, struct error *err) RR_MUST_CHECK;

/* Replaces the data of `map` (uid and resourceVersion are sent; what others put into its metadata
 * stays). A write of somebody else's that left uid and data as they are in `map` (a label, an
 * annotation) is no conflict. On success `map` is what the server has now: new data and
 * resource_version, in the arena. ERR_CONFLICT (another data, another uid), ERR_NOT_FOUND,
 * ERR_TOO_LARGE. */
enum errc configmap_replace(struct kube *kube, struct arena *arena, struct configmap *map,
                            const char *const *keys, const char *const *values, size_t count,
                            struct error *err) RR_MUST_CHECK;

#endif
