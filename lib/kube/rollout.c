#include "lib/kube/rollout.h"

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/kube/pod.h"

enum {
    FIRST_PAUSE_MS = 250,
    LONGEST_PAUSE_MS = 2000,
    DOUBT_MS = 15000, /* a server that starts refuses whom it does not know yet */
    LOOK_PATIENCE_MS = 2000,
    THINGS_SHOWN = 4, /* workloads, and pods of each look, that a text names */
    LACK_TEXT_BYTES = 800,
};

/* What is still missing, in words: a few things are named, the rest is counted. */
struct lack {
    struct str text;
    size_t things, pods; /* all of them, named or not */
};

struct watch {
    const struct rollout *rollout;
    const struct workload *workloads;
    size_t count;
    enum errc (*look)(struct watch *watch, struct error *err);
    bool explains; /* the last look: say what pods say */
    struct lack lack;
    const struct workload *of; /* whose pods are being listed */
};

static void release_watch(struct watch *watch)
{
    str_release(&watch->lack.text);
}
#define WATCH_GUARD __attribute__((cleanup(release_watch)))

static void lack_reset(struct lack *lack)
{
    str_clear(&lack->text);
    lack->text.is_cut = false;
    lack->things = lack->pods = 0;
}

/* Begins "; KIND 'NAME' " of a thing that is named; false when it is only counted. */
static bool lack_begin(struct lack *lack, const struct workload *w)
{
    if (++lack->things > THINGS_SHOWN)
        return false;
    str_printf(&lack->text, "%s%s '%s' ", lack->text.length ? "; " : "",
               workload_kind_name(w->kind), w->name);
    return true;
}

static void lack_end(struct lack *lack)
{
    if (lack->things > THINGS_SHOWN)
        str_printf(&lack->text, "; and %zu more", lack->things - THINGS_SHOWN);
}

/* ---- gone ---- */

static enum errc count_living_pod(void *context, const struct json *pod, struct error *err)
{
    (void)err;
    struct watch *watch = context;
    struct lack *lack = &watch->lack;
    if (!pod_belongs_to(pod, watch->of) || !pod_may_run(pod))
        return RR_OK;
    lack->pods++;
    if (lack_begin(lack, watch->of)) {
        str_append(&lack->text, "has pod ");
        pod_describe(&lack->text, pod);
    }
    return RR_OK;
}

static enum errc scaled_up(const struct workload *w, struct error *err)
{
    STR_GUARD struct str manager = STR_INIT(200);
    str_append_quoted(&manager, w->replicas_manager ? w->replicas_manager : "unknown", 60);
    error_set(err, ERR_STEP, "%s '%s' was scaled up again to %lld replicas by %s",
              workload_kind_name(w->kind), w->name, (long long)w->replicas, str_text(&manager));
    return error_hint(err, "pause what manages its replicas (a GitOps tool, an autoscaler, an "
                           "operator) while a restore runs, or leave replicas out of Git");
}

/* ERR_NOT_FOUND becomes *ret_exists false. */
static enum errc look_up(const struct watch *watch, struct arena *arena, size_t i,
                         struct workload *ret_workload, bool *ret_exists, struct error *err)
{
    const struct workload *known = &watch->workloads[i];
    enum errc code =
        workload_get(watch->rollout->kube, arena, known->kind, known->name, ret_workload, err);
    *ret_exists = code == RR_OK;
    if (code != ERR_NOT_FOUND)
        return code;
    error_clear(err);
    return RR_OK;
}

static enum errc list_pods(struct watch *watch, const struct workload *of,
                           enum errc (*take)(void *, const struct json *, struct error *),
                           struct error *err)
{
    watch->of = of;
    return kube_list(watch->rollout->kube, pod_resource(), of->pod_selector, take, watch, err);
}

static enum errc look_for_gone(struct watch *watch, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    for (size_t i = 0; i < watch->count; i++) {
        struct workload now;
        bool exists = false;
        enum errc code = look_up(watch, &arena, i, &now, &exists, err);
        if (code)
            return code;
        if (exists && now.replicas != 0)
            return scaled_up(&now, err);
        code = list_pods(watch, exists ? &now : &watch->workloads[i], count_living_pod, err);
        if (code)
            return code;
    }
    return RR_OK;
}

/* ---- ready ---- */

static bool is_ready(const struct workload *w)
{
    if (w->replicas == 0)
        return true;
    return w->observed_generation >= w->generation && w->ready_replicas >= w->replicas &&
           (!w->awaits_update || w->updated_replicas >= w->replicas);
}

static void describe_lack(struct str *s, const struct workload *w)
{
    if (w->observed_generation < w->generation)
        str_append(s, "has not been looked at by its controller since it was changed");
    else if (w->ready_replicas < w->replicas)
        str_printf(s, "has %lld of %lld replicas ready", (long long)w->ready_replicas,
                   (long long)w->replicas);
    else
        str_printf(s, "has %lld of %lld replicas of its newest template",
                   (long long)w->updated_replicas, (long long)w->replicas);
    if (w->is_being_deleted)
        str_append(s, ", is being deleted");
    if (w->trouble) {
        str_append(s, ", ");
        str_append_quoted(s, w->trouble, 160);
    }
}

static enum errc describe_unready_pod(void *context, const struct json *pod, struct error *err)
{
    (void)err;
    struct watch *watch = context;
    struct lack *lack = &watch->lack;
    if (!pod_belongs_to(pod, watch->of) || pod_is_ready(pod))
        return RR_OK;
    if (++lack->pods > THINGS_SHOWN)
        return RR_OK;
    str_append(&lack->text, ", pod ");
    pod_describe(&lack->text, pod);
    return RR_OK;
}

static enum errc look_at_one(struct watch *watch, struct arena *arena, size_t i, struct error *err)
{
    struct workload now;
    bool exists = false;
    enum errc code = look_up(watch, arena, i, &now, &exists, err);
    if (code || (exists && is_ready(&now)))
        return code;
    bool is_named = lack_begin(&watch->lack, &watch->workloads[i]);
    if (!is_named)
        return RR_OK;
    if (!exists) {
        str_append(&watch->lack.text, "does not exist any more");
        return RR_OK;
    }
    describe_lack(&watch->lack.text, &now);
    return watch->explains ? list_pods(watch, &now, describe_unready_pod, err) : RR_OK;
}

static enum errc look_for_ready(struct watch *watch, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    for (size_t i = 0; i < watch->count; i++) {
        enum errc code = look_at_one(watch, &arena, i, err);
        if (code)
            return code;
    }
    if (watch->lack.pods > THINGS_SHOWN)
        str_printf(&watch->lack.text, ", and %zu more pods", watch->lack.pods - THINGS_SHOWN);
    return RR_OK;
}

/* ---- waiting ---- */

static enum errc may_look(const struct rollout *rollout, struct error *err)
{
    enum errc code = cancel_check(rollout->cancel, err);
    if (!code && rollout->may_go_on)
        code = rollout->may_go_on(rollout->context, err);
    return code;
}

static bool may_pass(enum errc code, uint64_t trouble_ms)
{
    bool is_refusal = code == ERR_UNAUTHENTICATED || code == ERR_FORBIDDEN;
    return errc_is_transient(code) || (is_refusal && trouble_ms < DOUBT_MS);
}

/* A client that is patient for minutes must not outlast the deadline. */
static enum errc look_once(struct watch *watch, struct error *err)
{
    struct kube *kube = watch->rollout->kube;
    uint64_t patience_ms = kube_patience(kube);
    lack_reset(&watch->lack);
    kube_set_patience(kube, patience_ms < LOOK_PATIENCE_MS ? patience_ms : LOOK_PATIENCE_MS);
    enum errc code = watch->look(watch, err);
    kube_set_patience(kube, patience_ms);
    if (!code)
        lack_end(&watch->lack);
    return code;
}

/* Looks until nothing lacks, or until the deadline: then what lacks is in watch->lack. */
static enum errc watch_until_deadline(struct watch *watch, struct error *err)
{
    const struct rollout *rollout = watch->rollout;
    uint64_t begin_ms = clock_boottime_ms(rollout->clock), good_ms = begin_ms;
    for (uint64_t pause_ms = FIRST_PAUSE_MS;; pause_ms *= 2) {
        enum errc code = may_look(rollout, err);
        if (code)
            return code;
        code = look_once(watch, err);
        uint64_t now_ms = clock_boottime_ms(rollout->clock), waited_ms = now_ms - begin_ms;
        if (!code && watch->lack.things == 0)
            return RR_OK;
        if (!code)
            good_ms = now_ms;
        else if (!may_pass(code, now_ms - good_ms))
            return code;
        if (waited_ms >= rollout->deadline_ms)
            return code;
        log_debug("waiting for pods",
                  LOG_TEXT("lack", code ? err->text : str_text(&watch->lack.text)));
        error_clear(err);
        pause_ms = pause_ms < LONGEST_PAUSE_MS ? pause_ms : LONGEST_PAUSE_MS;
        uint64_t left_ms = rollout->deadline_ms - waited_ms;
        clock_sleep_ms(rollout->clock, pause_ms < left_ms ? pause_ms : left_ms, rollout->cancel);
    }
}

/* Asks the pods as well why it lacks. If they cannot be asked, what is known has to do. */
static void explain(struct watch *watch)
{
    STR_GUARD struct str known = STR_INIT(LACK_TEXT_BYTES);
    struct error ignored = ERROR_INIT;
    size_t things = watch->lack.things;
    str_append(&known, str_text(&watch->lack.text));
    watch->explains = true;
    if (look_once(watch, &ignored) == RR_OK)
        return;
    log_debug("pods could not be asked", LOG_TEXT("cause", ignored.text));
    lack_reset(&watch->lack);
    str_append(&watch->lack.text, str_text(&known));
    watch->lack.things = things;
}

enum errc rollout_wait_gone(const struct rollout *rollout, const struct workload *workloads,
                            size_t count, struct error *err)
{
    WATCH_GUARD struct watch watch = {
        .rollout = rollout, .workloads = workloads, .count = count, .look = look_for_gone};
    watch.lack.text = STR_INIT(LACK_TEXT_BYTES);
    enum errc code = watch_until_deadline(&watch, err);
    if (code)
        return error_wrap(err, "waiting until pods are gone");
    if (watch.lack.things == 0)
        return RR_OK;
    error_set(err, ERR_STEP, "pods are still there after %llu s: %s",
              (unsigned long long)(rollout->deadline_ms / 1000), str_text(&watch.lack.text));
    return error_hint(err,
                      "a pod that does not end: see its node, its finalizers and its grace "
                      "period (kubectl describe pod); on a dead node it may still be connected "
                      "to the database, so do not force its deletion before that node is off");
}

enum errc rollout_wait_ready(const struct rollout *rollout, const struct workload *workloads,
                             size_t count, struct error *err)
{
    WATCH_GUARD struct watch watch = {
        .rollout = rollout, .workloads = workloads, .count = count, .look = look_for_ready};
    watch.lack.text = STR_INIT(LACK_TEXT_BYTES);
    enum errc code = watch_until_deadline(&watch, err);
    if (code)
        return error_wrap(err, "waiting until workloads are ready");
    if (watch.lack.things > 0)
        explain(&watch);
    if (watch.lack.things == 0)
        return RR_OK;
    error_set(err, ERR_STEP, "not ready after %llu s: %s",
              (unsigned long long)(rollout->deadline_ms / 1000), str_text(&watch.lack.text));
    return error_hint(err, "see what the pods say: kubectl describe pod, kubectl logs --previous");
}
