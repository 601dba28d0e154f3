/*
 * statements - the SQL that one entry of an archive asks for. Pure: text in, text out.
 *
 * What pg_restore does with an entry stands in src/bin/pg_dump/pg_backup_archiver.c
 * (restore_toc_entry, _printTocEntry, _doSetFixedOutputState). A definition is the archive's own
 * program and runs as it is, one string at a time. Everything with a fixed grammar (settings, COPY
 * statements, large object numbers) is parsed and built anew, never run as found:
 * ERR_ARCHIVE_CORRUPT when it is anything else. Names that we put into SQL come from the entry's
 * own fields and are quoted. All texts live in the arena given.
 */
#ifndef RR_RESTORE_STATEMENTS_H
#define RR_RESTORE_STATEMENTS_H

#include <stdint.h>

#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

/* What the archive's settings entries say about every session. */
struct archive_settings {
    const char *encoding;      /* client_encoding of all texts and data, pg_dump's spelling */
    bool has_standard_strings; /* standard_conforming_strings */
    bool has_search_path;      /* names are qualified, search_path is empty (archives since 1.13) */
};

/* Reads ENCODING, STDSTRINGS and SEARCHPATH, which are accepted in pg_dump's own wording only.
 * Texts in the arena. */
enum errc settings_parse(const struct toc *toc, struct arena *arena,
                         struct archive_settings *ret_settings, struct error *err) RR_MUST_CHECK;

/* One string that gives a new session the settings of pg_restore and ours. `role`: NULL or the role
 * to work as. */
char *settings_sql(struct arena *arena, const struct archive_settings *settings, const char *role);

/* For people, in errors and results: `TABLE 'public'.'t' (entry 12)`. */
char *entry_title(struct arena *arena, const struct entry *entry);

/* "schema"."tag" of an entry. */
char *entry_qualified(struct arena *arena, const struct entry *entry);

/* Whether the definition holds SQL at all: it is neither empty nor comments alone. */
bool entry_has_sql(const struct entry *entry);

/* Whether COPY data go to the root of a partition tree rather than to the entry's own table. */
bool entry_is_root_load(const struct entry *entry);

/* Whether the definition ends in NOT VALID: a constraint that the source never checked. */
bool entry_is_not_valid(const struct entry *entry, const struct archive_settings *settings);

/* Whether ALTER ... OWNER TO is due for the entry: it has an owner, and is of a kind that can be
 * owned. */
bool entry_has_owner(const struct entry *entry);

/* ALTER ... OWNER TO ... for an entry with entry_has_owner() that is no BLOB METADATA. */
enum errc owner_sql(struct arena *arena, const struct entry *entry, char **ret_sql,
                    struct error *err) RR_MUST_CHECK;

/* ALTER TABLE ... SET ACCESS METHOD for a partitioned table that asks for one, else NULL. */
char *partitioned_access_method_sql(struct arena *arena, const struct entry *entry);

/* A COPY statement taken apart. */
struct copy_target {
    const char *schema; /* NULL: not qualified (archives before 1.13) */
    const char *table;
    const char *const *columns; /* NULL when there is no list */
    size_t column_count;
};

/* ERR_ARCHIVE_CORRUPT when the text is anything but `COPY name [(columns)] FROM stdin;`;
 * ERR_ARCHIVE_UNSUPPORTED for WITH OIDS. */
enum errc copy_parse(struct arena *arena, const struct entry *entry, struct copy_target *ret_target,
                     struct error *err) RR_MUST_CHECK;
/* The statement for the server. */
char *copy_sql(struct arena *arena, const struct copy_target *target, bool is_frozen);

/* The object numbers that a BLOB entry (its tag) or a BLOB METADATA entry (its lines) creates. */
enum errc blob_numbers(struct arena *arena, const struct entry *entry, const uint32_t **ret_oids,
                       size_t *ret_count, struct error *err) RR_MUST_CHECK;

/* An `ACL LARGE OBJECTS` entry holds the grants of one object: the same text with another object's
 * number in every place. ERR_ARCHIVE_CORRUPT when it has no such place. */
enum errc blob_grants_sql(struct arena *arena, const struct entry *entry, uint32_t oid,
                          char **ret_sql, struct error *err) RR_MUST_CHECK;

/* Extension name and text of a COMMENT ON EXTENSION; *ret_extension NULL when the entry is anything
 * else. *ret_text NULL: the comment is removed, or could not be read. */
void extension_comment_parse(struct arena *arena, const struct entry *entry,
                             const struct archive_settings *settings, const char **ret_extension,
                             const char **ret_text);

#endif
