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

#endif
