#include "lib/net/failure.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

enum {
    SHOWN_BYTES = 200,
    VERIFY_NOT_REACHED = 1,   /* libcurl's value while only the name has been looked at */
    VERIFY_NOT_YET_VALID = 9, /* X509_V_ERR_CERT_NOT_YET_VALID and ..._HAS_EXPIRED */
    VERIFY_EXPIRED = 10,
};

/* A certificate whose authority has the name of a trusted one, but another key: its signature is
 * wrong, and libcurl hands on what the library of the signature says. Clusters that are made anew
 * look like that. */
static bool is_wrong_signature(const struct failure *failure)
{
    return failure->result == CURLE_SSL_CONNECT_ERROR && strstr(failure->curl_text, " routines") &&
           !strstr(failure->curl_text, "SSL routines");
}

static enum errc report_tls(const struct failure *failure, const char *text, struct error *err)
{
    bool is_refused = failure->result == CURLE_PEER_FAILED_VERIFICATION;
    long verify = failure->verify_result;
    error_set(err, ERR_TLS, "no trusted TLS connection to %s: %s", failure->host, text);
    const char *file = failure->ca_file ? failure->ca_file : "'' (no CA bundle was found)";
    if (is_refused && verify <= VERIFY_NOT_REACHED)
        return error_hint(err, "%s",
                          failure->wrong_name_hint
                              ? failure->wrong_name_hint
                              : "the certificate is for another name than the one in the URL");
    if (is_refused && (verify == VERIFY_NOT_YET_VALID || verify == VERIFY_EXPIRED))
        return error_hint(err, "compare the certificate's dates with this machine's clock");
    bool is_unknown =
        is_refused || failure->result == CURLE_SSL_CACERT_BADFILE || is_wrong_signature(failure);
    if (is_unknown && failure->unknown_ca_hint)
        return error_hint(err, "%s", failure->unknown_ca_hint);
    if (is_unknown)
        return error_hint(err,
                          "certificates are checked against the CA file %s; another one (PEM) is "
                          "given in AWS_CA_BUNDLE (object store) or SSL_CERT_FILE",
                          file);
    return error_hint(err,
                      "check that the URL's scheme (https) and port are right, and that the server "
                      "speaks TLS 1.2 or newer");
}

/* The handshake fails with one code whether the peer speaks no TLS or the network broke. */
static bool is_broken_handshake(const struct failure *failure)
{
    return failure->sys_errno != 0 || strstr(failure->curl_text, "SSL_ERROR_SYSCALL") ||
           strstr(failure->curl_text, "unexpected eof") ||
           strstr(failure->curl_text, "Connection reset");
}

/* The proxy answered, but opened no way to the host. */
static enum errc report_proxy(const struct failure *failure, const char *text, struct error *err)
{
    error_set(err, ERR_NETWORK, "the proxy opens no connection to %s: %s", failure->host, text);
    return error_hint(err, "check the proxy's rules and log, and no_proxy in the environment");
}

enum errc failure_report(const struct failure *failure, struct error *err)
{
    const char *host = failure->host;
    STR_GUARD struct str quoted = STR_INIT(4 * SHOWN_BYTES);
    str_append_quoted(&quoted, failure->curl_text, SHOWN_BYTES);
    const char *text = str_text(&quoted);
    switch (failure->result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        error_set(err, ERR_NETWORK, "the name of %s cannot be resolved", host);
        return error_hint(err, "check the host name and this machine's DNS");
    case CURLE_COULDNT_RESOLVE_PROXY:
        error_set(err, ERR_NETWORK, "the name of the proxy for %s cannot be resolved", host);
        return error_hint(err, "check http_proxy, https_proxy and no_proxy in the environment");
    case CURLE_COULDNT_CONNECT:
        error_set(err, ERR_NETWORK, "cannot connect to %s: %s", host, text);
        return error_hint(err,
                          "check that it is running, and network policies and proxies in between");
    case CURLE_OPERATION_TIMEDOUT:
        error_set(err, ERR_TIMEOUT, "%s did not accept a connection within %" PRIu64 " ms", host,
                  failure->connect_timeout_ms);
        return error_hint(err, "check host, port, network policies and proxies in between");
    case CURLE_GOT_NOTHING:
        error_set(err, ERR_NETWORK, "%s closed the connection without an answer", host);
        return error_hint(err,
                          "check the URL's scheme (http or https) and port, and the server's log");
    case CURLE_PARTIAL_FILE:
        return error_set(err, ERR_NETWORK, "the answer of %s was cut off", host);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        error_set(err, ERR_HTTP, "what %s answered is not HTTP: %s", host, text);
        return error_hint(err, "check the URL's scheme (http or https) and port");
    case CURLE_URL_MALFORMAT:
        return error_set(err, ERR_CONFIG, "the URL with host %s is malformed", host);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return report_tls(failure, text, err);
    case CURLE_SSL_CONNECT_ERROR:
        if (!is_broken_handshake(failure))
            return report_tls(failure, text, err);
        return error_set(err, ERR_NETWORK, "the connection to %s broke: %s", host, text);
    case CURLE_OUT_OF_MEMORY:
        mem_die(0);
    default:
        if (strstr(failure->curl_text, "CONNECT"))
            return report_proxy(failure, text, err);
        return error_set(err, ERR_NETWORK, "the connection to %s broke: %s", host, text);
    }
}
