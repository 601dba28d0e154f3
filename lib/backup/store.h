/*
 * store - what every kind of location offers to the rest of this room: a listing, a source, and
 * what is known about integrity. One table per kind; a new kind of store is a new table.
 */
#ifndef RR_BACKUP_STORE_H
#define RR_BACKUP_STORE_H

#include <stdint.h>

#include "lib/backup/catalog.h"
#include "lib/backup/location.h"
#include "lib/backup/pattern.h"
#include "lib/base/str.h"

struct cancel;

/* One line of a listing. */
struct store_object {
    const char *name; /* below the folder; of a folder with a slash at its end */
    uint64_t size_bytes;
    const char *etag; /* "" where the store tells none */
};

/* What a listing looks for and whom it tells. */
struct store_listing {
    const struct location *folder;
    /* Sub-folders that it cannot match need not be looked into. Where it is one of folders
     * (is_folder), folders as deep as it says are told, and nothing else. */
    const struct pattern *pattern;
    const char *prefix;          /* only names that begin with it, "" for all */
    const struct cancel *cancel; /* may be NULL */
    /* Called for each object, in no certain order. May be called for names that do not match the
     * pattern. An error ends the listing. */
    enum errc (*found)(void *context, const struct store_object *object, struct error *err);
    void *context;
};

struct store_ops {
    /* ERR_LOCATION_MISSING when there is no such folder or bucket. */
    enum errc (*list)(const struct store_listing *listing, struct error *err);
    /* One object, or where the path ends with a slash (or is a folder of files) all that are in it,
     * as the parts of one source. */
    enum errc (*open)(const struct location *object, const struct cancel *cancel,
                      struct source **ret_source, struct error *err);
    /* Reads a whole small object, up to the limit of `ret_text`. Not there is an answer, not an
     * error. */
    enum errc (*fetch_small)(const struct location *object, const struct cancel *cancel,
                             struct str *ret_text, bool *ret_is_there, struct error *err);
    /* The checksum that the store itself keeps. NULL: stores of this kind keep none. */
    enum errc (*stored_checksum)(const struct location *object, const struct cancel *cancel,
                                 struct arena *arena, struct backup_checksum *ret_checksum,
                                 struct error *err);
};

extern const struct store_ops store_file, store_s3;

const struct store_ops *store_of(enum location_kind kind);

#endif
