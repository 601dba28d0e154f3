#include "lib/state/statefile.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/codec/yaml.h"

/* Our keys of `data`, and where they go. */
static const struct {
    const char *key;
    size_t field;
} keys[] = {
    {"desiredBackupTimestamp", offsetof(struct state_view, desired)},
    {"lastAppliedTimestamp", offsetof(struct state_view, applied)},
    {"restoreRequest", offsetof(struct state_view, request)},
    {"allowInitialRestore", offsetof(struct state_view, allow_initial)},
    {"takeOver", offsetof(struct state_view, take_over)},
    {"restore.yaml", offsetof(struct state_view, spec_text)},
};
enum { KEY_COUNT = sizeof keys / sizeof *keys };

static enum errc complain(const struct yaml_node *node, const char *name, const char *what,
                          struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s:%u:%u: %s", name, node->line, node->column, what);
}

static enum errc check_word(const struct yaml_node *root, const char *key, const char *word,
                            const char *name, struct error *err)
{
    const struct yaml_node *node = yaml_get(root, key);
    if (!node || (node->kind == YAML_SCALAR && strcmp(node->text, word) == 0))
        return RR_OK;
    return error_set(err, ERR_CONFIG, "%s:%u:%u: '%s' must be '%s': this file is a ConfigMap", name,
                     node->line, node->column, key, word);
}

/* A ConfigMap holds strings only. `kubectl apply` would refuse an unquoted number, and so do we; an
 * unquoted timestamp is a string in YAML 1.2 and is what people write. */
static bool is_string(const struct yaml_node *node)
{
    bool as_bool;
    int64_t as_int;
    return node->kind == YAML_SCALAR && !yaml_is_null(node) && !yaml_as_bool(node, &as_bool) &&
           !yaml_as_int(node, &as_int);
}

bool state_view_set(struct state_view *view, const char *key, const char *text)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(key, keys[i].key) != 0)
            continue;
        memcpy((char *)view + keys[i].field, &text, sizeof text);
        return true;
    }
    return false;
}

const char *state_view_nearest(const char *key)
{
    const char *known[KEY_COUNT + 1] = {0};
    for (size_t i = 0; i < KEY_COUNT; i++)
        known[i] = keys[i].key;
    return text_nearest(key, known);
}

static enum errc take_key(struct state_view *view, const struct yaml_node *key,
                          const struct yaml_node *value, const char *name, struct error *err)
{
    if (state_view_set(view, key->text, value->text)) {
        if (!is_string(value))
            return error_set(err, ERR_CONFIG, "%s:%u:%u: '%s' must be a string: write it in quotes",
                             name, value->line, value->column, key->text);
        if (strlen(value->text) != value->length)
            return complain(value, name, "a NUL byte has no place here", err);
        if (value->text == view->spec_text)
            view->spec_first_line = value->line; /* the text begins on the line after its `|` */
        return RR_OK;
    }
    const char *near = state_view_nearest(key->text);
    if (!near)
        return RR_OK;
    STR_GUARD struct str quoted = STR_INIT(200);
    str_append_quoted(&quoted, key->text, 60);
    return error_set(err, ERR_CONFIG, "%s:%u:%u: unknown key %s: did you mean '%s'?", name,
                     key->line, key->column, str_text(&quoted), near);
}

enum errc statefile_parse(struct arena *arena, const char *bytes, size_t length, const char *name,
                          struct state_view *ret_view, struct error *err)
{
    struct yaml_node *root = NULL;
    enum errc code = yaml_parse(arena, bytes, length, name, 0, &root, err);
    if (code)
        return code;
    if (!root || root->kind != YAML_MAPPING) {
        error_set(err, ERR_CONFIG, "%s: holds no ConfigMap", name);
        return error_hint(err,
                          "it begins with 'apiVersion: v1', 'kind: ConfigMap' and has 'data:'");
    }
    if ((code = check_word(root, "apiVersion", "v1", name, err)) ||
        (code = check_word(root, "kind", "ConfigMap", name, err)))
        return code;
    const struct yaml_node *data = yaml_get(root, "data");
    if (!data)
        return error_set(err, ERR_CONFIG, "%s: has no 'data'", name);
    if (data->kind != YAML_MAPPING)
        return complain(data, name, "'data' must be a mapping of strings", err);
    struct state_view view = {.spec_name = "restore.yaml"};
    for (size_t i = 0; i < data->count && !code; i++)
        code = take_key(&view, data->keys[i], data->items[i], name, err);
    if (code)
        return code;
    *ret_view = view;
    return RR_OK;
}
