/*
 * peer - a scripted HTTP server in a thread, for unit tests.
 *
 * The script is a list of steps; each request uses up one. Include peer.c from the test file (every
 * test is one translation unit linked with the library).
 *
 *     static const struct peer_step script[] = {
 *         {.expect = "GET /a HTTP/1.1\r\n", .reply = PEER_OK("hello")},
 *         {.reply = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", .then = PEER_CLOSE},
 *     };
 *     struct peer *peer = peer_start(script, 2, PEER_PLAIN);
 *     ... http_send() to peer_url(peer) ...
 *     peer_stop(peer);   fails the test unless exactly these requests came
 */
#ifndef RR_TESTS_PEER_H
#define RR_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/clock.h"

enum peer_then {
    PEER_KEEP,      /* keep the connection for the next request */
    PEER_CLOSE,     /* close it properly */
    PEER_RESET,     /* break it (RST) */
    PEER_STALL,     /* say nothing more, until the client goes or the peer is stopped */
    PEER_START_TLS, /* of a PEER_PROXY: go on with TLS, as the host that was asked for would */
};

struct peer_step {
    const char *expect; /* texts that the request must hold, separated by '\1'; NULL: any request */
    const char *forbid; /* texts of which it must hold none; NULL: none */
    const char *reply;  /* NULL: nothing */
    size_t reply_length; /* 0: strlen(reply) */
    enum peer_then then;
    bool on_new_connection; /* the request must be the first of its connection */
    bool on_old_connection; /* it must not */
    unsigned times;         /* the same step so many times; 0: once */
};

/* With TLS the peer has a certificate for 127.0.0.1, signed by a CA of its own (peer_ca_file()). */
enum peer_tls {
    PEER_PLAIN,
    PEER_TLS,
    PEER_TLS_WRONG_NAME, /* for "elsewhere.example" */
    PEER_TLS_EXPIRED,
    PEER_TLS_OLD,
    PEER_TLS_CLIENT, /* wants a client certificate that its CA has signed */
    PEER_PROXY,      /* plain until a step says PEER_START_TLS */
};

struct peer;

/* The script must outlive the peer. */
struct peer *peer_start(const struct peer_step *script, size_t count, enum peer_tls tls);
/* "http://127.0.0.1:PORT" or https. */
const char *peer_url(const struct peer *peer);
/* "127.0.0.1:PORT" */
const char *peer_host(const struct peer *peer);
/* A file with the CA's certificate in PEM; removed by peer_stop(). */
const char *peer_ca_file(const struct peer *peer);
/* A client certificate that the CA has signed, and its key, in PEM. */
const char *peer_client_certificate(const struct peer *peer);
const char *peer_client_key(const struct peer *peer);
/* Requests taken so far. */
size_t peer_count(const struct peer *peer);
/* Ends the thread; fails the test when a request differed, was missing, or was one too many. */
void peer_stop(struct peer *peer);

/* A complete answer with a body (a string literal). */
#define PEER_ANSWER(status, headers, length, body)                                                 \
    "HTTP/1.1 " status "\r\n" headers "Content-Length: " #length "\r\n\r\n" body
#define PEER_STATUS(status) PEER_ANSWER(status, "", 0, "")

/* A clock that counts real time, but whose sleeps end at once, count as slept, and are written
 * down. */
struct quick_clock {
    struct clock base;
    int64_t wall_s;    /* 0: the real one */
    uint64_t slept_ms; /* in all; a test may add to it to let time go by */
    size_t sleep_count;
    uint64_t sleeps_ms[32];
};
void quick_clock_init(struct quick_clock *clock);

#endif
