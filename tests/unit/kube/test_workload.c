#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/kube/workload.h"
#include "tests/unit/kube/exchange.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define META "\"name\":\"web\",\"uid\":\"u1\",\"resourceVersion\":\"7\""
#define SELECTOR "\"selector\":{\"matchLabels\":{\"app\":\"web\"}}"
#define OBJECT(metadata, spec, more)                                                               \
    "{\"apiVersion\":\"apps/v1\",\"metadata\":{" metadata "},\"spec\":{" spec "}" more "}"

static const char *or_none(const char *text)
{
    return text ? text : "-";
}

static const char *summary(struct arena *arena, const struct workload *w)
{
    return arena_printf(
        arena,
        "%s %s@%s %lld gen %lld/%lld ready %lld updated %lld of %lld [%s] mark %lld %s %s %s%s%s%s",
        w->name, w->uid, w->resource_version, (long long)w->replicas, (long long)w->generation,
        (long long)w->observed_generation, (long long)w->ready_replicas,
        (long long)w->updated_replicas, (long long)w->present_replicas, w->pod_selector,
        (long long)w->marked_replicas, or_none(w->marked_text), or_none(w->marked_run),
        or_none(w->marked_state), w->is_marked ? " marked" : "",
        w->has_annotations ? " annotated" : "", w->awaits_update ? "" : " still");
}

/* ---- reading ---- */

#define SPEC "\"replicas\":3," SELECTOR
#define SELECTED(selector) OBJECT(META, "\"selector\":{" selector "}", "")
#define SAYS(selector) "web u1@7 1 gen 0/0 ready 0 updated 0 of 0 [" selector "] mark -1 - - -"
#define MARKED(marks) OBJECT(META ",\"annotations\":{" marks "}", SPEC, "")
#define THREE "web u1@7 3 gen 0/0 ready 0 updated 0 of 0 [app=web] mark "

static void test_reading(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
        enum errc code;
        const char *says; /* the summary, or a part of the error */
    } rows[] = {
        {"all there",
         OBJECT(META ",\"generation\":5", SPEC,
                ",\"status\":{\"observedGeneration\":4,\"readyReplicas\":1,\"updatedReplicas\":2,"
                "\"replicas\":3}"),
         RR_OK, "web u1@7 3 gen 5/4 ready 1 updated 2 of 3 [app=web] mark -1 - - -"},
        {"replicas absent", OBJECT(META, SELECTOR, ""), RR_OK, SAYS("app=web")},
        {"none asked for", OBJECT(META, "\"replicas\":0," SELECTOR, ""), RR_OK,
         "web u1@7 0 gen 0/0 ready 0 updated 0 of 0 [app=web] mark -1 - - -"},
        {"most that there can be", OBJECT(META, "\"replicas\":2147483647," SELECTOR, ""), RR_OK,
         "web u1@7 2147483647 gen 0/0 ready 0 updated 0 of 0 [app=web] mark -1 - - -"},
        {"annotations of others", MARKED("\"a/b~c\":\"d\""), RR_OK, THREE "-1 - - - annotated"},
        {"annotations empty", MARKED(""), RR_OK, THREE "-1 - - - annotated"},
        {"annotations null", OBJECT(META ",\"annotations\":null", SPEC, ""), RR_OK,
         THREE "-1 - - -"},
        {"marked",
         MARKED("\"restore-reconciler/replicas\":\"4\",\"restore-reconciler/run\":\"r1\","
                "\"restore-reconciler/state\":\"s\""),
         RR_OK, THREE "4 4 r1 s marked annotated"},
        {"mark without its number", MARKED("\"restore-reconciler/run\":\"r1\""), RR_OK,
         THREE "-1 - r1 - marked annotated"},
        {"mark that is a word", MARKED("\"restore-reconciler/replicas\":\"three\""), RR_OK,
         THREE "-1 three - - marked annotated"},
        {"mark that is negative", MARKED("\"restore-reconciler/replicas\":\"-3\""), RR_OK,
         THREE "-1 -3 - - marked annotated"},
        {"mark that is huge", MARKED("\"restore-reconciler/replicas\":\"2147483648\""), RR_OK,
         THREE "-1 2147483648 - - marked annotated"},
        {"mark that is empty", MARKED("\"restore-reconciler/replicas\":\"\""), RR_OK,
         THREE "-1  - - marked annotated"},
        {"paused", OBJECT(META, SPEC ",\"paused\":true", ""), RR_OK, THREE "-1 - - - still"},
        {"on delete", OBJECT(META, SPEC ",\"updateStrategy\":{\"type\":\"OnDelete\"}", ""), RR_OK,
         THREE "-1 - - - still"},
        {"partition",
         OBJECT(META, SPEC ",\"updateStrategy\":{\"rollingUpdate\":{\"partition\":1}}", ""), RR_OK,
         THREE "-1 - - - still"},
        {"partition 0",
         OBJECT(META, SPEC ",\"updateStrategy\":{\"rollingUpdate\":{\"partition\":0}}", ""), RR_OK,
         THREE "-1 - - -"},
        {"two labels", SELECTED("\"matchLabels\":{\"a\":\"b\",\"x.io/y\":\"\"}"), RR_OK,
         SAYS("a=b,x.io/y=")},
        {"expressions",
         SELECTED("\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":["
                  "{\"key\":\"c\",\"operator\":\"In\",\"values\":[\"d\",\"e\"]},"
                  "{\"key\":\"f\",\"operator\":\"NotIn\",\"values\":[\"g\"]},"
                  "{\"key\":\"h\",\"operator\":\"Exists\"},"
                  "{\"key\":\"i\",\"operator\":\"DoesNotExist\",\"values\":[]}]"),
         RR_OK, SAYS("a=b,c in (d,e),f notin (g),h,!i")},

        {"no uid", OBJECT("\"name\":\"web\",\"resourceVersion\":\"7\"", SPEC, ""), ERR_API,
         "metadata.uid"},
        {"uid a number", OBJECT("\"name\":\"web\",\"uid\":1,\"resourceVersion\":\"7\"", SPEC, ""),
         ERR_API, "metadata.uid"},
        {"no version", OBJECT("\"name\":\"web\",\"uid\":\"u\"", SPEC, ""), ERR_API,
         "metadata.resourceVersion"},
        {"version empty",
         OBJECT("\"name\":\"web\",\"uid\":\"u\",\"resourceVersion\":\"\"", SPEC, ""), ERR_API,
         "metadata.resourceVersion"},
        {"replicas negative", OBJECT(META, "\"replicas\":-1," SELECTOR, ""), ERR_API,
         "Deployment 'web': the server's answer has no usable replicas"},
        {"replicas huge", OBJECT(META, "\"replicas\":2147483648," SELECTOR, ""), ERR_API,
         "replicas"},
        {"replicas beyond all", OBJECT(META, "\"replicas\":1e300," SELECTOR, ""), ERR_API,
         "replicas"},
        {"replicas half", OBJECT(META, "\"replicas\":1.5," SELECTOR, ""), ERR_API, "replicas"},
        {"replicas a text", OBJECT(META, "\"replicas\":\"3\"," SELECTOR, ""), ERR_API, "replicas"},
        {"replicas null", OBJECT(META, "\"replicas\":null," SELECTOR, ""), ERR_API, "replicas"},
        {"generation a text", OBJECT(META ",\"generation\":\"5\"", SPEC, ""), ERR_API,
         "generation"},
        {"ready negative", OBJECT(META, SPEC, ",\"status\":{\"readyReplicas\":-1}"), ERR_API,
         "readyReplicas"},
        {"observed a list", OBJECT(META, SPEC, ",\"status\":{\"observedGeneration\":[]}"), ERR_API,
         "observedGeneration"},
        {"no spec", "{\"metadata\":{" META "}}", ERR_API, "spec.selector"},
        {"no selector", OBJECT(META, "\"replicas\":3", ""), ERR_API, "spec.selector"},
        {"selector empty: never all pods", SELECTED(""), ERR_API, "spec.selector"},
        {"labels empty", SELECTED("\"matchLabels\":{},\"matchExpressions\":[]"), ERR_API,
         "spec.selector"},
        {"labels a list", SELECTED("\"matchLabels\":[\"a\"]"), ERR_API, "spec.selector"},
        {"label a number", SELECTED("\"matchLabels\":{\"a\":1}"), ERR_API, "spec.selector"},
        {"label with a comma", SELECTED("\"matchLabels\":{\"a\":\"b,c\"}"), ERR_API,
         "spec.selector"},
        {"label name with a bang", SELECTED("\"matchLabels\":{\"!a\":\"b\"}"), ERR_API,
         "spec.selector"},
        {"label value too long",
         SELECTED("\"matchLabels\":{\"a\":\"0123456789012345678901234567890123456789012345678901234"
                  "567890123\"}"),
         ERR_API, "spec.selector"},
        {"expressions no list",
         SELECTED("\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":{\"key\":\"c\"}"), ERR_API,
         "spec.selector"},
        {"operator of the future",
         SELECTED("\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Gt\",\"values\":[\"1\"]}]"),
         ERR_API, "spec.selector"},
        {"operator missing", SELECTED("\"matchExpressions\":[{\"key\":\"a\"}]"), ERR_API,
         "spec.selector"},
        {"key missing", SELECTED("\"matchExpressions\":[{\"operator\":\"Exists\"}]"), ERR_API,
         "spec.selector"},
        {"in nothing",
         SELECTED("\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[]}]"),
         ERR_API, "spec.selector"},
        {"in a text",
         SELECTED("\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":\"b\"}]"),
         ERR_API, "spec.selector"},
        {"in a parenthesis",
         SELECTED("\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"In\",\"values\":[\"b)\"]}]"),
         ERR_API, "spec.selector"},
        {"exists with a value",
         SELECTED(
             "\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Exists\",\"values\":[\"b\"]}]"),
         ERR_API, "spec.selector"},
        {"expression a text", SELECTED("\"matchExpressions\":[\"a\"]"), ERR_API, "spec.selector"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct exchange script[] = {
            {.expect = "GET /apis/apps/v1/namespaces/shop/deployments/web HTTP/1.1\r\n",
             .status = OK_STATUS,
             .body = rows[i].body}};
        struct client c;
        struct peer *peer = exchange_start(&arena, &c, script, 1);
        struct workload w = {0};
        enum errc code = workload_get(c.kube, &arena, WORKLOAD_DEPLOYMENT, "web", &w, &c.err);
        const char *got = code ? c.err.text : summary(&arena, &w);
        if (code != rows[i].code ||
            (code ? !strstr(got, rows[i].says) : strcmp(got, rows[i].says) != 0))
            fail_msg("%s: %s: %s", rows[i].name, errc_name(code), got);
        exchange_stop(&c, peer);
    }
}

static void test_owners_and_managers(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    static const struct exchange script[] = {{
        .expect = "/statefulsets/web HTTP/1.1",
        .status = OK_STATUS,
        .body = OBJECT(
            META ",\"deletionTimestamp\":\"2024-12-10T00:00:00Z\",\"ownerReferences\":["
                 "{\"kind\":\"Shop\",\"name\":\"no\"},{\"kind\":\"Redis\",\"name\":\"cache\","
                 "\"controller\":true}],\"managedFields\":[{\"manager\":\"kustomize-controller\","
                 "\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}]",
            SPEC,
            ",\"status\":{\"conditions\":[{\"type\":\"ReplicaFailure\",\"status\":\"True\","
            "\"message\":\"exceeded quota\"}]}"),
    }};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, 1);
    struct workload w = {0};
    assert_int_equal(workload_get(c.kube, &arena, WORKLOAD_STATEFUL_SET, "web", &w, &c.err), RR_OK);
    assert_string_equal(w.controller, "Redis/cache");
    assert_string_equal(w.replicas_manager, "kustomize-controller");
    assert_string_equal(w.trouble, "exceeded quota");
    assert_true(w.is_being_deleted);
    assert_int_equal(w.kind, WORKLOAD_STATEFUL_SET);
    exchange_stop(&c, peer);
}

static void test_not_found_names_kind_and_name(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    static const struct exchange script[] = {
        {.status = GONE, .body = STATUS_BODY(404, "deployments.apps not found")}};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, 1);
    struct workload w = {0};
    assert_int_equal(workload_get(c.kube, &arena, WORKLOAD_DEPLOYMENT, "web", &w, &c.err),
                     ERR_NOT_FOUND);
    assert_true(text_has_prefix(c.err.text, "Deployment 'web': "));
    exchange_stop(&c, peer);
}

/* ---- lists ---- */

#define ITEM(name)                                                                                 \
    "{\"metadata\":{\"name\":\"" name                                                              \
    "\",\"uid\":\"u\",\"resourceVersion\":\"1\"},\"spec\":{" SELECTOR "}}"
#define LIST(metadata, items)                                                                      \
    "{\"apiVersion\":\"apps/v1\",\"metadata\":{" metadata "},\"items\":[" items "]}"

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *name, *selector;
        struct exchange script[4];
        enum errc code;
        const char *says; /* names in order, or a part of the error */
    } rows[] = {
        {"in order of name, over pages",
         "tier in (a,b),app=shop",
         {{.expect = "labelSelector=tier%20in%20%28a%2Cb%29%2Capp%3Dshop",
           .forbid = "continue=",
           .status = OK_STATUS,
           .body = LIST("\"continue\":\"c1\"", ITEM("web") "," ITEM("b"))},
          {.expect = "continue=c1", .status = OK_STATUS, .body = LIST("", ITEM("api"))}},
         RR_OK,
         "api b web "},
        {"everything",
         NULL,
         {{.forbid = "labelSelector", .status = OK_STATUS, .body = LIST("", "")}},
         RR_OK,
         ""},
        {"too old between two pages: begun again",
         NULL,
         {{.status = OK_STATUS, .body = LIST("\"continue\":\"c1\"", ITEM("old"))},
          {.expect = "continue=c1", .status = "410 Gone", .body = STATUS_BODY(410, "expired")},
          {.forbid = "continue=", .status = OK_STATUS, .body = LIST("", ITEM("new"))}},
         RR_OK,
         "new "},
        {"too old twice",
         NULL,
         {{.status = "410 Gone", .body = STATUS_BODY(410, "expired"), .times = 2}},
         ERR_EXPIRED,
         "expired"},
        {"one that is unusable",
         NULL,
         {{.status = OK_STATUS, .body = LIST("", ITEM("a") ",{\"metadata\":{\"name\":\"b\"}}")}},
         ERR_API,
         "Deployment 'b'"},
        {"name with a slash",
         NULL,
         {{.status = OK_STATUS, .body = LIST("", ITEM("a/b"))}},
         ERR_API,
         "without a usable name"},
        {"name that leads elsewhere",
         NULL,
         {{.status = OK_STATUS, .body = LIST("", ITEM(".."))}},
         ERR_API,
         "without a usable name"},
        {"name with a tilde",
         NULL,
         {{.status = OK_STATUS, .body = LIST("", ITEM("a~1b"))}},
         ERR_API,
         "without a usable name"},
        {"name empty",
         NULL,
         {{.status = OK_STATUS, .body = LIST("", ITEM(""))}},
         ERR_API,
         "without a usable name"},
        {"no name",
         NULL,
         {{.status = OK_STATUS, .body = LIST("", "{}")}},
         ERR_API,
         "without a usable name"},
        {"no list", NULL, {{.status = OK_STATUS, .body = "{\"metadata\":{}}"}}, ERR_API, "no list"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        struct client c;
        struct peer *peer = exchange_start(&arena, &c, rows[i].script, COUNT(rows[i].script));
        struct workload *items = NULL;
        size_t count = 0;
        enum errc code = workload_list(c.kube, &arena, WORKLOAD_DEPLOYMENT, rows[i].selector,
                                       &items, &count, &c.err);
        STR_GUARD struct str got = STR_INIT(2000);
        for (size_t n = 0; n < count; n++)
            str_printf(&got, "%s ", items[n].name);
        bool is_good = code ? strstr(c.err.text, rows[i].says) != NULL
                            : strcmp(str_text(&got), rows[i].says) == 0;
        if (code != rows[i].code || !is_good)
            fail_msg("%s: %s: '%s' %s", rows[i].name, errc_name(code), str_text(&got), c.err.text);
        exchange_stop(&c, peer);
    }
}

static void test_list_without_end(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str body = STR_INIT(8 << 20);
    str_append(&body, "{\"metadata\":{},\"items\":[");
    for (int i = 0; i <= 10000; i++)
        str_printf(&body, "%s" ITEM("w%d"), i ? "," : "", i);
    str_append(&body, "]}");
    const struct exchange script[] = {{.status = OK_STATUS, .body = str_text(&body)}};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, 1);
    struct workload *items = NULL;
    size_t count = 0;
    assert_int_equal(
        workload_list(c.kube, &arena, WORKLOAD_DEPLOYMENT, NULL, &items, &count, &c.err),
        ERR_TOO_LARGE);
    assert_non_null(strstr(c.err.hint, "selector"));
    exchange_stop(&c, peer);
}

/* ---- changing ---- */

#define WEB(uid, version, annotations, replicas)                                                   \
    OBJECT("\"name\":\"web\",\"uid\":\"" uid "\",\"resourceVersion\":\"" version "\"" annotations, \
           "\"replicas\":" replicas "," SELECTOR, "")
#define NOTES(notes) ",\"annotations\":{" notes "}"
#define MARK(run, state)                                                                           \
    "\"restore-reconciler/replicas\":\"3\",\"restore-reconciler/run\":\"" run                      \
    "\",\"restore-reconciler/state\":\"" state "\""
#define FRESH WEB("u1", "7", "", "3")
#define TAKEN WEB("u1", "8", NOTES(MARK("run-2", "restore-state")), "0")
#define AWAY WEB("u1", "7", NOTES(MARK("run-2", "restore-state")), "0")
#define OTHERS WEB("u1", "8", "", "5")
#define TESTS                                                                                      \
    "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u1\"},"                              \
    "{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},"
#define ADD_MARK                                                                                   \
    "{\"op\":\"add\",\"path\":\"/metadata/annotations/restore-reconciler~1replicas\","             \
    "\"value\":\"3\"},"                                                                            \
    "{\"op\":\"add\",\"path\":\"/metadata/annotations/restore-reconciler~1run\","                  \
    "\"value\":\"run-2\"},"                                                                        \
    "{\"op\":\"add\",\"path\":\"/metadata/annotations/restore-reconciler~1state\","                \
    "\"value\":\"restore-state\"},"
#define SET(replicas) "{\"op\":\"add\",\"path\":\"/spec/replicas\",\"value\":" #replicas "}"
#define REMOVE(what)                                                                               \
    "{\"op\":\"remove\",\"path\":\"/metadata/annotations/restore-reconciler~1" what "\"}"
#define PATCH "PATCH /apis/apps/v1/namespaces/shop/deployments/web"
#define GET "GET /apis/apps/v1/namespaces/shop/deployments/web HTTP/1.1"
#define INVALID "422 Unprocessable Entity"
#define DOES_NOT_APPLY STATUS_BODY(422, "the server rejected our request")
#define LOST                                                                                       \
    {                                                                                              \
        .expect = PATCH                                                                            \
    }
#define READ(object)                                                                               \
    {                                                                                              \
        .expect = GET, .status = OK_STATUS, .body = object                                         \
    }

/* Reads "web" with the script's first exchange, then changes it. */
struct change_row {
    const char *name;
    struct exchange script[EXCHANGES_MAX];
    enum errc code;
    const char *says;    /* parts of the error and its hint, separated by '\1' */
    const char *version; /* of what the caller holds afterwards; NULL: whatever */
    int64_t replicas;    /* bring back */
};

static void check_change(const struct change_row *row, bool is_taking_away)
{
    ARENA_GUARD struct arena arena = {0};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, row->script, EXCHANGES_MAX);
    struct workload w = {0};
    if (workload_get(c.kube, &arena, WORKLOAD_DEPLOYMENT, "web", &w, &c.err))
        fail_msg("%s: %s", row->name, c.err.text);
    enum errc code = is_taking_away
                         ? workload_take_away(c.kube, &arena, &w, "run-2", "restore-state", &c.err)
                         : workload_bring_back(c.kube, &arena, &w, row->replicas, &c.err);
    const char *said = arena_printf(&arena, "%s (%s)", c.err.text, c.err.hint);
    if (code != row->code || !holds(said, row->says))
        fail_msg("%s: %s: %s", row->name, errc_name(code), said);
    if (row->version && strcmp(row->version, w.resource_version) != 0)
        fail_msg("%s: holds version %s", row->name, w.resource_version);
    exchange_stop(&c, peer);
}

static void test_taking_away(void **state)
{
    (void)state;
    static const struct change_row rows[] = {
        {"first annotations of all",
         {READ(FRESH),
          {.expect = PATCH
           "?fieldManager=restore-reconciler"
           "\1" TESTS
           "{\"op\":\"add\",\"path\":\"/metadata/annotations\",\"value\":{}}," ADD_MARK SET(0) "]",
           .status = OK_STATUS,
           .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         0},
        {"beside others'",
         {READ(WEB("u1", "7", NOTES("\"a/b~c\":\"d\""), "3")),
          {.expect = TESTS ADD_MARK SET(0) "]", .status = OK_STATUS, .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         0},
        {"scaled to 0 by its owner: marked all the same",
         {READ(WEB("u1", "7", NOTES(""), "0")),
          {.expect = "~1replicas\",\"value\":\"0\"",
           .forbid = "/spec/replicas",
           .status = OK_STATUS,
           .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         0},
        {"away already: nothing is sent", {READ(AWAY)}, RR_OK, NULL, "7", 0},
        {"away by an older run: its mark stays, nothing is sent",
         {READ(WEB("u1", "7", NOTES(MARK("run-1", "restore-state")), "0"))},
         RR_OK,
         NULL,
         "7",
         0},
        {"an older mark stays",
         {READ(WEB("u1", "7", NOTES(MARK("run-1", "restore-state")), "2")),
          {.expect = TESTS SET(0) "]",
           .forbid = "annotations",
           .status = OK_STATUS,
           .body = WEB("u1", "8", NOTES(MARK("run-1", "restore-state")), "0")}},
         RR_OK,
         NULL,
         "8",
         0},
        {"a mark that cannot be read stays",
         {READ(WEB("u1", "7", NOTES("\"restore-reconciler/replicas\":\"many\""), "2")),
          {.expect = TESTS SET(0) "]",
           .forbid = "annotations",
           .status = OK_STATUS,
           .body = WEB("u1", "8", NOTES("\"restore-reconciler/replicas\":\"many\""), "0")}},
         RR_OK,
         NULL,
         "8",
         0},
        {"taken away by another state",
         {READ(WEB("u1", "7", NOTES(MARK("run-9", "oth'er")), "0"))},
         ERR_STEP,
         "Deployment 'web' has been taken away by the state 'oth\\'er' (run 'run-9')"
         "\1by hand",
         "7",
         0},

        {"changed meanwhile",
         {READ(FRESH), {.expect = PATCH, .status = INVALID, .body = DOES_NOT_APPLY}, READ(OTHERS)},
         ERR_CONFLICT,
         "Deployment 'web' was changed by somebody else",
         "8",
         0},
        {"deleted and made again meanwhile",
         {READ(FRESH),
          {.expect = PATCH, .status = INVALID, .body = DOES_NOT_APPLY},
          READ(WEB("u2", "7", "", "3"))},
         ERR_CONFLICT,
         "changed by somebody else",
         "7",
         0},
        {"409, changed",
         {READ(FRESH),
          {.expect = PATCH,
           .status = "409 Conflict",
           .body = STATUS_BODY(409, "the object has been modified")},
          READ(OTHERS)},
         ERR_CONFLICT,
         "changed by somebody else",
         "8",
         0},
        {"refused by a webhook",
         {READ(FRESH),
          {.expect = PATCH,
           .status = INVALID,
           .body = STATUS_BODY(422, "admission webhook says no")},
          READ(FRESH)},
         ERR_REJECTED,
         "admission webhook says no",
         "7",
         0},
        {"409 by a webhook",
         {READ(FRESH),
          {.expect = PATCH,
           .status = "409 Conflict",
           .body = STATUS_BODY(409, "admission webhook says no")},
          READ(FRESH)},
         ERR_REJECTED,
         "admission webhook says no",
         "7",
         0},
        {"not allowed",
         {READ(FRESH),
          {.expect = PATCH, .status = "403 Forbidden", .body = STATUS_BODY(403, "cannot patch")}},
         ERR_FORBIDDEN,
         "cannot patch",
         "7",
         0},
        {"deleted meanwhile",
         {READ(FRESH), {.expect = PATCH, .status = GONE, .body = STATUS_BODY(404, "no web")}},
         ERR_NOT_FOUND,
         "no web",
         "7",
         0},

        {"answer lost, done", {READ(FRESH), LOST, READ(TAKEN)}, RR_OK, NULL, "8", 0},
        {"answer lost, not done: again",
         {READ(FRESH), LOST, READ(FRESH), {.expect = PATCH, .status = OK_STATUS, .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         0},
        {"answer lost, done late: the second try finds it done",
         {READ(FRESH),
          LOST,
          READ(FRESH),
          {.expect = PATCH, .status = INVALID, .body = DOES_NOT_APPLY},
          READ(TAKEN)},
         RR_OK,
         NULL,
         "8",
         0},
        {"answer lost, and somebody changed it",
         {READ(FRESH), LOST, READ(OTHERS)},
         ERR_CONFLICT,
         "changed by somebody else",
         "8",
         0},
        {"answer lost, and another run has taken over",
         {READ(FRESH), LOST, READ(WEB("u1", "9", NOTES(MARK("run-3", "restore-state")), "0"))},
         ERR_CONFLICT,
         "changed by somebody else",
         "9",
         0},
        {"answer lost, and another state was faster",
         {READ(FRESH), LOST, READ(WEB("u1", "9", NOTES(MARK("run-3", "other")), "0"))},
         ERR_STEP,
         "by the state 'other'",
         "9",
         0},
        {"answer lost, deleted",
         {READ(FRESH), LOST, {.expect = GET, .status = GONE, .body = STATUS_BODY(404, "no web")}},
         ERR_NOT_FOUND,
         "could not be read back\1no web",
         "7",
         0},
        {"answer lost again and again",
         {READ(FRESH), LOST, READ(FRESH), LOST, READ(FRESH), LOST, READ(FRESH), LOST, READ(FRESH)},
         ERR_ANSWER_LOST,
         "tried 4 times",
         "7",
         0},
        {"500: nobody knows",
         {READ(FRESH),
          {.expect = PATCH, .status = "500 Oops", .body = STATUS_BODY(500, "etcd")},
          READ(TAKEN)},
         RR_OK,
         NULL,
         "8",
         0},
        {"an answer that is no object, done",
         {READ(FRESH), {.expect = PATCH, .status = OK_STATUS, .body = "[]"}, READ(TAKEN)},
         RR_OK,
         NULL,
         "8",
         0},
        {"an answer without a version, done",
         {READ(FRESH),
          {.expect = PATCH, .status = OK_STATUS, .body = "{\"metadata\":{\"name\":\"web\"}}"},
          READ(TAKEN)},
         RR_OK,
         NULL,
         "8",
         0},
        {"what is read back cannot be used",
         {READ(FRESH), LOST, READ(WEB("u1", "8", "", "-1"))},
         ERR_API,
         "no usable replicas",
         "7",
         0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_change(&rows[i], true);
}

static void test_bringing_back(void **state)
{
    (void)state;
    static const struct change_row rows[] = {
        {"replicas and mark",
         {READ(AWAY),
          {.expect = TESTS SET(3) "," REMOVE("replicas") "," REMOVE("run") "," REMOVE("state") "]",
           .status = OK_STATUS,
           .body = WEB("u1", "8", NOTES(""), "3")}},
         RR_OK,
         NULL,
         "8",
         3},
        {"only what is there of the mark is removed",
         {READ(WEB("u1", "7", NOTES("\"restore-reconciler/run\":\"r\""), "0")),
          {.expect = TESTS SET(3) "," REMOVE("run") "]",
           .status = OK_STATUS,
           .body = WEB("u1", "8", NOTES(""), "3")}},
         RR_OK,
         NULL,
         "8",
         3},
        {"replicas as they are",
         {READ(WEB("u1", "7", NOTES(MARK("run-2", "restore-state")), "5")),
          {.expect = TESTS REMOVE("replicas"),
           .forbid = "/spec/replicas",
           .status = OK_STATUS,
           .body = WEB("u1", "8", NOTES(""), "5")}},
         RR_OK,
         NULL,
         "8",
         -1},
        {"somebody removed the mark",
         {READ(WEB("u1", "7", "", "0")),
          {.expect = TESTS SET(3) "]",
           .forbid = "annotations",
           .status = OK_STATUS,
           .body = WEB("u1", "8", "", "3")}},
         RR_OK,
         NULL,
         "8",
         3},
        {"there already: nothing is sent", {READ(FRESH)}, RR_OK, NULL, "7", 3},
        {"to 0",
         {READ(AWAY),
          {.expect = TESTS REMOVE("replicas"),
           .forbid = "/spec/replicas",
           .status = OK_STATUS,
           .body = WEB("u1", "8", "", "0")}},
         RR_OK,
         NULL,
         "8",
         0},
        {"answer lost, done",
         {READ(AWAY), LOST, READ(WEB("u1", "8", "", "3"))},
         RR_OK,
         NULL,
         "8",
         3},
        {"answer lost, not done: again",
         {READ(AWAY),
          LOST,
          READ(AWAY),
          {.expect = PATCH, .status = OK_STATUS, .body = WEB("u1", "8", "", "3")}},
         RR_OK,
         NULL,
         "8",
         3},
        {"changed meanwhile",
         {READ(AWAY),
          {.expect = PATCH, .status = INVALID, .body = DOES_NOT_APPLY},
          READ(WEB("u1", "8", NOTES(MARK("run-3", "restore-state")), "0"))},
         ERR_CONFLICT,
         "changed by somebody else",
         "8",
         3},
        {"refused by a quota",
         {READ(AWAY),
          {.expect = PATCH, .status = INVALID, .body = STATUS_BODY(422, "quota")},
          READ(AWAY)},
         ERR_REJECTED,
         "quota",
         "7",
         3},
        {"fewer than none", {READ(AWAY)}, ERR_STEP, "-2 replicas", "7", -2},
        {"more than there can be",
         {READ(AWAY)},
         ERR_STEP,
         "2147483648 replicas",
         "7",
         INT64_C(2147483648)},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_change(&rows[i], false);
}

static void test_names_of_kinds(void **state)
{
    (void)state;
    for (enum workload_kind kind = 0; kind < WORKLOAD_KIND_COUNT; kind++)
        assert_int_equal(workload_kind_from_name(workload_kind_name(kind)), kind);
    assert_int_equal(workload_kind_from_name("DaemonSet"), WORKLOAD_KIND_COUNT);
    assert_int_equal(workload_kind_from_name(""), WORKLOAD_KIND_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_owners_and_managers),
        cmocka_unit_test(test_not_found_names_kind_and_name),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_list_without_end),
        cmocka_unit_test(test_taking_away),
        cmocka_unit_test(test_bringing_back),
        cmocka_unit_test(test_names_of_kinds),
    };
    return cmocka_run_group_tests_name("kube/workload", tests, NULL, NULL);
}
