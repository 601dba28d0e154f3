#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/s3_endpoint.h"
#include "tests/unit/backup/environment.h"

#define S3_URL "AWS_ENDPOINT_URL_S3"

static void test_where_an_object_is(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct variable variables[3];
        const char *bucket, *key;
        const char *url, *region;
    } rows[] = {
        {"Amazon, no region",
         {{0}},
         "acme",
         "a/b",
         "https://acme.s3.us-east-1.amazonaws.com/a/b",
         "us-east-1"},
        {"Amazon, region",
         {{"AWS_REGION", "eu-central-1"}},
         "acme",
         "k",
         "https://acme.s3.eu-central-1.amazonaws.com/k",
         "eu-central-1"},
        {"Amazon, default region",
         {{"AWS_DEFAULT_REGION", "eu-west-3"}},
         "acme",
         "k",
         "https://acme.s3.eu-west-3.amazonaws.com/k",
         "eu-west-3"},
        {"AWS_REGION wins",
         {{"AWS_REGION", "a-1"}, {"AWS_DEFAULT_REGION", "b-2"}},
         "acme",
         "k",
         "https://acme.s3.a-1.amazonaws.com/k",
         "a-1"},
        {"China",
         {{"AWS_REGION", "cn-north-1"}},
         "acme",
         "k",
         "https://acme.s3.cn-north-1.amazonaws.com.cn/k",
         "cn-north-1"},
        {"bucket with dots",
         {{0}},
         "acme.com",
         "k",
         "https://s3.us-east-1.amazonaws.com/acme.com/k",
         "us-east-1"},
        {"bucket with capitals",
         {{0}},
         "Acme",
         "k",
         "https://s3.us-east-1.amazonaws.com/Acme/k",
         "us-east-1"},
        {"bucket longer than a label",
         {{0}},
         "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234",
         "k",
         "https://s3.us-east-1.amazonaws.com/"
         "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234/k",
         "us-east-1"},
        {"the bucket itself",
         {{0}},
         "acme",
         NULL,
         "https://acme.s3.us-east-1.amazonaws.com/",
         "us-east-1"},
        {"path style, bucket itself",
         {{S3_URL, "http://minio:9000"}},
         "acme",
         NULL,
         "http://minio:9000/acme",
         "us-east-1"},
        {"custom",
         {{S3_URL, "http://minio:9000/"}},
         "acme",
         "k",
         "http://minio:9000/acme/k",
         "us-east-1"},
        {"custom by the general variable",
         {{"AWS_ENDPOINT_URL", "https://store"}},
         "acme",
         "k",
         "https://store/acme/k",
         "us-east-1"},
        {"the special variable wins",
         {{"AWS_ENDPOINT_URL", "https://a"}, {S3_URL, "https://b"}},
         "acme",
         "k",
         "https://b/acme/k",
         "us-east-1"},
        {"with a path",
         {{S3_URL, "https://h/s3/v1//"}},
         "acme",
         "k",
         "https://h/s3/v1/acme/k",
         "us-east-1"},
        {"the scheme's own port",
         {{S3_URL, "https://H:443"}},
         "acme",
         "k",
         "https://h/acme/k",
         "us-east-1"},
        {"the other scheme's port",
         {{S3_URL, "http://h:443"}},
         "acme",
         "k",
         "http://h:443/acme/k",
         "us-east-1"},
        {"port 80", {{S3_URL, "http://h:80"}}, "acme", "k", "http://h/acme/k", "us-east-1"},
        {"IPv6",
         {{S3_URL, "http://[::1]:9000"}},
         "acme",
         "k",
         "http://[::1]:9000/acme/k",
         "us-east-1"},
        {"odd key",
         {{S3_URL, "http://h"}},
         "acme",
         "a b+c%/\xc3\xa4?#",
         "http://h/acme/a%20b%2Bc%25/%C3%A4%3F%23",
         "us-east-1"},
        {"leading and double slashes",
         {{S3_URL, "http://h"}},
         "acme",
         "/a//b/",
         "http://h/acme//a//b/",
         "us-east-1"},
        {"empty variables",
         {{S3_URL, ""}, {"AWS_REGION", ""}},
         "acme",
         "k",
         "https://acme.s3.us-east-1.amazonaws.com/k",
         "us-east-1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        struct s3_endpoint endpoint;
        STR_GUARD struct str host = STR_INIT(500), path = STR_INIT(500), url = STR_INIT(1000);
        set_environment(rows[i].variables);
        if (s3_endpoint_load(&endpoint, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        s3_endpoint_locate(&endpoint, rows[i].bucket, rows[i].key, &host, &path);
        str_printf(&url, "%s://%s%s", endpoint.is_https ? "https" : "http", str_text(&host),
                   str_text(&path));
        if (strcmp(str_text(&url), rows[i].url) || strcmp(endpoint.region, rows[i].region))
            fail_msg("%s: %s in %s", rows[i].name, str_text(&url), endpoint.region);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static char long_host[400] = "http://";
    memset(long_host + 7, 'h', 300);
    static const struct {
        const char *name;
        struct variable variables[2];
        const char *must_say;
    } rows[] = {
        {"no scheme", {{S3_URL, "minio:9000"}}, "http://"},
        {"another scheme", {{S3_URL, "ftp://minio"}}, "http://"},
        {"no host", {{S3_URL, "http:///x"}}, "no host"},
        {"long host", {{S3_URL, long_host}}, "no host"},
        {"user and password", {{S3_URL, "http://user:s3cret@minio"}}, "user or password"},
        {"query", {{S3_URL, "http://minio?k=s3cret"}}, "query"},
        {"fragment", {{S3_URL, "http://minio/#x"}}, "query"},
        {"line break", {{S3_URL, "http://minio\n"}}, "character"},
        {"blank", {{S3_URL, "http://mi nio"}}, "character"},
        {"escape", {{S3_URL, "http://minio/%41"}}, "character"},
        {"region that leads elsewhere", {{"AWS_REGION", "x.evil.example/"}}, "AWS_REGION"},
        {"region with line break", {{"AWS_REGION", "eu-central-1\n"}}, "AWS_REGION"},
        {"default region with blank",
         {{"AWS_DEFAULT_REGION", "eu central 1"}},
         "AWS_DEFAULT_REGION"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        struct s3_endpoint endpoint;
        set_environment(rows[i].variables);
        enum errc code = s3_endpoint_load(&endpoint, &err);
        if (code != ERR_CONFIG || !strstr(err.text, rows[i].must_say))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        assert_null(strstr(err.text, "s3cret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_an_object_is),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests_name("backup/s3_endpoint", tests, NULL, NULL);
}
