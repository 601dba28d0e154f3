/*
 * needs - what an archive asks of the server that its own entries do not bring along. Pure.
 *
 * Names are taken from fields (owner, tablespace, access method, tag of an extension) and from the
 * texts that name roles: grants, default privileges, policies, user mappings. Those texts are read
 * word by word with quotes understood; a text that does not read like what pg_dump writes yields
 * nothing, because a finding that is wrong keeps somebody from restoring.
 */
#ifndef RR_RESTORE_NEEDS_H
#define RR_RESTORE_NEEDS_H

#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/restore/load.h"
#include "lib/restore/statements.h"

/* What only a superuser may create. X(enumerator, text for people, plural) */
#define POWER_TABLE(X)                                                                             \
    X(POWER_UNTRUSTED_FUNCTION, "functions in C or another untrusted language")                    \
    X(POWER_BASE_TYPE, "base types")                                                               \
    X(POWER_OPERATOR_CLASS, "operator classes and families")                                       \
    X(POWER_BINARY_CAST, "casts without a function")                                               \
    X(POWER_LANGUAGE, "procedural languages")                                                      \
    X(POWER_ACCESS_METHOD, "access methods")                                                       \
    X(POWER_TEXT_SEARCH, "text search parsers and templates")                                      \
    X(POWER_FOREIGN_DATA_WRAPPER, "foreign-data wrappers")                                         \
    X(POWER_EVENT_TRIGGER, "event triggers")                                                       \
    X(POWER_PUBLICATION, "publications of all tables or of whole schemas")                         \
    X(POWER_SYSTEM_GRANT, "grants on system objects")                                              \
    X(POWER_OTHERS_GRANT, "grants made by a role that does not own the object")

enum power {
#define X(enumerator, text) enumerator,
    POWER_TABLE(X)
#undef X
        POWER_COUNT
};

const char *power_text(enum power power);

/* A name that something needs. */
struct need {
    const char *name;
    const struct entry *first; /* that needs it */
    size_t count;              /* of entries */
    bool is_owner; /* roles: objects are given to it, or default privileges set for it */
};

/* Distinct names in order of first use. */
struct need_list {
    struct arena *arena;
    struct need *items;
    size_t count, capacity;
    uint32_t *slots; /* hash table of positions + 1 */
    size_t slot_count;
};

struct needs {
    struct need_list roles; /* named by texts; whether or not they own something too */
    struct need_list
        owners; /* of objects, or of default privileges: whom we must be able to act for */
    struct need_list tablespaces, extensions, access_methods;
    struct need powers[POWER_COUNT]; /* name unused; count 0: not needed */
    const struct entry *with_oids;   /* a table dumped WITH OIDS, NULL if there is none */
    bool brings_access_methods;      /* by itself or by an extension: those cannot be looked up */
};

/* Everything lives in the arena; names are as the archive spells them, in its encoding. */
void needs_collect(struct needs *needs, const struct toc *toc,
                   const struct archive_settings *settings, const struct load_options *options,
                   struct arena *arena);

#endif
