#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/backup/catalog.h"
#include "lib/base/str.h"
#include "lib/cli/cli.h"

static const struct flag flags[] = {{.name = NULL}};

static void print_json(const struct backup *backup, const char *when)
{
    STR_GUARD struct str line = STR_INIT(16 * 1024);
    str_printf(&line, "{\"timestamp\":\"%s\",\"bytes\":", when);
    if (location_is_folder(&backup->object)) /* nobody has added it up */
        str_append(&line, "null");
    else
        str_printf(&line, "%" PRIu64, backup->size_bytes);
    str_append(&line, ",\"url\":");
    str_append_json(&line, backup->url);
    str_append_char(&line, '}');
    puts(str_text(&line));
}

static const char *shown_size(struct cli *cli, const struct backup *backup)
{
    return location_is_folder(&backup->object) ? "folder"
                                               : cli_size(cli, (int64_t)backup->size_bytes);
}

static int main_backups(struct cli *cli, struct error *err)
{
    struct state_view view;
    struct spec spec;
    struct location location;
    struct backup *backups = NULL;
    size_t count = 0;
    if (cli_open_store(cli, err) || store_read(cli->store, &cli->arena, &view, err) ||
        cli_parse_spec(cli, &view, &spec, err) ||
        location_parse(&cli->arena, spec.backups.location, &location, err))
        return errc_exit(err->code);
    struct catalog_options options = {
        .location = location, .name_pattern = spec.backups.name, .cancel = cli->cancel};
    if (catalog_list(&options, &cli->arena, &backups, &count, err))
        return errc_exit(err->code);
    for (size_t i = 0; i < count; i++) {
        char when[RFC3339_SIZE];
        rfc3339_render(backups[i].taken_at, when);
        if (cli_is_text(cli))
            printf("%-22s %12s  %s\n", when, shown_size(cli, &backups[i]), backups[i].url);
        else
            print_json(&backups[i], when);
    }
    if (cli_is_text(cli))
        printf("%zu backups under %s\n", count, location.url);
    return 0;
}

const struct command command_backups = {
    .name = "backups",
    .arguments = "",
    .summary = "list the backups that a timestamp can name",
    .flags = flags,
    .needs_state = true,
    .main = main_backups,
};
