/*
 * Taking the application away and bringing it back, on a cluster in memory: the functions of
 * lib/kube that touch workloads and Ingresses are replaced here. The cluster can change an object
 * behind the program's back, refuse, and die: a process that dies is one to which nothing succeeds
 * any more, from a given call on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/log.h"
#include "lib/kube/rollout.h"
#include "lib/reconcile/application.h"

/* --- the cluster in memory */

enum { OBJECTS_MAX = 8, NEVER = 1 << 30 };

struct object {
    bool exists, is_ingress;
    enum workload_kind kind;
    const char *name;
    int64_t replicas;
    char backend[64]; /* of an Ingress, which has one */
    unsigned version;
    bool has_mark;
    char mark[64], run[64], state[64]; /* "": that part is missing */
};

static struct {
    struct object objects[OBJECTS_MAX];
    size_t count;
    int calls;       /* writes so far, of objects and journal */
    int dies_at;     /* the write at which the process dies */
    bool dies_after; /* that write is done, and nobody hears of it */
    bool is_dead;
    bool is_lock_lost;
    int refused_lists; /* so many lists are refused */
    enum errc refuse;  /* every write of `refused` is refused */
    const char *refused;
    int interfere_at; /* before that write somebody else runs `interfere` */
    void (*interfere)(void);
    struct workload waited_for[OBJECTS_MAX];
    size_t waited_count;
} world;

static struct object *find(bool is_ingress, enum workload_kind kind, const char *name)
{
    for (size_t i = 0; i < world.count; i++) {
        struct object *o = &world.objects[i];
        if (o->exists && o->is_ingress == is_ingress && (is_ingress || o->kind == kind) &&
            strcmp(o->name, name) == 0)
            return o;
    }
    return NULL;
}

static enum errc dead(struct error *err)
{
    return error_set(err, ERR_API, "dead");
}

/* One write begins: false when the process dies before it. */
static bool begin_write(struct error *err)
{
    int call = world.calls++;
    if (call == world.interfere_at && world.interfere)
        world.interfere();
    if (world.is_dead || (call == world.dies_at && !world.dies_after)) {
        world.is_dead = true;
        dead(err);
        return false;
    }
    return true;
}

static enum errc end_write(struct error *err)
{
    if (world.calls - 1 != world.dies_at)
        return RR_OK;
    world.is_dead = true;
    return dead(err);
}

static const char *or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static struct workload workload_of(struct arena *arena, const struct object *o)
{
    int64_t marked = -1;
    long long number;
    if (o->has_mark && sscanf(o->mark, "%lld", &number) == 1)
        marked = number;
    return (struct workload){
        .kind = o->kind,
        .name = o->name,
        .uid = o->name,
        .resource_version = arena_printf(arena, "%u", o->version),
        .replicas = o->replicas,
        .ready_replicas = o->replicas,
        .is_marked = o->has_mark,
        .marked_replicas = marked,
        .marked_run = o->has_mark ? arena_strdup(arena, or_null(o->run)) : NULL,
        .marked_state = o->has_mark ? arena_strdup(arena, or_null(o->state)) : NULL,
    };
}

static const char *record_of(struct arena *arena, const char *backend)
{
    return arena_printf(arena, "[{\"path\":\"/spec/defaultBackend\",\"backend\":%s}]", backend);
}

static struct ingress ingress_of(struct arena *arena, const struct object *o)
{
    return (struct ingress){
        .name = o->name,
        .uid = o->name,
        .resource_version = arena_printf(arena, "%u", o->version),
        .backends = record_of(arena, o->backend),
        .is_marked = o->has_mark,
        .marked_backends = o->has_mark && o->mark[0] ? record_of(arena, o->mark) : NULL,
        .marked_run = o->has_mark ? arena_strdup(arena, or_null(o->run)) : NULL,
        .marked_state = o->has_mark ? arena_strdup(arena, or_null(o->state)) : NULL,
    };
}

const char *workload_kind_name(enum workload_kind kind)
{
    return kind == WORKLOAD_DEPLOYMENT ? "Deployment" : "StatefulSet";
}

enum workload_kind workload_kind_from_name(const char *name)
{
    return strcmp(name, "Deployment") == 0    ? WORKLOAD_DEPLOYMENT
           : strcmp(name, "StatefulSet") == 0 ? WORKLOAD_STATEFUL_SET
                                              : WORKLOAD_KIND_COUNT;
}

const struct kube_resource *workload_resource(enum workload_kind kind)
{
    static const struct kube_resource resources[] = {{"apps", "v1", "deployments", false},
                                                     {"apps", "v1", "statefulsets", false}};
    return &resources[kind];
}

const struct kube_resource *ingress_resource(void)
{
    static const struct kube_resource resource = {"networking.k8s.io", "v1", "ingresses", false};
    return &resource;
}

enum errc workload_get(struct kube *kube, struct arena *arena, enum workload_kind kind,
                       const char *name, struct workload *ret_workload, struct error *err)
{
    (void)kube;
    const struct object *o = find(false, kind, name);
    if (world.is_dead)
        return dead(err);
    if (!o)
        return error_set(err, ERR_NOT_FOUND, "no '%s'", name);
    *ret_workload = workload_of(arena, o);
    return RR_OK;
}

enum errc workload_list(struct kube *kube, struct arena *arena, enum workload_kind kind,
                        const char *label_selector, struct workload **ret_workloads,
                        size_t *ret_count, struct error *err)
{
    (void)kube;
    struct workload *found = arena_array(arena, OBJECTS_MAX, sizeof *found);
    size_t count = 0;
    if (world.is_dead)
        return dead(err);
    if (world.refused_lists > 0 && world.refused_lists--)
        return error_set(err, ERR_FORBIDDEN, "no right to list");
    for (size_t i = 0; i < world.count; i++) {
        const struct object *o = &world.objects[i];
        if (o->exists && !o->is_ingress && o->kind == kind &&
            (!label_selector || strcmp(label_selector, "app=shop") == 0))
            found[count++] = workload_of(arena, o);
    }
    *ret_workloads = found;
    *ret_count = count;
    return RR_OK;
}

enum errc ingress_get(struct kube *kube, struct arena *arena, const char *name,
                      struct ingress *ret_ingress, struct error *err)
{
    (void)kube;
    const struct object *o = find(true, 0, name);
    if (world.is_dead)
        return dead(err);
    if (!o)
        return error_set(err, ERR_NOT_FOUND, "no '%s'", name);
    *ret_ingress = ingress_of(arena, o);
    return RR_OK;
}

enum errc ingress_list(struct kube *kube, struct arena *arena, const char *label_selector,
                       struct ingress **ret_ingresses, size_t *ret_count, struct error *err)
{
    (void)kube;
    struct ingress *found = arena_array(arena, OBJECTS_MAX, sizeof *found);
    size_t count = 0;
    if (world.is_dead)
        return dead(err);
    for (size_t i = 0; i < world.count; i++)
        if (world.objects[i].exists && world.objects[i].is_ingress &&
            (!label_selector || strcmp(label_selector, "app=shop") == 0))
            found[count++] = ingress_of(arena, &world.objects[i]);
    *ret_ingresses = found;
    *ret_count = count;
    return RR_OK;
}

enum errc ingress_render_service(struct arena *arena, const char *service, const char **ret_backend,
                                 struct error *err)
{
    (void)err;
    *ret_backend = arena_printf(arena, "{\"service\":{\"name\":\"%s\"}}", service);
    return RR_OK;
}

/* The write itself: `change` is run when the object is what was read. */
static enum errc write_object(struct object *o, const char *version, struct error *err)
{
    char now[16];
    if (!begin_write(err))
        return err->code;
    if (!o->exists)
        return error_set(err, ERR_NOT_FOUND, "no '%s'", o->name);
    if (world.refuse && strcmp(world.refused, o->name) == 0)
        return error_set(err, world.refuse, "refused");
    snprintf(now, sizeof now, "%u", o->version);
    if (strcmp(now, version) != 0)
        return error_set(err, ERR_CONFLICT, "changed");
    o->version++;
    return RR_OK;
}

static void set_mark(struct object *o, const char *mark, const char *run, const char *state)
{
    if (o->has_mark)
        return;
    o->has_mark = true;
    snprintf(o->mark, sizeof o->mark, "%s", mark);
    snprintf(o->run, sizeof o->run, "%s", run);
    snprintf(o->state, sizeof o->state, "%s", state);
}

enum errc workload_take_away(struct kube *kube, struct arena *arena, struct workload *workload,
                             const char *run, const char *state, struct error *err)
{
    (void)kube;
    char replicas[24];
    struct object *o = find(false, workload->kind, workload->name);
    if (!o)
        return error_set(err, ERR_NOT_FOUND, "no '%s'", workload->name);
    if (write_object(o, workload->resource_version, err))
        return err->code;
    snprintf(replicas, sizeof replicas, "%lld", (long long)o->replicas);
    set_mark(o, replicas, run, state);
    o->replicas = 0;
    *workload = workload_of(arena, o);
    return end_write(err);
}

enum errc workload_bring_back(struct kube *kube, struct arena *arena, struct workload *workload,
                              int64_t replicas, struct error *err)
{
    (void)kube;
    struct object *o = find(false, workload->kind, workload->name);
    if (!o)
        return error_set(err, ERR_NOT_FOUND, "no '%s'", workload->name);
    if (write_object(o, workload->resource_version, err))
        return err->code;
    o->has_mark = false;
    if (replicas >= 0)
        o->replicas = replicas;
    *workload = workload_of(arena, o);
    return end_write(err);
}

enum errc ingress_disable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                          const char *service_backend, const char *run, const char *state,
                          struct error *err)
{
    (void)kube;
    struct object *o = find(true, 0, ingress->name);
    if (write_object(o, ingress->resource_version, err))
        return err->code;
    set_mark(o, o->backend, run, state);
    snprintf(o->backend, sizeof o->backend, "%s", service_backend);
    *ingress = ingress_of(arena, o);
    return end_write(err);
}

enum errc ingress_enable(struct kube *kube, struct arena *arena, struct ingress *ingress,
                         const char *recorded, const char *service_backend, size_t *ret_left_alone,
                         struct error *err)
{
    (void)kube;
    struct object *o = find(true, 0, ingress->name);
    char *wanted = arena_strdup(arena, recorded ? recorded : ingress->marked_backends);
    if (write_object(o, ingress->resource_version, err))
        return err->code;
    char *backend = strstr(wanted, "\"backend\":") + strlen("\"backend\":");
    backend[strlen(backend) - 2] = '\0';
    *ret_left_alone = strcmp(o->backend, service_backend) != 0;
    if (!*ret_left_alone)
        snprintf(o->backend, sizeof o->backend, "%s", backend);
    o->has_mark = false;
    return end_write(err);
}

enum errc rollout_wait_gone(const struct rollout *rollout, const struct workload *workloads,
                            size_t count, struct error *err)
{
    if (world.is_dead)
        return dead(err);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(workloads[i].replicas, 0);
    assert_int_equal(rollout->deadline_ms, 600000);
    return rollout->may_go_on(rollout->context, err);
}

enum errc rollout_wait_ready(const struct rollout *rollout, const struct workload *workloads,
                             size_t count, struct error *err)
{
    (void)rollout;
    if (world.is_dead)
        return dead(err);
    memcpy(world.waited_for, workloads, count * sizeof *workloads);
    world.waited_count = count;
    return RR_OK;
}

/* --- the store in memory */

static struct {
    struct arena arena;
    struct journal_data data;
} stored;

static enum errc store_read_journal(struct store *store, struct arena *arena,
                                    struct journal_data *ret_journal, struct error *err)
{
    (void)store;
    (void)arena;
    (void)err;
    *ret_journal = stored.data;
    return RR_OK;
}

static enum errc store_write_journal(struct store *store, struct journal_data *journal,
                                     struct error *err)
{
    (void)store;
    if (!begin_write(err))
        return err->code;
    stored.data = (struct journal_data){
        .names = arena_array(&stored.arena, journal->count, sizeof(char *)),
        .values = arena_array(&stored.arena, journal->count, sizeof(char *)),
        .count = journal->count,
        .exists = true,
        .version = journal->version + 1,
    };
    for (size_t i = 0; i < journal->count; i++) {
        stored.data.names[i] = arena_strdup(&stored.arena, journal->names[i]);
        stored.data.values[i] = arena_strdup(&stored.arena, journal->values[i]);
    }
    journal->version++;
    journal->exists = true;
    return end_write(err);
}

static enum errc check_lock(struct store *store, uint64_t need_ms, struct error *err)
{
    (void)store;
    (void)need_ms;
    if (world.is_dead)
        return dead(err);
    return world.is_lock_lost ? error_set(err, ERR_FENCE_LOST, "the Lease is lost") : RR_OK;
}

static const struct store_ops ops = {.journal_read = store_read_journal,
                                     .journal_write = store_write_journal,
                                     .check_lock = check_lock};

/* --- one process */

struct process {
    struct store store;
    struct run_options options;
    struct run run;
    struct kube *kube;
    struct kubeconfig config;
};

#define WEB "{\"service\":{\"name\":\"web\"}}"
#define SORRY "{\"service\":{\"name\":\"restore-reconciler-maintenance\"}}"

static const struct object shop[] = {
    {.exists = true, .name = "web", .replicas = 3},
    {.exists = true, .name = "worker", .replicas = 2},
    {.exists = true, .name = "cron", .replicas = 0},
    {.exists = true, .name = "web", .kind = WORKLOAD_STATEFUL_SET, .replicas = 1},
    {.exists = true, .name = "web", .is_ingress = true, .backend = WEB},
};
enum { SHOP_COUNT = sizeof shop / sizeof *shop };

static void begin_world(void)
{
    memset(&world, 0, sizeof world);
    memcpy(world.objects, shop, sizeof shop);
    world.count = SHOP_COUNT;
    world.dies_at = world.interfere_at = NEVER;
    arena_release(&stored.arena);
    stored.data = (struct journal_data){0};
}

/* A process that works for the run `work_run_id`, with what the store has as its journal. */
static void start(struct process *p, const char *work_run_id)
{
    static struct spec_step pre_steps[] = {{.kind = SPEC_STEP_DISABLE_INGRESS},
                                           {.kind = SPEC_STEP_SCALE_DEPLOYMENTS}};
    static struct spec_step post_steps[] = {{.kind = SPEC_STEP_SCALE_DEPLOYMENTS},
                                            {.kind = SPEC_STEP_ENABLE_INGRESS}};
    struct error err = ERROR_INIT;
    *p = (struct process){.config = {.server = "http://127.0.0.1:1", .namespace_name = "shop"}};
    struct kube_options kube_options = {.config = &p->config};
    assert_int_equal(kube_open(&kube_options, &p->kube, &err), RR_OK);
    p->store = (struct store){.ops = &ops, .name = "restore-state", .kube = p->kube};
    p->options = (struct run_options){.store = &p->store, .clock = clock_system()};
    p->run = (struct run){.options = &p->options, .store = &p->store, .work_run_id = work_run_id};
    p->run.spec = (struct spec){
        .database = "shop",
        .application = {.selector = "app=shop", .timeout_s = 600},
        .pre_steps = pre_steps,
        .pre_step_count = 2,
        .post_steps = post_steps,
        .post_step_count = 2,
    };
    world.is_dead = false;
    world.calls = 0;
    assert_int_equal(journal_read(&p->store, &p->run.journal, &err), RR_OK);
}

static void end(struct process *p)
{
    kube_close(p->kube);
    journal_release(&p->run.journal);
    arena_release(&p->run.arena);
}

static enum errc take_away(struct process *p, struct error *err)
{
    enum errc code = application_disable_ingresses(&p->run, 0, err);
    return code ? code : application_scale_down(&p->run, 1, err);
}

static void assert_away(void)
{
    for (size_t i = 0; i < world.count; i++) {
        const struct object *o = &world.objects[i];
        if (o->is_ingress)
            assert_string_equal(o->backend, SORRY);
        else
            assert_int_equal(o->replicas, 0);
        assert_int_equal(o->has_mark, strcmp(o->name, "cron") != 0);
    }
}

static void assert_back(const char *what, int at)
{
    for (size_t i = 0; i < SHOP_COUNT; i++) {
        const struct object *o = &world.objects[i];
        if (o->has_mark || o->replicas != shop[i].replicas ||
            strcmp(o->backend, shop[i].backend) != 0)
            fail_msg("%s, died at %d: object %zu '%s' has %lld replicas, backend %s, mark %d", what,
                     at, i, o->name, (long long)o->replicas, o->backend, o->has_mark);
    }
}

/* --- tests */

static void test_away_and_back(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    assert_away();
    assert_true(p.run.application_off_ms > 0);
    assert_int_equal(post_steps_apply(&p.run, &err), RR_OK);
    assert_back("postSteps", -1);
    assert_int_equal(world.waited_count, 3);
    assert_string_equal(journal_get(&p.run.journal, J_UNDO), "");
    end(&p);
}

/* Danger 11: wherever the first process dies, and however often the following ones do. */
static void recover_until_done(const char *what, int died_at, bool loses_journal, bool loses_marks)
{
    if (loses_journal)
        stored.data = (struct journal_data){0};
    for (size_t i = 0; i < world.count && loses_marks; i++)
        world.objects[i].has_mark = false;
    for (int dies_at = 0;; dies_at++) {
        struct process p;
        struct error err = ERROR_INIT, own = ERROR_INIT;
        start(&p, "r1");
        world.dies_at = dies_at;
        world.dies_after = dies_at % 2;
        bool is_undone = pre_steps_undo(&p.run, &err) == RR_OK;
        bool is_swept = application_sweep(&p.run, NULL, &own) == RR_OK;
        bool has_died = world.is_dead;
        end(&p);
        if (!has_died) {
            if (!is_undone || !is_swept)
                fail_msg("%s, died at %d: %s%s", what, died_at, err.text, own.text);
            break;
        }
    }
    assert_back(what, died_at);
}

static void test_whoever_dies_the_application_comes_back(void **state)
{
    (void)state;
    for (int variant = 0; variant < 6; variant++) {
        bool has_died = true;
        for (int dies_at = 0; has_died; dies_at++) {
            struct process p;
            struct error err = ERROR_INIT;
            begin_world();
            start(&p, "r1");
            world.dies_at = dies_at;
            world.dies_after = variant % 2;
            (void)take_away(&p, &err);
            has_died = world.is_dead;
            end(&p);
            recover_until_done("undo", dies_at, variant / 2 == 1, variant / 2 == 2);
        }
    }
}

static void test_post_steps_are_finished_by_another_process(void **state)
{
    (void)state;
    bool has_died = true;
    for (int dies_at = 0; has_died; dies_at++) {
        struct process p;
        struct error err = ERROR_INIT;
        begin_world();
        start(&p, "r1");
        assert_int_equal(take_away(&p, &err), RR_OK);
        world.calls = 0;
        world.dies_at = dies_at;
        world.dies_after = dies_at % 2;
        has_died = post_steps_apply(&p.run, &err) != RR_OK;
        end(&p);
        err = ERROR_INIT;
        start(&p, "r1");
        world.dies_at = NEVER;
        assert_int_equal(post_steps_apply(&p.run, &err), RR_OK);
        assert_back("postSteps", dies_at);
        assert_string_equal(journal_get(&p.run.journal, J_UNDO), "");
        end(&p);
    }
}

/* Danger 26. */
static void test_who_lost_the_lock_touches_nothing(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    world.is_lock_lost = true;
    assert_int_equal(take_away(&p, &err), ERR_FENCE_LOST);
    assert_back("nothing was touched", -1);
    world.is_lock_lost = false;
    err = ERROR_INIT;
    assert_int_equal(take_away(&p, &err), RR_OK);
    world.is_lock_lost = true;
    assert_int_equal(pre_steps_undo(&p.run, &err), ERR_FENCE_LOST);
    err = ERROR_INIT;
    assert_int_equal(post_steps_apply(&p.run, &err), ERR_FENCE_LOST);
    err = ERROR_INIT;
    assert_int_equal(application_sweep(&p.run, NULL, &err), ERR_FENCE_LOST);
    assert_away();
    assert_true(journal_get(&p.run.journal, J_UNDO)[0] != '\0');
    end(&p);
}

/* Danger 26: the mark is of the run that took over. */
static void test_what_another_run_took_away_is_not_brought_back(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    for (size_t i = 0; i < world.count; i++)
        snprintf(world.objects[i].run, sizeof world.objects[i].run, "r2");
    assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
    assert_away();
    /* Also not while that run is unfinished; after it, whoever's it was. */
    assert_int_equal(application_sweep(&p.run, "r2", &err), RR_OK);
    assert_away();
    assert_int_equal(application_sweep(&p.run, NULL, &err), RR_OK);
    assert_back("swept", -1);
    end(&p);
}

static void no_sleep(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    (void)clock;
    (void)ms;
    (void)cancel;
}

/* Never: an application that stays away because one answer of a starting server was believed. */
static void test_a_refused_list_is_not_taken_for_an_empty_one(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    struct clock clock = *clock_system();
    clock.sleep_ms = no_sleep;
    begin_world();
    start(&p, "r1");
    p.options.clock = &clock;
    assert_int_equal(take_away(&p, &err), RR_OK);
    world.refused_lists = 1000;
    assert_int_equal(application_sweep(&p.run, NULL, &err), ERR_FORBIDDEN);
    assert_away();
    err = ERROR_INIT;
    world.refused_lists = 3;
    assert_int_equal(application_sweep(&p.run, NULL, &err), RR_OK);
    assert_back("swept", -1);
    end(&p);
}

static void test_what_another_state_took_away_is_never_touched(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    for (size_t i = 0; i < world.count; i++)
        snprintf(world.objects[i].state, sizeof world.objects[i].state, "blog");
    assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
    assert_int_equal(application_sweep(&p.run, NULL, &err), RR_OK);
    assert_away();
    end(&p);
}

static void scale_web_to_5(void)
{
    struct object *o = find(false, WORKLOAD_DEPLOYMENT, "web");
    o->replicas = 5;
    o->version++;
}

/* An autoscaler at the very moment: what it set is what is brought back. */
static void test_a_conflict_is_read_and_decided_again(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    world.interfere = scale_web_to_5;
    world.interfere_at = 3; /* journal, Ingress, journal, web */
    assert_int_equal(take_away(&p, &err), RR_OK);
    assert_away();
    assert_string_equal(find(false, WORKLOAD_DEPLOYMENT, "web")->mark, "5");
    assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
    assert_int_equal(find(false, WORKLOAD_DEPLOYMENT, "web")->replicas, 5);
    end(&p);
}

static void touch_all(void)
{
    for (size_t i = 0; i < world.count; i++)
        world.objects[i].version++;
}

static void test_a_conflict_when_it_is_brought_back(void **state)
{
    (void)state;
    static void (*const others[])(void) = {touch_all, scale_web_to_5};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        for (int at = 0; at < 4; at++) {
            struct process p;
            struct error err = ERROR_INIT;
            begin_world();
            start(&p, "r1");
            assert_int_equal(take_away(&p, &err), RR_OK);
            world.calls = 0;
            world.interfere = others[i];
            world.interfere_at = at;
            assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
            int64_t *web = &find(false, WORKLOAD_DEPLOYMENT, "web")->replicas;
            if (others[i] == scale_web_to_5 && *web == 5)
                *web = 3; /* somebody else's word stands */
            assert_back("conflict", at);
            end(&p);
        }
    }
}

static void scale_web_to_0(void)
{
    scale_web_to_5();
    find(false, WORKLOAD_DEPLOYMENT, "web")->replicas = 0;
}

static void test_what_somebody_scaled_to_0_stays_there(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    world.interfere = scale_web_to_0;
    world.interfere_at = 3;
    assert_int_equal(take_away(&p, &err), RR_OK);
    assert_false(find(false, WORKLOAD_DEPLOYMENT, "web")->has_mark);
    assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
    assert_int_equal(find(false, WORKLOAD_DEPLOYMENT, "web")->replicas, 0);
    assert_int_equal(find(false, WORKLOAD_DEPLOYMENT, "worker")->replicas, 2);
    assert_int_equal(find(false, WORKLOAD_DEPLOYMENT, "cron")->replicas, 0);
    end(&p);
}

static void test_what_somebody_scaled_up_meanwhile_is_left_so(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    scale_web_to_5();
    find(false, WORKLOAD_DEPLOYMENT, "worker")->exists = false;
    assert_int_equal(post_steps_apply(&p.run, &err), RR_OK);
    assert_int_equal(find(false, WORKLOAD_DEPLOYMENT, "web")->replicas, 5);
    assert_false(find(false, WORKLOAD_DEPLOYMENT, "web")->has_mark);
    assert_int_equal(find(false, WORKLOAD_STATEFUL_SET, "web")->replicas, 1);
    end(&p);
}

static void test_one_that_cannot_be_brought_back_keeps_no_other_away(void **state)
{
    (void)state;
    static const enum errc refusals[] = {ERR_FORBIDDEN, ERR_REJECTED, ERR_CONFLICT};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct process p;
        struct error err = ERROR_INIT;
        begin_world();
        start(&p, "r1");
        assert_int_equal(take_away(&p, &err), RR_OK);
        world.refuse = refusals[i];
        world.refused = "worker";
        assert_int_equal(pre_steps_undo(&p.run, &err), ERR_STEP);
        assert_non_null(strstr(err.text, "Deployment 'worker'"));
        assert_int_equal(find(false, WORKLOAD_DEPLOYMENT, "web")->replicas, 3);
        assert_int_equal(find(false, WORKLOAD_STATEFUL_SET, "web")->replicas, 1);
        assert_string_equal(find(true, 0, "web")->backend, WEB);
        /* What is left stands in the journal, alone. */
        assert_string_equal(journal_get(&p.run.journal, J_UNDO),
                            "[{\"preStep\":1,\"scale\":{\"kind\":\"Deployment\",\"name\":"
                            "\"worker\",\"replicas\":2}}]");
        world.refuse = RR_OK;
        err = ERROR_INIT;
        assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
        assert_back("refused once", -1);
        end(&p);
    }
}

static void test_an_old_mark_on_what_is_there_is_replaced(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    set_mark(find(false, WORKLOAD_DEPLOYMENT, "web"), "9", "r0", "restore-state");
    set_mark(find(false, WORKLOAD_DEPLOYMENT, "worker"), "9", "", "");
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    assert_away();
    assert_string_equal(find(false, WORKLOAD_DEPLOYMENT, "web")->mark, "3");
    assert_string_equal(find(false, WORKLOAD_DEPLOYMENT, "worker")->mark, "2");
    assert_int_equal(pre_steps_undo(&p.run, &err), RR_OK);
    assert_back("old marks", -1);
    end(&p);
}

static void test_what_an_earlier_run_left_away_is_not_taken_for_ours(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    set_mark(find(false, WORKLOAD_DEPLOYMENT, "web"), "9", "r0", "restore-state");
    find(false, WORKLOAD_DEPLOYMENT, "web")->replicas = 0;
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), ERR_STEP);
    assert_non_null(strstr(err.text, "'r0'"));
    end(&p);
}

static void test_a_lost_journal_is_written_anew_from_the_marks(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    begin_world();
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    end(&p);
    stored.data = (struct journal_data){0};
    start(&p, "r1");
    assert_int_equal(record_all_undos(&p.run, &err), RR_OK);
    for (size_t i = 0; i < world.count; i++)
        world.objects[i].has_mark = false; /* so that only the list can tell */
    assert_int_equal(post_steps_apply(&p.run, &err), RR_OK);
    assert_back("rebuilt", -1);
    assert_int_equal(world.waited_count, 3);
    end(&p);
}

/* Never: a journal that nobody can read, because an annotation was copied into it. */
static void test_a_mark_that_is_nonsense_is_not_copied_into_the_journal(void **state)
{
    (void)state;
    struct process p;
    struct error err = ERROR_INIT;
    struct undo_list list = {0};
    begin_world();
    start(&p, "r1");
    assert_int_equal(take_away(&p, &err), RR_OK);
    end(&p);
    stored.data = (struct journal_data){0};
    struct object *ingress = find(true, 0, "web");
    snprintf(ingress->mark, sizeof ingress->mark, "{");
    start(&p, "r1");
    assert_int_equal(record_all_undos(&p.run, &err), RR_OK);
    assert_int_equal(undo_parse(&p.run.arena, journal_get(&p.run.journal, J_UNDO), &list, &err),
                     RR_OK);
    assert_int_equal(list.count, 3);
    assert_null(undo_find(&list, UNDO_INGRESS, 0, "web"));
    end(&p);
}

static void test_names_and_selectors_that_find_nothing(void **state)
{
    (void)state;
    static const char *no_such[] = {"no-such"};
    struct process p;
    struct error err = ERROR_INIT;
    struct application a = {0};
    begin_world();
    start(&p, "r1");
    struct findings findings = {.arena = &p.run.arena};
    p.run.spec.application.selector = "app=none";
    assert_int_equal(application_find(&p.run, &p.run.arena, APPLICATION_ALL, &a, &findings, &err),
                     RR_OK);
    assert_int_equal(findings.count, 2);
    assert_non_null(strstr(findings.items[0], "'app=none' matches no Deployment"));
    assert_non_null(strstr(findings.items[1], "'app=none' matches no Ingress"));
    assert_int_equal(take_away(&p, &err), ERR_STEP);
    err = ERROR_INIT;
    findings.count = 0;
    p.run.spec.application.selector = NULL;
    p.run.spec.application.deployments = (struct spec_names){no_such, 1};
    p.run.spec.application.ingresses = (struct spec_names){no_such, 1};
    assert_int_equal(application_find(&p.run, &p.run.arena, APPLICATION_ALL, &a, &findings, &err),
                     RR_OK);
    assert_int_equal(findings.count, 2);
    assert_non_null(strstr(findings.items[0], "Deployment 'no-such'"));
    assert_non_null(strstr(findings.items[1], "Ingress 'no-such'"));
    end(&p);
}

static void test_what_was_named_twice_is_taken_once(void **state)
{
    (void)state;
    static const char *names[] = {"web", "cron", "web"};
    struct process p;
    struct error err = ERROR_INIT;
    struct application a = {0};
    begin_world();
    start(&p, "r1");
    p.run.spec.application.deployments = (struct spec_names){names, 3};
    p.run.spec.application.ingresses = (struct spec_names){names, 1};
    assert_int_equal(application_find(&p.run, &p.run.arena, APPLICATION_ALL, &a, NULL, &err),
                     RR_OK);
    assert_int_equal(a.workload_count, 4);
    assert_int_equal(a.ingress_count, 1);
    end(&p);
}

int main(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_away_and_back),
        cmocka_unit_test(test_whoever_dies_the_application_comes_back),
        cmocka_unit_test(test_post_steps_are_finished_by_another_process),
        cmocka_unit_test(test_who_lost_the_lock_touches_nothing),
        cmocka_unit_test(test_what_another_run_took_away_is_not_brought_back),
        cmocka_unit_test(test_a_refused_list_is_not_taken_for_an_empty_one),
        cmocka_unit_test(test_what_another_state_took_away_is_never_touched),
        cmocka_unit_test(test_a_conflict_is_read_and_decided_again),
        cmocka_unit_test(test_a_conflict_when_it_is_brought_back),
        cmocka_unit_test(test_what_somebody_scaled_to_0_stays_there),
        cmocka_unit_test(test_what_somebody_scaled_up_meanwhile_is_left_so),
        cmocka_unit_test(test_one_that_cannot_be_brought_back_keeps_no_other_away),
        cmocka_unit_test(test_an_old_mark_on_what_is_there_is_replaced),
        cmocka_unit_test(test_what_an_earlier_run_left_away_is_not_taken_for_ours),
        cmocka_unit_test(test_a_lost_journal_is_written_anew_from_the_marks),
        cmocka_unit_test(test_a_mark_that_is_nonsense_is_not_copied_into_the_journal),
        cmocka_unit_test(test_names_and_selectors_that_find_nothing),
        cmocka_unit_test(test_what_was_named_twice_is_taken_once),
    };
    return cmocka_run_group_tests_name("reconcile/application", tests, NULL, NULL);
}
