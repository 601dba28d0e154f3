/*
 * s3_endpoint - where an S3 store is, and how its URLs are written.
 *
 * AWS_ENDPOINT_URL_S3, else AWS_ENDPOINT_URL, names a store that is not Amazon's: its URLs are of
 * path style (http://host/bucket/key). Without them the store is Amazon's in AWS_REGION (else
 * AWS_DEFAULT_REGION): virtual-hosted style (https://bucket.s3.region.amazonaws.com/key), but path
 * style for bucket names that cannot be one label of a host name, because the certificate would not
 * match.
 */
#ifndef RR_BACKUP_S3_ENDPOINT_H
#define RR_BACKUP_S3_ENDPOINT_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/base/str.h"

enum { S3_HOST_SIZE = 256, S3_REGION_SIZE = 64 };

struct s3_endpoint {
    bool is_custom;
    bool is_https;
    char host[S3_HOST_SIZE];      /* lower case, with its port unless it is the scheme's own */
    char base_path[S3_HOST_SIZE]; /* before the bucket: "" or "/prefix" */
    char region[S3_REGION_SIZE];  /* "us-east-1" when nothing says one */
};

/* From the environment. ERR_CONFIG for what is no URL of a host; what may hold a password is not
 * repeated. */
enum errc s3_endpoint_load(struct s3_endpoint *ret_endpoint, struct error *err) RR_MUST_CHECK;

/* Appends the host and the encoded path of an object, or of the bucket when `key` is NULL. */
void s3_endpoint_locate(const struct s3_endpoint *endpoint, const char *bucket, const char *key,
                        struct str *host, struct str *path);

#endif
