/*
 * http - one HTTP request, with one retry policy, deadlines and bounded bodies, on libcurl, which
 * stays inside this room.
 *
 * A `struct http` is one client: one connection pool, one owner thread. TLS is verified against, in
 * this order: the CA given (and nothing else then), SSL_CERT_FILE, or the first bundle found where
 * systems keep them; there is no way to switch verification off. Redirects are not followed.
 * Proxies are taken from the environment as curl does, unless one is given. Request and answer
 * bodies are never logged.
 */
#ifndef RR_NET_HTTP_H
#define RR_NET_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/retry.h"
#include "lib/base/secret.h"
#include "lib/base/str.h"

struct cancel;
struct clock;
struct http;

struct http_options {
    const char *ca_file; /* PEM bundle, read for every new connection; NULL: as above; copied */
    const char *ca_pem;  /* the bundle itself, wins over ca_file; NULL; copied */
    /* Client certificate and key, PEM; both or none; copied. */
    const char *certificate_pem;
    const struct secret *key_pem;
    const char *proxy_url;  /* NULL: from the environment; copied */
    const char *connect_to; /* "host:port" to connect to, whatever the URL says; NULL; copied */
    /* What the operator is told to do about a certificate of an unknown authority, and about one
     * for another name; NULL: what holds for an object store; copied. */
    const char *unknown_ca_hint, *wrong_name_hint;
    uint64_t connection_lifetime_ms;  /* an older connection is not used again; 0: any age */
    const struct clock *clock;        /* NULL: clock_system() */
    const struct cancel *cancel;      /* NULL: cannot be interrupted; must outlive the client */
    uint64_t connect_timeout_ms;      /* 0: 10 s */
    uint64_t stall_timeout_ms;        /* no byte for that long ends a try; 0: 30 s */
    const struct retry_policy *retry; /* NULL: 6 tries, 250 ms to 10 s, 2 minutes in all */
};

struct http_header {
    const char *name, *value;
};

struct http_request {
    const char *method;                /* "GET", "HEAD", "PUT" ... */
    const char *url;                   /* absolute, percent-encoded */
    const struct http_header *headers; /* ends with name NULL; may be NULL */
    const struct secret *bearer;       /* "Authorization: Bearer ..."; may be NULL */
    const void *body;                  /* may be NULL */
    size_t body_length;
    uint64_t deadline_ms; /* for one try, in all; 0: 60 s plus what body_limit needs at 64 KiB/s */
    size_t body_limit;    /* of the answer; more is ERR_TOO_LARGE, at once if a header says so */
    const struct retry_policy *retry; /* for this call; NULL: the client's */
    /* Called before each try, to sign it anew: fills `ret_lines` with extra header lines
     * ("Name: value" each, terminated by '\n'). May be NULL. */
    enum errc (*sign)(void *context, struct str *ret_lines, struct error *err);
    void *sign_context;
    bool is_write; /* outcome unknown after a lost answer: then not retried, ERR_NETWORK */
    bool is_deaf;  /* not interrupted by the client's cancel */
};

struct http_response {
    int status;          /* 0: no answer */
    bool may_have_acted; /* on failure: the request went out, so the server may have done it */
    struct str body;     /* caller releases with http_response_release() */
    struct str headers;  /* raw lines of the final answer */
};

/* Lets other users of OpenSSL in this process (libpq with sslrootcert=system) find the CA bundle
 * that this client uses, by SSL_CERT_FILE, unless the environment names one. Before the first
 * thread starts. */
void http_export_ca(void);

/* Caller frees with http_close(). ERR_TLS: client certificate or key cannot be used. */
enum errc http_open(const struct http_options *options, struct http **ret_http,
                    struct error *err) RR_MUST_CHECK;
void http_close(struct http *http); /* NULL is accepted */
void http_guard(struct http **http);
#define HTTP_GUARD __attribute__((cleanup(http_guard)))

/* Sends, and retries 429 (Retry-After honoured), 500, 502, 503, 504 and connection trouble by the
 * policy. Every other status is a success here: the caller looks at it. After retries are used up,
 * a 429 or 5xx is also handed back as an answer when one came (`status` set), network trouble is
 * ERR_NETWORK, ERR_TLS, ERR_TIMEOUT, what is not HTTP ERR_HTTP. A body shorter than Content-Length
 * is ERR_NETWORK (retried). A write is repeated only when it surely had no effect: it could not be
 * sent, or was answered 429 or 503. Error texts name the host, never a query, a header or a body.
 * `ret_response` must be empty ({0} or released) and is filled on success; on failure only
 * may_have_acted is set. */
enum errc http_send(struct http *http, const struct http_request *request,
                    struct http_response *ret_response, struct error *err) RR_MUST_CHECK;

/* Bytes [offset, offset + length) of what a GET answers. */
struct http_range {
    uint64_t offset;
    size_t length; /* at least 1 */
    void *buffer;
    /* Looks at status and headers of each 206 before any of its bytes is taken; an error ends the
     * call without another try. May be NULL. */
    enum errc (*check)(const void *context, const struct http_response *response,
                       struct error *err);
    const void *check_context;
};

/* As http_send() for a GET, with the Range header added. With status 206 the buffer is full. When
 * the answer is cut off, the next try asks only for what is missing. Content-Range must say exactly
 * what was asked for, else ERR_HTTP. With status 200 the server ignores ranges: nothing of its body
 * is read. For other statuses the body is in ret_response->body. */
enum errc http_get_range(struct http *http, const struct http_request *request,
                         const struct http_range *range, struct http_response *ret_response,
                         struct error *err) RR_MUST_CHECK;

/* Value of a header of the final answer, copied into `ret_value` (cleared first); false if absent.
 * The name is compared without regard to case; of several the first counts. */
bool http_header_get(const struct http_response *response, const char *name, struct str *ret_value);
/* A date as headers have it (RFC 9110 section 5.6.7), in seconds since 1970. */
bool http_date_parse(const char *text, int64_t *ret_seconds);
void http_response_release(struct http_response *response);
#define HTTP_RESPONSE_GUARD __attribute__((cleanup(http_response_release)))

#endif
