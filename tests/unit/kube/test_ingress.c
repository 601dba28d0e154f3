#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/kube/ingress.h"
#include "tests/unit/kube/exchange.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define OBJECT(version, metadata, spec)                                                            \
    "{\"apiVersion\":\"networking.k8s.io/v1\",\"metadata\":{\"name\":\"shop\",\"uid\":\"u1\","     \
    "\"resourceVersion\":\"" version "\"" metadata "},\"spec\":{" spec "}}"
#define SERVICE(name, port) "{\"service\":{\"name\":\"" name "\",\"port\":{" port "}}}"
#define WEB SERVICE("web", "\"number\":8080")
#define API SERVICE("api", "\"name\":\"http\"")
#define DOWN SERVICE("maintenance", "\"number\":80")
#define BUCKET "{\"resource\":{\"apiGroup\":\"k.example\",\"kind\":\"Bucket\",\"name\":\"static\"}}"
#define PATH(path, backend)                                                                        \
    "{\"path\":\"" path "\",\"pathType\":\"Prefix\",\"backend\":" backend "}"
#define RULE(host, paths) "{\"host\":\"" host "\",\"http\":{\"paths\":[" paths "]}}"
#define DEFAULT(backend) "\"defaultBackend\":" backend
#define RULES(rules) "\"rules\":[" rules "]"

/* One entry of a record. */
#define WAS(rule, path, host, match, backend)                                                      \
    "{\"path\":\"/spec/rules/" #rule "/http/paths/" #path "/backend\",\"host\":\"" host            \
    "\",\"match\":\"" match "\",\"type\":\"Prefix\",\"backend\":" backend "}"
#define WAS_DEFAULT(backend) "{\"path\":\"/spec/defaultBackend\",\"backend\":" backend "}"

/* ---- reading ---- */

static void test_what_is_recorded(void **state)
{
    (void)state;
    static const struct {
        const char *name, *body;
        enum errc code;
        const char *says; /* the record, or a part of the error */
    } rows[] = {
        {"everything",
         OBJECT("7", "",
                DEFAULT(BUCKET) "," RULES(
                    RULE("a.example",
                         PATH("/", WEB) "," PATH("/api", API)) ","
                                                               "{\"host\":\"b.example\"}," RULE(
                                                                   "c.example", PATH("/", WEB)))),
         RR_OK,
         "[" WAS_DEFAULT(BUCKET) "," WAS(0, 0, "a.example", "/", WEB) "," WAS(
             0, 1, "a.example", "/api", API) "," WAS(2, 0, "c.example", "/", WEB) "]"},
        {"no spec at all",
         "{\"metadata\":{\"name\":\"shop\",\"uid\":\"u\",\"resourceVersion\":\"1\"}}", RR_OK, "[]"},
        {"rules without backends",
         OBJECT("7", "",
                RULES("{},{\"http\":{}},{\"http\":{\"paths\":[]}},{\"http\":{\"paths\":[{}]}}")),
         RR_OK, "[]"},
        {"a rule without a host, a path without a path",
         OBJECT("7", "", RULES("{\"http\":{\"paths\":[{\"backend\":" WEB "}]}}")), RR_OK,
         "[{\"path\":\"/spec/rules/0/http/paths/0/backend\",\"backend\":" WEB "}]"},
        {"wrong types are no backends",
         OBJECT("7", "",
                DEFAULT("\"web\"") "," RULES("1,null,[],{\"http\":[]},{\"http\":{\"paths\":{}}},"
                                             "{\"http\":{\"paths\":[1,{\"backend\":[]}]}}")),
         RR_OK, "[]"},
        {"rules no list", OBJECT("7", "", "\"rules\":{\"http\":1}"), RR_OK, "[]"},
        {"no uid", "{\"metadata\":{\"name\":\"shop\",\"resourceVersion\":\"1\"}}", ERR_API,
         "Ingress 'shop': the server's answer has no usable metadata.uid"},
        {"no version", "{\"metadata\":{\"name\":\"shop\",\"uid\":\"u\"}}", ERR_API,
         "metadata.resourceVersion"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        const struct exchange script[] = {
            {.expect = "GET /apis/networking.k8s.io/v1/namespaces/shop/ingresses/shop HTTP/1.1\r\n",
             .status = OK_STATUS,
             .body = rows[i].body}};
        struct client c;
        struct peer *peer = exchange_start(&arena, &c, script, 1);
        struct ingress ingress = {0};
        enum errc code = ingress_get(c.kube, &arena, "shop", &ingress, &c.err);
        const char *got = code ? c.err.text : ingress.backends;
        if (code != rows[i].code ||
            (code ? !strstr(got, rows[i].says) : strcmp(got, rows[i].says) != 0))
            fail_msg("%s: %s: %s", rows[i].name, errc_name(code), got);
        exchange_stop(&c, peer);
    }
}

static void test_a_list_in_order_of_name(void **state)
{
    (void)state;
    ARENA_GUARD struct arena arena = {0};
    static const struct exchange script[] = {
        {.expect = "/ingresses?limit=500&labelSelector=app%3Dshop",
         .status = OK_STATUS,
         .body = "{\"metadata\":{},\"items\":["
                 "{\"metadata\":{\"name\":\"b\",\"uid\":\"u\",\"resourceVersion\":\"1\"}},"
                 "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\","
                 "\"annotations\":{\"restore-reconciler/backends\":\"[]\",\"x\":\"12\"}}}]}"}};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, script, 1);
    struct ingress *items = NULL;
    size_t count = 0;
    assert_int_equal(ingress_list(c.kube, &arena, "app=shop", &items, &count, &c.err), RR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].name, "a");
    assert_true(items[0].is_marked);
    assert_string_equal(items[0].marked_backends, "[]");
    assert_int_equal(items[0].annotation_bytes, strlen("restore-reconciler/backends[]x12"));
    assert_string_equal(items[1].name, "b");
    assert_false(items[1].is_marked);
    assert_null(items[1].marked_backends);
    exchange_stop(&c, peer);
}

/* ---- a Service as a backend ---- */

static void test_services(void **state)
{
    (void)state;
    static const char longest[] = "a23456789012345678901234567890123456789012345678901234567890123";
    static const struct {
        const char *service, *says; /* NULL: refused */
    } rows[] = {
        {"maintenance", "{\"service\":{\"name\":\"maintenance\",\"port\":{\"number\":80}}}"},
        {"a:1", "{\"service\":{\"name\":\"a\",\"port\":{\"number\":1}}}"},
        {"a-1:65535", "{\"service\":{\"name\":\"a-1\",\"port\":{\"number\":65535}}}"},
        {"a:http", "{\"service\":{\"name\":\"a\",\"port\":{\"name\":\"http\"}}}"},
        {"a:8-b", "{\"service\":{\"name\":\"a\",\"port\":{\"name\":\"8-b\"}}}"},
        {"", NULL},
        {":80", NULL},
        {"a:", NULL},
        {"a:0", NULL},
        {"a:65536", NULL},
        {"a:-1", NULL},
        {"a:+1", NULL},
        {"a:80:80", NULL},
        {"a:http\"}}}", NULL},
        {"a:HTTP", NULL},
        {"a:-http", NULL},
        {"a:http-", NULL},
        {"a:ht--tp", NULL},
        {"a:sixteencharacter", NULL},
        {"-a", NULL},
        {"a-", NULL},
        {"A", NULL},
        {"a.b", NULL},
        {"a/b", NULL},
        {"a~1b", NULL},
        {"a\"b", NULL},
        {"a b", NULL},
    };
    ARENA_GUARD struct arena arena = {0};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct error err = ERROR_INIT;
        const char *backend = NULL;
        enum errc code = ingress_render_service(&arena, rows[i].service, &backend, &err);
        if (code != (rows[i].says ? RR_OK : ERR_CONFIG) || !text_equal(backend, rows[i].says))
            fail_msg("'%s': %s %s", rows[i].service, errc_name(code), backend ? backend : "");
    }
    struct error err = ERROR_INIT;
    const char *backend = NULL;
    assert_int_equal(ingress_render_service(&arena, longest, &backend, &err), RR_OK);
    const char *longer = arena_printf(&arena, "%s4", longest);
    assert_int_equal(ingress_render_service(&arena, longer, &backend, &err), ERR_CONFIG);
}

/* ---- changing ---- */

#define TESTS                                                                                      \
    "[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u1\"},"                              \
    "{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"7\"},"
#define SWAP(path, old, new)                                                                       \
    "{\"op\":\"test\",\"path\":\"" path "\",\"value\":" old "},"                                   \
    "{\"op\":\"replace\",\"path\":\"" path "\",\"value\":" new "}"
#define AT(rule, path) "/spec/rules/" #rule "/http/paths/" #path "/backend"
#define REMOVE(what)                                                                               \
    "{\"op\":\"remove\",\"path\":\"/metadata/annotations/restore-reconciler~1" what "\"}"
#define PATCH "PATCH /apis/networking.k8s.io/v1/namespaces/shop/ingresses/shop?"
#define GET "GET /apis/networking.k8s.io/v1/namespaces/shop/ingresses/shop HTTP/1.1"
#define READ(object)                                                                               \
    {                                                                                              \
        .expect = GET, .status = OK_STATUS, .body = object                                         \
    }
#define LOST                                                                                       \
    {                                                                                              \
        .expect = PATCH                                                                            \
    }
#define INVALID "422 Unprocessable Entity"
#define DOES_NOT_APPLY                                                                             \
    {                                                                                              \
        .expect = PATCH, .status = INVALID, .body = STATUS_BODY(422, "refused")                    \
    }
/* Marks; the record is given as it stands in a JSON string. */
#define NOTES(notes) ",\"annotations\":{" notes "}"
#define RUN(run, state)                                                                            \
    "\"restore-reconciler/run\":\"" run "\",\"restore-reconciler/state\":\"" state "\""
#define RECORD "\"restore-reconciler/backends\":"
#define QUOTED_WEB "{\\\"service\\\":{\\\"name\\\":\\\"web\\\",\\\"port\\\":{\\\"number\\\":8080}}}"
#define QUOTED_DEFAULT                                                                             \
    "\"[{\\\"path\\\":\\\"/spec/defaultBackend\\\",\\\"backend\\\":" QUOTED_WEB "}]\""
#define MARKED(run) NOTES(RECORD QUOTED_DEFAULT "," RUN(run, "restore-state"))

#define UP OBJECT("7", "", DEFAULT(WEB))
#define AWAY OBJECT("7", MARKED("run-2"), DEFAULT(DOWN))
#define TAKEN OBJECT("8", MARKED("run-2"), DEFAULT(DOWN))
#define BACK OBJECT("8", NOTES(""), DEFAULT(WEB))

struct change_row {
    const char *name;
    struct exchange script[EXCHANGES_MAX];
    enum errc code;
    const char *says;     /* parts of the error and its hint, separated by '\1' */
    const char *version;  /* of what the caller holds afterwards */
    const char *recorded; /* enable: the caller's own; NULL: the mark's */
    size_t left_alone;
};

static void check_change(const struct change_row *row, bool is_disabling)
{
    ARENA_GUARD struct arena arena = {0};
    struct client c;
    struct peer *peer = exchange_start(&arena, &c, row->script, EXCHANGES_MAX);
    struct ingress ingress = {0};
    size_t left_alone = 0;
    if (ingress_get(c.kube, &arena, "shop", &ingress, &c.err))
        fail_msg("%s: %s", row->name, c.err.text);
    enum errc code =
        is_disabling
            ? ingress_disable(c.kube, &arena, &ingress, DOWN, "run-2", "restore-state", &c.err)
            : ingress_enable(c.kube, &arena, &ingress, row->recorded, DOWN, &left_alone, &c.err);
    const char *said = arena_printf(&arena, "%s (%s)", c.err.text, c.err.hint);
    if (code != row->code || !holds(said, row->says))
        fail_msg("%s: %s: %s", row->name, errc_name(code), said);
    if (strcmp(row->version, ingress.resource_version) != 0 || left_alone != row->left_alone)
        fail_msg("%s: holds version %s, left %zu alone", row->name, ingress.resource_version,
                 left_alone);
    exchange_stop(&c, peer);
}

static void test_disabling(void **state)
{
    (void)state;
    static const struct change_row rows[] = {
        {"all backends, all recorded",
         {READ(OBJECT("7", NOTES("\"a\":\"b\""),
                      DEFAULT(BUCKET) "," RULES(RULE("a", PATH("/", WEB) "," PATH("/api", API))))),
          {.expect = TESTS
           "{\"op\":\"add\",\"path\":\"/metadata/annotations/"
           "restore-reconciler~1backends\",\"value\":\"[{"
           "\\\"path\\\":\\\"/spec/defaultBackend\\\",\\\"backend\\\":{\\\"resource\\\":"
           "\1~1run\",\"value\":\"run-2\"}\1~1state\",\"value\":\"restore-state\"}"
           "\1" SWAP("/spec/defaultBackend", BUCKET,
                     DOWN) "," SWAP(AT(0, 0), WEB, DOWN) "," SWAP(AT(0, 1), API, DOWN) "]",
           .forbid = "\"path\":\"/metadata/annotations\"",
           .status = OK_STATUS,
           .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"first annotations of all",
         {READ(UP),
          {.expect = PATCH "fieldManager=restore-reconciler\1" TESTS
                           "{\"op\":\"add\",\"path\":\"/metadata/annotations\",\"value\":{}},"
                           "{\"op\":\"add\",\"path\":\"/metadata/annotations/"
                           "restore-reconciler~1backends\",\"value\":" QUOTED_DEFAULT "}",
           .status = OK_STATUS,
           .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"nothing to point anywhere: nothing is sent",
         {READ(OBJECT("7", "", RULES("{}")))},
         RR_OK,
         NULL,
         "7",
         NULL,
         0},
        {"down by its owner: recorded all the same",
         {READ(OBJECT("7", "", DEFAULT(DOWN))),
          {.expect = "restore-reconciler~1backends",
           .forbid = "replace",
           .status = OK_STATUS,
           .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"disabled already: nothing is sent", {READ(AWAY)}, RR_OK, NULL, "7", NULL, 0},
        {"disabled by an older run: nothing is sent",
         {READ(OBJECT("7", MARKED("run-1"), DEFAULT(DOWN)))},
         RR_OK,
         NULL,
         "7",
         NULL,
         0},
        {"an older mark stays, and what it records is pointed away",
         {READ(OBJECT("7", MARKED("run-1"), DEFAULT(WEB))),
          {.expect = TESTS SWAP("/spec/defaultBackend", WEB, DOWN) "]",
           .forbid = "annotations",
           .status = OK_STATUS,
           .body = OBJECT("8", MARKED("run-1"), DEFAULT(DOWN))}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"an older mark stays, and what it does not record is left",
         {READ(OBJECT("7", MARKED("run-1"), DEFAULT(API)))},
         RR_OK,
         NULL,
         "7",
         NULL,
         0},
        {"a mark without its record",
         {READ(OBJECT("7", NOTES(RUN("run-1", "restore-state")), DEFAULT(WEB)))},
         RR_OK,
         NULL,
         "7",
         NULL,
         0},
        {"a mark that somebody edited",
         {READ(OBJECT("7", NOTES(RECORD "\"[{}]\""), DEFAULT(WEB)))},
         ERR_STEP,
         "Ingress 'shop': what is recorded of its backends\1by hand",
         "7",
         NULL,
         0},
        {"disabled by another state",
         {READ(OBJECT("7", NOTES(RUN("run-9", "other")), DEFAULT(DOWN)))},
         ERR_STEP,
         "Ingress 'shop' has been taken away by the state 'other' (run 'run-9')",
         "7",
         NULL,
         0},

        {"changed meanwhile",
         {READ(UP), DOES_NOT_APPLY, READ(OBJECT("8", "", DEFAULT(API)))},
         ERR_CONFLICT,
         "Ingress 'shop' was changed by somebody else",
         "8",
         NULL,
         0},
        {"refused by a webhook",
         {READ(UP), DOES_NOT_APPLY, READ(UP)},
         ERR_REJECTED,
         "refused",
         "7",
         NULL,
         0},
        {"answer lost, done", {READ(UP), LOST, READ(TAKEN)}, RR_OK, NULL, "8", NULL, 0},
        {"answer lost, not done: again",
         {READ(UP), LOST, READ(UP), {.expect = PATCH, .status = OK_STATUS, .body = TAKEN}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"answer lost, another run has taken over",
         {READ(UP), LOST, READ(OBJECT("8", MARKED("run-3"), DEFAULT(DOWN)))},
         ERR_CONFLICT,
         "changed by somebody else",
         "8",
         NULL,
         0},
        {"deleted meanwhile",
         {READ(UP), {.expect = PATCH, .status = GONE, .body = STATUS_BODY(404, "no shop")}},
         ERR_NOT_FOUND,
         "no shop",
         "7",
         NULL,
         0},
        {"a backend that no Ingress can have",
         {READ(OBJECT("7", "", DEFAULT("{}")))},
         ERR_STEP,
         "Ingress 'shop': its backends: it holds a backend that is neither",
         "7",
         NULL,
         0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_change(&rows[i], true);
}

#define TWO_RULES(first, second) RULES(RULE("a", PATH("/", first)) "," RULE("b", PATH("/", second)))
#define TWO_WERE "[" WAS(0, 0, "a", "/", WEB) "," WAS(1, 0, "b", "/", API) "]"
#define ONE_WAS(pointer) "[{\"path\":\"" pointer "\",\"backend\":" WEB "}]"
/* Nothing may be sent. */
#define BAD(name_, record, says_)                                                                  \
    {                                                                                              \
        .name = name_, .script = {READ(AWAY)}, .code = ERR_STEP, .says = says_, .version = "7",    \
        .recorded = record                                                                         \
    }

static void test_enabling(void **state)
{
    (void)state;
    static const struct change_row rows[] = {
        {"what the mark says",
         {READ(AWAY),
          {.expect = PATCH "\1" TESTS SWAP("/spec/defaultBackend", DOWN, WEB) "," REMOVE(
               "backends") "," REMOVE("run") "," REMOVE("state") "]",
           .status = OK_STATUS,
           .body = BACK}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"what the caller knows, without a mark",
         {READ(OBJECT("7", "", TWO_RULES(DOWN, DOWN))),
          {.expect = TESTS SWAP(AT(0, 0), DOWN, WEB) "," SWAP(AT(1, 0), DOWN, API) "]",
           .forbid = "annotations",
           .status = OK_STATUS,
           .body = OBJECT("8", "", TWO_RULES(WEB, API))}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         0},
        {"members in another order are the same backend",
         {READ(
              OBJECT("7", "",
                     DEFAULT("{\"service\":{\"port\":{\"number\":80},\"name\":\"maintenance\"}}"))),
          {.expect = "\"op\":\"replace\"", .status = OK_STATUS, .body = BACK}},
         RR_OK,
         NULL,
         "8",
         "[" WAS_DEFAULT(WEB) "]",
         0},
        {"one was changed meanwhile: it stays",
         {READ(OBJECT("7", "", TWO_RULES(API, DOWN))),
          {.expect = TESTS SWAP(AT(1, 0), DOWN, API) "]",
           .status = OK_STATUS,
           .body = OBJECT("8", "", TWO_RULES(API, API))}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         1},
        {"one was put back by hand: nothing to tell",
         {READ(OBJECT("7", "", TWO_RULES(WEB, DOWN))),
          {.expect = TESTS SWAP(AT(1, 0), DOWN, API) "]",
           .status = OK_STATUS,
           .body = OBJECT("8", "", TWO_RULES(WEB, API))}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         0},
        {"one was removed",
         {READ(OBJECT("7", "", RULES(RULE("a", PATH("/", DOWN))))),
          {.expect = TESTS SWAP(AT(0, 0), DOWN, WEB) "]",
           .status = OK_STATUS,
           .body = OBJECT("8", "", RULES(RULE("a", PATH("/", WEB))))}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         1},
        {"a rule before them was added: each gets its own back",
         {READ(OBJECT("7", "",
                      RULES(RULE("new", PATH("/", WEB)) "," RULE("a", PATH("/", DOWN)) "," RULE(
                          "b", PATH("/", DOWN))))),
          {.expect = TESTS SWAP(AT(1, 0), DOWN, WEB) "," SWAP(AT(2, 0), DOWN, API) "]",
           .status = OK_STATUS,
           .body = BACK}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         0},
        {"rules changed places",
         {READ(OBJECT("7", "", RULES(RULE("b", PATH("/", DOWN)) "," RULE("a", PATH("/", DOWN))))),
          {.expect = SWAP(AT(1, 0), DOWN, WEB) "," SWAP(AT(0, 0), DOWN, API) "]",
           .status = OK_STATUS,
           .body = BACK}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         0},
        {"a host was renamed: it is another rule",
         {READ(OBJECT("7", "", RULES(RULE("x", PATH("/", DOWN)) "," RULE("b", PATH("/", DOWN))))),
          {.expect = TESTS SWAP(AT(1, 0), DOWN, API) "]", .status = OK_STATUS, .body = BACK}},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         1},
        {"one of two equal rules was removed: no backend is put back twice",
         {READ(OBJECT("7", "", RULES(RULE("a", PATH("/", DOWN))))),
          {.expect = TESTS SWAP(AT(0, 0), DOWN, WEB) "]", .status = OK_STATUS, .body = BACK}},
         RR_OK,
         NULL,
         "8",
         "[" WAS(0, 0, "a", "/", WEB) "," WAS(1, 0, "a", "/", API) "]",
         1},
        {"nothing to put back: the mark goes all the same",
         {READ(OBJECT("7", MARKED("run-2"), DEFAULT(API))),
          {.expect = TESTS REMOVE("backends"),
           .forbid = "replace",
           .status = OK_STATUS,
           .body = OBJECT("8", "", DEFAULT(API))}},
         RR_OK,
         NULL,
         "8",
         NULL,
         1},
        {"a mark without its record",
         {READ(OBJECT("7", NOTES(RUN("r", "s")), DEFAULT(DOWN))),
          {.expect = TESTS REMOVE("run") "," REMOVE("state") "]",
           .status = OK_STATUS,
           .body = BACK}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"nothing at all: nothing is sent", {READ(UP)}, RR_OK, NULL, "7", NULL, 0},
        {"answer lost, done", {READ(AWAY), LOST, READ(BACK)}, RR_OK, NULL, "8", NULL, 0},
        {"answer lost, done, one was changed: told once",
         {READ(OBJECT("7", "", TWO_RULES(API, DOWN))), LOST,
          READ(OBJECT("8", "", TWO_RULES(API, API)))},
         RR_OK,
         NULL,
         "8",
         TWO_WERE,
         1},
        {"answer lost, not done: again",
         {READ(AWAY), LOST, READ(AWAY), {.expect = PATCH, .status = OK_STATUS, .body = BACK}},
         RR_OK,
         NULL,
         "8",
         NULL,
         0},
        {"changed meanwhile",
         {READ(AWAY), DOES_NOT_APPLY, READ(OBJECT("8", "", DEFAULT(DOWN)))},
         ERR_CONFLICT,
         "changed by somebody else",
         "8",
         "[" WAS_DEFAULT(WEB) "]",
         0},
        {"refused",
         {READ(AWAY), DOES_NOT_APPLY, READ(AWAY)},
         ERR_REJECTED,
         "refused",
         "7",
         NULL,
         0},

        BAD("not JSON", "[{", "what is recorded of its backends\1by hand"),
        BAD("empty", "", "empty"),
        BAD("no list", "{}", "no list"),
        BAD("an entry that is no object", "[1]", "no object"),
        BAD("an entry that is empty", "[{}]", "a path that is not the path of a backend"),
        BAD("no backend", "[{\"path\":\"/spec/defaultBackend\"}]", "neither a service"),
        BAD("backend null", "[" WAS_DEFAULT("null") "]", "neither a service"),
        BAD("backend a list", "[" WAS_DEFAULT("[]") "]", "neither a service"),
        BAD("backend of both kinds", "[" WAS_DEFAULT("{\"service\":{},\"resource\":{}}") "]",
            "neither a service"),
        BAD("backend of another kind", "[" WAS_DEFAULT("{\"serviceName\":{}}") "]",
            "neither a service"),
        BAD("service a text", "[" WAS_DEFAULT("{\"service\":\"web\"}") "]", "no object"),
        BAD("a member too many",
            "[{\"path\":\"/spec/defaultBackend\",\"x\":1,\"backend\":" WEB "}]", "does not belong"),
        BAD("a host that is a number",
            "[{\"path\":\"/spec/defaultBackend\",\"host\":1,\"backend\":" WEB "}]",
            "does not belong"),
        BAD("one path twice", "[" WAS_DEFAULT(WEB) "," WAS_DEFAULT(API) "]", "one path twice"),
        BAD("path to the annotations", ONE_WAS("/metadata/annotations"),
            "not the path of a backend"),
        BAD("path to all of the spec", ONE_WAS("/spec"), "not the path of a backend"),
        BAD("path to the class", ONE_WAS("/spec/ingressClassName"), "not the path of a backend"),
        BAD("path that goes on", ONE_WAS("/spec/rules/0/http/paths/0/backend/service"),
            "not the path of a backend"),
        BAD("path that ends early", ONE_WAS("/spec/rules/0/http/paths/0"),
            "not the path of a backend"),
        BAD("path with a sign", ONE_WAS("/spec/rules/-1/http/paths/0/backend"),
            "not the path of a backend"),
        BAD("path at the end of the list", ONE_WAS("/spec/rules/-/http/paths/0/backend"),
            "not the path of a backend"),
        BAD("path with a leading zero", ONE_WAS("/spec/rules/00/http/paths/0/backend"),
            "not the path of a backend"),
        BAD("path with a huge number", ONE_WAS("/spec/rules/99999/http/paths/0/backend"),
            "not the path of a backend"),
        BAD("path without a number", ONE_WAS("/spec/rules//http/paths/0/backend"),
            "not the path of a backend"),
        BAD("path with an escape", ONE_WAS("/spec~1rules/0/http/paths/0/backend"),
            "not the path of a backend"),
        BAD("default backend that goes on", ONE_WAS("/spec/defaultBackend/service"),
            "not the path of a backend"),
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        check_change(&rows[i], false);
}

/* Annotations of an object have 256 KiB in all. */
static void test_a_record_that_does_not_fit(void **state)
{
    (void)state;
    static const size_t marks = sizeof "restore-reconciler/backends" - 1 +
                                sizeof "restore-reconciler/run" - 1 + sizeof "run-2" - 1 +
                                sizeof "restore-reconciler/state" - 1 + sizeof "restore-state" - 1 +
                                sizeof "[" WAS_DEFAULT(WEB) "]" - 1;
    for (int is_over = 0; is_over < 2; is_over++) {
        ARENA_GUARD struct arena arena = {0};
        size_t filler_bytes = LIMIT_ANNOTATIONS_BYTES - marks - 1 + (size_t)is_over;
        char *filler = arena_alloc(&arena, filler_bytes + 1);
        memset(filler, 'x', filler_bytes);
        const char *full =
            arena_printf(&arena, OBJECT("7", NOTES("\"a\":\"%s\""), DEFAULT(WEB)), filler);
        const struct exchange script[] = {READ(full),
                                          {.expect = is_over ? NULL : PATCH,
                                           .status = is_over ? NULL : OK_STATUS,
                                           .body = TAKEN}};
        struct client c;
        struct peer *peer = exchange_start(&arena, &c, script, COUNT(script));
        struct ingress ingress = {0};
        assert_int_equal(ingress_get(c.kube, &arena, "shop", &ingress, &c.err), RR_OK);
        enum errc code =
            ingress_disable(c.kube, &arena, &ingress, DOWN, "run-2", "restore-state", &c.err);
        assert_int_equal(code, is_over ? ERR_TOO_LARGE : RR_OK);
        assert_true(!is_over || strstr(c.err.text, "262145 bytes, and 262144 are allowed"));
        exchange_stop(&c, peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_recorded), cmocka_unit_test(test_a_list_in_order_of_name),
        cmocka_unit_test(test_services),         cmocka_unit_test(test_disabling),
        cmocka_unit_test(test_enabling),         cmocka_unit_test(test_a_record_that_does_not_fit),
    };
    return cmocka_run_group_tests_name("kube/ingress", tests, NULL, NULL);
}
