/*
 * What the API server answers about workloads, pods, Ingresses and Leases, and the record of
 * backends, which anybody may have edited. A record that is accepted must be one that we would
 * write; a selector that is accepted must select something; a pod's description is bounded and safe
 * to show; a Lease that is written back is the one that was read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/kube/backends.h"
#include "lib/kube/lease_record.h"
#include "lib/kube/pod.h"
#include "lib/kube/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_path(const char *path)
{
    if (strcmp(path, "/spec/defaultBackend") != 0 &&
        (!text_has_prefix(path, "/spec/rules/") || !text_has_suffix(path, "/backend") ||
         strspn(path, "/0123456789abcdefghijklmnopqrstuvwxyz") != strlen(path)))
        abort();
}

/* A record that is read and written again is the same record. */
static void check_record(const char *text)
{
    ARENA_GUARD struct arena arena = {0};
    BACKENDS_GUARD struct backends once = {0}, again = {0};
    STR_GUARD struct str first = STR_INIT(LIMIT_BACKENDS_BYTES);
    STR_GUARD struct str second = STR_INIT(LIMIT_BACKENDS_BYTES);
    struct error err = ERROR_INIT;
    if (backends_parse(&arena, text, "record", &once, &err)) {
        if (err.code != ERR_STEP)
            abort();
        return;
    }
    for (size_t i = 0; i < once.count; i++)
        check_path(once.items[i].path);
    backends_render(&first, &once);
    if (backends_parse(&arena, str_text(&first), "record", &again, &err) ||
        again.count != once.count)
        abort();
    for (size_t i = 0; i < once.count; i++)
        if (!backends_take(&again, &once.items[i]))
            abort();
    backends_render(&second, &again);
    if (strcmp(str_text(&first), str_text(&second)) != 0)
        abort();
}

static void check_pod(const struct json *pod)
{
    STR_GUARD struct str s = STR_INIT(64 * LIMIT_KIB);
    const struct workload workload = {.kind = WORKLOAD_DEPLOYMENT, .name = "web"};
    (void)pod_belongs_to(pod, &workload);
    (void)pod_may_run(pod);
    (void)pod_is_ready(pod);
    pod_describe(&s, pod);
    if (s.length > 8 * LIMIT_KIB)
        abort();
    for (size_t i = 0; i < s.length; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            abort();
}

static void check_lease(const struct json *object)
{
    LEASE_RECORD_GUARD struct lease_record once = {0}, again = {0};
    JSON_GUARD struct json_document *document = NULL;
    STR_GUARD struct str body = STR_INIT(4 * LIMIT_KUBE_METADATA_BYTES);
    struct error err = ERROR_INIT;
    if (lease_record_parse(object, &once, &err)) {
        if (err.code != ERR_API)
            abort();
        return;
    }
    lease_record_render(&body, "shop", "rr", &once);
    if (json_parse(str_text(&body), body.length, "body", &document, &err) ||
        lease_record_parse(json_root(document), &again, &err) ||
        strcmp(once.holder, again.holder) != 0 || strcmp(once.uid, again.uid) != 0 ||
        strcmp(once.resource_version, again.resource_version) != 0 ||
        strcmp(once.kept, again.kept) != 0 || once.transitions != again.transitions ||
        once.duration_s != again.duration_s || !text_equal(once.renew_time, again.renew_time))
        abort();
}

static void check_object(const struct json *object)
{
    ARENA_GUARD struct arena arena = {0};
    STR_GUARD struct str selector = STR_INIT(LIMIT_SELECTOR_BYTES);
    STR_GUARD struct str record = STR_INIT(LIMIT_BACKENDS_BYTES);
    struct backends backends;
    if (selector_render(&selector, object) && selector.length == 0)
        abort();
    backends_read(&arena, object, &backends);
    backends_render(&record, &backends);
    check_record(str_text(&record));
    check_pod(object);
    check_lease(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    JSON_GUARD struct json_document *document = NULL;
    struct error err = ERROR_INIT;
    char *text = malloc(length + 1);
    if (!text)
        return 0;
    memcpy(text, bytes, length);
    text[length] = '\0';
    check_record(text);
    if (json_parse(text, length, "object", &document, &err) == RR_OK)
        check_object(json_root(document));
    free(text);
    return 0;
}
