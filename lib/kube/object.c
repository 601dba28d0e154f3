/*
 * What every object of the API has: metadata, and who owns which field of it
 * (metadata.managedFields, "Server-Side Apply").
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/kube/kube.h"

enum { FIELD_NAME_BYTES = 512 };

const char *kube_meta(const struct json *object, const char *member)
{
    return json_get_text(json_get(object, "metadata"), member);
}

const char *kube_annotation(const struct json *object, const char *name)
{
    return json_get_text(json_get(json_get(object, "metadata"), "annotations"), name);
}

const char *kube_label(const struct json *object, const char *name)
{
    return json_get_text(json_get(json_get(object, "metadata"), "labels"), name);
}

/* {"f:data":{"f:key":{}}} holds the path "data", "key". */
static bool owns(const struct json *fields, const char *const path[])
{
    for (; *path; path++) {
        STR_GUARD struct str name = STR_INIT(FIELD_NAME_BYTES);
        str_printf(&name, "f:%s", *path);
        fields = name.is_cut ? NULL : json_get(fields, str_text(&name));
        if (!fields)
            return false;
    }
    return true;
}

/* Times of managed fields have one form (RFC 3339, UTC, whole seconds), so that their order is that
 * of the texts. One without a time is older than any. */
const char *kube_field_manager(struct arena *arena, const struct json *object,
                               const char *const path[])
{
    const struct json *entries = json_get(json_get(object, "metadata"), "managedFields");
    const char *newest = NULL, *newest_time = "";
    for (const struct json *entry = json_is_array(entries) ? json_first(entries) : NULL; entry;
         entry = json_next(entry)) {
        const char *manager = json_get_text(entry, "manager"), *time = json_get_text(entry, "time");
        if (!manager || !owns(json_get(entry, "fieldsV1"), path))
            continue;
        if (newest && strcmp(time ? time : "", newest_time) <= 0)
            continue;
        newest = manager;
        newest_time = time ? time : "";
    }
    return arena_strdup(arena, newest);
}

void kube_pointer_append(struct str *s, const char *step)
{
    str_append_char(s, '/');
    for (; *step; step++) {
        if (*step == '~')
            str_append(s, "~0");
        else if (*step == '/')
            str_append(s, "~1");
        else
            str_append_char(s, *step);
    }
}

void kube_micro_time(const struct clock *clock, char ret_text[KUBE_MICRO_TIME_SIZE])
{
    time_t seconds = (time_t)clock_wall_s(clock);
    struct tm tm;
    char day[KUBE_MICRO_TIME_SIZE] = "1970-01-01T00:00:00";
    if (gmtime_r(&seconds, &tm))
        strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text, KUBE_MICRO_TIME_SIZE, "%.19s.000000Z", day);
}
