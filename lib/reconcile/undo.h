/*
 * undo - the list of what brings the application back, as the journal keeps it. Pure.
 *
 * A JSON array in the order in which things were taken away; it is run backwards. One entry is one
 * statement, one workload or one Ingress:
 *
 *     {"preStep":0,"sql":"GRANT CONNECT ..."}
 *     {"preStep":1,"scale":{"kind":"Deployment","name":"web","replicas":3}}
 *     {"preStep":2,"ingress":{"name":"web","service":"<backend, JSON>","backends":[...]}}
 *
 * Of what stands in the cluster the annotations of the objects are a second copy
 * (lib/kube/workload.h), which wins where the two differ: it was written together with the effect.
 */
#ifndef RR_RECONCILE_UNDO_H
#define RR_RECONCILE_UNDO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "lib/kube/workload.h"

enum undo_kind { UNDO_SQL, UNDO_SCALE, UNDO_INGRESS };

struct undo {
    enum undo_kind kind;
    uint64_t pre_step;           /* its place in the list of the configuration */
    bool is_done;                /* has been run: left out when the list is rendered */
    const char *sql;             /* UNDO_SQL */
    const char *name;            /* UNDO_SCALE, UNDO_INGRESS: of the object */
    enum workload_kind workload; /* UNDO_SCALE */
    int64_t replicas;            /* UNDO_SCALE: how many there were */
    const char *service;         /* UNDO_INGRESS: backend that it was pointed at */
    const char *backends;        /* UNDO_INGRESS: what there was, as in lib/kube/ingress.h */
};

/* All zero is an empty list. Entries and texts live in the arena that they were made with. */
struct undo_list {
    struct undo *items;
    size_t count, capacity;
};

/* "" is an empty list. ERR_JOURNAL_CORRUPT. */
enum errc undo_parse(struct arena *arena, const char *text, struct undo_list *ret_list,
                     struct error *err) RR_MUST_CHECK;
/* What is still to be done; "" if nothing is. */
void undo_render(const struct undo_list *list, struct str *text);
/* A record of backends that can stand in the list: a JSON array. NULL cannot, and an annotation may
 * have been edited by anybody. */
bool undo_can_hold(const char *backends);
/* Appends a copy of the entry (its texts are borrowed). */
void undo_add(struct arena *arena, struct undo_list *list, const struct undo *entry);
/* The entry about this object, NULL if there is none. `workload` counts for UNDO_SCALE only. */
struct undo *undo_find(const struct undo_list *list, enum undo_kind kind,
                       enum workload_kind workload, const char *name);

#endif
