#include "lib/cli/config_file.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/yaml.h"
#include "lib/reconcile/values.h"
#include "lib/state/statefile.h"

static enum errc read_whole(const char *path, struct str *ret_text, struct error *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char piece[8192];
    size_t n = 0;
    if (!file)
        return error_set(err, ERR_USAGE, "cannot read '%s'", path);
    *ret_text = STR_INIT(LIMIT_STATE_FILE_BYTES);
    while (!ret_text->is_cut && (n = fread(piece, 1, sizeof piece, file)) > 0)
        str_append_bytes(ret_text, piece, n);
    bool is_bad = ferror(file);
    if (file != stdin)
        fclose(file);
    if (is_bad)
        return error_set(err, ERR_USAGE, "cannot read '%s'", path);
    return str_check(ret_text, path, err) ? error_recode(err, ERR_CONFIG) : RR_OK;
}

/* A ConfigMap has a `data` or a `kind`, a restore.yaml has neither. What cannot be read is said by
 * either of their parsers. */
static bool is_config_map(const struct yaml_node *root)
{
    return root && root->kind == YAML_MAPPING && (yaml_get(root, "data") || yaml_get(root, "kind"));
}

static const char *text_of(const struct yaml_node *mapping, const char *key)
{
    const struct yaml_node *node = yaml_get(mapping, key);
    return node && node->kind == YAML_SCALAR && node->length ? node->text : NULL;
}

enum errc config_file_read(struct arena *arena, const char *path, struct config_file *ret_file,
                           struct error *err)
{
    STR_GUARD struct str text = STR_INIT(0);
    struct config_file file = {.view.spec_name = path};
    struct yaml_node *root = NULL;
    struct state_values values;
    struct error ignored = ERROR_INIT;
    if (read_whole(path, &text, err))
        return err->code;
    if (yaml_parse(arena, str_text(&text), text.length, path, 0, &root, &ignored))
        root = NULL;
    if (is_config_map(root)) {
        if (statefile_parse(arena, str_text(&text), text.length, path, &file.view, err) ||
            state_values_parse(&file.view, arena, &values, err))
            return err->code;
        file.name = text_of(yaml_get(root, "metadata"), "name");
        file.namespace_name = text_of(yaml_get(root, "metadata"), "namespace");
        file.view.spec_name = path;
    } else {
        file.view.spec_text = arena_strndup(arena, str_text(&text), text.length);
    }
    *ret_file = file;
    return RR_OK;
}
