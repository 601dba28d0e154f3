#include "lib/reconcile/undo.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/codec/json.h"

void undo_add(struct arena *arena, struct undo_list *list, const struct undo *entry)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        struct undo *items = arena_array(arena, capacity, sizeof *items);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *entry;
}

struct undo *undo_find(const struct undo_list *list, enum undo_kind kind,
                       enum workload_kind workload, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        struct undo *item = &list->items[i];
        if (item->kind == kind && item->name && strcmp(item->name, name) == 0 &&
            (kind != UNDO_SCALE || item->workload == workload))
            return item;
    }
    return NULL;
}

static void render_scale(const struct undo *entry, struct str *text)
{
    str_printf(text, "\"scale\":{\"kind\":\"%s\",\"name\":", workload_kind_name(entry->workload));
    str_append_json(text, entry->name);
    str_printf(text, ",\"replicas\":%" PRId64 "}", entry->replicas);
}

static void render_ingress(const struct undo *entry, struct str *text)
{
    str_append(text, "\"ingress\":{\"name\":");
    str_append_json(text, entry->name);
    str_append(text, ",\"service\":");
    str_append_json(text, entry->service);
    str_printf(text, ",\"backends\":%s}", entry->backends);
}

void undo_render(const struct undo_list *list, struct str *text)
{
    const char *before = "[";
    for (size_t i = 0; i < list->count; i++) {
        const struct undo *entry = &list->items[i];
        if (entry->is_done)
            continue;
        str_printf(text, "%s{\"preStep\":%" PRIu64 ",", before, entry->pre_step);
        before = ",";
        if (entry->kind == UNDO_SCALE)
            render_scale(entry, text);
        else if (entry->kind == UNDO_INGRESS)
            render_ingress(entry, text);
        else {
            str_append(text, "\"sql\":");
            str_append_json(text, entry->sql);
        }
        str_append_char(text, '}');
    }
    if (before[0] == ',')
        str_append_char(text, ']');
}

/* A number; versions before the cluster's words wrote it as a text, or not at all. */
static uint64_t read_pre_step(const struct json *value)
{
    int64_t number = 0;
    uint64_t from_text = 0;
    if (json_int(value, &number))
        return number > 0 ? (uint64_t)number : 0;
    return json_text(value) && text_to_u64(json_text(value), LIMIT_STEPS, &from_text) ? from_text
                                                                                      : 0;
}

static bool read_scale(struct arena *arena, const struct json *value, struct undo *entry)
{
    const char *kind = json_get_text(value, "kind"), *name = json_get_text(value, "name");
    entry->kind = UNDO_SCALE;
    if (!kind || !name || !name[0] || !json_int(json_get(value, "replicas"), &entry->replicas))
        return false;
    entry->workload = workload_kind_from_name(kind);
    entry->name = arena_strdup(arena, name);
    return entry->workload < WORKLOAD_KIND_COUNT && entry->replicas >= 0;
}

static bool read_ingress(struct arena *arena, const struct json *value, struct undo *entry)
{
    const char *name = json_get_text(value, "name"), *service = json_get_text(value, "service");
    const struct json *backends = json_get(value, "backends");
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES);
    entry->kind = UNDO_INGRESS;
    if (!name || !name[0] || !service || !json_is_array(backends))
        return false;
    json_render(&text, backends);
    entry->name = arena_strdup(arena, name);
    entry->service = arena_strdup(arena, service);
    entry->backends = arena_strdup(arena, str_text(&text));
    return !text.is_cut;
}

static bool read_entry(struct arena *arena, const struct json *item, struct undo *entry)
{
    const struct json *scale = json_get(item, "scale"), *ingress = json_get(item, "ingress");
    *entry = (struct undo){.pre_step = read_pre_step(json_get(item, "preStep"))};
    if (scale)
        return read_scale(arena, scale, entry);
    if (ingress)
        return read_ingress(arena, ingress, entry);
    entry->kind = UNDO_SQL;
    entry->sql = arena_strdup(arena, json_get_text(item, "sql"));
    return entry->sql != NULL;
}

bool undo_can_hold(const char *backends)
{
    JSON_GUARD struct json_document *document = NULL;
    struct error ignored = ERROR_INIT;
    return backends &&
           json_parse(backends, strlen(backends), "backends", &document, &ignored) == RR_OK &&
           json_is_array(json_root(document));
}

enum errc undo_parse(struct arena *arena, const char *text, struct undo_list *ret_list,
                     struct error *err)
{
    struct undo_list list = {0};
    JSON_GUARD struct json_document *document = NULL;
    if (text[0] && json_parse(text, strlen(text), "journal key 'undo'", &document, err))
        return error_recode(err, ERR_JOURNAL_CORRUPT);
    const struct json *root = document ? json_root(document) : NULL;
    if (root && !json_is_array(root))
        return error_set(err, ERR_JOURNAL_CORRUPT, "journal key 'undo' is no list");
    for (const struct json *item = json_first(root); item; item = json_next(item)) {
        struct undo entry;
        if (!read_entry(arena, item, &entry))
            return error_set(err, ERR_JOURNAL_CORRUPT,
                             "journal key 'undo': entry %zu says nothing that can be undone",
                             list.count);
        undo_add(arena, &list, &entry);
    }
    *ret_list = list;
    return RR_OK;
}
