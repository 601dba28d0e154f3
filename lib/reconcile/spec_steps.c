#include "lib/reconcile/spec_steps.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

enum list { PRE_STEPS, POST_STEPS };

static const char *const list_words[] = {[PRE_STEPS] = "preSteps", [POST_STEPS] = "postSteps"};

/* The steps other than `sql`: the one value that each takes in either list, NULL where it has no
 * place. */
static const struct {
    const char *word;
    enum spec_step_kind kind;
    const char *values[2];
} plain_steps[] = {
    {"scaleDeployments", SPEC_STEP_SCALE_DEPLOYMENTS, {"0", "auto"}},
    {"disableIngress", SPEC_STEP_DISABLE_INGRESS, {"true", NULL}},
    {"enableIngress", SPEC_STEP_ENABLE_INGRESS, {NULL, "true"}},
};

#define PLAIN_STEPS (sizeof plain_steps / sizeof *plain_steps)
#define STEP_FORM "in steps write - sql: {sql: \"UPDATE ...\", on: live, undo: \"UPDATE ...\"}"
#define CHECK_FORM "write - sql: \"SELECT count(*) > 0 FROM users\""

static bool is_short_enough(struct reader *r, const char *word, const struct yaml_node *node)
{
    if (node->length <= LIMIT_SQL_TEXT_BYTES)
        return true;
    reader_report(r, reader_place(node), "", "'%s' has %zu bytes, more than %zu", word,
                  node->length, LIMIT_SQL_TEXT_BYTES);
    return false;
}

static void read_sql_text(struct reader *r, const struct reader_field *field,
                          const struct yaml_node *node, void *target)
{
    struct spec_step *step = target;
    const char *text = reader_text(r, field->word, node);
    if (text && is_short_enough(r, field->word, node))
        step->sql = text;
}

/* Unlike other texts an undo may be empty, if that is said: then nothing needs undoing. */
static void read_undo(struct reader *r, const struct reader_field *field,
                      const struct yaml_node *node, void *target)
{
    struct spec_step *step = target;
    bool is_empty_text = node->kind == YAML_SCALAR && node->length == 0 && !node->is_plain;
    const char *text = is_empty_text ? "" : reader_text(r, field->word, node);
    if (text && is_short_enough(r, field->word, node))
        step->undo = text;
}

static const char *const on_choices[] = {
    [SPEC_ON_LIVE] = "live", [SPEC_ON_STAGING] = "staging", NULL};

static const struct reader_field sql_fields[] = {
    {"sql", READER_OWN, .read = read_sql_text},
    {"on", READER_CHOICE, .offset = offsetof(struct spec_step, sql_on), .choices = on_choices},
    {"undo", READER_OWN, .read = read_undo},
};

/* What does not fit together, after the keys were read one by one. */
static void check_sql_step(struct reader *r, const struct yaml_node *node, enum list list,
                           const struct spec_step *step)
{
    bool is_staging = step->sql_on == SPEC_ON_STAGING;
    const struct yaml_node *undo = yaml_get(node, "undo");
    if (!yaml_get(node, "sql"))
        reader_report(r, reader_place(node), STEP_FORM, "'sql' is missing in a step");
    if (list == PRE_STEPS && !is_staging && !undo)
        reader_report(r, reader_place(node),
                      "add undo: with the statement that takes it back, or undo: \"\" if nothing "
                      "needs undoing; or say on: staging",
                      "a statement on the live database needs its 'undo'");
    if (list == POST_STEPS && is_staging)
        reader_report(
            r, reader_place(node), "leave it out, or move the step to preSteps",
            "'on: staging' has no place in postSteps: the staging database is live by then");
    if (step->undo && step->undo[0] && (list == POST_STEPS || is_staging))
        reader_report(r, reader_place(undo), "leave it out",
                      list == POST_STEPS ? "'undo' has no place in postSteps: nothing is undone "
                                           "after the swap"
                                         : "'undo' has no meaning with on: staging: that database "
                                           "is dropped when a run fails");
}

static void read_sql_step(struct reader *r, const struct yaml_node *node, enum list list,
                          struct spec_step *step)
{
    step->kind = SPEC_STEP_SQL;
    if (node->kind != YAML_MAPPING) {
        reader_report(r, reader_place(node), STEP_FORM, "'sql' in a step must be a mapping");
        return;
    }
    reader_mapping(r, node, sql_fields, sizeof sql_fields / sizeof *sql_fields, " in 'sql'", step);
    check_sql_step(r, node, list, step);
}

static bool is_value(const struct yaml_node *node, const char *value)
{
    return value && node->kind == YAML_SCALAR && strcmp(node->text, value) == 0 &&
           (node->is_plain || strcmp(value, "auto") == 0);
}

static void read_plain_step(struct reader *r, const struct yaml_node *node, enum list list,
                            size_t i, struct spec_step *step)
{
    enum list other = list == PRE_STEPS ? POST_STEPS : PRE_STEPS;
    const char *word = plain_steps[i].word, *value = plain_steps[i].values[list];
    step->kind = plain_steps[i].kind;
    if (is_value(node, value))
        return;
    const char *allowed =
        value ? arena_printf(r->arena, "in %s write %s: %s", list_words[list], word, value) : "";
    if (!value)
        reader_report(r, step->place, "", "'%s' has its place in %s", word, list_words[other]);
    else if (is_value(node, plain_steps[i].values[other]))
        reader_report(r, step->place, allowed, "'%s: %s' has its place in %s", word, node->text,
                      list_words[other]);
    else
        reader_report(r, reader_place(node), allowed, "'%s' must be %s", word, value);
}

static void report_unknown_step(struct reader *r, const struct yaml_node *key)
{
    static const char *const known[] = {"sql", "scaleDeployments", "disableIngress",
                                        "enableIngress", NULL};
    const char *nearest = text_nearest(key->text, known);
    reader_report(r, reader_place(key),
                  "known steps: sql, scaleDeployments, disableIngress, enableIngress",
                  "unknown step %s%s", reader_quote(r, key->text),
                  nearest ? arena_printf(r->arena, ", did you mean '%s'?", nearest) : "");
}

static void read_step(struct reader *r, const struct yaml_node *item, enum list list,
                      struct spec_step *step)
{
    step->place = reader_place(item);
    if (item->kind != YAML_MAPPING || item->count != 1) {
        reader_report(r, step->place,
                      yaml_get(item, "sql") ? STEP_FORM : "as in - disableIngress: true",
                      "a step is a mapping of one key");
        return;
    }
    const struct yaml_node *key = item->keys[0], *value = item->items[0];
    if (strcmp(key->text, "sql") == 0) {
        read_sql_step(r, value, list, step);
        return;
    }
    for (size_t i = 0; i < PLAIN_STEPS; i++) {
        if (strcmp(key->text, plain_steps[i].word) == 0) {
            read_plain_step(r, value, list, i, step);
            return;
        }
    }
    report_unknown_step(r, key);
}

static struct spec_step *read_steps(struct reader *r, const struct yaml_node *node, enum list list,
                                    size_t *ret_count)
{
    if (!reader_is_list(r, list_words[list], node))
        return NULL;
    struct spec_step *steps = arena_array(r->arena, node->count, sizeof *steps);
    for (size_t i = 0; i < node->count; i++)
        read_step(r, node->items[i], list, &steps[i]);
    *ret_count = node->count;
    return steps;
}

void spec_read_pre_steps(struct reader *r, const struct reader_field *field,
                         const struct yaml_node *node, void *target)
{
    (void)field;
    struct spec *spec = target;
    spec->pre_steps = read_steps(r, node, PRE_STEPS, &spec->pre_step_count);
}

void spec_read_post_steps(struct reader *r, const struct reader_field *field,
                          const struct yaml_node *node, void *target)
{
    (void)field;
    struct spec *spec = target;
    spec->post_steps = read_steps(r, node, POST_STEPS, &spec->post_step_count);
}

static bool has_step(const struct spec_step *steps, size_t count, enum spec_step_kind kind)
{
    for (size_t i = 0; i < count; i++)
        if (steps[i].kind == kind)
            return true;
    return false;
}

void spec_check_counterparts(struct reader *r, const struct spec *spec)
{
    static const struct {
        enum spec_step_kind away, back;
        const char *away_text, *back_text;
    } pairs[] = {
        {SPEC_STEP_SCALE_DEPLOYMENTS, SPEC_STEP_SCALE_DEPLOYMENTS, "scaleDeployments: 0",
         "scaleDeployments: auto"},
        {SPEC_STEP_DISABLE_INGRESS, SPEC_STEP_ENABLE_INGRESS, "disableIngress: true",
         "enableIngress: true"},
    };
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
        for (size_t i = 0; i < spec->pre_step_count; i++)
            if (spec->pre_steps[i].kind == pairs[p].away &&
                !has_step(spec->post_steps, spec->post_step_count, pairs[p].back))
                reader_report(r, spec->pre_steps[i].place,
                              arena_printf(r->arena, "add to postSteps: - %s", pairs[p].back_text),
                              "'%s' without '%s' in postSteps: it would never be undone",
                              pairs[p].away_text, pairs[p].back_text);
}

static void read_sql_check(struct reader *r, const struct yaml_node *node, struct spec_check *check)
{
    check->kind = SPEC_CHECK_SQL;
    if (node->kind != YAML_SCALAR) {
        reader_report(r, reader_place(node), CHECK_FORM, "'sql' in a check must be a text");
        return;
    }
    check->sql = reader_text(r, "sql", node);
    is_short_enough(r, "sql", node);
}

static void read_check(struct reader *r, const char *list, const struct yaml_node *item,
                       struct spec_check *check)
{
    bool is_smoke = strcmp(list, "smoke") == 0;
    check->place = reader_place(item);
    if (item->kind != YAML_MAPPING || item->count != 1) {
        reader_report(r, check->place, CHECK_FORM, "a check is a mapping of one key");
        return;
    }
    const struct yaml_node *key = item->keys[0];
    if (strcmp(key->text, "sql") == 0)
        read_sql_check(r, item->items[0], check);
    else if (strcmp(key->text, "http") != 0)
        reader_report(r, reader_place(key),
                      is_smoke ? "known checks: sql, http" : "known checks: sql",
                      "unknown check %s", reader_quote(r, key->text));
    else if (!is_smoke)
        reader_report(r, reader_place(key), "",
                      "'http' has its place in smoke: before the swap nobody uses the loaded data");
    else
        check->kind = SPEC_CHECK_HTTP;
}

static struct spec_check *read_checks(struct reader *r, const char *list,
                                      const struct yaml_node *node, size_t *ret_count)
{
    if (!reader_is_list(r, list, node))
        return NULL;
    struct spec_check *checks = arena_array(r->arena, node->count, sizeof *checks);
    for (size_t i = 0; i < node->count; i++)
        read_check(r, list, node->items[i], &checks[i]);
    *ret_count = node->count;
    return checks;
}

void spec_read_verify(struct reader *r, const struct reader_field *field,
                      const struct yaml_node *node, void *target)
{
    struct spec *spec = target;
    spec->verify = read_checks(r, field->word, node, &spec->verify_count);
}

void spec_read_smoke(struct reader *r, const struct reader_field *field,
                     const struct yaml_node *node, void *target)
{
    struct spec *spec = target;
    spec->smoke = read_checks(r, field->word, node, &spec->smoke_count);
}
