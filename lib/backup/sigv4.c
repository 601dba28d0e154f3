#include "lib/backup/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/limits.h"
#include "lib/net/digest.h"
#include "lib/net/url.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

enum {
    DATE_SIZE = 9,      /* 20150830 */
    TIMESTAMP_SIZE = 17 /* 20150830T123600Z */
};

/* The signed headers, sorted. */
struct header_set {
    struct http_header items[SIGV4_MAX_HEADERS];
    size_t count;
};

static int by_name(const void *a, const void *b)
{
    const struct http_header *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->value, y->value);
}

static void add(struct header_set *set, const char *name, const char *value)
{
    if (set->count < SIGV4_MAX_HEADERS)
        set->items[set->count++] = (struct http_header){name, value};
}

static void add_all(struct header_set *set, const struct http_header *headers)
{
    for (const struct http_header *h = headers; h && h->name; h++)
        add(set, h->name, h->value);
}

/* ---- the query ---- */

/* Order is that of the encoded names, then of the encoded values. */
void sigv4_append_query(struct str *query, const struct http_header *parameters)
{
    struct header_set set = {0};
    struct str encoded[2 * SIGV4_MAX_HEADERS];
    for (size_t i = 0; i < 2 * SIGV4_MAX_HEADERS; i++)
        encoded[i] = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    for (const struct http_header *p = parameters; p->name && set.count < SIGV4_MAX_HEADERS; p++) {
        struct str *name = &encoded[2 * set.count], *value = name + 1;
        url_encode(name, p->name, false);
        url_encode(value, p->value, false);
        add(&set, str_text(name), str_text(value));
    }
    qsort(set.items, set.count, sizeof *set.items, by_name);
    for (size_t i = 0; i < set.count; i++)
        str_printf(query, "%s%s=%s", i ? "&" : "", set.items[i].name, set.items[i].value);
    for (size_t i = 0; i < 2 * SIGV4_MAX_HEADERS; i++)
        str_release(&encoded[i]);
}

/* ---- the signature ---- */

static void collect_headers(const struct sigv4_request *request, const struct sigv4_key *key,
                            const char *timestamp, struct header_set *set)
{
    add(set, "host", request->host);
    add(set, "x-amz-date", timestamp);
    if (request->has_payload_header)
        add(set, "x-amz-content-sha256", request->payload_sha256);
    if (key->session_token && secret_reveal(key->session_token))
        add(set, "x-amz-security-token", secret_reveal(key->session_token));
    add_all(set, request->headers);
    qsort(set->items, set->count, sizeof *set->items, by_name);
}

static void append_names(struct str *s, const struct header_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        str_printf(s, "%s%s", i ? ";" : "", set->items[i].name);
}

/* SHA-256 of the canonical request, which holds the session token and is wiped. */
static void hash_canonical_request(const struct sigv4_request *request,
                                   const struct header_set *set, char ret_hex[SHA256_HEX_SIZE])
{
    struct str text = STR_INIT(4 * LIMIT_HTTP_HEADER_BYTES);
    str_printf(&text, "%s\n%s\n%s\n", request->method, request->path, request->query);
    for (size_t i = 0; i < set->count; i++)
        str_printf(&text, "%s:%s\n", set->items[i].name, set->items[i].value);
    str_append_char(&text, '\n');
    append_names(&text, set);
    str_printf(&text, "\n%s", request->payload_sha256);
    sha256_hex(text.data, text.length, ret_hex);
    explicit_bzero(text.data, text.capacity);
    str_release(&text);
}

static void sign_text(const struct sigv4_key *key, const char *date, const char *text,
                      char ret_hex[SHA256_HEX_SIZE])
{
    uint8_t value[SHA256_SIZE];
    struct str first = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    str_printf(&first, "AWS4%s", secret_reveal(key->secret_access_key));
    hmac_sha256(first.data, first.length, date, strlen(date), value);
    explicit_bzero(first.data, first.capacity);
    str_release(&first);
    const char *const parts[] = {key->region, key->service, "aws4_request", text};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hmac_sha256(value, sizeof value, parts[i], strlen(parts[i]), value);
    hex_render(value, sizeof value, ret_hex);
    explicit_bzero(value, sizeof value);
}

void sigv4_sign(const struct sigv4_request *request, const struct sigv4_key *key, struct str *lines)
{
    char date[DATE_SIZE], timestamp[TIMESTAMP_SIZE], hash[SHA256_HEX_SIZE],
        signature[SHA256_HEX_SIZE];
    time_t seconds = key->time_s;
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y%m%d", &tm);
    strftime(timestamp, sizeof timestamp, "%Y%m%dT%H%M%SZ", &tm);
    struct header_set set = {0};
    collect_headers(request, key, timestamp, &set);
    hash_canonical_request(request, &set, hash);
    STR_GUARD struct str text = STR_INIT(LIMIT_HTTP_HEADER_BYTES), scope = text;
    str_printf(&scope, "%s/%s/%s/aws4_request", date, key->region, key->service);
    str_printf(&text, ALGORITHM "\n%s\n%s\n%s", timestamp, str_text(&scope), hash);
    sign_text(key, date, str_text(&text), signature);

    str_printf(lines, "x-amz-date: %s\n", timestamp);
    if (request->has_payload_header)
        str_printf(lines, "x-amz-content-sha256: %s\n", request->payload_sha256);
    if (key->session_token && secret_reveal(key->session_token))
        str_printf(lines, "x-amz-security-token: %s\n", secret_reveal(key->session_token));
    str_printf(lines,
               "Authorization: " ALGORITHM " Credential=%s/%s, SignedHeaders=", key->access_key_id,
               str_text(&scope));
    append_names(lines, &set);
    str_printf(lines, ", Signature=%s\n", signature);
}
