#include "lib/kube/backends.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"

/* Rules and paths are counted with four digits: 256 KiB of annotations do not hold so many. */
enum { INDEX_DIGITS = 4 };

static const char default_path[] = "/spec/defaultBackend";

/* ---- an Ingress ---- */

/* Room for one more; the arena holds the old array until its end. */
static struct backend *add(struct arena *arena, struct backends *b)
{
    bool is_full = (b->count & (b->count - 1)) == 0; /* 0, 1, 2, 4, 8 ... */
    if (is_full) {
        struct backend *items = arena_array(arena, b->count ? 2 * b->count : 1, sizeof *items);
        if (b->count)
            memcpy(items, b->items, b->count * sizeof *items);
        b->items = items;
    }
    return &b->items[b->count++];
}

static void read_rule(struct arena *arena, const struct json *rule, size_t rule_index,
                      struct backends *b)
{
    const struct json *paths = json_get(json_get(rule, "http"), "paths");
    const struct json *path = json_is_array(paths) ? json_first(paths) : NULL;
    for (size_t i = 0; path; path = json_next(path), i++) {
        const struct json *value = json_get(path, "backend");
        if (!json_is_object(value))
            continue;
        *add(arena, b) = (struct backend){
            .path = arena_printf(arena, "/spec/rules/%zu/http/paths/%zu/backend", rule_index, i),
            .host = arena_strdup(arena, json_get_text(rule, "host")),
            .match = arena_strdup(arena, json_get_text(path, "path")),
            .type = arena_strdup(arena, json_get_text(path, "pathType")),
            .value = value,
        };
    }
}

void backends_read(struct arena *arena, const struct json *ingress, struct backends *ret_backends)
{
    struct backends b = {0};
    const struct json *spec = json_get(ingress, "spec");
    const struct json *value = json_get(spec, "defaultBackend"), *rules = json_get(spec, "rules");
    if (json_is_object(value))
        *add(arena, &b) = (struct backend){.path = default_path, .value = value};
    const struct json *rule = json_is_array(rules) ? json_first(rules) : NULL;
    for (size_t i = 0; rule; rule = json_next(rule), i++)
        read_rule(arena, rule, i, &b);
    *ret_backends = b;
}

/* ---- a record ---- */

static void render_member(struct str *s, const char *name, const char *text)
{
    if (!text)
        return;
    str_printf(s, "\"%s\":", name);
    str_append_json(s, text);
    str_append_char(s, ',');
}

void backends_render(struct str *s, const struct backends *backends)
{
    str_append_char(s, '[');
    for (size_t i = 0; i < backends->count; i++) {
        const struct backend *one = &backends->items[i];
        str_append(s, i ? ",{" : "{");
        render_member(s, "path", one->path);
        render_member(s, "host", one->host);
        render_member(s, "match", one->match);
        render_member(s, "type", one->type);
        str_append(s, "\"backend\":");
        json_render(s, one->value);
        str_append_char(s, '}');
    }
    str_append_char(s, ']');
}

/* Takes `text` away from the front. */
static bool skip(const char **at, const char *text)
{
    if (!text_has_prefix(*at, text))
        return false;
    *at += strlen(text);
    return true;
}

static bool skip_index(const char **at)
{
    size_t digits = strspn(*at, "0123456789");
    bool is_good = digits >= 1 && digits <= INDEX_DIGITS && !(digits > 1 && **at == '0');
    *at += digits;
    return is_good;
}

static bool is_backend_path(const char *path)
{
    return path &&
           (strcmp(path, default_path) == 0 ||
            (skip(&path, "/spec/rules/") && skip_index(&path) && skip(&path, "/http/paths/") &&
             skip_index(&path) && skip(&path, "/backend") && *path == '\0'));
}

/* NULL: fine. A backend is {"service":{...}} or {"resource":{...}}. */
static const char *find_fault_in_backend(const struct json *value)
{
    const struct json *kind = json_first(value);
    if (!json_is_object(value) || !kind || json_next(kind))
        return "a backend that is neither a service nor a resource";
    if (!text_equal(json_name(kind), "service") && !text_equal(json_name(kind), "resource"))
        return "a backend that is neither a service nor a resource";
    return json_is_object(kind) ? NULL : "a backend that is no object";
}

/* Puts the member where it belongs; false if it is none of ours. */
static bool take_member(const struct json *member, struct backend *one)
{
    const char *name = json_name(member);
    const struct {
        const char *name, **place;
    } texts[] = {
        {"path", &one->path}, {"host", &one->host}, {"match", &one->match}, {"type", &one->type}};
    if (strcmp(name, "backend") == 0) {
        one->value = member;
        return true;
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(name, texts[i].name) != 0)
            continue;
        *texts[i].place = json_text(member);
        return *texts[i].place != NULL;
    }
    return false;
}

static const char *parse_entry(const struct json *entry, struct backend *ret_backend)
{
    struct backend one = {0};
    if (!json_is_object(entry))
        return "an entry that is no object";
    for (const struct json *member = json_first(entry); member; member = json_next(member))
        if (!take_member(member, &one))
            return "an entry with a member that does not belong there";
    if (!is_backend_path(one.path))
        return "a path that is not the path of a backend";
    *ret_backend = one;
    return find_fault_in_backend(one.value);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_repeated_path(struct arena *arena, const struct backends *b)
{
    const char **paths = arena_array(arena, b->count, sizeof *paths);
    for (size_t i = 0; i < b->count; i++)
        paths[i] = b->items[i].path;
    if (b->count > 1)
        qsort(paths, b->count, sizeof *paths, compare_paths);
    for (size_t i = 1; i < b->count; i++)
        if (strcmp(paths[i - 1], paths[i]) == 0)
            return true;
    return false;
}

static const char *parse_entries(struct arena *arena, const struct json *root, struct backends *b)
{
    if (!json_is_array(root))
        return "no list";
    for (const struct json *entry = json_first(root); entry; entry = json_next(entry)) {
        const char *fault = parse_entry(entry, add(arena, b));
        if (fault)
            return fault;
    }
    return has_repeated_path(arena, b) ? "one path twice" : NULL;
}

enum errc backends_parse(struct arena *arena, const char *text, const char *what,
                         struct backends *ret_backends, struct error *err)
{
    BACKENDS_GUARD struct backends b = {0};
    size_t length = strlen(text);
    if (length > LIMIT_BACKENDS_BYTES)
        return error_set(err, ERR_STEP, "%s: longer than %zu bytes", what, LIMIT_BACKENDS_BYTES);
    if (json_parse(text, length, what, &b.document, err))
        return error_recode(err, ERR_STEP);
    const char *fault = parse_entries(arena, json_root(b.document), &b);
    if (fault)
        return error_set(err, ERR_STEP, "%s: it holds %s", what, fault);
    *ret_backends = b;
    b.document = NULL;
    return RR_OK;
}

void backends_release(struct backends *backends)
{
    if (!backends)
        return;
    json_free(backends->document);
    *backends = (struct backends){0};
}

/* ---- the same rule ---- */

static bool is_same_rule(const struct backend *a, const struct backend *b)
{
    bool is_default = strcmp(a->path, default_path) == 0;
    return is_default == (strcmp(b->path, default_path) == 0) && text_equal(a->host, b->host) &&
           text_equal(a->match, b->match) && text_equal(a->type, b->type);
}

const struct backend *backends_take(struct backends *backends, const struct backend *rule)
{
    struct backend *found = NULL;
    for (size_t i = 0; i < backends->count; i++) {
        struct backend *one = &backends->items[i];
        if (one->is_taken || !is_same_rule(one, rule))
            continue;
        bool is_at_same_place = strcmp(one->path, rule->path) == 0;
        if (is_at_same_place || !found)
            found = one;
        if (is_at_same_place)
            break;
    }
    if (found)
        found->is_taken = true;
    return found;
}
