/* Ways to the server, and how long a call goes on: what the policy in http.c asks of transfer.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/cancel.h"
#include "lib/base/limits.h"
#include "lib/net/http.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OK PEER_ANSWER("200 OK", "", 2, "ok")

struct fixture {
    struct quick_clock clock;
    struct cancel cancel;
    struct http *http;
    struct error err;
    struct http_response response;
};

static void open_client(struct fixture *f, struct http_options options)
{
    quick_clock_init(&f->clock);
    options.clock = &f->clock.base;
    options.cancel = &f->cancel;
    assert_int_equal(http_open(&options, &f->http, &f->err), RR_OK);
}

static void close_client(struct fixture *f)
{
    http_response_release(&f->response);
    http_close(f->http);
}

/* A GET, or a PUT that counts as a write. */
static enum errc ask(struct fixture *f, const char *method, const char *url)
{
    struct http_request request = {
        .method = method, .url = url, .body_limit = 1000, .is_write = *method == 'P'};
    http_response_release(&f->response);
    error_clear(&f->err);
    return http_send(f->http, &request, &f->response, &f->err);
}

/* ---- ways ---- */

static void test_a_proxy_opens_the_way(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "CONNECT 127.0.0.1:9 HTTP/1.1\r\n",
         .forbid = "Authorization: Bearer",
         .reply = "HTTP/1.1 200 Connection established\r\n\r\n",
         .then = PEER_START_TLS},
        {.expect = "GET /a HTTP/1.1\r\n\1Host: 127.0.0.1:9\r\n", .reply = OK},
        {.expect = "GET /b", .reply = OK, .on_old_connection = true},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PROXY);
    struct fixture f = {0};
    setenv("no_proxy", "*", 1); /* means those of the environment */
    open_client(&f,
                (struct http_options){.proxy_url = peer_url(peer), .ca_file = peer_ca_file(peer)});
    assert_int_equal(ask(&f, "GET", "https://127.0.0.1:9/a"), RR_OK);
    assert_string_equal(str_text(&f.response.body), "ok");
    assert_int_equal(ask(&f, "GET", "https://127.0.0.1:9/b"), RR_OK);
    unsetenv("no_proxy");
    close_client(&f);
    peer_stop(peer);
}

static void test_a_proxy_that_refuses(void **state)
{
    (void)state;
    static const struct peer_step step = {.expect = "CONNECT ",
                                          .reply = PEER_STATUS("403 Forbidden"),
                                          .then = PEER_CLOSE,
                                          .times = 6};
    struct peer *peer = peer_start(&step, 1, PEER_PROXY);
    struct fixture f = {0};
    open_client(&f, (struct http_options){.proxy_url = peer_url(peer)});
    assert_int_equal(ask(&f, "PUT", "https://127.0.0.1:9/"), ERR_NETWORK);
    assert_non_null(strstr(f.err.text, "the proxy opens no connection to '127.0.0.1:9'"));
    assert_non_null(strstr(f.err.text, "403"));
    assert_false(f.response.may_have_acted); /* so that it was tried again */
    close_client(&f);
    peer_stop(peer);
}

static void test_a_proxy_that_opens_and_then_breaks(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step script[2];
        size_t count;
        bool may_have_acted;
    } rows[] = {
        {"before TLS",
         {{.reply = "HTTP/1.1 200 OK\r\n\r\n", .then = PEER_CLOSE, .times = 6}},
         1,
         false},
        {"after the request",
         {{.reply = "HTTP/1.1 200 OK\r\n\r\n", .then = PEER_START_TLS},
          {.expect = "PUT /", .then = PEER_CLOSE}},
         2,
         true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer *peer = peer_start(rows[i].script, rows[i].count, PEER_PROXY);
        struct fixture f = {0};
        open_client(
            &f, (struct http_options){.proxy_url = peer_url(peer), .ca_file = peer_ca_file(peer)});
        enum errc code = ask(&f, "PUT", "https://127.0.0.1:9/");
        if (code != ERR_NETWORK || f.response.may_have_acted != rows[i].may_have_acted)
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), f.err.text);
        close_client(&f);
        peer_stop(peer);
    }
}

static void test_the_way_may_differ_from_the_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *host;
        enum peer_tls tls;
        enum errc code;
    } rows[] = {
        {"the certificate's name", "elsewhere.example", PEER_TLS_WRONG_NAME, RR_OK},
        {"another name", "nowhere.example", PEER_TLS_WRONG_NAME, ERR_TLS},
        {"an address", "127.0.0.1", PEER_TLS, RR_OK},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char url[128], expect[128];
        snprintf(url, sizeof url, "https://%s:6443/x", rows[i].host);
        snprintf(expect, sizeof expect, "Host: %s:6443\r\n", rows[i].host);
        struct peer_step step = {.expect = expect, .reply = OK};
        struct peer *peer = peer_start(&step, rows[i].code == RR_OK, rows[i].tls);
        struct fixture f = {0};
        open_client(&f, (struct http_options){.connect_to = peer_host(peer),
                                              .ca_file = peer_ca_file(peer)});
        enum errc code = ask(&f, "GET", url);
        if (code != rows[i].code)
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), f.err.text);
        close_client(&f);
        peer_stop(peer);
    }
}

static void test_an_old_connection_is_not_used_again(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = OK},
        {.reply = OK, .on_old_connection = true},
        {.reply = OK, .on_new_connection = true},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){.connection_lifetime_ms = 1000});
    assert_int_equal(ask(&f, "GET", peer_url(peer)), RR_OK);
    assert_int_equal(ask(&f, "GET", peer_url(peer)), RR_OK);
    usleep(2100 * 1000); /* libcurl counts whole seconds by its own clock */
    assert_int_equal(ask(&f, "GET", peer_url(peer)), RR_OK);
    close_client(&f);
    peer_stop(peer);
}

/* ---- how long a call goes on ---- */

static void test_a_request_may_bring_its_own_policy(void **state)
{
    (void)state;
    static const struct retry_policy three = {
        .attempts = 3, .first_pause_ms = 10, .max_pause_ms = 15};
    static const struct peer_step step = {.reply = PEER_STATUS("503 Slow Down"), .times = 5};
    struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){.retry = &(struct retry_policy){.attempts = 2}});
    struct http_request request = {.method = "GET", .url = peer_url(peer), .retry = &three};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
    assert_int_equal(peer_count(peer), 3);
    assert_int_equal(f.clock.slept_ms, 25);
    http_response_release(&f.response);
    request.retry = NULL;
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
    assert_int_equal(peer_count(peer), 5);
    close_client(&f);
    peer_stop(peer);
}

static void test_a_deaf_request_is_not_interrupted(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = PEER_STATUS("503 Slow Down")},
        {.reply = OK},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    cancel_request(&f.cancel);
    struct http_request request = {
        .method = "GET", .url = peer_url(peer), .body_limit = 1000, .is_deaf = true};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
    assert_int_equal(f.response.status, 200);
    assert_int_equal(f.clock.sleep_count, 1);
    http_response_release(&f.response);
    request.is_deaf = false;
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), ERR_CANCELLED);
    close_client(&f);
    peer_stop(peer);
}

static void test_whether_a_failed_request_may_have_acted(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step step;
        enum errc code;
        bool may_have_acted;
    } rows[] = {
        {"answered", {.reply = OK}, RR_OK, false},
        {"no answer", {.then = PEER_CLOSE}, ERR_NETWORK, true},
        {"reset", {.then = PEER_RESET}, ERR_NETWORK, true},
        {"cut",
         {.reply = PEER_ANSWER("200 OK", "", 9, "cut"), .then = PEER_CLOSE},
         ERR_NETWORK,
         true},
        {"stalled", {.then = PEER_STALL}, ERR_TIMEOUT, true},
        {"too long", {.reply = PEER_ANSWER("200 OK", "", 2000, "x")}, ERR_TOO_LARGE, true},
        {"not HTTP", {.reply = "SSH-2.0\r\n", .then = PEER_CLOSE}, ERR_HTTP, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer *peer = peer_start(&rows[i].step, 1, PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f, (struct http_options){.stall_timeout_ms = 300});
        enum errc code = ask(&f, "PUT", peer_url(peer));
        if (code != rows[i].code || f.response.may_have_acted != rows[i].may_have_acted)
            fail_msg("%s: %s '%s', may have acted: %d", rows[i].name, errc_name(code), f.err.text,
                     f.response.may_have_acted);
        close_client(&f);
        peer_stop(peer);
    }
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    assert_int_equal(ask(&f, "PUT", "http://127.0.0.1:1/"), ERR_NETWORK);
    assert_false(f.response.may_have_acted);
    close_client(&f);
}

/* ---- bodies ---- */

/* 100 MB are on their way; the peer's socket takes a part of them, and nobody reads it. */
static void test_a_body_over_the_limit_is_not_waited_for(void **state)
{
    (void)state;
    enum { LENGTH = 100 * 1000 * 1000 };
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5f5e100\r\n",
    };
    char *reply = calloc(1, LENGTH);
    for (size_t i = 0; i < COUNT(heads); i++) {
        memcpy(reply, heads[i], strlen(heads[i]));
        struct peer_step step = {.reply = reply, .reply_length = LENGTH, .then = PEER_CLOSE};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f, (struct http_options){0});
        uint64_t begin_ms = clock_boottime_ms(clock_system());
        assert_int_equal(ask(&f, "GET", peer_url(peer)), ERR_TOO_LARGE);
        uint64_t took_ms = clock_boottime_ms(clock_system()) - begin_ms;
        if (took_ms > 500)
            fail_msg("reply %zu: %lu ms", i, (unsigned long)took_ms);
        close_client(&f);
        peer_stop(peer);
    }
    free(reply);
}

static void test_a_length_matters_only_where_a_body_comes(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "HEAD ", .reply = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"},
        {.reply = PEER_ANSWER("200 OK", "", 4, "body")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    assert_int_equal(ask(&f, "HEAD", peer_url(peer)), RR_OK);
    struct http_request request = {.method = "GET", .url = peer_url(peer), .body_limit = 4};
    http_response_release(&f.response);
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
    assert_string_equal(str_text(&f.response.body), "body");
    close_client(&f);
    peer_stop(peer);
}

int main(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy",   "all_proxy",   "HTTPS_PROXY",
                                        "ALL_PROXY",  "SSL_CERT_FILE", "SSL_CERT_DIR"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proxy_opens_the_way),
        cmocka_unit_test(test_a_proxy_that_refuses),
        cmocka_unit_test(test_a_proxy_that_opens_and_then_breaks),
        cmocka_unit_test(test_the_way_may_differ_from_the_name),
        cmocka_unit_test(test_an_old_connection_is_not_used_again),
        cmocka_unit_test(test_a_request_may_bring_its_own_policy),
        cmocka_unit_test(test_a_deaf_request_is_not_interrupted),
        cmocka_unit_test(test_whether_a_failed_request_may_have_acted),
        cmocka_unit_test(test_a_body_over_the_limit_is_not_waited_for),
        cmocka_unit_test(test_a_length_matters_only_where_a_body_comes),
    };
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    return cmocka_run_group_tests_name("net/transfer", tests, NULL, NULL);
}
