/*
 * catalog - which backups there are, and which one a timestamp means.
 *
 * A backup's instant is read out of its name with a strptime pattern (pattern.h says which subset;
 * a pattern without zone means UTC), never guessed from modification times. The pattern must match
 * the whole name below the location's folder; slashes in it are sub-folders. Names that do not
 * match are not backups. A pattern that ends with a slash is that of folders: a backup is then all
 * objects in one (pg_dump's directory format). Two names for one instant are ambiguous when that
 * instant is asked for. Listing is paginated and bounded (LIMIT_LIST_OBJECTS).
 */
#ifndef RR_BACKUP_CATALOG_H
#define RR_BACKUP_CATALOG_H

#include <stdint.h>

#include "lib/backup/location.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/source.h"
#include "lib/codec/rfc3339.h"

struct cancel;

enum catalog_select { CATALOG_EXACT, CATALOG_AT_OR_BEFORE };

struct catalog_options {
    struct location location; /* a folder, with or without its last slash */
    const char *name_pattern;
    enum catalog_select select;
    uint64_t max_age_s;          /* CATALOG_AT_OR_BEFORE: how much older than desired; 0: any */
    const struct cancel *cancel; /* may be NULL */
};

struct backup {
    struct instant taken_at;
    const char *name;       /* below the location */
    const char *url;        /* s3://bucket/key or file:///path */
    struct location object; /* for backup_open(); its url is the one above */
    uint64_t size_bytes;    /* 0 of a folder: nobody has added it up */
};

/* Checks a pattern offline: ERR_CONFIG for unknown directives, no day named ... (pattern.h). */
enum errc catalog_check_pattern(const char *pattern, struct error *err) RR_MUST_CHECK;

/* All backups whose name matches, oldest first, in the arena. An empty list is a success. */
enum errc catalog_list(const struct catalog_options *options, struct arena *arena,
                       struct backup **ret_backups, size_t *ret_count,
                       struct error *err) RR_MUST_CHECK;

/* The backup that `desired` means. ERR_BACKUP_NOT_FOUND names the neighbours before and after;
 * ERR_BACKUP_AMBIGUOUS; ERR_BACKUP_TOO_OLD. Only names that can be meant are listed where the
 * pattern tells how they begin; all of them when that finds nothing, so that the neighbours can be
 * named. */
enum errc catalog_select(const struct catalog_options *options, struct instant desired,
                         struct arena *arena, struct backup *ret_backup,
                         struct error *err) RR_MUST_CHECK;

/* What is known about a backup's integrity before it is read. */
struct backup_checksum {
    bool is_known;
    const char *kind;   /* "SHA256" ...: digest_name(); in the arena */
    const char *value;  /* lower-case hexadecimal (side file) or base64 (store) */
    const char *origin; /* "NAME.sha256" or "x-amz-checksum-sha256" */
    bool is_hex;        /* how `value` is written */
    /* Of a multipart upload whose value ("...-3") is the digest of its parts' digests: their sizes,
     * in the arena. Count 0: the value is that of the whole object. */
    const uint64_t *part_bytes;
    size_t part_count;
};

/* Opens the object for ranged reads, pinned to its identity as of now. Of a folder (a path that
 * ends with a slash, or a folder of files) all objects are opened, as the parts of one source, each
 * pinned to its own identity. Caller: source_free(). The
 * CA file for TLS and credentials come from the environment (AWS_CA_BUNDLE, SSL_CERT_FILE,
 * AWS_ACCESS_KEY_ID ...). ERR_BACKUP_NOT_FOUND, ERR_OBJECT_STORE_DENIED, ERR_CREDENTIALS ... */
enum errc backup_open(const struct location *object, const struct cancel *cancel,
                      struct source **ret_source, struct error *err) RR_MUST_CHECK;

/* Looks for NAME.sha256 beside the object, then for a checksum that the store keeps with it. A side
 * file that is there but malformed is ERR_CHECKSUM: a check that was meant cannot be left out. */
enum errc backup_find_checksum(const struct location *object, const struct cancel *cancel,
                               struct arena *arena, struct backup_checksum *ret_checksum,
                               struct error *err) RR_MUST_CHECK;

/* Reads the whole object once and compares. ERR_CHECKSUM when it differs. `cancel` may be NULL.
 * Safe to run in a thread of its own beside a load of the same source. */
enum errc backup_verify_checksum(const struct source *source,
                                 const struct backup_checksum *checksum,
                                 const struct cancel *cancel, struct error *err) RR_MUST_CHECK;

#endif
