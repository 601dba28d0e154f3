/*
 * What an S3 store says when it says no: <Error><Code>...</Code><Message>...</Message></Error>, in
 * our words, with what to do. Source of the codes: "Error responses" in the S3 API reference.
 */
#include <stdio.h>
#include <string.h>

#include "lib/backup/s3.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/xml.h"

enum { SHOWN_BYTES = 200, QUOTED_SIZE = 512 };

/* Texts of an answer, "" where it has none. */
struct refusal {
    struct arena arena;
    const char *code, *message, *region, *endpoint;
};

#define REFUSAL_GUARD __attribute__((cleanup(refusal_release)))

static void refusal_release(struct refusal *refusal)
{
    arena_release(&refusal->arena);
}

static const char *text_of(const struct xml_node *node, const char *name)
{
    const char *text = xml_child_text(node, name);
    return text ? text : "";
}

/* What cannot be parsed (a proxy's web page) says nothing. */
static struct refusal read_refusal(const struct http_response *response)
{
    struct refusal refusal = {0};
    struct xml_node *root = NULL;
    struct error ignored = ERROR_INIT;
    if (response->body.length &&
        xml_parse(&refusal.arena, response->body.data, response->body.length, "the store's answer",
                  &root, &ignored))
        root = NULL;
    refusal.code = text_of(root, "Code");
    refusal.message = text_of(root, "Message");
    refusal.region = text_of(root, "Region");
    refusal.endpoint = text_of(root, "Endpoint");
    return refusal;
}

bool s3_is_refusal(const struct http_response *response, const char *code)
{
    REFUSAL_GUARD struct refusal refusal = read_refusal(response);
    return text_equal(refusal.code, code);
}

static const struct {
    const char *code;
    enum errc errc;
    const char *text, *hint;
} known[] = {
    {"NoSuchBucket", ERR_LOCATION_MISSING, "there is no such bucket",
     "check the bucket in backups.location, and the store (AWS_ENDPOINT_URL_S3)"},
    {"InvalidBucketName", ERR_LOCATION_MISSING, "the bucket's name is invalid",
     "check the bucket in backups.location"},
    {"NoSuchKey", ERR_BACKUP_NOT_FOUND, "there is no such object", NULL},
    {"NoSuchVersion", ERR_BACKUP_CHANGED, "the object was removed meanwhile", NULL},
    {"InvalidAccessKeyId", ERR_OBJECT_STORE_DENIED, "the store does not know the access key",
     "check AWS_ACCESS_KEY_ID, and that it belongs to this store (AWS_ENDPOINT_URL_S3)"},
    {"SignatureDoesNotMatch", ERR_OBJECT_STORE_DENIED, "the secret key does not fit the access key",
     "check AWS_SECRET_ACCESS_KEY; a proxy that changes requests has the same effect"},
    {"AccessDenied", ERR_OBJECT_STORE_DENIED, "the access key has no permission",
     "it needs s3:ListBucket on the bucket and s3:GetObject on its objects; for objects encrypted "
     "with KMS also kms:Decrypt"},
    {"AllAccessDisabled", ERR_OBJECT_STORE_DENIED, "the store has closed the bucket", NULL},
    {"ExpiredToken", ERR_OBJECT_STORE_DENIED, "the session token has expired",
     "AWS_SESSION_TOKEN and the keys that belong to it must be renewed"},
    {"InvalidToken", ERR_OBJECT_STORE_DENIED, "the session token is invalid",
     "AWS_SESSION_TOKEN must belong to the keys; unset it for keys that need none"},
    {"RequestTimeTooSkewed", ERR_OBJECT_STORE_DENIED,
     "this machine's clock differs from the store's", "set the clock (NTP)"},
    {"InvalidObjectState", ERR_OBJECT_STORE_DENIED,
     "the object is in an archive class and cannot be read",
     "restore it in the store first (aws s3api restore-object), or choose another backup"},
    {"PreconditionFailed", ERR_BACKUP_CHANGED, "the object was replaced while it was being read",
     "do not write a backup's name twice"},
    {"InvalidRange", ERR_BACKUP_CHANGED, "the object has become shorter while it was being read",
     "do not write a backup's name twice"},
};

static enum errc report_known(const struct refusal *refusal, const char *url, struct error *err)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!text_equal(known[i].code, refusal->code))
            continue;
        error_set(err, known[i].errc, "%s: %s (%s)", url, known[i].text, refusal->code);
        if (known[i].hint)
            error_hint(err, "%s", known[i].hint);
    }
    return err->code;
}

/* A bucket of another region answers with a redirect or refuses the scope of the signature. */
static enum errc report_region(const char *region, const struct refusal *refusal,
                               const struct http_response *response, const char *url,
                               struct error *err)
{
    STR_GUARD struct str right = STR_INIT(SHOWN_BYTES);
    if (*refusal->region)
        str_append(&right, refusal->region);
    else
        (void)http_header_get(response, "x-amz-bucket-region", &right);
    bool is_elsewhere = right.length && strcmp(str_text(&right), region) != 0;
    bool is_redirect =
        response->status == 301 || response->status == 307 || response->status == 308;
    if (!is_redirect && !(is_elsewhere && (response->status == 400 || response->status == 403)))
        return RR_OK;
    STR_GUARD struct str quoted = STR_INIT(QUOTED_SIZE);
    if (is_elsewhere) {
        str_append_quoted(&quoted, str_text(&right), SHOWN_BYTES);
        error_set(err, ERR_OBJECT_STORE_DENIED,
                  "%s: the bucket is in region %s, but requests are signed for '%s'", url,
                  str_text(&quoted), region);
        return error_hint(err, "set AWS_REGION=%.60s", str_text(&right));
    }
    str_append_quoted(&quoted, refusal->endpoint, SHOWN_BYTES);
    error_set(err, ERR_OBJECT_STORE_DENIED, "%s: the store redirects to endpoint %s", url,
              str_text(&quoted));
    return error_hint(err, "set AWS_REGION to the bucket's region; it is '%s' now", region);
}

static enum errc code_of_status(const struct s3_request *request, int status)
{
    switch (status) {
    case 401:
    case 403:
        return ERR_OBJECT_STORE_DENIED;
    case 404:
        return request->is_bucket ? ERR_LOCATION_MISSING : ERR_BACKUP_NOT_FOUND;
    case 412:
    case 416:
        return ERR_BACKUP_CHANGED;
    default:
        return ERR_HTTP;
    }
}

static enum errc report_other(const struct s3_request *request, const struct refusal *refusal,
                              int status, const char *url, struct error *err)
{
    STR_GUARD struct str words = STR_INIT(2 * QUOTED_SIZE);
    if (*refusal->code) {
        str_append(&words, ": ");
        str_append_quoted(&words, refusal->code, 60);
        str_append_char(&words, ' ');
        str_append_quoted(&words, refusal->message, SHOWN_BYTES);
    }
    return error_set(err, code_of_status(request, status), "%s: the store answered %d%s", url,
                     status, str_text(&words));
}

enum errc s3_report_refusal(const char *region, const struct s3_request *request,
                            const struct http_response *response, struct error *err)
{
    REFUSAL_GUARD struct refusal refusal = read_refusal(response);
    STR_GUARD struct str url = STR_INIT(3 * QUOTED_SIZE);
    str_append_quoted(&url, request->location->url, QUOTED_SIZE);
    const char *shown = str_text(&url);
    if (report_region(region, &refusal, response, shown, err) == RR_OK &&
        report_known(&refusal, shown, err) == RR_OK)
        (void)report_other(request, &refusal, response->status, shown, err);
    err->http_status = response->status;
    return err->code;
}
