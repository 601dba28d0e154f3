/*
 * Writes are compare-and-swap. Where the server's answer is lost, or does not say what was in the
 * way (a JSON patch whose `test` fails, an admission rule, an immutable object: all are 422), the
 * object is read and the facts decide: done, not done (sent again), or changed by somebody else.
 */
#include "lib/kube/configmap.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/kube/kept.h"

enum { TRIES = 3 };

static const struct kube_resource configmaps = {"", "v1", "configmaps", false};

/* --- reading */

static size_t count_members(const struct json *object)
{
    size_t count = 0;
    for (const struct json *item = json_first(object); item; item = json_next(item))
        count++;
    return count;
}

static enum errc parse(struct arena *arena, const struct json *object, struct configmap *ret_map,
                       struct error *err)
{
    const char *name = kube_meta(object, "name"), *uid = kube_meta(object, "uid"),
               *version = kube_meta(object, "resourceVersion");
    const struct json *data = json_get(object, "data");
    if (!name || !uid || !version)
        return error_set(err, ERR_API, "the answer is no ConfigMap");
    size_t count = count_members(data);
    struct configmap map = {
        .name = arena_strdup(arena, name),
        .uid = arena_strdup(arena, uid),
        .resource_version = arena_strdup(arena, version),
        .managed_by = arena_strdup(arena, kube_label(object, KUBE_MANAGED_BY)),
        .kept = kept_metadata(arena, object),
        .is_being_deleted = kube_meta(object, "deletionTimestamp") != NULL,
        .keys = arena_array(arena, count, sizeof *map.keys),
        .values = arena_array(arena, count, sizeof *map.values),
    };
    (void)json_bool(json_get(object, "immutable"), &map.is_immutable);
    for (const struct json *item = json_first(data); item; item = json_next(item)) {
        if (!json_text(item))
            return error_set(err, ERR_API, "ConfigMap '%s' holds a value that is no string", name);
        map.keys[map.count] = arena_strdup(arena, json_name(item));
        map.values[map.count++] = arena_strdup(arena, json_text(item));
    }
    *ret_map = map;
    return RR_OK;
}

enum errc configmap_read(struct kube *kube, struct arena *arena, const char *name,
                         const char *managed_key, struct configmap *ret_map,
                         const char **ret_manager, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct kube_request request = {.verb = KUBE_GET, .resource = &configmaps, .name = name};
    enum errc code = kube_send(kube, &request, &answer, err);
    if (code)
        return code;
    const struct json *object = json_root(answer.document);
    if ((code = parse(arena, object, ret_map, err)))
        return code;
    const char *const path[] = {"data", managed_key, NULL};
    if (ret_manager)
        *ret_manager = kube_field_manager(arena, object, path);
    return RR_OK;
}

const char *configmap_get(const struct configmap *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->keys[i], key) == 0)
            return map->values[i];
    return NULL;
}

bool configmap_holds(const struct configmap *map, const char *const *keys,
                     const char *const *values, size_t count)
{
    bool is_equal = map->count == count;
    for (size_t i = 0; i < count && is_equal; i++)
        is_equal = text_equal(configmap_get(map, keys[i]), values[i]);
    return is_equal;
}

static void set_data(struct arena *arena, struct configmap *map, const char *const *keys,
                     const char *const *values, size_t count)
{
    map->keys = arena_array(arena, count, sizeof *map->keys);
    map->values = arena_array(arena, count, sizeof *map->values);
    for (size_t i = 0; i < count; i++) {
        map->keys[i] = arena_strdup(arena, keys[i]);
        map->values[i] = arena_strdup(arena, values[i]);
    }
    map->count = count;
}

struct configmap configmap_copy(struct arena *arena, const struct configmap *map)
{
    struct configmap copy = *map;
    copy.name = arena_strdup(arena, map->name);
    copy.uid = arena_strdup(arena, map->uid);
    copy.resource_version = arena_strdup(arena, map->resource_version);
    copy.managed_by = arena_strdup(arena, map->managed_by);
    copy.kept = arena_strdup(arena, map->kept);
    set_data(arena, &copy, map->keys, map->values, map->count);
    return copy;
}

/* --- one key */

static void append_test(struct str *patch, const char *path, const char *key, const char *value)
{
    STR_GUARD struct str pointer = STR_INIT(LIMIT_KUBE_METADATA_BYTES);
    str_append(&pointer, path);
    if (key)
        kube_pointer_append(&pointer, key);
    str_append(patch, "{\"op\":\"test\",\"path\":");
    str_append_json(patch, str_text(&pointer));
    str_append(patch, ",\"value\":");
    str_append_json(patch, value);
    str_append(patch, "},");
}

/* A test of an absent member against null passes; of a member of an absent object it does not. */
static void render_patch(struct str *patch, const struct configmap *map, const char *key,
                         const char *value)
{
    STR_GUARD struct str pointer = STR_INIT(LIMIT_KUBE_METADATA_BYTES);
    bool has_data = map->count > 0;
    str_append_char(patch, '[');
    append_test(patch, "/metadata/uid", NULL, map->uid);
    append_test(patch, "/data", has_data ? key : NULL, configmap_get(map, key));
    str_append(&pointer, "/data");
    if (has_data)
        kube_pointer_append(&pointer, key);
    str_append(patch, "{\"op\":\"add\",\"path\":");
    str_append_json(patch, str_text(&pointer));
    str_append(patch, ",\"value\":");
    if (!has_data) {
        str_append_char(patch, '{');
        str_append_json(patch, key);
        str_append_char(patch, ':');
    }
    str_append_json(patch, value);
    str_append(patch, has_data ? "}]" : "}}]");
}

/* `code` came back from the patch: what is true? *ret_is_open: nothing has changed, so it may be
 * sent again. */
static enum errc settle_key(struct kube *kube, const struct configmap *map, const char *key,
                            const char *value, bool *ret_is_open, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct configmap now;
    struct error cause = *err;
    *ret_is_open = false;
    error_clear(err);
    enum errc code = configmap_read(kube, &arena, map->name, key, &now, NULL, err);
    if (code)
        return code;
    bool is_same = strcmp(now.uid, map->uid) == 0;
    if (is_same && text_equal(configmap_get(&now, key), value))
        return RR_OK;
    if (is_same && now.is_immutable) {
        error_set(err, ERR_REJECTED, "ConfigMap '%s' is immutable: '%s' cannot be written",
                  map->name, key);
        return error_hint(err, "take `immutable: true` out of it: it has to be made anew for that");
    }
    if (!is_same || !text_equal(configmap_get(&now, key), configmap_get(map, key)))
        return error_set(err, ERR_CONFLICT,
                         "'%s' of ConfigMap '%s' was changed by somebody else meanwhile", key,
                         map->name);
    *ret_is_open = true;
    *err = cause;
    return cause.code;
}

enum errc configmap_set_key(struct kube *kube, const struct configmap *map, const char *key,
                            const char *value, struct error *err)
{
    STR_GUARD struct str patch = STR_INIT(LIMIT_JOURNAL_BYTES);
    render_patch(&patch, map, key, value);
    enum errc code = str_check(&patch, "a value of a ConfigMap", err);
    if (code)
        return code;
    for (unsigned try = 1;; try++) {
        KUBE_ANSWER_GUARD struct kube_answer answer = {0};
        bool is_open;
        struct kube_request request = {.verb = KUBE_JSON_PATCH,
                                       .resource = &configmaps,
                                       .name = map->name,
                                       .body = str_text(&patch)};
        code = kube_send(kube, &request, &answer, err);
        if (code != ERR_REJECTED && code != ERR_CONFLICT && code != ERR_ANSWER_LOST)
            return code;
        code = settle_key(kube, map, key, value, &is_open, err);
        if (!is_open || code == ERR_REJECTED || try == TRIES)
            return code;
        error_clear(err);
    }
}

/* --- the whole of one of ours */

static void append_identity(struct str *body, const char *name)
{
    str_append(body, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":");
    str_append_json(body, name);
}

/* Read after a creation whose answer was lost: an empty one of ours is the one that was made. */
static enum errc settle_creation(struct kube *kube, struct arena *arena, const char *name,
                                 struct configmap *ret_map, struct error *err)
{
    enum errc code = configmap_read(kube, arena, name, "", ret_map, NULL, err);
    if (!code && (ret_map->count > 0 || !text_equal(ret_map->managed_by, KUBE_FIELD_MANAGER)))
        return error_set(err, ERR_CONFLICT, "ConfigMap '%s' was made by somebody else meanwhile",
                         name);
    return code;
}

enum errc configmap_create(struct kube *kube, struct arena *arena, const char *name,
                           struct configmap *ret_map, struct error *err)
{
    STR_GUARD struct str body = STR_INIT(LIMIT_KUBE_METADATA_BYTES);
    append_identity(&body, name);
    str_append(&body, ",\"labels\":{\"" KUBE_MANAGED_BY "\":\"" KUBE_FIELD_MANAGER "\"}}}");
    for (unsigned try = 1;; try++) {
        KUBE_ANSWER_GUARD struct kube_answer answer = {0};
        struct kube_request request = {
            .verb = KUBE_APPLY, .resource = &configmaps, .name = name, .body = str_text(&body)};
        enum errc code = kube_send(kube, &request, &answer, err);
        if (!code && answer.status != 201)
            return error_set(err, ERR_CONFLICT, "ConfigMap '%s' exists already", name);
        if (!code)
            return parse(arena, json_root(answer.document), ret_map, err);
        if (code != ERR_ANSWER_LOST)
            return code;
        error_clear(err);
        code = settle_creation(kube, arena, name, ret_map, err);
        if (code != ERR_NOT_FOUND || try == TRIES)
            return code;
        error_clear(err);
    }
}

static void render_whole(struct str *body, const struct configmap *map, const char *const *keys,
                         const char *const *values, size_t count)
{
    append_identity(body, map->name);
    str_append(body, ",\"uid\":");
    str_append_json(body, map->uid);
    str_append(body, ",\"resourceVersion\":");
    str_append_json(body, map->resource_version);
    str_append(body, map->kept);
    str_append(body, "},\"data\":{");
    for (size_t i = 0; i < count; i++) {
        str_append(body, i ? "," : "");
        str_append_json(body, keys[i]);
        str_append_char(body, ':');
        str_append_json(body, values[i]);
    }
    str_append(body, "}}");
}

/* What the server has after a PUT that conflicted or whose answer was lost. *ret_is_open: the old
 * data, though perhaps another version: to be sent again, with what is in `map` now. */
static enum errc settle_whole(struct kube *kube, struct arena *arena, struct configmap *map,
                              const char *const *keys, const char *const *values, size_t count,
                              bool *ret_is_open, struct error *err)
{
    struct configmap now;
    *ret_is_open = false;
    enum errc code = configmap_read(kube, arena, map->name, "", &now, NULL, err);
    if (code)
        return code;
    bool is_same = strcmp(now.uid, map->uid) == 0;
    *ret_is_open = is_same && configmap_holds(&now, map->keys, map->values, map->count);
    if (!*ret_is_open && !(is_same && configmap_holds(&now, keys, values, count)))
        return error_set(err, ERR_CONFLICT, "ConfigMap '%s' was written by somebody else meanwhile",
                         map->name);
    *map = now;
    return RR_OK;
}

enum errc configmap_replace(struct kube *kube, struct arena *arena, struct configmap *map,
                            const char *const *keys, const char *const *values, size_t count,
                            struct error *err)
{
    for (unsigned try = 1;; try++) {
        KUBE_ANSWER_GUARD struct kube_answer answer = {0};
        STR_GUARD struct str body = STR_INIT(2 * LIMIT_JOURNAL_BYTES);
        struct configmap stored;
        bool is_open;
        render_whole(&body, map, keys, values, count);
        enum errc code = str_check(&body, map->name, err);
        if (code)
            return code;
        struct kube_request request = {.verb = KUBE_UPDATE,
                                       .resource = &configmaps,
                                       .name = map->name,
                                       .body = str_text(&body)};
        code = kube_send(kube, &request, &answer, err);
        if (!code && !(code = parse(arena, json_root(answer.document), &stored, err)))
            *map = stored;
        if (code != ERR_CONFLICT && code != ERR_ANSWER_LOST)
            return code;
        struct error cause = *err;
        error_clear(err);
        code = settle_whole(kube, arena, map, keys, values, count, &is_open, err);
        if (code || !is_open)
            return code;
        if (try == TRIES) {
            *err = cause;
            return cause.code;
        }
    }
}
