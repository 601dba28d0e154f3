#include "lib/net/trust.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/net/certificate.h"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The static binary brings no CA bundle and its libcurl knows no place for one. */
const char *trust_find_ca_file(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine, Arch */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* RHEL, Fedora */
        "/etc/pki/tls/certs/ca-bundle.crt",                  /* older RHEL, Amazon Linux */
        "/etc/ssl/ca-bundle.pem",                            /* SUSE */
        "/etc/ssl/cert.pem",                                 /* Alpine, FreeBSD, OpenBSD */
        "/usr/local/share/certs/ca-root-nss.crt",            /* FreeBSD */
        NULL,
    };
    if (environment("SSL_CERT_FILE"))
        return environment("SSL_CERT_FILE");
    for (const char *const *place = places; *place; place++)
        if (access(*place, R_OK) == 0)
            return *place;
    return NULL;
}

void http_export_ca(void)
{
    const char *file = trust_find_ca_file();
    if (file && !environment("SSL_CERT_DIR"))
        setenv("SSL_CERT_FILE", file, 0);
}

static void find_authorities(struct trust *trust, const struct http_options *options)
{
    bool has_file = options->ca_file && *options->ca_file;
    trust->is_ca_given = has_file || options->ca_pem;
    trust->proxy_ca_file = mem_strdup(trust_find_ca_file());
    if (options->ca_pem) {
        trust->ca_pem = mem_strdup(options->ca_pem);
    } else if (has_file) {
        trust->ca_file = mem_strdup(options->ca_file);
    } else {
        trust->ca_file = mem_strdup(trust->proxy_ca_file);
        trust->ca_folder = environment("SSL_CERT_DIR");
    }
}

enum errc trust_init(struct trust *trust, const struct http_options *options, struct error *err)
{
    const char *key = options->key_pem ? secret_reveal(options->key_pem) : NULL;
    if ((options->certificate_pem || key) &&
        certificate_check_pair(options->certificate_pem ? options->certificate_pem : "",
                               key ? key : "", err))
        return err->code;
    *trust = (struct trust){
        .certificate_pem = mem_strdup(options->certificate_pem),
        .unknown_ca_hint = mem_strdup(options->unknown_ca_hint),
        .wrong_name_hint = mem_strdup(options->wrong_name_hint),
    };
    if (key)
        secret_set(&trust->key_pem, key, strlen(key));
    find_authorities(trust, options);
    return RR_OK;
}

void trust_release(struct trust *trust)
{
    free(trust->ca_file);
    free(trust->ca_pem);
    free(trust->proxy_ca_file);
    free(trust->certificate_pem);
    free(trust->unknown_ca_hint);
    free(trust->wrong_name_hint);
    secret_release(&trust->key_pem);
}

/* libcurl's options are variadic: a failure can only be a mistake of ours or memory. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK)                                     \
            mem_die(0);                                                                            \
    } while (0)

static struct curl_blob blob_of(char *text, size_t length)
{
    return (struct curl_blob){.data = text, .len = length, .flags = CURL_BLOB_NOCOPY};
}

void trust_apply(const struct trust *trust, void *easy)
{
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    /* Also where it is NULL: a libcurl of a distribution comes with places of its own. */
    SET(CURLOPT_CAPATH, trust->ca_folder);
    if (trust->ca_file || trust->ca_pem)
        SET(CURLOPT_CAINFO, trust->ca_file);
    if (trust->ca_pem) {
        struct curl_blob blob = blob_of(trust->ca_pem, strlen(trust->ca_pem));
        SET(CURLOPT_CAINFO_BLOB, &blob);
    }
    if (trust->is_ca_given) {
        SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
        SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    }
    if (trust->proxy_ca_file)
        SET(CURLOPT_PROXY_CAINFO, trust->proxy_ca_file);
    if (trust->certificate_pem) {
        struct curl_blob certificate =
            blob_of(trust->certificate_pem, strlen(trust->certificate_pem));
        struct curl_blob key = blob_of(trust->key_pem.bytes, trust->key_pem.length);
        SET(CURLOPT_SSLCERT_BLOB, &certificate);
        SET(CURLOPT_SSLCERTTYPE, "PEM");
        SET(CURLOPT_SSLKEY_BLOB, &key);
        SET(CURLOPT_SSLKEYTYPE, "PEM");
    }
}
