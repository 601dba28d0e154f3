#include <inttypes.h>
#include <stdio.h>

#include "lib/base/str.h"
#include "lib/cli/cli.h"
#include "lib/reconcile/look.h"

static const struct flag flags[] = {
    {"now", 0, "NAME", "drop this kept database now, whatever its time", NULL, false},
    {.name = NULL},
};

static void print_row(struct cli *cli, const struct registry_row *row)
{
    if (cli_is_text(cli)) {
        printf("%-63s %-9s %-8s %10s  %s%s\n", row->name, row->kind, row->state,
               cli_size(cli, row->size_bytes),
               row->expires_at[0] ? "until " : "until dropped by hand", row->expires_at);
        return;
    }
    STR_GUARD struct str line = STR_INIT(8 * 1024);
    str_append(&line, "{\"database\":");
    str_append_json(&line, row->name);
    str_printf(&line,
               ",\"kind\":\"%s\",\"state\":\"%s\",\"bytes\":%" PRId64 ",\"expiresAt\":", row->kind,
               row->state, row->size_bytes);
    str_append_json(&line, row->expires_at[0] ? row->expires_at : NULL);
    str_append(&line, ",\"desired\":");
    str_append_json(&line, row->desired);
    str_append_char(&line, '}');
    puts(str_text(&line));
}

static int list(struct cli *cli, const struct run_options *options, struct error *err)
{
    struct look look;
    enum errc code = look_at_state(&look, options, err);
    if (!code)
        code = look_at_database(&look, err);
    for (size_t i = 0; i < look.kept_count && !code; i++)
        print_row(cli, &look.kept[i]);
    if (!code && cli_is_text(cli))
        printf("%zu kept; `collect --now NAME` drops one\n", look.kept_count);
    look_release(&look);
    return code ? errc_exit(code) : 0;
}

static void drop(struct cli *cli, const struct run_options *options, struct outcome *ret_outcome)
{
    run_collect(options, flags_get(&cli->flags, "now"), ret_outcome);
}

static int main_collect(struct cli *cli, struct error *err)
{
    if (flags_is_set(&cli->flags, "now"))
        return cli_run_with_store(cli, drop);
    if (cli_open_store(cli, err))
        return errc_exit(err->code);
    struct run_options options = cli_run_options(cli);
    return list(cli, &options, err);
}

const struct command command_collect = {
    .name = "collect",
    .arguments = "",
    .summary = "list the databases that are kept, with sizes; drop one",
    .flags = flags,
    .needs_state = true,
    .has_outcome = true,
    .main = main_collect,
};
