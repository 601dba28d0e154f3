/*
 * The order of reading is that of ReadToc() in PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c,
 * where pg_restore believes what it reads; here every value has its range, because what is read
 * wrongly at this place is restored wrongly without a message.
 */
#include "lib/archive/toc_entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/archive/toc_text.h"
#include "lib/base/str.h"

enum {
    MINOR_TABLE_ACCESS_METHOD = 14,
    MINOR_RELKIND = 16,
    /* Fifteen numbers and lengths of 5 bytes each, and the offset: no entry is smaller. */
    ENTRY_MIN_BYTES = 80,
};

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
        code = toc_text_decimal(p->in, "catalog oid", UINT32_MAX, &ignored, NULL, err);
    if (code == RR_OK)
        code = toc_text_decimal(p->in, "oid", UINT32_MAX, &oid, NULL, err);
    if (code)
        return code;
    entry->dump_id = (int32_t)dump_id;
    entry->has_data = had_dumper;
    entry->oid = (uint32_t)oid;
    return RR_OK;
}

static enum errc parse_kind(struct parser *p, struct entry *entry, struct error *err)
{
    char name[TOC_TEXT_SHORT_BYTES];
    bool is_null;
    enum errc code = toc_text_short(p->in, "type of entry", name, &is_null, err);
    if (code)
        return code;
    entry->kind = entry_kind_from_name(name);
    if (entry->kind == ENTRY_KIND_COUNT) {
        STR_GUARD struct str quoted = STR_INIT(256);
        str_append_quoted(&quoted, name, TOC_TEXT_SHORT_BYTES);
        error_set(err, ERR_ARCHIVE_UNSUPPORTED, "unknown type of entry %s", str_text(&quoted));
        return error_hint(err, "a newer release of this program may know it");
    }
    int64_t section;
    code = input_int_between(p->in, SECTION_NONE, SECTION_POST_DATA, "section", &section, err);
    if (code == RR_OK)
        entry->section = (enum section)section;
    return code;
}

/* Texts of statistics can be longer than the rest of the table, and the load does without them. */
static enum errc leave_definition_out(struct parser *p, struct entry *entry, struct error *err)
{
    entry->definition = "";
    if (p->is_second)
        return RR_OK;
    int64_t length;
    enum errc code = toc_text_length(p->in, &length, err);
    if (code || length < 0)
        return code ? code : input_corrupt(p->in, err, "statistics without a definition");
    p->left_out += INPUT_INT_BYTES + (uint64_t)length;
    return input_skip(p->in, (uint64_t)length, err);
}

static enum errc parse_statements(struct parser *p, struct entry *entry, struct error *err)
{
    enum errc code = entry->kind == ENTRY_STATISTICS_DATA
                         ? leave_definition_out(p, entry, err)
                         : toc_text(p->in, p->arena, &entry->definition, err);
    if (code == RR_OK)
        code = toc_text(p->in, p->arena, &entry->drop_statement, err);
    if (code == RR_OK)
        code = toc_text(p->in, p->arena, &entry->copy_statement, err);
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
    char text[TOC_TEXT_SHORT_BYTES];
    bool is_null;
    enum errc code = toc_text_short(p->in, "mark of tables with oids", text, &is_null, err);
    if (code)
        return code;
    if (strcmp(text, "false") == 0)
        return RR_OK;
    if (strcmp(text, "true") != 0)
        return input_corrupt(p->in, err, "mark of tables with oids is neither true nor false");
    error_set(err, ERR_ARCHIVE_UNSUPPORTED,
              "a table WITH OIDS, which PostgreSQL 12 and later do not have");
    return error_hint(
        err, "ALTER TABLE ... SET WITHOUT OIDS in the dumped database, then dump it again");
}

static enum errc parse_storage(struct parser *p, struct entry *entry, struct error *err)
{
    enum errc code = toc_text(p->in, p->arena, &entry->schema, err);
    if (code == RR_OK)
        code = toc_text(p->in, p->arena, &entry->tablespace, err);
    if (code == RR_OK && p->toc->minor >= MINOR_TABLE_ACCESS_METHOD)
        code = toc_text(p->in, p->arena, &entry->table_access_method, err);
    if (code == RR_OK && p->toc->minor >= MINOR_RELKIND)
        code = parse_relkind(p, entry, err);
    if (code == RR_OK)
        code = toc_text(p->in, p->arena, &entry->owner, err);
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
        enum errc code = toc_text_decimal(p->in, "a dependency", INT32_MAX, &id, &is_end, err);
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

/* Fields that contradict each other: a table whose data would be left out must not look like a
 * table without. */
/* In tar and directory format: where the data are, as _ArchiveEntry() of pg_backup_tar.c and
 * pg_backup_directory.c name it. That of large objects is the name of their list, or of nothing. */
static enum errc parse_file_name(struct parser *p, struct entry *entry, struct error *err)
{
    char name[TOC_TEXT_SHORT_BYTES], own[TOC_TEXT_SHORT_BYTES];
    bool is_null;
    enum errc code = toc_text_short(p->in, "name of a file", name, &is_null, err);
    if (code)
        return code;
    snprintf(own, sizeof own, "%d.dat", (int)entry->dump_id);
    if (*name && entry->kind == ENTRY_TABLE_DATA && strcmp(name, own) != 0)
        return input_corrupt(p->in, err, "the data of entry %d are not in '%s'",
                             (int)entry->dump_id, own);
    entry->offset_state = *name ? OFFSET_UNKNOWN : OFFSET_NO_DATA;
    return RR_OK;
}

static enum errc check_data(const struct parser *p, const struct entry *entry, struct error *err)
{
    bool may_have_data = entry->kind == ENTRY_TABLE_DATA || entry->kind == ENTRY_BLOBS;
    if (may_have_data != entry->has_data)
        return input_corrupt(p->in, err, "a %s entry %s data", entry_kind_name(entry->kind),
                             entry->has_data ? "with" : "without");
    if (entry->has_data == (entry->offset_state == OFFSET_NO_DATA))
        return input_corrupt(p->in, err, "the place contradicts the mark of entries with data");
    if (entry->has_data && entry->section != SECTION_DATA)
        return input_corrupt(p->in, err, "data outside the data section");
    return RR_OK;
}

static enum errc parse_entry(struct parser *p, struct entry *entry, struct error *err)
{
    enum errc code = parse_ids(p, entry, err);
    if (code == RR_OK)
        code = toc_text_required(p->in, p->arena, "name of the entry", &entry->tag, err);
    if (code == RR_OK)
        code = parse_kind(p, entry, err);
    if (code == RR_OK)
        code = parse_statements(p, entry, err);
    if (code == RR_OK)
        code = parse_storage(p, entry, err);
    if (code == RR_OK)
        code = parse_dependencies(p, entry, err);
    if (code == RR_OK)
        code = p->toc->format == FORMAT_CUSTOM ? parse_offset(p, entry, err)
                                               : parse_file_name(p, entry, err);
    if (code == RR_OK)
        code = check_data(p, entry, err);
    return code;
}

/* Grows with what has been read, not with what the count claims. *ret_entries is the caller's to
 * free. */
static enum errc parse_rows(struct parser *p, size_t count, struct entry **ret_entries,
                            struct error *err)
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

enum errc toc_entries_parse(struct input *in, bool is_second, struct arena *arena, struct toc *toc,
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
