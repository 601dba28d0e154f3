/*
 * s3 - signed requests to an S3 store, and its refusals in our words.
 *
 * A `struct s3` is one client with one connection pool and one owner thread. Endpoint, region, CA
 * file (AWS_CA_BUNDLE) and credentials come from the environment when it is opened. When the store
 * says that our clock is wrong, the request is repeated once, signed with the time that the store's
 * answer names.
 */
#ifndef RR_BACKUP_S3_H
#define RR_BACKUP_S3_H

#include "lib/backup/location.h"
#include "lib/base/error.h"
#include "lib/net/http.h"

struct cancel;
struct clock;
struct s3;

/* How much of an answer that is no success is read. */
#define S3_ERROR_BODY_BYTES (64 * LIMIT_KIB)

struct s3_options {
    const struct cancel *cancel;      /* may be NULL */
    const struct clock *clock;        /* NULL: clock_system() */
    const struct retry_policy *retry; /* NULL: that of lib/net/http.h */
};

struct s3_request {
    const char *method;
    const struct location *location; /* an object, or with is_bucket its bucket */
    bool is_bucket;
    const struct http_header *query;       /* plain text; ends with name NULL; may be NULL */
    const struct http_header *headers;     /* not signed; as above */
    const struct http_header *amz_headers; /* x-amz-*, in lower case: signed; as above */
    size_t body_limit;
};

/* Caller: s3_close(). ERR_CREDENTIALS, ERR_CONFIG. */
enum errc s3_open(const struct s3_options *options, struct s3 **ret_s3,
                  struct error *err) RR_MUST_CHECK;
void s3_close(struct s3 *s3); /* NULL is accepted */
void s3_guard(struct s3 **s3);
#define S3_GUARD __attribute__((cleanup(s3_guard)))

/* Any status is a success, as with http_send() and http_get_range(). */
enum errc s3_send(struct s3 *s3, const struct s3_request *request,
                  struct http_response *ret_response, struct error *err) RR_MUST_CHECK;
enum errc s3_get_range(struct s3 *s3, const struct s3_request *request,
                       const struct http_range *range, struct http_response *ret_response,
                       struct error *err) RR_MUST_CHECK;

/* HEAD of an object, or of one part (from 1; 0: the whole). Status 200, or 206 for a part; all else
 * is an error: since refusals of a HEAD have no text, a GET of one byte asks for the reason.
 * `etag`: the object must still have it; NULL: any. */
enum errc s3_head(struct s3 *s3, const struct location *object, const char *etag, unsigned part,
                  struct http_response *ret_response, struct error *err) RR_MUST_CHECK;

/* Sets the error that an answer without success means. Always returns an error.
 * ERR_LOCATION_MISSING, ERR_BACKUP_NOT_FOUND, ERR_BACKUP_CHANGED, ERR_OBJECT_STORE_DENIED,
 * ERR_HTTP. */
enum errc s3_report(const struct s3 *s3, const struct s3_request *request,
                    const struct http_response *response, struct error *err) RR_MUST_CHECK;

/* The same, given the region that requests are signed for. */
enum errc s3_report_refusal(const char *region, const struct s3_request *request,
                            const struct http_response *response, struct error *err) RR_MUST_CHECK;

/* Whether the answer says so: <Error><Code>. */
bool s3_is_refusal(const struct http_response *response, const char *code);

#endif
