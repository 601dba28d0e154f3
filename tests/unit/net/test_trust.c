#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/base/limits.h"
#include "lib/net/http.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define OK PEER_ANSWER("200 OK", "", 2, "ok")

static const struct retry_policy once = {.attempts = 1};

/* One request by a client of its own. */
static enum errc ask(const struct peer *peer, struct http_options options, struct error *err)
{
    struct http *http;
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    struct http_request request = {.method = "GET", .url = peer_url(peer), .body_limit = 1000};
    options.retry = &once;
    if (http_open(&options, &http, err))
        return err->code;
    enum errc code = http_send(http, &request, &response, err);
    http_close(http);
    return code;
}

static char *read_file(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void test_authorities(void **state)
{
    (void)state;
    enum source { NONE, PEM, FILE_OF, OTHER_PEM, OTHER_FILE, PEM_AND_OTHER_FILE, GARBAGE, NO_FILE };
    static const struct {
        const char *name;
        enum source source;
        bool is_in_environment; /* the right one: must not count beside one that is given */
        enum errc code;
        const char *hint;
    } rows[] = {
        {"in memory", PEM, false, RR_OK, NULL},
        {"in a file", FILE_OF, false, RR_OK, NULL},
        {"in memory wins", PEM_AND_OTHER_FILE, false, RR_OK, NULL},
        {"another in memory", OTHER_PEM, true, ERR_TLS, "give it another"},
        {"another in a file", OTHER_FILE, true, ERR_TLS, "give it another"},
        {"none", NONE, false, ERR_TLS, "give it another"},
        {"from the environment", NONE, true, RR_OK, NULL},
        {"no PEM", GARBAGE, true, ERR_TLS, "give it another"},
        {"no such file", NO_FILE, true, ERR_TLS, "give it another"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum source source = rows[i].source;
        struct peer_step step = {.reply = OK};
        struct peer *peer = peer_start(&step, rows[i].code == RR_OK, PEER_TLS);
        struct peer *other = peer_start(NULL, 0, PEER_TLS);
        struct error err = ERROR_INIT;
        if (rows[i].is_in_environment)
            setenv("SSL_CERT_FILE", peer_ca_file(peer), 1);
        struct http_options options = {.unknown_ca_hint = "give it another"};
        if (source == PEM || source == PEM_AND_OTHER_FILE)
            options.ca_pem = read_file(peer_ca_file(peer));
        if (source == OTHER_PEM)
            options.ca_pem = read_file(peer_ca_file(other));
        if (source == GARBAGE)
            options.ca_pem = "no PEM";
        if (source == FILE_OF)
            options.ca_file = peer_ca_file(peer);
        if (source == OTHER_FILE || source == PEM_AND_OTHER_FILE)
            options.ca_file = peer_ca_file(other);
        if (source == NO_FILE)
            options.ca_file = "/nonexistent/ca.crt";
        enum errc code = ask(peer, options, &err);
        unsetenv("SSL_CERT_FILE");
        if (code != rows[i].code || (rows[i].hint && strcmp(err.hint, rows[i].hint) != 0))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), err.text, err.hint);
        peer_stop(other);
        peer_stop(peer);
    }
}

static void test_the_hint_about_a_name_is_the_callers(void **state)
{
    (void)state;
    struct peer *peer = peer_start(NULL, 0, PEER_TLS_WRONG_NAME);
    struct error err = ERROR_INIT;
    struct http_options options = {.ca_file = peer_ca_file(peer), .wrong_name_hint = "rename it"};
    assert_int_equal(ask(peer, options, &err), ERR_TLS);
    assert_string_equal(err.hint, "rename it");
    peer_stop(peer);
}

/* Renamed over, as tools do. */
static void put_file(const char *path, const char *content)
{
    char next[128];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    fputs(content, file);
    fclose(file);
    assert_int_equal(rename(next, path), 0);
}

static void test_a_ca_file_is_read_again_for_every_new_connection(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.reply = OK},
        {.reply = OK, .on_old_connection = true, .then = PEER_CLOSE},
        {.reply = OK, .on_new_connection = true},
    };
    struct peer *peer = peer_start(script, COUNT(script), PEER_TLS);
    struct peer *other = peer_start(NULL, 0, PEER_TLS);
    char path[] = "/tmp/rr-trust-XXXXXX", right[4096], wrong[4096];
    close(mkstemp(path));
    snprintf(right, sizeof right, "%s", read_file(peer_ca_file(peer)));
    snprintf(wrong, sizeof wrong, "%s", read_file(peer_ca_file(other)));
    struct {
        const char *content;
        enum errc code;
    } rows[] = {
        {wrong, ERR_TLS}, {right, RR_OK}, {wrong, RR_OK}, /* the connection lives on */
        {wrong, ERR_TLS}, {right, RR_OK},
    };
    struct http *http;
    struct error err = ERROR_INIT;
    struct http_options options = {.ca_file = path, .retry = &once};
    assert_int_equal(http_open(&options, &http, &err), RR_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        HTTP_RESPONSE_GUARD struct http_response response = {0};
        struct http_request request = {.method = "GET", .url = peer_url(peer), .body_limit = 1000};
        put_file(path, rows[i].content);
        error_clear(&err);
        enum errc code = http_send(http, &request, &response, &err);
        if (code != rows[i].code)
            fail_msg("request %zu: %s '%s'", i, errc_name(code), err.text);
    }
    http_close(http);
    unlink(path);
    peer_stop(other);
    peer_stop(peer);
}

static void test_client_certificates(void **state)
{
    (void)state;
    static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                    "MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAk\n"
                                    "-----END ENCRYPTED PRIVATE KEY-----\n";
    enum whose { NOBODY, OURS, STRANGER, BROKEN, ENCRYPTED };
    static const struct {
        const char *name;
        enum whose certificate, key;
        enum errc code;
        const char *text;
    } rows[] = {
        {"ours", OURS, OURS, RR_OK, NULL},
        {"none", NOBODY, NOBODY, ERR_NETWORK, "127.0.0.1"},
        {"of another CA", STRANGER, STRANGER, ERR_NETWORK, "127.0.0.1"},
        {"key of another", OURS, STRANGER, ERR_TLS, "for another key"},
        {"no key", OURS, NOBODY, ERR_TLS, "key of the client certificate is missing"},
        {"no certificate", NOBODY, OURS, ERR_TLS, "client certificate is missing"},
        {"broken certificate", BROKEN, OURS, ERR_TLS, "client certificate is missing or no PEM"},
        {"broken key", OURS, BROKEN, ERR_TLS, "key of the client certificate is missing or no PEM"},
        {"encrypted key", OURS, ENCRYPTED, ERR_TLS, "key"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct peer_step step = {.reply = OK};
        struct peer *peer = peer_start(&step, rows[i].code == RR_OK, PEER_TLS_CLIENT);
        struct peer *other = peer_start(NULL, 0, PEER_TLS_CLIENT);
        const char *certificates[] = {NULL, peer_client_certificate(peer),
                                      peer_client_certificate(other), "s3cret"};
        const char *keys[] = {NULL, peer_client_key(peer), peer_client_key(other), "s3cret",
                              encrypted};
        const char *key = keys[rows[i].key];
        SECRET_GUARD struct secret secret = {0};
        struct error err = ERROR_INIT;
        if (key)
            secret_set(&secret, key, strlen(key));
        struct http_options options = {
            .ca_file = peer_ca_file(peer),
            .certificate_pem = certificates[rows[i].certificate],
            .key_pem = &secret,
        };
        enum errc code = ask(peer, options, &err);
        if (code != rows[i].code || (rows[i].text && !strstr(err.text, rows[i].text)) ||
            strstr(err.text, "s3cret"))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        peer_stop(other);
        peer_stop(peer);
    }
}

int main(void)
{
    static const char *const names[] = {"http_proxy", "https_proxy",   "all_proxy",   "HTTPS_PROXY",
                                        "ALL_PROXY",  "SSL_CERT_FILE", "SSL_CERT_DIR"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorities),
        cmocka_unit_test(test_the_hint_about_a_name_is_the_callers),
        cmocka_unit_test(test_a_ca_file_is_read_again_for_every_new_connection),
        cmocka_unit_test(test_client_certificates),
    };
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    return cmocka_run_group_tests_name("net/trust", tests, NULL, NULL);
}
