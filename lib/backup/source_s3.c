#include "lib/backup/source_s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backup/folder.h"
#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/retry.h"

enum { HEADER_VALUE_BYTES = 1024 };

/* A load runs for hours: a store that restarts, or a network that is away for a minute, must not
 * end it. */
static const struct retry_policy patient = {
    .attempts = 12,
    .first_pause_ms = 250,
    .max_pause_ms = 20 * 1000,
    .total_ms = 180 * 1000,
};

struct s3_source {
    struct source base;
    struct arena arena;
    struct location location; /* of the object, or of the folder */
    const char **etags;       /* of it, or of each part, with its quotes, as the store sent it */
    struct s3_options options;
};

/* The object that a read is from. */
struct target {
    struct location location;
    const char *etag;
    uint64_t begin, size_bytes;
};

struct s3_reader {
    struct source_reader base;
    struct s3 *s3;
};

/* ---- reading ---- */

static struct target find_target(const struct s3_source *source, uint64_t offset,
                                 struct arena *scratch)
{
    const struct source_part *part = source_part_at(&source->base, offset);
    if (!part)
        return (struct target){source->location, source->etags[0], 0, source->base.size_bytes};
    return (struct target){location_join(scratch, &source->location, part->name),
                           source->etags[part - source->base.parts], part->begin, part->size_bytes};
}

static enum errc report_changed(const struct target *target, const char *what, struct error *err)
{
    error_set(err, ERR_BACKUP_CHANGED, "'%s' was replaced while it was being read: %s",
              target->location.url, what);
    return error_hint(err, "do not write a backup's name twice");
}

/* "bytes 0-9/100" and "bytes 0-9/<any>" say the object's size or nothing about it. */
static bool is_size_right(const struct http_response *response, uint64_t size_bytes)
{
    STR_GUARD struct str range = STR_INIT(HEADER_VALUE_BYTES);
    if (!http_header_get(response, "content-range", &range))
        return true; /* http_get_range() refuses such an answer */
    const char *slash = strchr(str_text(&range), '/');
    uint64_t total;
    return !slash || strcmp(slash, "/*") == 0 ||
           (text_to_u64(slash + 1, UINT64_MAX, &total) && total == size_bytes);
}

static enum errc check_answer(const void *context, const struct http_response *response,
                              struct error *err)
{
    const struct target *target = context;
    STR_GUARD struct str etag = STR_INIT(HEADER_VALUE_BYTES);
    if (http_header_get(response, "etag", &etag) && !text_equal(str_text(&etag), target->etag))
        return report_changed(target, "it has another ETag", err);
    if (!is_size_right(response, target->size_bytes))
        return report_changed(target, "it has another size", err);
    return RR_OK;
}

static enum errc s3_read(struct source_reader *base, uint64_t offset, void *buffer, size_t length,
                         struct error *err)
{
    const struct s3_source *source = (const struct s3_source *)base->source;
    struct s3 *s3 = ((struct s3_reader *)base)->s3;
    ARENA_GUARD struct arena scratch = {0};
    const struct target target = find_target(source, offset, &scratch);
    const char *url = target.location.url;
    const struct http_header headers[] = {{"If-Match", target.etag}, {0}};
    const struct s3_request request = {
        .method = "GET",
        .location = &target.location,
        .headers = headers,
        .body_limit = S3_ERROR_BODY_BYTES,
    };
    const struct http_range range = {
        .offset = offset - target.begin,
        .length = length,
        .buffer = buffer,
        .check = check_answer,
        .check_context = &target,
    };
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_get_range(s3, &request, &range, &response, err))
        return error_wrap(err, "'%s' at byte %" PRIu64, url, range.offset);
    if (response.status == 206)
        return RR_OK;
    if (response.status == 200) {
        error_set(err, ERR_UNSUPPORTED, "'%s': the store ignores ranged reads", url);
        return error_hint(
            err,
            "archives are read at many places; a proxy in between may remove the Range header");
    }
    if (response.status == 404) /* it was there when it was opened */
        return report_changed(&target, "it is gone", err);
    return s3_report(s3, &request, &response, err);
}

static enum errc s3_reader_open(const struct source *base, const struct cancel *cancel,
                                struct source_reader **ret_reader, struct error *err)
{
    const struct s3_source *source = (const struct s3_source *)base;
    struct s3_options options = source->options;
    options.cancel = cancel;
    if (!options.retry)
        options.retry = &patient;
    struct s3 *s3;
    if (s3_open(&options, &s3, err))
        return err->code;
    struct s3_reader *reader = mem_alloc(sizeof *reader);
    reader->base.source = base;
    reader->s3 = s3;
    *ret_reader = &reader->base;
    return RR_OK;
}

static void s3_reader_close(struct source_reader *base)
{
    s3_close(((struct s3_reader *)base)->s3);
    free(base);
}

static void s3_source_free(struct source *base)
{
    struct s3_source *source = (struct s3_source *)base;
    arena_release(&source->arena);
    free(source);
}

/* ---- opening ---- */

static struct s3_source *make_source(const struct s3_options *options,
                                     const struct location *location)
{
    static const struct source_ops ops = {s3_reader_open, s3_read, s3_reader_close, s3_source_free};
    struct s3_source *source = mem_alloc(sizeof *source);
    source->base.ops = &ops;
    source->base.name = mem_strdup(location->url);
    source->location = location_copy(&source->arena, location);
    source->options = *options;
    return source;
}

static struct source *make_object(const struct s3_options *options, const struct location *object,
                                  const char *etag, const char *version, uint64_t size_bytes)
{
    struct s3_source *source = make_source(options, object);
    STR_GUARD struct str identity = STR_INIT(2 * HEADER_VALUE_BYTES + 16);
    str_append(&identity, etag);
    if (*version)
        str_printf(&identity, " version %s", version);
    source->base.size_bytes = size_bytes;
    source->base.identity = mem_strdup(str_text(&identity));
    source->etags = arena_array(&source->arena, 1, sizeof *source->etags);
    source->etags[0] = arena_strdup(&source->arena, etag);
    return &source->base;
}

enum errc source_s3_open(const struct s3_options *options, const struct location *object,
                         struct source **ret_source, struct error *err)
{
    if (!*object->path)
        return error_set(err, ERR_BACKUP_NOT_FOUND, "'%s' is a bucket, not an object in it",
                         object->url);
    S3_GUARD struct s3 *s3 = NULL;
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_open(options, &s3, err) || s3_head(s3, object, NULL, 0, &response, err))
        return err->code;
    STR_GUARD struct str etag = STR_INIT(HEADER_VALUE_BYTES), length = etag, version = etag;
    uint64_t size_bytes;
    if (!http_header_get(&response, "content-length", &length) ||
        !text_to_u64(str_text(&length), INT64_MAX, &size_bytes))
        return error_set(err, ERR_HTTP, "'%s': the store does not tell the object's size",
                         object->url);
    if (!http_header_get(&response, "etag", &etag) || !etag.length || etag.is_cut)
        return error_set(err, ERR_HTTP, "'%s': the store does not tell the object's ETag",
                         object->url);
    (void)http_header_get(&response, "x-amz-version-id", &version);
    *ret_source = make_object(options, object, str_text(&etag), str_text(&version), size_bytes);
    return RR_OK;
}

/* Some stores leave the quotes out of their listings. */
static enum errc quote_etags(const struct location *location, struct folder *folder,
                             struct arena *arena, struct error *err)
{
    for (size_t i = 0; i < folder->count; i++)
        if (*folder->etags[i] && *folder->etags[i] != '"')
            folder->etags[i] = arena_printf(arena, "\"%s\"", folder->etags[i]);
        else if (!*folder->etags[i])
            return error_set(err, ERR_HTTP, "'%s': the store's listing tells no ETag of '%s'",
                             location->url, folder->parts[i].name);
    return RR_OK;
}

enum errc source_s3_open_folder(const struct s3_options *options, const struct location *location,
                                struct source **ret_source, struct error *err)
{
    struct s3_source *source = make_source(options, location);
    struct folder folder;
    char identity[64];
    if (folder_list(location, options->cancel, &source->arena, &folder, err) ||
        quote_etags(location, &folder, &source->arena, err)) {
        source_free(&source->base);
        return err->code;
    }
    snprintf(identity, sizeof identity, "%zu objects", folder.count);
    source->base.size_bytes = folder.size_bytes;
    source->base.identity = mem_strdup(identity);
    source->base.parts = folder.parts;
    source->base.part_count = folder.count;
    source->etags = folder.etags;
    *ret_source = &source->base;
    return RR_OK;
}
