/*
 * marks - what the annotations of a workload or Ingress say, and what is done about it. Pure.
 *
 * Whoever takes an object away marks it in the same patch (lib/kube/workload.h): what there was,
 * for which run, of which state. So a marked object is one that is away because of us, whatever
 * became of the journal; and an object that is marked by another state is none of our business,
 * even if our configuration names it.
 */
#ifndef RR_RECONCILE_MARKS_H
#define RR_RECONCILE_MARKS_H

#include <stdbool.h>
#include <stdint.h>

enum mark {
    MARK_NONE,
    MARK_BROKEN,      /* somebody removed a part of it: whose it was is not known */
    MARK_OURS,        /* of our state, and of the run that counts */
    MARK_OTHER_RUN,   /* of our state, of another run */
    MARK_OTHER_STATE, /* another state has taken it away */
};

/* `is_marked`: any of the annotations is there. `run` NULL: every run of our state counts. */
enum mark mark_of(bool is_marked, const char *marked_state, const char *marked_run,
                  const char *state, const char *run);

enum take {
    TAKE_IT,
    TAKE_LEAVE,     /* somebody has it at nothing already: not ours to bring back either */
    TAKE_DONE,      /* this run has taken it away */
    TAKE_UNMARK,    /* an old mark on an object that is there: remove it, then look again */
    TAKE_WAIT,      /* another state has it away: taken away once that one brought it back */
    TAKE_LEFT_OVER, /* an earlier run of ours left it away: that is recovered first */
};

/* `is_away`: replicas 0; every backend is the maintenance Service. */
enum take take_decide(enum mark mark, bool is_away);

enum back {
    BACK_LEAVE,   /* it is there, or not ours to touch */
    BACK_RESTORE, /* give it what it had, and remove the mark */
    BACK_UNMARK,  /* it is there already, somebody else's doing: only remove the mark */
    BACK_LOST,    /* it is away because of us, and nobody knows what it had */
};

struct back_decision {
    enum back what;
    int64_t replicas;    /* BACK_RESTORE */
    const char *warning; /* what is unusual about it, for the log; NULL: nothing */
};

/* Replicas: how many there are `now`, what the mark says (-1: nothing), and what the journal's list
 * says (-1: it does not know the object). The mark wins: it was written with the effect. */
struct back_decision back_decide(enum mark mark, int64_t now, int64_t marked, int64_t journal);

#endif
