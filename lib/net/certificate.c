#include "lib/net/certificate.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "lib/base/arena.h"

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

static void free_x509(X509 **x509)
{
    X509_free(*x509);
}

static void free_key(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

#define BIO_GUARD __attribute__((cleanup(free_bio)))
#define X509_GUARD __attribute__((cleanup(free_x509)))
#define KEY_GUARD __attribute__((cleanup(free_key)))

static BIO *open_text(const char *pem, size_t length)
{
    BIO *bio = BIO_new_mem_buf(pem, length < INT_MAX ? (int)length : INT_MAX);
    if (!bio)
        mem_die(length);
    return bio;
}

/* Without this OpenSSL would ask at the terminal. */
static int refuse_pass_phrase(char *buffer, int size, int is_written, void *context)
{
    (void)buffer, (void)size, (void)is_written;
    *(bool *)context = true;
    return -1;
}

static X509 *read_certificate(const char *pem, size_t length)
{
    bool is_encrypted = false;
    BIO_GUARD BIO *bio = open_text(pem, length);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, refuse_pass_phrase, &is_encrypted);
    ERR_clear_error();
    return x509;
}

enum errc certificate_key_hash(const char *pem, size_t length, char ret_hex[SHA256_HEX_SIZE],
                               struct error *err)
{
    X509_GUARD X509 *x509 = read_certificate(pem, length);
    if (!x509)
        return error_set(err, ERR_CONFIG, "there is no readable certificate in PEM");
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    if (size <= 0) {
        ERR_clear_error();
        return error_set(err, ERR_CONFIG, "the public key of the certificate cannot be read");
    }
    sha256_hex(der, (size_t)size, ret_hex);
    OPENSSL_free(der);
    return RR_OK;
}

enum errc certificate_check_pair(const char *certificate_pem, const char *key_pem,
                                 struct error *err)
{
    bool is_encrypted = false;
    X509_GUARD X509 *x509 = read_certificate(certificate_pem, strlen(certificate_pem));
    if (!x509)
        return error_set(err, ERR_TLS, "the client certificate is missing or no PEM");
    BIO_GUARD BIO *bio = open_text(key_pem, strlen(key_pem));
    KEY_GUARD EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_pass_phrase, &is_encrypted);
    bool is_pair = key && X509_check_private_key(x509, key) == 1;
    ERR_clear_error();
    if (!key && is_encrypted) {
        error_set(err, ERR_TLS, "the key of the client certificate is encrypted");
        return error_hint(err, "store it without a pass phrase: nobody is there to type it");
    }
    if (!key)
        return error_set(err, ERR_TLS, "the key of the client certificate is missing or no PEM");
    if (!is_pair)
        return error_set(err, ERR_TLS, "the client certificate is for another key");
    return RR_OK;
}
