#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/reconcile/spec.h"

/* What a text needs at least; two lines. */
#define NEEDED                                                                                     \
    "database: shop\n"                                                                             \
    "backups: {location: s3://b/}\n"

static enum errc parse(struct arena *arena, const char *text, struct spec *spec,
                       struct spec_findings *findings, struct error *err)
{
    struct spec_text t = {text, strlen(text), "restore.yaml", 0};
    return spec_parse(arena, &t, spec, findings, err);
}

static void test_defaults(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct spec spec;
    struct spec_findings findings;
    assert_int_equal(parse(&arena, NEEDED, &spec, &findings, &err), RR_OK);
    assert_int_equal(findings.total, 0);
    assert_string_equal(spec.database, "shop");
    assert_string_equal(spec.control_database, "restore_reconciler");
    assert_string_equal(spec.backups.location, "s3://b/");
    assert_string_equal(spec.backups.name, "%Y-%m-%dT%H:%M:%SZ.dump");
    assert_int_equal(spec.backups.select, CATALOG_EXACT);
    assert_int_equal(spec.backups.max_age_s, 0);
    assert_int_equal(spec.engine, SPEC_ENGINE_ARCHIVE);
    assert_int_equal(spec.strategy, SPEC_STRATEGY_SWAP);
    assert_int_equal(spec.jobs, 4);
    assert_int_equal(spec.keep_previous_s, 86400);
    assert_int_equal(spec.on_revert, SPEC_ON_REVERT_REFUSE);
    assert_int_equal(spec.max_attempts, 3);
    assert_int_equal(spec.carry_over, SPEC_CARRY_OVER_STRICT);
    assert_int_equal(spec.replication, SPEC_REPLICATION_REFUSE);
    assert_false(spec.keep_prestaged || spec.has_pgbouncer);
    assert_int_equal(spec.pre_step_count + spec.post_step_count, 0);
    assert_int_equal(spec.verify_count + spec.smoke_count, 0);
    assert_int_equal(spec.places[SPEC_JOBS].line, 0);
    assert_int_equal(spec_check_supported(&arena, &spec, false, NULL, &err), RR_OK);
}

static void test_every_key(void **state)
{
    (void)state;
    static const char text[] = "database: 'quo\"ted\n\n\n  %'\n"
                               "controlDatabase: rr\n"
                               "backups:\n"
                               "  location: file:///srv/backups/\n"
                               "  name: \"%Y%m%d%H%M%S.dump\"\n"
                               "  select: at-or-before\n"
                               "  maxAge: 36h\n"
                               "engine: job\n"
                               "job: {fromCronJob: restore}\n"
                               "strategy: in-place\n"
                               "jobs: 8\n"
                               "keepPrevious: 0s\n"
                               "onRevert: load\n"
                               "maxAttempts: 5\n"
                               "carryOver: best-effort\n"
                               "replication: drop\n"
                               "keepPrestaged: true\n"
                               "pgbouncer: true\n"
                               "application:\n"
                               "  selector: app=shop\n"
                               "  deployments: [web, worker]\n"
                               "  statefulSets: [cache]\n"
                               "  ingresses: []\n"
                               "  maintenanceService: sorry:8080\n"
                               "  timeout: 90s\n"
                               "preSteps:\n"
                               "  - disableIngress: true\n"
                               "  - scaleDeployments: 0\n"
                               "  - sql: {sql: \"SELECT 1\", on: live, undo: \"SELECT 2\"}\n"
                               "  - sql: {sql: \"SELECT 3\", undo: \"\"}\n"
                               "  - sql: {sql: \"SELECT 4\", on: staging}\n"
                               "verify:\n"
                               "  - sql: SELECT true\n"
                               "smoke:\n"
                               "  - sql: |\n"
                               "      SELECT\n"
                               "        true\n"
                               "  - http: {url: https://shop.example/}\n"
                               "postSteps:\n"
                               "  - sql: {sql: \"SELECT 5\", on: live}\n"
                               "  - scaleDeployments: auto\n"
                               "  - enableIngress: true\n";
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct spec s;
    if (parse(&arena, text, &s, NULL, &err))
        fail_msg("%s", err.text);
    assert_string_equal(s.database, "quo\"ted\n\n%");
    assert_string_equal(s.control_database, "rr");
    assert_int_equal(s.backups.select, CATALOG_AT_OR_BEFORE);
    assert_int_equal(s.backups.max_age_s, 36 * 3600);
    assert_int_equal(s.engine, SPEC_ENGINE_JOB);
    assert_int_equal(s.strategy, SPEC_STRATEGY_IN_PLACE);
    assert_int_equal(s.jobs, 8);
    assert_int_equal(s.keep_previous_s, 0);
    assert_int_equal(s.on_revert, SPEC_ON_REVERT_LOAD);
    assert_int_equal(s.max_attempts, 5);
    assert_int_equal(s.carry_over, SPEC_CARRY_OVER_BEST_EFFORT);
    assert_int_equal(s.replication, SPEC_REPLICATION_DROP);
    assert_true(s.keep_prestaged && s.has_pgbouncer);
    assert_string_equal(s.application.selector, "app=shop");
    assert_int_equal(s.application.deployments.count, 2);
    assert_string_equal(s.application.deployments.items[1], "worker");
    assert_int_equal(s.application.ingresses.count, 0);
    assert_string_equal(s.application.maintenance_service, "sorry:8080");
    assert_int_equal(s.application.timeout_s, 90);
    assert_int_equal(s.pre_step_count, 5);
    assert_int_equal(s.pre_steps[0].kind, SPEC_STEP_DISABLE_INGRESS);
    assert_int_equal(s.pre_steps[1].kind, SPEC_STEP_SCALE_DEPLOYMENTS);
    assert_string_equal(s.pre_steps[2].undo, "SELECT 2");
    assert_string_equal(s.pre_steps[3].undo, "");
    assert_int_equal(s.pre_steps[3].sql_on, SPEC_ON_LIVE);
    assert_int_equal(s.pre_steps[4].sql_on, SPEC_ON_STAGING);
    assert_null(s.pre_steps[4].undo);
    assert_int_equal(s.pre_steps[4].place.line, 34);
    assert_string_equal(s.verify[0].sql, "SELECT true");
    assert_string_equal(s.smoke[0].sql, "SELECT\n  true\n");
    assert_int_equal(s.smoke[1].kind, SPEC_CHECK_HTTP);
    assert_int_equal(s.post_step_count, 3);
    assert_int_equal(s.places[SPEC_DATABASE].line, 1);
    assert_int_equal(s.places[SPEC_POST_STEPS].line, 42);
}

static void test_the_first_designs_example_reads_as_it_is(void **state)
{
    (void)state;
    static const char text[] = "database: postgres-prod\n"
                               "backups:\n"
                               "  location: s3://acme-backups/postgres-prod/\n"
                               "preSteps:\n"
                               "  - disableIngress: true\n"
                               "  - scaleDeployments: 0\n"
                               "postSteps:\n"
                               "  - scaleDeployments: auto\n"
                               "  - enableIngress: true\n";
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct spec spec;
    assert_int_equal(parse(&arena, text, &spec, NULL, &err), RR_OK);
    assert_int_equal(spec_check_supported(&arena, &spec, true, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, ":5:5: 'disableIngress' needs 'application'"));
    assert_int_equal(spec.application.timeout_s, 600);
}

/* Who is to be taken away must be said; one word for it is enough. */
static void test_steps_need_to_know_what_they_act_on(void **state)
{
    (void)state;
#define SCALE "preSteps: [{scaleDeployments: 0}]\npostSteps: [{scaleDeployments: auto}]\n"
#define INGRESS "preSteps: [{disableIngress: true}]\npostSteps: [{enableIngress: true}]\n"
    static const struct {
        const char *name, *text, *finding; /* NULL: nothing to complain of */
    } rows[] = {
        {"a selector for workloads", NEEDED "application: {selector: a=b}\n" SCALE, NULL},
        {"a selector for Ingresses", NEEDED "application: {selector: a=b}\n" INGRESS, NULL},
        {"Deployments", NEEDED "application: {deployments: [web]}\n" SCALE, NULL},
        {"StatefulSets", NEEDED "application: {statefulSets: [web]}\n" SCALE, NULL},
        {"Ingresses", NEEDED "application: {ingresses: [web]}\n" INGRESS, NULL},
        {"only back", NEEDED "postSteps: [{enableIngress: true}, {scaleDeployments: auto}]\n",
         NULL},
        {"nothing for workloads", NEEDED SCALE, ":3:12: 'scaleDeployments' needs 'application'"},
        {"nothing for Ingresses", NEEDED INGRESS, ":3:12: 'disableIngress' needs 'application'"},
        {"Ingresses for workloads", NEEDED "application: {ingresses: [web]}\n" SCALE,
         ":4:12: 'scaleDeployments' needs 'application'"},
        {"workloads for Ingresses", NEEDED "application: {deployments: [web]}\n" INGRESS,
         ":4:12: 'disableIngress' needs 'application'"},
        {"empty lists", NEEDED "application: {deployments: []}\n" SCALE,
         ":4:12: 'scaleDeployments' needs 'application'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct spec spec;
        if (parse(&arena, rows[i].text, &spec, NULL, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        enum errc code = spec_check_supported(&arena, &spec, true, NULL, &err);
        if (code != (rows[i].finding ? ERR_CONFIG : RR_OK) ||
            (code && (!strstr(err.text, rows[i].finding) || !strstr(err.hint, "application: {"))))
            fail_msg("%s: '%s', hint '%s'", rows[i].name, err.text, err.hint);
    }
}

/* Each text has exactly one thing wrong. */
static void test_what_is_wrong_is_named_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *finding;
    } rows[] = {
        {"empty", "", ":1:1: it is empty"},
        {"comment", "# nothing\n", ":1:1: it is empty"},
        {"null", "~\n", ":1:1: it is empty"},
        {"list", "- database: shop\n", ":1:1: it must be a mapping"},
        {"text", "shop\n", ":1:1: it must be a mapping"},
        {"not YAML", "database: [\n", ":2:1: "},
        {"unknown key", NEEDED "jobbs: 4\n", ":3:1: unknown key 'jobbs', did you mean 'jobs'?"},
        {"key in other letters", NEEDED "keepprevious: 1h\n", "did you mean 'keepPrevious'?"},
        {"far from any key", NEEDED "frobnicate: 1\n", ":3:1: unknown key 'frobnicate'"},
        {"key with control characters", NEEDED "\"a\\e[31m\": 1\n", "unknown key 'a\\x1b[31m'"},
        {"duplicate key", NEEDED "database: x\n", ":3:1: key 'database' stands twice"},
        {"database missing", "backups: {location: s3://b/}\n", ":1:1: 'database' is missing"},
        {"database empty", "database:\nbackups: {location: s3://b/}\n", "'database' is empty"},
        {"database an empty text", "database: ''\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' is empty"},
        {"database a number", "database: 5\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' must be a text, not a number"},
        {"database a truth value", "database: true\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' must be a text"},
        {"database a list", "database: [a]\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' must be a text"},
        {"database of 64 bytes",
         "database: aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg\n"
         "backups: {location: s3://b/}\n",
         ":1:11: 'database' is a name of 64 bytes"},
        {"database of 63 characters but more bytes",
         "database: éaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg\n"
         "backups: {location: s3://b/}\n",
         "'database' is a name of 64 bytes"},
        {"template0", "database: template0\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' cannot be 'template0'"},
        {"template1 for control", NEEDED "controlDatabase: template1\n",
         ":3:18: 'controlDatabase' cannot be 'template1'"},
        {"postgres", "database: postgres\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' cannot be 'postgres'"},
        {"same as control", NEEDED "controlDatabase: shop\n",
         ":1:11: 'database' and 'controlDatabase'"},
        {"same as control's default",
         "database: restore_reconciler\nbackups: {location: s3://b/}\n",
         ":1:11: 'database' and 'controlDatabase'"},

        {"backups missing", "database: shop\n", ":1:1: 'backups' is missing"},
        {"backups a text", "database: shop\nbackups: s3://b/\n",
         ":2:10: 'backups' must be a mapping"},
        {"location missing", "database: shop\nbackups: {select: exact}\n",
         ":2:10: 'location' is missing in 'backups'"},
        {"location empty", "database: shop\nbackups:\n  location:\n", "'location' is empty"},
        {"location a path", "database: shop\nbackups: {location: /srv}\n",
         ":2:21: 'location' must be an URL"},
        {"location a relative path", "database: shop\nbackups: {location: srv}\n",
         ":2:21: location"},
        {"location of an unknown kind", "database: shop\nbackups: {location: \"ftp://x/\"}\n",
         ":2:21: location"},
        {"location with a password", "database: shop\nbackups: {location: \"s3://k:s3cret@b/\"}\n",
         ":2:21: the location holds a user or password"},
        {"unknown key in backups", "database: shop\nbackups: {location: s3://b/, nme: x}\n",
         ":2:30: unknown key 'nme' in 'backups', did you mean 'name'?"},
        {"pattern without a day", "database: shop\nbackups: {location: s3://b/, name: \"%Y\"}\n",
         ":2:36: 'name': "},
        {"pattern with an unknown directive",
         "database: shop\nbackups: {location: s3://b/, name: \"%Y%m%d%Q\"}\n", ":2:36: 'name': "},
        {"select", "database: shop\nbackups: {location: s3://b/, select: exakt}\n",
         ":2:38: 'select' cannot be 'exakt', did you mean 'exact'?"},
        {"maxAge with exact", "database: shop\nbackups: {location: s3://b/, maxAge: 1h}\n",
         ":2:38: 'maxAge' has no meaning with select: exact"},
        {"maxAge of nothing",
         "database: shop\nbackups: {location: s3://b/, select: at-or-before, maxAge: 0s}\n",
         "'maxAge' must be longer"},
        {"maxAge malformed",
         "database: shop\nbackups: {location: s3://b/, select: at-or-before, maxAge: 1w}\n",
         "'maxAge': '1w' is not a duration"},

        {"jobs 0", NEEDED "jobs: 0\n", ":3:7: 'jobs' must be 1 to 64"},
        {"jobs 65", NEEDED "jobs: 65\n", ":3:7: 'jobs' must be 1 to 64"},
        {"jobs negative", NEEDED "jobs: -1\n", ":3:7: 'jobs' must be 1 to 64"},
        {"jobs beyond any integer", NEEDED "jobs: 99999999999999999999\n",
         "'jobs' must be a number"},
        {"jobs in quotes", NEEDED "jobs: '4'\n", ":3:7: 'jobs' must be a number"},
        {"jobs a fraction", NEEDED "jobs: 1.5\n", "'jobs' must be a number"},
        {"jobs empty", NEEDED "jobs:\n", "'jobs' must be a number"},
        {"maxAttempts 101", NEEDED "maxAttempts: 101\n", "'maxAttempts' must be 1 to 100"},
        {"keepPrevious without unit", NEEDED "keepPrevious: 24\n",
         ":3:15: 'keepPrevious' must be a duration"},
        {"keepPrevious malformed", NEEDED "keepPrevious: one day\n",
         ":3:15: 'keepPrevious': 'one day'"},
        {"keepPrevious too long", NEEDED "keepPrevious: 99999d\n", "longer than ten years"},
        {"strategy", NEEDED "strategy: swp\n", "'strategy' cannot be 'swp', did you mean 'swap'?"},
        {"engine", NEEDED "engine: Archive\n",
         "'engine' cannot be 'Archive', did you mean 'archive'?"},
        {"onRevert", NEEDED "onRevert: ignore\n", "'onRevert' cannot be 'ignore'"},
        {"carryOver", NEEDED "carryOver: besteffort\n", "did you mean 'best-effort'?"},
        {"replication a truth value", NEEDED "replication: false\n",
         "'replication' must be a text"},
        {"pgbouncer yes", NEEDED "pgbouncer: yes\n", ":3:12: 'pgbouncer' must be true or false"},
        {"keepPrestaged in quotes", NEEDED "keepPrestaged: \"true\"\n",
         "'keepPrestaged' must be true or false"},
        {"job a text", NEEDED "job: restore\n", ":3:6: 'job' must be a mapping"},

        {"application a list", NEEDED "application: [web]\n", "'application' must be a mapping"},
        {"unknown key in application", NEEDED "application: {deployment: [web]}\n",
         "unknown key 'deployment' in 'application', did you mean 'deployments'?"},
        {"names a text", NEEDED "application: {deployments: web}\n",
         "'deployments' must be a list"},
        {"name with capitals", NEEDED "application: {deployments: [Web]}\n",
         ":3:29: 'deployments': 'Web' is no name of a Kubernetes object"},
        {"name with a slash", NEEDED "application: {ingresses: [a/b]}\n", "'a/b' is no name"},
        {"name ends with a hyphen", NEEDED "application: {maintenanceService: a-}\n",
         ":3:35: 'maintenanceService': 'a-' names no Service"},
        {"maintenance port of nothing", NEEDED "application: {maintenanceService: \"a:\"}\n",
         "'a:' names no Service"},

        {"steps a mapping", NEEDED "preSteps: {disableIngress: true}\n",
         ":3:11: 'preSteps' must be a list"},
        {"step a word", NEEDED "preSteps: [disableIngress]\n",
         ":3:12: a step is a mapping of one key"},
        {"step of two keys",
         NEEDED "preSteps:\n  - disableIngress: true\n    scaleDeployments: 0\n",
         ":4:5: a step is a mapping of one key"},
        {"step of none", NEEDED "preSteps: [{}]\n", ":3:12: a step is a mapping of one key"},
        {"unknown step", NEEDED "preSteps:\n  - disableIngres: true\n",
         ":4:5: unknown step 'disableIngres', did you mean 'disableIngress'?"},
        {"scaled down and never up", NEEDED "preSteps:\n  - scaleDeployments: 0\n",
         ":4:5: 'scaleDeployments: 0' without 'scaleDeployments: auto' in postSteps"},
        {"disabled and never enabled",
         NEEDED "preSteps:\n  - disableIngress: true\npostSteps:\n  - scaleDeployments: auto\n",
         ":4:5: 'disableIngress: true' without 'enableIngress: true' in postSteps"},
        {"timeout of nothing", NEEDED "application: {timeout: 0s}\n",
         ":3:24: 'timeout' must be longer than 0s"},
        {"timeout without unit", NEEDED "application: {timeout: 60}\n",
         ":3:24: 'timeout' must be a duration"},
        {"enableIngress too early", NEEDED "preSteps:\n  - enableIngress: true\n",
         ":4:5: 'enableIngress' has its place in postSteps"},
        {"disableIngress too late", NEEDED "postSteps:\n  - disableIngress: true\n",
         ":4:5: 'disableIngress' has its place in preSteps"},
        {"scale up too early", NEEDED "preSteps:\n  - scaleDeployments: auto\n",
         ":4:5: 'scaleDeployments: auto' has its place in postSteps"},
        {"scale down too late", NEEDED "postSteps:\n  - scaleDeployments: 0\n",
         ":4:5: 'scaleDeployments: 0' has its place in preSteps"},
        {"scale to two", NEEDED "preSteps:\n  - scaleDeployments: 2\n",
         ":4:23: 'scaleDeployments' must be 0"},
        {"scale to a text", NEEDED "preSteps:\n  - scaleDeployments: '0'\n",
         "'scaleDeployments' must be 0"},
        {"disableIngress false", NEEDED "preSteps:\n  - disableIngress: false\n",
         ":4:21: 'disableIngress' must be true"},
        {"disableIngress empty", NEEDED "preSteps:\n  - disableIngress:\n",
         "'disableIngress' must be true"},

        {"sql step as a text", NEEDED "preSteps:\n  - sql: SELECT 1\n",
         ":4:10: 'sql' in a step must be a mapping"},
        {"sql step after the swap as a text", NEEDED "postSteps:\n  - sql: SELECT 1\n",
         ":4:10: 'sql' in a step must be a mapping"},
        {"sql step flat", NEEDED "preSteps:\n  - sql: SELECT 1\n    on: live\n",
         ":4:5: a step is a mapping of one key"},
        {"sql missing", NEEDED "preSteps:\n  - sql: {on: staging}\n",
         ":4:10: 'sql' is missing in a step"},
        {"sql empty", NEEDED "preSteps:\n  - sql: {sql: '', on: staging}\n", "'sql' is empty"},
        {"sql a number", NEEDED "preSteps:\n  - sql: {sql: 1, on: staging}\n",
         "'sql' must be a text"},
        {"on", NEEDED "preSteps:\n  - sql: {sql: x, on: stagin, undo: ''}\n",
         "'on' cannot be 'stagin', did you mean 'staging'?"},
        {"no undo", NEEDED "preSteps:\n  - sql: {sql: x, on: live}\n",
         ":4:10: a statement on the live database needs its 'undo'"},
        {"no undo where live is the default", NEEDED "preSteps:\n  - sql: {sql: x}\n",
         "a statement on the live database needs its 'undo'"},
        {"undo null", NEEDED "preSteps:\n  - sql: {sql: x, undo: }\n", "'undo' is empty"},
        {"undo on staging", NEEDED "preSteps:\n  - sql: {sql: x, on: staging, undo: y}\n",
         ":4:38: 'undo' has no meaning with on: staging"},
        {"undo after the swap", NEEDED "postSteps:\n  - sql: {sql: x, undo: y}\n",
         ":4:25: 'undo' has no place in postSteps"},
        {"staging after the swap", NEEDED "postSteps:\n  - sql: {sql: x, on: staging}\n",
         ":4:10: 'on: staging' has no place in postSteps"},
        {"unknown key in sql", NEEDED "preSteps:\n  - sql: {sql: x, on: staging, unod: y}\n",
         "unknown key 'unod' in 'sql', did you mean 'undo'?"},

        {"verify a text", NEEDED "verify: SELECT true\n", ":3:9: 'verify' must be a list"},
        {"check a text", NEEDED "verify: [SELECT true]\n",
         ":3:10: a check is a mapping of one key"},
        {"check as a mapping", NEEDED "verify:\n  - sql: {sql: x}\n",
         ":4:10: 'sql' in a check must be a text"},
        {"check empty", NEEDED "verify:\n  - sql:\n", "'sql' is empty"},
        {"http before the swap", NEEDED "verify:\n  - http: https://x/\n",
         ":4:5: 'http' has its place in smoke"},
        {"unknown check", NEEDED "smoke:\n  - tcp: x\n", ":4:5: unknown check 'tcp'"},
        {"alias", NEEDED "verify: &x [{sql: a}]\nsmoke: *x\n", ":3:9: anchors, aliases"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct spec spec;
        struct spec_findings findings;
        if (parse(&arena, rows[i].text, &spec, &findings, &err) != ERR_CONFIG ||
            !strstr(err.text, rows[i].finding) || !text_has_prefix(err.text, "restore.yaml:"))
            fail_msg("%s: '%s'", rows[i].name, err.text);
        if (findings.total != 1 || findings.count != 1 ||
            strcmp(findings.items[0].text, err.text) != 0)
            fail_msg("%s: %zu findings, second: %s", rows[i].name, findings.total,
                     findings.items[1].text);
        if (strstr(err.text, "s3cret"))
            fail_msg("%s: shows a password", rows[i].name);
    }
}

static void test_all_findings_are_reported_up_to_ten(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct spec spec;
    struct spec_findings findings;
    assert_int_equal(
        parse(&arena, "databse: x\njobs: 0\nkeepPrevious: 1\n", &spec, &findings, &err),
        ERR_CONFIG);
    assert_int_equal(findings.total, 5); /* three, and what is missing: database and backups */
    assert_non_null(strstr(err.text, "restore.yaml:1:1: unknown key 'databse'"));
    assert_non_null(strstr(err.text, "(and 4 more)"));
    assert_non_null(strstr(findings.items[1].text, "restore.yaml:2:7: 'jobs'"));
    assert_non_null(strstr(findings.items[2].hint, "24h"));

    STR_GUARD struct str text = STR_INIT(LIMIT_MIB);
    for (int i = 0; i < 1000; i++)
        str_printf(&text, "key%d: 1\n", i);
    error_clear(&err);
    assert_int_equal(parse(&arena, str_text(&text), &spec, &findings, &err), ERR_CONFIG);
    assert_int_equal(findings.count, SPEC_FINDINGS_MAX);
    assert_int_equal(findings.total, 1002);
}

static void test_lists_and_statements_are_bounded(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(LIMIT_MIB);
    struct error err = ERROR_INIT;
    struct spec spec;
    str_append(&text, NEEDED "verify:\n");
    for (size_t i = 0; i < LIMIT_STEPS; i++)
        str_append(&text, "- sql: x\n");
    assert_int_equal(parse(&arena, str_text(&text), &spec, NULL, &err), RR_OK);
    str_append(&text, "- sql: x\n");
    assert_int_equal(parse(&arena, str_text(&text), &spec, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "'verify' has 101 entries, more than 100"));

    error_clear(&err);
    str_clear(&text);
    str_append(&text, NEEDED "verify:\n- sql: \"");
    for (size_t i = 0; i < LIMIT_SQL_TEXT_BYTES + 1; i++)
        str_append_char(&text, 'x');
    str_append(&text, "\"\n");
    assert_int_equal(parse(&arena, str_text(&text), &spec, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "'sql' has 262145 bytes"));
}

static void test_places_count_from_the_enclosing_file(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct spec spec;
    struct spec_text text = {"jobs: 0\n", 8, "state.yaml", 7};
    assert_int_equal(spec_parse(&arena, &text, &spec, NULL, &err), ERR_CONFIG);
    assert_true(text_has_prefix(err.text, "state.yaml:8:7: "));
}

static void test_what_is_not_built_yet_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *finding, *hint;
    } rows[] = {
        {"in-place", NEEDED "strategy: in-place\n",
         ":3:1: 'strategy: in-place' is not supported yet", "leave it out"},
        {"job", NEEDED "job: {fromCronJob: x}\n", ":3:1: 'job' is not supported yet",
         "leave it out"},
        {"engine", NEEDED "engine: job\n", ":3:1: 'engine: job' is not supported yet",
         "leave it out"},
        {"pgbouncer", NEEDED "pgbouncer: true\n", ":3:1: 'pgbouncer: true'", "leave it out"},
        {"keepPrestaged", NEEDED "keepPrestaged: true\n", ":3:1: 'keepPrestaged: true'",
         "leave it out"},
        {"swap-back", NEEDED "onRevert: swap-back\n", ":3:1: 'onRevert: swap-back'", "rollback"},
        {"drop", NEEDED "replication: drop\n", ":3:1: 'replication: drop'", "by hand"},
        {"http", NEEDED "smoke:\n  - http: https://x/\n", ":4:5: 'http' in smoke", "- sql:"},
        {"gs", "database: x\nbackups: {location: \"gs://b/\"}\n",
         ":2:21: locations that begin with gs://", "s3://"},
        {"az", "database: x\nbackups: {location: \"az://b/\"}\n",
         ":2:21: locations that begin with az://", "s3://"},
        {"https", "database: x\nbackups: {location: \"https://b/\"}\n",
         "locations that begin with https://", "s3://"},
        {"application", NEEDED "application: {deployments: [web]}\n",
         ":3:1: 'application' needs Kubernetes", "run in Kubernetes"},
        {"scale up", NEEDED "postSteps:\n  - scaleDeployments: auto\n",
         ":4:5: 'scaleDeployments' needs Kubernetes", "sql step"},
        {"enableIngress", NEEDED "postSteps:\n  - enableIngress: true\n",
         ":4:5: 'enableIngress' needs Kubernetes", "sql step"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct spec spec;
        struct spec_findings findings;
        if (parse(&arena, rows[i].text, &spec, NULL, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        if (spec_check_supported(&arena, &spec, false, &findings, &err) != ERR_UNSUPPORTED ||
            findings.total != 1 || !strstr(err.text, rows[i].finding) ||
            !strstr(err.hint, rows[i].hint) || !text_has_prefix(err.text, "restore.yaml:"))
            fail_msg("%s: '%s', hint '%s', %zu", rows[i].name, err.text, err.hint, findings.total);
        error_clear(&err);
        bool needs_workloads = strstr(rows[i].finding, "needs Kubernetes") != NULL;
        if ((spec_check_supported(&arena, &spec, true, NULL, &err) == RR_OK) != needs_workloads)
            fail_msg("%s with workloads: '%s'", rows[i].name, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_the_first_designs_example_reads_as_it_is),
        cmocka_unit_test(test_steps_need_to_know_what_they_act_on),
        cmocka_unit_test(test_what_is_wrong_is_named_with_its_place),
        cmocka_unit_test(test_all_findings_are_reported_up_to_ten),
        cmocka_unit_test(test_lists_and_statements_are_bounded),
        cmocka_unit_test(test_places_count_from_the_enclosing_file),
        cmocka_unit_test(test_what_is_not_built_yet_is_refused_by_name),
    };
    return cmocka_run_group_tests_name("reconcile/spec", tests, NULL, NULL);
}
