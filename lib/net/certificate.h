/*
 * certificate - what a PEM certificate says, on OpenSSL, which stays inside this room.
 */
#ifndef RR_NET_CERTIFICATE_H
#define RR_NET_CERTIFICATE_H

#include "lib/base/error.h"
#include "lib/net/digest.h"

/* SHA-256, hexadecimal, of the public key (SubjectPublicKeyInfo, DER) of the first certificate in
 * `pem`: a CA keeps it when its certificate is renewed. ERR_CONFIG if there is none. */
enum errc certificate_key_hash(const char *pem, size_t length, char ret_hex[SHA256_HEX_SIZE],
                               struct error *err) RR_MUST_CHECK;

/* Whether a client can present itself with the first certificate of `certificate_pem` and the key
 * in `key_pem`: both are there, can be read without a pass phrase, and belong together. ERR_TLS;
 * the text holds nothing of the key. */
enum errc certificate_check_pair(const char *certificate_pem, const char *key_pem,
                                 struct error *err) RR_MUST_CHECK;

#endif
