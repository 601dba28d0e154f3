#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/reconcile/rights.h"

/* The rules of a configuration as "RESOURCES NAMES VERBS", one a line, without those of the record.
 */
static const char *rules_of(struct arena *arena, const char *application, const char *steps)
{
    STR_GUARD struct str text = STR_INIT(8192);
    struct error err = ERROR_INIT;
    struct spec spec;
    struct rights rights;
    const char *yaml =
        arena_printf(arena, "database: x\nbackups: {location: s3://b/}\n%s%s", application, steps);
    struct spec_text source = {.bytes = yaml, .length = strlen(yaml), .name = "restore.yaml"};
    if (spec_parse(arena, &source, &spec, NULL, &err) ||
        spec_check_supported(arena, &spec, true, NULL, &err))
        fail_msg("%s", err.text);
    rights_of(arena, &spec, "restore-state", &rights);
    for (size_t i = 4; i < rights.count; i++) {
        const struct right *right = &rights.items[i];
        assert_true(right->why[0] && right->resources[0]);
        for (size_t r = 0; r < RIGHT_RESOURCES_MAX && right->resources[r]; r++) {
            assert_string_equal(right->resources[r]->group, right->resources[0]->group);
            str_printf(&text, "%s%s", r ? "," : "", right->resources[r]->plural);
        }
        str_append_char(&text, ' ');
        for (size_t n = 0; n < right->name_count; n++)
            str_printf(&text, "%s%s", n ? "," : "", right->names[n]);
        str_append_char(&text, ' ');
        for (size_t v = 0; v < RIGHT_VERBS_MAX && right->verbs[v]; v++)
            str_printf(&text, "%s%s", v ? "," : "", right->verbs[v]);
        str_append_char(&text, '\n');
    }
    return arena_strdup(arena, str_text(&text));
}

#define SCALE "preSteps: [{scaleDeployments: 0}]\npostSteps: [{scaleDeployments: auto}]\n"
#define INGRESS "preSteps: [{disableIngress: true}]\npostSteps: [{enableIngress: true}]\n"
#define BOTH                                                                                       \
    "preSteps: [{disableIngress: true}, {scaleDeployments: 0}]\n"                                  \
    "postSteps: [{scaleDeployments: auto}, {enableIngress: true}]\n"
#define FIND_WORKLOADS "deployments,statefulsets  get,list\n"
#define FIND_INGRESSES "ingresses  get,list\n"
#define PODS "pods  get,list\n"

static void test_what_a_configuration_needs(void **state)
{
    (void)state;
    static const struct {
        const char *name, *application, *steps, *rules;
    } rows[] = {
        {"only SQL", "", "preSteps: [{sql: {sql: A, undo: B}}]\n", FIND_WORKLOADS FIND_INGRESSES},
        {"names that no step uses", "application: {deployments: [web], ingresses: [web]}\n", "",
         FIND_WORKLOADS FIND_INGRESSES},
        {"Deployments", "application: {deployments: [web, worker]}\n", SCALE,
         FIND_WORKLOADS "deployments web,worker patch\n" PODS FIND_INGRESSES},
        {"StatefulSets", "application: {statefulSets: [cache]}\n", SCALE,
         FIND_WORKLOADS "statefulsets cache patch\n" PODS FIND_INGRESSES},
        {"each", "application: {deployments: [web], statefulSets: [web]}\n", SCALE,
         FIND_WORKLOADS "deployments web patch\nstatefulsets web patch\n" PODS FIND_INGRESSES},
        {"Ingresses", "application: {ingresses: [a, b]}\n", INGRESS,
         FIND_WORKLOADS FIND_INGRESSES
         "ingresses a,b patch\nservices restore-reconciler-maintenance get\n"},
        {"a Service with a port", "application: {ingresses: [a], maintenanceService: sorry:8080}\n",
         INGRESS, FIND_WORKLOADS FIND_INGRESSES "ingresses a patch\nservices sorry get\n"},
        {"a selector knows no names", "application: {selector: a=b}\n", BOTH,
         FIND_WORKLOADS "deployments,statefulsets  patch\n" PODS FIND_INGRESSES
                        "ingresses  patch\nservices restore-reconciler-maintenance get\n"},
        {"a selector beside names", "application: {selector: a=b, deployments: [web]}\n", SCALE,
         FIND_WORKLOADS "deployments,statefulsets  patch\n" PODS FIND_INGRESSES},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        const char *rules = rules_of(&arena, rows[i].application, rows[i].steps);
        if (strcmp(rules, rows[i].rules) != 0)
            fail_msg("%s:\n%sin place of\n%s", rows[i].name, rules, rows[i].rules);
    }
}

static void test_the_role_names_the_state(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(8192);
    struct spec spec = {.database = "x"};
    struct rights rights;
    rights_of(&arena, &spec, "orders", &rights);
    rights_render_role(&rights, "shop", &text);
    static const char *const parts[] = {
        "kind: Role\n",
        "  namespace: shop\n",
        "    resources: [configmaps]\n    resourceNames: [orders]\n    verbs: [get, patch]\n",
        "    resourceNames: [orders-journal]\n",
        "  - apiGroups: [coordination.k8s.io]\n    resources: [leases]\n"
        "    resourceNames: [restore-reconciler-orders]\n    verbs: [create, get, update]\n",
        "  - apiGroups: [\"\"]\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(str_text(&text), parts[i]))
            fail_msg("%s lacks %s", str_text(&text), parts[i]);
    str_clear(&text);
    rights_render_role(&rights, NULL, &text);
    assert_null(strstr(str_text(&text), "namespace:"));
}

/* Names that YAML takes for numbers and the like are names all the same. */
static void test_odd_names_stay_texts(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str text = STR_INIT(8192);
    struct spec spec = {.database = "x"};
    struct rights rights;
    rights_of(&arena, &spec, "1e3", &rights);
    rights_render_role(&rights, "null", &text);
    assert_non_null(strstr(str_text(&text), "  namespace: \"null\"\n"));
    assert_non_null(strstr(str_text(&text), "    resourceNames: [\"1e3\"]\n"));
    assert_non_null(strstr(str_text(&text), "    resourceNames: [restore-reconciler-1e3]\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_configuration_needs),
        cmocka_unit_test(test_the_role_names_the_state),
        cmocka_unit_test(test_odd_names_stay_texts),
    };
    return cmocka_run_group_tests_name("reconcile/rights", tests, NULL, NULL);
}
