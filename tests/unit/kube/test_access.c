#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/kube/access.h"
#include "tests/unit/kube/client.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct kube_resource deployments = {"apps", "v1", "deployments", false};
static const struct kube_resource nodes = {"", "v1", "nodes", true};

static void test_questions_and_answers(void **state)
{
    (void)state;
#define QUESTION(attributes)                                                                       \
    "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews?\1"                               \
    "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectAccessReview\",\"spec\":{"  \
    "\"resourceAttributes\":{" attributes "}}}"
#define ANSWER(status)                                                                             \
    "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectAccessReview\","            \
    "\"metadata\":{},\"spec\":{},\"status\":" status "}"
    static const struct {
        const char *name;
        struct access access;
        const char *expect, *status, *answer;
        enum errc code;
        bool is_allowed;
        const char *text;
    } rows[] = {
        {"allowed",
         {&deployments, "patch", "web"},
         QUESTION("\"verb\":\"patch\",\"group\":\"apps\",\"resource\":\"deployments\","
                  "\"namespace\":\"shop\",\"name\":\"web\""),
         "201 Created",
         ANSWER("{\"allowed\":true}"),
         RR_OK,
         true,
         NULL},
        {"not allowed, on all of them",
         {&configmaps, "list", NULL},
         QUESTION("\"verb\":\"list\",\"group\":\"\",\"resource\":\"configmaps\","
                  "\"namespace\":\"shop\""),
         "201 Created",
         ANSWER("{\"allowed\":false,\"reason\":\"no\"}"),
         RR_OK,
         false,
         NULL},
        {"cluster-wide",
         {&nodes, "get", NULL},
         QUESTION("\"verb\":\"get\",\"group\":\"\",\"resource\":\"nodes\""),
         "201 Created",
         ANSWER("{\"allowed\":false,\"denied\":true}"),
         RR_OK,
         false,
         NULL},
        {"a name with a quote",
         {&configmaps, "get", "a\"b"},
         QUESTION("\"verb\":\"get\",\"group\":\"\",\"resource\":\"configmaps\","
                  "\"namespace\":\"shop\",\"name\":\"a\\\"b\""),
         "200 OK",
         ANSWER("{\"allowed\":true}"),
         RR_OK,
         true,
         NULL},
        {"no status",
         {&configmaps, "get", "m"},
         NULL,
         "201 Created",
         ANSWER("{}"),
         ERR_API,
         false,
         "does not say whether we may get configmaps"},
        {"a word",
         {&configmaps, "get", "m"},
         NULL,
         "201 Created",
         ANSWER("{\"allowed\":\"true\"}"),
         ERR_API,
         false,
         "does not say"},
        {"another object",
         {&configmaps, "get", "m"},
         NULL,
         "201 Created",
         "{\"apiVersion\":\"v1\",\"metadata\":{},\"status\":{\"allowed\":true}}",
         ERR_API,
         false,
         "another API group"},
        {"nobody may ask",
         {&configmaps, "get", "m"},
         NULL,
         "403 Forbidden",
         "{\"kind\":\"Status\"}",
         ERR_FORBIDDEN,
         false,
         "selfsubjectaccessreviews"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char reply[2048];
        snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                 rows[i].status, strlen(rows[i].answer), rows[i].answer);
        const struct peer_step step = {.expect = rows[i].expect, .reply = reply};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        bool is_allowed = !rows[i].is_allowed;
        client_open(&c, peer);
        enum errc code = access_check(c.kube, &rows[i].access, &is_allowed, &c.err);
        if (code != rows[i].code || !holds(c.err.text, rows[i].text) ||
            (code == RR_OK && is_allowed != rows[i].is_allowed))
            fail_msg("%s: %s '%s', allowed %d", rows[i].name, errc_name(code), c.err.text,
                     is_allowed);
        client_close(&c);
        peer_stop(peer);
    }
}

static void test_a_lost_answer_is_asked_for_again(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "POST ", .then = PEER_RESET},
        {.expect = "POST ",
         .reply = "HTTP/1.1 201 Created\r\n\r\n" ANSWER("{\"allowed\":true}"),
         .then = PEER_CLOSE},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct client c;
    const struct access access = {&configmaps, "get", "m"};
    bool is_allowed = false;
    client_open(&c, peer);
    assert_int_equal(access_check(c.kube, &access, &is_allowed, &c.err), RR_OK);
    assert_true(is_allowed);
    client_close(&c);
    peer_stop(peer);
}

static void test_rules(void **state)
{
    (void)state;
    static const struct {
        const struct kube_resource *resource;
        const char *verb, *name, *rule;
    } rows[] = {
        {&configmaps, "get", "m",
         "- {apiGroups: [\"\"], resources: [configmaps], resourceNames: [\"m\"], verbs: [get]}"},
        {&deployments, "list", NULL,
         "- {apiGroups: [apps], resources: [deployments], verbs: [list]}"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        STR_GUARD struct str rule = STR_INIT(1000);
        access_render_rule(&rule, rows[i].resource, rows[i].verb, rows[i].name);
        assert_string_equal(str_text(&rule), rows[i].rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions_and_answers),
        cmocka_unit_test(test_a_lost_answer_is_asked_for_again),
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests_name("kube/access", tests, NULL, NULL);
}
