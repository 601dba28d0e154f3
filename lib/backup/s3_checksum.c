#include "lib/backup/s3_checksum.h"

#include <string.h>

#include "lib/backup/s3.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/net/digest.h"

enum { HEADER_VALUE_BYTES = 1024, VALUE_BYTES = 64 };

static const struct {
    const char *header;
    enum digest_kind kind;
    size_t base64_length;
} checksum_headers[] = {
    {"x-amz-checksum-sha256", DIGEST_SHA256, 44},       {"x-amz-checksum-sha1", DIGEST_SHA1, 28},
    {"x-amz-checksum-crc64nvme", DIGEST_CRC64NVME, 12}, {"x-amz-checksum-crc32c", DIGEST_CRC32C, 8},
    {"x-amz-checksum-crc32", DIGEST_CRC32, 8},
};

static bool get_size(const struct http_response *response, uint64_t *ret_bytes)
{
    STR_GUARD struct str length = STR_INIT(VALUE_BYTES);
    return http_header_get(response, "content-length", &length) &&
           text_to_u64(str_text(&length), INT64_MAX, ret_bytes);
}

/* What the answer says of the object: value, and for a multipart upload the number of parts. */
static bool parse_checksum(struct arena *arena, const struct http_response *response,
                           struct backup_checksum *ret_checksum, size_t *ret_parts)
{
    STR_GUARD struct str value = STR_INIT(VALUE_BYTES);
    for (size_t i = 0; i < sizeof checksum_headers / sizeof *checksum_headers; i++) {
        if (!http_header_get(response, checksum_headers[i].header, &value))
            continue;
        size_t length = checksum_headers[i].base64_length;
        uint64_t parts = 0;
        const char *text = str_text(&value);
        bool is_composite = value.length > length && text[length] == '-';
        if (value.is_cut || value.length < length ||
            (is_composite
                 ? !text_to_u64(text + length + 1, LIMIT_UPLOAD_PARTS, &parts) || parts == 0
                 : value.length != length))
            continue;
        *ret_checksum = (struct backup_checksum){
            .is_known = true,
            .kind = digest_name(checksum_headers[i].kind),
            .value = arena_strdup(arena, text),
            .origin = checksum_headers[i].header,
        };
        *ret_parts = (size_t)parts;
        return true;
    }
    return false;
}

/* An upload being asked for the sizes of its parts. */
struct upload {
    struct s3 *s3;
    const struct location *object;
    const char *etag;
    uint64_t size_bytes;
    uint64_t *part_bytes;
    size_t part_count;
};

/* A store that does not know parts says so in its own way; only trouble and change are errors. */
static enum errc ask_part(const struct upload *upload, size_t index, bool *ret_is_told,
                          struct error *err)
{
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_head(upload->s3, upload->object, upload->etag, (unsigned)index + 1, &response, err)) {
        bool is_refused =
            (err->http_status >= 400 && err->http_status < 500) || err->http_status == 501;
        if (!is_refused || err->code == ERR_BACKUP_CHANGED)
            return err->code;
        error_clear(err);
        *ret_is_told = false;
        return RR_OK;
    }
    *ret_is_told = get_size(&response, &upload->part_bytes[index]);
    return RR_OK;
}

static uint64_t sum_parts(const struct upload *upload)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < upload->part_count; i++)
        sum += upload->part_bytes[i];
    return sum;
}

/* Uploaders make all parts but the last of one size: the first and the last tell all, if the sum is
 * right. Else every part is asked for. */
static enum errc ask_parts(const struct upload *upload, bool *ret_is_told, struct error *err)
{
    size_t last = upload->part_count - 1;
    bool is_told = true;
    if (ask_part(upload, 0, &is_told, err) ||
        (is_told && last && ask_part(upload, last, &is_told, err)))
        return err->code;
    for (size_t i = 1; i < last; i++)
        upload->part_bytes[i] = upload->part_bytes[0];
    if (is_told && upload->part_bytes[0] <= upload->size_bytes &&
        sum_parts(upload) != upload->size_bytes)
        for (size_t i = 1; i < last && is_told; i++)
            if (ask_part(upload, i, &is_told, err))
                return err->code;
    *ret_is_told = is_told && sum_parts(upload) == upload->size_bytes;
    return RR_OK;
}

enum errc s3_stored_checksum(const struct location *object, const struct cancel *cancel,
                             struct arena *arena, struct backup_checksum *ret_checksum,
                             struct error *err)
{
    S3_GUARD struct s3 *s3 = NULL;
    HTTP_RESPONSE_GUARD struct http_response response = {0};
    if (s3_open(&(struct s3_options){.cancel = cancel}, &s3, err) ||
        s3_head(s3, object, NULL, 0, &response, err))
        return err->code;
    struct backup_checksum checksum;
    size_t part_count;
    if (!parse_checksum(arena, &response, &checksum, &part_count))
        return RR_OK;
    if (part_count) {
        STR_GUARD struct str etag = STR_INIT(HEADER_VALUE_BYTES);
        struct upload upload = {
            .s3 = s3,
            .object = object,
            .etag = http_header_get(&response, "etag", &etag) ? str_text(&etag) : NULL,
            .part_bytes = arena_array(arena, part_count, sizeof *upload.part_bytes),
            .part_count = part_count,
        };
        bool is_told = get_size(&response, &upload.size_bytes);
        if (is_told && ask_parts(&upload, &is_told, err))
            return err->code;
        if (!is_told) {
            log_debug("the store keeps a checksum of parts, but does not tell their sizes",
                      LOG_TEXT("object", object->url), LOG_TEXT("value", checksum.value));
            return RR_OK;
        }
        checksum.part_bytes = upload.part_bytes;
        checksum.part_count = part_count;
    }
    *ret_checksum = checksum;
    return RR_OK;
}
