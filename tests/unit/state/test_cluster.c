#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/cancel.h"
#include "lib/base/str.h"
#include "lib/state/cluster.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define CONFIGMAPS "/api/v1/namespaces/shop/configmaps/"
#define LEASE_PATH "/apis/coordination.k8s.io/v1/namespaces/shop/leases/restore-reconciler-s"
#define STATE(more, data)                                                                          \
    "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"s\",\"uid\":\"u\","    \
    "\"resourceVersion\":\"1\"" more "},\"data\":" data "}"
#define JOURNAL(uid, version, data)                                                                \
    "{\"metadata\":{\"name\":\"s-journal\",\"uid\":\"" uid "\",\"resourceVersion\":\"" version     \
    "\",\"labels\":{\"app.kubernetes.io/managed-by\":\"restore-reconciler\"}},\"data\":" data "}"
#define LEASE(holder)                                                                              \
    "{\"metadata\":{\"name\":\"restore-reconciler-s\",\"uid\":\"l\",\"resourceVersion\":\"5\"},"   \
    "\"spec\":{\"holderIdentity\":\"" holder "\"}}"

/* A store in namespace "shop" of a scripted API server. */
struct stage {
    struct peer *peer;
    struct store *store;
    struct cancel cancel;
    struct arena arena;
    struct error err;
    struct peer_step script[16];
    size_t count;
    char kubeconfig[64];
};

static void stage_init(struct stage *s)
{
    *s = (struct stage){0};
}

static void expect(struct stage *s, const char *request, const char *status, const char *body)
{
    s->script[s->count++] = (struct peer_step){
        .expect = request,
        .reply = status ? arena_printf(&s->arena, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                                       status, strlen(body), body)
                        : NULL,
        .then = status ? PEER_KEEP : PEER_RESET,
    };
}

static void refuse(struct stage *s, const char *request, const char *status)
{
    expect(
        s, request, status,
        arena_printf(&s->arena,
                     "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"no\",\"code\":%.3s}",
                     status));
}

static void stage_open(struct stage *s)
{
    s->peer = peer_start(s->script, s->count, PEER_TLS);
    strcpy(s->kubeconfig, "/tmp/rr-test-kubeconfig-XXXXXX");
    FILE *file = fdopen(mkstemp(s->kubeconfig), "w");
    fprintf(file,
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
            "clusters: [{name: k, cluster: {server: '%s', certificate-authority: '%s'}}]\nusers: "
            "[{name: u, user: {token: t}}]\n"
            "contexts: [{name: c, context: {cluster: k, user: u, namespace: shop}}]\n",
            peer_url(s->peer), peer_ca_file(s->peer));
    fclose(file);
    struct cluster_options options = {
        .kubeconfig = {.path = s->kubeconfig}, .name = "s", .cancel = &s->cancel};
    if (cluster_open(&options, &s->store, &s->err))
        fail_msg("%s: %s", s->err.text, s->err.hint);
}

static void stage_close(struct stage *s)
{
    store_close(s->store);
    peer_stop(s->peer);
    unlink(s->kubeconfig);
    arena_release(&s->arena);
}

/* ---- the user's ConfigMap ---- */

static void test_the_state_is_read(void **state)
{
    (void)state;
    struct stage s;
    struct state_view view;
    stage_init(&s);
    expect(&s, "GET " CONFIGMAPS "s HTTP/1.1", "200 OK",
           STATE(",\"managedFields\":[{\"manager\":\"argocd\",\"fieldsV1\":{\"f:data\":{"
                 "\"f:lastAppliedTimestamp\":{}}}}]",
                 "{\"desiredBackupTimestamp\":\"D\",\"lastAppliedTimestamp\":\"L\","
                 "\"restoreRequest\":\"R\",\"restore.yaml\":\"database: app\\n\",\"notes\":\"\"}"));
    stage_open(&s);
    assert_int_equal(store_read(s.store, &s.arena, &view, &s.err), RR_OK);
    assert_string_equal(view.desired, "D");
    assert_string_equal(view.applied, "L");
    assert_string_equal(view.request, "R");
    assert_string_equal(view.spec_text, "database: app\n");
    assert_string_equal(view.spec_name, "ConfigMap shop/s: restore.yaml");
    assert_string_equal(view.applied_manager, "argocd");
    assert_null(view.take_over);
    assert_string_equal(s.store->place, "ConfigMap shop/s");
    assert_int_equal(s.store->silent_holder_s, 60);
    assert_non_null(s.store->kube);
    assert_true(text_has_prefix(s.store->ref, "cluster-"));
    assert_int_equal(strlen(s.store->ref), strlen("cluster-") + 24);
    stage_close(&s);
}

static void test_states_that_cannot_be_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *status, *body;
        enum errc code;
        const char *text, *hint;
    } rows[] = {
        {"missing", "404 Not Found", NULL, ERR_STATE_MISSING,
         "ConfigMap shop/s does not exist (kubeconfig", "kubectl -n shop apply -f s.yaml"},
        {"being deleted", "200 OK",
         STATE(",\"deletionTimestamp\":\"2024-01-01T00:00:00Z\"", "{\"desiredBackupTimestamp\":"
                                                                  "\"D\"}"),
         ERR_STATE_MISSING, "is being deleted", "kubectl"},
        {"immutable", "200 OK",
         "{\"metadata\":{\"name\":\"s\",\"uid\":\"u\",\"resourceVersion\":\"1\"},"
         "\"immutable\":true}",
         ERR_CONFIG, "is immutable", "make it anew"},
        {"misspelled", "200 OK", STATE("", "{\"desiredBackupTimestmap\":\"D\"}"), ERR_CONFIG,
         "did you mean 'desiredBackupTimestamp'", ""},
        {"forbidden", "403 Forbidden", NULL, ERR_FORBIDDEN, "cannot get configmaps", ""},
        {"not JSON", "200 OK", "<html>", ERR_API, "not JSON", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        struct state_view view;
        stage_init(&s);
        if (rows[i].body)
            expect(&s, NULL, rows[i].status, rows[i].body);
        else
            refuse(&s, NULL, rows[i].status);
        stage_open(&s);
        if (store_read(s.store, &s.arena, &view, &s.err) != rows[i].code ||
            !strstr(s.err.text, rows[i].text) || !strstr(s.err.hint, rows[i].hint))
            fail_msg("%s: %s %s; hint: %s", rows[i].name, errc_name(s.err.code), s.err.text,
                     s.err.hint);
        stage_close(&s);
    }
}

static void test_publishing_is_compare_and_swap_on_what_was_read(void **state)
{
    (void)state;
    struct stage s;
    struct state_view view;
    stage_init(&s);
    expect(&s, "GET " CONFIGMAPS "s HTTP/1.1", "200 OK",
           STATE("", "{\"lastAppliedTimestamp\":\"L\"}"));
    expect(&s, "PATCH " CONFIGMAPS "s?\1\"value\":\"u\"\1\"value\":\"L\"\1\"value\":\"N\"",
           "200 OK", STATE("", "{\"lastAppliedTimestamp\":\"N\"}"));
    expect(&s, "GET " CONFIGMAPS "s HTTP/1.1", "200 OK",
           STATE("", "{\"lastAppliedTimestamp\":\"X\"}"));
    stage_open(&s);
    assert_int_equal(store_read(s.store, &s.arena, &view, &s.err), RR_OK);
    assert_int_equal(store_publish(s.store, "other", "N", &s.err), ERR_CONFLICT);
    error_clear(&s.err);
    assert_int_equal(store_publish(s.store, "L", "N", &s.err), RR_OK);
    /* What was read is old now: asked anew. */
    assert_int_equal(store_publish(s.store, "N", "M", &s.err), ERR_CONFLICT);
    stage_close(&s);
}

/* ---- the journal ---- */

static void set(struct journal_data *journal, const char **names, const char **values)
{
    journal->names = names;
    journal->values = values;
    journal->count = 1;
}

static const char *phase[] = {"phase"}, *stage_value[] = {"Stage"}, *swap_value[] = {"Swap"};

static void test_a_journal_is_made_and_written(void **state)
{
    (void)state;
    struct stage s;
    struct journal_data journal, stale;
    stage_init(&s);
    refuse(&s, "GET " CONFIGMAPS "s-journal HTTP/1.1", "404 Not Found");
    expect(&s, "PATCH " CONFIGMAPS "s-journal?\1apply-patch", "201 Created",
           JOURNAL("j", "1", "{}"));
    expect(&s, "PUT " CONFIGMAPS "s-journal?\1\"resourceVersion\":\"1\"\1{\"phase\":\"Stage\"}",
           "200 OK", JOURNAL("j", "2", "{\"phase\":\"Stage\"}"));
    expect(&s, "PUT " CONFIGMAPS "s-journal?\1\"resourceVersion\":\"2\"\1{\"phase\":\"Swap\"}",
           "200 OK", JOURNAL("j", "3", "{\"phase\":\"Swap\"}"));
    expect(&s, "GET " CONFIGMAPS "s-journal HTTP/1.1", "200 OK",
           JOURNAL("j", "3", "{\"phase\":\"Swap\"}"));
    stage_open(&s);
    assert_int_equal(store_journal_read(s.store, &s.arena, &journal, &s.err), RR_OK);
    assert_false(journal.exists);
    stale = journal;
    set(&journal, phase, stage_value);
    assert_int_equal(store_journal_write(s.store, &journal, &s.err), RR_OK);
    assert_true(journal.exists);
    assert_int_equal(store_journal_write(s.store, &stale, &s.err), ERR_CONFLICT);
    error_clear(&s.err);
    set(&journal, phase, swap_value);
    stale = journal;
    assert_int_equal(store_journal_write(s.store, &journal, &s.err), RR_OK);
    assert_int_equal(store_journal_write(s.store, &stale, &s.err), ERR_CONFLICT);
    error_clear(&s.err);
    uint64_t version = journal.version;
    assert_int_equal(store_journal_read(s.store, &s.arena, &journal, &s.err), RR_OK);
    assert_int_equal(journal.version, version); /* the same object: what was held stays good */
    assert_string_equal(journal.values[0], "Swap");
    stage_close(&s);
}

static void test_journals_that_are_not_touched(void **state)
{
    (void)state;
#define META "{\"metadata\":{\"name\":\"s-journal\",\"uid\":\"j\",\"resourceVersion\":\"1\""
#define LABEL(value) ",\"labels\":{\"app.kubernetes.io/managed-by\":\"" value "\"}}"
    static const struct {
        const char *body, *text;
    } rows[] = {
        {META LABEL("Helm") ",\"data\":{\"phase\":\"Idle\"}}", "is 'Helm'"},
        {META "}}", "is ''"},
        {META LABEL("restore-reconciler") ",\"immutable\":true}", "is immutable"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        struct journal_data journal;
        stage_init(&s);
        expect(&s, NULL, "200 OK", rows[i].body);
        stage_open(&s);
        if (store_journal_read(s.store, &s.arena, &journal, &s.err) != ERR_JOURNAL_CORRUPT ||
            !strstr(s.err.text, rows[i].text) ||
            !strstr(s.err.hint, "kubectl -n shop delete configmap s-journal"))
            fail_msg("%zu: %s %s", i, s.err.text, s.err.hint);
        stage_close(&s);
    }
}

static void test_a_write_of_another_run_is_a_conflict(void **state)
{
    (void)state;
    struct stage s;
    struct journal_data journal;
    stage_init(&s);
    expect(&s, "GET", "200 OK", JOURNAL("j", "1", "{\"phase\":\"Idle\"}"));
    refuse(&s, "PUT", "409 Conflict");
    expect(&s, "GET", "200 OK", JOURNAL("j", "2", "{\"phase\":\"Look\"}"));
    stage_open(&s);
    assert_int_equal(store_journal_read(s.store, &s.arena, &journal, &s.err), RR_OK);
    set(&journal, phase, stage_value);
    assert_int_equal(store_journal_write(s.store, &journal, &s.err), ERR_CONFLICT);
    stage_close(&s);
}

static void test_a_deleted_journal_is_written_anew_by_the_holder_of_the_lease_alone(void **state)
{
    (void)state;
    for (int is_holder = 0; is_holder < 2; is_holder++) {
        struct stage s;
        struct journal_data journal;
        bool is_held = false;
        stage_init(&s);
        if (is_holder) {
            refuse(&s, "GET " LEASE_PATH, "404 Not Found");
            expect(&s, "PUT " LEASE_PATH, "201 Created", LEASE("me"));
        }
        expect(&s, "GET", "200 OK", JOURNAL("j", "1", "{\"phase\":\"Idle\"}"));
        refuse(&s, "PUT", "409 Conflict");
        refuse(&s, "GET", "404 Not Found");
        if (is_holder) {
            expect(&s, "PATCH", "201 Created", JOURNAL("k", "7", "{}"));
            expect(&s, "PUT\1\"uid\":\"k\",\"resourceVersion\":\"7\"", "200 OK",
                   JOURNAL("k", "8", "{\"phase\":\"Stage\"}"));
            expect(&s, "PUT " LEASE_PATH "?\1\"holderIdentity\":\"\"", "200 OK", LEASE(""));
        }
        stage_open(&s);
        if (is_holder)
            assert_int_equal(store_lock(s.store, &is_held, &s.err), RR_OK);
        assert_int_equal(store_journal_read(s.store, &s.arena, &journal, &s.err), RR_OK);
        set(&journal, phase, stage_value);
        assert_int_equal(store_journal_write(s.store, &journal, &s.err),
                         is_holder ? RR_OK : ERR_CONFLICT);
        stage_close(&s);
    }
}

/* A signal cuts a write off: whether it was done is found out before the next one. */
static void test_a_write_that_was_cut_off_is_settled_before_the_next(void **state)
{
    (void)state;
    static const struct {
        const char *name, *now, *put;
        enum errc code;
    } rows[] = {
        {"done", JOURNAL("j", "2", "{\"phase\":\"Stage\"}"), "PUT\1\"resourceVersion\":\"2\"",
         RR_OK},
        {"not done", JOURNAL("j", "1", "{\"phase\":\"Idle\"}"), "PUT\1\"resourceVersion\":\"1\"",
         RR_OK},
        {"somebody else", JOURNAL("j", "2", "{\"phase\":\"Look\"}"), NULL, ERR_CONFLICT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        struct journal_data journal;
        stage_init(&s);
        expect(&s, "GET", "200 OK", JOURNAL("j", "1", "{\"phase\":\"Idle\"}"));
        refuse(&s, "PUT", "403 Forbidden"); /* any failure whose effect the caller cannot know */
        expect(&s, "GET", "200 OK", rows[i].now);
        if (rows[i].put)
            expect(&s, rows[i].put, "200 OK", JOURNAL("j", "3", "{\"phase\":\"Swap\"}"));
        stage_open(&s);
        assert_int_equal(store_journal_read(s.store, &s.arena, &journal, &s.err), RR_OK);
        set(&journal, phase, stage_value);
        assert_int_equal(store_journal_write(s.store, &journal, &s.err), ERR_FORBIDDEN);
        error_clear(&s.err);
        set(&journal, phase, swap_value);
        if (store_journal_write(s.store, &journal, &s.err) != rows[i].code)
            fail_msg("%s: %s", rows[i].name, s.err.text);
        stage_close(&s);
    }
}

/* ---- the lock, and who we are ---- */

static void test_the_lock_is_a_lease_that_is_given_back(void **state)
{
    (void)state;
    struct stage s;
    bool is_held = false;
    stage_init(&s);
    refuse(&s, "GET " LEASE_PATH, "404 Not Found");
    expect(&s, "PUT " LEASE_PATH "?\1\"holderIdentity\":\"pod-7_\1\"leaseDurationSeconds\":60",
           "201 Created", LEASE("me"));
    expect(&s, "PUT " LEASE_PATH "?\1\"holderIdentity\":\"\"", "200 OK", LEASE(""));
    setenv("POD_NAME", "pod-7", 1);
    stage_open(&s);
    unsetenv("POD_NAME");
    assert_int_equal(store_lock(s.store, &is_held, &s.err), RR_OK);
    assert_true(is_held);
    assert_int_equal(store_lock(s.store, &is_held, &s.err), RR_OK);
    assert_true(is_held);
    assert_int_equal(store_check_lock(s.store, 10000, &s.err), RR_OK);
    stage_close(&s);
}

static void test_events_never_fail_a_run(void **state)
{
    (void)state;
    struct stage s;
    struct state_view view;
    stage_init(&s);
    expect(&s, "GET", "200 OK", STATE("", "{}"));
    expect(&s, "POST /apis/events.k8s.io/v1/namespaces/shop/events?\1\"uid\":\"u\"\1\"name\":\"s\"",
           "201 Created", "{\"metadata\":{\"name\":\"s.1\"}}");
    refuse(&s, "POST", "403 Forbidden");
    stage_open(&s);
    assert_int_equal(store_read(s.store, &s.arena, &view, &s.err), RR_OK);
    const struct store_news news = {.reason = "RestoreStarted", .action = "Stage", .text = "t"};
    cancel_request(&s.cancel); /* by a signal: that it was interrupted is worth an event */
    store_tell(s.store, &news);
    store_tell(s.store, &news);
    stage_close(&s);
}

static void test_names_that_cannot_be(void **state)
{
    (void)state;
    static const char *const rows[] = {"",   "A",  "a_b",  "-a",   "a-",
                                       ".a", "a.", "a..b", "a.-b", "a-.b"};
    char longest[236];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i <= COUNT(rows); i++) {
        struct cluster_options options = {.kubeconfig = {.path = "/dev/null"},
                                          .name = i < COUNT(rows) ? rows[i] : longest};
        struct store *store = NULL;
        struct error err = ERROR_INIT;
        if (cluster_open(&options, &store, &err) != ERR_USAGE)
            fail_msg("'%s': %s", options.name, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_state_is_read),
        cmocka_unit_test(test_states_that_cannot_be_read),
        cmocka_unit_test(test_publishing_is_compare_and_swap_on_what_was_read),
        cmocka_unit_test(test_a_journal_is_made_and_written),
        cmocka_unit_test(test_journals_that_are_not_touched),
        cmocka_unit_test(test_a_write_of_another_run_is_a_conflict),
        cmocka_unit_test(test_a_deleted_journal_is_written_anew_by_the_holder_of_the_lease_alone),
        cmocka_unit_test(test_a_write_that_was_cut_off_is_settled_before_the_next),
        cmocka_unit_test(test_the_lock_is_a_lease_that_is_given_back),
        cmocka_unit_test(test_events_never_fail_a_run),
        cmocka_unit_test(test_names_that_cannot_be),
    };
    return cmocka_run_group_tests_name("state/cluster", tests, NULL, NULL);
}
