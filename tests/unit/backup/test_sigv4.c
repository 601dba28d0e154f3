#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/sigv4.h"
#include "lib/net/url.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The part of the lines that begins with "Signature=". */
static void signature_of(const struct str *lines, char ret_signature[65])
{
    const char *begin = strstr(str_text(lines), "Signature=");
    assert_non_null(begin);
    begin += strlen("Signature=");
    assert_int_equal(strcspn(begin, "\n"), 64);
    memcpy(ret_signature, begin, 64);
    ret_signature[64] = '\0';
}

/* Values of the "AWS Signature Version 4 test suite" (of its cases those that S3 can meet: paths
 * are not normalised). 2015-08-30T12:36:00Z, key AKIDEXAMPLE, service "service". */
static void test_amazons_test_suite(void **state)
{
    (void)state;
#define LETTERS "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    static const struct {
        const char *name, *method, *path;
        struct http_header query[3], headers[2];
        const char *token, *signature;
    } rows[] = {
        {"get-vanilla",
         "GET",
         "/",
         {{0}},
         {{0}},
         NULL,
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"get-vanilla-query-order-key-case",
         "GET",
         "/",
         {{"Param2", "value2"}, {"Param1", "value1"}},
         {{0}},
         NULL,
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {"get-vanilla-query-unreserved",
         "GET",
         "/",
         {{LETTERS, LETTERS}},
         {{0}},
         NULL,
         "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
        {"get-vanilla-utf8-query",
         "GET",
         "/",
         {{"\xe1\x88\xb4", "bar"}},
         {{0}},
         NULL,
         "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
        {"get-vanilla-empty-query-key",
         "GET",
         "/",
         {{"Param1", "value1"}},
         {{0}},
         NULL,
         "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
        {"get-utf8",
         "GET",
         "/\xe1\x88\xb4",
         {{0}},
         {{0}},
         NULL,
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"get-space-unnormalized",
         "GET",
         "/example space/",
         {{0}},
         {{0}},
         NULL,
         "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
        {"get-unreserved",
         "GET",
         "/" LETTERS,
         {{0}},
         {{0}},
         NULL,
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        {"get-slashes-unnormalized",
         "GET",
         "//example//",
         {{0}},
         {{0}},
         NULL,
         "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
        {"get-slash-dot-slash-unnormalized",
         "GET",
         "/./",
         {{0}},
         {{0}},
         NULL,
         "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
        {"get-relative-unnormalized",
         "GET",
         "/example/..",
         {{0}},
         {{0}},
         NULL,
         "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"},
        {"get-vanilla-with-session-token",
         "GET",
         "/",
         {{0}},
         {{0}},
         "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
         "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
        {"post-vanilla",
         "POST",
         "/",
         {{0}},
         {{0}},
         NULL,
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"post-vanilla-query",
         "POST",
         "/",
         {{"Param1", "value1"}},
         {{0}},
         NULL,
         "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
        {"post-header-key-sort",
         "POST",
         "/",
         {{0}},
         {{"my-header1", "value1"}},
         NULL,
         "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    };
    SECRET_GUARD struct secret secret = {0};
    secret_set(&secret, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 40);
    for (size_t i = 0; i < COUNT(rows); i++) {
        SECRET_GUARD struct secret token = {0};
        if (rows[i].token)
            secret_set(&token, rows[i].token, strlen(rows[i].token));
        STR_GUARD struct str path = STR_INIT(1000), query = STR_INIT(1000), lines = STR_INIT(4000);
        url_encode(&path, rows[i].path, true);
        sigv4_append_query(&query, rows[i].query);
        const struct sigv4_request request = {
            .method = rows[i].method,
            .host = "example.amazonaws.com",
            .path = str_text(&path),
            .query = str_text(&query),
            .headers = rows[i].headers,
            .payload_sha256 = SIGV4_EMPTY_SHA256,
        };
        const struct sigv4_key key = {"AKIDEXAMPLE", &secret,   &token,
                                      "us-east-1",   "service", 1440938160};
        char signature[65];
        sigv4_sign(&request, &key, &lines);
        signature_of(&lines, signature);
        if (strcmp(signature, rows[i].signature) != 0)
            fail_msg("%s: %s, lines:\n%s", rows[i].name, signature, str_text(&lines));
    }
}

/* The examples of "Authenticating Requests: Using the Authorization Header" in the S3 API
 * reference. */
static void test_examples_of_the_s3_reference(void **state)
{
    (void)state;
    static const struct {
        const char *name, *path;
        struct http_header query[3], headers[2];
        const char *signature;
    } rows[] = {
        {"GET object with a range",
         "/test.txt",
         {{0}},
         {{"range", "bytes=0-9"}},
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"GET bucket lifecycle",
         "/",
         {{"lifecycle", ""}},
         {{0}},
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list objects",
         "/",
         {{"prefix", "J"}, {"max-keys", "2"}},
         {{0}},
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    SECRET_GUARD struct secret secret = {0};
    secret_set(&secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", 40);
    for (size_t i = 0; i < COUNT(rows); i++) {
        STR_GUARD struct str query = STR_INIT(1000), lines = STR_INIT(4000);
        sigv4_append_query(&query, rows[i].query);
        const struct sigv4_request request = {
            .method = "GET",
            .host = "examplebucket.s3.amazonaws.com",
            .path = rows[i].path,
            .query = str_text(&query),
            .headers = rows[i].headers,
            .payload_sha256 = SIGV4_EMPTY_SHA256,
            .has_payload_header = true,
        };
        const struct sigv4_key key = {
            "AKIAIOSFODNN7EXAMPLE", &secret, NULL, "us-east-1", "s3", 1369353600};
        char signature[65];
        sigv4_sign(&request, &key, &lines);
        signature_of(&lines, signature);
        if (strcmp(signature, rows[i].signature) != 0)
            fail_msg("%s: %s, lines:\n%s", rows[i].name, signature, str_text(&lines));
    }
}

static void test_lines_are_complete_and_hold_no_key(void **state)
{
    (void)state;
    SECRET_GUARD struct secret secret = {0}, token = {0};
    secret_set(&secret, "s3cret", 6);
    secret_set(&token, "t0ken", 5);
    STR_GUARD struct str lines = STR_INIT(4000);
    const struct sigv4_request request = {
        .method = "GET",
        .host = "h:1",
        .path = "/",
        .query = "",
        .payload_sha256 = SIGV4_EMPTY_SHA256,
        .has_payload_header = true,
    };
    const struct sigv4_key key = {"ID", &secret, &token, "r", "s3", 0};
    sigv4_sign(&request, &key, &lines);
    static const char *const must[] = {
        "x-amz-date: 19700101T000000Z\n",
        "x-amz-content-sha256: " SIGV4_EMPTY_SHA256 "\n",
        "x-amz-security-token: t0ken\n",
        "Authorization: AWS4-HMAC-SHA256 Credential=ID/19700101/r/s3/aws4_request, Sign",
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=",
    };
    for (size_t i = 0; i < COUNT(must); i++)
        assert_non_null(strstr(str_text(&lines), must[i]));
    assert_null(strstr(str_text(&lines), "s3cret"));
    assert_true(text_has_suffix(str_text(&lines), "\n"));
}

static void test_queries_are_encoded_and_sorted(void **state)
{
    (void)state;
    static const struct {
        struct http_header parameters[4];
        const char *query;
    } rows[] = {
        {{{0}}, ""},
        {{{"a", ""}}, "a="},
        {{{"b", "2"}, {"a", "1"}, {"B", "3"}}, "B=3&a=1&b=2"},
        {{{"a", "2"}, {"a", "1"}}, "a=1&a=2"},
        {{{"prefix", "a b/+%"}, {"list-type", "2"}}, "list-type=2&prefix=a%20b%2F%2B%25"},
        {{{"\xc3\xa4", "x"}, {"z", "y"}}, "%C3%A4=x&z=y"},
        {{{"a-b", "1"}, {"a", "2"}}, "a=2&a-b=1"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        STR_GUARD struct str query = STR_INIT(1000);
        sigv4_append_query(&query, rows[i].parameters);
        assert_string_equal(str_text(&query), rows[i].query);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_amazons_test_suite),
        cmocka_unit_test(test_examples_of_the_s3_reference),
        cmocka_unit_test(test_lines_are_complete_and_hold_no_key),
        cmocka_unit_test(test_queries_are_encoded_and_sorted),
    };
    return cmocka_run_group_tests_name("backup/sigv4", tests, NULL, NULL);
}
