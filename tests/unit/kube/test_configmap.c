#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/kube/configmap.h"
#include "lib/kube/event.h"
#include "tests/unit/kube/client.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A ConfigMap "m" as the server shows it; `data` is JSON. */
#define OBJECT(uid, version, metadata, data)                                                       \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\",\"uid\":\"" uid    \
    "\",\"resourceVersion\":\"" version "\"" metadata "},\"data\":" data "}"
#define OURS ",\"labels\":{\"app.kubernetes.io/managed-by\":\"restore-reconciler\",\"mine\":\"1\"}"

/* What a peer answers, in memory that lives for one test. */
static struct arena replies;

static const char *reply(const char *status, const char *body)
{
    return arena_printf(&replies, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
                        strlen(body), body);
}

static const char *refusal(const char *status)
{
    return reply(status, arena_printf(&replies,
                                      "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":"
                                      "\"Failure\",\"message\":\"no\",\"code\":%.3s}",
                                      status));
}

static int forget_replies(void **state)
{
    (void)state;
    arena_release(&replies);
    return 0;
}

/* ---- reading ---- */

static void test_reading(void **state)
{
    (void)state;
    const char *object =
        OBJECT("u", "7",
               OURS ",\"deletionTimestamp\":\"2024-01-01T00:00:00Z\",\"managedFields\":["
                    "{\"manager\":\"kubectl\",\"time\":\"2024-01-01T00:00:00Z\",\"fieldsV1\":"
                    "{\"f:data\":{\"f:a\":{},\"f:b\":{}}}},"
                    "{\"manager\":\"argocd\",\"time\":\"2024-01-02T00:00:00Z\",\"fieldsV1\":"
                    "{\"f:data\":{\"f:a\":{}}}}]",
               "{\"a\":\"1\",\"b\":\"\"}");
    const struct peer_step script[] = {
        {.expect = "GET /api/v1/namespaces/shop/configmaps/m HTTP/1.1\r\n",
         .reply = reply("200 OK", object)},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    ARENA_GUARD struct arena arena = {0};
    struct configmap map;
    const char *manager;
    client_open(&c, peer);
    assert_int_equal(configmap_read(c.kube, &arena, "m", "a", &map, &manager, &c.err), RR_OK);
    assert_string_equal(map.uid, "u");
    assert_string_equal(map.managed_by, "restore-reconciler");
    assert_string_equal(configmap_get(&map, "a"), "1");
    assert_string_equal(configmap_get(&map, "b"), "");
    assert_null(configmap_get(&map, "c"));
    assert_string_equal(manager, "argocd");
    assert_true(map.is_being_deleted);
    assert_false(map.is_immutable);
    client_close(&c);
    peer_stop(peer);
}

static void test_what_is_no_configmap(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
    } rows[] = {
        {"no uid", "{\"metadata\":{\"name\":\"m\",\"resourceVersion\":\"1\"}}"},
        {"no version", "{\"metadata\":{\"name\":\"m\",\"uid\":\"1\"}}"},
        {"a number", OBJECT("u", "1", "", "{\"a\":1}")},
        {"a list", "[]"},
        {"another name", "{\"metadata\":{\"name\":\"n\",\"uid\":\"1\",\"resourceVersion\":\"1\"}}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct peer_step step = {.reply = reply("200 OK", rows[i].body)};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        ARENA_GUARD struct arena arena = {0};
        struct configmap map;
        client_open(&c, peer);
        if (configmap_read(c.kube, &arena, "m", "a", &map, NULL, &c.err) != ERR_API)
            fail_msg("%s: %s", rows[i].name, c.err.text);
        client_close(&c);
        peer_stop(peer);
    }
}

/* ---- one key ---- */

#define PATCH                                                                                      \
    "PATCH /api/v1/namespaces/shop/configmaps/m?\1Content-Type: application/json-patch+json"

static void test_one_key(void **state)
{
    (void)state;
    static const char *const keys[] = {"k/1"}, *const values[] = {"old"};
    static const struct {
        const char *name;
        size_t count;       /* of data before */
        const char *expect; /* of the PATCH */
        const char *status; /* what it is answered; NULL: nothing */
        const char *now;    /* what a GET then shows; NULL: none comes */
        const char *again;  /* what a second PATCH is answered; NULL: none comes */
        enum errc code;
    } rows[] = {
        {"value replaced", 1,
         "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u\"},{\"op\":\"test\",\"path\":"
         "\"/data/k~11\",\"value\":\"old\"},{\"op\":\"add\",\"path\":\"/data/k~11\",\"value\":"
         "\"new\"}]",
         "200 OK", NULL, NULL, RR_OK},
        {"no data at all", 0,
         "{\"op\":\"test\",\"path\":\"/data\",\"value\":null},{\"op\":\"add\",\"path\":\"/data\","
         "\"value\":{\"k/1\":\"new\"}}]",
         "200 OK", NULL, NULL, RR_OK},
        {"somebody else wrote", 1, PATCH, "422 X", OBJECT("u", "8", "", "{\"k/1\":\"other\"}"),
         NULL, ERR_CONFLICT},
        {"the key is gone", 1, PATCH, "422 X", OBJECT("u", "8", "", "{}"), NULL, ERR_CONFLICT},
        {"another object", 1, PATCH, "422 X", OBJECT("v", "8", "", "{\"k/1\":\"old\"}"), NULL,
         ERR_CONFLICT},
        {"another object that holds it", 1, PATCH, "422 X",
         OBJECT("v", "8", "", "{\"k/1\":\"new\"}"), NULL, ERR_CONFLICT},
        {"refused, and nothing has changed", 1, PATCH, "422 X",
         OBJECT("u", "8", "", "{\"k/1\":\"old\"}"), NULL, ERR_REJECTED},
        {"immutable", 1, PATCH, "422 X",
         "{\"metadata\":{\"name\":\"m\",\"uid\":\"u\",\"resourceVersion\":\"8\"},\"immutable\":"
         "true,"
         "\"data\":{\"k/1\":\"old\"}}",
         NULL, ERR_REJECTED},
        {"answer lost, done", 1, PATCH, NULL, OBJECT("u", "8", "", "{\"k/1\":\"new\"}"), NULL,
         RR_OK},
        {"500, done", 1, PATCH, "500 X", OBJECT("u", "8", "", "{\"k/1\":\"new\"}"), NULL, RR_OK},
        {"answer lost, not done", 1, PATCH, NULL, OBJECT("u", "8", "", "{\"k/1\":\"old\"}"),
         "200 OK", RR_OK},
        {"not allowed", 1, PATCH, "403 X", NULL, NULL, ERR_FORBIDDEN},
        {"deleted", 1, PATCH, "404 X", NULL, NULL, ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *good = reply("200 OK", OBJECT("u", "9", "", "{\"k/1\":\"new\"}"));
        struct peer_step script[3] = {{.expect = rows[i].expect,
                                       .reply = !rows[i].status          ? NULL
                                                : *rows[i].status == '2' ? good
                                                                         : refusal(rows[i].status),
                                       .then = rows[i].status ? PEER_KEEP : PEER_RESET}};
        size_t count = 1;
        if (rows[i].now)
            script[count++] =
                (struct peer_step){.expect = "GET /api/v1", .reply = reply("200 OK", rows[i].now)};
        if (rows[i].again)
            script[count++] = (struct peer_step){.expect = PATCH, .reply = good};
        struct peer *peer = peer_start(script, count, PEER_PLAIN);
        struct client c;
        const struct configmap map = {.name = "m",
                                      .uid = "u",
                                      .resource_version = "7",
                                      .keys = (const char **)(uintptr_t)keys,
                                      .values = (const char **)(uintptr_t)values,
                                      .count = rows[i].count};
        client_open(&c, peer);
        if (configmap_set_key(c.kube, &map, "k/1", "new", &c.err) != rows[i].code)
            fail_msg("%s: %s %s", rows[i].name, errc_name(c.err.code), c.err.text);
        client_close(&c);
        peer_stop(peer);
    }
}

/* ---- the whole of one of ours ---- */

#define APPLY                                                                                      \
    "PATCH "                                                                                       \
    "/api/v1/namespaces/shop/configmaps/m?fieldManager=restore-reconciler\1force=true\1"           \
    "application/apply-patch+yaml"

static void test_creating(void **state)
{
    (void)state;
    static const struct {
        const char *name, *status; /* of the apply; NULL: no answer */
        const char *now;           /* what a GET then shows; "": nothing there; NULL: none comes */
        enum errc code;
    } rows[] = {
        {"made", "201 Created", NULL, RR_OK},
        {"was there", "200 OK", NULL, ERR_CONFLICT},
        {"not allowed", "403 X", NULL, ERR_FORBIDDEN},
        {"answer lost, made", NULL, OBJECT("u", "1", OURS, "{}"), RR_OK},
        {"answer lost, another run's", NULL, OBJECT("u", "1", OURS, "{\"phase\":\"Stage\"}"),
         ERR_CONFLICT},
        {"answer lost, not ours", NULL, OBJECT("u", "1", "", "{}"), ERR_CONFLICT},
        {"answer lost, not made", NULL, "", RR_OK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool is_good = rows[i].status && *rows[i].status == '2';
        const char *object = OBJECT("u", "1", OURS, "{}");
        struct peer_step script[3] = {
            {.expect =
                 APPLY "\1\"labels\":{\"app.kubernetes.io/managed-by\":\"restore-reconciler\"",
             .reply = is_good          ? reply(rows[i].status, object)
                      : rows[i].status ? refusal(rows[i].status)
                                       : NULL,
             .then = rows[i].status ? PEER_KEEP : PEER_RESET}};
        size_t count = 1;
        if (rows[i].now)
            script[count++] = (struct peer_step){
                .expect = "GET /api/v1",
                .reply = *rows[i].now ? reply("200 OK", rows[i].now) : refusal("404 Not Found")};
        if (rows[i].now && !*rows[i].now)
            script[count++] =
                (struct peer_step){.expect = APPLY, .reply = reply("201 Created", object)};
        struct peer *peer = peer_start(script, count, PEER_PLAIN);
        struct client c;
        ARENA_GUARD struct arena arena = {0};
        struct configmap map = {0};
        client_open(&c, peer);
        enum errc code = configmap_create(c.kube, &arena, "m", &map, &c.err);
        if (code != rows[i].code || (!code && !map.uid))
            fail_msg("%s: %s %s", rows[i].name, errc_name(code), c.err.text);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_replacing(void **state)
{
    (void)state;
#define PUT "PUT /api/v1/namespaces/shop/configmaps/m?"
    static const struct {
        const char *name, *status; /* of the PUT; NULL: no answer */
        const char *now;           /* what a GET then shows; NULL: none comes */
        const char *again;         /* what a second PUT must hold; NULL: none comes */
        enum errc code;
    } rows[] = {
        {"written", "200 OK", NULL, NULL, RR_OK},
        {"only labelled meanwhile", "409 X",
         OBJECT("u", "8", ",\"labels\":{\"theirs\":\"2\"}", "{\"phase\":\"Idle\"}"),
         "\"resourceVersion\":\"8\"\1\"theirs\":\"2\"", RR_OK},
        {"written meanwhile", "409 X", OBJECT("u", "8", OURS, "{\"phase\":\"Swap\"}"), NULL,
         ERR_CONFLICT},
        {"a key more", "409 X", OBJECT("u", "8", OURS, "{\"phase\":\"Idle\",\"x\":\"\"}"), NULL,
         ERR_CONFLICT},
        {"made anew by somebody", "409 X", OBJECT("v", "8", OURS, "{\"phase\":\"Idle\"}"), NULL,
         ERR_CONFLICT},
        {"answer lost, done", NULL, OBJECT("u", "8", OURS, "{\"phase\":\"Stage\"}"), NULL, RR_OK},
        {"500, done", "500 X", OBJECT("u", "8", OURS, "{\"phase\":\"Stage\"}"), NULL, RR_OK},
        {"answer lost, not done", NULL, OBJECT("u", "7", OURS, "{\"phase\":\"Idle\"}"),
         "\"resourceVersion\":\"7\"", RR_OK},
        {"answer lost, somebody else's", NULL, OBJECT("u", "8", OURS, "{\"phase\":\"Look\"}"), NULL,
         ERR_CONFLICT},
        {"gone", "404 X", NULL, NULL, ERR_NOT_FOUND},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *good = reply("200 OK", OBJECT("u", "9", OURS, "{\"phase\":\"Stage\"}"));
        struct peer_step script[3] = {{.expect = PUT
                                       "\1\"uid\":\"u\",\"resourceVersion\":\"7\"\1\"mine\":\"1\"\1"
                                       "\"data\":{\"phase\":\"Stage\"}}",
                                       .reply = !rows[i].status          ? NULL
                                                : *rows[i].status == '2' ? good
                                                                         : refusal(rows[i].status),
                                       .then = rows[i].status ? PEER_KEEP : PEER_RESET}};
        size_t count = 1;
        if (rows[i].now)
            script[count++] =
                (struct peer_step){.expect = "GET /api/v1", .reply = reply("200 OK", rows[i].now)};
        if (rows[i].again)
            script[count++] = (struct peer_step){
                .expect = arena_printf(&replies, PUT "\1%s", rows[i].again), .reply = good};
        struct peer *peer = peer_start(script, count, PEER_PLAIN);
        struct client c;
        ARENA_GUARD struct arena arena = {0};
        struct configmap map = {.name = "m",
                                .uid = "u",
                                .resource_version = "7",
                                .kept = OURS,
                                .keys = (const char *[]){"phase"},
                                .values = (const char *[]){"Idle"},
                                .count = 1};
        client_open(&c, peer);
        enum errc code = configmap_replace(c.kube, &arena, &map, (const char *const[]){"phase"},
                                           (const char *const[]){"Stage"}, 1, &c.err);
        if (code != rows[i].code || (!code && (strcmp(map.values[0], "Stage") != 0 ||
                                               strcmp(map.resource_version, "7") == 0)))
            fail_msg("%s: %s %s", rows[i].name, errc_name(code), c.err.text);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_too_much_for_a_configmap_is_not_sent(void **state)
{
    (void)state;
    struct peer *peer = peer_start(NULL, 0, PEER_PLAIN);
    struct client c;
    ARENA_GUARD struct arena arena = {0};
    struct configmap map = {.name = "m", .uid = "u", .resource_version = "7", .kept = ""};
    char *big = arena_alloc(&arena, 3000001);
    memset(big, 'x', 3000000);
    client_open(&c, peer);
    assert_int_equal(configmap_replace(c.kube, &arena, &map, (const char *const[]){"k"},
                                       (const char *const *)&big, 1, &c.err),
                     ERR_TOO_LARGE);
    client_close(&c);
    peer_stop(peer);
}

/* ---- events ---- */

static void test_an_event_is_what_the_strict_rules_ask_for(void **state)
{
    (void)state;
    char note[1100], instance[200];
    /* The 1024th byte is in the middle of a character. */
    memset(note, 'n', 1023);
    strcpy(note + 1023, "\xc3\xa4 and more");
    memset(instance, 'i', 199);
    instance[199] = '\0';
    char wanted_note[1100], wanted_instance[200];
    snprintf(wanted_note, sizeof wanted_note, "\"note\":\"%.1023s\"", note);
    snprintf(wanted_instance, sizeof wanted_instance, "\"reportingInstance\":\"%.128s\"", instance);
    const struct peer_step script[] = {
        {.expect = arena_printf(
             &replies,
             "POST /apis/events.k8s.io/v1/namespaces/shop/events?\1\"name\":\"m.\1%s\1%s\1"
             "\"reportingController\":\"restore-reconciler\"\1\"reason\":\"RestoreFailed\"\1"
             "\"action\":\"Swap\"\1\"type\":\"Warning\"\1.000000Z\"\1"
             "\"regarding\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"namespace\":\"shop\","
             "\"name\":\"m\",\"uid\":\"u\"}",
             wanted_note, wanted_instance),
         .reply = reply("201 Created", "{\"metadata\":{\"name\":\"m.1\"}}")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    struct event event = {.regarding_name = "m",
                          .regarding_uid = "u",
                          .is_warning = true,
                          .reason = "RestoreFailed",
                          .action = "Swap",
                          .note = note,
                          .instance = instance};
    client_open(&c, peer);
    assert_int_equal(event_post(c.kube, &event, &c.err), RR_OK);
    client_close(&c);
    peer_stop(peer);
}

static void test_an_event_is_tried_once(void **state)
{
    (void)state;
    const struct peer_step script[] = {{.reply = refusal("503 X")}};
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    struct event event = {
        .regarding_name = "m", .reason = "R", .action = "A", .note = "n", .instance = "i"};
    client_open(&c, peer);
    assert_int_equal(event_post(c.kube, &event, &c.err), ERR_API);
    client_close(&c);
    peer_stop(peer);
}

#define WITH_REPLIES(test) cmocka_unit_test_teardown(test, forget_replies)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REPLIES(test_reading),
        WITH_REPLIES(test_what_is_no_configmap),
        WITH_REPLIES(test_one_key),
        WITH_REPLIES(test_creating),
        WITH_REPLIES(test_replacing),
        WITH_REPLIES(test_too_much_for_a_configmap_is_not_sent),
        WITH_REPLIES(test_an_event_is_what_the_strict_rules_ask_for),
        WITH_REPLIES(test_an_event_is_tried_once),
    };
    return cmocka_run_group_tests_name("kube/configmap", tests, NULL, NULL);
}
