/*
 * The order of reading is that of ReadHead() and ReadToc() in PostgreSQL's
 * src/bin/pg_dump/pg_backup_archiver.c, where pg_restore believes what it reads; here every value has its
 * range, because what is read wrongly at this place is restored wrongly without a message.
 */
#include "lib/archive/toc_parse.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

enum {
    FORMAT_CUSTOM = 1,
    FORMAT_TAR = 3,
    FORMAT_DIRECTORY = 5,
    MINOR_OLDEST = 12,
    MINOR_NEWEST = 16,
    MINOR_TABLE_ACCESS_METHOD = 14,
    MINOR_COMPRESSION_ALGORITHM = 15,
    MINOR_RELKIND = 16,
    TIME_FIELDS = 7,
    SHORT_TEXT_BYTES = 64,
    /* Ten ints and five texts of no bytes are 75, no kind has a name of less than 3 letters, and the offset
     * is 5 or 9: a smaller entry does not exist. */
    ENTRY_MIN_BYTES = 80,
};

/* Length of a text, -1 for NULL. */
static enum errc text_length(struct input *in, int64_t *ret_length, struct error *err)
{
    enum errc code = input_int_between(in, -1, LIMIT_TOC_STRING_BYTES, "length of a text", ret_length, err);
    if (code || *ret_length < 0)
        return code;
    if ((uint64_t)*ret_length > input_left(in)) {
        in->is_short = true;
        return input_corrupt(in, err, "a text of %lld bytes, but only %llu are left",
                             (long long)*ret_length, (unsigned long long)input_left(in));
    }
    return RR_OK;
}

static enum errc parse_text(struct input *in, struct arena *arena, const char **ret_text,
                            struct error *err)
{
    int64_t length;
    enum errc code = text_length(in, &length, err);
    if (code)
        return code;
    if (length <= 0) {
        *ret_text = length < 0 ? NULL : "";
        return RR_OK;
    }
    char *text = arena_alloc(arena, (size_t)length + 1);
    code = input_bytes(in, text, (size_t)length, err);
    if (code)
        return code;
    if (memchr(text, 0, (size_t)length))
        return input_corrupt(in, err, "a text before here holds a zero byte");
    *ret_text = text;
    return RR_OK;
}

static enum errc parse_required_text(struct input *in, struct arena *arena, const char *what,
                                     const char **ret_text, struct error *err)
{
    enum errc code = parse_text(in, arena, ret_text, err);
    if (code == RR_OK && !*ret_text)
        return input_corrupt(in, err, "%s is missing", what);
    return code;
}

/* A number, a word: what need not be kept. *ret_is_null: the archive has NULL there. */
static enum errc parse_short_text(struct input *in, const char *what, char ret_text[SHORT_TEXT_BYTES],
                                  bool *ret_is_null, struct error *err)
{
    int64_t length;
    enum errc code = text_length(in, &length, err);
    if (code)
        return code;
    if (length >= SHORT_TEXT_BYTES)
        return input_corrupt(in, err, "%s is %lld bytes long", what, (long long)length);
    size_t size = length < 0 ? 0 : (size_t)length;
    code = input_bytes(in, ret_text, size, err);
    if (code)
        return code;
    ret_text[size] = '\0';
    if (strlen(ret_text) != size)
        return input_corrupt(in, err, "%s holds a zero byte", what);
    *ret_is_null = length < 0;
    return RR_OK;
}

/* A decimal number as text; NULL only where `ret_is_null` is given. */
static enum errc parse_decimal(struct input *in, const char *what, uint64_t max, uint64_t *ret_value,
                               bool *ret_is_null, struct error *err)
{
    char text[SHORT_TEXT_BYTES];
    bool is_null;
    enum errc code = parse_short_text(in, what, text, &is_null, err);
    if (code)
        return code;
    if (ret_is_null)
        *ret_is_null = is_null;
    if (is_null && ret_is_null)
        return RR_OK;
    if (is_null || !text_to_u64(text, max, ret_value)) {
        STR_GUARD struct str quoted = STR_INIT(256);
        str_append_quoted(&quoted, is_null ? NULL : text, 40);
        return input_corrupt(in, err, "%s is %s", what, str_text(&quoted));
    }
    return RR_OK;
}

/* What the bytes are when they are no archive, for the operator who pointed at the wrong object. */
static const char *guess_content(const unsigned char *b, size_t length)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *hint;
    } known[] = {
        {"\x1f\x8b", 2, "this is gzip: store the archive as pg_dump -Fc wrote it, which is compressed already"},
        {"\x28\xb5\x2f\xfd", 4, "this is zstd: store the archive as pg_dump -Fc wrote it"},
        {"\x04\x22\x4d\x18", 4, "this is lz4: store the archive as pg_dump -Fc wrote it"},
        {"--\n", 3, "this looks like plain SQL: make backups with pg_dump -Fc"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (length >= known[i].length && memcmp(b, known[i].magic, known[i].length) == 0)
            return known[i].hint;
    return "make backups with pg_dump -Fc, and check that the name is that of a backup";
}

static enum errc parse_magic(struct input *in, struct error *err)
{
    static const char magic[] = {'P', 'G', 'D', 'M', 'P'};
    unsigned char begin[sizeof magic] = {0};
    size_t have = input_left(in) < sizeof begin ? (size_t)input_left(in) : sizeof begin;
    enum errc code = input_bytes(in, begin, have, err);
    if (code)
        return code;
    if (have == sizeof begin && memcmp(begin, magic, sizeof magic) == 0)
        return RR_OK;
    error_set(err, ERR_ARCHIVE_CORRUPT,
              have ? "not a pg_dump archive in custom format" : "the archive is empty");
    return error_hint(err, "%s", guess_content(begin, have));
}

/* Compression, time and names, which follow the sizes. */
static enum errc parse_compression(struct input *in, struct toc *toc, struct error *err)
{
    if (toc->minor < MINOR_COMPRESSION_ALGORITHM) { /* a level: 0 none, -1 default, 1 to 9 */
        int64_t level;
        enum errc code = input_int_between(in, -1, 9, "compression level", &level, err);
        if (code == RR_OK)
            toc->compression = level ? COMPRESSION_ZLIB : COMPRESSION_NONE;
        return code;
    }
    static const enum compression algorithms[] = {COMPRESSION_NONE, COMPRESSION_ZLIB, COMPRESSION_LZ4,
                                                  COMPRESSION_ZSTD};
    unsigned algorithm;
    enum errc code = input_byte(in, &algorithm, err);
    if (code)
        return code;
    if (algorithm >= sizeof algorithms / sizeof algorithms[0])
        return error_set(err, ERR_ARCHIVE_UNSUPPORTED, "unknown compression algorithm %u", algorithm);
    toc->compression = algorithms[algorithm];
    return RR_OK;
}

static enum errc parse_origin(struct input *in, struct arena *arena, struct toc *toc, struct error *err)
{
    /* Time of the dump in the dumper's own zone, which is not told: no instant, hence not kept. */
    for (int i = 0; i < TIME_FIELDS; i++) {
        int64_t ignored;
        enum errc code = input_int(in, &ignored, err);
        if (code)
            return code;
    }
    const char **const texts[] = {&toc->database_name, &toc->server_version, &toc->dump_version};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        enum errc code = parse_text(in, arena, texts[i], err);
        if (code)
            return code;
    }
    return RR_OK;
}

/* Names the pg_dump version of an archive that is too new, if the header is still as in 1.16. */
static enum errc refuse_newer(struct input *in, struct arena *arena, struct toc *toc, struct error *err)
{
    struct error ignored = ERROR_INIT;
    STR_GUARD struct str by = STR_INIT(256);
    if (parse_compression(in, toc, &ignored) == RR_OK && parse_origin(in, arena, toc, &ignored) == RR_OK &&
        toc->dump_version) {
        str_append(&by, " made by pg_dump ");
        str_append_quoted(&by, toc->dump_version, 60);
    }
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "archive version %d.%d%s is newer than 1.%d", toc->major,
              toc->minor, str_text(&by), MINOR_NEWEST);
    return error_hint(err, "a newer release of this program may know it; or dump with pg_dump 12 to 18");
}

static enum errc check_version(struct input *in, struct arena *arena, struct toc *toc, struct error *err)
{
    if (toc->major > 1 || (toc->major == 1 && toc->minor > MINOR_NEWEST))
        return refuse_newer(in, arena, toc, err);
    if (toc->major == 1 && toc->minor >= MINOR_OLDEST)
        return RR_OK;
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "archive version %d.%d is older than 1.%d", toc->major,
              toc->minor, MINOR_OLDEST);
    return error_hint(err, "it was made before PostgreSQL 9.0: restore it with pg_restore and dump it again");
}

static enum errc check_format(unsigned format, struct error *err)
{
    if (format == FORMAT_CUSTOM)
        return RR_OK;
    if (format != FORMAT_TAR && format != FORMAT_DIRECTORY)
        return error_set(err, ERR_ARCHIVE_CORRUPT, "unknown archive format %u", format);
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "an archive in %s format",
              format == FORMAT_TAR ? "tar or directory" : "directory");
    return error_hint(err, "make backups with pg_dump -Fc");
}

enum errc toc_parse_header(struct input *in, struct arena *arena, struct toc *toc, struct error *err)
{
    enum { VERSION_MAJOR, VERSION_MINOR, VERSION_REVISION, INT_SIZE, OFFSET_SIZE, FORMAT, FIELDS };
    unsigned char fields[FIELDS];
    enum errc code = parse_magic(in, err);
    if (code == RR_OK)
        code = input_bytes(in, fields, sizeof fields, err);
    if (code)
        return code;
    toc->major = fields[VERSION_MAJOR];
    toc->minor = fields[VERSION_MINOR];
    toc->revision = fields[VERSION_REVISION];
    toc->int_size = fields[INT_SIZE];
    toc->offset_size = fields[OFFSET_SIZE];
    code = check_version(in, arena, toc, err);
    if (code)
        return code;
    if (toc->int_size != 4 || (toc->offset_size != 4 && toc->offset_size != 8))
        return input_corrupt(in, err, "numbers of %d and offsets of %d bytes", toc->int_size,
                             toc->offset_size);
    code = check_format(fields[FORMAT], err);
    if (code == RR_OK)
        code = parse_compression(in, toc, err);
    if (code == RR_OK)
        code = parse_origin(in, arena, toc, err);
    return code;
}

/* What is at work while entries are read. */
struct parser {
    struct input *in;
    struct arena *arena;
    const struct toc *toc;
    bool is_second;
    uint64_t left_out;
    int32_t *ids; /* dependencies of the entry at hand */
    size_t id_count, id_capacity;
};

static enum errc parse_ids(struct parser *p, struct entry *entry, struct error *err)
{
    int64_t dump_id, had_dumper;
    uint64_t ignored, oid;
    enum errc code = input_int_between(p->in, 1, INT32_MAX, "dump id", &dump_id, err);
    if (code == RR_OK)
        code = input_int_between(p->in, 0, 1, "the mark of entries with data", &had_dumper, err);
    if (code == RR_OK)
        code = parse_decimal(p->in, "catalog oid", UINT32_MAX, &ignored, NULL, err);
    if (code == RR_OK)
        code = parse_decimal(p->in, "oid", UINT32_MAX, &oid, NULL, err);
    if (code)
        return code;
    entry->dump_id = (int32_t)dump_id;
    entry->has_data = had_dumper;
    entry->oid = (uint32_t)oid;
    return RR_OK;
}

static enum errc parse_kind(struct parser *p, struct entry *entry, struct error *err)
{
    char name[SHORT_TEXT_BYTES];
    bool is_null;
    enum errc code = parse_short_text(p->in, "type of entry", name, &is_null, err);
    if (code)
        return code;
    entry->kind = entry_kind_from_name(name);
    if (entry->kind == ENTRY_KIND_COUNT) {
        STR_GUARD struct str quoted = STR_INIT(256);
        str_append_quoted(&quoted, name, SHORT_TEXT_BYTES);
        error_set(err, ERR_ARCHIVE_UNSUPPORTED, "unknown type of entry %s", str_text(&quoted));
        return error_hint(err, "a newer release of this program may know it");
    }
    int64_t section;
    code = input_int_between(p->in, SECTION_NONE, SECTION_POST_DATA, "section", &section, err);
    if (code == RR_OK)
        entry->section = (enum section)section;
    return code;
}

/* The texts of statistics can be longer than the rest of the table, and the load does without them. */
static enum errc leave_definition_out(struct parser *p, struct entry *entry, struct error *err)
{
    entry->definition = "";
    if (p->is_second)
        return RR_OK;
    int64_t length;
    enum errc code = text_length(p->in, &length, err);
    if (code || length < 0)
        return code ? code : input_corrupt(p->in, err, "statistics without a definition");
    p->left_out += INPUT_INT_BYTES + (uint64_t)length;
    return input_skip(p->in, (uint64_t)length, err);
}

static enum errc parse_statements(struct parser *p, struct entry *entry, struct error *err)
{
    enum errc code = entry->kind == ENTRY_STATISTICS_DATA
                         ? leave_definition_out(p, entry, err)
                         : parse_text(p->in, p->arena, &entry->definition, err);
    if (code == RR_OK)
        code = parse_text(p->in, p->arena, &entry->drop_statement, err);
    if (code == RR_OK)
        code = parse_text(p->in, p->arena, &entry->copy_statement, err);
    return code;
}

static enum errc parse_relkind(struct parser *p, struct entry *entry, struct error *err)
{
    int64_t relkind;
    enum errc code = input_int_between(p->in, 0, 'z', "relkind", &relkind, err);
    if (code)
        return code;
    if (relkind && !strchr("rpvmf", (int)relkind))
        return input_corrupt(p->in, err, "relkind is %lld", (long long)relkind);
    entry->relkind = (char)relkind;
    return RR_OK;
}

static enum errc parse_with_oids(struct parser *p, struct error *err)
{
    char text[SHORT_TEXT_BYTES];
    bool is_null;
    enum errc code = parse_short_text(p->in, "mark of tables with oids", text, &is_null, err);
    if (code)
        return code;
    if (strcmp(text, "false") == 0)
        return RR_OK;
    if (strcmp(text, "true") != 0)
        return input_corrupt(p->in, err, "mark of tables with oids is neither true nor false");
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "a table WITH OIDS, which PostgreSQL 12 and later do not have");
    return error_hint(err, "ALTER TABLE ... SET WITHOUT OIDS in the dumped database, then dump it again");
}

static enum errc parse_storage(struct parser *p, struct entry *entry, struct error *err)
{
    enum errc code = parse_text(p->in, p->arena, &entry->schema, err);
    if (code == RR_OK)
        code = parse_text(p->in, p->arena, &entry->tablespace, err);
    if (code == RR_OK && p->toc->minor >= MINOR_TABLE_ACCESS_METHOD)
        code = parse_text(p->in, p->arena, &entry->table_access_method, err);
    if (code == RR_OK && p->toc->minor >= MINOR_RELKIND)
        code = parse_relkind(p, entry, err);
    if (code == RR_OK)
        code = parse_text(p->in, p->arena, &entry->owner, err);
    if (code == RR_OK)
        code = parse_with_oids(p, err);
    return code;
}

static void add_id(struct parser *p, int32_t id)
{
    if (p->id_count == p->id_capacity) {
        p->id_capacity = p->id_capacity ? p->id_capacity * 2 : 64;
        p->ids = mem_resize(p->ids, p->id_capacity * sizeof p->ids[0]);
    }
    p->ids[p->id_count++] = id;
}

static int compare_ids(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* pg_dump repeats ids in one list; whoever counts dependencies must meet each once. */
static void keep_dependencies(struct parser *p, struct entry *entry)
{
    if (p->id_count == 0)
        return;
    qsort(p->ids, p->id_count, sizeof p->ids[0], compare_ids);
    size_t distinct = 1;
    for (size_t i = 1; i < p->id_count; i++)
        if (p->ids[i] != p->ids[distinct - 1])
            p->ids[distinct++] = p->ids[i];
    int32_t *kept = arena_array(p->arena, distinct, sizeof kept[0]);
    memcpy(kept, p->ids, distinct * sizeof kept[0]);
    entry->dependencies = kept;
    entry->dependency_count = distinct;
}

static enum errc parse_dependencies(struct parser *p, struct entry *entry, struct error *err)
{
    p->id_count = 0;
    for (;;) {
        uint64_t id;
        bool is_end;
        enum errc code = parse_decimal(p->in, "a dependency", INT32_MAX, &id, &is_end, err);
        if (code)
            return code;
        if (is_end)
            break;
        if (id == 0)
            return input_corrupt(p->in, err, "a dependency is 0");
        add_id(p, (int32_t)id);
    }
    keep_dependencies(p, entry);
    return RR_OK;
}

/* ReadOffset() */
static enum errc parse_offset(struct parser *p, struct entry *entry, struct error *err)
{
    unsigned state;
    unsigned char bytes[8] = {0};
    enum errc code = input_byte(p->in, &state, err);
    if (code == RR_OK)
        code = input_bytes(p->in, bytes, (size_t)p->toc->offset_size, err);
    if (code)
        return code;
    if (state < OFFSET_UNKNOWN || state > OFFSET_NO_DATA)
        return input_corrupt(p->in, err, "%u where the state of an offset is expected", state);
    entry->offset_state = (enum offset_state)state;
    if (state == OFFSET_SET)
        for (int i = 0; i < p->toc->offset_size; i++)
            entry->offset |= (uint64_t)bytes[i] << (8 * i);
    return RR_OK;
}

/* Fields that contradict each other: a table whose data would be left out must not look like a table without. */
static enum errc check_data(const struct parser *p, const struct entry *entry, struct error *err)
{
    bool may_have_data = entry->kind == ENTRY_TABLE_DATA || entry->kind == ENTRY_BLOBS;
    if (may_have_data != entry->has_data)
        return input_corrupt(p->in, err, "a %s entry %s data", entry_kind_name(entry->kind),
                             entry->has_data ? "with" : "without");
    if (entry->has_data == (entry->offset_state == OFFSET_NO_DATA))
        return input_corrupt(p->in, err, "the offset contradicts the mark of entries with data");
    if (entry->has_data && entry->section != SECTION_DATA)
        return input_corrupt(p->in, err, "data outside the data section");
    return RR_OK;
}

static enum errc parse_entry(struct parser *p, struct entry *entry, struct error *err)
{
    enum errc code = parse_ids(p, entry, err);
    if (code == RR_OK)
        code = parse_required_text(p->in, p->arena, "name of the entry", &entry->tag, err);
    if (code == RR_OK)
        code = parse_kind(p, entry, err);
    if (code == RR_OK)
        code = parse_statements(p, entry, err);
    if (code == RR_OK)
        code = parse_storage(p, entry, err);
    if (code == RR_OK)
        code = parse_dependencies(p, entry, err);
    if (code == RR_OK)
        code = parse_offset(p, entry, err);
    if (code == RR_OK)
        code = check_data(p, entry, err);
    return code;
}

/* Grows with what has been read, not with what the count claims. *ret_entries is the caller's to free. */
static enum errc parse_rows(struct parser *p, size_t count, struct entry **ret_entries, struct error *err)
{
    size_t capacity = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            *ret_entries = mem_resize(*ret_entries, capacity * sizeof(struct entry));
        }
        struct entry *entry = &(*ret_entries)[i];
        *entry = (struct entry){.position = i};
        if (parse_entry(p, entry, err))
            return error_wrap(err, "entry %zu of %zu", i + 1, count);
    }
    return RR_OK;
}

enum errc toc_parse_entries(struct input *in, bool is_second, struct arena *arena, struct toc *toc,
                            uint64_t *ret_left_out, struct error *err)
{
    /* pg_dump always writes ENCODING and its kin, so no entries means a damaged count. */
    int64_t count, most = (int64_t)(input_left(in) / ENTRY_MIN_BYTES);
    enum errc code = input_int_between(in, 1, most, "number of entries", &count, err);
    if (code)
        return code;
    struct parser parser = {.in = in, .arena = arena, .toc = toc, .is_second = is_second};
    struct entry *entries = NULL;
    code = parse_rows(&parser, (size_t)count, &entries, err);
    if (code == RR_OK) {
        toc->count = (size_t)count;
        toc->entries = arena_array(arena, toc->count, sizeof entries[0]);
        memcpy(toc->entries, entries, toc->count * sizeof entries[0]);
        *ret_left_out = parser.left_out;
    }
    free(entries);
    free(parser.ids);
    return code;
}
