#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/stat.h>

#include "lib/base/limits.h"
#include "tests/unit/kube/client.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define MAP "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\"}}"
#define OK(length) PEER_ANSWER("200 OK", "", length, MAP)
#define MAP_OK OK(62)
#define STATUS(code, message)                                                                      \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message     \
    "\",\"code\":" #code "}"
#define CANNOT(verb)                                                                               \
    STATUS(403, "configmaps \\\"m\\\" is forbidden: User \\\"system:serviceaccount:shop:rr\\\" "   \
                "cannot " verb " resource \\\"configmaps\\\" in API group \\\"\\\" in the "        \
                "namespace \\\"shop\\\"")
#define UNAUTHORIZED PEER_ANSWER("401 Unauthorized", "", 2, "{}")

_Static_assert(sizeof MAP - 1 == 62, "MAP_OK names the length");

static const struct kube_resource deployments = {"apps", "v1", "deployments", false};
static const struct kube_resource reviews = {"authorization.k8s.io", "v1",
                                             "selfsubjectaccessreviews", true};

static void render_reply(char *reply, size_t size, const char *status, const char *headers,
                         const char *body)
{
    int length = snprintf(reply, size, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                          headers, strlen(body), body);
    assert_true(length > 0 && (size_t)length < size);
}

/* One try of one request for ConfigMap "m". */
static enum errc send_once(struct client *c, enum kube_verb verb)
{
    const struct kube_request request = {.verb = verb,
                                         .resource = &configmaps,
                                         .name = "m",
                                         .body = verb == KUBE_GET ? NULL : "{}",
                                         .is_impatient = true};
    return kube_send(c->kube, &request, &c->answer, &c->err);
}

/* ---- what goes out ---- */

static void test_requests(void **state)
{
    (void)state;
#define WRITE "fieldManager=restore-reconciler&fieldValidation=Strict"
#define MAPS "/api/v1/namespaces/shop/configmaps"
    static const struct {
        const char *name;
        struct kube_request request;
        const char *expect, *forbid;
    } rows[] = {
        {"get",
         {.verb = KUBE_GET, .resource = &configmaps, .name = "m"},
         "GET " MAPS "/m HTTP/1.1\r\n\1Accept: application/json\r\n\1User-Agent: "
         "restore-reconciler/\1 (linux/",
         "Content-Type\1Accept-Encoding\1fieldManager\1Authorization"},
        {"create",
         {.verb = KUBE_CREATE, .resource = &deployments, .body = "{\"a\":1}"},
         "POST /apis/apps/v1/namespaces/shop/deployments?" WRITE " HTTP\1Content-Type: "
         "application/json\r\n\1\r\n\r\n{\"a\":1}",
         "force"},
        {"update",
         {.verb = KUBE_UPDATE, .resource = &configmaps, .name = "m", .body = "{}"},
         "PUT " MAPS "/m?" WRITE " HTTP\1Content-Type: application/json\r\n",
         "force"},
        {"JSON patch",
         {.verb = KUBE_JSON_PATCH, .resource = &configmaps, .name = "m", .body = "[]"},
         "PATCH " MAPS "/m?" WRITE " HTTP\1Content-Type: application/json-patch+json\r\n",
         "force"},
        {"merge patch",
         {.verb = KUBE_MERGE_PATCH, .resource = &configmaps, .name = "m", .body = "{}"},
         "PATCH " MAPS "/m?" WRITE " HTTP\1Content-Type: application/merge-patch+json\r\n",
         "force"},
        {"apply",
         {.verb = KUBE_APPLY, .resource = &configmaps, .name = "m", .body = "{}"},
         "PATCH " MAPS "/m?" WRITE
         "&force=true HTTP\1Content-Type: application/apply-patch+yaml\r\n",
         NULL},
        {"delete",
         {.verb = KUBE_DELETE, .resource = &configmaps, .name = "m", .body = "{}"},
         "DELETE " MAPS "/m HTTP",
         "fieldManager"},
        {"query",
         {.verb = KUBE_APPLY, .resource = &configmaps, .name = "m", .body = "{}", .query = "a=b"},
         WRITE "&force=true&a=b HTTP",
         NULL},
        {"query alone",
         {.verb = KUBE_GET, .resource = &configmaps, .name = "m", .query = "a=b"},
         "/m?a=b HTTP",
         NULL},
        {"cluster-wide",
         {.verb = KUBE_CREATE, .resource = &reviews, .body = "{}"},
         "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews?",
         "namespaces"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct peer_step step = {
            .expect = rows[i].expect,
            .forbid = rows[i].forbid,
            .reply = PEER_ANSWER("200 OK", "", 33, "{\"metadata\":{\"name\":\"m\"},\"a\":123}")};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        client_open(&c, peer);
        if (kube_send(c.kube, &rows[i].request, &c.answer, &c.err))
            fail_msg("%s: %s", rows[i].name, c.err.text);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_a_name_is_never_more_than_a_name(void **state)
{
    (void)state;
    static const struct peer_step step = {.expect = "GET " MAPS "/..%2Fsecrets%3Fa HTTP",
                                          .reply = PEER_ANSWER("404 Not Found", "", 2, "{}")};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    const struct kube_request request = {
        .verb = KUBE_GET, .resource = &configmaps, .name = "../secrets?a"};
    assert_int_equal(kube_send(c.kube, &request, &c.answer, &c.err), ERR_API);
    client_close(&c);
    peer_stop(peer);
}

/* ---- what an answer means ---- */

static void test_what_an_answer_means(void **state)
{
    (void)state;
#define HTML "<html>\n<body>Login</body></html>"
    static const struct {
        const char *name;
        enum kube_verb verb;
        const char *status, *headers, *body;
        enum errc code;
        const char *text, *hint; /* separated by '\1' */
    } rows[] = {
        {"200", KUBE_GET, "200 OK", "", MAP, RR_OK, NULL, NULL},
        {"201", KUBE_APPLY, "201 Created", "", MAP, RR_OK, NULL, NULL},
        {"401", KUBE_GET, "401 Unauthorized", "", STATUS(401, "Unauthorized"), ERR_UNAUTHENTICATED,
         "cannot get configmaps 'm' in namespace 'shop': the API server answered 401: "
         "'Unauthorized'",
         "the test's own names no token"},
        {"401 of a proxy", KUBE_GET, "401 Unauthorized", "", HTML, ERR_UNAUTHENTICATED, "401",
         NULL},
        {"403 get", KUBE_GET, "403 Forbidden", "", CANNOT("get"), ERR_FORBIDDEN,
         "cannot get configmaps 'm' in namespace 'shop'\1User \"system:serviceaccount:shop:rr\" "
         "cannot get",
         "add to the rules of the Role: - {apiGroups: [\"\"], resources: [configmaps], "
         "resourceNames: [\"m\"], verbs: [get]}"},
        {"403 patch", KUBE_JSON_PATCH, "403 Forbidden", "", CANNOT("patch"), ERR_FORBIDDEN,
         "cannot patch configmaps 'm'", "resourceNames: [\"m\"], verbs: [patch]}"},
        {"403 put", KUBE_UPDATE, "403 Forbidden", "", CANNOT("update"), ERR_FORBIDDEN, NULL,
         "verbs: [update]}"},
        {"403 apply that would create", KUBE_APPLY, "403 Forbidden", "", CANNOT("create"),
         ERR_FORBIDDEN, NULL, "verbs: [create]}"},
        {"403 delete", KUBE_DELETE, "403 Forbidden", "", CANNOT("delete"), ERR_FORBIDDEN, NULL,
         "verbs: [delete]}"},
        {"403 without words", KUBE_GET, "403 Forbidden", "", "{\"kind\":\"Status\"}", ERR_FORBIDDEN,
         NULL, "verbs: [get]}"},
        {"403 by quota", KUBE_APPLY, "403 Forbidden", "",
         STATUS(403, "configmaps \\\"m\\\" is forbidden: exceeded quota: q"), ERR_FORBIDDEN,
         "exceeded quota", "no missing right"},
        {"403 by webhook", KUBE_APPLY, "403 Forbidden", "",
         STATUS(403, "admission webhook \\\"w\\\" denied the request: you cannot dance"),
         ERR_FORBIDDEN, "denied", "no missing right"},
        {"404", KUBE_GET, "404 Not Found", "Audit-Id: 1-2\r\n", STATUS(404, "no such \\\"m\\\""),
         ERR_NOT_FOUND, "the API server answered 404: 'no such \"m\"', audit id '1-2'", ""},
        {"404 of a load balancer", KUBE_GET, "404 Not Found", "Content-Type: text/plain\r\n",
         "404 page not found\n", ERR_API,
         "404 and what came is not from a Kubernetes API server of type 'text/plain': '404 page "
         "not found\\n'",
         "check that http://127.0.0.1:\1(the test's own)"},
        {"404 for a kind", KUBE_GET, "404 Not Found",
         "Audit-Id: 1-2\r\nContent-Type: text/plain\r\n", "404 page not found\n", ERR_API,
         "the API server answered 404: it serves no v1, audit id '1-2'", "kubectl api-versions"},
        {"404, empty", KUBE_GET, "404 Not Found", "", "", ERR_API, "404", "check that"},
        {"405", KUBE_UPDATE, "405 Method Not Allowed", "", STATUS(405, "no"), ERR_REJECTED, "405",
         ""},
        {"409 on PUT", KUBE_UPDATE, "409 Conflict", "", STATUS(409, "the object has been modified"),
         ERR_CONFLICT, "cannot update configmaps 'm'\1modified", ""},
        {"409 of a proxy", KUBE_UPDATE, "409 Conflict", "", HTML, ERR_API, "409", "check that"},
        {"410", KUBE_GET, "410 Gone", "", STATUS(410, "too old"), ERR_EXPIRED, "too old", ""},
        {"410 of a proxy", KUBE_GET, "410 Gone", "", HTML, ERR_API, "410", "check that"},
        {"400", KUBE_MERGE_PATCH, "400 Bad Request", "", STATUS(400, "strict decoding error"),
         ERR_REJECTED, "strict decoding", ""},
        {"406", KUBE_GET, "406 Not Acceptable", "", STATUS(406, "n"), ERR_REJECTED, "406", ""},
        {"413", KUBE_UPDATE, "413 Too Large", "", HTML, ERR_REJECTED, "413", "check that"},
        {"415", KUBE_APPLY, "415 Unsupported", "", STATUS(415, "n"), ERR_REJECTED, "415", ""},
        {"422", KUBE_JSON_PATCH, "422 Unprocessable Entity", "",
         STATUS(422, "the server rejected our request due to an error in our request"),
         ERR_REJECTED, "rejected our request", ""},
        {"429", KUBE_GET, "429 Too Many Requests", "", STATUS(429, "slow"), ERR_API, "429: 'slow'",
         ""},
        {"429 on a write", KUBE_UPDATE, "429 Too Many Requests", "", STATUS(429, "slow"), ERR_API,
         "429", ""},
        {"500", KUBE_GET, "500 Oops", "", STATUS(500, "etcd"), ERR_API, "500: 'etcd'", ""},
        {"500 on a write", KUBE_UPDATE, "500 Oops", "", STATUS(500, "etcd"), ERR_ANSWER_LOST,
         "500: 'etcd'", ""},
        {"502 on a write", KUBE_JSON_PATCH, "502 Bad Gateway", "", HTML, ERR_ANSWER_LOST, "502",
         "check that"},
        {"503 on a write", KUBE_APPLY, "503 Unavailable", "", STATUS(503, "stop"), ERR_API, "503",
         ""},
        {"504 on a write", KUBE_APPLY, "504 Timeout", "", STATUS(504, "late"), ERR_ANSWER_LOST,
         "504: 'late'", ""},
        {"301", KUBE_GET, "301 Moved", "Location: /login\r\n", "", ERR_API, "301", "check that"},
        {"402", KUBE_GET, "402 Pay", "", "", ERR_API, "402", "check that"},
        {"HTML", KUBE_GET, "200 OK", "Content-Type: text/html; charset=utf-8\r\n", HTML, ERR_API,
         "what came with 200 is not JSON\1of type 'text/html; charset=utf-8': "
         "'<html>\\n<body>Login</body></html>'",
         "check that http://127.0.0.1:"},
        {"HTML for a write", KUBE_APPLY, "200 OK", "", HTML, ERR_ANSWER_LOST, "is not JSON",
         "check that"},
        {"nothing", KUBE_GET, "200 OK", "", "", ERR_API, "is not JSON\1nothing", "check that"},
        {"204", KUBE_GET, "204 No Content", "", "", ERR_API, "is not JSON", "check that"},
        {"a list instead of an object", KUBE_GET, "200 OK", "", "[1]", ERR_API, "is no object",
         "check that"},
        {"a text", KUBE_GET, "200 OK", "", "\"m\"", ERR_API, "is no object", "check that"},
        {"JSON of something else", KUBE_GET, "200 OK", "", "{\"status\":\"ok\"}", ERR_API,
         "has no metadata", "check that"},
        {"a Status", KUBE_GET, "200 OK", "", STATUS(200, "fine"), ERR_API, "has no metadata", NULL},
        {"a Status for a write", KUBE_UPDATE, "200 OK", "", STATUS(200, "fine"), ERR_ANSWER_LOST,
         "has no metadata", NULL},
        {"a Status for a delete", KUBE_DELETE, "200 OK", "", STATUS(200, "fine"), RR_OK, NULL,
         NULL},
        {"metadata of a wrong type", KUBE_GET, "200 OK", "", "{\"metadata\":[]}", ERR_API,
         "has no metadata", NULL},
        {"somebody else's object", KUBE_GET, "200 OK", "", "{\"metadata\":{\"name\":\"n\"}}",
         ERR_API, "has another name", NULL},
        {"two values", KUBE_GET, "200 OK", "", MAP MAP, ERR_API, "is not JSON", NULL},
        {"cut JSON of the right length", KUBE_GET, "200 OK", "", "{\"metadata\":{", ERR_API,
         "is not JSON", NULL},
        {"escapes in the message", KUBE_GET, "422 No", "",
         STATUS(422, "a\\u001b[31mb\\nc'd\\u202e"), ERR_REJECTED, "'a\\x1b[31mb\\nc\\'d", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char reply[4096];
        render_reply(reply, sizeof reply, rows[i].status, rows[i].headers, rows[i].body);
        const struct peer_step step = {.reply = reply, .then = PEER_CLOSE};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        client_open(&c, peer);
        enum errc code = send_once(&c, rows[i].verb);
        if (code != rows[i].code || !holds(c.err.text, rows[i].text) ||
            !holds(c.err.hint, rows[i].hint) || (rows[i].hint && !*rows[i].hint && *c.err.hint))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), c.err.text,
                     c.err.hint);
        for (const char *p = c.err.text; *p; p++)
            assert_true((unsigned char)*p >= 0x20);
        if (code == RR_OK)
            assert_true(c.answer.status / 100 == 2 && c.answer.document);
        else
            assert_null(c.answer.document);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_a_long_message_is_shown_from_both_ends(void **state)
{
    (void)state;
    char message[3001], body[4096], reply[5000];
    memset(message, 'x', sizeof message - 1);
    memcpy(message, "is invalid: patch: ", 19);
    strcpy(message + sizeof message - 32, "strict decoding: unknown 'dota'");
    snprintf(body, sizeof body, "{\"kind\":\"Status\",\"message\":\"%s\"}", message);
    render_reply(reply, sizeof reply, "422 Invalid", "Audit-Id: 1-2\r\n", body);
    const struct peer_step step = {.reply = reply};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    assert_int_equal(send_once(&c, KUBE_MERGE_PATCH), ERR_REJECTED);
    assert_true(
        holds(c.err.text, "'is invalid: patch: x\1x...' '\1unknown \\'dota\\'', audit id '1-2'"));
    assert_true(strlen(c.err.text) < 600);
    client_close(&c);
    peer_stop(peer);
}

static void test_rules_of_other_kinds(void **state)
{
    (void)state;
    static const struct {
        struct kube_request request;
        const char *text, *hint;
    } rows[] = {
        {{.verb = KUBE_GET, .resource = &deployments, .name = "web"},
         "cannot get deployments.apps 'web' in namespace 'shop'",
         "Role: - {apiGroups: [apps], resources: [deployments], resourceNames: [\"web\"], verbs: "
         "[get]}"},
        {{.verb = KUBE_CREATE, .resource = &deployments, .body = "{}"},
         "cannot create deployments.apps in namespace 'shop'",
         "Role: - {apiGroups: [apps], resources: [deployments], verbs: [create]}"},
        {{.verb = KUBE_CREATE, .resource = &reviews, .body = "{}"},
         "cannot create selfsubjectaccessreviews.authorization.k8s.io: the API server answered 403",
         "ClusterRole: - {apiGroups: [authorization.k8s.io], "},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static const struct peer_step step = {
            .reply = PEER_ANSWER("403 Forbidden", "", 17, "{\"kind\":\"Status\"}")};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        client_open(&c, peer);
        assert_int_equal(kube_send(c.kube, &rows[i].request, &c.answer, &c.err), ERR_FORBIDDEN);
        if (!holds(c.err.text, rows[i].text) || !holds(c.err.hint, rows[i].hint))
            fail_msg("row %zu: '%s' hint '%s'", i, c.err.text, c.err.hint);
        client_close(&c);
        peer_stop(peer);
    }
}

/* ---- answers that are too much ---- */

static void test_long_and_deep_answers(void **state)
{
    (void)state;
    enum { LENGTH = 100 * 1000 * 1000, DEPTH = 100000 };
    char *reply = calloc(1, LENGTH);
    memset(reply, ' ', LENGTH);
    static const struct {
        const char *name, *head;
        size_t length;
        const char *text;
    } rows[] = {
        {"100 MB by its header", "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", LENGTH,
         "has 100000000 bytes, over 8388608"},
        {"100 MB until the end", "HTTP/1.1 200 OK\r\n\r\n", LENGTH, "longer than 8388608 bytes"},
        {"100 MB in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5f5e100\r\n",
         LENGTH, "longer than 8388608 bytes"},
        {"100 MB of a refusal", "HTTP/1.1 403 No\r\nContent-Length: 100000000\r\n\r\n", LENGTH,
         "has 100000000 bytes"},
        {"deep", "HTTP/1.1 200 OK\r\n\r\n", DEPTH, "is not JSON"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        memcpy(reply, rows[i].head, strlen(rows[i].head));
        if (rows[i].length == DEPTH)
            memset(reply + strlen(rows[i].head), '[', DEPTH);
        const struct peer_step step = {
            .reply = reply, .reply_length = rows[i].length, .then = PEER_CLOSE};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        client_open(&c, peer);
        uint64_t begin_ms = clock_boottime_ms(clock_system());
        enum errc code = send_once(&c, KUBE_GET);
        uint64_t took_ms = clock_boottime_ms(clock_system()) - begin_ms;
        if (code != ERR_API || !holds(c.err.text, rows[i].text) || took_ms > 1500)
            fail_msg("%s: %s '%s' in %lu ms", rows[i].name, errc_name(code), c.err.text,
                     (unsigned long)took_ms);
        client_close(&c);
        peer_stop(peer);
    }
    free(reply);
}

static void test_a_write_whose_answer_is_too_long_is_a_lost_answer(void **state)
{
    (void)state;
    static const struct peer_step step = {
        .reply = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", .then = PEER_STALL};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    assert_int_equal(send_once(&c, KUBE_UPDATE), ERR_ANSWER_LOST);
    client_close(&c);
    peer_stop(peer);
}

/* ---- no answer ---- */

static void test_lost_answers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step lost;
        const char *text;
    } rows[] = {
        {"reset", {.then = PEER_RESET}, "broke"},
        {"closed", {.then = PEER_CLOSE}, "without an answer"},
        {"cut in the headers", {.reply = "HTTP/1.1 200 OK\r\nConte", .then = PEER_CLOSE}, NULL},
        {"cut in the body",
         {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 62\r\n\r\n{\"api", .then = PEER_CLOSE},
         "cut off"},
        {"stalled", {.then = PEER_STALL}, "300 ms"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct peer_step script[] = {
            {.expect = "GET ", .reply = rows[i].lost.reply, .then = rows[i].lost.then},
            {.expect = "GET ", .reply = MAP_OK},
            {.expect = "PATCH ", .reply = rows[i].lost.reply, .then = rows[i].lost.then},
        };
        struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
        struct client c;
        client_init(&c, peer);
        c.options.deadline_ms = 300;
        client_start(&c);
        if (client_send(&c, KUBE_GET))
            fail_msg("%s: %s", rows[i].name, c.err.text);
        assert_int_equal(c.clock.sleep_count, 1);
        enum errc code = client_send(&c, KUBE_JSON_PATCH);
        if (code != ERR_ANSWER_LOST || !holds(c.err.text, rows[i].text) ||
            !holds(c.err.text, "cannot patch configmaps 'm' in namespace 'shop': API server "
                               "http://127.0.0.1:\1(the test's own)"))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), c.err.text);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_a_question_in_the_form_of_a_write_is_asked_twice(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "POST ", .then = PEER_RESET},
        {.expect = "POST ", .reply = PEER_STATUS("504 Late")},
        {.expect = "POST ", .reply = PEER_ANSWER("201 Created", "", 15, "{\"metadata\":{}}")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    const struct kube_request request = {
        .verb = KUBE_CREATE, .resource = &reviews, .body = "{}", .has_no_effect = true};
    if (kube_send(c.kube, &request, &c.answer, &c.err))
        fail_msg("%s", c.err.text);
    client_close(&c);
    peer_stop(peer);
}

/* ---- again and again ---- */

static void test_retry_after(void **state)
{
    (void)state;
    enum { NOW_S = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *name;
        struct peer_step step;
        uint64_t pause_ms;
    } rows[] = {
        {"429, seconds", {.reply = PEER_ANSWER("429 Slow", "Retry-After: 3\r\n", 0, "")}, 3000},
        {"429, date",
         {.reply =
              PEER_ANSWER("429 Slow", "Retry-After: Sun, 06 Nov 1994 08:49:45 GMT\r\n", 0, "")},
         8000},
        {"429, an hour", {.reply = PEER_ANSWER("429 Slow", "Retry-After: 3600\r\n", 0, "")}, 10000},
        {"429, nothing", {.reply = PEER_STATUS("429 Slow")}, 250},
        {"503 of a server that shuts down",
         {.reply = PEER_ANSWER("503 Unavailable", "Retry-After: 5\r\nConnection: close\r\n", 0, ""),
          .then = PEER_CLOSE},
         5000},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        for (int is_write = 0; is_write < 2; is_write++) {
            const struct peer_step script[] = {rows[i].step, {.reply = MAP_OK}};
            struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
            struct client c;
            client_open(&c, peer);
            c.clock.wall_s = NOW_S;
            if (client_send(&c, is_write ? KUBE_UPDATE : KUBE_GET))
                fail_msg("%s: %s", rows[i].name, c.err.text);
            if (c.clock.sleep_count != 1 || c.clock.slept_ms != rows[i].pause_ms)
                fail_msg("%s: paused %lu ms", rows[i].name, (unsigned long)c.clock.slept_ms);
            client_close(&c);
            peer_stop(peer);
        }
}

static void test_patience(void **state)
{
    (void)state;
    /* Pauses of 250, 500, 1000, 2000, 4000 and 8000 ms, then of 10 s each. */
    static const struct {
        uint64_t patience_ms;
        unsigned tries;
    } rows[] = {{1000, 3}, {4000, 5}, {30000, 8}, {120000, 17}, {0, 8}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct peer_step step = {.reply = PEER_STATUS("503 Away"), .times = rows[i].tries};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        client_open(&c, peer);
        kube_set_patience(c.kube, rows[i].patience_ms);
        enum errc code = client_send(&c, KUBE_GET);
        if (code != ERR_API || peer_count(peer) != rows[i].tries)
            fail_msg("patience %lu: %s after %zu tries", (unsigned long)rows[i].patience_ms,
                     errc_name(code), peer_count(peer));
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_a_server_that_is_away_for_two_minutes(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.then = PEER_CLOSE, .times = 9},
        {.reply = PEER_STATUS("503 Starting"), .times = 5},
        {.reply = MAP_OK},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    kube_set_patience(c.kube, 180 * 1000);
    if (client_send(&c, KUBE_GET))
        fail_msg("%s", c.err.text);
    assert_true(c.clock.slept_ms > 90 * 1000);
    client_close(&c);
    peer_stop(peer);
}

/* It answers before it has read all roles and accounts. */
static void test_a_server_that_has_just_come_back_is_asked_again(void **state)
{
    (void)state;
#define REFUSED PEER_ANSWER("403 Forbidden", "", 2, "{}")
    static const struct peer_step passes[] = {
        {.then = PEER_CLOSE, .times = 2}, {.reply = REFUSED, .times = 3}, {.reply = MAP_OK}};
    static const struct peer_step lasts[] = {{.then = PEER_CLOSE, .times = 2},
                                             {.reply = REFUSED, .times = 16}};
    static const struct peer_step no_trouble[] = {{.reply = MAP_OK}, {.reply = REFUSED}};
    static const struct {
        const struct peer_step *script;
        size_t count, calls;
        enum errc code;
    } rows[] = {
        {passes, COUNT(passes), 1, RR_OK},
        {lasts, COUNT(lasts), 1, ERR_FORBIDDEN},
        {no_trouble, COUNT(no_trouble), 2, ERR_FORBIDDEN},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer *peer = peer_start(rows[i].script, rows[i].count, PEER_PLAIN);
        struct client c;
        enum errc code = RR_OK;
        client_open(&c, peer);
        for (size_t call = 0; call < rows[i].calls && !code; call++) {
            kube_answer_release(&c.answer);
            code = client_send(&c, KUBE_GET);
        }
        if (code != rows[i].code)
            fail_msg("row %zu: %s", i, errc_name(code));
        client_close(&c);
        peer_stop(peer);
    }
}

/* ---- interruptions ---- */

static void *cancel_soon(void *context)
{
    usleep(100 * 1000);
    cancel_request(context);
    return NULL;
}

static void test_a_cancel_ends_a_silent_call(void **state)
{
    (void)state;
    static const struct peer_step step = {.then = PEER_STALL};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_soon, &c.cancel);
    uint64_t begin_ms = clock_boottime_ms(clock_system());
    assert_int_equal(client_send(&c, KUBE_GET), ERR_CANCELLED);
    uint64_t took_ms = clock_boottime_ms(clock_system()) - begin_ms;
    if (took_ms < 90 || took_ms > 600)
        fail_msg("%lu ms", (unsigned long)took_ms);
    pthread_join(thread, NULL);
    client_close(&c);
    peer_stop(peer);
}

static void test_a_deaf_client_is_not_interrupted(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = PEER_STATUS("503 Away")},
        {.reply = MAP_OK},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    client_open(&c, peer);
    cancel_request(&c.cancel);
    assert_int_equal(client_send(&c, KUBE_GET), ERR_CANCELLED);
    kube_set_deaf(c.kube, true);
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    kube_set_deaf(c.kube, false);
    assert_int_equal(client_send(&c, KUBE_GET), ERR_CANCELLED);
    client_close(&c);
    peer_stop(peer);
}

struct guard {
    unsigned calls, allows;
};

static enum errc guard_write(void *context, struct error *err)
{
    struct guard *guard = context;
    return ++guard->calls <= guard->allows ? RR_OK
                                           : error_set(err, ERR_FENCE_LOST, "the lock is lost");
}

/* Never: a write that waited for its server, done by a run whose lock is somebody else's by then.
 */
static void test_no_try_of_a_write_goes_out_without_the_guard(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "PATCH ", .reply = PEER_STATUS("503 Away")},
        {.expect = "GET ", .reply = PEER_STATUS("503 Away")},
        {.expect = "GET ", .reply = MAP_OK},
        {.expect = "PATCH ", .reply = MAP_OK},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct guard guard = {.allows = 1};
    struct client c;
    client_open(&c, peer);
    kube_set_write_guard(c.kube, guard_write, &guard);
    assert_int_equal(client_send(&c, KUBE_JSON_PATCH), ERR_FENCE_LOST);
    assert_int_equal(guard.calls, 2);
    assert_true(holds(c.err.text, "cannot patch configmaps 'm'\1the lock is lost"));
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    assert_int_equal(guard.calls, 2);
    assert_int_equal(client_send(&c, KUBE_UPDATE), ERR_FENCE_LOST);
    kube_set_write_guard(c.kube, NULL, NULL);
    assert_int_equal(client_send(&c, KUBE_JSON_PATCH), RR_OK);
    client_close(&c);
    peer_stop(peer);
}

struct stopper {
    struct client *client;
    unsigned calls;
};

static enum errc stop_at_the_fifth_try(void *context, struct error *err)
{
    (void)err;
    struct stopper *stopper = context;
    if (++stopper->calls == 5)
        cancel_request(&stopper->client->cancel);
    return RR_OK;
}

/* Never: killed in the middle of a wait, with nothing said. */
static void test_a_deaf_client_that_is_told_to_stop_does_not_wait_for_minutes(void **state)
{
    (void)state;
    static const struct peer_step script[] = {{.reply = PEER_STATUS("503 Away"), .times = 14}};
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    struct stopper stopper = {.client = &c};
    client_init(&c, peer);
    c.options.patience_ms = 600 * 1000;
    client_start(&c);
    kube_set_deaf(c.kube, true);
    kube_set_write_guard(c.kube, stop_at_the_fifth_try, &stopper);
    uint64_t begin_ms = clock_boottime_ms(&c.clock.base);
    assert_int_equal(client_send(&c, KUBE_JSON_PATCH), ERR_API);
    assert_in_range(clock_boottime_ms(&c.clock.base) - begin_ms, 4000, 40 * 1000);
    assert_in_range(stopper.calls, 5, 9);
    begin_ms = clock_boottime_ms(&c.clock.base);
    assert_int_equal(client_send(&c, KUBE_GET), ERR_API);
    assert_in_range(clock_boottime_ms(&c.clock.base) - begin_ms, 4000, 20 * 1000);
    client_close(&c);
    peer_stop(peer);
}

/* ---- tokens ---- */

/* A volume as the kubelet makes it: FOLDER/token -> ..data/token, ..data -> one of two folders. */
struct volume {
    char folder[64], token[128];
    unsigned version;
};

static void volume_put(struct volume *v, const char *text)
{
    char data[96], file[128], next[128], link[128];
    snprintf(data, sizeof data, "%s/v%u", v->folder, ++v->version);
    assert_int_equal(mkdir(data, 0700), 0);
    snprintf(file, sizeof file, "%s/token", data);
    FILE *f = fopen(file, "w");
    fputs(text, f);
    fclose(f);
    snprintf(next, sizeof next, "%s/..next", v->folder);
    snprintf(link, sizeof link, "%s/..data", v->folder);
    assert_int_equal(symlink(data, next), 0);
    assert_int_equal(rename(next, link), 0);
}

static void volume_init(struct volume *v, const char *text)
{
    *v = (struct volume){.folder = "/tmp/rr-volume-XXXXXX"};
    assert_non_null(mkdtemp(v->folder));
    volume_put(v, text);
    snprintf(v->token, sizeof v->token, "%s/token", v->folder);
    assert_int_equal(symlink("..data/token", v->token), 0);
}

static void volume_remove(struct volume *v)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", v->folder);
    assert_int_equal(system(command), 0);
}

static void replace_file(const char *path, const char *text)
{
    char next[160];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *f = fopen(next, "w");
    fputs(text, f);
    fclose(f);
    assert_int_equal(rename(next, path), 0);
}

#define BEARER(token) "Authorization: Bearer " token "\r\n"

static void test_a_token_is_read_again_after_50_seconds(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = BEARER("one"), .reply = MAP_OK},   {.expect = BEARER("one"), .reply = MAP_OK},
        {.expect = BEARER("two"), .reply = MAP_OK},   {.expect = BEARER("three"), .reply = MAP_OK},
        {.expect = BEARER("three"), .reply = MAP_OK}, {.expect = BEARER("three"), .reply = MAP_OK},
        {.expect = BEARER("four"), .reply = MAP_OK},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct volume v;
    struct client c;
    volume_init(&v, "one\n");
    client_init(&c, peer);
    secret_set(&c.config.token, "not-this", 8);
    c.config.token_file = v.token;
    client_start(&c);
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    volume_put(&v, " two \r\n"); /* by symbolic link, as the kubelet does */
    c.clock.slept_ms += 45 * 1000;
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    c.clock.slept_ms += 6 * 1000;
    assert_int_equal(client_send(&c, KUBE_JSON_PATCH), RR_OK);
    replace_file(v.token, "three"); /* by renaming */
    c.clock.slept_ms += 51 * 1000;
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    replace_file(v.token, ""); /* caught while it is written: the old one counts */
    c.clock.slept_ms += 51 * 1000;
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    unlink(v.token);
    c.clock.slept_ms += 51 * 1000;
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    replace_file(v.token, "four"); /* and is looked for at once */
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    client_close(&c);
    secret_release(&c.config.token);
    volume_remove(&v);
    peer_stop(peer);
}

static void test_a_token_is_renewed_during_a_long_wait(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = BEARER("one"), .reply = PEER_STATUS("503 Away"), .times = 10},
        {.expect = BEARER("two"), .reply = PEER_STATUS("503 Away")},
        {.expect = BEARER("two"), .reply = MAP_OK},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct volume v;
    struct client c;
    volume_init(&v, "one");
    client_init(&c, peer);
    c.config.token_file = v.token;
    client_start(&c);
    volume_put(&v, "two");
    kube_set_patience(c.kube, 120 * 1000);
    if (client_send(&c, KUBE_GET))
        fail_msg("%s", c.err.text);
    client_close(&c);
    volume_remove(&v);
    peer_stop(peer);
}

static void test_after_401_the_token_is_read_again(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum kube_verb verb;
        const char *second_token;
        struct peer_step script[2];
        size_t count;
        enum errc code;
    } rows[] = {
        {"a new token",
         KUBE_GET,
         "two",
         {{.expect = BEARER("one"), .reply = UNAUTHORIZED},
          {.expect = BEARER("two"), .reply = MAP_OK}},
         2,
         RR_OK},
        {"a write as well",
         KUBE_JSON_PATCH,
         "two",
         {{.expect = "PATCH \1" BEARER("one"), .reply = UNAUTHORIZED},
          {.expect = "PATCH \1" BEARER("two"), .reply = MAP_OK}},
         2,
         RR_OK},
        {"the same token",
         KUBE_GET,
         "one",
         {{.expect = BEARER("one"), .reply = UNAUTHORIZED, .times = 2}},
         1,
         ERR_UNAUTHENTICATED},
        {"twice",
         KUBE_UPDATE,
         "two",
         {{.expect = BEARER("one"), .reply = UNAUTHORIZED},
          {.expect = BEARER("two"), .reply = UNAUTHORIZED}},
         2,
         ERR_UNAUTHENTICATED},
        {"lost at the second time",
         KUBE_UPDATE,
         "two",
         {{.expect = BEARER("one"), .reply = UNAUTHORIZED},
          {.expect = BEARER("two"), .then = PEER_RESET}},
         2,
         ERR_ANSWER_LOST},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer *peer = peer_start(rows[i].script, rows[i].count, PEER_PLAIN);
        struct volume v;
        struct client c;
        volume_init(&v, "one");
        client_init(&c, peer);
        c.config.token_file = v.token;
        client_start(&c);
        volume_put(&v, rows[i].second_token);
        enum errc code = client_send(&c, rows[i].verb);
        if (code != rows[i].code)
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), c.err.text);
        if (code == ERR_UNAUTHENTICATED)
            assert_true(holds(c.err.hint, "is the token in '/tmp/rr-volume-\1dies with its pod"));
        client_close(&c);
        volume_remove(&v);
        peer_stop(peer);
    }
}

static void test_a_token_that_cannot_change_is_not_tried_again(void **state)
{
    (void)state;
    static const struct peer_step step = {.expect = BEARER("fixed"), .reply = UNAUTHORIZED};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct client c;
    client_init(&c, peer);
    secret_set(&c.config.token, "fixed", 5);
    client_start(&c);
    assert_int_equal(client_send(&c, KUBE_GET), ERR_UNAUTHENTICATED);
    assert_true(holds(c.err.hint, "has the token of the test's own expired?"));
    assert_null(strstr(c.err.text, "fixed"));
    client_close(&c);
    secret_release(&c.config.token);
    peer_stop(peer);
}

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    struct volume v;
    volume_init(&v, "one");
    static const struct {
        const char *name, *token, *certificate_file, *certificate;
        enum errc code;
        const char *text;
    } rows[] = {
        {"no token file", NULL, NULL, NULL, ERR_IO, "the test's own: token file '"},
        {"empty token", " \n", NULL, NULL, ERR_CONFIG, "holds no token"},
        {"two lines", "s3cret\ns3cret\n", NULL, NULL, ERR_CONFIG, "holds no token"},
        {"control character", "s3cret\x01", NULL, NULL, ERR_CONFIG, "holds no token"},
        {"no certificate file", "t", "/nonexistent/c", NULL, ERR_IO, "client certificate '/none"},
        {"broken certificate", "t", NULL, "s3cret", ERR_TLS, "client certificate"},
    };
    struct peer *peer = peer_start(NULL, 0, PEER_PLAIN);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client c;
        client_init(&c, peer);
        c.config.token_file = v.token;
        c.config.client_certificate_file = rows[i].certificate_file;
        c.config.client_certificate_pem = rows[i].certificate;
        unlink(v.token);
        if (rows[i].token)
            replace_file(v.token, rows[i].token);
        enum errc code = kube_open(&c.options, &c.kube, &c.err);
        if (code != rows[i].code || !holds(c.err.text, rows[i].text) ||
            strstr(c.err.text, "s3cret"))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), c.err.text);
    }
    volume_remove(&v);
    peer_stop(peer);
}

/* ---- no way, no trust ---- */

static void test_no_way_to_the_server(void **state)
{
    (void)state;
    static const struct {
        const char *name, *server, *text, *hint;
    } rows[] = {
        {"refused", "https://127.0.0.1:1",
         "cannot get configmaps 'm' in namespace 'shop': API server https://127.0.0.1:1 (the "
         "test's "
         "own): cannot connect to '127.0.0.1:1'",
         "running"},
        {"unknown host", "https://no-such-host.invalid:6443",
         "https://no-such-host.invalid:6443 (the test's own): the name of "
         "'no-such-host.invalid:6443' cannot be resolved",
         "DNS"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer *peer = peer_start(NULL, 0, PEER_PLAIN);
        struct client c;
        client_init(&c, peer);
        c.config.server = rows[i].server;
        client_start(&c);
        enum errc code = send_once(&c, KUBE_GET);
        if (code != ERR_API || !holds(c.err.text, rows[i].text) || !holds(c.err.hint, rows[i].hint))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), c.err.text,
                     c.err.hint);
        kube_answer_release(&c.answer);
        error_clear(&c.err);
        assert_int_equal(send_once(&c, KUBE_UPDATE), ERR_API); /* it never went out */
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_no_trust_in_the_server(void **state)
{
    (void)state;
    enum authority { RIGHT_FILE, WRONG_FILE, WRONG_PEM, NONE };
    static const struct {
        const char *name;
        enum peer_tls tls;
        enum authority authority;
        const char *tls_name;
        enum errc code;
        const char *hint;
    } rows[] = {
        {"right", PEER_TLS, RIGHT_FILE, NULL, RR_OK, NULL},
        {"right, with another name", PEER_TLS_WRONG_NAME, RIGHT_FILE, "elsewhere.example", RR_OK,
         NULL},
        {"another CA in a file", PEER_TLS, WRONG_FILE, NULL, ERR_TLS,
         "checked against the CA file '/tmp/rr-peer-ca-\1of the test's own\1authority of this "
         "cluster"},
        {"another CA as data", PEER_TLS, WRONG_PEM, NULL, ERR_TLS,
         "the certificate-authority-data of the test's own"},
        {"no CA", PEER_TLS, NONE, NULL, ERR_TLS,
         "this machine's authorities, since the test's own names none"},
        {"expired", PEER_TLS_EXPIRED, RIGHT_FILE, NULL, ERR_TLS, "this machine's clock"},
        {"wrong name", PEER_TLS_WRONG_NAME, RIGHT_FILE, NULL, ERR_TLS,
         "not for 'https://127.0.0.1:\1tls-server-name (the test's own)"},
        {"wrong TLS name", PEER_TLS, RIGHT_FILE, "nowhere.example", ERR_TLS,
         "not for 'nowhere.example'"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {.expect = "GET /api/v1/", .reply = MAP_OK};
        struct peer *peer = peer_start(&step, rows[i].code == RR_OK, rows[i].tls);
        struct peer *other = peer_start(NULL, 0, PEER_TLS);
        struct client c;
        char server[128], pem[4096] = "";
        client_init(&c, peer);
        snprintf(server, sizeof server, "https://%s", peer_host(peer));
        c.config.server = server;
        c.config.tls_server_name = rows[i].tls_name;
        if (rows[i].authority == RIGHT_FILE)
            c.config.ca_file = peer_ca_file(peer);
        if (rows[i].authority == WRONG_FILE)
            c.config.ca_file = peer_ca_file(other);
        if (rows[i].authority == WRONG_PEM) {
            FILE *f = fopen(peer_ca_file(other), "r");
            assert_true(fread(pem, 1, sizeof pem - 1, f) > 0);
            fclose(f);
            c.config.ca_pem = pem;
        }
        client_start(&c);
        enum errc code = send_once(&c, KUBE_GET);
        if (code != rows[i].code || !holds(c.err.hint, rows[i].hint) ||
            (code && !holds(c.err.text, "API server https://127.0.0.1:\1(the test's own)")))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), c.err.text,
                     c.err.hint);
        client_close(&c);
        peer_stop(other);
        peer_stop(peer);
    }
}

static void test_a_client_certificate_in_a_file_is_renewed(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = MAP_OK, .then = PEER_CLOSE},
        {.reply = MAP_OK, .on_new_connection = true},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_TLS_CLIENT);
    struct volume v;
    struct client c;
    char key[128];
    volume_init(&v, "");
    snprintf(key, sizeof key, "%s/key", v.folder);
    client_init(&c, peer);
    c.config.ca_file = peer_ca_file(peer);
    c.config.client_certificate_file = v.token;
    c.config.client_key_file = key;
    replace_file(v.token, peer_client_certificate(peer));
    replace_file(key, peer_client_key(peer));
    client_start(&c);
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    struct peer *other = peer_start(NULL, 0, PEER_TLS_CLIENT);
    replace_file(v.token, peer_client_certificate(other)); /* with the old key: not usable */
    c.clock.slept_ms += 301 * 1000;
    assert_int_equal(client_send(&c, KUBE_GET), RR_OK);
    replace_file(key, peer_client_key(other)); /* usable now; that this peer does not know it shows
                                                * that it was read */
    c.clock.slept_ms += 301 * 1000;
    assert_int_equal(send_once(&c, KUBE_GET), ERR_API);
    client_close(&c);
    volume_remove(&v);
    peer_stop(other);
    peer_stop(peer);
}

/* ---- lists ---- */

struct names {
    struct str text;
    size_t stop_at; /* an error at the item of this number, from 1; 0: none */
    size_t count;
};

static enum errc take_name(void *context, const struct json *item, struct error *err)
{
    struct names *names = context;
    if (++names->count == names->stop_at)
        return error_set(err, ERR_STEP, "enough");
    str_printf(&names->text, "%s,", kube_meta(item, "name"));
    return RR_OK;
}

#define ITEM(name) "{\"metadata\":{\"name\":\"" name "\"}}"
#define PAGE(next, items)                                                                          \
    "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"continue\":\"" next         \
    "\"},\"items\":[" items "]}"

static void test_lists(void **state)
{
    (void)state;
#define FIRST "GET " MAPS "?limit=500&labelSelector=app%3Dshop%2Ctier%20in%20%28a%29 HTTP"
#define NEXT(token) "&continue=" token " HTTP"
    static const char too_long[] = "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n";
    static const struct {
        const char *name;
        struct {
            const char *expect, *status, *body;
        } pages[5];
        enum errc code;
        const char *names, *text;
        size_t stop_at;
    } rows[] = {
        {"three pages",
         {{FIRST, "200 OK", PAGE("a+/=1", ITEM("a") "," ITEM("b"))},
          {NEXT("a%2B%2F%3D1"), "200 OK", PAGE("2", ITEM("c"))},
          {NEXT("2"), "200 OK", PAGE("", ITEM("d"))}},
         RR_OK,
         "a,b,c,d,",
         NULL,
         0},
        {"nothing", {{FIRST, "200 OK", PAGE("", "")}}, RR_OK, "", NULL, 0},
        {"no metadata", {{FIRST, "200 OK", "{\"items\":[" ITEM("a") "]}"}}, RR_OK, "a,", NULL, 0},
        {"an empty page in between",
         {{FIRST, "200 OK", PAGE("1", "")}, {NEXT("1"), "200 OK", PAGE("", ITEM("a"))}},
         RR_OK,
         "a,",
         NULL,
         0},
        {"410 in the second page",
         {{FIRST, "200 OK", PAGE("1", ITEM("a"))},
          {NEXT("1"), "410 Gone", STATUS(410, "The provided continue parameter is too old")}},
         ERR_EXPIRED,
         "a,",
         "cannot list configmaps in namespace 'shop'\1too old",
         0},
        {"taken enough",
         {{FIRST, "200 OK", PAGE("1", ITEM("a") "," ITEM("b"))}},
         ERR_STEP,
         "a,",
         "enough",
         2},
        {"forbidden",
         {{FIRST, "403 Forbidden", CANNOT("list")}},
         ERR_FORBIDDEN,
         "",
         "cannot list configmaps in namespace 'shop'",
         0},
        {"an object instead", {{FIRST, "200 OK", MAP}}, ERR_API, "", "is no list", 0},
        {"items of a wrong type",
         {{FIRST, "200 OK", "{\"items\":{}}"}},
         ERR_API,
         "",
         "is no list",
         0},
        {"an item of a wrong type",
         {{FIRST, "200 OK", PAGE("", "1")}},
         ERR_API,
         "",
         "no object",
         0},
        {"HTML", {{FIRST, "200 OK", HTML}}, ERR_API, "", "is not JSON", 0},
        {"a page that is too long",
         {{FIRST, NULL, too_long},
          {"?limit=100&labelSelector", NULL, too_long},
          {"?limit=20&labelSelector", "200 OK", PAGE("1", ITEM("a"))},
          {"?limit=20&", "200 OK", PAGE("", ITEM("b"))}},
         RR_OK,
         "a,b,",
         NULL,
         0},
        {"items that are too long",
         {{FIRST, NULL, too_long},
          {"?limit=100&", NULL, too_long},
          {"?limit=20&", NULL, too_long},
          {"?limit=4&", NULL, too_long},
          {"?limit=1&", NULL, too_long}},
         ERR_API,
         "",
         "has 9000000 bytes",
         0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        static char replies[5][2048];
        struct peer_step script[5] = {0};
        size_t count = 0;
        for (; count < 5 && rows[i].pages[count].expect; count++) {
            const char *status = rows[i].pages[count].status, *body = rows[i].pages[count].body;
            if (status)
                render_reply(replies[count], sizeof replies[count], status, "", body);
            script[count] = (struct peer_step){.expect = rows[i].pages[count].expect,
                                               .reply = status ? replies[count] : body,
                                               .then = status ? PEER_KEEP : PEER_CLOSE};
        }
        struct peer *peer = peer_start(script, count, PEER_PLAIN);
        struct client c;
        struct names names = {.text = STR_INIT(1000), .stop_at = rows[i].stop_at};
        client_open(&c, peer);
        enum errc code =
            kube_list(c.kube, &configmaps, "app=shop,tier in (a)", take_name, &names, &c.err);
        if (code != rows[i].code || !holds(c.err.text, rows[i].text) ||
            strcmp(str_text(&names.text), rows[i].names) != 0)
            fail_msg("%s: %s '%s', names '%s'", rows[i].name, errc_name(code), c.err.text,
                     str_text(&names.text));
        str_release(&names.text);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_the_hint_for_a_list_names_no_object(void **state)
{
    (void)state;
    static const struct peer_step step = {
        .expect = "GET " MAPS "?limit=500 HTTP",
        .reply = PEER_ANSWER("403 Forbidden", "", 17, "{\"kind\":\"Status\"}")};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct client c;
    struct names names = {.text = STR_INIT(100)};
    client_open(&c, peer);
    assert_int_equal(kube_list(c.kube, &configmaps, NULL, take_name, &names, &c.err),
                     ERR_FORBIDDEN);
    assert_string_equal(c.err.hint,
                        "add to the rules of the Role: - {apiGroups: [\"\"], resources: "
                        "[configmaps], verbs: [list]}");
    client_close(&c);
    peer_stop(peer);
}

/* ---- small things ---- */

static struct json_document *parse(const char *text)
{
    struct json_document *document = NULL;
    struct error err = ERROR_INIT;
    if (json_parse(text, strlen(text), "test", &document, &err))
        fail_msg("%s", err.text);
    return document;
}

static void test_metadata(void **state)
{
    (void)state;
    JSON_GUARD struct json_document *document =
        parse("{\"metadata\":{\"name\":\"m\",\"uid\":1,\"annotations\":{\"a/b\":\"c\",\"d\":2},"
              "\"labels\":{\"e\":\"f\"}}}");
    const struct json *object = json_root(document);
    assert_string_equal(kube_meta(object, "name"), "m");
    assert_null(kube_meta(object, "uid"));
    assert_null(kube_meta(object, "namespace"));
    assert_string_equal(kube_annotation(object, "a/b"), "c");
    assert_null(kube_annotation(object, "d"));
    assert_null(kube_annotation(object, "e"));
    assert_string_equal(kube_label(object, "e"), "f");
    assert_null(kube_label(object, "a/b"));
    assert_null(kube_meta(NULL, "name"));
    JSON_GUARD struct json_document *odd =
        parse("{\"metadata\":{\"labels\":[1],\"annotations\":2}}");
    assert_null(kube_label(json_root(odd), "e"));
    assert_null(kube_annotation(json_root(odd), "e"));
    JSON_GUARD struct json_document *list = parse("[1]");
    assert_null(kube_meta(json_root(list), "name"));
}

static void test_field_managers(void **state)
{
    (void)state;
#define ENTRY(manager, operation, time, fields)                                                    \
    "{\"manager\":\"" manager "\",\"operation\":\"" operation "\",\"apiVersion\":\"v1\","          \
    "\"time\":\"" time "\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":" fields "}"
#define KEY "{\"f:data\":{\".\":{},\"f:key\":{}}}"
    static const struct {
        const char *name, *entries, *manager;
    } rows[] = {
        {"one", ENTRY("kubectl", "Update", "2026-01-01T00:00:00Z", KEY), "kubectl"},
        {"newest first",
         ENTRY("new", "Apply", "2026-01-02T00:00:00Z", KEY) "," ENTRY("old", "Update",
                                                                      "2026-01-01T00:00:00Z", KEY),
         "new"},
        {"newest last",
         ENTRY("old", "Apply", "2025-12-31T23:59:59Z", KEY) "," ENTRY("new", "Update",
                                                                      "2026-01-01T00:00:00Z", KEY),
         "new"},
        {"no time is oldest",
         "{\"manager\":\"none\",\"fieldsV1\":" KEY
         "}," ENTRY("some", "Update", "2026-01-01T00:00:00Z", KEY),
         "some"},
        {"no time alone", "{\"manager\":\"none\",\"fieldsV1\":" KEY "}", "none"},
        {"another key",
         ENTRY("x", "Update", "2026-01-01T00:00:00Z", "{\"f:data\":{\"f:keys\":{}}}"), NULL},
        {"another place",
         ENTRY("x", "Update", "2026-01-01T00:00:00Z", "{\"f:binaryData\":{\"f:key\":{}}}"), NULL},
        {"the map alone", ENTRY("x", "Update", "2026-01-01T00:00:00Z", "{\"f:data\":{}}"), NULL},
        {"no manager", "{\"time\":\"2026-01-01T00:00:00Z\",\"fieldsV1\":" KEY "}", NULL},
        {"odd things", "1,null,{},[],{\"manager\":\"x\"},{\"manager\":\"x\",\"fieldsV1\":1}", NULL},
        {"nobody", "", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        char text[4096];
        snprintf(text, sizeof text, "{\"metadata\":{\"managedFields\":[%s]}}", rows[i].entries);
        JSON_GUARD struct json_document *document = parse(text);
        const char *path[] = {"data", "key", NULL};
        const char *manager = kube_field_manager(&arena, json_root(document), path);
        if (!text_equal(manager, rows[i].manager))
            fail_msg("%s: %s", rows[i].name, manager ? manager : "nobody");
    }
    ARENA_GUARD struct arena arena = {0};
    JSON_GUARD struct json_document *document =
        parse("{\"metadata\":{\"managedFields\":{\"a\":1}}}");
    const char *path[] = {"data", NULL};
    assert_null(kube_field_manager(&arena, json_root(document), path));
}

static void test_pointers_and_times(void **state)
{
    (void)state;
    STR_GUARD struct str s = STR_INIT(100);
    kube_pointer_append(&s, "metadata");
    kube_pointer_append(&s, "a/b~c~1");
    kube_pointer_append(&s, "");
    assert_string_equal(str_text(&s), "/metadata/a~1b~0c~01/");
    struct quick_clock clock;
    char text[KUBE_MICRO_TIME_SIZE];
    quick_clock_init(&clock);
    clock.wall_s = 784111777;
    kube_micro_time(&clock.base, text);
    assert_string_equal(text, "1994-11-06T08:49:37.000000Z");
    clock.wall_s = 4102444799;
    kube_micro_time(&clock.base, text);
    assert_string_equal(text, "2099-12-31T23:59:59.000000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_a_name_is_never_more_than_a_name),
        cmocka_unit_test(test_what_an_answer_means),
        cmocka_unit_test(test_a_long_message_is_shown_from_both_ends),
        cmocka_unit_test(test_rules_of_other_kinds),
        cmocka_unit_test(test_long_and_deep_answers),
        cmocka_unit_test(test_a_write_whose_answer_is_too_long_is_a_lost_answer),
        cmocka_unit_test(test_lost_answers),
        cmocka_unit_test(test_a_question_in_the_form_of_a_write_is_asked_twice),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_a_server_that_is_away_for_two_minutes),
        cmocka_unit_test(test_a_server_that_has_just_come_back_is_asked_again),
        cmocka_unit_test(test_a_cancel_ends_a_silent_call),
        cmocka_unit_test(test_a_deaf_client_is_not_interrupted),
        cmocka_unit_test(test_no_try_of_a_write_goes_out_without_the_guard),
        cmocka_unit_test(test_a_deaf_client_that_is_told_to_stop_does_not_wait_for_minutes),
        cmocka_unit_test(test_a_token_is_read_again_after_50_seconds),
        cmocka_unit_test(test_a_token_is_renewed_during_a_long_wait),
        cmocka_unit_test(test_after_401_the_token_is_read_again),
        cmocka_unit_test(test_a_token_that_cannot_change_is_not_tried_again),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_no_way_to_the_server),
        cmocka_unit_test(test_no_trust_in_the_server),
        cmocka_unit_test(test_a_client_certificate_in_a_file_is_renewed),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_the_hint_for_a_list_names_no_object),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_field_managers),
        cmocka_unit_test(test_pointers_and_times),
    };
    static const char *const names[] = {"http_proxy", "https_proxy",   "all_proxy",   "HTTPS_PROXY",
                                        "ALL_PROXY",  "SSL_CERT_FILE", "SSL_CERT_DIR"};
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    return cmocka_run_group_tests_name("kube/kube", tests, NULL, NULL);
}
