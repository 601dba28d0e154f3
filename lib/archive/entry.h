/*
 * entry - one row of an archive's table of contents, and what kind of thing it is.
 *
 * Names of kinds are pg_dump's own (`desc`), as its src/bin/pg_dump/pg_dump.c gives them. An
 * unknown one is refused while the table of contents is read.
 */
#ifndef RR_ARCHIVE_ENTRY_H
#define RR_ARCHIVE_ENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/codec/decompress.h"

/* X(enumerator, desc as pg_dump writes it, section it belongs to when the archive does not say) */
#define ENTRY_KIND_TABLE(X)                                                                        \
    X(ENTRY_ENCODING, "ENCODING", SECTION_PRE_DATA)                                                \
    X(ENTRY_STDSTRINGS, "STDSTRINGS", SECTION_PRE_DATA)                                            \
    X(ENTRY_SEARCHPATH, "SEARCHPATH", SECTION_PRE_DATA)                                            \
    X(ENTRY_DATABASE, "DATABASE", SECTION_PRE_DATA)                                                \
    X(ENTRY_DATABASE_PROPERTIES, "DATABASE PROPERTIES", SECTION_PRE_DATA)                          \
    X(ENTRY_SCHEMA, "SCHEMA", SECTION_PRE_DATA)                                                    \
    X(ENTRY_EXTENSION, "EXTENSION", SECTION_PRE_DATA)                                              \
    X(ENTRY_TYPE, "TYPE", SECTION_PRE_DATA)                                                        \
    X(ENTRY_SHELL_TYPE, "SHELL TYPE", SECTION_PRE_DATA)                                            \
    X(ENTRY_DOMAIN, "DOMAIN", SECTION_PRE_DATA)                                                    \
    X(ENTRY_FUNCTION, "FUNCTION", SECTION_PRE_DATA)                                                \
    X(ENTRY_PROCEDURE, "PROCEDURE", SECTION_PRE_DATA)                                              \
    X(ENTRY_AGGREGATE, "AGGREGATE", SECTION_PRE_DATA)                                              \
    X(ENTRY_OPERATOR, "OPERATOR", SECTION_PRE_DATA)                                                \
    X(ENTRY_OPERATOR_CLASS, "OPERATOR CLASS", SECTION_PRE_DATA)                                    \
    X(ENTRY_OPERATOR_FAMILY, "OPERATOR FAMILY", SECTION_PRE_DATA)                                  \
    X(ENTRY_CAST, "CAST", SECTION_PRE_DATA)                                                        \
    X(ENTRY_TRANSFORM, "TRANSFORM", SECTION_PRE_DATA)                                              \
    X(ENTRY_COLLATION, "COLLATION", SECTION_PRE_DATA)                                              \
    X(ENTRY_CONVERSION, "CONVERSION", SECTION_PRE_DATA)                                            \
    X(ENTRY_LANGUAGE, "PROCEDURAL LANGUAGE", SECTION_PRE_DATA)                                     \
    X(ENTRY_ACCESS_METHOD, "ACCESS METHOD", SECTION_PRE_DATA)                                      \
    X(ENTRY_TS_PARSER, "TEXT SEARCH PARSER", SECTION_PRE_DATA)                                     \
    X(ENTRY_TS_DICTIONARY, "TEXT SEARCH DICTIONARY", SECTION_PRE_DATA)                             \
    X(ENTRY_TS_TEMPLATE, "TEXT SEARCH TEMPLATE", SECTION_PRE_DATA)                                 \
    X(ENTRY_TS_CONFIGURATION, "TEXT SEARCH CONFIGURATION", SECTION_PRE_DATA)                       \
    X(ENTRY_FOREIGN_DATA_WRAPPER, "FOREIGN DATA WRAPPER", SECTION_PRE_DATA)                        \
    X(ENTRY_SERVER, "SERVER", SECTION_PRE_DATA)                                                    \
    X(ENTRY_USER_MAPPING, "USER MAPPING", SECTION_PRE_DATA)                                        \
    X(ENTRY_TABLE, "TABLE", SECTION_PRE_DATA)                                                      \
    X(ENTRY_FOREIGN_TABLE, "FOREIGN TABLE", SECTION_PRE_DATA)                                      \
    X(ENTRY_VIEW, "VIEW", SECTION_PRE_DATA)                                                        \
    X(ENTRY_MATERIALIZED_VIEW, "MATERIALIZED VIEW", SECTION_PRE_DATA)                              \
    X(ENTRY_SEQUENCE, "SEQUENCE", SECTION_PRE_DATA)                                                \
    X(ENTRY_SEQUENCE_OWNED_BY, "SEQUENCE OWNED BY", SECTION_PRE_DATA)                              \
    X(ENTRY_DEFAULT, "DEFAULT", SECTION_PRE_DATA)                                                  \
    X(ENTRY_TABLE_ATTACH, "TABLE ATTACH", SECTION_PRE_DATA)                                        \
    X(ENTRY_BLOB, "BLOB", SECTION_PRE_DATA)                                                        \
    X(ENTRY_TABLE_DATA, "TABLE DATA", SECTION_DATA)                                                \
    X(ENTRY_SEQUENCE_SET, "SEQUENCE SET", SECTION_DATA)                                            \
    X(ENTRY_BLOB_METADATA, "BLOB METADATA", SECTION_DATA)                                          \
    X(ENTRY_BLOBS, "BLOBS", SECTION_DATA)                                                          \
    X(ENTRY_STATISTICS_DATA, "STATISTICS DATA", SECTION_DATA)                                      \
    X(ENTRY_INDEX, "INDEX", SECTION_POST_DATA)                                                     \
    X(ENTRY_INDEX_ATTACH, "INDEX ATTACH", SECTION_POST_DATA)                                       \
    X(ENTRY_CONSTRAINT, "CONSTRAINT", SECTION_POST_DATA)                                           \
    X(ENTRY_FK_CONSTRAINT, "FK CONSTRAINT", SECTION_POST_DATA)                                     \
    X(ENTRY_CHECK_CONSTRAINT, "CHECK CONSTRAINT", SECTION_POST_DATA)                               \
    X(ENTRY_TRIGGER, "TRIGGER", SECTION_POST_DATA)                                                 \
    X(ENTRY_RULE, "RULE", SECTION_POST_DATA)                                                       \
    X(ENTRY_POLICY, "POLICY", SECTION_POST_DATA)                                                   \
    X(ENTRY_ROW_SECURITY, "ROW SECURITY", SECTION_POST_DATA)                                       \
    X(ENTRY_STATISTICS, "STATISTICS", SECTION_POST_DATA)                                           \
    X(ENTRY_PUBLICATION, "PUBLICATION", SECTION_POST_DATA)                                         \
    X(ENTRY_PUBLICATION_TABLE, "PUBLICATION TABLE", SECTION_POST_DATA)                             \
    X(ENTRY_PUBLICATION_SCHEMA, "PUBLICATION TABLES IN SCHEMA", SECTION_POST_DATA)                 \
    X(ENTRY_SUBSCRIPTION, "SUBSCRIPTION", SECTION_POST_DATA)                                       \
    X(ENTRY_SUBSCRIPTION_TABLE, "SUBSCRIPTION TABLE", SECTION_POST_DATA)                           \
    X(ENTRY_EVENT_TRIGGER, "EVENT TRIGGER", SECTION_POST_DATA)                                     \
    X(ENTRY_DEFAULT_ACL, "DEFAULT ACL", SECTION_POST_DATA)                                         \
    X(ENTRY_MATERIALIZED_VIEW_DATA, "MATERIALIZED VIEW DATA", SECTION_POST_DATA)                   \
    X(ENTRY_COMMENT, "COMMENT", SECTION_NONE)                                                      \
    X(ENTRY_ACL, "ACL", SECTION_NONE)                                                              \
    X(ENTRY_ACL_LANGUAGE, "ACL LANGUAGE", SECTION_NONE)                                            \
    X(ENTRY_SECURITY_LABEL, "SECURITY LABEL", SECTION_NONE)

enum section { SECTION_NONE = 1, SECTION_PRE_DATA, SECTION_DATA, SECTION_POST_DATA };

enum entry_kind {
#define X(enumerator, desc, section) enumerator,
    ENTRY_KIND_TABLE(X)
#undef X
        ENTRY_KIND_COUNT
};

/* One stream of data that lies in the archive without anything around it: the content of a tar
 * member, a file of the directory format. */
struct extent {
    uint64_t offset, bytes; /* in the source */
    uint32_t oid;           /* of the large object, 0 for a table */
    enum compression compression;
};

/* Where an entry's data is. */
enum offset_state { OFFSET_UNKNOWN = 1, OFFSET_SET = 2, OFFSET_NO_DATA = 3 };

/* Texts are terminated, hold no zero byte, live in the table's arena; NULL as in the archive. */
struct entry {
    int32_t dump_id;
    enum entry_kind kind;
    enum section section; /* as stored; SECTION_NONE belongs to the section of what precedes it */
    bool has_data;        /* there is a block for it: all TABLE DATA and BLOBS, no others */
    enum offset_state offset_state;
    uint64_t offset;      /* of the block's type byte, when OFFSET_SET, else 0 */
    uint64_t block_bytes; /* size of the data on disk, framing included; 0 while unknown */
    /* Tar and directory format: one for a table, one for each large object of a BLOBS entry. */
    const struct extent *extents;
    size_t extent_count;
    uint32_t oid;
    const char *tag, *definition, *drop_statement, *copy_statement;
    const char *schema, *tablespace, *table_access_method, *owner;
    char relkind;                /* 'r', 'p', 'v', 'm', 'f', or 0 */
    const int32_t *dependencies; /* distinct dump ids, ascending; some may not be in the archive */
    size_t dependency_count;
    size_t position; /* in toc.entries */
};

/* pg_dump's word for the kind. */
const char *entry_kind_name(enum entry_kind kind);
/* ENTRY_KIND_COUNT if unknown. */
enum entry_kind entry_kind_from_name(const char *name);

#endif
