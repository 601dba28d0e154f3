#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/net/digest.h"

static void check(enum digest_kind kind, const void *bytes, size_t length, const char *want)
{
    DIGEST_GUARD struct digest *digest = digest_new(kind);
    uint8_t value[DIGEST_MAX_SIZE];
    char hex[2 * DIGEST_MAX_SIZE + 1];
    size_t size;
    digest_update(digest, bytes, length);
    digest_finish(digest, value, &size);
    hex_render(value, size, hex);
    if (strcmp(hex, want) != 0)
        fail_msg("%s: %s instead of %s", digest_name(kind), hex, want);
}

/* "123456789" is the check value of every CRC catalogue; 32 bytes of zeros, ones and ascending
 * bytes are in RFC 3720 (CRC32C); of CRC64NVME in the NVM Express specification, section 5.2.1.3.4.
 */
static void test_known_values(void **state)
{
    (void)state;
    static const uint8_t zeros[4096];
    uint8_t ones[4096], ascending[32];
    memset(ones, 0xff, sizeof ones);
    for (uint8_t i = 0; i < 32; i++)
        ascending[i] = i;
    check(DIGEST_CRC32, "123456789", 9, "cbf43926");
    check(DIGEST_CRC32C, "123456789", 9, "e3069283");
    check(DIGEST_CRC64NVME, "123456789", 9, "ae8b14860a799888");
    check(DIGEST_CRC32, "", 0, "00000000");
    check(DIGEST_CRC32C, zeros, 32, "8a9136aa");
    check(DIGEST_CRC32C, ones, 32, "62a8ab43");
    check(DIGEST_CRC32C, ascending, 32, "46dd794e");
    check(DIGEST_CRC64NVME, zeros, 4096, "6482d367eb22b64e");
    check(DIGEST_CRC64NVME, ones, 4096, "c0ddba7302eca3ac");
    check(DIGEST_MD5, "abc", 3, "900150983cd24fb0d6963f7d28e17f72");
    check(DIGEST_SHA1, "abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    check(DIGEST_SHA256, "abc", 3,
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(DIGEST_SHA256, "", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static uint64_t crc_bit_by_bit(uint64_t polynomial, uint64_t value, const uint8_t *bytes,
                               size_t length)
{
    for (size_t i = 0; i < length; i++) {
        value ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (value & 1 ? polynomial : 0);
    }
    return value;
}

/* All lengths and splits around the eight bytes of a slice, against the definition. */
static void test_pieces_make_the_same_as_the_whole(void **state)
{
    (void)state;
    static const struct {
        enum digest_kind kind;
        uint64_t polynomial, ones;
        size_t size;
    } kinds[] = {
        {DIGEST_CRC32, 0xedb88320, UINT32_MAX, 4},
        {DIGEST_CRC32C, 0x82f63b78, UINT32_MAX, 4},
        {DIGEST_CRC64NVME, 0x9a6c9329ac4bc9b5, UINT64_MAX, 8},
    };
    uint8_t bytes[40];
    srand(7);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rand();
    for (size_t k = 0; k < 3; k++)
        for (size_t length = 0; length <= sizeof bytes; length++)
            for (size_t split = 0; split <= length; split++) {
                DIGEST_GUARD struct digest *digest = digest_new(kinds[k].kind);
                uint8_t value[DIGEST_MAX_SIZE];
                size_t size;
                digest_update(digest, bytes, split);
                digest_update(digest, bytes + split, length - split);
                digest_finish(digest, value, &size);
                assert_int_equal(size, kinds[k].size);
                uint64_t got = 0, ones = kinds[k].ones;
                for (size_t i = 0; i < size; i++)
                    got = got << 8 | value[i];
                assert_true(got ==
                            (crc_bit_by_bit(kinds[k].polynomial, ones, bytes, length) ^ ones));
            }
}

static void test_a_finished_digest_starts_anew(void **state)
{
    (void)state;
    for (int kind = DIGEST_SHA256; kind <= DIGEST_CRC64NVME; kind++) {
        DIGEST_GUARD struct digest *digest = digest_new((enum digest_kind)kind);
        uint8_t first[DIGEST_MAX_SIZE] = {0}, second[DIGEST_MAX_SIZE] = {0};
        size_t size;
        digest_update(digest, "abc", 3);
        digest_finish(digest, first, &size);
        digest_update(digest, "abc", 3);
        digest_finish(digest, second, &size);
        assert_memory_equal(first, second, sizeof first);
    }
}

/* RFC 4231, test cases 1, 2 and 6. */
static void test_hmac(void **state)
{
    (void)state;
    uint8_t key[131], value[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    memset(key, 0x0b, 20);
    hmac_sha256(key, 20, "Hi There", 8, value);
    hex_render(value, sizeof value, hex);
    assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, value);
    hex_render(value, sizeof value, hex);
    assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    hmac_sha256(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
                value);
    hex_render(value, sizeof value, hex);
    assert_string_equal(hex, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 4648, section 10. */
static void test_base64_and_base32(void **state)
{
    (void)state;
    static const struct {
        const char *text, *base64, *base32;
    } rows[] = {
        {"", "", ""},
        {"f", "Zg==", "my"},
        {"fo", "Zm8=", "mzxq"},
        {"foo", "Zm9v", "mzxw6"},
        {"foob", "Zm9vYg==", "mzxw6yq"},
        {"fooba", "Zm9vYmE=", "mzxw6ytb"},
        {"foobar", "Zm9vYmFy", "mzxw6ytboi"},
        {"\xff\xff\xff\xff\xff", "//////8=", "77777777"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        STR_GUARD struct str base64 = STR_INIT(100), base32 = STR_INIT(100);
        base64_render(&base64, (const uint8_t *)rows[i].text, strlen(rows[i].text));
        base32_render(&base32, (const uint8_t *)rows[i].text, strlen(rows[i].text));
        assert_string_equal(str_text(&base64), rows[i].base64);
        assert_string_equal(str_text(&base32), rows[i].base32);
    }
}

static void test_base64_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *base64;
        bool is_fine;
        const char *text;
    } rows[] = {
        {"empty", "", true, ""},
        {"two padded", "Zg==", true, "f"},
        {"one padded", "Zm8=", true, "fo"},
        {"none padded", "Zm9v", true, "foo"},
        {"more", "Zm9vYmFy", true, "foobar"},
        {"high bytes", "//////8=", true, "\xff\xff\xff\xff\xff"},
        {"line breaks", "Zm\r\n9v\nYg==\n", true, "foob"},
        {"no padding", "Zg", false, NULL},
        {"half the padding", "Zg=", false, NULL},
        {"one digit", "Z", false, NULL},
        {"padding alone", "====", false, NULL},
        {"padding after one digit", "Z===", false, NULL},
        {"padding too long", "Zm8==", false, NULL},
        {"digits after padding", "Zg==Zg==", false, NULL},
        {"digit inside padding", "Zg=v", false, NULL},
        {"blank", "Zm 9v", false, NULL},
        {"of URLs", "__-_", false, NULL},
        {"cut", "Zm9vY", false, NULL},
        {"over the limit", "Zm9vYmFyZm9vYmFy", false, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        STR_GUARD struct str bytes = STR_INIT(10);
        bool is_fine = base64_parse(&bytes, rows[i].base64, strlen(rows[i].base64));
        if (is_fine != rows[i].is_fine || (is_fine && strcmp(str_text(&bytes), rows[i].text) != 0))
            fail_msg("%s: %d '%s'", rows[i].name, is_fine, str_text(&bytes));
    }
    STR_GUARD struct str bytes = STR_INIT(10);
    assert_false(base64_parse(&bytes, "Zm9v\0Zm9v", 9));
    str_clear(&bytes);
    assert_true(base64_parse(&bytes, "AAAA", 4));
    assert_int_equal(bytes.length, 3);
}

static void test_random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_pieces_make_the_same_as_the_whole),
        cmocka_unit_test(test_a_finished_digest_starts_anew),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_base64_and_base32),
        cmocka_unit_test(test_base64_is_read),
        cmocka_unit_test(test_random_bytes_differ),
    };
    return cmocka_run_group_tests_name("net/digest", tests, NULL, NULL);
}
