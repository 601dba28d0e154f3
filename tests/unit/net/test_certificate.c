#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/net/certificate.h"
#include "tests/unit/net/peer.c"

static char *render_certificate(EVP_PKEY *key, bool is_expired)
{
    static char text[4][4096];
    static unsigned next;
    char *to = text[next++ % 4];
    X509 *x509 = peer_certificate(key, key, NULL, NULL, is_expired);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x509);
    peer_read_out(bio, to, sizeof text[0]);
    X509_free(x509);
    return to;
}

static void test_the_hash_is_the_keys(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other_key = EVP_EC_gen("P-256");
    char first[SHA256_HEX_SIZE], renewed[SHA256_HEX_SIZE], other[SHA256_HEX_SIZE];
    char expected[SHA256_HEX_SIZE], bundle[8192];
    struct error err = ERROR_INIT;
    const char *pem = render_certificate(key, false);
    assert_int_equal(certificate_key_hash(pem, strlen(pem), first, &err), RR_OK);
    unsigned char *der = NULL;
    int size = i2d_PUBKEY(key, &der);
    sha256_hex(der, (size_t)size, expected);
    OPENSSL_free(der);
    assert_string_equal(first, expected);

    pem = render_certificate(key, true);
    assert_int_equal(certificate_key_hash(pem, strlen(pem), renewed, &err), RR_OK);
    assert_string_equal(first, renewed);

    pem = render_certificate(other_key, false);
    assert_int_equal(certificate_key_hash(pem, strlen(pem), other, &err), RR_OK);
    assert_string_not_equal(first, other);

    snprintf(bundle, sizeof bundle, "# the cluster's\n%s%s", render_certificate(key, false), pem);
    assert_int_equal(certificate_key_hash(bundle, strlen(bundle), renewed, &err), RR_OK);
    assert_string_equal(first, renewed);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
}

static void test_what_is_no_certificate(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "\n",
        "hello",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
        "DES-EDE3-CBC,0011223344556677"
        "\n\nAAAAAAAAAAAAAAAAAAAAAA==\n-----END CERTIFICATE-----\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        char hex[SHA256_HEX_SIZE];
        if (certificate_key_hash(rows[i], strlen(rows[i]), hex, &err) != ERR_CONFIG)
            fail_msg("row %zu", i);
    }
    /* Exactly `length` bytes count. */
    EVP_PKEY *key = EVP_EC_gen("P-256");
    const char *pem = render_certificate(key, false);
    struct error err = ERROR_INIT;
    char hex[SHA256_HEX_SIZE];
    assert_int_equal(certificate_key_hash(pem, strlen(pem) / 2, hex, &err), ERR_CONFIG);
    EVP_PKEY_free(key);
}

/* Nobody is asked for the pass phrase: with standard input closed OpenSSL would ask the terminal.
 */
static void test_an_encrypted_key_says_so(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    char pem[4096];
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), "pass", 4, NULL, NULL);
    peer_read_out(bio, pem, sizeof pem);
    struct error err = ERROR_INIT;
    assert_int_equal(certificate_check_pair(render_certificate(key, false), pem, &err), ERR_TLS);
    assert_non_null(strstr(err.text, "encrypted"));
    assert_non_null(strstr(err.hint, "pass phrase"));
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hash_is_the_keys),
        cmocka_unit_test(test_what_is_no_certificate),
        cmocka_unit_test(test_an_encrypted_key_says_so),
    };
    return cmocka_run_group_tests_name("net/certificate", tests, NULL, NULL);
}
