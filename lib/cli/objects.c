#include "lib/cli/objects.h"

#include <inttypes.h>

static int64_t replicas_of(const struct workload *w)
{
    return w->marked_replicas >= 0 ? w->marked_replicas : w->replicas;
}

void objects_append_text(struct str *text, const struct application *application, unsigned kinds)
{
    const char *before = "";
    for (size_t i = 0; (kinds & APPLICATION_WORKLOADS) && i < application->workload_count; i++) {
        const struct workload *w = &application->workloads[i];
        int64_t replicas = replicas_of(w);
        str_printf(text, "%s%s %s (%" PRId64 " replica%s)", before, workload_kind_name(w->kind),
                   w->name, replicas, replicas == 1 ? "" : "s");
        before = ", ";
    }
    for (size_t i = 0; (kinds & APPLICATION_INGRESSES) && i < application->ingress_count; i++) {
        str_printf(text, "%sIngress %s", before, application->ingresses[i].name);
        before = ", ";
    }
    if (!before[0])
        str_append(text, "nothing");
}

static void append_run(struct str *text, const char *run)
{
    if (run) {
        str_append(text, ",\"run\":");
        str_append_json(text, run);
    }
    str_append_char(text, '}');
}

void objects_append_json(struct str *text, const struct application *application, unsigned kinds)
{
    const char *before = "[";
    for (size_t i = 0; (kinds & APPLICATION_WORKLOADS) && i < application->workload_count; i++) {
        const struct workload *w = &application->workloads[i];
        str_printf(text, "%s{\"kind\":\"%s\",\"name\":", before, workload_kind_name(w->kind));
        str_append_json(text, w->name);
        str_printf(text, ",\"replicas\":%" PRId64, replicas_of(w));
        append_run(text, w->marked_run);
        before = ",";
    }
    for (size_t i = 0; (kinds & APPLICATION_INGRESSES) && i < application->ingress_count; i++) {
        str_printf(text, "%s{\"kind\":\"Ingress\",\"name\":", before);
        str_append_json(text, application->ingresses[i].name);
        append_run(text, application->ingresses[i].marked_run);
        before = ",";
    }
    str_append(text, before[0] == '[' ? "[]" : "]");
}
