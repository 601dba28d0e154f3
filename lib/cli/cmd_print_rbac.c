#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/cli/config_file.h"
#include "lib/reconcile/rights.h"

static const struct flag flags[] = {{.name = NULL}};

/* The state in the cluster. */
static enum errc read_state(struct cli *cli, struct state_view *ret_view, struct error *err)
{
    enum errc code = cli_open_store(cli, err);
    if (code)
        return code;
    if (cli->store->kube)
        return store_read(cli->store, &cli->arena, ret_view, err);
    error_set(err, ERR_USAGE, "a state in a directory needs no rights in a cluster");
    return error_hint(err, "name the file: print-rbac FILE");
}

static int main_print_rbac(struct cli *cli, struct error *err)
{
    const struct flags *given = &cli->flags;
    STR_GUARD struct str text = STR_INIT(256 * 1024);
    struct config_file file = {0};
    struct spec spec;
    struct rights rights;
    cli->has_workloads = true;
    enum errc code = given->argument_count
                         ? config_file_read(&cli->arena, given->arguments[0], &file, err)
                         : read_state(cli, &file.view, err);
    if (code || (code = cli_parse_spec(cli, &file.view, &spec, err)))
        return errc_exit(code);
    const char *name = file.name ? file.name : flags_get(given, "name");
    const char *namespace_name = flags_get(given, "namespace");
    rights_of(&cli->arena, &spec, name, &rights);
    rights_render_role(&rights, namespace_name ? namespace_name : file.namespace_name, &text);
    if (str_check(&text, "the Role", err))
        return errc_exit(err->code);
    fputs(str_text(&text), stdout);
    return 0;
}

const struct command command_print_rbac = {
    .name = "print-rbac",
    .arguments = "[FILE]",
    .summary = "print the Role that a configuration needs: of FILE (a ConfigMap or a restore.yaml, "
               "'-': standard input), else of the state in the cluster",
    .flags = flags,
    .needs_state = true,
    .argument_max = 1,
    .main = main_print_rbac,
};
