/*
 * Integrity of a backup: the side file NAME.sha256, else what the store keeps.
 *
 * The side file is what sha256sum writes: "HEX  NAME", "HEX *NAME" (binary), or HEX alone. A file
 * of several such lines counts where one of them names this object. In a file of one line the name
 * is not looked at: backups are written under one name, summed, and renamed.
 *
 * Stores keep a value of the whole object, or (COMPOSITE, value "...-N", of multipart uploads) the
 * digest of the N parts' digests: then the sizes of the parts are needed to compute it again.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/backup/catalog.h"
#include "lib/backup/store.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/net/digest.h"

#define SIDE_FILE_SUFFIX ".sha256"

enum { SHA256_HEX_LENGTH = 2 * SHA256_SIZE };

/* ---- the side file ---- */

/* One line: the digest, and the name if there is one. */
struct side_line {
    const char *hex;
    const char *name; /* not terminated; NULL: none */
    size_t name_length;
};

static bool is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr("0123456789abcdefABCDEF", text[i]) || text[i] == '\0')
            return false;
    return true;
}

static bool parse_side_line(const char *text, size_t length, struct side_line *ret_line)
{
    if (length && text[length - 1] == '\r')
        length--;
    if (length && *text == '\\') { /* sha256sum's mark for names with escapes in them */
        text++;
        length--;
    }
    if (length < SHA256_HEX_LENGTH || !is_hex(text, SHA256_HEX_LENGTH))
        return false;
    struct side_line line = {.hex = text};
    text += SHA256_HEX_LENGTH;
    length -= SHA256_HEX_LENGTH;
    if (length == 0) {
        *ret_line = line;
        return true;
    }
    if (length < 3 || text[0] != ' ' || (text[1] != ' ' && text[1] != '*'))
        return false;
    line.name = text + 2;
    line.name_length = length - 2;
    *ret_line = line;
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool line_names(const struct side_line *line, const char *object_path)
{
    if (!line->name)
        return false;
    const char *slash = memrchr(line->name, '/', line->name_length);
    const char *name = slash ? slash + 1 : line->name;
    size_t length = line->name_length - (size_t)(name - line->name);
    const char *own = base_name(object_path);
    return strlen(own) == length && memcmp(name, own, length) == 0;
}

/* The line that counts, or false when there is none. */
static bool choose_side_line(const struct str *text, const char *object_path,
                             struct side_line *ret_line)
{
    size_t count = 0, named_count = 0;
    struct side_line named = {0}, only = {0};
    const char *at = str_text(text), *end = at + text->length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline ? newline : end;
        struct side_line line;
        if (line_end > at && !(line_end == at + 1 && *at == '\r')) {
            if (!parse_side_line(at, (size_t)(line_end - at), &line))
                return false;
            count++;
            only = line;
            if (line_names(&line, object_path)) {
                named_count++;
                named = line;
            }
        }
        at = line_end + 1;
    }
    *ret_line = count == 1 ? only : named;
    return count == 1 || named_count == 1;
}

static enum errc report_malformed(const char *url, struct error *err)
{
    error_set(err, ERR_CHECKSUM, "the checksum file '%s' is malformed", url);
    return error_hint(err,
                      "it should hold what 'sha256sum NAME' prints: 64 hexadecimal digits, two "
                      "blanks and the name; remove it if there is no checksum");
}

static enum errc find_side_file(const struct location *object, const struct cancel *cancel,
                                struct arena *arena, struct backup_checksum *ret_checksum,
                                struct error *err)
{
    struct location side = *object;
    side.path = arena_printf(arena, "%s" SIDE_FILE_SUFFIX, object->path);
    side.url = arena_printf(arena, "%s" SIDE_FILE_SUFFIX, object->url);
    STR_GUARD struct str text = STR_INIT(LIMIT_SIDE_FILE_BYTES);
    bool is_there = false;
    if (store_of(object->kind)->fetch_small(&side, cancel, &text, &is_there, err)) {
        if (err->code != ERR_TOO_LARGE)
            return error_wrap(err, "cannot read the checksum file");
        error_clear(err);
        return report_malformed(side.url, err);
    }
    if (!is_there)
        return RR_OK;
    struct side_line line;
    if (!choose_side_line(&text, object->path, &line))
        return report_malformed(side.url, err);
    char *hex = arena_strndup(arena, line.hex, SHA256_HEX_LENGTH);
    for (char *p = hex; *p; p++)
        if (*p >= 'A' && *p <= 'F')
            *p = (char)(*p + ('a' - 'A'));
    *ret_checksum = (struct backup_checksum){
        .is_known = true,
        .kind = digest_name(DIGEST_SHA256),
        .value = hex,
        .origin = base_name(side.path),
        .is_hex = true,
    };
    return RR_OK;
}

enum errc backup_find_checksum(const struct location *object, const struct cancel *cancel,
                               struct arena *arena, struct backup_checksum *ret_checksum,
                               struct error *err)
{
    struct backup_checksum checksum = {0};
    const struct store_ops *store = store_of(object->kind);
    if (location_is_folder(object)) {
        *ret_checksum = checksum;
        return RR_OK;
    }
    if (find_side_file(object, cancel, arena, &checksum, err))
        return err->code;
    if (!checksum.is_known && store->stored_checksum &&
        store->stored_checksum(object, cancel, arena, &checksum, err))
        return err->code;
    *ret_checksum = checksum;
    return RR_OK;
}

/* ---- verification ---- */

/* Digest over one stretch of the object. */
static enum errc digest_range(struct source_reader *reader, struct digest *digest, uint64_t offset,
                              uint64_t length, char *buffer, struct error *err)
{
    while (length) {
        size_t piece = length < LIMIT_READ_BYTES ? (size_t)length : LIMIT_READ_BYTES;
        if (source_read(reader, offset, buffer, piece, err))
            return err->code;
        digest_update(digest, buffer, piece);
        offset += piece;
        length -= piece;
    }
    return RR_OK;
}

/* The digest of all parts' digests, written behind each other. */
static enum errc digest_parts(struct source_reader *reader, struct digest *part,
                              struct digest *whole, const struct backup_checksum *checksum,
                              char *buffer, struct error *err)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < checksum->part_count; i++) {
        uint8_t value[DIGEST_MAX_SIZE];
        size_t length;
        if (digest_range(reader, part, offset, checksum->part_bytes[i], buffer, err))
            return err->code;
        digest_finish(part, value, &length);
        digest_update(whole, value, length);
        offset += checksum->part_bytes[i];
    }
    return RR_OK;
}

static bool find_kind(const char *name, enum digest_kind *ret_kind)
{
    for (int kind = DIGEST_SHA256; kind <= DIGEST_CRC64NVME; kind++)
        if (text_equal(digest_name((enum digest_kind)kind), name)) {
            *ret_kind = (enum digest_kind)kind;
            return true;
        }
    return false;
}

/* Written as the value to compare with is written. */
static void render_value(const struct backup_checksum *checksum, const uint8_t *value,
                         size_t length, struct str *text)
{
    if (checksum->is_hex) {
        char hex[2 * DIGEST_MAX_SIZE + 1];
        hex_render(value, length, hex);
        str_append(text, hex);
        return;
    }
    base64_render(text, value, length);
    if (checksum->part_count)
        str_printf(text, "-%zu", checksum->part_count);
}

static enum errc compare(const struct source *source, const struct backup_checksum *checksum,
                         struct digest *digest, struct error *err)
{
    uint8_t value[DIGEST_MAX_SIZE];
    size_t length;
    STR_GUARD struct str found = STR_INIT(2 * DIGEST_MAX_SIZE + 16);
    digest_finish(digest, value, &length);
    render_value(checksum, value, length, &found);
    if (text_equal(str_text(&found), checksum->value))
        return RR_OK;
    error_set(err, ERR_CHECKSUM, "'%s' is damaged: its %s is '%s', but %s says '%.100s'",
              source->name, checksum->kind, str_text(&found), checksum->origin, checksum->value);
    return error_hint(err,
                      "take another backup; if this one was written again on purpose, write its "
                      "checksum again too");
}

enum errc backup_verify_checksum(const struct source *source,
                                 const struct backup_checksum *checksum,
                                 const struct cancel *cancel, struct error *err)
{
    enum digest_kind kind;
    if (!checksum->is_known || !find_kind(checksum->kind, &kind))
        return error_set(err, ERR_BUG, "there is no checksum to verify");
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(source, cancel, &reader, err))
        return err->code;
    DIGEST_GUARD struct digest *whole = digest_new(kind), *part = digest_new(kind);
    char *buffer = mem_alloc(LIMIT_READ_BYTES);
    enum errc code = checksum->part_count
                         ? digest_parts(reader, part, whole, checksum, buffer, err)
                         : digest_range(reader, whole, 0, source->size_bytes, buffer, err);
    free(buffer);
    return code ? code : compare(source, checksum, whole, err);
}
