#include "lib/state/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/kube/event.h"
#include "lib/net/certificate.h"
#include "lib/net/digest.h"
#include "lib/state/cluster_internal.h"
#include "lib/state/statefile.h"

#define APPLIED_KEY "lastAppliedTimestamp"
#define JOURNAL_SUFFIX "-journal"
#define LEASE_PREFIX "restore-reconciler-"

enum {
    OBJECT_NAME_MAX = 253, /* of any object: a DNS subdomain */
    LEASE_DURATION_S = 60,
    LEASE_MIN_S = 6,
    LEASE_MAX_S = 3600,
    SILENT_MIN_S = 15,       /* live holders of the database lock ping every 5 s */
    PATIENCE_MS = 30 * 1000, /* nothing is begun: the next run of the CronJob comes anyway */
};

const char *cluster_kubectl(const struct cluster *self, struct arena *arena)
{
    const char *context = self->context ? self->context : "";
    return arena_printf(arena, "kubectl%s%s -n %s", *context ? " --context " : "", context,
                        self->config.namespace_name);
}

/* --- the user's ConfigMap */

static void remember_state(struct cluster *self, const struct configmap *map)
{
    struct arena fresh = {0};
    self->state = configmap_copy(&fresh, map);
    arena_release(&self->state_arena);
    self->state_arena = fresh;
    self->has_state = true;
}

static enum errc missing(const struct cluster *self, const char *what, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    error_set(err, ERR_STATE_MISSING, "%s %s (%s)", self->base.place, what, self->config.origin);
    return error_hint(err,
                      "create it: `%s apply -f %s.yaml` (the README shows one), or name the one "
                      "that exists with --namespace, --name and --context",
                      cluster_kubectl(self, &arena), self->base.name);
}

static enum errc take_key(const struct cluster *self, const char *key, const char *value,
                          struct state_view *view, struct error *err)
{
    if (state_view_set(view, key, value))
        return RR_OK;
    const char *near = state_view_nearest(key);
    return near ? error_set(err, ERR_CONFIG, "%s: unknown key '%.60s': did you mean '%s'?",
                            self->base.place, key, near)
                : RR_OK;
}

static enum errc cluster_read(struct store *store, struct arena *arena, struct state_view *ret_view,
                              struct error *err)
{
    struct cluster *self = cluster_of(store);
    struct configmap map;
    struct state_view view = {
        .spec_name = arena_printf(arena, "%s: restore.yaml", store->place),
    };
    enum errc code = configmap_read(self->kube, arena, store->name, APPLIED_KEY, &map,
                                    &view.applied_manager, err);
    if (code == ERR_NOT_FOUND) {
        error_clear(err);
        return missing(self, "does not exist", err);
    }
    if (code)
        return code;
    remember_state(self, &map);
    if (map.is_being_deleted)
        return missing(self, "is being deleted", err);
    if (map.is_immutable) {
        error_set(err, ERR_CONFIG, "%s is immutable: " APPLIED_KEY " could not be written",
                  store->place);
        return error_hint(err, "make it anew without `immutable: true`");
    }
    for (size_t i = 0; i < map.count && !code; i++)
        code = take_key(self, map.keys[i], map.values[i], &view, err);
    if (code)
        return code;
    *ret_view = view;
    return RR_OK;
}

static enum errc cluster_publish(struct store *store, const char *expected, const char *applied,
                                 struct error *err)
{
    struct cluster *self = cluster_of(store);
    ARENA_GUARD struct arena arena = {0};
    struct state_view view;
    if (!self->has_state && cluster_read(store, &arena, &view, err))
        return err->code;
    if (!text_equal(expected, configmap_get(&self->state, APPLIED_KEY)))
        return error_set(err, ERR_CONFLICT,
                         "lastAppliedTimestamp was changed by somebody else meanwhile");
    enum errc code = configmap_set_key(self->kube, &self->state, APPLIED_KEY, applied, err);
    self->has_state = false; /* another version than we know now */
    return code;
}

/* --- the lock */

enum {
    WRITE_NEED_MS = 30 * 1000, /* what one request may take: none outlasts the Lease */
    LEASE_WAIT_MS = 5000,
};

/* As patient as every other call: a run that has waited once does not wait as long again. How
 * patient they are is asked anew now and then: it may be told to stop while it waits. */
static enum errc wait_for_lease(struct cluster *self, uint64_t need_ms, struct error *err)
{
    const struct cancel *cancel = self->is_deaf ? NULL : self->cancel;
    for (uint64_t waited_ms = 0;; waited_ms += LEASE_WAIT_MS) {
        uint64_t patience_ms = kube_patience(self->kube);
        uint64_t left_ms = patience_ms > waited_ms ? patience_ms - waited_ms : 0;
        enum errc code = lease_check(
            self->lease, need_ms, left_ms < LEASE_WAIT_MS ? left_ms : LEASE_WAIT_MS, cancel, err);
        if (code != ERR_API || left_ms <= LEASE_WAIT_MS)
            return code;
        error_clear(err);
    }
}

static enum errc may_write(void *context, struct error *err)
{
    return wait_for_lease(context, WRITE_NEED_MS, err);
}

static enum errc cluster_lock(struct store *store, bool *ret_is_held, struct error *err)
{
    struct cluster *self = cluster_of(store);
    if (self->lease) {
        *ret_is_held = true;
        enum errc held = lease_check(self->lease, 0, 0, NULL, err);
        if (held == ERR_API) /* not lost: store_check_lock() waits for the server */
            error_clear(err);
        return held == ERR_API ? RR_OK : held;
    }
    uint8_t random[10];
    STR_GUARD struct str identity = STR_INIT(512);
    random_bytes(random, sizeof random);
    str_printf(&identity, "%s_", self->pod);
    base32_render(&identity, random, sizeof random);
    struct lease_options options = {
        .config = &self->config,
        .name = self->lease_name,
        .identity = str_text(&identity),
        .duration_s = self->lease_duration_s,
        .cancel = self->cancel,
    };
    const char *holder = NULL;
    enum errc code = lease_acquire(&options, &self->arena, &self->lease, &holder, err);
    if (code)
        return code;
    store->holder = holder;
    *ret_is_held = self->lease != NULL;
    if (self->lease) {
        kube_set_patience(self->kube, CLUSTER_LONG_PATIENCE_MS);
        kube_set_write_guard(self->kube, may_write, self);
        log_debug("lease taken", LOG_TEXT("lease", self->lease_name),
                  LOG_TEXT("identity", str_text(&identity)));
    }
    return RR_OK;
}

static enum errc cluster_check_lock(struct store *store, uint64_t need_ms, struct error *err)
{
    struct cluster *self = cluster_of(store);
    if (!self->lease)
        return error_set(err, ERR_BUG, "the lock is asked for before it was taken");
    return wait_for_lease(self, need_ms, err);
}

static void cluster_set_deaf(struct store *store, bool is_deaf)
{
    struct cluster *self = cluster_of(store);
    self->is_deaf = is_deaf;
    kube_set_deaf(self->kube, is_deaf);
}

/* --- telling */

/* A missing right is said once; a server that is away is not worth a line for each event. */
static void cluster_tell(struct store *store, const struct store_news *news)
{
    struct cluster *self = cluster_of(store);
    struct error err = ERROR_INIT;
    struct event event = {
        .regarding_name = store->name,
        .regarding_uid = self->state.uid,
        .is_warning = news->is_warning,
        .reason = news->reason,
        .action = news->action,
        .note = news->text,
        .instance = self->pod,
    };
    kube_set_deaf(self->kube, true); /* a run that is told to stop has something to say, too */
    kube_set_write_guard(self->kube, NULL, NULL); /* and one that has lost the lock */
    enum errc code = event_post(self->kube, &event, &err);
    kube_set_write_guard(self->kube, self->lease ? may_write : NULL, self);
    kube_set_deaf(self->kube, self->is_deaf);
    if (!code)
        return;
    if (self->has_failed_to_tell)
        log_debug("event not posted", LOG_TEXT("cause", err.text));
    else
        log_warn("no event can be posted: nothing depends on it", LOG_TEXT("cause", err.text),
                 LOG_TEXT("hint", err.hint));
    self->has_failed_to_tell = true;
}

/* --- opening and closing */

static void cluster_close(struct store *store)
{
    struct cluster *self = cluster_of(store);
    lease_close(self->lease, true);
    kube_close(self->kube);
    kubeconfig_release(&self->config);
    arena_release(&self->journal_arena);
    arena_release(&self->state_arena);
    arena_release(&self->arena);
    free(self);
}

static enum errc read_ca(const char *path, struct str *ret_pem, struct error *err)
{
    FILE *file = fopen(path, "re");
    char piece[4096];
    if (!file)
        return error_set(err, ERR_IO, "cannot read the CA file '%s'", path);
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        str_append_bytes(ret_pem, piece, n);
    fclose(file);
    return str_check(ret_pem, path, err);
}

/* The same cluster has the same authority, whatever address it is reached by. */
static enum errc make_ref(struct cluster *self, struct error *err)
{
    const struct kubeconfig *config = &self->config;
    STR_GUARD struct str pem = STR_INIT(LIMIT_PEM_BYTES);
    char hex[SHA256_HEX_SIZE] = "";
    enum errc code = RR_OK;
    if (config->ca_pem)
        str_append(&pem, config->ca_pem);
    else if (config->ca_file)
        code = read_ca(config->ca_file, &pem, err);
    if (!code && pem.length)
        code = certificate_key_hash(str_text(&pem), pem.length, hex, err);
    if (code)
        return error_wrap(err, "%s", config->origin);
    const char *text = arena_printf(&self->arena, "%s %s %s", hex[0] ? hex : config->server,
                                    config->namespace_name, self->base.name);
    sha256_hex(text, strlen(text), hex);
    self->base.ref = arena_printf(&self->arena, "cluster-%.24s", hex);
    return RR_OK;
}

static bool is_subdomain(const char *name)
{
    size_t length = strlen(name);
    bool is_part_begin = true;
    for (const char *p = name; *p; p++) {
        bool is_word = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
        if (!is_word && (is_part_begin || (*p != '-' && *p != '.') || (*p == '.' && p[-1] == '-')))
            return false;
        is_part_begin = *p == '.';
    }
    return length > 0 && name[length - 1] != '-' && name[length - 1] != '.';
}

static enum errc check_options(const struct cluster_options *options, struct error *err)
{
    size_t most = OBJECT_NAME_MAX - strlen(LEASE_PREFIX);
    unsigned duration_s = options->lease_duration_s;
    if (!is_subdomain(options->name) || strlen(options->name) > most) {
        error_set(err, ERR_USAGE, "--name '%.80s' cannot name a ConfigMap", options->name);
        return error_hint(err,
                          "lower-case letters, digits, '-' and '.', at most %zu bytes, so that "
                          "'" LEASE_PREFIX "NAME' is a name as well",
                          most);
    }
    if (duration_s && (duration_s < LEASE_MIN_S || duration_s > LEASE_MAX_S))
        return error_set(err, ERR_USAGE, "'--lease-duration' must be from %d to %d seconds",
                         LEASE_MIN_S, LEASE_MAX_S);
    return RR_OK;
}

static const char *who_we_are(struct arena *arena)
{
    const char *pod = getenv("POD_NAME");
    char host[256] = "";
    if (pod && *pod)
        return arena_printf(arena, "%.253s", pod);
    (void)gethostname(host, sizeof host - 1);
    return arena_strdup(arena, host[0] ? host : "unknown");
}

static void name_everything(struct cluster *self, const struct cluster_options *options)
{
    struct arena *arena = &self->arena;
    unsigned duration_s = options->lease_duration_s ? options->lease_duration_s : LEASE_DURATION_S;
    self->cancel = options->cancel;
    self->context = arena_strdup(arena, options->kubeconfig.context);
    self->pod = who_we_are(arena);
    self->lease_duration_s = duration_s;
    self->base.name = arena_strdup(arena, options->name);
    self->base.silent_holder_s = duration_s > SILENT_MIN_S ? duration_s : SILENT_MIN_S;
    self->base.place =
        arena_printf(arena, "ConfigMap %s/%s", self->config.namespace_name, options->name);
    self->journal_name = arena_printf(arena, "%s" JOURNAL_SUFFIX, options->name);
    self->lease_name = arena_printf(arena, LEASE_PREFIX "%s", options->name);
}

enum errc cluster_open(const struct cluster_options *options, struct store **ret_store,
                       struct error *err)
{
    static const struct store_ops ops = {
        .read = cluster_read,
        .publish = cluster_publish,
        .journal_read = cluster_journal_read,
        .journal_write = cluster_journal_write,
        .lock = cluster_lock,
        .check_lock = cluster_check_lock,
        .set_deaf = cluster_set_deaf,
        .tell = cluster_tell,
        .close = cluster_close,
    };
    enum errc code = check_options(options, err);
    if (code)
        return code;
    struct cluster *self = mem_alloc(sizeof *self);
    self->base.ops = &ops;
    STORE_GUARD struct store *store = &self->base;
    if ((code = kubeconfig_load(&options->kubeconfig, &self->arena, &self->config, err)))
        return code;
    name_everything(self, options);
    struct kube_options kube_options = {
        .config = &self->config, .cancel = options->cancel, .patience_ms = PATIENCE_MS};
    if ((code = make_ref(self, err)) || (code = kube_open(&kube_options, &self->kube, err)))
        return code;
    self->base.kube = self->kube;
    *ret_store = store;
    store = NULL;
    return RR_OK;
}
