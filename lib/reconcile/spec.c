#include "lib/reconcile/spec.h"

#include <string.h>

#include "lib/backup/location.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/yaml.h"
#include "lib/kube/ingress.h"
#include "lib/reconcile/reader.h"
#include "lib/reconcile/spec_steps.h"

enum {
    DEFAULT_JOBS = 4,
    DEFAULT_KEEP_PREVIOUS_S = 24 * 3600,
    DEFAULT_MAX_ATTEMPTS = 3,
    DEFAULT_APPLICATION_TIMEOUT_S = 600,
};

#define DEFAULT_CONTROL_DATABASE "restore_reconciler"
#define DEFAULT_NAME_PATTERN "%Y-%m-%dT%H:%M:%SZ.dump"
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* A kind of location that is known but not built yet is kept: spec_check_supported() refuses it. */
static void read_location(struct reader *r, const struct reader_field *field,
                          const struct yaml_node *node, void *target)
{
    struct spec_backups *backups = target;
    struct location location;
    struct error err = ERROR_INIT;
    const char *url = reader_text(r, field->word, node);
    if (!url)
        return;
    backups->location = url;
    backups->location_place = reader_place(node);
    if (url[0] == '/')
        reader_report(r, reader_place(node), arena_printf(r->arena, "write file://%.200s", url),
                      "'%s' must be an URL", field->word);
    else if (location_parse(r->arena, url, &location, &err) && err.code != ERR_UNSUPPORTED)
        reader_report(r, reader_place(node), err.hint, "%s", err.text);
}

static void read_name_pattern(struct reader *r, const struct reader_field *field,
                              const struct yaml_node *node, void *target)
{
    struct spec_backups *backups = target;
    struct error err = ERROR_INIT;
    const char *pattern = reader_text(r, field->word, node);
    if (!pattern)
        return;
    backups->name = pattern;
    if (catalog_check_pattern(pattern, &err))
        reader_report(r, reader_place(node), err.hint, "'%s': %s", field->word, err.text);
}

static const char *const select_choices[] = {
    [CATALOG_EXACT] = "exact", [CATALOG_AT_OR_BEFORE] = "at-or-before", NULL};

static const struct reader_field backups_fields[] = {
    {"location", READER_OWN, .read = read_location},
    {"name", READER_OWN, .read = read_name_pattern},
    {"select", READER_CHOICE, .offset = offsetof(struct spec_backups, select),
     .choices = select_choices},
    {"maxAge", READER_DURATION, .offset = offsetof(struct spec_backups, max_age_s)},
};

static void check_max_age(struct reader *r, const struct spec_backups *backups,
                          const struct yaml_node *max_age)
{
    if (backups->select == CATALOG_EXACT)
        reader_report(r, reader_place(max_age), "add select: at-or-before, or leave maxAge out",
                      "'maxAge' has no meaning with select: exact");
    else if (backups->max_age_s == 0) /* within the program 0 says: any */
        reader_report(r, reader_place(max_age), "leave it out to allow any age",
                      "'maxAge' must be longer than 0s");
}

static void read_backups(struct reader *r, const struct reader_field *field,
                         const struct yaml_node *node, void *target)
{
    struct spec_backups *backups = &((struct spec *)target)->backups;
    if (!reader_is_mapping(r, field->word, node))
        return;
    size_t findings_before = r->findings.total;
    reader_mapping(r, node, backups_fields, COUNT_OF(backups_fields), " in 'backups'", backups);
    if (!yaml_get(node, "location"))
        reader_report(r, reader_place(node), "add it, as in location: s3://bucket/folder/",
                      "'location' is missing in 'backups'");
    const struct yaml_node *max_age = yaml_get(node, "maxAge");
    if (max_age && r->findings.total == findings_before)
        check_max_age(r, backups, max_age);
}

static void read_maintenance_service(struct reader *r, const struct reader_field *field,
                                     const struct yaml_node *node, void *target)
{
    struct spec_application *application = target;
    struct error err = ERROR_INIT;
    const char *backend = NULL, *service = reader_text(r, field->word, node);
    if (service && ingress_render_service(r->arena, service, &backend, &err))
        reader_report(r, reader_place(node), err.hint, "'%s': %s", field->word, err.text);
    else if (service)
        application->maintenance_service = service;
}

static const struct reader_field application_fields[] = {
    {"selector", READER_TEXT, .offset = offsetof(struct spec_application, selector)},
    {"deployments", READER_OBJECT_NAMES, .offset = offsetof(struct spec_application, deployments)},
    {"statefulSets", READER_OBJECT_NAMES,
     .offset = offsetof(struct spec_application, stateful_sets)},
    {"ingresses", READER_OBJECT_NAMES, .offset = offsetof(struct spec_application, ingresses)},
    {"maintenanceService", READER_OWN, .read = read_maintenance_service},
    {"timeout", READER_DURATION, .offset = offsetof(struct spec_application, timeout_s)},
};

static void read_application(struct reader *r, const struct reader_field *field,
                             const struct yaml_node *node, void *target)
{
    struct spec_application *application = &((struct spec *)target)->application;
    if (!reader_is_mapping(r, field->word, node))
        return;
    reader_mapping(r, node, application_fields, COUNT_OF(application_fields), " in 'application'",
                   application);
    if (application->timeout_s == 0)
        reader_report(r, reader_place(yaml_get(node, "timeout")), "10m is the default",
                      "'timeout' must be longer than 0s");
}

/* Its keys are not looked at until jobs are built: spec_check_supported() refuses the word. */
static void read_job(struct reader *r, const struct reader_field *field,
                     const struct yaml_node *node, void *target)
{
    (void)target;
    (void)reader_is_mapping(r, field->word, node);
}

static const char *const engine_choices[] = {
    [SPEC_ENGINE_ARCHIVE] = "archive", [SPEC_ENGINE_JOB] = "job", NULL};
static const char *const strategy_choices[] = {
    [SPEC_STRATEGY_SWAP] = "swap", [SPEC_STRATEGY_IN_PLACE] = "in-place", NULL};
static const char *const on_revert_choices[] = {[SPEC_ON_REVERT_REFUSE] = "refuse",
                                                [SPEC_ON_REVERT_SWAP_BACK] = "swap-back",
                                                [SPEC_ON_REVERT_LOAD] = "load",
                                                NULL};
static const char *const carry_over_choices[] = {
    [SPEC_CARRY_OVER_STRICT] = "strict", [SPEC_CARRY_OVER_BEST_EFFORT] = "best-effort", NULL};
static const char *const replication_choices[] = {
    [SPEC_REPLICATION_REFUSE] = "refuse", [SPEC_REPLICATION_DROP] = "drop", NULL};

static const struct reader_field spec_fields[SPEC_KEY_COUNT] = {
    [SPEC_DATABASE] = {"database", READER_DATABASE, .offset = offsetof(struct spec, database)},
    [SPEC_CONTROL_DATABASE] = {"controlDatabase", READER_DATABASE,
                               .offset = offsetof(struct spec, control_database)},
    [SPEC_BACKUPS] = {"backups", READER_OWN, .read = read_backups},
    [SPEC_ENGINE] = {"engine", READER_CHOICE, .offset = offsetof(struct spec, engine),
                     .choices = engine_choices},
    [SPEC_JOB] = {"job", READER_OWN, .read = read_job},
    [SPEC_STRATEGY] = {"strategy", READER_CHOICE, .offset = offsetof(struct spec, strategy),
                       .choices = strategy_choices},
    [SPEC_JOBS] = {"jobs", READER_COUNT, .offset = offsetof(struct spec, jobs), .max = LIMIT_JOBS},
    [SPEC_KEEP_PREVIOUS] = {"keepPrevious", READER_DURATION,
                            .offset = offsetof(struct spec, keep_previous_s)},
    [SPEC_ON_REVERT] = {"onRevert", READER_CHOICE, .offset = offsetof(struct spec, on_revert),
                        .choices = on_revert_choices},
    [SPEC_MAX_ATTEMPTS] = {"maxAttempts", READER_COUNT,
                           .offset = offsetof(struct spec, max_attempts), .max = LIMIT_ATTEMPTS},
    [SPEC_CARRY_OVER] = {"carryOver", READER_CHOICE, .offset = offsetof(struct spec, carry_over),
                         .choices = carry_over_choices},
    [SPEC_REPLICATION] = {"replication", READER_CHOICE,
                          .offset = offsetof(struct spec, replication),
                          .choices = replication_choices},
    [SPEC_KEEP_PRESTAGED] = {"keepPrestaged", READER_BOOL,
                             .offset = offsetof(struct spec, keep_prestaged)},
    [SPEC_PGBOUNCER] = {"pgbouncer", READER_BOOL, .offset = offsetof(struct spec, has_pgbouncer)},
    [SPEC_APPLICATION] = {"application", READER_OWN, .read = read_application},
    [SPEC_PRE_STEPS] = {"preSteps", READER_OWN, .read = spec_read_pre_steps},
    [SPEC_VERIFY] = {"verify", READER_OWN, .read = spec_read_verify},
    [SPEC_SMOKE] = {"smoke", READER_OWN, .read = spec_read_smoke},
    [SPEC_POST_STEPS] = {"postSteps", READER_OWN, .read = spec_read_post_steps},
};

static void note_places(const struct yaml_node *root, struct spec *spec)
{
    for (size_t key = 0; key < SPEC_KEY_COUNT; key++)
        for (size_t i = 0; i < root->count; i++)
            if (strcmp(root->keys[i]->text, spec_fields[key].word) == 0)
                spec->places[key] = reader_place(root->keys[i]);
}

/* What does not fit together, after the keys were read one by one. */
static void check_whole(struct reader *r, const struct yaml_node *root, const struct spec *spec)
{
    const struct yaml_node *database = yaml_get(root, "database");
    if (!database)
        reader_report(r, reader_place(root), "add it, as in database: shop",
                      "'database' is missing");
    if (!yaml_get(root, "backups"))
        reader_report(r, reader_place(root), "add backups: with location: s3://bucket/folder/",
                      "'backups' is missing");
    if (text_equal(spec->database, "postgres"))
        reader_report(r, reader_place(database), "restore into a database of the application's own",
                      "'database' cannot be 'postgres': new databases are made from there");
    if (text_equal(spec->database, spec->control_database))
        reader_report(r, reader_place(database), "",
                      "'database' and 'controlDatabase' are the same database");
    if (r->findings.total == 0) /* a step that was misspelt is one finding, not two */
        spec_check_counterparts(r, spec);
}

static void read_root(struct reader *r, const struct yaml_node *root, struct spec *spec)
{
    static const struct spec_place start = {.line = 1, .column = 1};
    if (!root || yaml_is_null(root)) {
        reader_report(r, start, "at least database and backups are needed", "it is empty");
        return;
    }
    if (root->kind != YAML_MAPPING) {
        reader_report(r, reader_place(root), "as in database: shop",
                      "it must be a mapping of keys to values");
        return;
    }
    reader_mapping(r, root, spec_fields, SPEC_KEY_COUNT, "", spec);
    note_places(root, spec);
    check_whole(r, root, spec);
}

enum errc spec_parse(struct arena *arena, const struct spec_text *text, struct spec *ret_spec,
                     struct spec_findings *ret_findings, struct error *err)
{
    struct reader r = {.arena = arena, .text_name = arena_strdup(arena, text->name)};
    struct spec spec = {
        .text_name = r.text_name,
        .control_database = DEFAULT_CONTROL_DATABASE,
        .backups.name = DEFAULT_NAME_PATTERN,
        .jobs = DEFAULT_JOBS,
        .keep_previous_s = DEFAULT_KEEP_PREVIOUS_S,
        .max_attempts = DEFAULT_MAX_ATTEMPTS,
        .application.timeout_s = DEFAULT_APPLICATION_TIMEOUT_S,
    };
    struct yaml_node *root = NULL;
    enum errc code =
        yaml_parse(arena, text->bytes, text->length, r.text_name, text->first_line, &root, err);
    if (code)
        reader_add(&r, err);
    else
        read_root(&r, root, &spec);
    if (ret_findings)
        *ret_findings = r.findings;
    if (code)
        return code;
    if (r.findings.total)
        return reader_error(&r, ERR_CONFIG, err);
    *ret_spec = spec;
    return RR_OK;
}

/* A word that is known, whether it is asked for, and the way out. */
struct unsupported {
    bool is_asked_for;
    struct spec_place place;
    const char *word, *hint;
};

static void report_unsupported(struct reader *r, const struct unsupported words[], size_t count,
                               const char *why)
{
    for (size_t i = 0; i < count; i++)
        if (words[i].is_asked_for)
            reader_report(r, words[i].place, words[i].hint, "'%s' %s", words[i].word, why);
}

static void check_not_built(struct reader *r, const struct spec *spec)
{
    const struct spec_place *places = spec->places;
    const struct unsupported words[] = {
        {spec->engine == SPEC_ENGINE_JOB, places[SPEC_ENGINE], "engine: job",
         "leave it out: pg_dump archives are restored by the program itself"},
        {places[SPEC_JOB].line > 0, places[SPEC_JOB], "job", "leave it out"},
        {spec->strategy == SPEC_STRATEGY_IN_PLACE, places[SPEC_STRATEGY], "strategy: in-place",
         "leave it out: the backup is loaded beside the live database, which needs room for both"},
        {spec->on_revert == SPEC_ON_REVERT_SWAP_BACK, places[SPEC_ON_REVERT], "onRevert: swap-back",
         "say onRevert: refuse, and swap back with the command rollback; or onRevert: load"},
        {spec->replication == SPEC_REPLICATION_DROP, places[SPEC_REPLICATION], "replication: drop",
         "leave it out, and drop slots and subscriptions by hand before a restore"},
        {spec->keep_prestaged, places[SPEC_KEEP_PRESTAGED], "keepPrestaged: true", "leave it out"},
        {spec->has_pgbouncer, places[SPEC_PGBOUNCER], "pgbouncer: true",
         "leave it out: clients of PgBouncer see their connections end at the swap"},
    };
    report_unsupported(r, words, COUNT_OF(words), "is not supported yet");
    for (size_t i = 0; i < spec->smoke_count; i++)
        if (spec->smoke[i].kind == SPEC_CHECK_HTTP)
            reader_report(r, spec->smoke[i].place, "use - sql: with a statement that answers true",
                          "'http' in smoke is not supported yet");
}

static void check_location(struct reader *r, const struct spec_backups *backups)
{
    struct location location;
    struct error err = ERROR_INIT;
    if (location_parse(r->arena, backups->location, &location, &err))
        reader_report(r, backups->location_place, err.hint, "%s", err.text);
}

/* Names or a selector for what the steps act on: the program never guesses whose pods it may end.
 */
static void check_application(struct reader *r, const struct spec *spec)
{
    const struct spec_application *a = &spec->application;
    bool has_workloads = a->selector || a->deployments.count || a->stateful_sets.count,
         has_ingresses = a->selector || a->ingresses.count;
    for (size_t i = 0; i < spec->pre_step_count; i++) {
        const struct spec_step *step = &spec->pre_steps[i];
        if (step->kind == SPEC_STEP_SCALE_DEPLOYMENTS && !has_workloads)
            reader_report(r, step->place, "add application: {deployments: [NAME]}, or a selector",
                          "'scaleDeployments' needs 'application' to say which workloads");
        if (step->kind == SPEC_STEP_DISABLE_INGRESS && !has_ingresses)
            reader_report(r, step->place, "add application: {ingresses: [NAME]}, or a selector",
                          "'disableIngress' needs 'application' to say which Ingresses");
    }
}

static void check_steps_without_workloads(struct reader *r, const struct spec_step *steps,
                                          size_t count)
{
    static const char *const words[] = {
        [SPEC_STEP_SCALE_DEPLOYMENTS] = "scaleDeployments",
        [SPEC_STEP_DISABLE_INGRESS] = "disableIngress",
        [SPEC_STEP_ENABLE_INGRESS] = "enableIngress",
    };
    for (size_t i = 0; i < count; i++)
        if (steps[i].kind != SPEC_STEP_SQL)
            reader_report(r, steps[i].place,
                          "use an sql step that keeps the application out, or run in Kubernetes",
                          "'%s' needs Kubernetes, and this state is kept in a directory",
                          words[steps[i].kind]);
}

enum errc spec_check_supported(struct arena *arena, const struct spec *spec, bool has_workloads,
                               struct spec_findings *ret_findings, struct error *err)
{
    struct reader r = {.arena = arena, .text_name = spec->text_name};
    check_not_built(&r, spec);
    check_location(&r, &spec->backups);
    enum errc code = ERR_UNSUPPORTED;
    if (has_workloads) {
        code = r.findings.total ? code : ERR_CONFIG;
        check_application(&r, spec);
    } else {
        if (spec->places[SPEC_APPLICATION].line > 0)
            reader_report(&r, spec->places[SPEC_APPLICATION], "leave it out, or run in Kubernetes",
                          "'application' needs Kubernetes, and this state is kept in a directory");
        check_steps_without_workloads(&r, spec->pre_steps, spec->pre_step_count);
        check_steps_without_workloads(&r, spec->post_steps, spec->post_step_count);
    }
    if (ret_findings)
        *ret_findings = r.findings;
    return r.findings.total ? reader_error(&r, code, err) : RR_OK;
}
