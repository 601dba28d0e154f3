/*
 * steps - the table of steps of a run.
 *
 * A run is these steps in order. Each has a check (is it already true?), an apply, and an undo; the
 * names stand here once: log, journal, last line, and the table in the documentation read them from
 * here. Before a step begins its name is in the journal. Exactly one step is the commit point:
 * before it every failure undoes what was done, after it every failure is finished forwards, by
 * this run or the next.
 */
#ifndef RR_RECONCILE_STEPS_H
#define RR_RECONCILE_STEPS_H

#include <stdint.h>

#include "lib/base/error.h"

struct run;

/* X(enumerator, name, deadline of one statement in s (0: none), may be followed by, what it does,
 * what undoes it) */
#define STEP_TABLE(X)                                                                              \
    X(STEP_PREFLIGHT, "Preflight", 60, "Stage",                                                    \
      "finds everything that would go wrong, changes nothing", "nothing to undo")                  \
    X(STEP_STAGE, "Stage", 0, "Verify",                                                            \
      "makes the staging database beside the live one and loads the archive into it",              \
      "drops the staging database")                                                                \
    X(STEP_VERIFY, "Verify", 600, "PreSteps",                                                      \
      "checks the staging database: accounting, catalog, checksum, `verify` statements; "          \
      "rehearses "                                                                                 \
      "the carry-over",                                                                            \
      "nothing to undo")                                                                           \
    X(STEP_PRE_STEPS, "PreSteps", 600, "Swap",                                                     \
      "takes the application away: `preSteps`, each undo recorded before its effect",              \
      "runs the recorded undo list backwards")                                                     \
    X(STEP_SWAP, "Swap", 30, "Look",                                                               \
      "commit point: exchanges the names of live and staging in one transaction",                  \
      "nothing to undo: it happened wholly or not at all")                                         \
    X(STEP_LOOK, "Look", 600, "PostSteps, SwapBack",                                               \
      "reads the swap again on a new connection, runs `smoke` statements before anybody writes",   \
      "a failed smoke check leads to SwapBack")                                                    \
    X(STEP_SWAP_BACK, "SwapBack", 30, "Idle",                                                      \
      "exchanges the names again, brings the application back on the old data",                    \
      "finished by the next run")                                                                  \
    X(STEP_POST_STEPS, "PostSteps", 600, "Publish", "brings the application back: `postSteps`",    \
      "finished by the next run")                                                                  \
    X(STEP_PUBLISH, "Publish", 0, "Collect", "writes lastAppliedTimestamp",                        \
      "finished by the next run")                                                                  \
    X(STEP_COLLECT, "Collect", 0, "Idle", "drops databases of ours whose time is over",            \
      "finished by the next run")

enum step {
#define X(enumerator, name, deadline_s, next, apply, undo) enumerator,
    STEP_TABLE(X)
#undef X
        STEP_COUNT
};

struct step_row {
    const char *name;
    unsigned deadline_s; /* for one statement of the step; 0: none */
    const char *next, *apply_text, *undo_text;
};

const struct step_row *step_row(enum step step);
/* STEP_COUNT if the name is none of ours. */
enum step step_from_name(const char *name);

/* Runs the steps from `first` to `last`, skipping SwapBack, until one fails. What a failure means
 * is the caller's to say: run->step is where it happened. */
enum errc steps_run(struct run *run, enum step first, enum step last,
                    struct error *err) RR_MUST_CHECK;

/* One step by itself. */
enum errc steps_run_one(struct run *run, enum step step, struct error *err) RR_MUST_CHECK;

/* Undoes the steps from `from` down to Stage, from what the journal and the database say, not from
 * memory. What fails first is in err; the rest is undone all the same. */
enum errc steps_undo(struct run *run, enum step from, struct error *err) RR_MUST_CHECK;

#endif
