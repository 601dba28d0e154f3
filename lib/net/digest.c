/*
 * The three CRCs are of the reflected kind (least significant bit first), with all ones before and
 * after. They are computed eight bytes at a time with eight tables (M. Kounavis and F. Berry, "A
 * Systematic Approach to Building High Performance, Software-based, CRC Generators", 2005) in one
 * 64-bit register: a 32-bit CRC simply leaves its upper half zero, so that one routine serves all.
 */
#include "lib/net/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/arena.h"

enum { CRC_KIND_COUNT = 3, CRC_SLICES = 8 };

struct crc_kind {
    uint64_t polynomial; /* reflected */
    size_t size_bytes;
    uint64_t table[CRC_SLICES][256];
};

struct digest {
    enum digest_kind kind;
    EVP_MD_CTX *context;        /* hashes */
    const struct crc_kind *crc; /* CRCs */
    uint64_t crc_register;
};

static struct crc_kind crc_kinds[CRC_KIND_COUNT] = {
    {.polynomial = 0xedb88320, .size_bytes = 4},
    {.polynomial = 0x82f63b78, .size_bytes = 4},
    {.polynomial = 0x9a6c9329ac4bc9b5, .size_bytes = 8},
};

static void crc_fill(struct crc_kind *crc)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (value & 1 ? crc->polynomial : 0);
        crc->table[0][byte] = value;
    }
    for (int slice = 1; slice < CRC_SLICES; slice++)
        for (unsigned byte = 0; byte < 256; byte++) {
            uint64_t value = crc->table[slice - 1][byte];
            crc->table[slice][byte] = (value >> 8) ^ crc->table[0][value & 0xff];
        }
}

static void crc_fill_all(void)
{
    for (int i = 0; i < CRC_KIND_COUNT; i++)
        crc_fill(&crc_kinds[i]);
}

static const struct crc_kind *crc_of(enum digest_kind kind)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, crc_fill_all);
    switch (kind) {
    case DIGEST_CRC32:
        return &crc_kinds[0];
    case DIGEST_CRC32C:
        return &crc_kinds[1];
    case DIGEST_CRC64NVME:
        return &crc_kinds[2];
    default:
        return NULL;
    }
}

static uint64_t load_little_endian(const uint8_t *p)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | p[i];
    return value;
}

static uint64_t crc_update(const struct crc_kind *crc, uint64_t value, const uint8_t *p,
                           size_t length)
{
    const uint64_t(*table)[256] = crc->table;
    for (; length >= 8; p += 8, length -= 8) {
        value ^= load_little_endian(p);
        value = table[7][value & 0xff] ^ table[6][value >> 8 & 0xff] ^
                table[5][value >> 16 & 0xff] ^ table[4][value >> 24 & 0xff] ^
                table[3][value >> 32 & 0xff] ^ table[2][value >> 40 & 0xff] ^
                table[1][value >> 48 & 0xff] ^ table[0][value >> 56];
    }
    for (; length; p++, length--)
        value = (value >> 8) ^ table[0][(value ^ *p) & 0xff];
    return value;
}

static uint64_t all_ones(const struct crc_kind *crc)
{
    return UINT64_MAX >> (64 - 8 * crc->size_bytes);
}

/* Hashing does not fail, except where a cryptographic policy of the machine forbids a hash. */
static void must(int is_done, const char *what)
{
    if (is_done == 1)
        return;
    fprintf(stderr, "restore-reconciler: OpenSSL refuses %s on this machine\n", what);
    abort();
}

static const EVP_MD *hash_of(enum digest_kind kind)
{
    switch (kind) {
    case DIGEST_SHA1:
        return EVP_sha1();
    case DIGEST_MD5:
        return EVP_md5();
    default:
        return EVP_sha256();
    }
}

static void start(struct digest *digest)
{
    if (digest->crc)
        digest->crc_register = all_ones(digest->crc);
    else
        must(EVP_DigestInit_ex(digest->context, hash_of(digest->kind), NULL),
             digest_name(digest->kind));
}

struct digest *digest_new(enum digest_kind kind)
{
    struct digest *digest = mem_alloc(sizeof *digest);
    digest->kind = kind;
    digest->crc = crc_of(kind);
    if (!digest->crc) {
        digest->context = EVP_MD_CTX_new();
        if (!digest->context)
            mem_die(0);
    }
    start(digest);
    return digest;
}

void digest_update(struct digest *digest, const void *bytes, size_t length)
{
    if (digest->crc)
        digest->crc_register = crc_update(digest->crc, digest->crc_register, bytes, length);
    else
        must(EVP_DigestUpdate(digest->context, bytes, length), digest_name(digest->kind));
}

void digest_finish(struct digest *digest, uint8_t ret_value[DIGEST_MAX_SIZE], size_t *ret_length)
{
    if (digest->crc) {
        uint64_t value = digest->crc_register ^ all_ones(digest->crc);
        size_t size = digest->crc->size_bytes;
        for (size_t i = 0; i < size; i++)
            ret_value[i] = (uint8_t)(value >> 8 * (size - 1 - i));
        *ret_length = size;
    } else {
        unsigned length = 0;
        must(EVP_DigestFinal_ex(digest->context, ret_value, &length), digest_name(digest->kind));
        *ret_length = length;
    }
    start(digest);
}

void digest_free(struct digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void digest_guard(struct digest **digest)
{
    digest_free(*digest);
}

const char *digest_name(enum digest_kind kind)
{
    static const char *const names[] = {
        [DIGEST_SHA256] = "SHA256", [DIGEST_SHA1] = "SHA1",     [DIGEST_MD5] = "MD5",
        [DIGEST_CRC32] = "CRC32",   [DIGEST_CRC32C] = "CRC32C", [DIGEST_CRC64NVME] = "CRC64NVME",
    };
    return names[kind];
}

void sha256(const void *bytes, size_t length, uint8_t ret_value[SHA256_SIZE])
{
    must(EVP_Digest(bytes, length, ret_value, NULL, EVP_sha256(), NULL), "SHA256");
}

void sha256_hex(const void *bytes, size_t length, char ret_hex[SHA256_HEX_SIZE])
{
    uint8_t value[SHA256_SIZE];
    sha256(bytes, length, value);
    hex_render(value, sizeof value, ret_hex);
}

void hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length,
                 uint8_t ret_value[SHA256_SIZE])
{
    unsigned size = SHA256_SIZE;
    must(HMAC(EVP_sha256(), key, (int)key_length, bytes, length, ret_value, &size) != NULL,
         "HMAC-SHA256");
}

void hex_render(const uint8_t *bytes, size_t length, char *ret_hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        ret_hex[2 * i] = digits[bytes[i] >> 4];
        ret_hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_hex[2 * length] = '\0';
}

/* RFC 4648: `bits` per digit, most significant first, the last digit filled up with zeros. */
static void render_digits(struct str *s, const uint8_t *bytes, size_t length, unsigned bits,
                          const char *digits)
{
    unsigned pending = 0, pending_bits = 0, mask = (1u << bits) - 1;
    for (size_t i = 0; i < length; i++) {
        pending = pending << 8 | bytes[i];
        for (pending_bits += 8; pending_bits >= bits;) {
            pending_bits -= bits;
            str_append_char(s, digits[pending >> pending_bits & mask]);
        }
        pending &= (1u << pending_bits) - 1;
    }
    if (pending_bits)
        str_append_char(s, digits[pending << (bits - pending_bits) & mask]);
}

void base64_render(struct str *s, const uint8_t *bytes, size_t length)
{
    render_digits(s, bytes, length, 6,
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    for (size_t rest = length % 3; rest && rest < 3; rest++)
        str_append_char(s, '=');
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_parse(struct str *s, const char *text, size_t length)
{
    unsigned pending = 0, digits = 0, padding = 0; /* of the group of four under way */
    bool is_over = false;                          /* after the group with the padding */
    for (size_t i = 0; i < length; i++) {
        int value = base64_value(text[i]);
        bool is_padding = text[i] == '=' && digits >= 2;
        if (text[i] == '\n' || text[i] == '\r')
            continue;
        if (is_over || (!is_padding && (value < 0 || padding)))
            return false;
        pending = pending << 6 | (is_padding ? 0 : (unsigned)value);
        digits += !is_padding;
        padding += is_padding;
        if (digits + padding < 4)
            continue;
        for (unsigned k = 0; k < 3 - padding; k++)
            str_append_char(s, (char)(uint8_t)(pending >> (16 - 8 * k)));
        is_over = padding > 0;
        pending = digits = padding = 0;
    }
    return digits == 0 && !s->is_cut;
}

void base32_render(struct str *s, const uint8_t *bytes, size_t length)
{
    render_digits(s, bytes, length, 5, "abcdefghijklmnopqrstuvwxyz234567");
}

void random_bytes(void *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = getrandom((char *)bytes + done, length - done, 0);
        if (n > 0) {
            done += (size_t)n;
        } else if (errno != EINTR) {
            perror("restore-reconciler: no random numbers from the kernel");
            abort();
        }
    }
}
