#include "lib/kube/event.h"

#include <inttypes.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/net/digest.h"

/* What the API server allows (pkg/apis/core/validation/events.go). */
enum {
    NOTE_BYTES = 1024,
    WORD_BYTES = 128, /* reason, action, reporting instance */
    NAME_BYTES = 253,
    DEADLINE_MS = 5000,
};

static const struct kube_resource events = {"events.k8s.io", "v1", "events", false};

/* As many bytes of `text` as fit, none of a character's bytes without the others. */
static size_t length_within(const char *text, size_t most)
{
    size_t length = strlen(text);
    if (length <= most)
        return length;
    for (length = most; length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;)
        length--;
    return length;
}

static void append_member(struct str *body, const char *name, const char *value, size_t most)
{
    str_printf(body, ",\"%s\":", name);
    str_append_json_bytes(body, value, length_within(value, most));
}

/* As client-go names them: object, dot, hexadecimal. Random in place of the time: many runs may
 * begin in the same moment. */
static void append_name(struct str *body, const char *regarding)
{
    uint64_t random;
    random_bytes(&random, sizeof random);
    str_append(body, "\"name\":\"");
    str_append_bytes(body, regarding, length_within(regarding, NAME_BYTES - 17));
    str_printf(body, ".%016" PRIx64 "\"", random);
}

static void render(struct str *body, const struct kube *kube, const struct event *event)
{
    char time[KUBE_MICRO_TIME_SIZE];
    kube_micro_time(clock_system(), time);
    str_append(body, "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{");
    append_name(body, event->regarding_name);
    append_member(body, "namespace", kube_namespace(kube), NAME_BYTES);
    str_append_char(body, '}');
    append_member(body, "eventTime", time, sizeof time);
    append_member(body, "reportingController", KUBE_FIELD_MANAGER, WORD_BYTES);
    append_member(body, "reportingInstance", event->instance, WORD_BYTES);
    append_member(body, "action", event->action, WORD_BYTES);
    append_member(body, "reason", event->reason, WORD_BYTES);
    append_member(body, "type", event->is_warning ? "Warning" : "Normal", WORD_BYTES);
    append_member(body, "note", event->note, NOTE_BYTES);
    str_append(body, ",\"regarding\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"");
    append_member(body, "namespace", kube_namespace(kube), NAME_BYTES);
    append_member(body, "name", event->regarding_name, NAME_BYTES);
    if (event->regarding_uid)
        append_member(body, "uid", event->regarding_uid, NAME_BYTES);
    str_append(body, "}}");
}

enum errc event_post(struct kube *kube, const struct event *event, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    STR_GUARD struct str body = STR_INIT(LIMIT_KUBE_METADATA_BYTES);
    render(&body, kube, event);
    struct kube_request request = {
        .verb = KUBE_CREATE,
        .resource = &events,
        .body = str_text(&body),
        .deadline_ms = DEADLINE_MS,
        .is_impatient = true,
    };
    return kube_send(kube, &request, &answer, err);
}
