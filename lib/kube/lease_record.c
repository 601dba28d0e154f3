#include "lib/kube/lease_record.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/codec/rfc3339.h"
#include "lib/kube/kube.h"
#include "lib/kube/kept.h"

static int64_t get_count(const struct json *spec, const char *name)
{
    int64_t value;
    return json_int(json_get(spec, name), &value) && value > 0 ? value : 0;
}

static const char *get_text(struct arena *arena, const struct json *spec, const char *name)
{
    return arena_strdup(arena, json_get_text(spec, name));
}

enum errc lease_record_parse(const struct json *object, struct lease_record *ret_record,
                             struct error *err)
{
    const struct json *spec = json_get(object, "spec");
    const char *uid = kube_meta(object, "uid"), *version = kube_meta(object, "resourceVersion");
    if (!uid || !version)
        return error_set(err, ERR_API, "the answer is no Lease");
    struct lease_record record = {.has_strategy = json_get_text(spec, "strategy") != NULL};
    struct arena *arena = &record.arena;
    STR_GUARD struct str text = STR_INIT(LIMIT_KUBE_METADATA_BYTES);
    if (spec)
        json_render(&text, spec);
    record.uid = arena_strdup(arena, uid);
    record.resource_version = arena_strdup(arena, version);
    record.holder = get_text(arena, spec, "holderIdentity");
    record.holder = record.holder ? record.holder : "";
    record.acquire_time = get_text(arena, spec, "acquireTime");
    record.renew_time = get_text(arena, spec, "renewTime");
    record.duration_s = get_count(spec, "leaseDurationSeconds");
    record.transitions = get_count(spec, "leaseTransitions");
    record.spec = arena_strdup(arena, str_text(&text));
    record.kept = kept_metadata(arena, object);
    *ret_record = record;
    return RR_OK;
}

void lease_record_render(struct str *s, const char *namespace_name, const char *name,
                         const struct lease_record *record)
{
    str_append(s, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{"
                  "\"namespace\":");
    str_append_json(s, namespace_name);
    str_append(s, ",\"name\":");
    str_append_json(s, name);
    if (record->uid) {
        str_append(s, ",\"uid\":");
        str_append_json(s, record->uid);
        str_append(s, ",\"resourceVersion\":");
        str_append_json(s, record->resource_version);
        str_append(s, record->kept ? record->kept : "");
    } else {
        str_append(s, ",\"labels\":{\"" KUBE_MANAGED_BY "\":\"" KUBE_FIELD_MANAGER "\"}");
    }
    str_append(s, "},\"spec\":{\"holderIdentity\":");
    str_append_json(s, record->holder);
    str_printf(s, ",\"leaseDurationSeconds\":%" PRId64 ",\"acquireTime\":", record->duration_s);
    str_append_json(s, record->acquire_time);
    str_append(s, ",\"renewTime\":");
    str_append_json(s, record->renew_time);
    str_printf(s, ",\"leaseTransitions\":%" PRId64 "}}", record->transitions);
}

void lease_record_move(struct lease_record *to, struct lease_record *from)
{
    lease_record_release(to);
    *to = *from;
    *from = (struct lease_record){0};
}

void lease_record_release(struct lease_record *record)
{
    arena_release(&record->arena);
    *record = (struct lease_record){0};
}

bool lease_time_equal(const char *a, const char *b)
{
    struct instant first, second;
    struct error ignored = ERROR_INIT;
    if (!a || !b || rfc3339_parse(a, &first, &ignored))
        return false;
    return !rfc3339_parse(b, &second, &ignored) && instant_compare(first, second) == 0;
}
