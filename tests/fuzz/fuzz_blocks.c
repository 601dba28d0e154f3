/*
 * Blocks of data from any bytes, found and read as a load does. The first byte tells the
 * compression, and whether what follows is a whole archive or blocks for a table of contents that
 * is always the same: a table, large objects, a table.
 */
#include "tests/unit/archive/archive_check.h"

enum { ENTRIES = 3, WHOLE_ARCHIVE = 4 };

static void check_error(const struct error *err)
{
    if (err->code != ERR_ARCHIVE_CORRUPT && err->code != ERR_ARCHIVE_UNSUPPORTED)
        abort();
}

static void read_blocks(struct source_reader *reader, struct toc *toc, uint64_t length)
{
    struct error err = ERROR_INIT;
    if (blocks_locate(reader, toc, &err)) {
        check_error(&err);
        return;
    }
    uint64_t end = 0; /* the blocks must tile the input, and be found again by their offsets */
    for (size_t i = 0; i < toc->count; i++) {
        if (toc->entries[i].offset != end)
            abort();
        end += toc->entries[i].block_bytes;
    }
    if (end != length || !toc->has_offsets || blocks_locate(reader, toc, &err))
        abort();
    DATA_GUARD struct data_reader *data = NULL;
    struct whole whole = {.standard_strings = true};
    if (data_open(reader, toc, &data, &err))
        abort();
    for (size_t i = 0; i < toc->count; i++)
        if (take_entry(&whole, data, &toc->entries[i], &err)) {
            check_error(&err);
            error_clear(&err);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const enum compression compressions[] = {COMPRESSION_NONE, COMPRESSION_ZLIB,
                                                    COMPRESSION_LZ4, COMPRESSION_ZSTD};
    if (length == 0)
        return 0;
    struct error err = ERROR_INIT;
    if (bytes[0] & WHOLE_ARCHIVE) {
        struct whole whole = {0};
        if (read_whole_bytes(bytes + 1, length - 1, &whole, &err))
            check_error(&err);
        return 0;
    }
    struct entry entries[ENTRIES] = {
        {.dump_id = 1,
         .kind = ENTRY_TABLE_DATA,
         .tag = "t",
         .copy_statement = "COPY t FROM stdin;\n"},
        {.dump_id = 2, .kind = ENTRY_BLOBS, .tag = "BLOBS"},
        {.dump_id = 3, .kind = ENTRY_TABLE_DATA, .tag = "u"},
    };
    for (size_t i = 0; i < ENTRIES; i++) {
        entries[i].section = SECTION_DATA;
        entries[i].has_data = true;
        entries[i].offset_state = OFFSET_UNKNOWN;
        entries[i].position = i;
    }
    struct toc toc = {
        .compression = compressions[bytes[0] & 3], .entries = entries, .count = ENTRIES};
    toc.data_end = length - 1;
    SOURCE_GUARD struct source *source = source_from_memory(bytes + 1, length - 1, "fuzz");
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(source, NULL, &reader, &err))
        abort();
    read_blocks(reader, &toc, length - 1);
    return 0;
}
