/*
 * location - where backups or one archive are: an URL of the configuration, parsed.
 *
 *   s3://bucket/prefix/   file:///path/   file://relative is refused   /path (commands only)
 *
 * gs://, az:// and https:// are known words that are refused by name until they are built.
 */
#ifndef RR_BACKUP_LOCATION_H
#define RR_BACKUP_LOCATION_H

#include "lib/base/arena.h"
#include "lib/base/error.h"

enum location_kind { LOCATION_FILE, LOCATION_S3 };

struct location {
    enum location_kind kind;
    const char *bucket; /* S3: bucket name; file: "" */
    const char *path;   /* S3: key or prefix without leading slash; file: absolute path */
    const char *url;    /* as it is shown to people, without secrets */
};

/* Strings live in the arena. Credentials inside the URL, query and fragment are refused. ERR_CONFIG. */
enum errc location_parse(struct arena *arena, const char *url, struct location *ret_location,
                         struct error *err) RR_MUST_CHECK;

#endif
