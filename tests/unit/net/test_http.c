#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/cancel.h"
#include "lib/base/limits.h"
#include "lib/net/http.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A client with quick retries. */
struct fixture {
    struct quick_clock clock;
    struct cancel cancel;
    struct http *http;
    struct error err;
    struct http_response response;
    char url[256];
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

static enum errc get(struct fixture *f, const struct peer *peer, const char *path)
{
    snprintf(f->url, sizeof f->url, "%s%s", peer_url(peer), path);
    struct http_request request = {.method = "GET", .url = f->url, .body_limit = 1000};
    return http_send(f->http, &request, &f->response, &f->err);
}

/* ---- one answer, one judgement ---- */

static const char huge_header[] = "HTTP/1.1 200 OK\r\nX: ";

static void test_single_answers(void **state)
{
    (void)state;
    static char headers_65k[70000], many_interim[140000];
    memset(headers_65k, 'h', sizeof headers_65k - 1);
    memcpy(headers_65k, huge_header, sizeof huge_header - 1);
    for (size_t i = 1000; i + 1000 < sizeof headers_65k; i += 1000)
        memcpy(headers_65k + i, "\r\nX: ", 5);
    for (int i = 0; i < 4000; i++)
        strcat(many_interim + 25 * i, "HTTP/1.1 100 Continue\r\n\r\n");
    static const struct {
        const char *name, *reply;
        size_t reply_length;
        enum peer_then then;
        enum errc code;
        int status;
        const char *body, *must_say;
    } rows[] = {
        {"plain", PEER_ANSWER("200 OK", "", 5, "hello"), 0, PEER_KEEP, RR_OK, 200, "hello", NULL},
        {"empty", PEER_STATUS("204 No Content"), 0, PEER_KEEP, RR_OK, 204, "", NULL},
        {"until close", "HTTP/1.1 200 OK\r\n\r\nall", 0, PEER_CLOSE, RR_OK, 200, "all", NULL},
        {"chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 0,
         PEER_KEEP, RR_OK, 200, "abcde", NULL},
        {"interim answer first",
         "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" PEER_ANSWER("200 OK", "", 1, "x"), 0, PEER_KEEP,
         RR_OK, 200, "x", NULL},
        {"404 is an answer", PEER_ANSWER("404 Not Found", "", 4, "none"), 0, PEER_KEEP, RR_OK, 404,
         "none", NULL},
        {"redirects are not followed",
         PEER_ANSWER("301 Moved", "Location: http://127.0.0.1:1/\r\n", 0, ""), 0, PEER_KEEP, RR_OK,
         301, "", NULL},
        {"NUL in the body", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\0b", 41, PEER_KEEP,
         RR_OK, 200, "a", NULL},
        {"body too long by its header", PEER_ANSWER("200 OK", "", 100000, "x"), 0, PEER_STALL,
         ERR_TOO_LARGE, 0, NULL, "has 100000 bytes, over 1000"},
        {"body too long", "HTTP/1.1 200 OK\r\n\r\n", sizeof headers_65k, PEER_CLOSE, ERR_TOO_LARGE,
         0, NULL, "longer than 1000 bytes"},
        {"body cut", PEER_ANSWER("200 OK", "", 9, "cut"), 0, PEER_CLOSE, ERR_NETWORK, 0, NULL,
         "cut off"},
        {"chunk cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", 0,
         PEER_CLOSE, ERR_NETWORK, 0, NULL, "127.0.0.1"},
        {"chunk of no number", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", 0,
         PEER_CLOSE, ERR_NETWORK, 0, NULL, "127.0.0.1"},
        {"headers cut", "HTTP/1.1 200 OK\r\nContent-Le", 0, PEER_CLOSE, ERR_NETWORK, 0, NULL,
         "127.0.0.1"},
        {"no answer", NULL, 0, PEER_CLOSE, ERR_NETWORK, 0, NULL, "without an answer"},
        {"reset", NULL, 0, PEER_RESET, ERR_NETWORK, 0, NULL, "broke"},
        {"garbage", "SSH-2.0-OpenSSH_9.2\r\n", 0, PEER_CLOSE, ERR_HTTP, 0, NULL, "not HTTP"},
        {"garbage with escapes", "\x1b[31mred\x07\n\n", 0, PEER_CLOSE, ERR_HTTP, 0, NULL,
         "not HTTP"},
        {"HTTP of the future", "HTTP/9.9 200 OK\r\n\r\n", 0, PEER_CLOSE, ERR_HTTP, 0, NULL,
         "not HTTP"},
        {"headers too long", headers_65k, 0, PEER_CLOSE, ERR_TOO_LARGE, 0, NULL, "headers"},
        {"interim answers without end", many_interim, 0, PEER_CLOSE, ERR_TOO_LARGE, 0, NULL,
         "headers"},
        {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", 0, PEER_CLOSE,
         ERR_HTTP, 0, NULL, "not HTTP"},
    };
    static const struct retry_policy once = {.attempts = 1};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {
            .reply = rows[i].reply, .reply_length = rows[i].reply_length, .then = rows[i].then};
        static char long_body[sizeof headers_65k];
        if (rows[i].reply_length == sizeof headers_65k) {
            memset(long_body, 'b', sizeof long_body);
            memcpy(long_body, rows[i].reply, strlen(rows[i].reply));
            step.reply = long_body;
        }
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f, (struct http_options){.retry = &once});
        enum errc code = get(&f, peer, "/");
        if (code != rows[i].code || f.response.status != rows[i].status ||
            (rows[i].body && strcmp(str_text(&f.response.body), rows[i].body)) ||
            (rows[i].must_say && !strstr(f.err.text, rows[i].must_say)))
            fail_msg("%s: %s, status %d, text '%s'", rows[i].name, errc_name(code),
                     f.response.status, f.err.text);
        for (const char *p = f.err.text; *p; p++)
            assert_true((unsigned char)*p >= 0x20);
        close_client(&f);
        peer_stop(peer);
    }
}

/* ---- what goes out ---- */

static enum errc sign(void *context, struct str *ret_lines, struct error *err)
{
    (void)err;
    unsigned *count = context;
    str_printf(ret_lines, "X-Try: %u\nAuthorization: signed\n", ++*count);
    return RR_OK;
}

static void test_requests_carry_what_was_asked_and_are_signed_anew(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "PUT /a/../b%20c?q=1 HTTP/1.1\r\n\1X-One: 1\r\n\1X-Empty:\r\n\1Content-Length: "
                   "4\r\n\1\r\n\r\nbody"
                   "\1X-Try: 1\r\n\1Authorization: signed\r\n\1User-Agent: restore-reconciler/",
         .forbid = "Expect\1Content-Type\1Accept-Encoding",
         .reply = PEER_STATUS("503 Slow Down")},
        {.expect = "X-Try: 2\r\n\1\r\n\r\nbody", .reply = PEER_STATUS("200 OK")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    unsigned count = 0;
    snprintf(f.url, sizeof f.url, "%s/a/../b%%20c?q=1", peer_url(peer));
    const struct http_header headers[] = {{"X-One", "1"}, {"X-Empty", ""}, {0}};
    struct http_request request = {.method = "PUT",
                                   .url = f.url,
                                   .headers = headers,
                                   .body = "body",
                                   .body_length = 4,
                                   .sign = sign,
                                   .sign_context = &count};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
    assert_int_equal(f.response.status, 200);
    close_client(&f);
    peer_stop(peer);
}

static void test_a_bearer_token_is_sent_and_a_line_break_in_it_refused(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "Authorization: Bearer t0ken\r\n", .reply = PEER_STATUS("200 OK")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    SECRET_GUARD struct secret token = {0};
    secret_set(&token, "t0ken", 5);
    struct http_request request = {.method = "GET", .url = peer_url(peer), .bearer = &token};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
    http_response_release(&f.response);
    secret_set(&token, "t0ken\nX-Evil: 1", 15);
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), ERR_CONFIG);
    assert_null(strstr(f.err.text, "t0ken"));
    close_client(&f);
    peer_stop(peer);
}

static void test_headers_are_those_of_the_final_answer(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply =
             "HTTP/1.1 103 Early Hints\r\nETag: early\r\n\r\n"
             "HTTP/1.1 200 OK\r\nETag: final\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
             "1\r\na\r\n0\r\nX: trailer\r\n\r\n"},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    STR_GUARD struct str value = STR_INIT(100);
    open_client(&f, (struct http_options){0});
    assert_int_equal(get(&f, peer, "/"), RR_OK);
    assert_true(http_header_get(&f.response, "ETag", &value));
    assert_string_equal(str_text(&value), "final");
    assert_false(http_header_get(&f.response, "X", &value));
    close_client(&f);
    peer_stop(peer);
}

static void test_a_write_never_goes_over_a_connection_that_was_idle(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "GET ", .reply = PEER_STATUS("200 OK")},
        {.expect = "PUT ", .on_new_connection = true, .reply = PEER_STATUS("200 OK")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    for (int i = 0; i < 2; i++) {
        struct http_request request = {
            .method = i ? "PUT" : "GET", .url = peer_url(peer), .is_write = i == 1};
        assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
        http_response_release(&f.response);
    }
    close_client(&f);
    peer_stop(peer);
}

static void test_connections_are_reused(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.on_new_connection = true, .reply = PEER_STATUS("200 OK")},
        {.on_old_connection = true,
         .expect = "HEAD /",
         .reply = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"},
        {.on_old_connection = true, .reply = PEER_STATUS("200 OK"), .then = PEER_CLOSE},
        {.on_new_connection = true, .reply = PEER_STATUS("200 OK")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    static const char *const methods[] = {"GET", "HEAD", "GET", "GET"};
    for (int i = 0; i < 4; i++) {
        struct http_request request = {.method = methods[i], .url = peer_url(peer)};
        assert_int_equal(http_send(f.http, &request, &f.response, &f.err), RR_OK);
        http_response_release(&f.response);
    }
    assert_int_equal(f.clock.sleep_count, 0);
    close_client(&f);
    peer_stop(peer);
}

/* ---- trying again ---- */

static void test_trouble_that_may_pass_is_tried_again(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = PEER_ANSWER("500 Oops", "", 3, "one"), .then = PEER_KEEP},
        {.reply = PEER_STATUS("502 Bad Gateway"), .then = PEER_CLOSE},
        {.reply = NULL, .then = PEER_RESET},
        {.reply = PEER_ANSWER("200 OK", "", 9, "cut"), .then = PEER_CLOSE},
        {.reply = PEER_STATUS("504 Gateway Timeout"), .then = PEER_KEEP},
        {.reply = PEER_ANSWER("200 OK", "", 4, "last"), .then = PEER_KEEP},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    assert_int_equal(get(&f, peer, "/"), RR_OK);
    assert_string_equal(str_text(&f.response.body), "last");
    static const uint64_t pauses[] = {250, 500, 1000, 2000, 4000};
    assert_int_equal(f.clock.sleep_count, COUNT(pauses));
    assert_memory_equal(f.clock.sleeps_ms, pauses, sizeof pauses);
    close_client(&f);
    peer_stop(peer);
}

static void test_retry_after_is_honoured_and_capped(void **state)
{
    (void)state;
    enum { NOW_S = 784111777 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *name, *reply;
        uint64_t pause_ms;
    } rows[] = {
        {"seconds", PEER_ANSWER("429 Slow", "Retry-After: 7\r\n", 0, ""), 7000},
        {"any case", PEER_ANSWER("503 Slow", "rEtRy-aFtEr:   3  \r\n", 0, ""), 3000},
        {"too long", PEER_ANSWER("429 Slow", "Retry-After: 3600\r\n", 0, ""), 10000},
        {"less than our own", PEER_ANSWER("429 Slow", "Retry-After: 0\r\n", 0, ""), 250},
        {"date", PEER_ANSWER("503 Slow", "Retry-After: Sun, 06 Nov 1994 08:49:45 GMT\r\n", 0, ""),
         8000},
        {"date gone by",
         PEER_ANSWER("503 Slow", "Retry-After: Sun, 06 Nov 1994 08:49:30 GMT\r\n", 0, ""), 250},
        {"nonsense", PEER_ANSWER("503 Slow", "Retry-After: soon\r\n", 0, ""), 250},
        {"negative", PEER_ANSWER("503 Slow", "Retry-After: -5\r\n", 0, ""), 250},
        {"beyond numbers", PEER_ANSWER("503 Slow", "Retry-After: 99999999999999999999\r\n", 0, ""),
         250},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct peer_step script[] = {{.reply = rows[i].reply},
                                           {.reply = PEER_STATUS("200 OK")}};
        struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f, (struct http_options){0});
        f.clock.wall_s = NOW_S;
        assert_int_equal(get(&f, peer, "/"), RR_OK);
        if (f.clock.sleep_count != 1 || f.clock.sleeps_ms[0] != rows[i].pause_ms)
            fail_msg("%s: paused %lu ms", rows[i].name, (unsigned long)f.clock.sleeps_ms[0]);
        close_client(&f);
        peer_stop(peer);
    }
}

static void test_the_last_answer_is_handed_back_when_tries_are_used_up(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.then = PEER_RESET},
        {.reply = PEER_ANSWER("503 Slow Down", "", 4, "body"), .times = 5},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    assert_int_equal(get(&f, peer, "/"), RR_OK);
    assert_int_equal(f.response.status, 503);
    assert_string_equal(str_text(&f.response.body), "body");
    close_client(&f);
    peer_stop(peer);
}

static void test_the_error_counts_tries_and_keeps_query_and_user_to_itself(void **state)
{
    (void)state;
    static const struct peer_step script[] = {{.then = PEER_RESET, .times = 6}};
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    snprintf(f.url, sizeof f.url, "http://user:s3cret@%s/key?X-Amz-Signature=s3cret",
             peer_host(peer));
    struct http_request request = {.method = "GET", .url = f.url};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), ERR_NETWORK);
    assert_non_null(strstr(f.err.text, "tried 6 times"));
    assert_non_null(strstr(f.err.text, peer_host(peer)));
    assert_null(strstr(f.err.text, "s3cret"));
    assert_null(strstr(f.err.text, "user"));
    close_client(&f);
    peer_stop(peer);
}

static void test_writes_are_repeated_only_when_they_had_no_effect(void **state)
{
    (void)state;
    static const struct {
        const char *name, *reply;
        enum peer_then then;
        enum errc code;
        int status;
        size_t request_count;
    } rows[] = {
        {"answer lost", NULL, PEER_CLOSE, ERR_NETWORK, 0, 1},
        {"reset", NULL, PEER_RESET, ERR_NETWORK, 0, 1},
        {"answer cut", PEER_ANSWER("200 OK", "", 9, "cut"), PEER_CLOSE, ERR_NETWORK, 0, 1},
        {"answer not HTTP", "hello\r\n", PEER_CLOSE, ERR_HTTP, 0, 1},
        {"500", PEER_STATUS("500 Oops"), PEER_CLOSE, RR_OK, 500, 1},
        {"504", PEER_STATUS("504 Gateway Timeout"), PEER_CLOSE, RR_OK, 504, 1},
        {"503", PEER_STATUS("503 Slow Down"), PEER_CLOSE, RR_OK, 503, 6},
        {"429", PEER_STATUS("429 Slow Down"), PEER_CLOSE, RR_OK, 429, 6},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {.reply = rows[i].reply,
                                 .then = rows[i].then,
                                 .on_new_connection = true,
                                 .times = (unsigned)rows[i].request_count};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f, (struct http_options){0});
        struct http_request request = {
            .method = "PUT", .url = peer_url(peer), .body_limit = 100, .is_write = true};
        enum errc code = http_send(f.http, &request, &f.response, &f.err);
        if (code != rows[i].code || f.response.status != rows[i].status ||
            peer_count(peer) != rows[i].request_count)
            fail_msg("%s: %s, status %d, %zu requests", rows[i].name, errc_name(code),
                     f.response.status, peer_count(peer));
        close_client(&f);
        peer_stop(peer);
    }
}

static void test_a_write_that_was_never_sent_is_tried_again(void **state)
{
    (void)state;
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    struct http_request request = {.method = "PUT", .url = "http://127.0.0.1:1/", .is_write = true};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), ERR_NETWORK);
    assert_int_equal(f.clock.sleep_count, 5);
    assert_non_null(strstr(f.err.text, "cannot connect to '127.0.0.1:1'"));
    close_client(&f);
}

static void test_a_name_that_cannot_be_resolved_is_tried_again(void **state)
{
    (void)state;
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    struct http_request request = {.method = "GET", .url = "http://no-such-host.invalid/"};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), ERR_NETWORK);
    assert_non_null(strstr(f.err.text, "cannot be resolved"));
    assert_int_equal(f.clock.sleep_count, 5);
    close_client(&f);
}

/* ---- patience ---- */

static void *cancel_soon(void *context)
{
    usleep(100 * 1000);
    cancel_request(context);
    return NULL;
}

static void test_a_cancel_ends_a_silent_request_quickly(void **state)
{
    (void)state;
    static const struct peer_step script[] = {{.reply = "HTTP/1.1 200 OK\r\n", .then = PEER_STALL}};
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    pthread_t thread;
    pthread_create(&thread, NULL, cancel_soon, &f.cancel);
    uint64_t begin_ms = clock_boottime_ms(clock_system());
    assert_int_equal(get(&f, peer, "/"), ERR_CANCELLED);
    uint64_t took_ms = clock_boottime_ms(clock_system()) - begin_ms;
    if (took_ms < 90 || took_ms > 100 + 250 + 150)
        fail_msg("%lu ms", (unsigned long)took_ms);
    pthread_join(thread, NULL);
    close_client(&f);
    peer_stop(peer);
}

static void test_stalls_and_deadlines_end_a_try(void **state)
{
    (void)state;
    static const struct {
        const char *name, *reply, *must_say;
        uint64_t stall_ms, deadline_ms;
    } rows[] = {
        {"no answer", NULL, "sent nothing for 300 ms", 300, 0},
        {"half an answer", PEER_ANSWER("200 OK", "", 9, "cut"), "sent nothing for 300 ms", 300, 0},
        {"too slow in all", PEER_ANSWER("200 OK", "", 9, "cut"), "not done answering after 300 ms",
         0, 300},
    };
    static const struct retry_policy twice = {.attempts = 2};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {.reply = rows[i].reply, .then = PEER_STALL, .times = 2};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f,
                    (struct http_options){.retry = &twice, .stall_timeout_ms = rows[i].stall_ms});
        struct http_request request = {.method = "GET",
                                       .url = peer_url(peer),
                                       .body_limit = 100,
                                       .deadline_ms = rows[i].deadline_ms};
        enum errc code = http_send(f.http, &request, &f.response, &f.err);
        if (code != ERR_TIMEOUT || !strstr(f.err.text, rows[i].must_say))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), f.err.text);
        close_client(&f);
        peer_stop(peer);
    }
}

/* ---- ranges ---- */

static enum errc get_range(struct fixture *f, const struct peer *peer, struct http_range range)
{
    struct http_request request = {.method = "GET", .url = peer_url(peer), .body_limit = 1000};
    return http_get_range(f->http, &request, &range, &f->response, &f->err);
}

static void test_a_cut_range_is_continued_where_it_broke(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "Range: bytes=100-109\r\n",
         .then = PEER_CLOSE,
         .reply =
             PEER_ANSWER("206 Partial Content", "Content-Range: bytes 100-109/999\r\n", 10, "012")},
        {.expect = "Range: bytes=103-109\r\n", .reply = PEER_STATUS("503 Slow Down")},
        {.expect = "Range: bytes=103-109\r\n",
         .then = PEER_RESET,
         .reply =
             PEER_ANSWER("206 Partial Content", "Content-Range: bytes 103-109/999\r\n", 7, "")},
        {.expect = "Range: bytes=103-109\r\n",
         .reply = PEER_ANSWER("206 Partial Content", "Content-Range: bytes 103-109/999\r\n", 7,
                              "3456789")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_PLAIN);
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    char buffer[11] = "";
    assert_int_equal(get_range(&f, peer, (struct http_range){100, 10, .buffer = buffer}), RR_OK);
    assert_int_equal(f.response.status, 206);
    assert_string_equal(buffer, "0123456789");
    close_client(&f);
    peer_stop(peer);
}

static enum errc refuse_answer(const void *context, const struct http_response *response,
                               struct error *err)
{
    (void)context;
    STR_GUARD struct str etag = STR_INIT(100);
    assert_true(http_header_get(response, "ETag", &etag));
    return error_set(err, ERR_BACKUP_CHANGED, "tag %s", str_text(&etag));
}

static void test_answers_to_a_range(void **state)
{
    (void)state;
#define PARTIAL(headers, length, body) PEER_ANSWER("206 Partial Content", headers, length, body)
    static const struct {
        const char *name, *reply;
        enum errc code;
        int status;
        const char *must_say;
        bool is_checked;
    } rows[] = {
        {"right", PARTIAL("Content-Range: bytes 5-8/99\r\n", 4, "abcd"), RR_OK, 206, NULL, false},
        {"size unknown", PARTIAL("Content-Range: bytes 5-8/*\r\n", 4, "abcd"), RR_OK, 206, NULL,
         false},
        {"whole object", PEER_ANSWER("200 OK", "", 9, "abcdefghi"), RR_OK, 200, NULL, false},
        {"whole object of that length", PEER_ANSWER("200 OK", "", 4, "abcd"), RR_OK, 200, NULL,
         false},
        {"outside", PEER_ANSWER("416 Range", "", 4, "text"), RR_OK, 416, NULL, false},
        {"changed", PEER_ANSWER("412 Precondition", "", 0, ""), RR_OK, 412, NULL, false},
        {"no Content-Range", PARTIAL("", 4, "abcd"), ERR_HTTP, 0, "other bytes", false},
        {"begins elsewhere", PARTIAL("Content-Range: bytes 6-8/99\r\n", 3, "bcd"), ERR_HTTP, 0,
         "other bytes", false},
        {"ends early", PARTIAL("Content-Range: bytes 5-7/99\r\n", 3, "abc"), ERR_HTTP, 0,
         "other bytes", false},
        {"other unit", PARTIAL("Content-Range: lines 5-8/99\r\n", 4, "abcd"), ERR_HTTP, 0,
         "other bytes", false},
        {"no numbers", PARTIAL("Content-Range: bytes */99\r\n", 4, "abcd"), ERR_HTTP, 0,
         "other bytes", false},
        {"body too long", PARTIAL("Content-Range: bytes 5-8/99\r\n", 5, "abcde"), ERR_HTTP, 0,
         "more bytes", false},
        {"body too short", PARTIAL("Content-Range: bytes 5-8/99\r\n", 3, "abc"), ERR_NETWORK, 0,
         "cut off", false},
        {"check says no", PARTIAL("ETag: new\r\nContent-Range: bytes 5-8/99\r\n", 4, "abcd"),
         ERR_BACKUP_CHANGED, 0, "tag new", true},
    };
    static const struct retry_policy once = {.attempts = 1};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {.reply = rows[i].reply};
        struct peer *peer = peer_start(&step, 1, PEER_PLAIN);
        struct fixture f = {0};
        open_client(&f, (struct http_options){.retry = rows[i].is_checked ? NULL : &once});
        char buffer[6] = "-----";
        struct http_range range = {5, 4, .buffer = buffer,
                                   .check = rows[i].is_checked ? refuse_answer : NULL};
        enum errc code = get_range(&f, peer, range);
        if (code != rows[i].code || f.response.status != rows[i].status ||
            (rows[i].must_say && !strstr(f.err.text, rows[i].must_say)))
            fail_msg("%s: %s, status %d, text '%s'", rows[i].name, errc_name(code),
                     f.response.status, f.err.text);
        assert_string_equal(buffer + 4, "-"); /* never a byte behind the range */
        if (rows[i].is_checked || f.response.status == 200)
            assert_string_equal(buffer, "-----");
        if (f.response.status == 206)
            assert_string_equal(buffer, "abcd-");
        close_client(&f);
        peer_stop(peer);
    }
}

/* ---- TLS ---- */

static void test_certificates_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum peer_tls tls;
        bool has_ca;
        enum errc code;
        const char *hint;
    } rows[] = {
        {"right CA", PEER_TLS, true, RR_OK, NULL},
        {"unknown CA", PEER_TLS, false, ERR_TLS, "AWS_CA_BUNDLE"},
        {"other name", PEER_TLS_WRONG_NAME, true, ERR_TLS, "another name"},
        {"expired", PEER_TLS_EXPIRED, true, ERR_TLS, "clock"},
        {"TLS 1.1", PEER_TLS_OLD, true, ERR_TLS, "TLS 1.2"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {.reply = PEER_ANSWER("200 OK", "", 2, "ok")};
        struct peer *peer = peer_start(&step, rows[i].code == RR_OK, rows[i].tls);
        struct fixture f = {0};
        open_client(&f,
                    (struct http_options){.ca_file = rows[i].has_ca ? peer_ca_file(peer) : NULL});
        enum errc code = get(&f, peer, "/");
        if (code != rows[i].code || (rows[i].hint && !strstr(f.err.hint, rows[i].hint)))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), f.err.text,
                     f.err.hint);
        assert_int_equal(f.clock.sleep_count, 0);
        close_client(&f);
        peer_stop(peer);
    }
}

static void test_the_ca_file_is_given_or_found(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = PEER_STATUS("200 OK")},
        {.reply = PEER_STATUS("200 OK")},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_TLS);
    struct fixture f = {0};
    setenv("SSL_CERT_FILE", peer_ca_file(peer), 1);
    open_client(&f, (struct http_options){0});
    assert_int_equal(get(&f, peer, "/"), RR_OK);
    close_client(&f);
    setenv("SSL_CERT_FILE", "/nonexistent/ca.pem", 1);
    f = (struct fixture){0};
    open_client(&f, (struct http_options){.ca_file = peer_ca_file(peer)});
    assert_int_equal(get(&f, peer, "/"), RR_OK);
    close_client(&f);
    f = (struct fixture){0};
    open_client(&f, (struct http_options){0});
    assert_int_equal(get(&f, peer, "/"), ERR_TLS);
    assert_non_null(strstr(f.err.hint, "/nonexistent/ca.pem"));
    close_client(&f);
    unsetenv("SSL_CERT_FILE");
    peer_stop(peer);
}

static void test_a_refused_tls_connection_is_trouble_that_may_pass(void **state)
{
    (void)state;
    struct fixture f = {0};
    open_client(&f, (struct http_options){0});
    struct http_request request = {.method = "GET", .url = "https://127.0.0.1:1/"};
    assert_int_equal(http_send(f.http, &request, &f.response, &f.err), ERR_NETWORK);
    assert_int_equal(f.clock.sleep_count, 5);
    close_client(&f);
}

/* ---- small things ---- */

static void test_headers_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *headers, *want, *value;
    } rows[] = {
        {"plain", "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n\r\n", "ETag", "\"a\""},
        {"case", "HTTP/1.1 200 OK\r\neTAG:x\r\n", "Etag", "x"},
        {"first of two", "A: 1\r\nA: 2\r\n", "a", "1"},
        {"blanks around", "A: \t 1 2 \t\r\n", "a", "1 2"},
        {"empty value", "A:\r\nB: x\r\n", "A", ""},
        {"longer name", "A-B: 1\r\n", "A", NULL},
        {"shorter name", "A: 1\r\n", "A-B", NULL},
        {"in a value", "X: A: 1\r\n", "A", NULL},
        {"none", "", "A", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_response response = {.headers = STR_INIT(1000)};
        STR_GUARD struct str value = STR_INIT(100);
        str_append(&response.headers, rows[i].headers);
        bool is_there = http_header_get(&response, rows[i].want, &value);
        if (is_there != (rows[i].value != NULL) ||
            (is_there && strcmp(str_text(&value), rows[i].value)))
            fail_msg("%s: '%s'", rows[i].name, str_text(&value));
        http_response_release(&response);
    }
}

static void test_dates(void **state)
{
    (void)state;
    int64_t seconds;
    assert_true(http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT", &seconds));
    assert_int_equal(seconds, 784111777);
    assert_true(http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT", &seconds));
    assert_int_equal(seconds, 784111777);
    assert_false(http_date_parse("yesterday", &seconds));
    assert_false(http_date_parse("", &seconds));
}

static int clean_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "https_proxy",   "all_proxy",   "HTTPS_PROXY",
                                        "ALL_PROXY",  "SSL_CERT_FILE", "SSL_CERT_DIR"};
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_answers),
        cmocka_unit_test(test_requests_carry_what_was_asked_and_are_signed_anew),
        cmocka_unit_test(test_a_bearer_token_is_sent_and_a_line_break_in_it_refused),
        cmocka_unit_test(test_headers_are_those_of_the_final_answer),
        cmocka_unit_test(test_a_write_never_goes_over_a_connection_that_was_idle),
        cmocka_unit_test(test_connections_are_reused),
        cmocka_unit_test(test_trouble_that_may_pass_is_tried_again),
        cmocka_unit_test(test_retry_after_is_honoured_and_capped),
        cmocka_unit_test(test_the_last_answer_is_handed_back_when_tries_are_used_up),
        cmocka_unit_test(test_the_error_counts_tries_and_keeps_query_and_user_to_itself),
        cmocka_unit_test(test_writes_are_repeated_only_when_they_had_no_effect),
        cmocka_unit_test(test_a_write_that_was_never_sent_is_tried_again),
        cmocka_unit_test(test_a_name_that_cannot_be_resolved_is_tried_again),
        cmocka_unit_test(test_a_cancel_ends_a_silent_request_quickly),
        cmocka_unit_test(test_stalls_and_deadlines_end_a_try),
        cmocka_unit_test(test_a_cut_range_is_continued_where_it_broke),
        cmocka_unit_test(test_answers_to_a_range),
        cmocka_unit_test(test_certificates_are_checked),
        cmocka_unit_test(test_the_ca_file_is_given_or_found),
        cmocka_unit_test(test_a_refused_tls_connection_is_trouble_that_may_pass),
        cmocka_unit_test(test_headers_are_found),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests_name("net/http", tests, clean_environment, NULL);
}
