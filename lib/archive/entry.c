#include "lib/archive/entry.h"

#include <string.h>

static const char *const kind_names[] = {
#define X(enumerator, desc, section) [enumerator] = desc,
    ENTRY_KIND_TABLE(X)
#undef X
};

const char *entry_kind_name(enum entry_kind kind)
{
    return kind < ENTRY_KIND_COUNT ? kind_names[kind] : "(unknown)";
}

enum entry_kind entry_kind_from_name(const char *name)
{
    for (int kind = 0; kind < ENTRY_KIND_COUNT; kind++)
        if (strcmp(kind_names[kind], name) == 0)
            return (enum entry_kind)kind;
    return ENTRY_KIND_COUNT;
}
