/*
 * pattern - how a backup's name tells its time: a strict subset of strptime.
 *
 *   %Y four digits   %m %d %H %M %S two digits   %j day of the year, three digits
 *   %s seconds since 1970   %z Z, +hh, +hhmm or +hh:mm   %F = %Y-%m-%d   %T = %H:%M:%S   %% a
 * percent sign
 *
 * Digit counts are exact, dates must exist, blanks mean themselves, and a directive that stands
 * twice must say the same both times ("%Y/%m/%d/db-%F.dump"). A pattern that ends with a slash is
 * that of folders, and so are the names that match it. Without %z or %s a time is UTC. What
 * is finer than the pattern says is zero. Pure; no memory of its own.
 */
#ifndef RR_BACKUP_PATTERN_H
#define RR_BACKUP_PATTERN_H

#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/rfc3339.h"

/* A directive, or the text between two of them (which may hold slashes). */
struct pattern_item {
    char directive; /* 'Y' ..., 0: literal text */
    const char *text;
    size_t length;
};

struct pattern {
    struct pattern_item items[LIMIT_PATTERN_ITEMS];
    size_t count;
    size_t folder_count; /* slashes: how many sub-folders a name has */
    bool is_folder;      /* ends with a slash: a backup is a folder of objects */
};

/* Literals point into `text`, which must outlive the pattern. ERR_CONFIG for unknown directives,
 * for a pattern that does not name a day (%Y with %m and %d or %j, or %s), that leaves out a unit
 * between two others, whose directives cannot be told apart (digits right after %s or %z), or that
 * leads out of the folder. */
enum errc pattern_parse(const char *text, struct pattern *ret_pattern,
                        struct error *err) RR_MUST_CHECK;

/* Whether the whole name matches, and then which instant it names. */
bool pattern_match(const struct pattern *pattern, const char *name, struct instant *ret_instant);

/* Whether names below the sub-folder `name` (which ends with a slash) could match. It is no match
 * itself then. */
bool pattern_match_folder(const struct pattern *pattern, const char *name);

/* Appends the text with which every matching name of an instant in [from, to] begins: as long as it
 * can be told. With from = to and no %z that is the whole name. */
void pattern_prefix(const struct pattern *pattern, struct instant from, struct instant to,
                    struct str *prefix);

/* Appends the text before the first directive. */
void pattern_literal_prefix(const struct pattern *pattern, struct str *prefix);

#endif
