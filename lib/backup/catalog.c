#include "lib/backup/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backup/pattern.h"
#include "lib/backup/store.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

enum { SHOWN_BYTES = 120, QUOTED_SIZE = 512, DURATION_SIZE = 64 };

const struct store_ops *store_of(enum location_kind kind)
{
    switch (kind) {
    case LOCATION_S3:
        return &store_s3;
    case LOCATION_FILE:
        break;
    }
    return &store_file;
}

enum errc catalog_check_pattern(const char *pattern, struct error *err)
{
    struct pattern parsed;
    return pattern_parse(pattern, &parsed, err);
}

static struct backup make_backup(struct arena *arena, const struct location *folder,
                                 const char *name, uint64_t size_bytes, struct instant taken_at)
{
    struct location object = location_join(arena, folder, name);
    return (struct backup){
        .taken_at = taken_at,
        .name = object.path + strlen(object.path) - strlen(name), /* its end: lists are long */
        .url = object.url,
        .object = object,
        .size_bytes = size_bytes,
    };
}

/* ---- the whole list ---- */

struct collection {
    const struct location *folder;
    const struct pattern *pattern;
    struct arena *arena;
    struct backup *backups;
    size_t count, capacity;
};

/* Grows inside the arena: what it leaves behind is at most as much again. */
static void make_room(struct collection *collection)
{
    size_t capacity = collection->capacity ? 2 * collection->capacity : 64;
    struct backup *larger = arena_array(collection->arena, capacity, sizeof *larger);
    if (collection->count)
        memcpy(larger, collection->backups, collection->count * sizeof *larger);
    collection->backups = larger;
    collection->capacity = capacity;
}

static enum errc collect(void *context, const struct store_object *object, struct error *err)
{
    (void)err;
    struct collection *collection = context;
    struct instant taken_at;
    if (!pattern_match(collection->pattern, object->name, &taken_at))
        return RR_OK;
    if (collection->count == collection->capacity)
        make_room(collection);
    collection->backups[collection->count++] = make_backup(
        collection->arena, collection->folder, object->name, object->size_bytes, taken_at);
    return RR_OK;
}

static int oldest_first(const void *a, const void *b)
{
    const struct backup *x = a, *y = b;
    int order = instant_compare(x->taken_at, y->taken_at);
    return order ? order : strcmp(x->name, y->name);
}

enum errc catalog_list(const struct catalog_options *options, struct arena *arena,
                       struct backup **ret_backups, size_t *ret_count, struct error *err)
{
    struct pattern pattern;
    if (pattern_parse(options->name_pattern, &pattern, err))
        return err->code;
    STR_GUARD struct str prefix = STR_INIT(LIMIT_OBJECT_KEY_BYTES);
    pattern_literal_prefix(&pattern, &prefix);
    struct collection collection = {&options->location, &pattern, arena, .backups = NULL};
    struct store_listing listing = {
        .folder = &options->location,
        .pattern = &pattern,
        .prefix = str_text(&prefix),
        .cancel = options->cancel,
        .found = collect,
        .context = &collection,
    };
    if (store_of(options->location.kind)->list(&listing, err))
        return err->code;
    if (collection.count)
        qsort(collection.backups, collection.count, sizeof *collection.backups, oldest_first);
    *ret_backups = collection.backups;
    *ret_count = collection.count;
    return RR_OK;
}

/* ---- the choice ---- */

/* A name seen in a listing, copied out of it. */
struct candidate {
    struct instant taken_at;
    uint64_t size_bytes;
    struct str name;
    bool is_set;
};

/* What one listing says about one moment. */
struct choice {
    const struct pattern *pattern;
    struct instant desired;
    struct candidate before; /* the newest at or before desired */
    struct candidate twin;   /* another one of the same instant */
    struct candidate after;  /* the oldest after desired */
    struct str stranger;     /* some name that does not match */
    size_t seen_count;
};

static void choice_release(struct choice *choice)
{
    str_release(&choice->before.name);
    str_release(&choice->twin.name);
    str_release(&choice->after.name);
    str_release(&choice->stranger);
}
#define CHOICE_GUARD __attribute__((cleanup(choice_release)))

static void set_candidate(struct candidate *candidate, const char *name, uint64_t size_bytes,
                          struct instant taken_at)
{
    str_clear(&candidate->name);
    str_append(&candidate->name, name);
    candidate->size_bytes = size_bytes;
    candidate->taken_at = taken_at;
    candidate->is_set = true;
}

static enum errc consider(void *context, const struct store_object *object, struct error *err)
{
    (void)err;
    const char *name = object->name;
    const uint64_t size_bytes = object->size_bytes;
    struct choice *choice = context;
    struct candidate *before = &choice->before, *after = &choice->after;
    struct instant taken_at;
    choice->seen_count++;
    if (!pattern_match(choice->pattern, name, &taken_at)) {
        if (!choice->stranger.length)
            str_append(&choice->stranger, name);
        return RR_OK;
    }
    if (instant_compare(taken_at, choice->desired) > 0) {
        if (!after->is_set || instant_compare(taken_at, after->taken_at) < 0)
            set_candidate(after, name, size_bytes, taken_at);
        return RR_OK;
    }
    int order = before->is_set ? instant_compare(taken_at, before->taken_at) : 1;
    if (order > 0) {
        set_candidate(before, name, size_bytes, taken_at);
        choice->twin.is_set = false;
    } else if (order == 0) {
        set_candidate(&choice->twin, name, size_bytes, taken_at);
    }
    return RR_OK;
}

static enum errc look(const struct catalog_options *options, const char *prefix,
                      struct choice *choice, struct error *err)
{
    choice->before.is_set = choice->twin.is_set = choice->after.is_set = false;
    choice->seen_count = 0;
    str_clear(&choice->stranger);
    struct store_listing listing = {
        .folder = &options->location,
        .pattern = choice->pattern,
        .prefix = prefix,
        .cancel = options->cancel,
        .found = consider,
        .context = choice,
    };
    return store_of(options->location.kind)->list(&listing, err);
}

/* "'NAME' (TIME)" */
static const char *describe(const struct candidate *candidate, char text[QUOTED_SIZE])
{
    char time[RFC3339_SIZE];
    STR_GUARD struct str words = STR_INIT(QUOTED_SIZE - 1);
    rfc3339_render(candidate->taken_at, time);
    str_append_quoted(&words, str_text(&candidate->name), SHOWN_BYTES);
    str_printf(&words, " (%s)", time);
    snprintf(text, QUOTED_SIZE, "%s", str_text(&words));
    return text;
}

static enum errc report_nothing_matches(const struct catalog_options *options,
                                        const struct choice *choice, struct error *err)
{
    const char *url = options->location.url, *pattern = options->name_pattern;
    if (choice->seen_count == 0) {
        error_set(err, ERR_BACKUP_NOT_FOUND, "there is nothing in '%s' whose name begins like '%s'",
                  url, pattern);
        return error_hint(err,
                          "check backups.location and backups.name, and whether backups are made");
    }
    STR_GUARD struct str stranger = STR_INIT(QUOTED_SIZE);
    str_append_quoted(&stranger, str_text(&choice->stranger), SHOWN_BYTES);
    error_set(err, ERR_BACKUP_NOT_FOUND,
              "none of the %zu names in '%s' matches '%s'; one of them is %s", choice->seen_count,
              url, pattern, str_text(&stranger));
    return error_hint(err, "backups.name must describe the whole name below backups.location");
}

static enum errc report_missing(const struct catalog_options *options, const struct choice *choice,
                                const char *desired, struct error *err)
{
    const struct candidate *before = &choice->before, *after = &choice->after;
    char old[QUOTED_SIZE], new[QUOTED_SIZE];
    if (!before->is_set && !after->is_set)
        return report_nothing_matches(options, choice, err);
    const char *what = options->select == CATALOG_EXACT ? "of" : "at or before";
    if (before->is_set && after->is_set)
        error_set(err, ERR_BACKUP_NOT_FOUND,
                  "no backup %s %s in '%s'; the nearest are %s before it and %s after it", what,
                  desired, options->location.url, describe(before, old), describe(after, new));
    else if (before->is_set)
        error_set(err, ERR_BACKUP_NOT_FOUND, "no backup %s %s in '%s'; the newest is %s", what,
                  desired, options->location.url, describe(before, old));
    else
        error_set(err, ERR_BACKUP_NOT_FOUND, "no backup %s %s in '%s'; the oldest is %s", what,
                  desired, options->location.url, describe(after, new));
    if (options->select == CATALOG_AT_OR_BEFORE)
        return error_hint(err, "ask for a later time");
    return error_hint(err, "ask for the time of one of them, or set 'select: at-or-before'");
}

static enum errc report_ambiguous(const struct choice *choice, struct error *err)
{
    char one[QUOTED_SIZE], other[QUOTED_SIZE];
    error_set(err, ERR_BACKUP_AMBIGUOUS, "two backups have the same time: %s and %s",
              describe(&choice->before, one), describe(&choice->twin, other));
    return error_hint(err, "remove or rename one of them, or make backups.name match only one");
}

/* 93784 is "1d2h3m4s". */
static void render_duration(uint64_t seconds, char text[DURATION_SIZE])
{
    static const struct {
        uint64_t seconds;
        char unit;
    } units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    STR_GUARD struct str words = STR_INIT(DURATION_SIZE - 1);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (seconds >= units[i].seconds)
            str_printf(&words, "%llu%c", (unsigned long long)(seconds / units[i].seconds),
                       units[i].unit);
        seconds %= units[i].seconds;
    }
    snprintf(text, DURATION_SIZE, "%s", words.length ? str_text(&words) : "0s");
}

/* Whole seconds from `from` to `to`, rounded up: a backup is not younger than it is. */
static uint64_t age_s(struct instant from, struct instant to)
{
    return (uint64_t)(to.seconds - from.seconds) + (to.nanoseconds > from.nanoseconds);
}

static enum errc report_too_old(const struct catalog_options *options, const struct choice *choice,
                                const char *desired, struct error *err)
{
    char name[QUOTED_SIZE], age[DURATION_SIZE], allowed[DURATION_SIZE];
    render_duration(age_s(choice->before.taken_at, choice->desired), age);
    render_duration(options->max_age_s, allowed);
    error_set(err, ERR_BACKUP_TOO_OLD,
              "the newest backup at or before %s is %s: %s older, and maxAge allows %s", desired,
              describe(&choice->before, name), age, allowed);
    return error_hint(err,
                      "find out why no newer backup was made; raise maxAge if this one is meant");
}

/* Whether the newest candidate is what is asked for. */
static bool is_found(const struct catalog_options *options, const struct choice *choice)
{
    const struct candidate *before = &choice->before;
    if (!before->is_set)
        return false;
    if (options->select == CATALOG_EXACT)
        return instant_compare(before->taken_at, choice->desired) == 0;
    return options->max_age_s == 0 ||
           age_s(before->taken_at, choice->desired) <= options->max_age_s;
}

/* The earliest instant that may be chosen; before all time when there is no bound. */
static struct instant earliest(const struct catalog_options *options, struct instant desired)
{
    if (options->select == CATALOG_EXACT)
        return desired;
    bool has_bound = options->max_age_s && options->max_age_s < INT32_MAX; /* 68 years */
    return (struct instant){
        .seconds = has_bound ? desired.seconds - (int64_t)options->max_age_s : INT64_MIN,
    };
}

static enum errc report_none(const struct catalog_options *options, const struct choice *choice,
                             struct error *err)
{
    char desired[RFC3339_SIZE];
    rfc3339_render(choice->desired, desired);
    if (options->select == CATALOG_AT_OR_BEFORE && choice->before.is_set)
        return report_too_old(options, choice, desired, err);
    return report_missing(options, choice, desired, err);
}

enum errc catalog_select(const struct catalog_options *options, struct instant desired,
                         struct arena *arena, struct backup *ret_backup, struct error *err)
{
    struct pattern pattern;
    if (pattern_parse(options->name_pattern, &pattern, err))
        return err->code;
    CHOICE_GUARD struct choice choice = {
        .pattern = &pattern,
        .desired = desired,
        .before.name = STR_INIT(LIMIT_FILE_PATH_BYTES),
        .twin.name = STR_INIT(LIMIT_FILE_PATH_BYTES),
        .after.name = STR_INIT(LIMIT_FILE_PATH_BYTES),
        .stranger = STR_INIT(LIMIT_FILE_PATH_BYTES),
    };
    STR_GUARD struct str narrow = STR_INIT(LIMIT_OBJECT_KEY_BYTES), wide = narrow;
    pattern_prefix(&pattern, earliest(options, desired), desired, &narrow);
    pattern_literal_prefix(&pattern, &wide);
    if (look(options, str_text(&narrow), &choice, err))
        return err->code;
    if (!is_found(options, &choice) && !text_equal(str_text(&narrow), str_text(&wide)) &&
        look(options, str_text(&wide), &choice, err))
        return err->code;
    if (!is_found(options, &choice))
        return report_none(options, &choice, err);
    if (choice.twin.is_set)
        return report_ambiguous(&choice, err);
    log_debug("backup chosen", LOG_TEXT("name", str_text(&choice.before.name)),
              LOG_UINT("size_bytes", choice.before.size_bytes));
    *ret_backup = make_backup(arena, &options->location, str_text(&choice.before.name),
                              choice.before.size_bytes, choice.before.taken_at);
    return RR_OK;
}

enum errc backup_open(const struct location *object, const struct cancel *cancel,
                      struct source **ret_source, struct error *err)
{
    return store_of(object->kind)->open(object, cancel, ret_source, err);
}
