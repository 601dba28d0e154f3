/*
 * exchange - scripts for the peer, one line a request: what it must hold, and the answer's status
 * and body. Include client.h and peer.c as well.
 */
#ifndef RR_TESTS_KUBE_EXCHANGE_H
#define RR_TESTS_KUBE_EXCHANGE_H

#include "lib/base/arena.h"
#include "tests/unit/kube/client.h"

enum { EXCHANGES_MAX = 12 };

struct exchange {
    const char *expect, *forbid; /* as struct peer_step has them */
    const char *status;          /* "200 OK"; NULL: the connection breaks without an answer */
    const char *body;
    unsigned times;
};

#define OK_STATUS "200 OK"
#define GONE "404 Not Found"
#define STATUS_BODY(code, message)                                                                 \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message     \
    "\",\"code\":" #code "}"

/* Connections are not kept: an answer that is lost is then lost on a fresh one. */
static inline struct peer_step exchange_step(struct arena *arena, const struct exchange *exchange)
{
    struct peer_step step = {
        .expect = exchange->expect, .forbid = exchange->forbid, .times = exchange->times};
    step.then = PEER_CLOSE;
    if (exchange->status)
        step.reply =
            arena_printf(arena, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                         exchange->status, strlen(exchange->body), exchange->body);
    return step;
}

/* A peer with these exchanges, up to the first that has neither expectation nor status, and a
 * client of it. */
static inline struct peer *exchange_start(struct arena *arena, struct client *c,
                                          const struct exchange *exchanges, size_t max)
{
    struct peer_step *steps = arena_array(arena, max, sizeof *steps);
    size_t count = 0;
    while (count < max && (exchanges[count].expect || exchanges[count].status)) {
        steps[count] = exchange_step(arena, &exchanges[count]);
        count++;
    }
    struct peer *peer = peer_start(steps, count, PEER_PLAIN);
    client_init(c, peer);
    c->options.patience_ms = 100;
    client_start(c);
    return peer;
}

static inline void exchange_stop(struct client *c, struct peer *peer)
{
    client_close(c);
    peer_stop(peer);
}

#endif
