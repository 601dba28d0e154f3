#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/location.h"

static void test_what_parses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *url;
        enum location_kind kind;
        const char *bucket, *path, *shown;
    } rows[] = {
        {"bucket alone", "s3://acme", LOCATION_S3, "acme", "", "s3://acme"},
        {"bucket with slash", "s3://acme/", LOCATION_S3, "acme", "", "s3://acme/"},
        {"folder", "s3://acme-backups/prod/", LOCATION_S3, "acme-backups", "prod/", NULL},
        {"dots and underscores", "s3://a.b_c/x", LOCATION_S3, "a.b_c", "x", NULL},
        {"key with blanks and plus", "s3://b/a b+c", LOCATION_S3, "b", "a b+c", NULL},
        {"escapes in a key are literal", "s3://b/a%20b", LOCATION_S3, "b", "a%20b", NULL},
        {"leading slash in a key", "s3://b//k", LOCATION_S3, "b", "/k", NULL},
        {"unicode key", "s3://b/\xc3\xa4", LOCATION_S3, "b", "\xc3\xa4", NULL},
        {"at sign in a key is no user", "s3://b/a@b", LOCATION_S3, "b", "a@b", NULL},
        {"file", "file:///var/backups/", LOCATION_FILE, "", "/var/backups/", NULL},
        {"file root", "file:///", LOCATION_FILE, "", "/", NULL},
        {"file with host", "file://localhost/a", LOCATION_FILE, "", "/a", "file:///a"},
        {"file with escapes", "file:///a%20b%25%3f", LOCATION_FILE, "", "/a b%?",
         "file:///a%20b%25%3F"},
        {"path", "/var/backups/x.dump", LOCATION_FILE, "", "/var/backups/x.dump",
         "file:///var/backups/x.dump"},
        {"path is literal", "/a%20b?c#d", LOCATION_FILE, "", "/a%20b?c#d",
         "file:///a%2520b%3Fc%23d"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct location location;
        if (location_parse(&arena, rows[i].url, &location, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        if (location.kind != rows[i].kind || strcmp(location.bucket, rows[i].bucket) ||
            strcmp(location.path, rows[i].path) ||
            strcmp(location.url, rows[i].shown ? rows[i].shown : rows[i].url))
            fail_msg("%s: bucket '%s' path '%s' url '%s'", rows[i].name, location.bucket,
                     location.path, location.url);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    char long_key[1200] = "s3://b/", long_path[5000] = "/";
    memset(long_key + 7, 'k', 1025);
    memset(long_path + 1, 'p', sizeof long_path - 2);
    const struct {
        const char *name, *url;
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"nothing", "", ERR_CONFIG, "is empty"},
        {"no pointer", NULL, ERR_CONFIG, "is empty"},
        {"relative path", "backups/x", ERR_CONFIG, "absolute"},
        {"no bucket", "s3://", ERR_CONFIG, "no bucket"},
        {"no bucket but a key", "s3:///key", ERR_CONFIG, "no bucket"},
        {"endpoint in the location", "s3://minio:9000/b/", ERR_CONFIG, "':'"},
        {"bucket with blank", "s3://a b/", ERR_CONFIG, "bucket name"},
        {"bucket that climbs", "s3://../x", ERR_CONFIG, "bucket name"},
        {"credentials", "s3://AKIA:s3cret@bucket/", ERR_CONFIG, "user or password"},
        {"query", "s3://bucket/a?X-Amz-Signature=s3cret", ERR_CONFIG, "query"},
        {"fragment", "file:///a#s3cret", ERR_CONFIG, "query"},
        {"newline", "s3://bucket/a\nb", ERR_CONFIG, "control"},
        {"two slashes", "file://backups/x", ERR_CONFIG, "three slashes"},
        {"file without path", "file://", ERR_CONFIG, "three slashes"},
        {"bad escape", "file:///a%2", ERR_CONFIG, "escape"},
        {"encoded NUL", "file:///a%00b", ERR_CONFIG, "escape"},
        {"google", "gs://bucket/x", ERR_UNSUPPORTED, "gs://"},
        {"azure", "az://c/x", ERR_UNSUPPORTED, "az://"},
        {"web", "https://host/x", ERR_UNSUPPORTED, "https://"},
        {"web with password", "https://u:s3cret@host/x", ERR_CONFIG, "user or password"},
        {"another kind", "ftp://host/x", ERR_CONFIG, "'ftp'"},
        {"S3 in capitals", "S3://bucket/x", ERR_CONFIG, "'S3'"},
        {"long key", long_key, ERR_CONFIG, "longer"},
        {"long path", long_path, ERR_CONFIG, "longer"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct location location;
        enum errc code = location_parse(&arena, rows[i].url, &location, &err);
        if (code != rows[i].code || !strstr(err.text, rows[i].must_say))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        if (strstr(err.text, "s3cret") || strstr(err.hint, "s3cret"))
            fail_msg("%s: the secret is repeated", rows[i].name);
        assert_true(err.hint[0] != '\0');
    }
}

static void test_join_puts_one_slash_in_between(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *name, *url;
    } rows[] = {
        {"s3://b", "n", "s3://b/n"},       {"s3://b/", "n", "s3://b/n"},
        {"s3://b/f", "n", "s3://b/f/n"},   {"s3://b/f/", "y/m/n", "s3://b/f/y/m/n"},
        {"file:///f", "n", "file:///f/n"}, {"file:///", "n m", "file:///n%20m"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct error err = ERROR_INIT;
        struct location folder;
        assert_int_equal(location_parse(&arena, rows[i].folder, &folder, &err), RR_OK);
        struct location object = location_join(&arena, &folder, rows[i].name);
        assert_string_equal(object.url, rows[i].url);
        assert_int_equal(object.kind, folder.kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_parses),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_join_puts_one_slash_in_between),
    };
    return cmocka_run_group_tests_name("backup/location", tests, NULL, NULL);
}
