#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/codec/yaml.h"
#include "lib/state/statefile.h"

static const struct flag flags[] = {
    {"store", 0, "KIND", "where it is meant to run: kubernetes, directory", "directory", false},
    {.name = NULL},
};

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
static bool is_config_map(const struct str *text, const char *path)
{
    ARENA_GUARD struct arena arena = {0};
    struct yaml_node *root = NULL;
    struct error ignored = ERROR_INIT;
    if (yaml_parse(&arena, str_text(text), text->length, path, 0, &root, &ignored) || !root)
        return false;
    return root->kind == YAML_MAPPING && (yaml_get(root, "data") || yaml_get(root, "kind"));
}

static int main_validate(struct cli *cli, struct error *err)
{
    const char *path = cli->flags.arguments[0];
    STR_GUARD struct str text = STR_INIT(0);
    struct state_view view = {.spec_name = path};
    struct state_values values;
    struct spec spec;
    cli->has_workloads = strcmp(flags_get(&cli->flags, "store"), "kubernetes") == 0;
    if (!cli->has_workloads && strcmp(flags_get(&cli->flags, "store"), "directory") != 0) {
        error_set(err, ERR_USAGE, "'--store' must be kubernetes or directory");
        return errc_exit(err->code);
    }
    if (read_whole(path, &text, err))
        return errc_exit(err->code);
    if (is_config_map(&text, path)) {
        if (statefile_parse(&cli->arena, str_text(&text), text.length, path, &view, err) ||
            state_values_parse(&view, &cli->arena, &values, err))
            return errc_exit(err->code);
        view.spec_name = path;
    } else {
        view.spec_text = arena_strndup(&cli->arena, str_text(&text), text.length);
    }
    if (cli_parse_spec(cli, &view, &spec, err))
        return errc_exit(err->code);
    str_clear(&text);
    str_append(&text, "{\"valid\":true,\"file\":");
    str_append_json(&text, path);
    str_append_char(&text, '}');
    if (cli_is_text(cli))
        printf("%s is valid\n", path);
    else
        puts(str_text(&text));
    return 0;
}

const struct command command_validate = {
    .name = "validate",
    .arguments = "FILE",
    .summary = "check a ConfigMap or a restore.yaml, offline ('-': standard input)",
    .flags = flags,
    .argument_min = 1,
    .argument_max = 1,
    .main = main_validate,
};
