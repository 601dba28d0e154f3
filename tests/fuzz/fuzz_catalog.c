/*
 * What people write into restore.yaml and what a store says about names: a location, a name pattern
 * and a name, one a line. Beside not crashing, what is understood must be consistent.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/backup/location.h"
#include "lib/backup/pattern.h"
#include "lib/base/arena.h"

#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim)) {                                                                            \
            fprintf(stderr, "not so: %s\n", #claim);                                               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A location's own URL must name the same place; its errors must fit on one line. */
static void try_location(struct arena *arena, const char *url)
{
    struct error err = ERROR_INIT;
    struct location location, again;
    if (location_parse(arena, url, &location, &err)) {
        MUST(!strpbrk(err.text, "\n\r\x1b"));
        return;
    }
    MUST(location_parse(arena, location.url, &again, &err) == RR_OK);
    MUST(location.kind == again.kind && text_equal(location.bucket, again.bucket) &&
         text_equal(location.path, again.path) && text_equal(location.url, again.url));
    struct location object = location_join(arena, &location, "name");
    MUST(text_has_suffix(object.path, "name") && text_has_prefix(object.path, location.path));
}

/* A name that matches begins with what its instant renders, and is found in its folders. */
static void try_match(const struct pattern *pattern, const char *name)
{
    struct instant instant, same;
    if (!pattern_match(pattern, name, &instant))
        return;
    STR_GUARD struct str prefix = STR_INIT(LIMIT_OBJECT_KEY_BYTES), folder = prefix, whole = prefix;
    pattern_prefix(pattern, instant, instant, &prefix);
    MUST(text_has_prefix(name, str_text(&prefix)));
    if (pattern_match(pattern, str_text(&prefix), &same))
        MUST(instant_compare(instant, same) == 0);
    struct instant later = {.seconds = instant.seconds + 86400};
    pattern_prefix(pattern, instant, later, &whole);
    MUST(text_has_prefix(name, str_text(&whole)));
    size_t folders = 0;
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        str_clear(&folder);
        str_append_bytes(&folder, name, (size_t)(slash + 1 - name));
        MUST(folder.is_cut || pattern_match_folder(pattern, str_text(&folder)));
        folders++;
    }
    MUST(folders == pattern->folder_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ARENA_GUARD struct arena arena = {0};
    char *text = arena_strndup(&arena, (const char *)data, size);
    char *lines[3] = {text, "", ""};
    for (int i = 1; i < 3; i++) {
        char *newline = strchr(lines[i - 1], '\n');
        if (!newline)
            break;
        *newline = '\0';
        lines[i] = newline + 1;
    }
    struct error err = ERROR_INIT;
    struct pattern pattern;
    try_location(&arena, lines[0]);
    if (pattern_parse(lines[1], &pattern, &err) == RR_OK)
        try_match(&pattern, lines[2]);
    return 0;
}
