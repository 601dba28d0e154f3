/*
 * Preflight: everything that would go wrong later, found before anything is changed, all findings
 * at once.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

/* A finding that is an error of its own: trouble that may pass ends the preflight at once (nothing
 * can be said about the rest), anything else becomes one more finding. */
static enum errc take_finding(struct run *run, struct findings *findings, struct error *own,
                              struct error *err)
{
    if (own->code == ERR_CANCELLED || errc_is_transient(own->code) || own->code == ERR_FENCE_LOST) {
        *err = *own;
        return err->code;
    }
    run->final_code = findings->count == 0 ? own->code : RR_OK;
    findings_add(findings, "%s%s%s", own->text, own->hint[0] ? "; hint: " : "", own->hint);
    return RR_OK;
}

static struct catalog_options catalog_options_of(struct run *run, const struct location *location)
{
    return (struct catalog_options){
        .location = *location,
        .name_pattern = run->spec.backups.name,
        .select = run->spec.backups.select,
        .max_age_s = run->spec.backups.max_age_s,
        .cancel = run->options->cancel,
    };
}

/* Chooses the backup, opens it, reads its table of contents and finds its checksum. */
static enum errc open_backup(struct run *run, struct error *err)
{
    struct location location;
    enum errc code = location_parse(&run->arena, run->spec.backups.location, &location, err);
    if (code)
        return code;
    struct catalog_options options = catalog_options_of(run, &location);
    if ((code = catalog_select(&options, run->values.key.desired, &run->arena, &run->backup, err)))
        return code;
    const struct location *object = &run->backup.object;
    source_free(run->source);
    run->source = NULL;
    if ((code = backup_open(object, run->options->cancel, &run->source, err)) ||
        (code =
             backup_find_checksum(object, run->options->cancel, &run->arena, &run->checksum, err)))
        return code;
    run->backup.size_bytes = run->source->size_bytes; /* which of a folder no listing tells */
    log_info("backup chosen", LOG_TEXT("backup", run->backup.url),
             LOG_UINT("bytes", run->source->size_bytes),
             LOG_TEXT("checksum", run->checksum.is_known ? run->checksum.origin : "none"));
    if ((code = load_read_toc(run->source, run->options->cancel, &run->arena, &run->toc, err)))
        return error_wrap(err, "backup '%s'", run->backup.url);
    return RR_OK;
}

static void add_finding(void *context, const char *finding)
{
    findings_add(context, "%s", finding);
}

/* What the archive needs and the server lacks, asked on a session of the loading role. */
static enum errc look_at_archive(struct run *run, struct findings *findings, struct error *err)
{
    CONN_GUARD struct conn *conn = NULL;
    struct conn_options options = {
        .database = control_get_options(run->control)->control_database,
        .application_name = run->application_name,
        .cancel = run->options->cancel,
    };
    struct load_options load = {.source = run->source, .jobs = run->spec.jobs};
    enum errc code = conn_open(&options, &conn, err);
    return code ? code : load_preflight(&run->toc, conn, &load, add_finding, findings, err);
}

static enum errc refuse(struct run *run, const struct findings *findings, struct error *err)
{
    if (findings->count == 0)
        return RR_OK;
    enum errc code = findings->count == 1 && run->final_code ? run->final_code : ERR_PREFLIGHT;
    if (code != ERR_PREFLIGHT)
        return error_set(err, code, "%s", findings->items[0]);
    run->final_code = RR_OK;
    STR_GUARD struct str text = STR_INIT(ERROR_TEXT_SIZE - 64);
    for (size_t i = 0; i < findings->count; i++) {
        log_error("preflight finding", LOG_TEXT("finding", findings->items[i]));
        str_printf(&text, "%s(%zu) %s", i ? " " : "", i + 1, findings->items[i]);
    }
    return error_set(err, code, "%zu finding%s, nothing was changed: %s", findings->count,
                     findings->count == 1 ? "" : "s", str_text(&text));
}

enum errc run_find_problems(struct run *run, struct findings *findings, struct error *err)
{
    run->final_code = RR_OK;
    struct error own = ERROR_INIT;
    enum errc code = run_refresh_live(run, err);
    if (code)
        return code;
    if (open_backup(run, &own)) {
        if ((code = take_finding(run, findings, &own, err)))
            return code;
    } else if ((code = look_at_archive(run, findings, err))) {
        return code;
    }
    code = database_preflight(run->control, run->has_live ? &run->live : NULL, run->spec.jobs,
                              findings, err);
    return code ? code : application_preflight(run, findings, err);
}

enum errc preflight_apply(struct run *run, struct error *err)
{
    struct findings findings = {.arena = &run->arena};
    enum errc code = run_find_problems(run, &findings, err);
    return code ? code : refuse(run, &findings, err);
}
