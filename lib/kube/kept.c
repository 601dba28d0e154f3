#include "lib/kube/kept.h"

#include "lib/base/limits.h"

const char *kept_metadata(struct arena *arena, const struct json *object)
{
    static const char *const members[] = {"labels", "annotations", "ownerReferences", "finalizers"};
    STR_GUARD struct str text = STR_INIT(LIMIT_KUBE_METADATA_BYTES);
    const struct json *metadata = json_get(object, "metadata");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct json *value = json_get(metadata, members[i]);
        if (!value)
            continue;
        str_printf(&text, ",\"%s\":", members[i]);
        json_render(&text, value);
    }
    return text.is_cut ? "" : arena_strdup(arena, str_text(&text));
}
