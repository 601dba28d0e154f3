/*
 * digest - hashes and checksums, on OpenSSL and zlib, which stay inside this room.
 *
 * SHA-256 and HMAC-SHA-256 for signatures and side files; SHA-1, CRC32, CRC32C and CRC64NVME
 * because object stores keep checksums of those kinds (x-amz-checksum-*).
 */
#ifndef RR_NET_DIGEST_H
#define RR_NET_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/str.h"

enum digest_kind {
    DIGEST_SHA256,
    DIGEST_SHA1,
    DIGEST_MD5,
    DIGEST_CRC32,
    DIGEST_CRC32C,
    DIGEST_CRC64NVME
};
enum { DIGEST_MAX_SIZE = 32, SHA256_SIZE = 32, SHA256_HEX_SIZE = 65 };

struct digest;

struct digest *digest_new(enum digest_kind kind);
void digest_update(struct digest *digest, const void *bytes, size_t length);
/* Writes the value (CRCs big-endian, as S3 sends them) and its length; the digest starts anew. */
void digest_finish(struct digest *digest, uint8_t ret_value[DIGEST_MAX_SIZE], size_t *ret_length);
void digest_free(struct digest *digest); /* NULL is accepted */
void digest_guard(struct digest **digest);
#define DIGEST_GUARD __attribute__((cleanup(digest_guard)))
/* "SHA256" and so on. */
const char *digest_name(enum digest_kind kind);

void sha256(const void *bytes, size_t length, uint8_t ret_value[SHA256_SIZE]);
/* Lower-case hexadecimal, terminated. */
void sha256_hex(const void *bytes, size_t length, char ret_hex[SHA256_HEX_SIZE]);
void hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length,
                 uint8_t ret_value[SHA256_SIZE]);
void hex_render(const uint8_t *bytes, size_t length, char *ret_hex); /* 2 * length + 1 bytes */
/* RFC 4648 base64 with padding. */
void base64_render(struct str *s, const uint8_t *bytes, size_t length);
/* The bytes that `text` encodes, appended; line breaks are skipped. False: it is no base64 with
 * padding, or does not fit; what was appended until then stays. */
bool base64_parse(struct str *s, const char *text, size_t length) RR_MUST_CHECK;
/* RFC 4648 base32 alphabet in lower case, no padding: for names of databases. */
void base32_render(struct str *s, const uint8_t *bytes, size_t length);
/* `length` random bytes from the kernel. */
void random_bytes(void *bytes, size_t length);

#endif
