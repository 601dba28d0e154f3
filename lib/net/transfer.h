/*
 * transfer - one try of one HTTP request; http.c decides what is tried again. Private to this room.
 *
 * A `struct transport` is libcurl's handle with its pool of connections. transfer_run() drives it
 * in short steps, so that a cancel, the deadline and a stall are noticed within CANCEL_POLL_MS.
 */
#ifndef RR_NET_TRANSFER_H
#define RR_NET_TRANSFER_H

#include "lib/net/http.h"

struct transport;

struct transfer {
    const struct http_request *request;
    const struct http_range *range; /* NULL: the whole answer goes into response.body */
    size_t range_done; /* bytes of the range that earlier tries have brought; counts on */
    const char *lines; /* further header lines, each ended by '\n' */
    /* What came of it. */
    struct http_response response; /* status 0 until headers were complete */
    bool was_sent;                 /* at least a part of the request went out */
    bool is_refused;               /* range->check said no: not to be tried again */
};

/* `options` as http_open() got them, completed: clock, timeouts. */
enum errc transport_open(const struct http_options *options, struct transport **ret_transport,
                         struct error *err) RR_MUST_CHECK;
void transport_close(struct transport *transport); /* NULL is accepted */

/* RR_OK: an answer came, whatever its status. ERR_NETWORK, ERR_TLS, ERR_TIMEOUT, ERR_HTTP,
 * ERR_TOO_LARGE, ERR_CANCELLED, or what range->check said. */
enum errc transfer_run(struct transport *transport, struct transfer *transfer,
                       struct error *err) RR_MUST_CHECK;

#endif
