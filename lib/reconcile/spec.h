/*
 * spec - the configuration, `restore.yaml`, as a plain struct.
 *
 * Parsing is strict and has no effects: the same text always gives the same struct or the same
 * errors. What is wrong is reported with line, column and the nearest known word, up to
 * SPEC_FINDINGS_MAX findings at once. Words that are known but not built yet are parsed;
 * spec_check_supported() refuses them by name. Everything lives in the caller's arena.
 */
#ifndef RR_RECONCILE_SPEC_H
#define RR_RECONCILE_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "lib/backup/catalog.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

/* Where something stands in the text, from 1; line 0: it was left out. */
struct spec_place {
    unsigned line, column;
};

/* Every key of the top level, in the order of the documentation. */
enum spec_key {
    SPEC_DATABASE,
    SPEC_CONTROL_DATABASE,
    SPEC_BACKUPS,
    SPEC_ENGINE,
    SPEC_JOB,
    SPEC_STRATEGY,
    SPEC_JOBS,
    SPEC_KEEP_PREVIOUS,
    SPEC_ON_REVERT,
    SPEC_MAX_ATTEMPTS,
    SPEC_CARRY_OVER,
    SPEC_REPLICATION,
    SPEC_KEEP_PRESTAGED,
    SPEC_PGBOUNCER,
    SPEC_APPLICATION,
    SPEC_PRE_STEPS,
    SPEC_VERIFY,
    SPEC_SMOKE,
    SPEC_POST_STEPS,
    SPEC_KEY_COUNT
};

/* The zero of each enumeration is its default. */
enum spec_engine { SPEC_ENGINE_ARCHIVE, SPEC_ENGINE_JOB };
enum spec_strategy { SPEC_STRATEGY_SWAP, SPEC_STRATEGY_IN_PLACE };
enum spec_on_revert { SPEC_ON_REVERT_REFUSE, SPEC_ON_REVERT_SWAP_BACK, SPEC_ON_REVERT_LOAD };
enum spec_carry_over { SPEC_CARRY_OVER_STRICT, SPEC_CARRY_OVER_BEST_EFFORT };
enum spec_replication { SPEC_REPLICATION_REFUSE, SPEC_REPLICATION_DROP };

struct spec_backups {
    const char *location; /* URL, as location_parse() takes it */
    struct spec_place location_place;
    const char *name; /* pattern, checked by catalog_check_pattern() */
    enum catalog_select select;
    uint64_t max_age_s; /* 0: any */
};

struct spec_names {
    const char **items;
    size_t count;
};

struct spec_application {
    const char *selector; /* label selector, NULL if none */
    struct spec_names deployments, stateful_sets, ingresses;
    const char *maintenance_service; /* NULL if none */
    uint64_t timeout_s;              /* for pods to go, and for workloads to be ready again */
};

enum spec_step_kind {
    SPEC_STEP_SQL,
    SPEC_STEP_SCALE_DEPLOYMENTS, /* preSteps: to 0; postSteps: back to what they were */
    SPEC_STEP_DISABLE_INGRESS,
    SPEC_STEP_ENABLE_INGRESS,
};

enum spec_on { SPEC_ON_LIVE, SPEC_ON_STAGING };

struct spec_step {
    enum spec_step_kind kind;
    struct spec_place place;
    /* SPEC_STEP_SQL */
    const char *sql;
    enum spec_on sql_on;
    const char *undo; /* NULL: none given; "": nothing needs undoing */
};

enum spec_check_kind { SPEC_CHECK_SQL, SPEC_CHECK_HTTP };

struct spec_check {
    enum spec_check_kind kind;
    struct spec_place place;
    const char *sql; /* SPEC_CHECK_SQL, else NULL */
};

struct spec {
    const char *text_name; /* what messages call the text */
    const char *database;
    const char *control_database;
    struct spec_backups backups;
    enum spec_engine engine;
    enum spec_strategy strategy;
    unsigned jobs; /* 1 to LIMIT_JOBS */
    uint64_t keep_previous_s;
    enum spec_on_revert on_revert;
    unsigned max_attempts; /* 1 to LIMIT_ATTEMPTS */
    enum spec_carry_over carry_over;
    enum spec_replication replication;
    bool keep_prestaged;
    bool has_pgbouncer;
    struct spec_application application;
    struct spec_step *pre_steps, *post_steps;
    size_t pre_step_count, post_step_count;
    struct spec_check *verify, *smoke;
    size_t verify_count, smoke_count;
    struct spec_place places[SPEC_KEY_COUNT]; /* of each key; line 0 where it was left out */
};

enum { SPEC_FINDINGS_MAX = 10 };

struct spec_finding {
    const char *text; /* "restore.yaml:LINE:COLUMN: ..." */
    const char *hint; /* "" if there is nothing to say */
};

struct spec_findings {
    struct spec_finding items[SPEC_FINDINGS_MAX];
    size_t count; /* of items */
    size_t total; /* found in all */
};

/* The text of the configuration and where it comes from. */
struct spec_text {
    const char *bytes;
    size_t length;
    const char *name;    /* in messages: "restore.yaml" */
    unsigned first_line; /* lines of the enclosing file before the text's first line */
};

/* Parses the text. ERR_CONFIG: the error slot holds the first finding and how many more there are;
 * *ret_findings (may be NULL; written always) holds the first SPEC_FINDINGS_MAX of them. `text` is
 * not needed afterwards. */
enum errc spec_parse(struct arena *arena, const struct spec_text *text, struct spec *ret_spec,
                     struct spec_findings *ret_findings, struct error *err) RR_MUST_CHECK;

/* Whether this program, with a store that has workloads beside it or not, can do what the spec
 * asks. ERR_UNSUPPORTED names the word, its place and the way out; ERR_CONFIG: a step that acts on
 * workloads or Ingresses without a word which. Findings as above. */
enum errc spec_check_supported(struct arena *arena, const struct spec *spec, bool has_workloads,
                               struct spec_findings *ret_findings, struct error *err) RR_MUST_CHECK;

#endif
