/*
 * Taking the application away: preSteps `scaleDeployments: 0` and `disableIngress: true`.
 *
 *   look at all objects; wait while another state has one of them away
 *   record all of them in the journal (what brings them back)
 *   patch one by one, each with its mark; workloads: wait until their pods are gone
 *
 * A process that dies between any two lines leaves a list of which some entries have no effect yet:
 * bringing back looks at each object first, and leaves alone what is there.
 */
#include <inttypes.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/codec/json.h"
#include "lib/kube/rollout.h"
#include "lib/reconcile/application.h"

enum { OTHER_STATE_POLL_MS = 2000 };

static enum mark mark_of_workload(const struct run *run, const struct workload *w)
{
    return application_workload_mark(run, w, run->work_run_id);
}

static enum mark mark_of_ingress(const struct run *run, const struct ingress *i)
{
    return application_ingress_mark(run, i, run->work_run_id);
}

static uint64_t timeout_ms(const struct run *run)
{
    return run->spec.application.timeout_s * 1000;
}

void application_note_off(struct run *run)
{
    if (!run->application_off_ms)
        run->application_off_ms = clock_boottime_ms(run->options->clock);
}

/* --- another state's objects
 * ---------------------------------------------------------------------------- */

/* The first object that another state has away; NULL: none. */
static const char *find_others(struct run *run, const struct application *a, const char **ret_state)
{
    for (size_t i = 0; i < a->workload_count; i++)
        if (mark_of_workload(run, &a->workloads[i]) == MARK_OTHER_STATE) {
            *ret_state = a->workloads[i].marked_state;
            return a->workloads[i].name;
        }
    for (size_t i = 0; i < a->ingress_count; i++)
        if (mark_of_ingress(run, &a->ingresses[i]) == MARK_OTHER_STATE) {
            *ret_state = a->ingresses[i].marked_state;
            return a->ingresses[i].name;
        }
    return NULL;
}

static enum errc say_other_state(const char *name, const char *state, struct error *err)
{
    error_set(err, ERR_TIMEOUT, "'%s' is taken away by another state, '%s'", name, state);
    return error_hint(err,
                      "that state brings it back when its restore is over; if it is gone for good, "
                      "remove the annotations restore-reconciler/* from '%s'",
                      name);
}

/* Two states that share an application may restore at the same time: one after the other has it. */
static enum errc find_when_free(struct run *run, struct arena *arena, unsigned kinds,
                                struct application *ret_application, struct error *err)
{
    uint64_t end_ms = clock_boottime_ms(run->options->clock) + timeout_ms(run);
    for (bool is_said = false;; is_said = true) {
        const char *state = NULL, *name;
        enum errc code = application_may_act(run, true, err);
        if (code || (code = application_find(run, arena, kinds, ret_application, NULL, err)))
            return code;
        if (!(name = find_others(run, ret_application, &state)))
            return RR_OK;
        if (clock_boottime_ms(run->options->clock) >= end_ms)
            return say_other_state(name, state, err);
        if (!is_said)
            log_info("waiting: another state has it away", LOG_TEXT("object", name),
                     LOG_TEXT("state", state));
        clock_sleep_ms(run->options->clock, OTHER_STATE_POLL_MS, run->options->cancel);
    }
}

/* --- record
 * --------------------------------------------------------------------------------------------- */

static enum errc read_list(struct run *run, struct arena *arena, struct undo_list *ret_list,
                           struct error *err)
{
    return undo_parse(arena, journal_get(&run->journal, J_UNDO), ret_list, err);
}

static enum errc write_list(struct run *run, const struct undo_list *list, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES / 2);
    undo_render(list, &text);
    enum errc code = str_check(&text, "the undo list", err);
    if (code)
        return code;
    journal_set(&run->journal, J_UNDO, str_text(&text));
    return journal_write(&run->journal, err);
}

static enum errc left_over(const char *kind, const char *name, const char *marked_run,
                           struct error *err)
{
    error_set(err, ERR_STEP, "%s '%s' is marked as taken away by an earlier run, '%s'", kind, name,
              marked_run ? marked_run : "");
    return error_hint(err,
                      "somebody put an old copy of it back, or removed a part of its annotations: "
                      "bring it back by hand and remove its annotations restore-reconciler/*");
}

static enum errc record_workloads(struct run *run, struct arena *arena, uint64_t pre_step,
                                  const struct application *a, struct undo_list *list,
                                  struct error *err)
{
    for (size_t i = 0; i < a->workload_count; i++) {
        const struct workload *w = &a->workloads[i];
        enum mark mark = mark_of_workload(run, w);
        enum take what = take_decide(mark, w->replicas == 0);
        struct undo entry = {.kind = UNDO_SCALE,
                             .pre_step = pre_step,
                             .workload = w->kind,
                             .name = w->name,
                             .replicas = w->replicas};
        if (what == TAKE_LEFT_OVER)
            return left_over(workload_kind_name(w->kind), w->name, w->marked_run, err);
        if (what == TAKE_LEAVE || undo_find(list, UNDO_SCALE, w->kind, w->name))
            continue;
        if (mark == MARK_OURS && w->marked_replicas >= 0)
            entry.replicas = w->marked_replicas;
        undo_add(arena, list, &entry);
    }
    return write_list(run, list, err);
}

/* Whether it has no backend but the Service: nothing to take away. */
static bool is_disabled(const struct ingress *ingress, const char *service)
{
    JSON_GUARD struct json_document *now = NULL;
    JSON_GUARD struct json_document *wanted = NULL;
    struct error ignored = ERROR_INIT;
    if (json_parse(ingress->backends, strlen(ingress->backends), "backends", &now, &ignored) ||
        json_parse(service, strlen(service), "backend", &wanted, &ignored))
        return false;
    for (const struct json *item = json_first(json_root(now)); item; item = json_next(item))
        if (!json_equal(json_get(item, "backend"), json_root(wanted)))
            return false;
    return true;
}

static enum errc record_ingresses(struct run *run, struct arena *arena, uint64_t pre_step,
                                  const struct application *a, const char *service,
                                  struct undo_list *list, struct error *err)
{
    for (size_t i = 0; i < a->ingress_count; i++) {
        const struct ingress *ingress = &a->ingresses[i];
        enum mark mark = mark_of_ingress(run, ingress);
        enum take what = take_decide(mark, is_disabled(ingress, service));
        struct undo entry = {.kind = UNDO_INGRESS,
                             .pre_step = pre_step,
                             .name = ingress->name,
                             .service = service,
                             .backends = ingress->backends};
        if (what == TAKE_LEFT_OVER)
            return left_over("Ingress", ingress->name, ingress->marked_run, err);
        if (what == TAKE_LEAVE || undo_find(list, UNDO_INGRESS, 0, ingress->name))
            continue;
        if (mark == MARK_OURS && undo_can_hold(ingress->marked_backends))
            entry.backends = ingress->marked_backends;
        undo_add(arena, list, &entry);
    }
    return write_list(run, list, err);
}

static enum errc give_up(struct error *err, const char *kind, const char *name)
{
    if (!err->code)
        error_set(err, ERR_STEP, "it is written by somebody else all the time");
    return application_fail(err, kind, name);
}

/* --- workloads
 * ------------------------------------------------------------------------------------------ */

/* One write. ERR_CONFLICT: it was changed since it was read. *ret_what is what was decided: after
 * TAKE_UNMARK it is looked at again. */
static enum errc try_take(struct run *run, struct arena *arena, struct workload *w,
                          enum take *ret_what, struct error *err)
{
    enum take what = *ret_what = take_decide(mark_of_workload(run, w), w->replicas == 0);
    switch (what) {
    case TAKE_LEAVE:
    case TAKE_DONE:
        return RR_OK;
    case TAKE_WAIT:
        return say_other_state(w->name, w->marked_state, err);
    case TAKE_LEFT_OVER:
        return left_over(workload_kind_name(w->kind), w->name, w->marked_run, err);
    case TAKE_UNMARK:
        log_warn("an old mark is removed", LOG_TEXT("workload", w->name),
                 LOG_TEXT("of_run", w->marked_run));
        break;
    case TAKE_IT:
        break;
    }
    enum errc code = application_may_act(run, true, err);
    if (code)
        return code;
    if (what == TAKE_UNMARK)
        return workload_bring_back(run->store->kube, arena, w, -1, err);
    application_note_off(run);
    int64_t before = w->replicas;
    application_be_deaf(run,
                        true); /* a patch that is cut off may be done after we have undone it */
    code = workload_take_away(run->store->kube, arena, w, run->work_run_id, run->store->name, err);
    application_be_deaf(run, false);
    if (!code)
        log_info("scaled to 0", LOG_TEXT("kind", workload_kind_name(w->kind)),
                 LOG_TEXT("name", w->name), LOG_INT("replicas", before));
    return code;
}

/* *ret_what: TAKE_LEAVE when somebody else had it at 0 meanwhile. */
static enum errc take_workload(struct run *run, struct arena *arena, struct workload *w,
                               enum take *ret_what, struct error *err)
{
    for (int try = 1;; try++) {
        enum errc code = try_take(run, arena, w, ret_what, err);
        if (!code && *ret_what != TAKE_UNMARK)
            return RR_OK;
        if ((code && code != ERR_CONFLICT) || try >= APPLICATION_TRIES)
            return give_up(err, workload_kind_name(w->kind), w->name);
        error_clear(err);
        if (code && workload_get(run->store->kube, arena, w->kind, w->name, w, err))
            return give_up(err, workload_kind_name(w->kind), w->name);
    }
}

static enum errc may_wait_on(void *context, struct error *err)
{
    return application_may_act(context, true, err);
}

/* What somebody has scaled to 0 between our look and our patch is not ours to bring back. */
static enum errc take_workloads(struct run *run, struct arena *arena, struct application *a,
                                struct undo_list *list, struct error *err)
{
    bool is_changed = false;
    for (size_t i = 0; i < a->workload_count; i++) {
        struct workload *w = &a->workloads[i];
        enum take what;
        enum errc code = take_workload(run, arena, w, &what, err);
        if (code)
            return code;
        struct undo *entry = undo_find(list, UNDO_SCALE, w->kind, w->name);
        if (what == TAKE_LEAVE && entry)
            entry->is_done = is_changed = true;
    }
    return is_changed ? write_list(run, list, err) : RR_OK;
}

enum errc application_scale_down(struct run *run, uint64_t pre_step, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct application a = {0};
    struct undo_list list = {0};
    enum errc code;
    if (!run->store->kube)
        return RR_OK;
    if ((code = find_when_free(run, &arena, APPLICATION_WORKLOADS, &a, err)) ||
        (code = read_list(run, &arena, &list, err)) ||
        (code = record_workloads(run, &arena, pre_step, &a, &list, err)))
        return code;
    if ((code = take_workloads(run, &arena, &a, &list, err)))
        return code;
    struct rollout rollout = {
        .kube = run->store->kube,
        .clock = run->options->clock,
        .cancel = run->options->cancel,
        .deadline_ms = timeout_ms(run),
        .may_go_on = may_wait_on,
        .context = run,
    };
    return rollout_wait_gone(&rollout, a.workloads, a.workload_count, err);
}

/* --- Ingresses
 * ------------------------------------------------------------------------------------------ */

static enum errc try_disable(struct run *run, struct arena *arena, struct ingress *ingress,
                             const char *service, enum take *ret_what, struct error *err)
{
    enum take what = *ret_what =
        take_decide(mark_of_ingress(run, ingress), is_disabled(ingress, service));
    switch (what) {
    case TAKE_LEAVE:
    case TAKE_DONE:
        return RR_OK;
    case TAKE_WAIT:
        return say_other_state(ingress->name, ingress->marked_state, err);
    case TAKE_LEFT_OVER:
        return left_over("Ingress", ingress->name, ingress->marked_run, err);
    case TAKE_UNMARK:
    case TAKE_IT:
        break;
    }
    enum errc code = application_may_act(run, true, err);
    if (code)
        return code;
    if (what == TAKE_UNMARK) {
        size_t left_alone = 0;
        log_warn("an old mark is removed", LOG_TEXT("ingress", ingress->name),
                 LOG_TEXT("of_run", ingress->marked_run));
        return ingress_enable(run->store->kube, arena, ingress, NULL, service, &left_alone, err);
    }
    application_note_off(run);
    application_be_deaf(run, true); /* as above */
    code = ingress_disable(run->store->kube, arena, ingress, service, run->work_run_id,
                           run->store->name, err);
    application_be_deaf(run, false);
    if (!code)
        log_info("pointed at the maintenance Service", LOG_TEXT("ingress", ingress->name),
                 LOG_TEXT("service", application_service(&run->spec)));
    return code;
}

static enum errc take_ingress(struct run *run, struct arena *arena, struct ingress *ingress,
                              const char *service, struct error *err)
{
    enum take what;
    for (int try = 1;; try++) {
        enum errc code = try_disable(run, arena, ingress, service, &what, err);
        if (!code && what != TAKE_UNMARK)
            return RR_OK;
        if ((code && code != ERR_CONFLICT) || try >= APPLICATION_TRIES)
            return give_up(err, "Ingress", ingress->name);
        error_clear(err);
        if (code && ingress_get(run->store->kube, arena, ingress->name, ingress, err))
            return give_up(err, "Ingress", ingress->name);
    }
}

enum errc application_disable_ingresses(struct run *run, uint64_t pre_step, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct application a = {0};
    struct undo_list list = {0};
    const char *service = NULL;
    enum errc code;
    if (!run->store->kube)
        return RR_OK;
    if ((code = ingress_render_service(&arena, application_service(&run->spec), &service, err)) ||
        (code = find_when_free(run, &arena, APPLICATION_INGRESSES, &a, err)) ||
        (code = read_list(run, &arena, &list, err)) ||
        (code = record_ingresses(run, &arena, pre_step, &a, service, &list, err)))
        return code;
    for (size_t i = 0; i < a.ingress_count; i++)
        if ((code = take_ingress(run, &arena, &a.ingresses[i], service, err)))
            return code;
    return RR_OK;
}
