#include "lib/backup/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backup/credentials.h"
#include "lib/backup/s3_endpoint.h"
#include "lib/backup/sigv4.h"
#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"

enum { MAX_HEADERS = 16 };

struct s3 {
    struct http *http;
    const struct clock *clock;
    struct s3_endpoint endpoint;
    struct credentials credentials;
    int64_t skew_s; /* the store's clock minus ours, once the store has complained */
};

/* One request in the form that is sent and signed. */
struct prepared {
    struct s3 *s3;
    const struct s3_request *request;
    struct str host, path, query, url;
    struct http_header headers[MAX_HEADERS + 1];
};

enum errc s3_open(const struct s3_options *options, struct s3 **ret_s3, struct error *err)
{
    struct s3 *s3 = mem_alloc(sizeof *s3);
    s3->clock = options->clock ? options->clock : clock_system();
    struct http_options http = {
        .ca_file = getenv("AWS_CA_BUNDLE"),
        .clock = s3->clock,
        .cancel = options->cancel,
        .retry = options->retry,
    };
    if (s3_endpoint_load(&s3->endpoint, err) || credentials_load(&s3->credentials, err) ||
        http_open(&http, &s3->http, err)) {
        s3_close(s3);
        return err->code;
    }
    *ret_s3 = s3;
    return RR_OK;
}

void s3_close(struct s3 *s3)
{
    if (!s3)
        return;
    http_close(s3->http);
    credentials_release(&s3->credentials);
    free(s3);
}

void s3_guard(struct s3 **s3)
{
    s3_close(*s3);
}

/* ---- sending ---- */

/* Before each try, so that a request that waited long is not signed with an old time. */
static enum errc sign(void *context, struct str *ret_lines, struct error *err)
{
    (void)err;
    const struct prepared *prepared = context;
    const struct s3 *s3 = prepared->s3;
    const struct sigv4_request request = {
        .method = prepared->request->method,
        .host = str_text(&prepared->host),
        .path = str_text(&prepared->path),
        .query = str_text(&prepared->query),
        .headers = prepared->request->amz_headers,
        .payload_sha256 = SIGV4_EMPTY_SHA256,
        .has_payload_header = true,
    };
    const struct sigv4_key key = {
        .access_key_id = s3->credentials.access_key_id,
        .secret_access_key = &s3->credentials.secret_access_key,
        .session_token = &s3->credentials.session_token,
        .region = s3->endpoint.region,
        .service = "s3",
        .time_s = clock_wall_s(s3->clock) + s3->skew_s,
    };
    sigv4_sign(&request, &key, ret_lines);
    return RR_OK;
}

static void prepared_release(struct prepared *prepared)
{
    str_release(&prepared->host);
    str_release(&prepared->path);
    str_release(&prepared->query);
    str_release(&prepared->url);
}
#define PREPARED_GUARD __attribute__((cleanup(prepared_release)))

static void add_headers(struct prepared *prepared, size_t *count, const struct http_header *headers)
{
    for (; headers && headers->name && *count < MAX_HEADERS; headers++)
        prepared->headers[(*count)++] = *headers;
}

static void prepare(struct prepared *prepared, struct s3 *s3, const struct s3_request *request)
{
    const struct location *location = request->location;
    size_t header_count = 0;
    *prepared = (struct prepared){
        .s3 = s3,
        .request = request,
        .host = STR_INIT(LIMIT_HTTP_HEADER_BYTES),
        .path = STR_INIT(LIMIT_HTTP_HEADER_BYTES),
        .query = STR_INIT(LIMIT_HTTP_HEADER_BYTES),
        .url = STR_INIT(LIMIT_HTTP_HEADER_BYTES),
    };
    s3_endpoint_locate(&s3->endpoint, location->bucket, request->is_bucket ? NULL : location->path,
                       &prepared->host, &prepared->path);
    if (request->query)
        sigv4_append_query(&prepared->query, request->query);
    str_printf(&prepared->url, "%s://%s%s%s%s", s3->endpoint.is_https ? "https" : "http",
               str_text(&prepared->host), str_text(&prepared->path),
               prepared->query.length ? "?" : "", str_text(&prepared->query));
    add_headers(prepared, &header_count, request->headers);
    add_headers(prepared, &header_count, request->amz_headers);
}

static enum errc send_once(struct s3 *s3, const struct s3_request *request,
                           const struct http_range *range, struct http_response *ret_response,
                           struct error *err)
{
    PREPARED_GUARD struct prepared prepared;
    prepare(&prepared, s3, request);
    if (str_check(&prepared.url, "the URL of a request", err))
        return err->code;
    const struct http_request http = {
        .method = request->method,
        .url = str_text(&prepared.url),
        .headers = prepared.headers,
        .body_limit = request->body_limit,
        .sign = sign,
        .sign_context = &prepared,
    };
    return range ? http_get_range(s3->http, &http, range, ret_response, err)
                 : http_send(s3->http, &http, ret_response, err);
}

/* Whether the store complained about our clock, and told its own time. */
static bool learn_skew(struct s3 *s3, const struct http_response *response)
{
    STR_GUARD struct str date = STR_INIT(64);
    int64_t store_s;
    if (response->status < 400 || !s3_is_refusal(response, "RequestTimeTooSkewed") ||
        !http_header_get(response, "date", &date) || !http_date_parse(str_text(&date), &store_s))
        return false;
    s3->skew_s = store_s - clock_wall_s(s3->clock);
    log_debug("the store's clock differs, requests are signed with its time",
              LOG_INT("skew_s", s3->skew_s));
    return true;
}

static enum errc send_with_right_time(struct s3 *s3, const struct s3_request *request,
                                      const struct http_range *range,
                                      struct http_response *ret_response, struct error *err)
{
    if (send_once(s3, request, range, ret_response, err))
        return err->code;
    if (!learn_skew(s3, ret_response))
        return RR_OK;
    http_response_release(ret_response);
    return send_once(s3, request, range, ret_response, err);
}

enum errc s3_send(struct s3 *s3, const struct s3_request *request,
                  struct http_response *ret_response, struct error *err)
{
    return send_with_right_time(s3, request, NULL, ret_response, err);
}

enum errc s3_get_range(struct s3 *s3, const struct s3_request *request,
                       const struct http_range *range, struct http_response *ret_response,
                       struct error *err)
{
    return send_with_right_time(s3, request, range, ret_response, err);
}

enum errc s3_report(const struct s3 *s3, const struct s3_request *request,
                    const struct http_response *response, struct error *err)
{
    return s3_report_refusal(s3->endpoint.region, request, response, err);
}

/* ---- looking at an object ---- */

/* Asks for one byte, and reports why that is refused. RR_OK when it is not. */
static enum errc ask_for_reason(struct s3 *s3, const struct s3_request *head, struct error *err)
{
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    struct http_header headers[] = {{"Range", "bytes=0-0"}, {0}, {0}};
    if (head->headers)
        headers[1] = head->headers[0];
    struct s3_request get = *head;
    get.method = "GET";
    get.query = NULL; /* a part and a range exclude each other */
    get.headers = headers;
    get.body_limit = S3_ERROR_BODY_BYTES;
    if (s3_send(s3, &get, &response, err))
        return err->code;
    return response.status == 200 || response.status == 206 ? RR_OK
                                                            : s3_report(s3, head, &response, err);
}

enum errc s3_head(struct s3 *s3, const struct location *object, const char *etag, unsigned part,
                  struct http_response *ret_response, struct error *err)
{
    char number[16];
    snprintf(number, sizeof number, "%u", part);
    const struct http_header headers[] = {{etag ? "If-Match" : NULL, etag}, {0}};
    const struct http_header query[] = {{part ? "partNumber" : NULL, number}, {0}};
    const struct http_header amz_headers[] = {{"x-amz-checksum-mode", "ENABLED"}, {0}};
    struct s3_request request = {
        .method = "HEAD",
        .location = object,
        .query = query,
        .headers = etag ? headers : NULL,
        .amz_headers = amz_headers,
    };
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_send(s3, &request, &response, err))
        return err->code;
    if (response.status != 200 && response.status != 206) {
        if (ask_for_reason(s3, &request, err))
            return err->code;
        /* The GET went well: the HEAD was refused for our clock, which is right now. */
        http_response_release(&response);
        if (s3_send(s3, &request, &response, err))
            return err->code;
        if (response.status != 200 && response.status != 206)
            return s3_report(s3, &request, &response, err);
    }
    *ret_response = response;
    response = (struct http_response){0};
    return RR_OK;
}
