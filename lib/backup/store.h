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

/* What a listing looks for and whom it tells. */
struct store_listing {
    const struct location *folder;
    const struct pattern *pattern; /* sub-folders that it cannot match need not be looked into */
    const char *prefix;            /* only names that begin with it, "" for all */
    const struct cancel *cancel;   /* may be NULL */
    /* Called for each object, in no certain order, with its name below the folder. May be called
     * for names that do not match the pattern. An error ends the listing. */
    enum errc (*found)(void *context, const char *name, uint64_t size_bytes, struct error *err);
    void *context;
};

struct store_ops {
    /* ERR_LOCATION_MISSING when there is no such folder or bucket. */
    enum errc (*list)(const struct store_listing *listing, struct error *err);
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
