#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/kube/kube.h"
#include "lib/kube/lease.h"
#include "lib/kube/lease_record.h"
#include "tests/unit/kube/lease_server.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { LONG_S = 3600, MINUTE_MS = 60000 };

/* One candidate and its server. */
struct stage {
    struct lease_server *server;
    struct still_clock clock;
    struct kubeconfig config;
    struct cancel cancel;
    struct lease_options options;
    struct arena arena;
    struct lease *lease;
    const char *holder;
    struct error err;
};

static void stage_open(struct stage *s, unsigned duration_s)
{
    *s = (struct stage){.server = lease_server_start()};
    still_clock_init(&s->clock);
    s->config = (struct kubeconfig){
        .origin = "the test's own", .server = s->server->url, .namespace_name = "shop"};
    s->options = (struct lease_options){.config = &s->config,
                                        .name = "rr",
                                        .identity = "me",
                                        .duration_s = duration_s,
                                        .clock = &s->clock.base,
                                        .cancel = &s->cancel};
}

static enum errc stage_acquire(struct stage *s)
{
    return lease_acquire(&s->options, &s->arena, &s->lease, &s->holder, &s->err);
}

static void stage_close(struct stage *s, bool gives_back)
{
    lease_close(s->lease, gives_back);
    lease_server_stop(s->server);
    arena_release(&s->arena);
}

static void stage_hold(struct stage *s, unsigned duration_s)
{
    stage_open(s, duration_s);
    if (stage_acquire(s) || !s->lease)
        fail_msg("%s", s->err.text);
}

/* The clock moves at once; the thread notices when it runs again: as after SIGSTOP. */
static void jump(struct stage *s, unsigned seconds)
{
    s->clock.now_ms += seconds * 1000ULL;
}

static enum errc check(struct stage *s, uint64_t need_ms, uint64_t wait_ms)
{
    error_clear(&s->err);
    return lease_check(s->lease, need_ms, wait_ms, NULL, &s->err);
}

static void assert_spec_holds(struct stage *s, const char *text)
{
    lease_server_lock(s->server);
    if (!strstr(s->server->spec, text))
        fail_msg("'%s' is not in %s", text, s->server->spec);
    lease_server_unlock(s->server);
}

/* ---- taking it ---- */

static void test_a_missing_lease_is_created_by_a_put(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    assert_int_equal(s.server->gets, 1);
    assert_int_equal(s.server->puts, 1);
    assert_null(strstr(s.server->last_put, "resourceVersion"));
    assert_null(strstr(s.server->last_put, "\"uid\""));
    assert_string_equal(s.server->spec,
                        "{\"holderIdentity\":\"me\",\"leaseDurationSeconds\":60,"
                        "\"acquireTime\":\"2023-11-14T22:30:00.000000Z\","
                        "\"renewTime\":\"2023-11-14T22:30:00.000000Z\",\"leaseTransitions\":0}");
    assert_int_equal(check(&s, 1000, 0), RR_OK);
    stage_close(&s, false);
}

static void test_one_that_nobody_holds_is_taken_at_once(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, 60);
    lease_server_set(s.server, HELD_BY("", 1, "2024-01-01T00:00:00Z"));
    s.server->labels = "{\"team\":\"shop\"}";
    assert_int_equal(stage_acquire(&s), RR_OK);
    assert_non_null(s.lease);
    assert_int_equal(s.server->gets, 1);
    assert_non_null(strstr(s.server->last_put, "\"uid\":\"uid-1\",\"resourceVersion\":\"1\""));
    assert_spec_holds(&s, "\"leaseTransitions\":5");
    assert_string_equal(s.server->labels, "{\"team\":\"shop\"}");
    stage_close(&s, false);
}

static unsigned looks_until_change;

static void touch_labels(struct lease_server *server, bool is_put)
{
    if (is_put)
        return;
    server->version++; /* somebody labels it: no sign of life of its holder */
}

static void test_a_holder_that_is_silent_for_its_duration_is_dead(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, 60);
    lease_server_set(s.server, HELD_BY("other", 30, "2999-01-01T00:00:00.000000Z"));
    s.server->before = touch_labels;
    uint64_t begin_ms = s.clock.now_ms;
    assert_int_equal(stage_acquire(&s), RR_OK);
    assert_non_null(s.lease);
    assert_in_range(s.clock.now_ms - begin_ms, 30000, 34000);
    assert_spec_holds(&s, "\"holderIdentity\":\"me\"");
    assert_spec_holds(&s, "\"leaseTransitions\":5");
    stage_close(&s, false);
}

static void holder_renews(struct lease_server *server, bool is_put)
{
    if (!is_put && looks_until_change && --looks_until_change == 0)
        lease_server_set(server, HELD_BY("other", 30, "2020-01-01T00:00:10.000000Z"));
}

static void test_a_holder_that_changes_its_record_is_alive(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, 60);
    /* Its times lie years back: they say nothing. */
    lease_server_set(s.server, HELD_BY("other", 30, "2020-01-01T00:00:00.000000Z"));
    looks_until_change = 3;
    s.server->before = holder_renews;
    assert_int_equal(stage_acquire(&s), RR_OK);
    assert_null(s.lease);
    assert_string_equal(s.holder, "other");
    assert_int_equal(s.server->puts, 0);
    stage_close(&s, false);
}

static void somebody_creates_it(struct lease_server *server, bool is_put)
{
    if (is_put && !server->exists) {
        lease_server_set(server, HELD_BY("other", 30, "2020-01-01T00:00:00.000000Z"));
        looks_until_change = 2;
    }
    holder_renews(server, is_put);
}

static void somebody_takes_it(struct lease_server *server, bool is_put)
{
    if (is_put && server->version == 1)
        lease_server_set(server, HELD_BY("", 1, "2020-01-01T00:00:20.000000Z"));
}

static void test_a_lost_race_is_looked_at_again(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, 60);
    s.server->before = somebody_creates_it;
    assert_int_equal(stage_acquire(&s), RR_OK);
    assert_null(s.lease);
    assert_string_equal(s.holder, "other");
    stage_close(&s, false);

    stage_open(&s, 60);
    lease_server_set(s.server, HELD_BY("", 1, "2020-01-01T00:00:00.000000Z"));
    s.server->before = somebody_takes_it;
    assert_int_equal(stage_acquire(&s), RR_OK);
    assert_non_null(s.lease);
    assert_int_equal(s.server->puts, 2);
    stage_close(&s, false);
}

static void always_faster(struct lease_server *server, bool is_put)
{
    if (is_put)
        lease_server_set(server, HELD_BY("", 1, "2020-01-01T00:00:20.000000Z"));
}

static void test_races_that_are_always_lost_end(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, 60);
    lease_server_set(s.server, HELD_BY("", 1, "2020-01-01T00:00:00.000000Z"));
    s.server->before = always_faster;
    assert_int_equal(stage_acquire(&s), ERR_CONFLICT);
    assert_int_equal(s.server->puts, 10);
    stage_close(&s, false);
}

static void test_a_lost_answer_while_taking_it_is_settled(void **state)
{
    (void)state;
    static const enum trouble troubles[] = {TROUBLE_LOST_ANSWER, TROUBLE_LOST_REQUEST, TROUBLE_500};
    for (size_t i = 0; i < COUNT(troubles); i++) {
        struct stage s;
        stage_open(&s, 60);
        s.server->put_trouble = troubles[i];
        s.server->trouble_times = 1;
        if (stage_acquire(&s) || !s.lease)
            fail_msg("%zu: %s", i, s.err.text);
        assert_int_equal(s.server->puts, 2);
        assert_spec_holds(&s, "\"holderIdentity\":\"me\"");
        assert_spec_holds(&s, "\"leaseTransitions\":0");
        stage_close(&s, false);
    }
}

static void test_what_is_never_taken(void **state)
{
    (void)state;
    static const struct {
        const char *name, *spec;
    } rows[] = {
        {"a strategy", "{\"strategy\":\"OldestEmulationVersion\"}"},
        {"a strategy, with holder",
         "{\"holderIdentity\":\"x\",\"leaseDurationSeconds\":1,\"strategy\":\"Other\"}"},
        {"a very long one", HELD_BY("x", 86400, "2020-01-01T00:00:00.000000Z")},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        stage_open(&s, 60);
        lease_server_set(s.server, rows[i].spec);
        if (stage_acquire(&s) != ERR_UNSUPPORTED || s.server->puts || !s.err.hint[0])
            fail_msg("%s: %s %s", rows[i].name, errc_name(s.err.code), s.err.text);
        stage_close(&s, false);
    }
}

static void test_errors_while_taking_it(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, 60);
    s.server->get_trouble = TROUBLE_FORBIDDEN;
    assert_int_equal(stage_acquire(&s), ERR_FORBIDDEN);
    stage_close(&s, false);

    stage_open(&s, 60);
    s.server->put_trouble = TROUBLE_FORBIDDEN;
    assert_int_equal(stage_acquire(&s), ERR_FORBIDDEN);
    stage_close(&s, false);

    stage_open(&s, 60);
    s.server->get_trouble = TROUBLE_UNAVAILABLE;
    assert_int_equal(stage_acquire(&s), ERR_API);
    stage_close(&s, false);

    stage_open(&s, 60);
    lease_server_set(s.server, HELD_BY("other", 30, "2020-01-01T00:00:00.000000Z"));
    cancel_request(&s.cancel);
    assert_int_equal(stage_acquire(&s), ERR_CANCELLED);
    stage_close(&s, false);
}

/* ---- keeping it ---- */

static void test_it_is_renewed_by_compare_and_swap(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, LONG_S);
    for (int i = 0; i < 4; i++) {
        jump(&s, 1500); /* two thirds of it would not be left without a renewal */
        assert_int_equal(check(&s, LONG_S * 1000ULL, MINUTE_MS), RR_OK);
    }
    lease_server_lock(s.server);
    assert_non_null(strstr(s.server->last_put, "\"uid\":\"uid-1\",\"resourceVersion\":"));
    assert_non_null(strstr(s.server->last_put, "\"acquireTime\":\"2023-11-14T22:30:00.000000Z\""));
    assert_null(strstr(s.server->last_put, "\"renewTime\":\"2023-11-14T22:30:00.000000Z\""));
    lease_server_unlock(s.server);
    assert_spec_holds(&s, "\"leaseTransitions\":0");
    stage_close(&s, false);
}

static void test_a_run_that_is_told_to_stop_still_keeps_it(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, LONG_S);
    cancel_request(&s.cancel);
    jump(&s, 1500);
    assert_int_equal(check(&s, LONG_S * 1000ULL, MINUTE_MS), RR_OK);
    error_clear(&s.err);
    jump(&s, 1500);
    s.server->put_trouble = TROUBLE_UNAVAILABLE;
    assert_int_equal(lease_check(s.lease, LONG_S * 1000ULL, 10 * MINUTE_MS, &s.cancel, &s.err),
                     ERR_CANCELLED);
    stage_close(&s, false);
}

static void make_stale(struct lease_server *server, bool is_put)
{
    (void)is_put;
    if (server->trouble_times == 0)
        return;
    server->trouble_times--;
    server->version++; /* `kubectl label` */
}

static void test_somebody_who_only_touches_it_is_no_conflict(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, LONG_S);
    lease_server_lock(s.server);
    s.server->trouble_times = 1;
    s.server->before = make_stale;
    lease_server_unlock(s.server);
    jump(&s, 1500);
    assert_int_equal(check(&s, LONG_S * 1000ULL, MINUTE_MS), RR_OK);
    assert_int_equal(s.server->gets, 2); /* one to take it, one to settle the conflict */
    stage_close(&s, false);
}

static void test_lost_answers_of_a_renewal_are_settled_by_reading(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum trouble trouble;
        unsigned puts; /* with the one that took it */
    } rows[] = {
        {"done, no answer", TROUBLE_LOST_ANSWER, 2},
        {"done, 500", TROUBLE_500, 2},
        {"not done, no answer", TROUBLE_LOST_REQUEST, 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        stage_hold(&s, LONG_S);
        lease_server_lock(s.server);
        s.server->put_trouble = rows[i].trouble;
        s.server->trouble_times = 1;
        lease_server_unlock(s.server);
        jump(&s, 1500);
        if (check(&s, LONG_S * 1000ULL, MINUTE_MS) || s.server->puts != rows[i].puts)
            fail_msg("%s: %s, %u PUTs", rows[i].name, s.err.text, s.server->puts);
        stage_close(&s, false);
    }
}

static void foreign(struct lease_server *server)
{
    lease_server_set(server, HELD_BY("other", 60, "2024-01-01T00:00:00.000000Z"));
}

static void emptied(struct lease_server *server)
{
    lease_server_set(server, HELD_BY("", 1, "2024-01-01T00:00:00.000000Z"));
}

static void deleted(struct lease_server *server)
{
    server->exists = false;
}

static void made_anew(struct lease_server *server)
{
    server->uid++;
    lease_server_set(server, server->spec);
}

static void test_what_loses_it_for_good(void **state)
{
    (void)state;
    static const struct {
        const char *name, *why;
        void (*happens)(struct lease_server *server);
    } rows[] = {
        {"another holder", "it is held by 'other'", foreign},
        {"emptied", "somebody else has emptied it", emptied},
        {"deleted", "it was deleted", deleted},
        {"deleted and made anew", "it was deleted and made anew", made_anew},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        stage_hold(&s, LONG_S);
        lease_server_lock(s.server);
        rows[i].happens(s.server);
        lease_server_unlock(s.server);
        jump(&s, 1500);
        if (check(&s, LONG_S * 1000ULL, MINUTE_MS) != ERR_FENCE_LOST ||
            !strstr(s.err.text, rows[i].why))
            fail_msg("%s: %s", rows[i].name, s.err.text);
        unsigned puts = s.server->puts;
        if (check(&s, 0, 0) != ERR_FENCE_LOST)
            fail_msg("%s: came back", rows[i].name);
        lease_close(s.lease, true); /* nothing is given back */
        s.lease = NULL;
        if (s.server->puts != puts)
            fail_msg("%s: wrote to what is not ours", rows[i].name);
        stage_close(&s, false);
    }
}

/* A renewal that is answered 201 has made the Lease anew: somebody may have had it in between. */
static void test_a_renewal_that_creates_is_a_loss(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, LONG_S);
    lease_server_lock(s.server);
    s.server->says_created = true;
    lease_server_unlock(s.server);
    jump(&s, 1500);
    assert_int_equal(check(&s, LONG_S * 1000ULL, MINUTE_MS), ERR_FENCE_LOST);
    stage_close(&s, false);
}

/* ---- a server that is away, a process that slept ---- */

static void test_after_its_duration_it_is_not_valid_until_a_renewal_proves_it(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    lease_server_lock(s.server);
    s.server->put_trouble = TROUBLE_UNAVAILABLE;
    lease_server_unlock(s.server);
    jump(&s, 61);
    assert_int_equal(check(&s, 0, 0), ERR_API);
    assert_int_equal(check(&s, 0, 5000), ERR_API);
    assert_non_null(strstr(s.err.text, "could not be renewed"));
    lease_server_lock(s.server);
    s.server->put_trouble = TROUBLE_NONE;
    lease_server_unlock(s.server);
    assert_int_equal(check(&s, 1000, MINUTE_MS), RR_OK);
    stage_close(&s, false);
}

static void test_after_a_sleep_it_is_lost_if_somebody_took_it(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    lease_server_lock(s.server);
    foreign(s.server);
    lease_server_unlock(s.server);
    jump(&s, 300);
    assert_int_equal(check(&s, 0, MINUTE_MS), ERR_FENCE_LOST);
    stage_close(&s, true);
}

static void test_a_missing_right_is_tried_until_the_end(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    lease_server_lock(s.server);
    s.server->put_trouble = TROUBLE_FORBIDDEN;
    lease_server_unlock(s.server);
    jump(&s, 30);
    assert_int_equal(check(&s, 1000, 0), RR_OK);
    jump(&s, 31);
    assert_int_equal(check(&s, 1000, 5000), ERR_API);
    assert_non_null(strstr(s.err.text, "403"));
    stage_close(&s, false);
}

/* ---- giving it back ---- */

static void test_it_is_given_back(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    lease_close(s.lease, true);
    s.lease = NULL;
    assert_string_equal(s.server->spec,
                        "{\"holderIdentity\":\"\",\"leaseDurationSeconds\":1,"
                        "\"acquireTime\":\"2023-11-14T22:30:00.000000Z\","
                        "\"renewTime\":\"2023-11-14T22:30:00.000000Z\",\"leaseTransitions\":0}");
    stage_close(&s, false);
}

static void test_only_what_is_ours_is_given_back(void **state)
{
    (void)state;
    static const struct {
        const char *name, *after;
        void (*happens)(struct lease_server *server);
    } rows[] = {
        {"another holder", "\"holderIdentity\":\"other\"", foreign},
        {"made anew", "\"holderIdentity\":\"me\"", made_anew},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stage s;
        stage_hold(&s, 60);
        lease_server_lock(s.server);
        rows[i].happens(s.server);
        lease_server_unlock(s.server);
        lease_close(s.lease, true);
        s.lease = NULL;
        assert_spec_holds(&s, rows[i].after);
        stage_close(&s, false);
    }
}

static void test_a_conflict_while_giving_it_back_is_read_again(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    s.server->trouble_times = 1;
    s.server->before = make_stale;
    lease_close(s.lease, true);
    s.lease = NULL;
    assert_spec_holds(&s, "\"holderIdentity\":\"\"");
    stage_close(&s, false);
}

static void test_closing_does_not_wait_for_a_request_that_hangs(void **state)
{
    (void)state;
    struct stage s;
    stage_hold(&s, 60);
    lease_server_lock(s.server);
    s.server->put_trouble = TROUBLE_STALL;
    s.server->trouble_times = 1;
    lease_server_unlock(s.server);
    for (int i = 0; i < 5000 && s.server->puts < 2; i++) {
        jump(&s, i % 500 == 0 ? 10 : 0);
        usleep(1000);
    }
    assert_int_equal(s.server->puts, 2);
    uint64_t begin_ms = clock_boottime_ms(clock_system());
    lease_close(s.lease, true);
    s.lease = NULL;
    assert_in_range(clock_boottime_ms(clock_system()) - begin_ms, 0, 1500);
    assert_spec_holds(&s, "\"holderIdentity\":\"\"");
    stage_close(&s, false);
}

static void test_times_are_compared_leniently(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool is_equal;
    } rows[] = {
        {"2024-01-01T00:00:00.000000Z", "2024-01-01T00:00:00Z", true},
        {"2024-01-01T00:00:00.120000Z", "2024-01-01T01:00:00.12+01:00", true},
        {"2024-01-01T00:00:00.000001Z", "2024-01-01T00:00:00Z", false},
        {NULL, NULL, false},
        {"soon", "soon", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(lease_time_equal(rows[i].a, rows[i].b), rows[i].is_equal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_lease_is_created_by_a_put),
        cmocka_unit_test(test_one_that_nobody_holds_is_taken_at_once),
        cmocka_unit_test(test_a_holder_that_is_silent_for_its_duration_is_dead),
        cmocka_unit_test(test_a_holder_that_changes_its_record_is_alive),
        cmocka_unit_test(test_a_lost_race_is_looked_at_again),
        cmocka_unit_test(test_races_that_are_always_lost_end),
        cmocka_unit_test(test_a_lost_answer_while_taking_it_is_settled),
        cmocka_unit_test(test_what_is_never_taken),
        cmocka_unit_test(test_errors_while_taking_it),
        cmocka_unit_test(test_it_is_renewed_by_compare_and_swap),
        cmocka_unit_test(test_a_run_that_is_told_to_stop_still_keeps_it),
        cmocka_unit_test(test_somebody_who_only_touches_it_is_no_conflict),
        cmocka_unit_test(test_lost_answers_of_a_renewal_are_settled_by_reading),
        cmocka_unit_test(test_what_loses_it_for_good),
        cmocka_unit_test(test_a_renewal_that_creates_is_a_loss),
        cmocka_unit_test(test_after_its_duration_it_is_not_valid_until_a_renewal_proves_it),
        cmocka_unit_test(test_after_a_sleep_it_is_lost_if_somebody_took_it),
        cmocka_unit_test(test_a_missing_right_is_tried_until_the_end),
        cmocka_unit_test(test_it_is_given_back),
        cmocka_unit_test(test_only_what_is_ours_is_given_back),
        cmocka_unit_test(test_a_conflict_while_giving_it_back_is_read_again),
        cmocka_unit_test(test_closing_does_not_wait_for_a_request_that_hangs),
        cmocka_unit_test(test_times_are_compared_leniently),
    };
    return cmocka_run_group_tests_name("kube/lease", tests, NULL, NULL);
}
