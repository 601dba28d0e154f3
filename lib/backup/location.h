/*
 * location - where backups or one archive are: an URL of the configuration, parsed.
 *
 *   s3://bucket/prefix/   file:///path/   file://relative is refused   /path (commands only)
 *
 * A location is either a folder (of the catalogue) or one object; the text is the same, and a
 * folder may be written with or without its last slash. The part of s3:// behind the bucket is
 * taken literally, as Amazon's tools do; that of file:// is percent-decoded (RFC 8089). gs://,
 * az:// and https:// are known words that are refused by name until they are built.
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

/* Strings live in the arena. Credentials inside the URL, query and fragment are refused.
 * ERR_CONFIG; ERR_UNSUPPORTED for the known words. What may hold a secret is not repeated in the
 * error. */
enum errc location_parse(struct arena *arena, const char *url, struct location *ret_location,
                         struct error *err) RR_MUST_CHECK;

/* A copy whose strings live in the arena. */
struct location location_copy(struct arena *arena, const struct location *location);

/* Whether it is written as a folder: with a slash at its end. */
bool location_is_folder(const struct location *location);

/* The object `name` below the folder, one slash in between. Any name is taken as it is. */
struct location location_join(struct arena *arena, const struct location *folder, const char *name);

#endif
