/*
 * Backups in an S3 store: ListObjectsV2 and small objects.
 *
 * Keys are asked for with encoding-type=url, since XML 1.0 cannot hold every key, and decoded only
 * where the answer says that they are encoded: not every store does it. In that encoding a blank is
 * '+'.
 */
#include <string.h>

#include "lib/backup/s3.h"
#include "lib/backup/s3_checksum.h"
#include "lib/backup/source_s3.h"
#include "lib/backup/store.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/codec/xml.h"
#include "lib/net/url.h"

/* One listing under way. */
struct paging {
    const struct store_listing *listing;
    struct s3 *s3;
    struct str folder; /* prefix of all keys below the folder */
    struct str prefix; /* the folder's and the listing's */
    struct str token;  /* of the next page, "" for the first and after the last */
    size_t seen_count, page_count;
    bool is_truncated;
    struct arena arena;   /* folders that the listing tells of, to be listed in turn */
    struct level *levels; /* the last one found first */
};

/* A folder above those that are backups. */
struct level {
    struct level *next;
    const char *prefix; /* of all keys in it */
};

static void paging_release(struct paging *paging)
{
    str_release(&paging->folder);
    str_release(&paging->prefix);
    str_release(&paging->token);
    arena_release(&paging->arena);
}
#define PAGING_GUARD __attribute__((cleanup(paging_release)))

/* ---- listing ---- */

/* False: the store's own encoding is broken. */
static bool decode_key(const char *text, bool is_encoded, struct str *ret_key)
{
    str_clear(ret_key);
    if (!is_encoded) {
        str_append(ret_key, text);
        return true;
    }
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, "+");
        if (!url_decode(ret_key, p, length))
            return false;
        p += length;
        if (*p == '+') {
            str_append_char(ret_key, ' ');
            p++;
        }
    }
    return true;
}

static enum errc report_listing(const struct paging *paging, const char *why, struct error *err)
{
    return error_set(err, ERR_HTTP, "the listing of '%s' %s", paging->listing->folder->url, why);
}

static enum errc take_entry(struct paging *paging, const struct xml_node *entry, bool is_encoded,
                            struct error *err)
{
    const struct store_listing *listing = paging->listing;
    STR_GUARD struct str key = STR_INIT(LIMIT_OBJECT_KEY_BYTES);
    const char *text = xml_child_text(entry, "Key");
    uint64_t size_bytes;
    if (!text || !decode_key(text, is_encoded, &key) || key.is_cut)
        return report_listing(paging, "holds a malformed key", err);
    if (!text_to_u64(xml_child_text(entry, "Size"), INT64_MAX, &size_bytes))
        return report_listing(paging, "holds an object without size", err);
    if (++paging->seen_count > LIMIT_LIST_OBJECTS) {
        error_set(err, ERR_TOO_LARGE, "'%s' holds more than %zu objects", listing->folder->url,
                  LIMIT_LIST_OBJECTS);
        return error_hint(
            err, "keep backups in a folder of their own, or let backups.name begin with the text "
                 "that all of them share");
    }
    const char *name = str_text(&key) + paging->folder.length,
               *etag = xml_child_text(entry, "ETag");
    if (!text_has_prefix(str_text(&key), str_text(&paging->prefix)))
        return report_listing(paging, "holds keys that were not asked for", err);
    const struct store_object object = {
        .name = name, .size_bytes = size_bytes, .etag = etag ? etag : ""};
    bool is_folder_mark = !*name || text_has_suffix(name, "/");
    return is_folder_mark ? RR_OK : listing->found(listing->context, &object, err);
}

static size_t count_slashes(const char *name)
{
    size_t count = 0;
    for (; *name; name++)
        count += *name == '/';
    return count;
}

/* A common prefix: a backup, where it is as deep as they are, or a folder to be listed later. */
static enum errc take_folder(struct paging *paging, const struct xml_node *entry, bool is_encoded,
                             struct error *err)
{
    const struct store_listing *listing = paging->listing;
    STR_GUARD struct str key = STR_INIT(LIMIT_OBJECT_KEY_BYTES);
    const char *text = xml_child_text(entry, "Prefix");
    if (!text || !decode_key(text, is_encoded, &key) || key.is_cut ||
        !text_has_prefix(str_text(&key), str_text(&paging->prefix)))
        return report_listing(paging, "holds a malformed prefix", err);
    if (++paging->seen_count > LIMIT_LIST_OBJECTS)
        return error_set(err, ERR_TOO_LARGE, "'%s' holds more than %zu folders",
                         listing->folder->url, LIMIT_LIST_OBJECTS);
    const char *name = str_text(&key) + paging->folder.length;
    const struct store_object object = {.name = name, .etag = ""};
    if (count_slashes(name) == listing->pattern->folder_count)
        return listing->found(listing->context, &object, err);
    if (!pattern_match_folder(listing->pattern, name))
        return RR_OK;
    struct level *level = arena_alloc(&paging->arena, sizeof *level);
    level->prefix = arena_strdup(&paging->arena, str_text(&key));
    level->next = paging->levels;
    paging->levels = level;
    return RR_OK;
}

/* Where the next page begins. A store that says "more" but not where, or the same again, would keep
 * us forever. */
static enum errc take_token(struct paging *paging, const struct xml_node *root, struct error *err)
{
    const char *token = xml_child_text(root, "NextContinuationToken");
    paging->is_truncated = text_equal(xml_child_text(root, "IsTruncated"), "true");
    if (!paging->is_truncated)
        return RR_OK;
    if (!token || !*token || text_equal(token, str_text(&paging->token)))
        return report_listing(paging, "does not say where it goes on", err);
    str_clear(&paging->token);
    str_append(&paging->token, token);
    return str_check(&paging->token, "the continuation token of a listing", err);
}

static enum errc take_page(struct paging *paging, const struct http_response *response,
                           struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct xml_node *root;
    if (xml_parse(&arena, str_text(&response->body), response->body.length,
                  "the listing of a bucket", &root, err))
        return err->code;
    if (!text_equal(root->name, "ListBucketResult"))
        return report_listing(paging, "is none: is AWS_ENDPOINT_URL_S3 an S3 store?", err);
    bool is_encoded = text_equal(xml_child_text(root, "EncodingType"), "url");
    bool wants_folders = paging->listing->pattern->is_folder;
    const char *wanted = wants_folders ? "CommonPrefixes" : "Contents";
    for (const struct xml_node *node = root->first_child; node; node = node->next)
        if (text_equal(node->name, wanted) &&
            (wants_folders ? take_folder : take_entry)(paging, node, is_encoded, err))
            return err->code;
    return take_token(paging, root, err);
}

static enum errc fetch_page(struct paging *paging, struct error *err)
{
    const struct store_listing *listing = paging->listing;
    struct http_header query[6] = {
        {"list-type", "2"},
        {"encoding-type", "url"},
        {"prefix", str_text(&paging->prefix)},
    };
    size_t count = 3;
    /* What is in sub-folders stays unlisted. */
    if (listing->pattern->folder_count == 0 || listing->pattern->is_folder)
        query[count++] = (struct http_header){"delimiter", "/"};
    if (paging->token.length)
        query[count++] = (struct http_header){"continuation-token", str_text(&paging->token)};
    const struct s3_request request = {
        .method = "GET",
        .location = listing->folder,
        .is_bucket = true,
        .query = query,
        .body_limit = LIMIT_HTTP_BODY_BYTES,
    };
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_send(paging->s3, &request, &response, err))
        return err->code;
    if (response.status != 200)
        return s3_report(paging->s3, &request, &response, err);
    return take_page(paging, &response, err);
}

static enum errc list_pages(struct paging *paging, struct error *err)
{
    do {
        if (++paging->page_count > LIMIT_LIST_PAGES)
            return report_listing(paging, "does not end", err);
        if (fetch_page(paging, err))
            return err->code;
    } while (paging->is_truncated);
    return RR_OK;
}

/* Where folders are meant, level by level: a listing of all their objects may be a thousand times
 * as long. */
static enum errc list_all(struct paging *paging, struct error *err)
{
    for (;;) {
        if (list_pages(paging, err))
            return err->code;
        const struct level *level = paging->levels;
        if (!level)
            return RR_OK;
        paging->levels = level->next;
        str_clear(&paging->prefix);
        str_clear(&paging->token);
        str_append(&paging->prefix, level->prefix);
    }
}

/* A folder is told as the common prefix of what is in it only to who does not ask for more. */
static void cut_prefix(struct paging *paging)
{
    const struct pattern *pattern = paging->listing->pattern;
    const char *prefix = paging->listing->prefix;
    if (pattern->is_folder && text_has_suffix(prefix, "/") &&
        count_slashes(prefix) == pattern->folder_count) {
        paging->prefix.length--;
        paging->prefix.data[paging->prefix.length] = '\0';
    }
}

static enum errc list(const struct store_listing *listing, struct error *err)
{
    S3_GUARD struct s3 *s3 = NULL;
    if (s3_open(&(struct s3_options){.cancel = listing->cancel}, &s3, err))
        return err->code;
    PAGING_GUARD struct paging paging = {
        .listing = listing,
        .s3 = s3,
        .folder = STR_INIT(2 * LIMIT_OBJECT_KEY_BYTES),
        .prefix = STR_INIT(4 * LIMIT_OBJECT_KEY_BYTES),
        .token = STR_INIT(8 * LIMIT_OBJECT_KEY_BYTES),
    };
    str_append(&paging.folder, listing->folder->path);
    if (paging.folder.length && !text_has_suffix(str_text(&paging.folder), "/"))
        str_append_char(&paging.folder, '/');
    str_printf(&paging.prefix, "%s%s", str_text(&paging.folder), listing->prefix);
    cut_prefix(&paging);
    return list_all(&paging, err);
}

/* ---- objects ---- */

static enum errc open_source(const struct location *object, const struct cancel *cancel,
                             struct source **ret_source, struct error *err)
{
    const struct s3_options options = {.cancel = cancel};
    return location_is_folder(object) ? source_s3_open_folder(&options, object, ret_source, err)
                                      : source_s3_open(&options, object, ret_source, err);
}

/* Whether the listing shows the object. Stores deny what is not there to who may not list. */
static enum errc is_listed(struct s3 *s3, const struct location *object, bool *ret_is_listed,
                           bool *ret_may_list, struct error *err)
{
    const struct http_header query[] = {
        {"list-type", "2"}, {"max-keys", "1"}, {"prefix", object->path}, {0}};
    const struct s3_request request = {
        .method = "GET",
        .location = object,
        .is_bucket = true,
        .query = query,
        .body_limit = S3_ERROR_BODY_BYTES,
    };
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    ARENA_GUARD struct arena arena = {0};
    struct xml_node *root;
    if (s3_send(s3, &request, &response, err))
        return err->code;
    *ret_may_list = response.status == 200;
    if (!*ret_may_list)
        return RR_OK;
    if (xml_parse(&arena, str_text(&response.body), response.body.length, "the listing of a bucket",
                  &root, err))
        return err->code;
    *ret_is_listed = text_equal(xml_child_text(xml_child(root, "Contents"), "Key"), object->path);
    return RR_OK;
}

static enum errc fetch_small(const struct location *object, const struct cancel *cancel,
                             struct str *ret_text, bool *ret_is_there, struct error *err)
{
    const struct s3_request request = {
        .method = "GET",
        .location = object,
        .body_limit = S3_ERROR_BODY_BYTES,
    };
    S3_GUARD struct s3 *s3 = NULL;
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_open(&(struct s3_options){.cancel = cancel}, &s3, err) ||
        s3_send(s3, &request, &response, err))
        return err->code;
    if (response.status == 200) {
        *ret_is_there = true;
        str_append_bytes(ret_text, response.body.data, response.body.length);
        return str_check(ret_text, "the object", err);
    }
    if (response.status == 403 && s3_is_refusal(&response, "AccessDenied")) {
        bool is_there = false, may_list = false;
        if (is_listed(s3, object, &is_there, &may_list, err))
            return err->code;
        if (!may_list)
            log_debug("whether an object is there cannot be known without s3:ListBucket",
                      LOG_TEXT("object", object->url));
        if (!is_there) {
            *ret_is_there = false;
            return RR_OK;
        }
    }
    if (response.status == 404 && !s3_is_refusal(&response, "NoSuchBucket")) {
        *ret_is_there = false;
        return RR_OK;
    }
    return s3_report(s3, &request, &response, err);
}

const struct store_ops store_s3 = {
    .list = list,
    .open = open_source,
    .fetch_small = fetch_small,
    .stored_checksum = s3_stored_checksum,
};
