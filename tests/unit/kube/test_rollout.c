#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/cancel.h"
#include "lib/kube/rollout.h"
#include "tests/unit/kube/exchange.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- a clock whose time passes only while somebody sleeps ---- */

struct slow_clock {
    struct clock base;
    uint64_t now_ms, cancel_at_ms; /* cancel_at_ms 0: never */
    size_t sleep_count;
    uint64_t sleeps_ms[64];
    struct cancel *cancel;
};

static uint64_t slow_boottime_ms(const struct clock *clock)
{
    const struct slow_clock *slow = clock->context;
    return slow->now_ms;
}

static int64_t slow_wall_s(const struct clock *clock)
{
    (void)clock;
    return 0;
}

static void slow_sleep_ms(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    struct slow_clock *slow = clock->context;
    assert_ptr_equal(cancel, slow->cancel);
    assert_true(slow->sleep_count < COUNT(slow->sleeps_ms));
    slow->sleeps_ms[slow->sleep_count++] = ms;
    slow->now_ms += ms;
    if (slow->cancel_at_ms && slow->now_ms >= slow->cancel_at_ms)
        cancel_request(slow->cancel);
}

/* ---- answers ---- */

#define WEB_STATUS(replicas, metadata, spec, status)                                               \
    "{\"metadata\":{\"name\":\"web\",\"uid\":\"u\",\"resourceVersion\":\"1\"" metadata             \
    "},\"spec\":{\"replicas\":" replicas ",\"selector\":{\"matchLabels\":{\"app\":\"web\"}}" spec  \
    "},\"status\":{" status "}}"
#define WEB(replicas, status) WEB_STATUS(replicas, ",\"generation\":2", "", status)
#define ZERO WEB("0", "")
#define PODS(items) "{\"metadata\":{},\"items\":[" items "]}"
#define POD(name, metadata, spec, status)                                                          \
    "{\"metadata\":{\"name\":\"" name "\"" metadata "},\"spec\":{" spec "},\"status\":{" status "}}"
#define OWNED(kind, name)                                                                          \
    ",\"ownerReferences\":[{\"kind\":\"" kind "\",\"name\":\"" name "\",\"controller\":true}]"
#define RUNNING(name) POD(name, "", "", "\"phase\":\"Running\"")
#define PHASE(name, phase) POD(name, "", "", "\"phase\":\"" phase "\"")

#define ASK_WEB "GET /apis/apps/v1/namespaces/shop/deployments/web HTTP/1.1"
#define ASK_PODS "GET /api/v1/namespaces/shop/pods?limit=500&labelSelector=app%3Dweb HTTP/1.1"
#define LOOK(web)                                                                                  \
    {                                                                                              \
        .expect = ASK_WEB, .status = OK_STATUS, .body = web                                        \
    }
#define SEE(pods)                                                                                  \
    {                                                                                              \
        .expect = ASK_PODS, .status = OK_STATUS, .body = PODS(pods)                                \
    }

static struct workload known[] = {
    {.kind = WORKLOAD_DEPLOYMENT, .name = "web", .pod_selector = "app=web"},
    {.kind = WORKLOAD_DEPLOYMENT, .name = "web", .pod_selector = "app=web"},
    {.kind = WORKLOAD_DEPLOYMENT, .name = "web", .pod_selector = "app=web"},
    {.kind = WORKLOAD_DEPLOYMENT, .name = "web", .pod_selector = "app=web"},
    {.kind = WORKLOAD_DEPLOYMENT, .name = "web", .pod_selector = "app=web"},
    {.kind = WORKLOAD_DEPLOYMENT, .name = "web", .pod_selector = "app=web"},
};

struct row {
    const char *name;
    struct exchange script[EXCHANGES_MAX];
    uint64_t deadline_ms;
    enum errc code;
    const char *says, *says_not; /* parts of the error, separated by '\1' */
    uint64_t waited_ms;
    size_t workloads; /* 0: one */
};

static void check(const struct row *row, bool is_for_gone)
{
    ARENA_GUARD struct arena arena = {0};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, row->script, EXCHANGES_MAX);
    struct slow_clock clock = {
        .base = {slow_boottime_ms, slow_wall_s, slow_sleep_ms, .context = &clock}};
    struct rollout rollout = {
        .kube = c.kube, .clock = &clock.base, .deadline_ms = row->deadline_ms};
    size_t count = row->workloads ? row->workloads : 1;
    enum errc code = is_for_gone ? rollout_wait_gone(&rollout, known, count, &c.err)
                                 : rollout_wait_ready(&rollout, known, count, &c.err);
    if (code != row->code || !holds(c.err.text, row->says) ||
        (row->says_not && strstr(c.err.text, row->says_not)))
        fail_msg("%s: %s: %s", row->name, errc_name(code), c.err.text);
    if (clock.now_ms != row->waited_ms)
        fail_msg("%s: waited %llu ms", row->name, (unsigned long long)clock.now_ms);
    exchange_stop(&c, peer);
}

/* ---- gone ---- */

static void test_gone(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"at once", {LOOK(ZERO), SEE("")}, 5000, RR_OK, NULL, NULL, 0, 0},
        {"no time at all: one look", {LOOK(ZERO), SEE("")}, 0, RR_OK, NULL, NULL, 0, 0},
        {"two of them", {LOOK(ZERO), SEE(""), LOOK(ZERO), SEE("")}, 5000, RR_OK, NULL, NULL, 0, 2},
        {"one of two stays",
         {LOOK(ZERO), SEE(""), LOOK(ZERO), SEE(RUNNING("p"))},
         0,
         ERR_STEP,
         "pod 'p'",
         NULL,
         0,
         2},
        {"after a while, which is waited for patiently",
         {LOOK(ZERO), SEE(RUNNING("a") "," RUNNING("b")), LOOK(ZERO), SEE(RUNNING("a")), LOOK(ZERO),
          SEE(RUNNING("a")), LOOK(ZERO), SEE("")},
         60000,
         RR_OK,
         NULL,
         NULL,
         250 + 500 + 1000,
         0},
        {"ended pods do not count",
         {LOOK(ZERO), SEE(PHASE("a", "Succeeded") "," PHASE("b", "Failed"))},
         0,
         RR_OK,
         NULL,
         NULL,
         0,
         0},
        {"pods of other controllers do not count",
         {LOOK(ZERO), SEE(POD("a", OWNED("Job", "web"), "", "\"phase\":\"Running\"") "," POD(
                          "b", OWNED("StatefulSet", "web"), "", "\"phase\":\"Running\""))},
         0,
         RR_OK,
         NULL,
         NULL,
         0,
         0},
        {"pods of a ReplicaSet count",
         {LOOK(ZERO), SEE(POD("a", OWNED("ReplicaSet", "web-1"), "", "\"phase\":\"Running\""))},
         0,
         ERR_STEP,
         "pod 'a' ('Running')",
         NULL,
         0,
         0},
        {"pods whose phase is not known count",
         {LOOK(ZERO), SEE(PHASE("a", "Unknown") "," POD("b", "", "", "\"phase\":7") ",{}")},
         0,
         ERR_STEP,
         "pod 'a' ('Unknown')\1pod 'b' ('Unknown')\1pod (null)",
         NULL,
         0,
         0},
        {"a pod that never goes",
         {{.expect = ASK_WEB, .status = OK_STATUS, .body = ZERO},
          SEE(POD("web-1", ",\"deletionTimestamp\":\"2024-12-10T00:00:00Z\"", "\"nodeName\":\"n7\"",
                  "\"phase\":\"Running\"")),
          LOOK(ZERO),
          SEE(POD("web-1", ",\"deletionTimestamp\":\"2024-12-10T00:00:00Z\"", "\"nodeName\":\"n7\"",
                  "\"phase\":\"Running\""))},
         200,
         ERR_STEP,
         "pods are still there after 0 s: Deployment 'web' has pod 'web-1' ('Running' on node "
         "'n7', "
         "being deleted since '2024-12-10T00:00:00Z')",
         NULL,
         200,
         0},
        {"many pods: some are named, all are counted",
         {LOOK(ZERO), SEE(RUNNING("a") "," RUNNING("b") "," RUNNING("c") "," RUNNING(
                          "d") "," RUNNING("e") "," RUNNING("f") "," RUNNING("g"))},
         0,
         ERR_STEP,
         "pod 'a'\1pod 'd'\1; and 3 more",
         "'e'",
         0,
         0},
        {"names that would paint the terminal",
         {LOOK(ZERO),
          SEE(POD("\\u001b[31m'x", "", "\"nodeName\":\"\\n\"", "\"phase\":\"Running\""))},
         0,
         ERR_STEP,
         "pod '\\x1b[31m\\'x' ('Running' on node '\\n')",
         NULL,
         0,
         0},
        {"scaled up again, by whom",
         {LOOK(WEB_STATUS("3",
                          ",\"managedFields\":[{\"manager\":\"argocd-controller\",\"operation\":"
                          "\"Update\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}]",
                          "", ""))},
         5000,
         ERR_STEP,
         "Deployment 'web' was scaled up again to 3 replicas by 'argocd-controller'",
         NULL,
         0,
         0},
        {"scaled up again, nobody says by whom",
         {LOOK(WEB("1", ""))},
         5000,
         ERR_STEP,
         "by 'unknown'",
         NULL,
         0,
         0},
        {"deleted: what it left behind counts",
         {{.expect = ASK_WEB, .status = GONE, .body = STATUS_BODY(404, "no web")},
          SEE(RUNNING("orphan")),
          {.expect = ASK_WEB, .status = GONE, .body = STATUS_BODY(404, "no web")},
          SEE("")},
         5000,
         RR_OK,
         NULL,
         NULL,
         250,
         0},

        {"trouble that passes",
         {{.status = "500 Oops", .body = STATUS_BODY(500, "etcd")},
          LOOK("not JSON"),
          LOOK(WEB("-1", "")),
          LOOK(ZERO),
          {.expect = ASK_PODS},
          LOOK(ZERO),
          {.expect = ASK_PODS, .status = OK_STATUS, .body = "{\"metadata\":{}}"},
          LOOK(ZERO),
          SEE("")},
         60000,
         RR_OK,
         NULL,
         NULL,
         250 + 500 + 1000 + 2000 + 2000,
         0},
        {"trouble that stays",
         {{.status = "503 Away", .body = STATUS_BODY(503, "away"), .times = 5}},
         3000,
         ERR_API,
         "waiting until pods are gone\1away",
         NULL,
         3000,
         0},
        {"an unknown server is trouble that stays: no answer",
         {{.expect = ASK_WEB, .times = 2}},
         250,
         ERR_API,
         "waiting until pods are gone",
         NULL,
         250,
         0},
        {"not allowed, while the server starts",
         {{.status = "403 Forbidden", .body = STATUS_BODY(403, "no"), .times = 3},
          {.status = "401 Unauthorized", .body = STATUS_BODY(401, "who"), .times = 3},
          LOOK(ZERO),
          SEE("")},
         60000,
         RR_OK,
         NULL,
         NULL,
         250 + 500 + 1000 + 3 * 2000,
         0},
        {"not allowed, for good",
         {{.status = "403 Forbidden", .body = STATUS_BODY(403, "no"), .times = 11}},
         60000,
         ERR_FORBIDDEN,
         "no",
         NULL,
         15750,
         0},
        {"not allowed twice, seconds each",
         {{.status = "403 Forbidden", .body = STATUS_BODY(403, "no"), .times = 8},
          LOOK(ZERO),
          SEE(RUNNING("p")),
          {.status = "403 Forbidden", .body = STATUS_BODY(403, "no"), .times = 3},
          LOOK(ZERO),
          SEE("")},
         60000,
         RR_OK,
         NULL,
         NULL,
         250 + 500 + 1000 + 9 * 2000,
         0},
        {"pods may not be listed",
         {LOOK(ZERO),
          {.expect = ASK_PODS, .status = "403 Forbidden", .body = STATUS_BODY(403, "no")}},
         0,
         ERR_FORBIDDEN,
         "pods",
         NULL,
         0,
         0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], true);
}

/* ---- ready ---- */

#define READY3 "\"observedGeneration\":2,\"readyReplicas\":3,\"updatedReplicas\":3,\"replicas\":3"
#define CONTAINER(state) "\"containerStatuses\":[{\"name\":\"app\"," state "}]"
#define PENDING(name, more) POD(name, "", "", "\"phase\":\"Pending\"," more)

static void test_ready(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"at once", {LOOK(WEB("3", READY3))}, 5000, RR_OK, NULL, NULL, 0, 0},
        {"none asked for, whatever was observed",
         {LOOK(WEB("0", "\"observedGeneration\":1"))},
         0,
         RR_OK,
         NULL,
         NULL,
         0,
         0},
        {"more than asked for",
         {LOOK(WEB("3", "\"observedGeneration\":3,\"readyReplicas\":4,\"updatedReplicas\":4"))},
         0,
         RR_OK,
         NULL,
         NULL,
         0,
         0},
        {"an old status is not believed",
         {LOOK(WEB("3", "\"observedGeneration\":1,\"readyReplicas\":3,\"updatedReplicas\":3")),
          LOOK(WEB("3", READY3))},
         5000,
         RR_OK,
         NULL,
         NULL,
         250,
         0},
        {"one by one",
         {LOOK(WEB("3", "")),
          LOOK(WEB("3", "\"observedGeneration\":2,\"readyReplicas\":2,\"updatedReplicas\":3")),
          LOOK(WEB("3", "\"observedGeneration\":2,\"readyReplicas\":3,\"updatedReplicas\":2")),
          LOOK(WEB("3", READY3))},
         5000,
         RR_OK,
         NULL,
         NULL,
         250 + 500 + 1000,
         0},
        {"a partition keeps old pods",
         {LOOK(WEB_STATUS("3", ",\"generation\":2",
                          ",\"updateStrategy\":{\"rollingUpdate\":{\"partition\":2}}",
                          "\"observedGeneration\":2,\"readyReplicas\":3,\"updatedReplicas\":1"))},
         0,
         RR_OK,
         NULL,
         NULL,
         0,
         0},
        {"deleted, then made again",
         {{.status = GONE, .body = STATUS_BODY(404, "no web")}, LOOK(WEB("3", READY3))},
         5000,
         RR_OK,
         NULL,
         NULL,
         250,
         0},
        {"ready in the last moment, while it is asked why not",
         {LOOK(WEB("3", "")), LOOK(WEB("3", READY3))},
         0,
         RR_OK,
         NULL,
         NULL,
         0,
         0},

        {"no image",
         {LOOK(WEB("3", "\"observedGeneration\":2,\"readyReplicas\":1")),
          LOOK(WEB("3", "\"observedGeneration\":2,\"readyReplicas\":1")),
          SEE(POD("good", "", "",
                  "\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":"
                  "\"True\"}]") "," PENDING("bad", CONTAINER("\"state\":{\"waiting\":{"
                                                             "\"reason\":\"ImagePullBackOff\","
                                                             "\"message\":\"Back-off pulling "
                                                             "x\"}}")) "," POD("job",
                                                                               OWNED("Job", "j"),
                                                                               "",
                                                                               "\"phase\":"
                                                                               "\"Pending\""))},
         0,
         ERR_STEP,
         "not ready after 0 s: Deployment 'web' has 1 of 3 replicas ready, pod 'bad' "
         "('Pending', "
         "container 'app' waits: 'ImagePullBackOff': 'Back-off pulling x')",
         "good",
         0,
         0},
        {"it crashes",
         {LOOK(WEB("1", "\"observedGeneration\":2")), LOOK(WEB("1", "\"observedGeneration\":2")),
          SEE(POD("p", "", "\"nodeName\":\"n1\"",
                  "\"phase\":\"Running\"," CONTAINER(
                      "\"ready\":false,\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}"
                      ",\"lastState\":{\"terminated\":{\"reason\":\"Error\",\"exitCode\":137}}")))},
         0,
         ERR_STEP,
         "pod 'p' ('Running' on node 'n1', container 'app' waits: 'CrashLoopBackOff' ended "
         "before: "
         "'Error', exit code 137)",
         NULL,
         0,
         0},
        {"no node for it",
         {LOOK(WEB("1", "\"observedGeneration\":2")), LOOK(WEB("1", "\"observedGeneration\":2")),
          SEE(PENDING("p",
                      "\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\",\"reason\":"
                      "\"Unschedulable\",\"message\":\"0/3 nodes are available\"}]"))},
         0,
         ERR_STEP,
         "'Unschedulable': '0/3 nodes are available'",
         NULL,
         0,
         0},
        {"an init container",
         {LOOK(WEB("1", "\"observedGeneration\":2")), LOOK(WEB("1", "\"observedGeneration\":2")),
          SEE(PENDING("p",
                      "\"initContainerStatuses\":[{\"name\":\"done\",\"ready\":true,\"state\":{"
                      "\"terminated\":{\"reason\":\"Completed\"}}},{\"name\":\"migrate\",\"state\":"
                      "{\"terminated\":{\"reason\":\"Error\",\"exitCode\":2}}}]"))},
         0,
         ERR_STEP,
         "container 'migrate' has ended: 'Error', exit code 2",
         "'done'",
         0,
         0},
        {"evicted",
         {LOOK(WEB("1", "\"observedGeneration\":2")), LOOK(WEB("1", "\"observedGeneration\":2")),
          SEE(POD("p", "", "",
                  "\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"disk\""))},
         0,
         ERR_STEP,
         "'Evicted': 'disk'",
         NULL,
         0,
         0},
        {"no pods at all: what the Deployment says",
         {{.expect = ASK_WEB,
           .status = OK_STATUS,
           .body = WEB("1", "\"observedGeneration\":2,\"conditions\":[{\"type\":\"ReplicaFailure\","
                            "\"status\":\"True\",\"message\":\"exceeded quota\"}]"),
           .times = 2},
          SEE("")},
         0,
         ERR_STEP,
         "has 0 of 1 replicas ready, 'exceeded quota'",
         NULL,
         0,
         0},
        {"never looked at",
         {{.expect = ASK_WEB, .status = OK_STATUS, .body = WEB("1", ""), .times = 2}, SEE("")},
         0,
         ERR_STEP,
         "not been looked at by its controller",
         NULL,
         0,
         0},
        {"old pods stay",
         {{.expect = ASK_WEB,
           .status = OK_STATUS,
           .body = WEB("2", "\"observedGeneration\":2,\"readyReplicas\":2,\"updatedReplicas\":1"),
           .times = 2},
          SEE("")},
         0,
         ERR_STEP,
         "has 1 of 2 replicas of its newest template",
         NULL,
         0,
         0},
        {"being deleted",
         {{.expect = ASK_WEB,
           .status = OK_STATUS,
           .body = WEB_STATUS("1", ",\"deletionTimestamp\":\"2024-12-10T00:00:00Z\"", "", ""),
           .times = 2},
          SEE("")},
         0,
         ERR_STEP,
         "is being deleted",
         NULL,
         0,
         0},
        {"gone for good",
         {{.expect = ASK_WEB, .status = GONE, .body = STATUS_BODY(404, "no web"), .times = 2}},
         0,
         ERR_STEP,
         "Deployment 'web' does not exist any more",
         NULL,
         0,
         0},
        {"pods may not be asked: what is known has to do",
         {LOOK(WEB("1", "\"observedGeneration\":2")),
          LOOK(WEB("1", "\"observedGeneration\":2")),
          {.expect = ASK_PODS, .status = "403 Forbidden", .body = STATUS_BODY(403, "no")}},
         0,
         ERR_STEP,
         "not ready after 0 s: Deployment 'web' has 0 of 1 replicas ready",
         "403",
         0,
         0},
        {"pods with wrong types",
         {LOOK(WEB("1", "\"observedGeneration\":2")), LOOK(WEB("1", "\"observedGeneration\":2")),
          SEE("{\"metadata\":[],\"status\":\"x\"},{\"metadata\":{\"ownerReferences\":{\"a\":1}}"
              ","
              "\"status\":{\"conditions\":{\"type\":1},\"containerStatuses\":{\"a\":[]},"
              "\"initContainerStatuses\":[1,null,[]]}}")},
         0,
         ERR_STEP,
         "pod (null) ('Unknown'), pod (null) ('Unknown')",
         NULL,
         0,
         0},
        {"many: some are named, all are counted",
         {{.expect = ASK_WEB, .status = GONE, .body = STATUS_BODY(404, "no web"), .times = 12}},
         0,
         ERR_STEP,
         "any more; and 2 more",
         NULL,
         0,
         6},
        {"a number that is none does not count as ready",
         {LOOK(WEB("1", "\"readyReplicas\":\"1\"")), LOOK(WEB("1", "\"readyReplicas\":1e30"))},
         250,
         ERR_API,
         "waiting until workloads are ready\1readyReplicas",
         NULL,
         250,
         0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check(&rows[i], false);
}

static void test_messages_are_bounded(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str pods = STR_INIT(4 << 20);
    str_append(&pods, "{\"metadata\":{},\"items\":[");
    for (int i = 0; i < 300; i++)
        str_printf(&pods,
                   "%s{\"metadata\":{\"name\":\"%0250d\"},\"status\":{\"phase\":\"Running\","
                   "\"message\":\"%05000d\",\"reason\":\"%01000d\"}}",
                   i ? "," : "", i, i, i);
    str_append(&pods, "]}");
    const struct exchange script[] = {LOOK(ZERO), {.status = OK_STATUS, .body = str_text(&pods)}};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, 2);
    struct rollout rollout = {.kube = c.kube, .clock = clock_system()};
    assert_int_equal(rollout_wait_gone(&rollout, known, 1, &c.err), ERR_STEP);
    assert_true(strlen(c.err.text) < ERROR_TEXT_SIZE - 1);
    assert_non_null(c.err.hint[0] ? c.err.hint : NULL);
    exchange_stop(&c, peer);
}

static void test_the_clients_patience_is_given_back(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    static const struct exchange script[] = {LOOK(ZERO), SEE("")};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, COUNT(script));
    struct rollout rollout = {.kube = c.kube, .clock = clock_system()};
    kube_set_patience(c.kube, 300000);
    assert_int_equal(rollout_wait_gone(&rollout, known, 1, &c.err), RR_OK);
    assert_int_equal(kube_patience(c.kube), 300000);
    exchange_stop(&c, peer);
}

/* ---- ends of a wait ---- */

static enum errc lease_is_lost(void *context, struct error *err)
{
    unsigned *left = context;
    if ((*left)-- > 0)
        return RR_OK;
    return error_set(err, ERR_API, "the lease could not be renewed");
}

static void test_a_lost_lease_ends_the_wait(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    static const struct exchange script[] = {LOOK(ZERO), SEE(RUNNING("p")), LOOK(ZERO),
                                             SEE(RUNNING("p"))};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, COUNT(script));
    struct slow_clock clock = {
        .base = {slow_boottime_ms, slow_wall_s, slow_sleep_ms, .context = &clock}};
    unsigned looks = 2;
    struct rollout rollout = {.kube = c.kube,
                              .clock = &clock.base,
                              .deadline_ms = 60000,
                              .may_go_on = lease_is_lost,
                              .context = &looks};
    assert_int_equal(rollout_wait_gone(&rollout, known, 1, &c.err), ERR_API);
    assert_non_null(strstr(c.err.text, "lease"));
    exchange_stop(&c, peer);
}

static void test_cancel_ends_the_wait(void **state)
{
    (void)state;
    for (int is_for_gone = 0; is_for_gone < 2; is_for_gone++) {
        ARENA_GUARD struct arena arena = {0};
        static const struct exchange scripts[][4] = {
            {LOOK(WEB("1", "")), LOOK(WEB("1", ""))},
            {LOOK(ZERO), SEE(RUNNING("p")), LOOK(ZERO), SEE(RUNNING("p"))}};
        struct client c;
        struct peer *peer = exchange_start(&arena, &c, scripts[is_for_gone], 4);
        struct slow_clock clock = {
            .base = {slow_boottime_ms, slow_wall_s, slow_sleep_ms, .context = &clock},
            .cancel_at_ms = 500,
            .cancel = &c.cancel};
        struct rollout rollout = {
            .kube = c.kube, .clock = &clock.base, .deadline_ms = 60000, .cancel = &c.cancel};
        enum errc code = is_for_gone ? rollout_wait_gone(&rollout, known, 1, &c.err)
                                     : rollout_wait_ready(&rollout, known, 1, &c.err);
        assert_int_equal(code, ERR_CANCELLED);
        assert_int_equal(clock.now_ms, 250 + 500);
        exchange_stop(&c, peer);
    }
}

static void test_pauses_grow_to_two_seconds(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    static const struct exchange script[] = {
        {.expect = ASK_WEB, .status = OK_STATUS, .body = WEB("1", ""), .times = 9}, SEE("")};
    static const uint64_t pauses[] = {250, 500, 1000, 2000, 2000, 2000, 250};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, COUNT(script));
    struct slow_clock clock = {
        .base = {slow_boottime_ms, slow_wall_s, slow_sleep_ms, .context = &clock}};
    struct rollout rollout = {.kube = c.kube, .clock = &clock.base, .deadline_ms = 8000};
    assert_int_equal(rollout_wait_ready(&rollout, known, 1, &c.err), ERR_STEP);
    assert_int_equal(clock.sleep_count, COUNT(pauses));
    assert_memory_equal(clock.sleeps_ms, pauses, sizeof pauses);
    exchange_stop(&c, peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_messages_are_bounded),
        cmocka_unit_test(test_the_clients_patience_is_given_back),
        cmocka_unit_test(test_a_lost_lease_ends_the_wait),
        cmocka_unit_test(test_cancel_ends_the_wait),
        cmocka_unit_test(test_pauses_grow_to_two_seconds),
    };
    return cmocka_run_group_tests_name("kube/rollout", tests, NULL, NULL);
}
