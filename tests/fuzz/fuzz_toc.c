/* Header and table of contents from any bytes: an error, or a table whose every part can be used.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/archive/toc.h"

static void check_entry(const struct toc *toc, const struct entry *entry)
{
    if (toc_find(toc, entry->dump_id) != entry || !entry->tag)
        abort();
    const char *texts[] = {
        entry->tag,    entry->definition, entry->drop_statement,      entry->copy_statement,
        entry->schema, entry->tablespace, entry->table_access_method, entry->owner};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] && strlen(texts[i]) > 1 << 20)
            abort();
    for (size_t i = 1; i < entry->dependency_count; i++)
        if (entry->dependencies[i - 1] >= entry->dependencies[i])
            abort();
    bool is_set = entry->offset_state == OFFSET_SET;
    if (entry->has_data == (entry->offset_state == OFFSET_NO_DATA) || (!is_set && entry->offset) ||
        (is_set && (entry->offset < toc->data_begin || entry->offset >= toc->data_end)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    ARENA_GUARD struct arena arena = {0};
    struct toc toc;
    struct error err = ERROR_INIT;
    if (toc_parse(bytes, length, length, &arena, &toc, &err)) {
        if (err.code != ERR_ARCHIVE_CORRUPT && err.code != ERR_ARCHIVE_UNSUPPORTED)
            abort();
        return 0;
    }
    if (toc.data_begin > toc.data_end || toc.data_end > length || toc.count == 0)
        abort();
    for (size_t i = 0; i < toc.count; i++)
        check_entry(&toc, &toc.entries[i]);
    if (toc_check_cycles(&toc, &err) && err.code != ERR_ARCHIVE_CORRUPT)
        abort();
    return 0;
}
