/*
 * Bringing the application back: postSteps, undo, recovery.
 *
 * Two records say what was taken away: the journal's list, and the marks on the objects. The set is
 * both together; where they differ the mark wins, because it was written with the effect. Every
 * object is looked at first: what is there already, or is somebody else's, is left alone. One that
 * cannot be brought back keeps none of the others away.
 *
 * Nothing here is interrupted by a signal: an application that comes back is what we are stopped
 * for, if at all. It takes one patch an object.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/codec/json.h"
#include "lib/reconcile/application.h"

enum { DOUBT_TRIES = 5, DOUBT_PAUSE_MS = 1000 };

/* Which marks count, and what the journal knows of the object. */
struct claim {
    const char *only_run;     /* NULL: every run of our state */
    const struct undo *entry; /* NULL: none */
};

static enum errc gone(const char *kind, const char *name, struct error *err)
{
    error_clear(err);
    log_warn("it was to be brought back, and does not exist any more", LOG_TEXT("kind", kind),
             LOG_TEXT("name", name));
    return RR_OK;
}

/* --- workloads
 * ------------------------------------------------------------------------------------------ */

static enum errc lost_count(const struct workload *w, struct error *err)
{
    const char *kind = workload_kind_name(w->kind);
    error_set(err, ERR_STEP,
              "nobody knows how many replicas it had: annotation and journal are gone");
    return error_hint(err,
                      "kubectl scale %s %s --replicas=N, then remove the annotations "
                      "restore-reconciler/* from it",
                      kind, w->name);
}

/* One look and at most one write. ERR_CONFLICT: changed meanwhile. */
static enum errc try_back(struct run *run, struct arena *arena, enum workload_kind kind,
                          const char *name, const struct claim *claim, struct error *err)
{
    struct workload w = {0};
    enum errc code = workload_get(run->store->kube, arena, kind, name, &w, err);
    if (code)
        return code;
    enum mark mark = application_workload_mark(run, &w, claim->only_run);
    struct back_decision decision = back_decide(mark, w.replicas, w.marked_replicas,
                                                claim->entry ? claim->entry->replicas : -1);
    if (decision.warning)
        log_warn(decision.warning, LOG_TEXT("kind", workload_kind_name(kind)),
                 LOG_TEXT("name", name), LOG_INT("replicas", w.replicas),
                 LOG_TEXT("manager", w.replicas_manager));
    if (decision.what == BACK_LEAVE)
        return RR_OK;
    if (decision.what == BACK_LOST)
        return lost_count(&w, err);
    if ((code = application_may_act(run, false, err)))
        return code;
    bool is_restored = decision.what == BACK_RESTORE;
    code =
        workload_bring_back(run->store->kube, arena, &w, is_restored ? decision.replicas : -1, err);
    if (!code && is_restored)
        log_info("scaled up again", LOG_TEXT("kind", workload_kind_name(kind)),
                 LOG_TEXT("name", name), LOG_INT("replicas", decision.replicas));
    return code;
}

static enum errc back_workload(struct run *run, enum workload_kind kind, const char *name,
                               const struct claim *claim, struct error *err)
{
    for (int try = 1;; try++) {
        ARENA_GUARD struct arena arena = {0};
        enum errc code = try_back(run, &arena, kind, name, claim, err);
        if (code == ERR_NOT_FOUND)
            return gone(workload_kind_name(kind), name, err);
        if (!code)
            return RR_OK;
        if (code != ERR_CONFLICT || try >= APPLICATION_TRIES)
            return application_fail(err, workload_kind_name(kind), name);
        error_clear(err);
    }
}

/* --- Ingresses
 * ------------------------------------------------------------------------------------------ */

/* Where the Ingress was pointed at, when only its mark is left: all its backends are one, because
 * we have made them so. Where somebody has changed one of them since, the configuration's word for
 * it is taken. NULL: not known. */
static const char *find_service(struct run *run, struct arena *arena, const struct ingress *ingress)
{
    JSON_GUARD struct json_document *now = NULL;
    struct error ignored = ERROR_INIT;
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES);
    const char *service = NULL;
    if (json_parse(ingress->backends, strlen(ingress->backends), "backends", &now, &ignored))
        return NULL;
    const struct json *first = json_get(json_first(json_root(now)), "backend");
    bool is_one = first != NULL;
    for (const struct json *item = json_first(json_root(now)); item; item = json_next(item))
        is_one = is_one && json_equal(json_get(item, "backend"), first);
    if (is_one) {
        json_render(&text, first);
        return arena_strdup(arena, str_text(&text));
    }
    return ingress_render_service(arena, application_service(&run->spec), &service, &ignored)
               ? NULL
               : service;
}

static enum errc lost_backends(const char *name, struct error *err)
{
    error_set(err, ERR_STEP, "nobody knows where it pointed: annotation and journal are gone");
    return error_hint(err,
                      "put its backends back by hand (kubectl edit ingress %s), then remove the "
                      "annotations restore-reconciler/* from it",
                      name);
}

static void warn_ingress(const char *what, const char *name)
{
    log_warn(what, LOG_TEXT("kind", "Ingress"), LOG_TEXT("name", name));
}

/* What is to be put back; NULL: nothing is ours to put back. */
static const char *recorded_backends(enum mark mark, const struct ingress *ingress,
                                     const struct undo *entry)
{
    if (mark == MARK_OURS)
        return ingress->marked_backends || !entry ? ingress->marked_backends : entry->backends;
    if (!entry)
        return NULL;
    if ((mark == MARK_NONE || mark == MARK_BROKEN) &&
        strcmp(ingress->backends, entry->backends) != 0) {
        warn_ingress("somebody removed its annotations: the journal's backends are taken",
                     ingress->name);
        return entry->backends;
    }
    if (mark == MARK_OTHER_STATE || mark == MARK_OTHER_RUN)
        warn_ingress("another run or state has taken it away: it is left alone", ingress->name);
    return NULL;
}

static enum errc try_enable(struct run *run, struct arena *arena, const char *name,
                            const struct claim *claim, struct error *err)
{
    struct ingress ingress = {0};
    size_t left_alone = 0;
    enum errc code = ingress_get(run->store->kube, arena, name, &ingress, err);
    if (code)
        return code;
    enum mark mark = application_ingress_mark(run, &ingress, claim->only_run);
    const char *recorded = recorded_backends(mark, &ingress, claim->entry);
    if (!recorded)
        return mark == MARK_OURS ? lost_backends(name, err) : RR_OK;
    const char *service = claim->entry ? claim->entry->service : find_service(run, arena, &ingress);
    if (!service)
        return error_set(err, ERR_STEP, "its backends cannot be read: '%.200s'", ingress.backends);
    if ((code = application_may_act(run, false, err)))
        return code;
    code = ingress_enable(run->store->kube, arena, &ingress, recorded, service, &left_alone, err);
    if (code == ERR_STEP && claim->entry && recorded != claim->entry->backends) {
        log_warn("its annotation cannot be read: the journal's backends are taken",
                 LOG_TEXT("ingress", name), LOG_TEXT("cause", err->text));
        error_clear(err);
        code = ingress_enable(run->store->kube, arena, &ingress, claim->entry->backends, service,
                              &left_alone, err);
    }
    if (code)
        return code;
    if (left_alone)
        log_warn("somebody changed backends of it meanwhile: they are left as they are",
                 LOG_TEXT("ingress", name), LOG_UINT("backends", left_alone));
    log_info("pointed back at its Services", LOG_TEXT("ingress", name));
    return RR_OK;
}

static enum errc back_ingress(struct run *run, const char *name, const struct claim *claim,
                              struct error *err)
{
    for (int try = 1;; try++) {
        ARENA_GUARD struct arena arena = {0};
        enum errc code = try_enable(run, &arena, name, claim, err);
        if (code == ERR_NOT_FOUND)
            return gone("Ingress", name, err);
        if (!code)
            return RR_OK;
        if (code != ERR_CONFLICT || try >= APPLICATION_TRIES)
            return application_fail(err, "Ingress", name);
        error_clear(err);
    }
}

/* --- all of it
 * ------------------------------------------------------------------------------------------ */

/* Keeps the first failure and goes on with the others, unless nothing can be done any more. */
struct effort {
    struct error *err; /* of the first failure */
    bool is_over;
};

static void take_result(struct effort *effort, struct error *own)
{
    if (!own->code)
        return;
    if (!application_may_go_on(own->code))
        effort->is_over = true;
    if (!effort->err->code)
        *effort->err = *own;
    else
        log_error(own->text, LOG_TEXT("hint", own->hint));
}

static enum errc back_entry(struct run *run, const struct undo *entry, const char *only_run,
                            struct error *err)
{
    struct claim claim = {.only_run = only_run, .entry = entry};
    return entry->kind == UNDO_SCALE ? back_workload(run, entry->workload, entry->name, &claim, err)
                                     : back_ingress(run, entry->name, &claim, err);
}

enum errc application_bring_back(struct run *run, const struct undo *entry, struct error *err)
{
    if (!run->store->kube)
        return RR_OK;
    application_be_deaf(run, true);
    enum errc code = back_entry(run, entry, run->work_run_id, err);
    application_be_deaf(run, false);
    return code;
}

static bool is_excepted(const char *marked_run, const char *except)
{
    return except && marked_run && strcmp(marked_run, except) == 0;
}

/* A server that has just come back answers before it has read all roles: a refusal is believed only
 * when it lasts. */
static enum errc find_marked(struct run *run, struct arena *arena, unsigned kinds, bool is_sure,
                             struct application *ret_marked, struct error *err)
{
    for (int try = 1;; try++) {
        enum errc code = application_find_marked(run, arena, kinds, ret_marked, err);
        if (code != ERR_FORBIDDEN || is_sure || try >= DOUBT_TRIES ||
            cancel_is_requested(run->options->cancel))
            return code;
        error_clear(err);
        clock_sleep_ms(run->options->clock, DOUBT_PAUSE_MS, run->options->cancel);
    }
}

/* Whatever is marked: workloads before Ingresses, so that traffic finds somebody. */
static void back_marked(struct run *run, unsigned kinds, const char *only_run, const char *except,
                        size_t *ret_count, struct effort *effort)
{
    bool has_list = only_run != NULL; /* the journal's list is there, and was gone through */
    ARENA_GUARD struct arena arena = {0};
    struct application marked = {0};
    struct error own = ERROR_INIT;
    struct claim claim = {.only_run = only_run};
    enum errc code = find_marked(run, &arena, kinds, has_list, &marked, &own);
    if (code == ERR_FORBIDDEN && has_list) {
        /* What the journal knows was brought back by name. */
        log_warn("what may have been left away cannot be listed", LOG_TEXT("cause", own.text),
                 LOG_TEXT("hint", own.hint));
        return;
    }
    if (code) {
        take_result(effort, &own);
        return;
    }
    for (size_t i = 0; i < marked.workload_count && !effort->is_over; i++) {
        const struct workload *w = &marked.workloads[i];
        if (is_excepted(w->marked_run, except))
            continue;
        own = ERROR_INIT;
        ++*ret_count;
        (void)back_workload(run, w->kind, w->name, &claim, &own);
        take_result(effort, &own);
    }
    for (size_t i = 0; i < marked.ingress_count && !effort->is_over; i++) {
        const struct ingress *ingress = &marked.ingresses[i];
        if (is_excepted(ingress->marked_run, except))
            continue;
        own = ERROR_INIT;
        ++*ret_count;
        (void)back_ingress(run, ingress->name, &claim, &own);
        take_result(effort, &own);
    }
}

static bool is_of_kinds(const struct undo *entry, unsigned kinds)
{
    return (entry->kind == UNDO_SCALE && (kinds & APPLICATION_WORKLOADS)) ||
           (entry->kind == UNDO_INGRESS && (kinds & APPLICATION_INGRESSES));
}

enum errc application_bring_all_back(struct run *run, unsigned kinds, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct undo_list list = {0};
    struct error own = ERROR_INIT;
    struct effort effort = {.err = err};
    size_t count = 0;
    if (!run->store->kube)
        return RR_OK;
    application_be_deaf(run, true);
    if (undo_parse(&arena, journal_get(&run->journal, J_UNDO), &list, &own))
        take_result(&effort, &own); /* the marks tell as well */
    effort.is_over = false;
    for (size_t i = list.count; i-- > 0 && !effort.is_over;) {
        if (!is_of_kinds(&list.items[i], kinds))
            continue;
        own = ERROR_INIT;
        (void)back_entry(run, &list.items[i], run->work_run_id, &own);
        take_result(&effort, &own);
    }
    if (!effort.is_over)
        back_marked(run, kinds, run->work_run_id, NULL, &count, &effort);
    application_be_deaf(run, false);
    return err->code;
}

enum errc application_sweep(struct run *run, const char *except, struct error *err)
{
    struct effort effort = {.err = err};
    size_t count = 0;
    if (!run->store->kube)
        return RR_OK;
    application_be_deaf(run, true);
    back_marked(run, APPLICATION_ALL, NULL, except, &count, &effort);
    application_be_deaf(run, false);
    if (count)
        run_tell(run, true, "ApplicationBroughtBack",
                 "%zu objects that an earlier run had left away were brought back%s%s", count,
                 err->code ? ", not all of them: " : "", err->code ? err->text : "");
    if (count)
        log_warn("an earlier run had left the application away: it is brought back",
                 LOG_UINT("objects", count), LOG_TEXT("problem", err->code ? err->text : NULL));
    return err->code;
}

enum errc application_note_marked(struct run *run, struct undo_list *list, struct error *err)
{
    struct application marked = {0};
    enum errc code = application_find_marked(run, &run->arena, APPLICATION_ALL, &marked, err);
    if (code)
        return code;
    for (size_t i = 0; i < marked.ingress_count; i++) {
        const struct ingress *ingress = &marked.ingresses[i];
        const char *service = find_service(run, &run->arena, ingress);
        struct undo entry = {.kind = UNDO_INGRESS,
                             .name = ingress->name,
                             .service = service,
                             .backends = ingress->marked_backends};
        if (text_equal(ingress->marked_run, run->work_run_id) && service &&
            undo_can_hold(entry.backends))
            undo_add(&run->arena, list, &entry);
    }
    for (size_t i = 0; i < marked.workload_count; i++) {
        const struct workload *w = &marked.workloads[i];
        struct undo entry = {.kind = UNDO_SCALE,
                             .workload = w->kind,
                             .name = w->name,
                             .replicas = w->marked_replicas};
        if (text_equal(w->marked_run, run->work_run_id) && w->marked_replicas >= 0)
            undo_add(&run->arena, list, &entry);
    }
    return RR_OK;
}
