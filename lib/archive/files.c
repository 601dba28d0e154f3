#include "lib/archive/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/archive/input.h"
#include "lib/base/limits.h"

enum {
    NAME_BYTES = 64,
    PLAIN_BYTES = 64 * 1024,
    /* From here on each BLOBS entry has a list of its own. */
    MINOR_BLOBS_LISTS = 16,
};

static const struct {
    const char *suffix;
    enum compression compression;
} forms[] = {
    {"", COMPRESSION_NONE},
    {".gz", COMPRESSION_GZIP},
    {".lz4", COMPRESSION_LZ4},
    {".zst", COMPRESSION_ZSTD},
};
enum { FORMS = sizeof forms / sizeof forms[0] };

static enum errc report_missing(enum archive_format format, const char *name, const char *what,
                                struct error *err)
{
    error_set(err, ERR_ARCHIVE_CORRUPT, "'%s' is missing, %s", name, what);
    if (format == FORMAT_TAR)
        return error_hint(err, "the backup is damaged: choose another one");
    return error_hint(err, "the backup is incomplete: was it still being written or uploaded, or "
                           "were files removed? Complete it, or choose another one");
}

enum errc files_take(const struct members *members, enum archive_format format, const char *name,
                     const char *what, struct extent *ret_extent, struct error *err)
{
    struct member *found = NULL;
    for (size_t i = 0; i < (format == FORMAT_DIRECTORY ? FORMS : 1); i++) {
        char full[NAME_BYTES + 8];
        snprintf(full, sizeof full, "%s%s", name, forms[i].suffix);
        struct member *member = members_find(members, full);
        if (!member)
            continue;
        if (found)
            return error_set(err, ERR_ARCHIVE_CORRUPT, "both '%s' and '%s' are there", found->name,
                             member->name);
        found = member;
        *ret_extent = (struct extent){
            .offset = member->offset, .bytes = member->bytes, .compression = forms[i].compression};
    }
    if (!found)
        return report_missing(format, name, what, err);
    if (found->is_taken)
        return error_set(err, ERR_ARCHIVE_CORRUPT, "'%s' is named twice", found->name);
    found->is_taken = true;
    return RR_OK;
}

/* Everything that the pushed bytes give. */
static enum errc append_plain(struct decompress *d, struct str *text, struct error *err)
{
    char plain[PLAIN_BYTES];
    for (;;) {
        size_t length;
        enum errc code = decompress_pull(d, plain, sizeof plain, &length, err);
        if (code || length == 0)
            return code;
        str_append_bytes(text, plain, length);
        if (text->is_cut)
            return error_set(err, ERR_TOO_LARGE, "longer than %zu MiB", text->limit / LIMIT_MIB);
    }
}

enum errc files_read_text(struct source_reader *reader, const struct extent *extent,
                          struct str *text, struct error *err)
{
    INPUT_GUARD struct input in;
    DECOMPRESS_GUARD struct decompress *d = decompress_new(extent->compression);
    input_init(&in, reader, extent->offset, extent->offset + extent->bytes, PLAIN_BYTES);
    while (input_left(&in)) {
        const unsigned char *bytes;
        size_t length;
        enum errc code = input_peek(&in, LIMIT_READ_BYTES, &bytes, &length, err);
        if (code)
            return code;
        decompress_push(d, bytes, length);
        if ((code = append_plain(d, text, err)) || (code = input_skip(&in, length, err)))
            return code;
    }
    return decompress_finish(d, err);
}

/* ---- large objects ---- */

/* The list of one BLOBS entry on its way into extents. */
struct list {
    const struct members *members;
    enum archive_format format;
    struct extent *extents;
    size_t count;
};

static size_t count_lines(const struct str *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->length; i++)
        count += text->data[i] == '\n';
    return count;
}

/* "OID blob_OID.dat", the line's end taken off. */
static bool parse_line(const char *line, size_t length, uint32_t *ret_oid, char name[NAME_BYTES])
{
    char own[2 * NAME_BYTES];
    uint64_t oid = 0;
    size_t digits = 0;
    for (; digits < length && line[digits] >= '0' && line[digits] <= '9' && oid <= UINT32_MAX;
         digits++)
        oid = oid * 10 + (uint64_t)(line[digits] - '0');
    if (oid == 0 || oid > UINT32_MAX)
        return false;
    snprintf(name, NAME_BYTES, "blob_%lu.dat", (unsigned long)oid);
    snprintf(own, sizeof own, "%lu %s", (unsigned long)oid, name);
    *ret_oid = (uint32_t)oid;
    return strlen(own) == length && memcmp(own, line, length) == 0;
}

static enum errc take_line(struct list *list, const char *line, size_t length, struct error *err)
{
    char name[NAME_BYTES];
    uint32_t oid;
    struct extent *extent = &list->extents[list->count];
    if (!parse_line(line, length, &oid, name))
        return error_set(err, ERR_ARCHIVE_CORRUPT, "line %zu names no large object",
                         list->count + 1);
    enum errc code =
        files_take(list->members, list->format, name, "which holds a large object", extent, err);
    if (code)
        return code;
    extent->oid = oid;
    /* pg_dump writes nothing at all for an empty object, not even an empty frame. */
    if (extent->bytes == 0 && extent->compression != COMPRESSION_GZIP)
        extent->compression = COMPRESSION_NONE;
    list->count++;
    return RR_OK;
}

static enum errc take_lines(struct list *list, const struct str *text, struct error *err)
{
    const char *at = str_text(text), *end = at + text->length;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline)
            return error_set(err, ERR_ARCHIVE_CORRUPT, "the last line is cut off");
        enum errc code = take_line(list, at, (size_t)(newline - at), err);
        if (code)
            return code;
        at = newline + 1;
    }
    return RR_OK;
}

static enum errc assign_blobs(struct source_reader *reader, const struct members *members,
                              struct arena *arena, const struct toc *toc, struct entry *entry,
                              struct error *err)
{
    char name[NAME_BYTES];
    STR_GUARD struct str text = STR_INIT(LIMIT_BLOBS_TOC_BYTES);
    struct extent file;
    snprintf(name, sizeof name, "blobs.toc");
    if (toc->minor >= MINOR_BLOBS_LISTS)
        snprintf(name, sizeof name, "blobs_%d.toc", (int)entry->dump_id);
    enum errc code =
        files_take(members, toc->format, name, "the list of large objects", &file, err);
    if (code)
        return code;
    if (files_read_text(reader, &file, &text, err))
        return error_wrap(err, "'%s'", name);
    struct list list = {.members = members, .format = toc->format};
    list.extents = arena_array(arena, count_lines(&text), sizeof *list.extents);
    if (take_lines(&list, &text, err))
        return error_wrap(err, "'%s'", name);
    entry->extents = list.extents;
    entry->extent_count = list.count;
    return RR_OK;
}

/* ---- all entries ---- */

static enum errc assign_table(const struct members *members, struct arena *arena,
                              enum archive_format format, struct entry *entry, struct error *err)
{
    char name[NAME_BYTES];
    struct extent *extent = arena_alloc(arena, sizeof *extent);
    snprintf(name, sizeof name, "%d.dat", (int)entry->dump_id);
    entry->extents = extent;
    entry->extent_count = 1;
    return files_take(members, format, name, "the data of a table", extent, err);
}

static void add_up(struct entry *entry)
{
    entry->offset_state = OFFSET_SET;
    for (size_t i = 0; i < entry->extent_count; i++)
        entry->block_bytes += entry->extents[i].bytes;
}

/* In a tar everything; in a folder what pg_dump could have put there, since people keep notes. */
static bool is_due_in_tar(const char *name)
{
    return strcmp(name, "restore.sql") != 0;
}

static bool is_due_in_directory(const char *name)
{
    const char *dot = strstr(name, ".dat");
    if (dot)
        for (size_t i = 0; i < FORMS; i++)
            if (strcmp(dot + strlen(".dat"), forms[i].suffix) == 0)
                return true;
    return text_has_prefix(name, "blobs") && strstr(name, ".toc");
}

static enum errc check_left(const struct members *members, const struct toc *toc, struct error *err)
{
    const struct member *left =
        members_left(members, toc->format == FORMAT_TAR ? is_due_in_tar : is_due_in_directory);
    if (!left)
        return RR_OK;
    STR_GUARD struct str name = STR_INIT(4 * NAME_BYTES);
    str_append_quoted(&name, left->name, NAME_BYTES);
    error_set(err, ERR_ARCHIVE_CORRUPT, "%s belongs to nothing in the table of contents",
              str_text(&name));
    return error_hint(err, toc->format == FORMAT_TAR
                               ? "the backup is damaged: choose another one"
                               : "files of two backups are mixed: give each backup a folder of "
                                 "its own, and choose another one");
}

enum errc files_assign(struct source_reader *reader, const struct members *members,
                       struct arena *arena, struct toc *toc, struct error *err)
{
    for (size_t i = 0; i < toc->count; i++) {
        struct entry *entry = &toc->entries[i];
        if (!entry->has_data)
            continue;
        enum errc code = entry->kind == ENTRY_BLOBS
                             ? assign_blobs(reader, members, arena, toc, entry, err)
                             : assign_table(members, arena, toc->format, entry, err);
        if (code)
            return error_wrap(err, "entry %d", (int)entry->dump_id);
        add_up(entry);
    }
    return check_left(members, toc, err);
}
