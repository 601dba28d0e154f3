#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "lib/net/failure.h"

static void test_what_libcurl_says(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        CURLcode result;
        const char *curl_text;
        long verify_result, sys_errno;
        enum errc code;
        const char *text, *hint;
    } rows[] = {
        {"name", CURLE_COULDNT_RESOLVE_HOST, "", 0, 0, ERR_NETWORK, "'h:1' cannot be resolved",
         "DNS"},
        {"name of the proxy", CURLE_COULDNT_RESOLVE_PROXY, "", 0, 0, ERR_NETWORK, "proxy",
         "https_proxy"},
        {"refused", CURLE_COULDNT_CONNECT, "Connection refused", 0, 111, ERR_NETWORK, "refused",
         "running"},
        {"no answer to the connection", CURLE_OPERATION_TIMEDOUT, "", 0, 0, ERR_TIMEOUT, "10 ms",
         "network"},
        {"nothing", CURLE_GOT_NOTHING, "", 0, 0, ERR_NETWORK, "without an answer", "scheme"},
        {"cut", CURLE_PARTIAL_FILE, "", 0, 0, ERR_NETWORK, "cut off", ""},
        {"reset", CURLE_RECV_ERROR, "Recv failure: Connection reset by peer", 0, 0, ERR_NETWORK,
         "reset", ""},
        {"chunks", CURLE_READ_ERROR, "", 0, 0, ERR_NETWORK, "broke", ""},
        {"garbage", CURLE_WEIRD_SERVER_REPLY, "a\nb\x1b", 0, 0, ERR_HTTP, "'a\\nb\\x1b'", "scheme"},
        {"old garbage", CURLE_UNSUPPORTED_PROTOCOL, "Received HTTP/0.9", 0, 0, ERR_HTTP, "not HTTP",
         "scheme"},
        {"URL", CURLE_URL_MALFORMAT, "", 0, 0, ERR_CONFIG, "malformed", ""},
        {"CA", CURLE_PEER_FAILED_VERIFICATION, "", 20, 0, ERR_TLS, "trusted", "CA file /ca.pem"},
        {"self-signed", CURLE_PEER_FAILED_VERIFICATION, "", 18, 0, ERR_TLS, "trusted",
         "AWS_CA_BUNDLE"},
        {"expired", CURLE_PEER_FAILED_VERIFICATION, "", 10, 0, ERR_TLS, "trusted", "clock"},
        {"not yet valid", CURLE_PEER_FAILED_VERIFICATION, "", 9, 0, ERR_TLS, "trusted", "clock"},
        {"name, before verification", CURLE_PEER_FAILED_VERIFICATION, "", 1, 0, ERR_TLS, "trusted",
         "another name"},
        {"name, after verification", CURLE_PEER_FAILED_VERIFICATION, "", 0, 0, ERR_TLS, "trusted",
         "another name"},
        {"CA file", CURLE_SSL_CACERT_BADFILE, "", 0, 0, ERR_TLS, "trusted", "CA file /ca.pem"},
        {"no TLS", CURLE_SSL_CONNECT_ERROR, "wrong version number", 0, 0, ERR_TLS, "version",
         "https"},
        {"authority of the same name, EC", CURLE_SSL_CONNECT_ERROR,
         "OpenSSL/3.0: error:06880006:asn1 encoding routines::EVP lib", 0, 0, ERR_TLS, "trusted",
         "AWS_CA_BUNDLE"},
        {"authority of the same name, RSA", CURLE_SSL_CONNECT_ERROR,
         "error:02000068:rsa routines::bad signature", 0, 0, ERR_TLS, "trusted", "AWS_CA_BUNDLE"},
        {"proxy refuses", CURLE_RECV_ERROR, "CONNECT tunnel failed, response 403", 0, 0,
         ERR_NETWORK, "the proxy opens no connection to 'h:1'", "no_proxy"},
        {"handshake broken", CURLE_SSL_CONNECT_ERROR,
         "OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection", 0, 0, ERR_NETWORK, "broke", ""},
        {"handshake reset", CURLE_SSL_CONNECT_ERROR,
         "OpenSSL SSL_connect: Connection reset by peer", 0, 104, ERR_NETWORK, "broke", ""},
        {"handshake ended", CURLE_SSL_CONNECT_ERROR,
         "error:0A000126:SSL routines::unexpected eof while reading", 0, 0, ERR_NETWORK, "broke",
         ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        const struct failure failure = {
            .result = (int)rows[i].result,
            .curl_text = rows[i].curl_text,
            .host = "'h:1'",
            .ca_file = "/ca.pem",
            .verify_result = rows[i].verify_result,
            .sys_errno = rows[i].sys_errno,
            .connect_timeout_ms = 10,
        };
        enum errc code = failure_report(&failure, &err);
        if (code != rows[i].code || !strstr(err.text, rows[i].text) ||
            !strstr(err.hint, rows[i].hint))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), err.text, err.hint);
        assert_non_null(strstr(err.text, "h:1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_libcurl_says),
    };
    return cmocka_run_group_tests_name("net/failure", tests, NULL, NULL);
}
