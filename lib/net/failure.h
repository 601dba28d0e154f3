/*
 * failure - why a try of a request failed, in our words instead of libcurl's. Private to this room.
 *
 * What libcurl and the peer say is quoted, so that it stays on one line; queries, headers and
 * bodies never get here.
 */
#ifndef RR_NET_FAILURE_H
#define RR_NET_FAILURE_H

#include <stdint.h>

#include "lib/base/error.h"

struct failure {
    int result;                                    /* CURLcode */
    const char *curl_text;                         /* libcurl's words, "" for none */
    const char *host;                              /* quoted, as it is shown */
    const char *ca_file;                           /* NULL: there is none */
    const char *unknown_ca_hint, *wrong_name_hint; /* NULL: the general ones */
    long verify_result; /* X509_V_...: what OpenSSL thinks of the certificate */
    long sys_errno;     /* of a connection that failed */
    uint64_t connect_timeout_ms;
};

/* Fills the slot and returns its code: ERR_NETWORK, ERR_TLS, ERR_TIMEOUT, ERR_HTTP, ERR_CONFIG. */
enum errc failure_report(const struct failure *failure, struct error *err) RR_MUST_CHECK;

#endif
