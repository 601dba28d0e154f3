/*
 * pg_dump writes the table of contents in front of the data before it knows where the blocks will
 * be, and again, in the same place, when it does (_CloseArchive() in
 * src/bin/pg_dump/pg_backup_custom.c). Where it cannot seek the offsets stay unknown. Where it
 * believes it can but the file appends (newer versions set standard output so: `pg_dump -Fc >
 * file`), the second table lands behind the last block. So three kinds of archive are met: offsets
 * in front; offsets in a second table at the end; no offsets.
 */
#include "lib/archive/toc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/archive/files.h"
#include "lib/archive/framing.h"
#include "lib/archive/input.h"
#include "lib/archive/members.h"
#include "lib/archive/tar.h"
#include "lib/archive/toc_entries.h"
#include "lib/archive/toc_header.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

enum { CYCLE_NAMES = 4 }; /* that an error text tells */

/* The headers of a tar lie far apart where it is worth being careful. */
static const size_t header_read_bytes = 64 * LIMIT_KIB;

struct toc_index {
    int32_t dump_id;
    uint32_t position;
};

static int compare_index(const void *a, const void *b)
{
    const int32_t x = ((const struct toc_index *)a)->dump_id,
                  y = ((const struct toc_index *)b)->dump_id;
    return (x > y) - (x < y);
}

/* Sorted, not hashed: ids are foreign, and no choice of them makes a search slow. */
static enum errc build_index(struct toc *toc, struct arena *arena, struct error *err)
{
    struct toc_index *index = arena_array(arena, toc->count, sizeof index[0]);
    for (size_t i = 0; i < toc->count; i++)
        index[i] = (struct toc_index){toc->entries[i].dump_id, (uint32_t)i};
    qsort(index, toc->count, sizeof index[0], compare_index);
    for (size_t i = 1; i < toc->count; i++)
        if (index[i].dump_id == index[i - 1].dump_id)
            return error_set(err, ERR_ARCHIVE_CORRUPT, "two entries have the dump id %d",
                             (int)index[i].dump_id);
    toc->index = index;
    return RR_OK;
}

struct entry *toc_find(const struct toc *toc, int32_t dump_id)
{
    struct toc_index key = {.dump_id = dump_id};
    const struct toc_index *found =
        bsearch(&key, toc->index, toc->count, sizeof key, compare_index);
    return found ? &toc->entries[found->position] : NULL;
}

static void count_offsets(const struct toc *toc, size_t *ret_known, size_t *ret_unknown)
{
    *ret_known = *ret_unknown = 0;
    for (size_t i = 0; i < toc->count; i++) {
        *ret_known += toc->entries[i].offset_state == OFFSET_SET;
        *ret_unknown += toc->entries[i].offset_state == OFFSET_UNKNOWN;
    }
}

static bool same_entry(const struct entry *a, const struct entry *b)
{
    return a->dump_id == b->dump_id && a->kind == b->kind && a->section == b->section &&
           a->has_data == b->has_data && a->oid == b->oid && a->relkind == b->relkind &&
           text_equal(a->tag, b->tag) && text_equal(a->definition, b->definition) &&
           text_equal(a->drop_statement, b->drop_statement) &&
           text_equal(a->copy_statement, b->copy_statement) && text_equal(a->schema, b->schema) &&
           text_equal(a->tablespace, b->tablespace) &&
           text_equal(a->table_access_method, b->table_access_method) &&
           text_equal(a->owner, b->owner) && a->dependency_count == b->dependency_count &&
           (a->dependency_count == 0 ||
            memcmp(a->dependencies, b->dependencies,
                   a->dependency_count * sizeof a->dependencies[0]) == 0);
}

static bool same_entries(const struct toc *a, const struct toc *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_entry(&a->entries[i], &b->entries[i]))
            return false;
    return true;
}

/* If `in` holds, up to its end, the table of `toc` once more with all offsets, takes these. */
static enum errc try_second(struct input *in, struct toc *toc, struct error *err)
{
    ARENA_GUARD struct arena scratch = {0};
    struct toc second = *toc;
    uint64_t begin = in->position, ignored;
    struct error why = ERROR_INIT;
    enum errc code = toc_entries_parse(in, true, &scratch, &second, &ignored, &why);
    if (code == ERR_ARCHIVE_CORRUPT || code == ERR_ARCHIVE_UNSUPPORTED)
        return RR_OK; /* these bytes are something else */
    if (code) {
        *err = why;
        return code;
    }
    size_t known, unknown;
    count_offsets(&second, &known, &unknown);
    if (unknown || input_left(in) || !same_entries(toc, &second))
        return RR_OK;
    for (size_t i = 0; i < toc->count; i++) {
        toc->entries[i].offset = second.entries[i].offset;
        toc->entries[i].offset_state = second.entries[i].offset_state;
    }
    toc->data_end = begin;
    return RR_OK;
}

/* Blocks must lie behind the table; blocks_locate() checks how they lie to each other. */
static enum errc check_offsets(const struct toc *toc, struct error *err)
{
    for (size_t i = 0; i < toc->count; i++) {
        const struct entry *entry = &toc->entries[i];
        if (entry->offset_state == OFFSET_SET &&
            (entry->offset < toc->data_begin || entry->offset > toc->data_end ||
             toc->data_end - entry->offset < BLOCK_MIN_BYTES))
            return error_set(err, ERR_ARCHIVE_CORRUPT,
                             "the data of entry %d are said to begin at byte %llu, but data lie "
                             "between bytes %llu and %llu",
                             (int)entry->dump_id, (unsigned long long)entry->offset,
                             (unsigned long long)toc->data_begin,
                             (unsigned long long)toc->data_end);
    }
    return RR_OK;
}

/* Header and entries; what is behind them is the rest of `total_bytes`. */
static enum errc parse_first(struct input *in, uint64_t total_bytes, struct arena *arena,
                             struct toc *toc, uint64_t *ret_second_bytes, struct error *err)
{
    enum errc code = toc_header_parse(in, arena, toc, err);
    if (code)
        return code;
    uint64_t begin = in->position, left_out;
    code = toc_entries_parse(in, false, arena, toc, &left_out, err);
    if (code == RR_OK)
        code = build_index(toc, arena, err);
    if (code)
        return code;
    toc->data_begin = in->position;
    toc->data_end = total_bytes;
    *ret_second_bytes = toc->data_begin - begin - left_out;
    return RR_OK;
}

/* `in` stands at the first byte and holds or reads all of the archive that may be looked at. */
static enum errc parse_all(struct input *in, uint64_t total_bytes, bool has_whole,
                           struct arena *arena, struct toc *ret_toc, struct error *err)
{
    struct toc toc = {0};
    uint64_t second_bytes;
    enum errc code = parse_first(in, total_bytes, arena, &toc, &second_bytes, err);
    if (code && in->is_short && total_bytes > LIMIT_TOC_BYTES) {
        error_recode(err, ERR_TOO_LARGE);
        return error_wrap(err, "longer than %zu MiB, or damaged", LIMIT_TOC_BYTES / LIMIT_MIB);
    }
    if (code)
        return code;
    size_t known, unknown;
    count_offsets(&toc, &known, &unknown);
    if (known == 0 && has_whole && total_bytes - toc.data_begin >= second_bytes) {
        input_move(in, total_bytes - second_bytes, total_bytes);
        code = try_second(in, &toc, err);
        count_offsets(&toc, &known, &unknown);
    }
    if (code == RR_OK)
        code = check_offsets(&toc, err);
    if (code)
        return code;
    toc.has_offsets = unknown == 0;
    *ret_toc = toc;
    return RR_OK;
}

/* All of toc.dat is the table of contents. */
static enum errc parse_file(struct input *in, enum archive_format format, struct arena *arena,
                            struct toc *ret_toc, struct error *err)
{
    struct toc toc = {.format = format};
    uint64_t ignored;
    enum errc code = parse_first(in, in->end, arena, &toc, &ignored, err);
    if (code == RR_OK && input_left(in))
        code = input_corrupt(in, err, "%llu bytes follow the last entry",
                             (unsigned long long)input_left(in));
    if (code)
        return code;
    if (format == FORMAT_TAR && toc.compression != COMPRESSION_NONE)
        return error_set(err, ERR_ARCHIVE_UNSUPPORTED, "a tar whose members are compressed");
    toc.has_offsets = true;
    *ret_toc = toc;
    return RR_OK;
}

static enum errc read_file(struct source_reader *reader, const struct members *members,
                           enum archive_format format, struct arena *arena, struct toc *ret_toc,
                           struct error *err)
{
    struct extent file;
    INPUT_GUARD struct input in = {0};
    STR_GUARD struct str text = STR_INIT(LIMIT_TOC_BYTES);
    enum errc code = files_take(members, format, "toc.dat", "the table of contents", &file, err);
    if (code)
        return code;
    if (file.bytes > LIMIT_TOC_BYTES)
        return error_set(err, ERR_TOO_LARGE, "longer than %zu MiB", LIMIT_TOC_BYTES / LIMIT_MIB);
    if (file.compression == COMPRESSION_NONE) {
        input_init(&in, reader, file.offset, file.offset + file.bytes, LIMIT_MIB);
    } else {
        if ((code = files_read_text(reader, &file, &text, err)))
            return code;
        input_init_memory(&in, text.data, text.length, text.length);
    }
    return parse_file(&in, format, arena, ret_toc, err);
}

/* The files are known: what they hold, and which is whose. */
static enum errc read_files(struct source_reader *reader, struct members *members,
                            enum archive_format format, struct arena *arena, struct toc *ret_toc,
                            struct error *err)
{
    if (members_sort(members, err))
        return err->code;
    if (read_file(reader, members, format, arena, ret_toc, err))
        return error_wrap(err, "table of contents");
    return files_assign(reader, members, arena, ret_toc, err);
}

/* `in` stands at the first header. */
static enum errc read_tar(struct input *in, struct arena *arena, struct toc *ret_toc,
                          struct error *err)
{
    ARENA_GUARD struct arena scratch = {0};
    struct members members = {0};
    input_move(in, 0, in->reader->source->size_bytes);
    in->first_read = header_read_bytes;
    if (tar_read_members(in, &scratch, &members, err) ||
        read_files(in->reader, &members, FORMAT_TAR, arena, ret_toc, err))
        return error_wrap(err, "archive in tar format");
    return RR_OK;
}

static enum errc read_directory(struct source_reader *reader, struct arena *arena,
                                struct toc *ret_toc, struct error *err)
{
    ARENA_GUARD struct arena scratch = {0};
    const struct source *source = reader->source;
    struct members members = {0};
    for (size_t i = 0; i < source->part_count; i++)
        if (members_add(&members, &scratch, source->parts[i].name, source->parts[i].begin,
                        source->parts[i].size_bytes, err))
            return err->code;
    if (read_files(reader, &members, FORMAT_DIRECTORY, arena, ret_toc, err))
        return error_wrap(err, "archive in directory format");
    return RR_OK;
}

static uint64_t first_end(uint64_t total_bytes)
{
    return total_bytes < LIMIT_TOC_BYTES ? total_bytes : LIMIT_TOC_BYTES;
}

enum errc toc_read(struct source_reader *reader, struct arena *arena, struct toc *ret_toc,
                   struct error *err)
{
    uint64_t total_bytes = reader->source->size_bytes;
    INPUT_GUARD struct input in = {0};
    bool is_tar;
    if (reader->source->part_count)
        return read_directory(reader, arena, ret_toc, err);
    input_init(&in, reader, 0, first_end(total_bytes), LIMIT_MIB);
    if (tar_is_tar(&in, &is_tar, err))
        return error_wrap(err, "the first bytes");
    if (is_tar)
        return read_tar(&in, arena, ret_toc, err);
    if (parse_all(&in, total_bytes, true, arena, ret_toc, err))
        return error_wrap(err, "table of contents");
    return RR_OK;
}

enum errc toc_parse(const void *bytes, size_t length, uint64_t total_bytes, struct arena *arena,
                    struct toc *ret_toc, struct error *err)
{
    INPUT_GUARD struct input in;
    input_init_memory(&in, bytes, length, first_end(total_bytes));
    if (parse_all(&in, total_bytes, length == total_bytes, arena, ret_toc, err))
        return error_wrap(err, "table of contents");
    return RR_OK;
}

int toc_server_major(const struct toc *toc)
{
    long major = toc->server_version ? strtol(toc->server_version, NULL, 10) : 0;
    return major > 0 && major < 1000 ? (int)major : 0;
}

/* A walk along dependencies, deep first; the entries on the way to the present one are a chain. */
struct walk {
    const struct toc *toc;
    uint8_t *state;  /* of each entry: one of the enum below */
    size_t *next;    /* of each entry on the chain: dependency to look at next */
    uint32_t *chain; /* positions */
    size_t length;
};

enum { WALK_NEW, WALK_ON_CHAIN, WALK_DONE };

static void name_entry(struct str *text, const struct entry *entry)
{
    str_printf(text, "%d %s ", (int)entry->dump_id, entry_kind_name(entry->kind));
    str_append_quoted(text, entry->tag, 60);
}

static enum errc report_cycle(const struct walk *walk, size_t begin, struct error *err)
{
    STR_GUARD struct str names = STR_INIT(ERROR_TEXT_SIZE);
    size_t count = walk->length - begin;
    for (size_t i = 0; i < count && i < CYCLE_NAMES; i++) {
        name_entry(&names, &walk->toc->entries[walk->chain[begin + i]]);
        str_append(&names, i + 1 < count ? ", " : "");
    }
    return error_set(err, ERR_ARCHIVE_CORRUPT, "%zu entries depend on each other in a circle: %s%s",
                     count, str_text(&names), count > CYCLE_NAMES ? "..." : "");
}

/* Puts the entry on the chain. */
static void enter(struct walk *walk, size_t position)
{
    walk->state[position] = WALK_ON_CHAIN;
    walk->next[position] = 0;
    walk->chain[walk->length++] = (uint32_t)position;
}

/* Follows everything that can be reached from the one entry on the chain. */
static enum errc follow(struct walk *walk, struct error *err)
{
    while (walk->length) {
        size_t position = walk->chain[walk->length - 1];
        const struct entry *entry = &walk->toc->entries[position];
        if (walk->next[position] == entry->dependency_count) {
            walk->state[position] = WALK_DONE;
            walk->length--;
            continue;
        }
        const struct entry *other =
            toc_find(walk->toc, entry->dependencies[walk->next[position]++]);
        if (!other || walk->state[other->position] == WALK_DONE)
            continue;
        if (walk->state[other->position] == WALK_ON_CHAIN) {
            size_t begin = walk->length - 1;
            while (walk->chain[begin] != other->position)
                begin--;
            return report_cycle(walk, begin, err);
        }
        enter(walk, other->position);
    }
    return RR_OK;
}

enum errc toc_check_cycles(const struct toc *toc, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct walk walk = {
        .toc = toc,
        .state = arena_array(&arena, toc->count, sizeof walk.state[0]),
        .next = arena_array(&arena, toc->count, sizeof walk.next[0]),
        .chain = arena_array(&arena, toc->count, sizeof walk.chain[0]),
    };
    for (size_t i = 0; i < toc->count; i++) {
        if (walk.state[i] != WALK_NEW)
            continue;
        enter(&walk, i);
        enum errc code = follow(&walk, err);
        if (code)
            return code;
    }
    return RR_OK;
}
