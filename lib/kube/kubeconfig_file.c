/*
 * What a kubeconfig says: three lists (clusters, users, contexts) of named entries and the name of
 * the current context, which may lie in several files.
 */
#include <string.h>

#include "lib/base/str.h"
#include "lib/kube/kubeconfig_internal.h"

enum { SHOWN_BYTES = 200, SHOWN_NAMES_BYTES = 300 };

/* ---- files ---- */

static const char *render_shown(struct arena *arena, const char *path)
{
    const char *quoted = config_quote(arena, path);
    return arena_strndup(arena, quoted + 1, strlen(quoted) - 2);
}

static enum errc check_head(const struct config_file *file, struct error *err)
{
    const struct config_entry top = {file, file->root};
    const char *kind, *version;
    if (file->root->kind != YAML_MAPPING)
        return config_fail(file, file->root, err, ERR_CONFIG, "a kubeconfig has to be a mapping");
    if (config_get_text(&top, "kind", &kind, err) ||
        config_get_text(&top, "apiVersion", &version, err))
        return err->code;
    if (kind && strcmp(kind, "Config") != 0)
        return config_fail(file, yaml_get(file->root, "kind"), err, ERR_CONFIG,
                           "the kind of a kubeconfig is Config");
    if (version && strcmp(version, "v1") != 0)
        return config_fail(file, yaml_get(file->root, "apiVersion"), err, ERR_UNSUPPORTED,
                           "of kubeconfigs only apiVersion v1 is known");
    return RR_OK;
}

enum errc config_file_parse(struct arena *arena, const char *bytes, size_t length, const char *path,
                            struct config_file *ret_file, struct error *err)
{
    struct yaml_node *root;
    struct config_file file = {.path = path, .shown = render_shown(arena, path)};
    if (yaml_parse(arena, bytes, length, file.shown, 0, &root, err))
        return err->code;
    file.root = root && !yaml_is_null(root) ? root : NULL;
    if (file.root && check_head(&file, err))
        return err->code;
    *ret_file = file;
    return RR_OK;
}

/* ---- entries ---- */

static enum errc check_list(const struct config_file *file, const char *list_key,
                            const struct yaml_node **ret_list, struct error *err)
{
    const struct yaml_node *list = yaml_get(file->root, list_key);
    *ret_list = NULL;
    if (!list || yaml_is_null(list))
        return RR_OK;
    if (list->kind != YAML_SEQUENCE)
        return config_fail(file, list, err, ERR_CONFIG, "'%s' has to be a list", list_key);
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->kind != YAML_MAPPING)
            return config_fail(file, list->items[i], err, ERR_CONFIG,
                               "an entry of '%s' has to be a mapping", list_key);
    *ret_list = list;
    return RR_OK;
}

static enum errc find_in_file(const struct config_file *file, const char *list_key,
                              const char *item_key, const char *name,
                              struct config_entry *ret_entry, struct error *err)
{
    const struct yaml_node *list;
    if (check_list(file, list_key, &list, err))
        return err->code;
    for (size_t i = 0; list && i < list->count; i++) {
        const struct config_entry item = {file, list->items[i]};
        const char *item_name;
        if (config_get_text(&item, "name", &item_name, err))
            return err->code;
        if (!text_equal(item_name, name))
            continue;
        if (ret_entry->file)
            return config_fail(file, item.node, err, ERR_CONFIG,
                               "'%s' holds two entries of this name", list_key);
        const struct yaml_node *value = yaml_get(item.node, item_key);
        bool is_empty = !value || yaml_is_null(value);
        if (!is_empty && value->kind != YAML_MAPPING)
            return config_fail(file, value, err, ERR_CONFIG, "'%s' has to be a mapping", item_key);
        *ret_entry = (struct config_entry){file, is_empty ? NULL : value};
    }
    return RR_OK;
}

static enum errc find_entry(const struct config_file *files, size_t count, const char *list_key,
                            const char *item_key, const char *name, struct config_entry *ret_entry,
                            struct error *err)
{
    *ret_entry = (struct config_entry){0};
    for (size_t i = 0; i < count && !ret_entry->file; i++)
        if (find_in_file(&files[i], list_key, item_key, name, ret_entry, err))
            return err->code;
    return RR_OK;
}

/* "a", "b": what there is to choose from. */
static const char *render_names(struct arena *arena, const struct config_file *files, size_t count,
                                const char *list_key)
{
    STR_GUARD struct str names = STR_INIT(SHOWN_NAMES_BYTES);
    for (size_t i = 0; i < count; i++) {
        const struct yaml_node *list = yaml_get(files[i].root, list_key);
        for (size_t k = 0; list && list->kind == YAML_SEQUENCE && k < list->count; k++) {
            const struct yaml_node *name = yaml_get(list->items[k], "name");
            if (!name || name->kind != YAML_SCALAR)
                continue;
            str_append(&names, names.length ? ", " : "");
            str_append_quoted(&names, name->text, SHOWN_BYTES);
        }
    }
    return names.length ? arena_strdup(arena, str_text(&names)) : "none";
}

/* ---- the context ---- */

bool is_dns_label(const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return length > 0 && length <= 63 && text[length] == '\0' && *text != '-' &&
           text[length - 1] != '-';
}

static enum errc choose_context(struct arena *arena, const struct config_file *files, size_t count,
                                const char *wanted, struct config_entry *ret_context,
                                const char **ret_name, struct error *err)
{
    const char *name = wanted;
    for (size_t i = 0; i < count && !name; i++) {
        const struct config_entry top = {&files[i], files[i].root};
        if (config_get_text(&top, "current-context", &name, err))
            return err->code;
    }
    if (!name) {
        config_fail(&files[0], NULL, err, ERR_CONFIG, "there is no current-context");
        return error_hint(err, "choose one with --context; there are: %s",
                          render_names(arena, files, count, "contexts"));
    }
    if (find_entry(files, count, "contexts", "context", name, ret_context, err))
        return err->code;
    if (!ret_context->file) {
        config_fail(&files[0], NULL, err, ERR_CONFIG, "there is no context %s",
                    config_quote(arena, name));
        return error_hint(err, "choose one with --context; there are: %s",
                          render_names(arena, files, count, "contexts"));
    }
    *ret_name = arena_strdup(arena, name);
    return RR_OK;
}

/* The entry that the context names by `key`; ret_entry->file NULL: it names none. */
static enum errc follow(struct arena *arena, const struct config_file *files, size_t count,
                        const struct config_entry *context, const char *list_key, const char *key,
                        struct config_entry *ret_entry, struct error *err)
{
    const char *name;
    *ret_entry = (struct config_entry){0};
    if (config_get_text(context, key, &name, err) || !name)
        return err->code;
    if (find_entry(files, count, list_key, key, name, ret_entry, err))
        return err->code;
    if (ret_entry->file)
        return RR_OK;
    config_fail(context->file, yaml_get(context->node, key), err, ERR_CONFIG,
                "the context names the %s %s, which is not there", key, config_quote(arena, name));
    return error_hint(err, "'%s' holds: %s", list_key, render_names(arena, files, count, list_key));
}

static enum errc read_context(struct arena *arena, const struct config_file *files, size_t count,
                              const struct config_entry *context, struct kubeconfig *config,
                              struct error *err)
{
    struct config_entry cluster, user;
    const char *namespace_name;
    if (follow(arena, files, count, context, "clusters", "cluster", &cluster, err) ||
        follow(arena, files, count, context, "users", "user", &user, err) ||
        config_get_text(context, "namespace", &namespace_name, err))
        return err->code;
    if (!cluster.file)
        return config_fail(context->file, context->node, err, ERR_CONFIG,
                           "the context names no cluster");
    if (namespace_name && !is_dns_label(namespace_name))
        return config_fail(context->file, yaml_get(context->node, "namespace"), err, ERR_CONFIG,
                           "%s is no name of a namespace", config_quote(arena, namespace_name));
    config->namespace_name = arena_strdup(arena, namespace_name);
    if (config_read_cluster(arena, &cluster, config, err))
        return err->code;
    return user.file ? config_read_user(arena, &user, config, err) : RR_OK;
}

enum errc config_files_read(struct arena *arena, const struct config_file *files, size_t count,
                            const char *context, struct kubeconfig *ret_config, struct error *err)
{
    KUBECONFIG_GUARD struct kubeconfig config = {0};
    struct config_entry entry = {0};
    const char *name = NULL;
    if (choose_context(arena, files, count, context, &entry, &name, err) ||
        read_context(arena, files, count, &entry, &config, err))
        return err->code;
    config.origin = arena_printf(arena, "kubeconfig %s, context %s",
                                 config_quote(arena, entry.file->path), config_quote(arena, name));
    *ret_config = config;
    config = (struct kubeconfig){0}; /* the secrets are the caller's now */
    return RR_OK;
}

enum errc kubeconfig_parse(struct arena *arena, const char *bytes, size_t length, const char *path,
                           const char *context, struct kubeconfig *ret_config, struct error *err)
{
    struct config_file file;
    if (config_file_parse(arena, bytes, length, path, &file, err))
        return err->code;
    return config_files_read(arena, &file, 1, context, ret_config, err);
}
