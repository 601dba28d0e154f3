#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/cancel.h"
#include "lib/base/limits.h"
#include "lib/kube/kube.h"
#include "tests/unit/kube/client.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- what an answer means ---- */

#define MAP "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\"}}"
#define STATUS(code, message)                                                                      \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message     \
    "\",\"code\":" #code "}"
#define FORBIDDEN(verb)                                                                            \
    STATUS(403, "configmaps \\\"m\\\" is forbidden: User \\\"system:serviceaccount:shop:rr\\\" "   \
                "cannot " verb " resource \\\"configmaps\\\" in API group \\\"\\\" in the "        \
                "namespace \\\"shop\\\"")

static void test_what_an_answer_means(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum kube_verb verb;
        const char *status, *headers, *body;
        enum errc code;
        const char *text, *hint; /* separated by '\1' */
    } rows[] = {
        {"200", KUBE_GET, "200 OK", "", MAP, RR_OK, NULL, NULL},
        {"201", KUBE_APPLY, "201 Created", "", MAP, RR_OK, NULL, NULL},
        {"not there", KUBE_GET, "404 Not Found", "Audit-Id: 1-2\r\n",
         STATUS(404, "no such \\\"m\\\""), ERR_NOT_FOUND,
         "cannot get configmaps 'm' in namespace 'shop': the API server answered 404: 'no such "
         "\"m\"', audit id '1-2'",
         ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char reply[4096];
        snprintf(reply, sizeof reply, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s",
                 rows[i].status, rows[i].headers, strlen(rows[i].body), rows[i].body);
        const struct peer_step step = {.reply = reply};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct client c;
        client_open(&c, peer);
        enum errc code = client_send(&c, rows[i].verb);
        if (code != rows[i].code || !holds(c.err.text, rows[i].text) ||
            !holds(c.err.hint, rows[i].hint))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), c.err.text,
                     c.err.hint);
        client_close(&c);
        peer_stop(peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_an_answer_means),
    };
    return cmocka_run_group_tests_name("kube/kube", tests, NULL, NULL);
}
