/* The S3 store against a scripted peer: what it sends, and what it makes of every kind of answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/catalog.h"
#include "lib/backup/source_s3.h"
#include "lib/base/limits.h"
#include "tests/unit/backup/environment.h"
#include "tests/unit/net/peer.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RFC_NAME "%Y-%m-%dT%H:%M:%SZ.dump"

/* An answer that ends with the connection, so that nobody has to count. */
#define CLOSING(status, headers, body)                                                             \
    .reply = "HTTP/1.1 " status "\r\n" headers "Connection: close\r\n\r\n" body, .then = PEER_CLOSE
#define REFUSAL(status, code)                                                                      \
    CLOSING(status, "", "<Error><Code>" code "</Code><Message>m</Message></Error>")
#define LISTING(truncated, rest)                                                                   \
    CLOSING("200 OK", "",                                                                          \
            "<?xml version=\"1.0\"?><ListBucketResult "                                            \
            "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"                                   \
            "<IsTruncated>" truncated "</IsTruncated>" rest "</ListBucketResult>")
#define ENTRY(key, size)                                                                           \
    "<Contents><Key>" key "</Key><LastModified>2024-12-10T00:00:00.000Z</LastModified>"            \
    "<ETag>&#34;x&#34;</ETag><Size>" size "</Size></Contents>"
#define ETAG "ETag: \"v1\"\r\n"
#define PART_ANSWER(range, length, body)                                                           \
    PEER_ANSWER("206 Partial Content", ETAG "Content-Range: bytes " range "\r\n", length, body)

/* Everything of one trial. */
struct trial {
    struct peer *peer;
    struct arena arena;
    struct location location;
    struct error err;
    struct quick_clock clock;
};

static void begin(struct trial *t, const struct peer_step *script, size_t count, const char *url)
{
    *t = (struct trial){.peer = peer_start(script, count, PEER_PLAIN)};
    const struct variable variables[] = {
        {"AWS_ACCESS_KEY_ID", "id"},
        {"AWS_SECRET_ACCESS_KEY", "s3cret"},
        {"AWS_ENDPOINT_URL_S3", peer_url(t->peer)},
        {0},
    };
    set_environment(variables);
    quick_clock_init(&t->clock);
    if (location_parse(&t->arena, url, &t->location, &t->err))
        fail_msg("%s", t->err.text);
}

static void end(struct trial *t)
{
    assert_null(strstr(t->err.text, "s3cret"));
    arena_release(&t->arena);
    peer_stop(t->peer);
}

/* ---- listing ---- */

static enum errc list(struct trial *t, const char *pattern, struct backup **ret_backups,
                      size_t *ret_count)
{
    const struct catalog_options options = {.location = t->location, .name_pattern = pattern};
    return catalog_list(&options, &t->arena, ret_backups, ret_count, &t->err);
}

static void test_a_listing_goes_over_all_pages(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect =
             "GET /acme?delimiter=%2F&encoding-type=url&list-type=2&prefix=my%20dbs%2Fdb%2B "
             "HTTP/1.1\r\n"
             "\1x-amz-content-sha256: e3b0c442\1Authorization: AWS4-HMAC-SHA256 Credential=id/",
         .forbid = "s3cret\1x-amz-security-token",
         LISTING("true", "<EncodingType>url</EncodingType>"
                         "<NextContinuationToken>a b/+==</NextContinuationToken>"
                         "<CommonPrefixes><Prefix>my+dbs/db%2Bold/</Prefix></CommonPrefixes>" ENTRY(
                             "my+dbs/db%2B2024-12-11+%c3%a4", "22") ENTRY("my+dbs/db%2B/", "0"))},
        {.expect = "GET /acme?continuation-token=a%20b%2F%2B%3D%3D&delimiter=%2F&",
         LISTING("true", "<EncodingType/><NextContinuationToken>2</NextContinuationToken>")},
        {.expect = "continuation-token=2&",
         LISTING("false", "<EncodingType/>" ENTRY("my dbs/db+2024-12-10 \xc3\xa4", "11")
                              ENTRY("my dbs/db+2024-12-12%20\xc3\xa4", "11"))},
    };
    struct trial t;
    begin(&t, script, COUNT(script), "s3://acme/my dbs");
    struct backup *backups;
    size_t count;
    if (list(&t, "db+%F \xc3\xa4", &backups, &count))
        fail_msg("%s", t.err.text);
    assert_int_equal(count, 2);
    assert_string_equal(backups[0].url, "s3://acme/my dbs/db+2024-12-10 \xc3\xa4");
    assert_string_equal(backups[1].name, "db+2024-12-11 \xc3\xa4");
    assert_int_equal(backups[1].size_bytes, 22);
    end(&t);
}

static void test_sub_folders_are_listed_without_delimiter(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "GET /acme?encoding-type=url&list-type=2&prefix= HTTP/1.1\r\n",
         LISTING("false",
                 ENTRY("2024/12/10/db.dump", "1") ENTRY("2024/12/10/db.dump.sha256", "1"))},
    };
    struct trial t;
    begin(&t, script, COUNT(script), "s3://acme");
    struct backup *backups;
    size_t count;
    assert_int_equal(list(&t, "%Y/%m/%d/db.dump", &backups, &count), RR_OK);
    assert_int_equal(count, 1);
    assert_string_equal(backups[0].url, "s3://acme/2024/12/10/db.dump");
    end(&t);
}

#define FOLDER(prefix) "<CommonPrefixes><Prefix>" prefix "</Prefix></CommonPrefixes>"

static void test_folders_are_listed_level_by_level(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "GET /acme?delimiter=%2F&encoding-type=url&list-type=2&prefix=f%2F HTTP/1.1",
         LISTING("true", "<NextContinuationToken>n</NextContinuationToken>" FOLDER("f/2023/")
                             FOLDER("f/notes/") ENTRY("f/2024-12-10", "1"))},
        {.expect = "continuation-token=n&", LISTING("false", FOLDER("f/2024/"))},
        {.expect = "&prefix=f%2F2024%2F HTTP/1.1\r\n",
         LISTING("false", FOLDER("f/2024/12-10/") FOLDER("f/2024/13-10/") FOLDER("f/2024/x/"))},
        {.expect = "&prefix=f%2F2023%2F HTTP/1.1\r\n",
         LISTING("false", FOLDER("f/2023/01-01/") ENTRY("f/2023/01-02", "1"))},
    };
    struct trial t;
    begin(&t, script, COUNT(script), "s3://acme/f");
    struct backup *backups;
    size_t count;
    if (list(&t, "%Y/%m-%d/", &backups, &count))
        fail_msg("%s", t.err.text);
    assert_int_equal(count, 2);
    assert_string_equal(backups[0].url, "s3://acme/f/2023/01-01/");
    assert_string_equal(backups[1].name, "2024/12-10/");
    end(&t);
}

/* Asked for with its slash, a folder would be told as its objects. */
static void test_one_folder_is_found_by_its_name(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "GET /acme?delimiter=%2F&encoding-type=url&list-type=2&prefix=f%2F2024-12-10 ",
         LISTING("false", FOLDER("f/2024-12-10/") FOLDER("f/2024-12-10x/"))},
    };
    struct trial t;
    begin(&t, script, COUNT(script), "s3://acme/f/");
    const struct catalog_options options = {.location = t.location, .name_pattern = "%F/"};
    const struct instant desired = {.seconds = 1733788800};
    struct backup backup;
    if (catalog_select(&options, desired, &t.arena, &backup, &t.err))
        fail_msg("%s", t.err.text);
    assert_string_equal(backup.url, "s3://acme/f/2024-12-10/");
    end(&t);
}

static void test_folders_outside_of_what_was_asked_for(void **state)
{
    (void)state;
    static const struct peer_step script[] = {{LISTING("false", FOLDER("g/2024-12-10/"))}};
    struct trial t;
    begin(&t, script, COUNT(script), "s3://acme/f/");
    struct backup *backups;
    size_t count;
    assert_int_equal(list(&t, "%F/", &backups, &count), ERR_HTTP);
    assert_non_null(strstr(t.err.text, "malformed prefix"));
    end(&t);
}

static void test_a_choice_lists_little_and_all_only_on_a_miss(void **state)
{
    (void)state;
    static const struct peer_step hit[] = {
        {.expect = "&prefix=f%2F2024-12-10T00%3A00%3A00Z.dump HTTP",
         LISTING("false", ENTRY("f/2024-12-10T00:00:00Z.dump", "1"))},
    };
    static const struct peer_step miss[] = {
        {.expect = "&prefix=f%2F2024-12-10T00%3A00%3A00Z.dump HTTP", LISTING("false", "")},
        {.expect = "&prefix=f%2F HTTP",
         LISTING("false", ENTRY("f/2024-12-09T00:00:00Z.dump", "1"))},
    };
    static const struct peer_step empty[] = {
        {LISTING("false", "")},
        {LISTING("false",
                 ENTRY("f/", "0"))}, /* the mark that consoles make for a folder is no name in it */
    };
    struct catalog_options options = {.name_pattern = RFC_NAME};
    struct instant desired = {.seconds = 1733788800};
    struct backup backup;
    struct trial t;
    begin(&t, hit, COUNT(hit), "s3://acme/f");
    options.location = t.location;
    assert_int_equal(catalog_select(&options, desired, &t.arena, &backup, &t.err), RR_OK);
    assert_string_equal(backup.url, "s3://acme/f/2024-12-10T00:00:00Z.dump");
    end(&t);
    begin(&t, miss, COUNT(miss), "s3://acme/f");
    options.location = t.location;
    assert_int_equal(catalog_select(&options, desired, &t.arena, &backup, &t.err),
                     ERR_BACKUP_NOT_FOUND);
    assert_non_null(strstr(t.err.text, "'2024-12-09T00:00:00Z.dump'"));
    end(&t);
    begin(&t, empty, COUNT(empty), "s3://acme/f");
    options.location = t.location;
    assert_int_equal(catalog_select(&options, desired, &t.arena, &backup, &t.err),
                     ERR_BACKUP_NOT_FOUND);
    assert_non_null(strstr(t.err.text, "there is nothing in"));
    end(&t);
}

static void test_listings_that_are_refused(void **state)
{
    (void)state;
    static char long_key[4000];
    snprintf(
        long_key, sizeof long_key,
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<ListBucketResult><Contents><Key>%01100d</Key>"
        "<Size>1</Size></Contents></ListBucketResult>",
        0);
    static const struct {
        const char *name;
        struct peer_step step;
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"more, but not where", {LISTING("true", "")}, ERR_HTTP, "where it goes on"},
        {"more, but nowhere",
         {LISTING("true", "<NextContinuationToken></NextContinuationToken>")},
         ERR_HTTP,
         "where it goes on"},
        {"key outside",
         {LISTING("false", ENTRY("other/2024-12-10", "1"))},
         ERR_HTTP,
         "not asked for"},
        {"no key",
         {LISTING("false", "<Contents><Size>1</Size></Contents>")},
         ERR_HTTP,
         "malformed key"},
        {"no size",
         {LISTING("false", "<Contents><Key>f/x</Key></Contents>")},
         ERR_HTTP,
         "without size"},
        {"negative size", {LISTING("false", ENTRY("f/x", "-1"))}, ERR_HTTP, "without size"},
        {"size beyond numbers",
         {LISTING("false", ENTRY("f/x", "99999999999999999999"))},
         ERR_HTTP,
         "without size"},
        {"broken escape",
         {LISTING("false", "<EncodingType>url</EncodingType>" ENTRY("f/%4", "1"))},
         ERR_HTTP,
         "malformed key"},
        {"long key", {.reply = long_key, .then = PEER_CLOSE}, ERR_HTTP, "malformed key"},
        {"web page",
         {CLOSING("200 OK", "", "<html><body>Welcome</body></html>")},
         ERR_HTTP,
         "S3 store?"},
        {"no XML", {CLOSING("200 OK", "", "Welcome")}, ERR_HTTP, "listing"},
        {"empty", {CLOSING("200 OK", "", "")}, ERR_HTTP, "listing"},
        {"XML cut off",
         {CLOSING("200 OK", "", "<ListBucketResult><Contents>")},
         ERR_HTTP,
         "listing"},
        {"entities",
         {CLOSING("200 OK", "", "<!DOCTYPE a [<!ENTITY b \"c\">]><ListBucketResult/>")},
         ERR_HTTP,
         "listing"},
        {"no bucket",
         {REFUSAL("404 Not Found", "NoSuchBucket")},
         ERR_LOCATION_MISSING,
         "no such bucket"},
        {"404 without text", {CLOSING("404 Not Found", "", "")}, ERR_LOCATION_MISSING, "404"},
        {"denied",
         {REFUSAL("403 Forbidden", "AccessDenied")},
         ERR_OBJECT_STORE_DENIED,
         "permission"},
        {"unknown key",
         {REFUSAL("403 Forbidden", "InvalidAccessKeyId")},
         ERR_OBJECT_STORE_DENIED,
         "access key"},
        {"wrong secret",
         {REFUSAL("403 Forbidden", "SignatureDoesNotMatch")},
         ERR_OBJECT_STORE_DENIED,
         "secret key"},
        {"expired token",
         {REFUSAL("400 Bad Request", "ExpiredToken")},
         ERR_OBJECT_STORE_DENIED,
         "expired"},
        {"403 of a proxy",
         {CLOSING("403 Forbidden", "", "<html>blocked by policy")},
         ERR_OBJECT_STORE_DENIED,
         "403"},
        {"401", {CLOSING("401 Unauthorized", "", "")}, ERR_OBJECT_STORE_DENIED, "401"},
        {"region by the text",
         {CLOSING("400 Bad Request", "",
                  "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region "
                  "'us-east-1' is wrong</Message><Region>eu-central-1</Region></Error>")},
         ERR_OBJECT_STORE_DENIED,
         "region 'eu-central-1'"},
        {"region by the header",
         {CLOSING("301 Moved Permanently", "x-amz-bucket-region: eu-west-3\r\n",
                  "<Error><Code>PermanentRedirect</Code></Error>")},
         ERR_OBJECT_STORE_DENIED,
         "region 'eu-west-3'"},
        {"redirect to an endpoint",
         {CLOSING(
             "307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n",
             "<Error><Code>TemporaryRedirect</Code><Endpoint>acme.s3.example</Endpoint></Error>")},
         ERR_OBJECT_STORE_DENIED,
         "'acme.s3.example'"},
        {"something else",
         {REFUSAL("400 Bad Request", "InvalidArgument")},
         ERR_HTTP,
         "'InvalidArgument' 'm'"},
        {"escapes in the text", {REFUSAL("409 Conflict", "\xc2\x9b[31m\n")}, ERR_HTTP, "\\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        struct backup *backups;
        size_t count;
        begin(&t, &rows[i].step, 1, "s3://acme/f/");
        enum errc code = list(&t, "%F", &backups, &count);
        if (code != rows[i].code || !strstr(t.err.text, rows[i].must_say))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), t.err.text);
        for (const char *p = t.err.text; *p; p++)
            assert_true((unsigned char)*p >= 0x20);
        end(&t);
    }
}

static void test_the_same_token_twice_ends_a_listing(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {LISTING("true", "<NextContinuationToken>t</NextContinuationToken>"), .times = 2},
    };
    struct trial t;
    struct backup *backups;
    size_t count;
    begin(&t, script, COUNT(script), "s3://acme/");
    assert_int_equal(list(&t, "%F", &backups, &count), ERR_HTTP);
    end(&t);
}

/* ---- opening ---- */

static void test_what_is_opened(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step steps[3];
        size_t step_count;
        enum errc code;
        const char *must_say; /* of the error, or the identity */
    } rows[] = {
        {"object",
         {{.expect = "HEAD /acme/a%20b HTTP/1.1\r\n\1x-amz-checksum-mode: ENABLED\r\n"
                     "\1SignedHeaders=host;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date,",
           .reply = "HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 7\r\n\r\n"}},
         1,
         RR_OK,
         "\"v1\""},
        {"object with a version",
         {{.reply = "HTTP/1.1 200 OK\r\n" ETAG
                    "x-amz-version-id: 3/L4kqtJ\r\nContent-Length: 7\r\n\r\n"}},
         1,
         RR_OK,
         "\"v1\" version 3/L4kqtJ"},
        {"no ETag",
         {{.reply = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"}},
         1,
         ERR_HTTP,
         "ETag"},
        {"no length", {{.reply = "HTTP/1.1 200 OK\r\n" ETAG "\r\n"}}, 1, ERR_HTTP, "size"},
        {"no object",
         {{CLOSING("404 Not Found", "", "")},
          {.expect = "GET /acme/a%20b HTTP/1.1\r\n\1Range: bytes=0-0\r\n",
           REFUSAL("404 Not Found", "NoSuchKey")}},
         2,
         ERR_BACKUP_NOT_FOUND,
         "no such object"},
        {"no bucket",
         {{CLOSING("404 Not Found", "", "")}, {REFUSAL("404 Not Found", "NoSuchBucket")}},
         2,
         ERR_LOCATION_MISSING,
         "no such bucket"},
        {"denied",
         {{CLOSING("403 Forbidden", "", "")}, {REFUSAL("403 Forbidden", "AccessDenied")}},
         2,
         ERR_OBJECT_STORE_DENIED,
         "permission"},
        {"only the GET is allowed",
         {{CLOSING("403 Forbidden", "", "")},
          {.reply = PEER_ANSWER("206 Partial Content", "", 1, "x"), .then = PEER_CLOSE},
          {CLOSING("403 Forbidden", "", "")}},
         3,
         ERR_OBJECT_STORE_DENIED,
         "403"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        SOURCE_GUARD struct source *source = NULL;
        begin(&t, rows[i].steps, rows[i].step_count, "s3://acme/a b");
        enum errc code = backup_open(&t.location, NULL, &source, &t.err);
        if (code != rows[i].code || (code && !strstr(t.err.text, rows[i].must_say)))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), t.err.text);
        if (code == RR_OK) {
            assert_int_equal(source->size_bytes, 7);
            assert_string_equal(source->identity, rows[i].must_say);
        }
        end(&t);
    }
}

static void test_the_stores_clock_is_taken_once_when_it_complains(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {.expect = "x-amz-date: 20241210T000000Z\r\n", CLOSING("403 Forbidden", "", "")},
        {.expect = "x-amz-date: 20241210T000000Z\r\n",
         CLOSING("403 Forbidden", "Date: Tue, 10 Dec 2024 02:30:00 GMT\r\n",
                 "<Error><Code>RequestTimeTooSkewed</Code></Error>")},
        {.expect = "x-amz-date: 20241210T023000Z\r\n\1Credential=id/20241210/",
         .reply = PEER_ANSWER("206 Partial Content", "", 1, "x")},
        {.expect = "HEAD \1x-amz-date: 20241210T023000Z\r\n",
         .reply = "HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 7\r\n\r\n"},
    };
    struct trial t;
    SOURCE_GUARD struct source *source = NULL;
    begin(&t, script, COUNT(script), "s3://acme/k");
    t.clock.wall_s = 1733788800;
    struct s3_options options = {.clock = &t.clock.base};
    if (source_s3_open(&options, &t.location, &source, &t.err))
        fail_msg("%s", t.err.text);
    end(&t);
}

static void test_a_clock_that_is_wrong_twice_is_an_error(void **state)
{
    (void)state;
    static const struct peer_step script[] = {
        {CLOSING("403 Forbidden", "", "")},
        {CLOSING("403 Forbidden", "Date: Tue, 10 Dec 2024 02:30:00 GMT\r\n",
                 "<Error><Code>RequestTimeTooSkewed</Code></Error>"),
         .times = 2},
    };
    struct trial t;
    SOURCE_GUARD struct source *source = NULL;
    begin(&t, script, COUNT(script), "s3://acme/k");
    assert_int_equal(backup_open(&t.location, NULL, &source, &t.err), ERR_OBJECT_STORE_DENIED);
    assert_non_null(strstr(t.err.hint, "NTP"));
    end(&t);
}

/* ---- reading ---- */

#define OPENED                                                                                     \
    {                                                                                              \
        .reply = "HTTP/1.1 200 OK\r\n" ETAG "Content-Length: 100\r\nConnection: close\r\n\r\n",    \
        .then = PEER_CLOSE                                                                         \
    }

static void test_reads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step steps[4];
        size_t step_count;
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"right",
         {OPENED,
          {.expect = "GET /acme/k HTTP/1.1\r\n\1Range: bytes=10-13\r\n\1If-Match: \"v1\"\r\n",
           .reply = PART_ANSWER("10-13/100", 4, "abcd")}},
         2,
         RR_OK,
         NULL},
        {"cut and continued",
         {OPENED,
          {.reply = PART_ANSWER("10-13/100", 4, "ab"), .then = PEER_CLOSE},
          {.reply = PEER_STATUS("503 Slow Down")},
          {.expect = "Range: bytes=12-13\r\n\1If-Match: \"v1\"\r\n",
           .reply = PART_ANSWER("12-13/100", 2, "cd")}},
         4,
         RR_OK,
         NULL},
        {"size unknown", {OPENED, {.reply = PART_ANSWER("10-13/*", 4, "abcd")}}, 2, RR_OK, NULL},
        {"replaced, by condition",
         {OPENED, {REFUSAL("412 Precondition Failed", "PreconditionFailed")}},
         2,
         ERR_BACKUP_CHANGED,
         "replaced"},
        {"replaced, 412 without text",
         {OPENED, {CLOSING("412 Precondition Failed", "", "")}},
         2,
         ERR_BACKUP_CHANGED,
         "412"},
        {"replaced, condition ignored",
         {OPENED,
          {.reply = PEER_ANSWER("206 Partial Content",
                                "ETag: \"v2\"\r\nContent-Range: bytes 10-13/100\r\n", 4, "abcd")}},
         2,
         ERR_BACKUP_CHANGED,
         "another ETag"},
        {"replaced in the middle",
         {OPENED,
          {.reply = PART_ANSWER("10-13/100", 4, "ab"), .then = PEER_CLOSE},
          {.reply = PEER_ANSWER("206 Partial Content",
                                "ETag: \"v2\"\r\nContent-Range: bytes 12-13/100\r\n", 2, "XX")}},
         3,
         ERR_BACKUP_CHANGED,
         "another ETag"},
        {"grown",
         {OPENED, {.reply = PART_ANSWER("10-13/101", 4, "abcd")}},
         2,
         ERR_BACKUP_CHANGED,
         "another size"},
        {"shrunk",
         {OPENED, {REFUSAL("416 Range Not Satisfiable", "InvalidRange")}},
         2,
         ERR_BACKUP_CHANGED,
         "shorter"},
        {"gone", {OPENED, {REFUSAL("404 Not Found", "NoSuchKey")}}, 2, ERR_BACKUP_CHANGED, "gone"},
        {"ranges ignored",
         {OPENED, {.reply = PEER_ANSWER("200 OK", ETAG, 100, "abcd"), .then = PEER_CLOSE}},
         2,
         ERR_UNSUPPORTED,
         "ranged reads"},
        {"wrong range",
         {OPENED, {.reply = PART_ANSWER("11-13/100", 3, "bcd")}},
         2,
         ERR_HTTP,
         "other bytes"},
        {"too much",
         {OPENED, {.reply = PART_ANSWER("10-13/100", 9, "abcdefghi"), .then = PEER_CLOSE}},
         2,
         ERR_HTTP,
         "more bytes"},
        {"permission withdrawn",
         {OPENED, {REFUSAL("403 Forbidden", "AccessDenied")}},
         2,
         ERR_OBJECT_STORE_DENIED,
         "permission"},
        {"archived",
         {OPENED, {REFUSAL("403 Forbidden", "InvalidObjectState")}},
         2,
         ERR_OBJECT_STORE_DENIED,
         "archive"},
        {"busy for good",
         {OPENED, {REFUSAL("503 Slow Down", "SlowDown"), .times = 3}},
         2,
         ERR_HTTP,
         "503"},
        {"cut for good", {OPENED, {.then = PEER_RESET, .times = 3}}, 2, ERR_NETWORK, "at byte 10"},
    };
    static const struct retry_policy thrice = {.attempts = 3}, once = {.attempts = 1};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        SOURCE_GUARD struct source *source = NULL;
        char buffer[6] = "-----";
        begin(&t, rows[i].steps, rows[i].step_count, "s3://acme/k");
        const struct s3_options options = {
            .clock = &t.clock.base,
            .retry = rows[i].code == ERR_HTTP && !rows[i].steps[1].times ? &once : &thrice,
        };
        assert_int_equal(source_s3_open(&options, &t.location, &source, &t.err), RR_OK);
        {
            SOURCE_READER_GUARD struct source_reader *reader = NULL;
            assert_int_equal(source_reader_open(source, NULL, &reader, &t.err), RR_OK);
            enum errc code = source_read(reader, 10, buffer, 4, &t.err);
            if (code != rows[i].code || (code && !strstr(t.err.text, rows[i].must_say)))
                fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), t.err.text);
            assert_string_equal(code ? "abcd-" : buffer, "abcd-");
            assert_int_equal(buffer[4], '-');
        }
        end(&t);
    }
}

/* ---- folders ---- */

#define TAGGED(key, tag, size)                                                                     \
    "<Contents><Key>" key "</Key><ETag>" tag "</ETag><Size>" size "</Size></Contents>"
#define FOLDER_OPENED                                                                              \
    {                                                                                              \
        .expect = "GET /acme?delimiter=%2F&encoding-type=url&list-type=2&prefix=f%2F1%2F HTTP",    \
        LISTING("false",                                                                           \
                FOLDER("f/1/sub/") TAGGED("f/1/toc.dat", "&quot;t&quot;", "3")                     \
                    TAGGED("f/1/", "&quot;m&quot;", "0") TAGGED("f/1/2.dat", "unquoted", "5")      \
                        TAGGED("f/1/3.dat", "&quot;e&quot;", "0"))                                 \
    }

/* Of 2.dat (5 bytes), 3.dat (none) and toc.dat: from byte 3 on, across the border. */
static void test_a_folder_is_one_source(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step steps[3];
        size_t step_count;
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"right",
         {FOLDER_OPENED,
          {.expect = "GET /acme/f/1/2.dat HTTP\1Range: bytes=3-4\r\n\1If-Match: \"unquoted\"\r\n",
           .reply = PEER_ANSWER("206 Partial Content",
                                "ETag: \"unquoted\"\r\nContent-Range: bytes 3-4/5\r\n", 2, "de")},
          {.expect = "GET /acme/f/1/toc.dat HTTP\1Range: bytes=0-1\r\n\1If-Match: \"t\"\r\n",
           .reply = PEER_ANSWER("206 Partial Content",
                                "ETag: \"t\"\r\nContent-Range: bytes 0-1/3\r\n", 2, "fg")}},
         3,
         RR_OK,
         NULL},
        {"one replaced",
         {FOLDER_OPENED, {REFUSAL("412 Precondition Failed", "PreconditionFailed")}},
         2,
         ERR_BACKUP_CHANGED,
         "f/1/2.dat"},
        {"one replaced, condition ignored",
         {FOLDER_OPENED,
          {.reply = PEER_ANSWER("206 Partial Content",
                                "ETag: \"v2\"\r\nContent-Range: bytes 3-4/5\r\n", 2, "de")}},
         2,
         ERR_BACKUP_CHANGED,
         "another ETag"},
        {"one gone",
         {FOLDER_OPENED, {REFUSAL("404 Not Found", "NoSuchKey")}},
         2,
         ERR_BACKUP_CHANGED,
         "'s3://acme/f/1/2.dat' was replaced while it was being read: it is gone"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        SOURCE_GUARD struct source *source = NULL;
        char buffer[6] = "-----";
        begin(&t, rows[i].steps, rows[i].step_count, "s3://acme/f/1/");
        if (backup_open(&t.location, NULL, &source, &t.err))
            fail_msg("%s: %s", rows[i].name, t.err.text);
        assert_int_equal(source->part_count, 3);
        assert_int_equal(source->size_bytes, 8);
        {
            SOURCE_READER_GUARD struct source_reader *reader = NULL;
            assert_int_equal(source_reader_open(source, NULL, &reader, &t.err), RR_OK);
            enum errc code = source_read(reader, 3, buffer, 4, &t.err);
            if (code != rows[i].code || (code && !strstr(t.err.text, rows[i].must_say)))
                fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), t.err.text);
            if (!code)
                assert_string_equal(buffer, "defg-");
        }
        end(&t);
    }
}

static void test_folders_that_cannot_be_opened(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step step;
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"empty", {LISTING("false", "")}, ERR_BACKUP_NOT_FOUND, "there is nothing in"},
        {"folders only", {LISTING("false", FOLDER("f/1/a/"))}, ERR_BACKUP_NOT_FOUND, "nothing in"},
        {"no such bucket", {REFUSAL("404 Not Found", "NoSuchBucket")}, ERR_BACKUP_NOT_FOUND, ""},
        {"no ETag",
         {LISTING("false", "<Contents><Key>f/1/a</Key><Size>1</Size></Contents>")},
         ERR_HTTP,
         "no ETag of 'a'"},
        {"sizes beyond all bounds",
         {LISTING("false", ENTRY("f/1/a", "9223372036854775807") ENTRY("f/1/b", "1"))},
         ERR_TOO_LARGE,
         "add up"},
        {"denied", {REFUSAL("403 Forbidden", "AccessDenied")}, ERR_OBJECT_STORE_DENIED, ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        SOURCE_GUARD struct source *source = NULL;
        begin(&t, &rows[i].step, 1, "s3://acme/f/1/");
        enum errc code = backup_open(&t.location, NULL, &source, &t.err);
        if (code != rows[i].code || !strstr(t.err.text, rows[i].must_say))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), t.err.text);
        end(&t);
    }
}

/* ---- checksums ---- */

#define SHA_VALUE "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
#define HEAD_WITH(headers) .reply = "HTTP/1.1 200 OK\r\n" ETAG headers "Content-Length: 12\r\n\r\n"
#define NO_SIDE_FILE                                                                               \
    {                                                                                              \
        .expect = "GET /acme/k.sha256 ", REFUSAL("404 Not Found", "NoSuchKey")                     \
    }
#define PART_HEAD(number, length)                                                                  \
    {                                                                                              \
        .expect = "HEAD /acme/k?partNumber=" number " \1If-Match: \"v1\"\r\n",                     \
        .reply = "HTTP/1.1 206 Partial Content\r\n" ETAG "Content-Length: " length "\r\n\r\n"      \
    }

static void test_where_checksums_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct peer_step steps[6];
        size_t step_count;
        enum errc code;
        const char *origin; /* NULL: not known; or what the error must say */
        size_t part_count;
        uint64_t second_part;
    } rows[] = {
        {"side file",
         {{.expect = "GET /acme/k.sha256 ",
           CLOSING("200 OK", "",
                   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  k\n")}},
         1,
         RR_OK,
         "k.sha256",
         0,
         0},
        {"nothing", {NO_SIDE_FILE, {HEAD_WITH("")}}, 2, RR_OK, NULL, 0, 0},
        {"kept by the store",
         {NO_SIDE_FILE, {HEAD_WITH("x-amz-checksum-sha256: " SHA_VALUE "\r\n")}},
         2,
         RR_OK,
         "x-amz-checksum-sha256",
         0,
         0},
        {"the strongest of two",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==\r\nx-amz-checksum-sha256: " SHA_VALUE
                     "\r\n")}},
         2,
         RR_OK,
         "x-amz-checksum-sha256",
         0,
         0},
        {"of a length that it cannot have",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-sha256: abcd\r\nx-amz-checksum-crc32: NSRBwg==\r\n")}},
         2,
         RR_OK,
         "x-amz-checksum-crc32",
         0,
         0},
        {"three equal parts",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-3\r\n")},
          PART_HEAD("1", "5"),
          PART_HEAD("3", "2")},
         4,
         RR_OK,
         "x-amz-checksum-crc32",
         3,
         5},
        {"three unequal parts",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-3\r\n")},
          PART_HEAD("1", "5"),
          PART_HEAD("3", "4"),
          PART_HEAD("2", "3")},
         5,
         RR_OK,
         "x-amz-checksum-crc32",
         3,
         3},
        {"one part",
         {NO_SIDE_FILE, {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-1\r\n")}, PART_HEAD("1", "12")},
         3,
         RR_OK,
         "x-amz-checksum-crc32",
         1,
         0},
        {"the store ignores part numbers",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-2\r\n")},
          PART_HEAD("1", "12"),
          PART_HEAD("2", "12")},
         4,
         RR_OK,
         NULL,
         0,
         0},
        {"the store refuses part numbers",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-2\r\n")},
          {CLOSING("400 Bad Request", "", "")},
          {.expect = "GET /acme/k HTTP", .reply = PEER_ANSWER("206 Partial Content", "", 1, "x")},
          {CLOSING("400 Bad Request", "", "")}},
         5,
         RR_OK,
         NULL,
         0,
         0},
        {"replaced while its parts are asked for",
         {NO_SIDE_FILE,
          {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-2\r\n")},
          {CLOSING("412 Precondition Failed", "", "")},
          {REFUSAL("412 Precondition Failed", "PreconditionFailed")}},
         4,
         ERR_BACKUP_CHANGED,
         "replaced",
         0,
         0},
        {"no parts",
         {NO_SIDE_FILE, {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-0\r\n")}},
         2,
         RR_OK,
         NULL,
         0,
         0},
        {"too many parts",
         {NO_SIDE_FILE, {HEAD_WITH("x-amz-checksum-crc32: NSRBwg==-10001\r\n")}},
         2,
         RR_OK,
         NULL,
         0,
         0},
        {"side file denied, and listed",
         {{REFUSAL("403 Forbidden", "AccessDenied")},
          {.expect = "GET /acme?list-type=2&max-keys=1&prefix=k.sha256 ",
           LISTING("false", ENTRY("k.sha256", "70"))}},
         2,
         ERR_OBJECT_STORE_DENIED,
         "checksum file",
         0,
         0},
        {"side file denied, and not listed",
         {{REFUSAL("403 Forbidden", "AccessDenied")},
          {LISTING("false", ENTRY("k.sha256.old", "70"))},
          {HEAD_WITH("")}},
         3,
         RR_OK,
         NULL,
         0,
         0},
        {"side file denied, and the list too",
         {{REFUSAL("403 Forbidden", "AccessDenied")},
          {REFUSAL("403 Forbidden", "AccessDenied")},
          {HEAD_WITH("")}},
         3,
         RR_OK,
         NULL,
         0,
         0},
        {"no bucket",
         {{REFUSAL("404 Not Found", "NoSuchBucket")}},
         1,
         ERR_LOCATION_MISSING,
         "no such bucket",
         0,
         0},
        {"malformed side file",
         {{CLOSING("200 OK", "", "oops")}},
         1,
         ERR_CHECKSUM,
         "malformed",
         0,
         0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct trial t;
        struct backup_checksum checksum;
        begin(&t, rows[i].steps, rows[i].step_count, "s3://acme/k");
        enum errc code = backup_find_checksum(&t.location, NULL, &t.arena, &checksum, &t.err);
        if (code != rows[i].code || (code && !strstr(t.err.text, rows[i].origin)))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), t.err.text);
        if (code == RR_OK) {
            if (checksum.is_known != (rows[i].origin != NULL) ||
                checksum.part_count != rows[i].part_count)
                fail_msg("%s: known %d, %zu parts", rows[i].name, checksum.is_known,
                         checksum.part_count);
            if (checksum.is_known)
                assert_string_equal(checksum.origin, rows[i].origin);
            if (rows[i].second_part)
                assert_int_equal(checksum.part_bytes[1], rows[i].second_part);
        }
        end(&t);
    }
}

/* ---- TLS ---- */

static void test_a_private_ca_comes_from_the_environment(void **state)
{
    (void)state;
    static const struct peer_step script[] = {OPENED};
    struct trial t = {.peer = peer_start(script, COUNT(script), PEER_TLS)};
    struct variable variables[] = {
        {"AWS_ACCESS_KEY_ID", "id"},
        {"AWS_SECRET_ACCESS_KEY", "s3cret"},
        {"AWS_ENDPOINT_URL_S3", peer_url(t.peer)},
        {"AWS_CA_BUNDLE", peer_ca_file(t.peer)},
        {0},
    };
    SOURCE_GUARD struct source *source = NULL, *none = NULL;
    assert_int_equal(location_parse(&t.arena, "s3://acme/k", &t.location, &t.err), RR_OK);
    set_environment(variables);
    assert_int_equal(backup_open(&t.location, NULL, &source, &t.err), RR_OK);
    variables[3] = (struct variable){0};
    set_environment(variables);
    assert_int_equal(backup_open(&t.location, NULL, &none, &t.err), ERR_TLS);
    assert_non_null(strstr(t.err.hint, "AWS_CA_BUNDLE"));
    end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_listing_goes_over_all_pages),
        cmocka_unit_test(test_sub_folders_are_listed_without_delimiter),
        cmocka_unit_test(test_folders_are_listed_level_by_level),
        cmocka_unit_test(test_one_folder_is_found_by_its_name),
        cmocka_unit_test(test_folders_outside_of_what_was_asked_for),
        cmocka_unit_test(test_a_folder_is_one_source),
        cmocka_unit_test(test_folders_that_cannot_be_opened),
        cmocka_unit_test(test_a_choice_lists_little_and_all_only_on_a_miss),
        cmocka_unit_test(test_listings_that_are_refused),
        cmocka_unit_test(test_the_same_token_twice_ends_a_listing),
        cmocka_unit_test(test_what_is_opened),
        cmocka_unit_test(test_the_stores_clock_is_taken_once_when_it_complains),
        cmocka_unit_test(test_a_clock_that_is_wrong_twice_is_an_error),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_where_checksums_are_found),
        cmocka_unit_test(test_a_private_ca_comes_from_the_environment),
    };
    return cmocka_run_group_tests_name("backup/s3", tests, NULL, NULL);
}
