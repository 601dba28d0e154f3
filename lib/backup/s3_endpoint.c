#include "lib/backup/s3_endpoint.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/net/url.h"

#define DEFAULT_REGION "us-east-1"

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static enum errc refuse(struct error *err, const char *name, const char *why)
{
    error_set(err, ERR_CONFIG, "%s %s", name, why);
    return error_hint(
        err, "write it as http://host:port or https://host, without user, query or bucket");
}

/* The scheme's own port is not part of the Host header, and so not of the signature. */
static void strip_own_port(struct s3_endpoint *endpoint)
{
    const char *port = endpoint->is_https ? ":443" : ":80";
    if (text_has_suffix(endpoint->host, port))
        endpoint->host[strlen(endpoint->host) - strlen(port)] = '\0';
}

static enum errc parse_endpoint(const char *name, const char *url, struct s3_endpoint *endpoint,
                                struct error *err)
{
    endpoint->is_custom = true;
    endpoint->is_https = text_has_prefix(url, "https://");
    if (!endpoint->is_https && !text_has_prefix(url, "http://"))
        return refuse(err, name, "does not begin with http:// or https://");
    const char *host = strstr(url, "://") + 3;
    size_t length = strcspn(host, "/?#");
    if (length == 0 || length >= S3_HOST_SIZE)
        return refuse(err, name, "names no host");
    if (memchr(host, '@', length))
        return refuse(err, name, "holds a user or password");
    if (strpbrk(host + length, "?#"))
        return refuse(err, name, "holds a query or fragment");
    for (const char *p = host; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\\\"<>%", *p))
            return refuse(err, name, "holds a character that no URL has");
    for (size_t i = 0; i < length; i++)
        endpoint->host[i] = (char)tolower((unsigned char)host[i]);
    endpoint->host[length] = '\0';
    strip_own_port(endpoint);
    const char *path = host + length;
    size_t path_length = strlen(path);
    while (path_length && path[path_length - 1] == '/')
        path_length--;
    if (path_length >= S3_HOST_SIZE)
        return refuse(err, name, "is too long");
    snprintf(endpoint->base_path, sizeof endpoint->base_path, "%.*s", (int)path_length, path);
    return RR_OK;
}

/* It becomes part of a host name. */
static enum errc load_region(struct s3_endpoint *endpoint, struct error *err)
{
    const char *name = variable("AWS_REGION") ? "AWS_REGION" : "AWS_DEFAULT_REGION";
    const char *region = variable(name) ? variable(name) : DEFAULT_REGION;
    size_t length =
        strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    if (region[length] || length >= S3_REGION_SIZE) {
        error_set(err, ERR_CONFIG, "%s is not the name of a region", name);
        return error_hint(
            err, "regions are called like 'eu-central-1'; look for blanks or a line break");
    }
    snprintf(endpoint->region, sizeof endpoint->region, "%s", region);
    return RR_OK;
}

enum errc s3_endpoint_load(struct s3_endpoint *ret_endpoint, struct error *err)
{
    struct s3_endpoint endpoint = {.is_https = true};
    const char *name = variable("AWS_ENDPOINT_URL_S3") ? "AWS_ENDPOINT_URL_S3" : "AWS_ENDPOINT_URL";
    if (load_region(&endpoint, err))
        return err->code;
    if (variable(name)) {
        if (parse_endpoint(name, variable(name), &endpoint, err))
            return err->code;
    } else {
        snprintf(endpoint.host, sizeof endpoint.host, "s3.%s.amazonaws.com%s", endpoint.region,
                 text_has_prefix(endpoint.region, "cn-") ? ".cn" : "");
    }
    *ret_endpoint = endpoint;
    return RR_OK;
}

static bool is_host_label(const char *bucket)
{
    size_t length = strlen(bucket);
    return length <= 63 && strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

void s3_endpoint_locate(const struct s3_endpoint *endpoint, const char *bucket, const char *key,
                        struct str *host, struct str *path)
{
    str_append(path, endpoint->base_path);
    if (!endpoint->is_custom && is_host_label(bucket)) {
        str_printf(host, "%s.%s", bucket, endpoint->host);
    } else {
        str_append(host, endpoint->host);
        str_append_char(path, '/');
        url_encode(path, bucket, false);
    }
    if (key) {
        str_append_char(path, '/');
        url_encode(path, key, true);
    } else if (!path->length) {
        str_append_char(path, '/');
    }
}
