/*
 * The journal's ConfigMap. Compare-and-swap with uid and resourceVersion; the token that the caller
 * holds stands for those of the last read or write.
 */
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/state/cluster_internal.h"

enum { ANEW_NEED_MS = 2000 }; /* the Lease must be ours for that long to make the journal anew */

static void remember_journal(struct cluster *self, const struct configmap *map)
{
    struct arena fresh = {0};
    bool is_same = map && self->has_journal && strcmp(map->uid, self->journal.uid) == 0 &&
                   strcmp(map->resource_version, self->journal.resource_version) == 0;
    struct configmap copy = map ? configmap_copy(&fresh, map) : (struct configmap){0};
    if (!is_same && (map || self->has_journal))
        self->journal_version++;
    arena_release(&self->journal_arena);
    self->journal_arena = fresh;
    self->journal = copy;
    self->has_journal = map != NULL;
    self->has_pending = false;
}

/* Ours, and can be written: found before anything is changed. */
static enum errc check_ours(const struct cluster *self, const struct configmap *map,
                            struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    bool is_ours = text_equal(map->managed_by, KUBE_FIELD_MANAGER);
    if (is_ours && !map->is_immutable)
        return RR_OK;
    if (is_ours)
        error_set(err, ERR_JOURNAL_CORRUPT, "ConfigMap '%s/%s' is immutable: it cannot be written",
                  self->config.namespace_name, map->name);
    else
        error_set(err, ERR_JOURNAL_CORRUPT,
                  "ConfigMap '%s/%s' is not a journal of restore-reconciler: its label "
                  "app.kubernetes.io/managed-by is '%.60s'",
                  self->config.namespace_name, map->name, map->managed_by ? map->managed_by : "");
    return error_hint(err,
                      "find out who made it so, then `%s delete configmap %s` (the record in the "
                      "database decides then, and nothing is restored twice), or give the state "
                      "another name",
                      cluster_kubectl(self, &arena), map->name);
}

enum errc cluster_journal_read(struct store *store, struct arena *arena,
                               struct journal_data *ret_journal, struct error *err)
{
    struct cluster *self = cluster_of(store);
    struct configmap map;
    enum errc code = configmap_read(self->kube, arena, self->journal_name, "", &map, NULL, err);
    if (code == ERR_NOT_FOUND) {
        error_clear(err);
        remember_journal(self, NULL);
        *ret_journal = (struct journal_data){.version = self->journal_version};
        return RR_OK;
    }
    if (code || (code = check_ours(self, &map, err)))
        return code;
    remember_journal(self, &map);
    *ret_journal = (struct journal_data){
        .names = map.keys,
        .values = map.values,
        .count = map.count,
        .exists = true,
        .version = self->journal_version,
    };
    return RR_OK;
}

static enum errc conflict(struct error *err)
{
    return error_set(err, ERR_CONFLICT, "the journal was written by another run meanwhile");
}

/* An earlier write was cut off (a signal, a server that went away): was it done? */
static enum errc settle_pending(struct cluster *self, struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct configmap now;
    const struct configmap *before = &self->journal, *wanted = &self->pending;
    enum errc code = configmap_read(self->kube, &arena, self->journal_name, "", &now, NULL, err);
    if (code == ERR_NOT_FOUND) { /* the write that follows makes it anew */
        error_clear(err);
        self->has_pending = false;
        return RR_OK;
    }
    if (code)
        return code;
    if (strcmp(now.uid, before->uid) != 0 ||
        (!configmap_holds(&now, before->keys, before->values, before->count) &&
         !configmap_holds(&now, wanted->keys, wanted->values, wanted->count)))
        return conflict(err);
    remember_journal(self, &now);
    return RR_OK;
}

/* Written, or known to have failed, or pending. */
static enum errc write_map(struct cluster *self, struct arena *arena, struct configmap *map,
                           const struct journal_data *journal, struct error *err)
{
    enum errc code = configmap_replace(self->kube, arena, map, journal->names, journal->values,
                                       journal->count, err);
    if (!code) {
        remember_journal(self, map);
    } else if (code != ERR_CONFLICT && code != ERR_NOT_FOUND) {
        struct configmap wanted = *map;
        wanted.keys = journal->names;
        wanted.values = journal->values;
        wanted.count = journal->count;
        self->pending = configmap_copy(&self->journal_arena, &wanted);
        self->has_pending = true;
    }
    return code == ERR_CONFLICT ? (error_clear(err), conflict(err)) : code;
}

static enum errc make_and_write(struct cluster *self, const struct journal_data *journal,
                                struct error *err)
{
    ARENA_GUARD struct arena arena = {0};
    struct configmap map;
    enum errc code = configmap_create(self->kube, &arena, self->journal_name, &map, err);
    if (code)
        return code;
    remember_journal(self, &map);
    return write_map(self, &arena, &map, journal, err);
}

/* Somebody deleted it under us. What it says is a help and not evidence, so the run goes on; but of
 * two runs only the one that holds the Lease may do so. */
static enum errc write_anew(struct cluster *self, const struct journal_data *journal,
                            struct error *err)
{
    if (!self->lease)
        return conflict(err);
    enum errc code = lease_check(self->lease, ANEW_NEED_MS, kube_patience(self->kube), NULL, err);
    if (code)
        return code;
    log_warn("the journal was deleted while this run works: it is written anew",
             LOG_TEXT("configmap", self->journal_name));
    remember_journal(self, NULL);
    return make_and_write(self, journal, err);
}

enum errc cluster_journal_write(struct store *store, struct journal_data *journal,
                                struct error *err)
{
    struct cluster *self = cluster_of(store);
    ARENA_GUARD struct arena arena = {0};
    enum errc code = RR_OK;
    if (journal->version != self->journal_version || journal->exists != self->has_journal)
        return conflict(err);
    if (self->has_pending && (code = settle_pending(self, err)))
        return code;
    if (self->has_journal) {
        struct configmap map = configmap_copy(&arena, &self->journal);
        code = write_map(self, &arena, &map, journal, err);
        if (code == ERR_NOT_FOUND) {
            error_clear(err);
            code = write_anew(self, journal, err);
        }
    } else {
        code = make_and_write(self, journal, err);
    }
    /* Also after a failure: what we know of the object is what the next write starts from. */
    journal->version = self->journal_version;
    journal->exists = self->has_journal;
    return code;
}
