/*
 * sigv4 - AWS Signature Version 4 in the Authorization header, as S3 wants it.
 *
 * Source: "AWS API request signing" in the IAM user guide, and "Authenticating Requests: Using the
 * Authorization Header" in the S3 API reference. S3 encodes a path once and does not normalise it.
 * Pure: the time comes in. What is signed must be sent byte for byte, so the query is rendered here
 * too.
 */
#ifndef RR_BACKUP_SIGV4_H
#define RR_BACKUP_SIGV4_H

#include <stdint.h>

#include "lib/base/secret.h"
#include "lib/base/str.h"
#include "lib/net/http.h"

enum { SIGV4_MAX_HEADERS = 16 };

/* SHA-256 of no bytes: the payload of every request that only reads. */
#define SIGV4_EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct sigv4_key {
    const char *access_key_id;
    const struct secret *secret_access_key;
    const struct secret *session_token; /* NULL or unset: none */
    const char *region, *service;
    int64_t time_s; /* seconds since 1970 */
};

struct sigv4_request {
    const char *method;
    const char *host;  /* as in the Host header: without the scheme's own port */
    const char *path;  /* percent-encoded, with its leading slash */
    const char *query; /* as sigv4_append_query() made it, "" for none */
    /* Headers that are signed beside Host and ours: all x-amz-* must be. Names in lower case,
     * values without blanks around them; ends with name NULL; may be NULL; they are sent by the
     * caller. */
    const struct http_header *headers;
    const char *payload_sha256;
    bool has_payload_header; /* x-amz-content-sha256, which S3 requires */
};

/* Appends "a=b&c=d", encoded and in canonical order. `parameters` ends with name NULL, at most
 * SIGV4_MAX_HEADERS of them; values are plain text. */
void sigv4_append_query(struct str *query, const struct http_header *parameters);

/* Appends the header lines to send, each ended by '\n': x-amz-date, x-amz-content-sha256 and
 * x-amz-security-token as they apply, Authorization. */
void sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key,
                struct str *lines);

#endif
