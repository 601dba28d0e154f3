/*
 * look - what a run would do and what there is, without changing anything: for plan, status and
 * collect.
 */
#ifndef RR_RECONCILE_LOOK_H
#define RR_RECONCILE_LOOK_H

#include "lib/reconcile/application.h"
#include "lib/reconcile/run.h"

struct look {
    struct run run;           /* state, journal, configuration */
    bool has_journal;         /* the journal could be read */
    struct decision decision; /* look_plan() */
    struct attempt_decision attempt;
    struct findings findings; /* what preflight found */
    struct registry_row *kept;
    size_t kept_count;
    struct history_row *history;
    size_t history_count;
    bool has_control; /* there is a control database */
    const char
        *unfinished; /* look_plan(): run that the next one finishes or undoes first, NULL: none */
    struct application away; /* look_at_cluster(): what is marked as taken away by this state */
};

/* State and journal; no database. The journal is there (has_journal) even when the state is not. */
enum errc look_at_state(struct look *look, const struct run_options *options,
                        struct error *err) RR_MUST_CHECK;
/* What is kept and what was done, from the control database. */
enum errc look_at_database(struct look *look, struct error *err) RR_MUST_CHECK;
/* What is away at the moment because of this state. Nothing where there is no cluster. */
enum errc look_at_cluster(struct look *look, struct error *err) RR_MUST_CHECK;
/* What a run would decide now, with the findings of its preflight when that is a restore. */
enum errc look_plan(struct look *look, struct error *err) RR_MUST_CHECK;
void look_release(struct look *look);

#endif
