#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/catalog.h"
#include "lib/base/cancel.h"
#include "lib/base/limits.h"
#include "lib/net/digest.h"
#include "tests/unit/backup/folder.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" */
#define ABC_UPPER "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
#define OTHER "0000000000000000000000000000000000000000000000000000000000000000"

/* Finds and verifies the checksum of a file that holds "abc". */
static enum errc check_file(const struct folder *folder, bool *ret_is_known, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct location object;
    struct backup_checksum checksum;
    SOURCE_GUARD struct source *source = NULL;
    *ret_is_known = false;
    assert_int_equal(location_parse(&arena, folder_path(folder, "db 1.dump"), &object, err), RR_OK);
    if (backup_find_checksum(&object, NULL, &arena, &checksum, err))
        return err->code;
    *ret_is_known = checksum.is_known;
    if (!checksum.is_known)
        return RR_OK;
    assert_string_equal(checksum.kind, "SHA256");
    assert_string_equal(checksum.origin, "db 1.dump.sha256");
    assert_int_equal(backup_open(&object, NULL, &source, err), RR_OK);
    return backup_verify_checksum(source, &checksum, NULL, err);
}

static void test_side_files(void **state)
{
    (void)state;
    static char too_long[5000];
    memset(too_long, '\n', sizeof too_long - 1);
    memcpy(too_long, ABC, 64);
    static const struct {
        const char *name, *text;
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"sha256sum", ABC "  db 1.dump\n", RR_OK, NULL},
        {"binary mark", ABC " *db 1.dump\n", RR_OK, NULL},
        {"no line break", ABC "  db 1.dump", RR_OK, NULL},
        {"Windows line break", ABC "  db 1.dump\r\n", RR_OK, NULL},
        {"hexadecimal alone", ABC, RR_OK, NULL},
        {"hexadecimal and line break", ABC "\n", RR_OK, NULL},
        {"hexadecimal and Windows line break", ABC "\r\n", RR_OK, NULL},
        {"second of two Windows lines", OTHER "  x\r\n" ABC "  db 1.dump\r\n", RR_OK, NULL},
        {"capitals", ABC_UPPER "  db 1.dump\n", RR_OK, NULL},
        {"path in the name", ABC "  ./backups/db 1.dump\n", RR_OK, NULL},
        {"name from before a rename", ABC "  db.tmp\n", RR_OK, NULL},
        {"escaped name", "\\" ABC "  a\\nb\n", RR_OK, NULL},
        {"empty lines around", "\n" ABC "  db 1.dump\n\r\n\n", RR_OK, NULL},
        {"second of three lines", OTHER "  x\n" ABC "  db 1.dump\n" OTHER " *y\n", RR_OK, NULL},
        {"another file's line is right", ABC "  x\n" OTHER "  db 1.dump\n", ERR_CHECKSUM,
         "is damaged"},
        {"wrong", OTHER "  db 1.dump\n", ERR_CHECKSUM, "is damaged"},
        {"none of several names", ABC "  x\n" ABC "  y\n", ERR_CHECKSUM, "malformed"},
        {"the name twice", ABC "  db 1.dump\n" OTHER "  db 1.dump\n", ERR_CHECKSUM, "malformed"},
        {"empty", "", ERR_CHECKSUM, "malformed"},
        {"blank line", "\n", ERR_CHECKSUM, "malformed"},
        {"one digit short", "a7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
         ERR_CHECKSUM, "malformed"},
        {"one digit more", ABC "0\n", ERR_CHECKSUM, "malformed"},
        {"one blank", ABC " db 1.dump\n", ERR_CHECKSUM, "malformed"},
        {"tab", ABC "\tdb 1.dump\n", ERR_CHECKSUM, "malformed"},
        {"no name after blanks", ABC "  \n", ERR_CHECKSUM, "malformed"},
        {"no digit", "zz7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
         ERR_CHECKSUM, "malformed"},
        {"SHA-1", "a9993e364706816aba3e25717850c26c9cd0d89d  db 1.dump\n", ERR_CHECKSUM,
         "malformed"},
        {"BSD style", "SHA256 (db 1.dump) = " ABC "\n", ERR_CHECKSUM, "malformed"},
        {"a web page", "<html>", ERR_CHECKSUM, "malformed"},
        {"byte order mark", "\xef\xbb\xbf" ABC "  db 1.dump\n", ERR_CHECKSUM, "malformed"},
        {"trailing text", ABC "  db 1.dump\nsigned by me\n", ERR_CHECKSUM, "malformed"},
        {"too long", too_long, ERR_CHECKSUM, "malformed"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct folder folder;
        struct error err = ERROR_INIT;
        bool is_known;
        folder_make(&folder);
        folder_write_text(&folder, "db 1.dump", "abc");
        folder_write_text(&folder, "db 1.dump.sha256", rows[i].text);
        enum errc code = check_file(&folder, &is_known, &err);
        if (code != rows[i].code || (rows[i].must_say && !strstr(err.text, rows[i].must_say)) ||
            (code == RR_OK && !is_known))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        folder_remove(&folder);
    }
}

static void test_what_is_no_side_file(void **state)
{
    (void)state;
    struct folder folder;
    struct error err = ERROR_INIT;
    bool is_known;
    folder_make(&folder);
    folder_write_text(&folder, "db 1.dump", "abc");
    assert_int_equal(check_file(&folder, &is_known, &err), RR_OK);
    assert_false(is_known);
    /* A check that was meant cannot be left out. */
    assert_int_equal(mkdir(folder_path(&folder, "db 1.dump.sha256"), 0777), 0);
    assert_int_not_equal(check_file(&folder, &is_known, &err), RR_OK);
    folder_remove(&folder);
}

static void test_values_that_stores_keep(void **state)
{
    (void)state;
    static const uint64_t parts[] = {2, 1}, uneven[] = {1, 2}, empty_part[] = {0, 3};
    static const struct {
        const char *name, *kind, *value;
        const uint64_t *part_bytes;
        size_t part_count;
        enum errc code;
    } rows[] = {
        {"SHA-256", "SHA256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", NULL, 0, RR_OK},
        {"SHA-1", "SHA1", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", NULL, 0, RR_OK},
        {"CRC32", "CRC32", "NSRBwg==", NULL, 0, RR_OK},
        {"CRC32C", "CRC32C", "Nks/tw==", NULL, 0, RR_OK},
        {"CRC64NVME", "CRC64NVME", "BeXb5z0+2d8=", NULL, 0, ERR_CHECKSUM},
        {"one letter off", "CRC32", "NSRBww==", NULL, 0, ERR_CHECKSUM},
        {"without padding", "CRC32", "NSRBwg", NULL, 0, ERR_CHECKSUM},
        {"in hexadecimal", "CRC32", "352441c2", NULL, 0, ERR_CHECKSUM},
        {"empty", "CRC32", "", NULL, 0, ERR_CHECKSUM},
        {"of two parts", "SHA256", "EVMj5WLEpP33zqztymYNxLvhOJ2rkyOq0IRAkHx0JtA=-2", parts, 2,
         RR_OK},
        {"other parts", "SHA256", "EVMj5WLEpP33zqztymYNxLvhOJ2rkyOq0IRAkHx0JtA=-2", uneven, 2,
         ERR_CHECKSUM},
        {"another number of parts", "SHA256", "EVMj5WLEpP33zqztymYNxLvhOJ2rkyOq0IRAkHx0JtA=-3",
         parts, 2, ERR_CHECKSUM},
        {"an empty part", "SHA256", "EVMj5WLEpP33zqztymYNxLvhOJ2rkyOq0IRAkHx0JtA=-2", empty_part, 2,
         ERR_CHECKSUM},
        {"unknown kind", "ROT13", "xx", NULL, 0, ERR_BUG},
    };
    SOURCE_GUARD struct source *source = source_from_memory("abc", 3, "memory");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct error err = ERROR_INIT;
        const struct backup_checksum checksum = {
            .is_known = true,
            .kind = rows[i].kind,
            .value = rows[i].value,
            .origin = "x-amz-checksum",
            .part_bytes = rows[i].part_bytes,
            .part_count = rows[i].part_count,
        };
        enum errc code = backup_verify_checksum(source, &checksum, NULL, &err);
        if (code != rows[i].code)
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
    }
}

static void test_objects_longer_than_one_read(void **state)
{
    (void)state;
    size_t length = 2 * LIMIT_READ_BYTES + 12345;
    char *bytes = malloc(length), hex[SHA256_HEX_SIZE];
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    sha256_hex(bytes, length, hex);
    SOURCE_GUARD struct source *source = source_from_memory(bytes, length, "memory");
    struct backup_checksum checksum = {
        .is_known = true, .kind = "SHA256", .value = hex, .origin = "x", .is_hex = true};
    struct error err = ERROR_INIT;
    assert_int_equal(backup_verify_checksum(source, &checksum, NULL, &err), RR_OK);
    bytes[length - 1] ^= 1;
    assert_int_equal(backup_verify_checksum(source, &checksum, NULL, &err), ERR_CHECKSUM);
    error_clear(&err);
    struct cancel cancel = {0};
    cancel_request(&cancel);
    assert_int_equal(backup_verify_checksum(source, &checksum, &cancel, &err), ERR_CANCELLED);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_side_files),
        cmocka_unit_test(test_what_is_no_side_file),
        cmocka_unit_test(test_values_that_stores_keep),
        cmocka_unit_test(test_objects_longer_than_one_read),
    };
    return cmocka_run_group_tests_name("backup/checksum", tests, NULL, NULL);
}
