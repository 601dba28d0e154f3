/*
 * route - the way to the API server: its URL, whom to trust on it, and as whom to come. Private to
 * this room.
 */
#ifndef RR_KUBE_ROUTE_H
#define RR_KUBE_ROUTE_H

#include <stdint.h>

#include "lib/kube/kubeconfig.h"

struct cancel;
struct clock;
struct http;

/* How long a connection lives, and after how long a client certificate is read again. */
enum { ROUTE_LIFETIME_MS = 5 * 60 * 1000 };

struct route {
    const struct kubeconfig *config;
    char *base_url;   /* what requests go to: with the TLS name, where there is one */
    char *connect_to; /* NULL: to where base_url says */
    /* For the caller to set. */
    const struct clock *clock;
    const struct cancel *cancel;
    uint64_t stall_timeout_ms;
};

void route_init(struct route *route, const struct kubeconfig *config);
void route_release(struct route *route);
/* A client with the client certificate as it is now. Caller: http_close(). ERR_TLS, ERR_IO. */
enum errc route_open(const struct route *route, struct http **ret_http,
                     struct error *err) RR_MUST_CHECK;

#endif
