/*
 * journal - the program's own record of a run, in the store, written by compare-and-swap.
 *
 * Flat names and values, all strings. The table below is every name there is; those marked public
 * may be relied on by others (kubectl, scripts, alerts), the rest is private. An empty value means
 * absent. journal_set() changes memory only; journal_write() makes it true. Undo is written before
 * the effect that it undoes.
 *
 * The journal is a help, never evidence: what happened is decided by the database's own record.
 */
#ifndef RR_RECONCILE_JOURNAL_H
#define RR_RECONCILE_JOURNAL_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/state/store.h"

/* X(enumerator, name, is public, meaning) */
#define JOURNAL_KEY_TABLE(X)                                                                       \
    X(J_PHASE, "phase", true, "step of the run, `Idle` between runs")                              \
    X(J_RESULT, "result", true,                                                                    \
      "`Succeeded`, `Failed`, `Refused`, `Interrupted`, `Superseded` or `RolledBack`")             \
    X(J_REASON, "reason", true, "one CamelCase word, see the failure guide")                       \
    X(J_MESSAGE, "message", true, "what happened, for people")                                     \
    X(J_DESIRED, "desired", true, "the attempt: timestamp that was asked for")                     \
    X(J_REQUEST, "request", true, "the attempt: restoreRequest that was asked with")               \
    X(J_RUN_ID, "runId", true, "the attempt: id of the run")                                       \
    X(J_TOKEN, "fencingToken", true, "the attempt: token from the control database")               \
    X(J_ATTEMPTS, "attempts", true, "the attempt: how often this key was tried")                   \
    X(J_STARTED_AT, "startedAt", true, "the attempt: begin, RFC 3339")                             \
    X(J_FINISHED_AT, "finishedAt", true, "the attempt: end, RFC 3339")                             \
    X(J_PERCENT, "percent", true, "the attempt: how much is loaded, 0 to 100")                     \
    X(J_ETA, "eta", true, "the attempt: when the load should be done, RFC 3339")                   \
    X(J_BACKUP, "backup", true, "the attempt: URL of the backup")                                  \
    X(J_APPLIED, "applied", true, "done: timestamp whose data is live")                            \
    X(J_APPLIED_REQUEST, "appliedRequest", true, "done: restoreRequest that it was asked with")    \
    X(J_PUBLISHED, "published", true, "done: `true` once lastAppliedTimestamp was written")        \
    X(J_HELD, "held", true, "a rollback holds this timestamp: it is not restored again")           \
    X(J_HELD_REQUEST, "heldRequest", true, "restoreRequest of the held timestamp")                 \
    X(J_TARGET, "target", true, "name of the live database")                                       \
    X(J_PREVIOUS, "previousDatabase", true, "the replaced database that is kept")                  \
    X(J_COLLECT_AFTER, "collectAfter", true, "when a kept database is due to go, RFC 3339")        \
    X(J_UNDO, "undo", false, "what brings the application back, JSON")                             \
    X(J_KIND, "kind", false, "`restore` or `rollback`")                                            \
    X(J_PLAN, "plan", false, "restore.yaml as it was when the run began")                          \
    X(J_STAGING, "staging", false, "name of the database that becomes live")                       \
    X(J_CHECKSUM, "checksum", false, "checksum of the backup that was verified")                   \
    X(J_POST_DONE, "postStepsDone", false, "how many postSteps are done")                          \
    X(J_NOT_BEFORE, "notBefore", false, "no new attempt before that time, RFC 3339")               \
    X(J_FAILURE, "failure", false, "reason of the last failed attempt")                            \
    X(J_FAILURE_MESSAGE, "failureMessage", false, "what the last failed attempt said")             \
    X(J_FAILURE_EXIT, "failureExit", false, "exit code of the last failed attempt")                \
    X(J_FAILURE_FINAL, "failureFinal", false, "`true`: trying again cannot help")                  \
    X(J_REVERTS, "reverts", false, "when lastAppliedTimestamp was found reverted, seconds")

enum journal_key {
#define X(enumerator, name, is_public, meaning) enumerator,
    JOURNAL_KEY_TABLE(X)
#undef X
        JOURNAL_KEY_COUNT
};

struct journal {
    struct store *store; /* borrowed */
    struct arena arena;  /* values; grows by what is set, freed at the end of the run */
    const char *values[JOURNAL_KEY_COUNT]; /* never NULL; "" is absent */
    struct journal_data data; /* as last read or written: version, and names that we do not know */
    bool is_dirty;
};

#define JOURNAL_IDLE "Idle"

/* Reads it from the store into `ret_journal`, which the caller releases. Unknown names are kept and
 * written back. */
enum errc journal_read(struct store *store, struct journal *ret_journal,
                       struct error *err) RR_MUST_CHECK;
/* Writes if anything changed since it was read or written. ERR_CONFLICT: another run wrote
 * meanwhile. */
enum errc journal_write(struct journal *journal, struct error *err) RR_MUST_CHECK;
void journal_release(struct journal *journal);
#define JOURNAL_GUARD __attribute__((cleanup(journal_release)))

const char *journal_get(const struct journal *journal, enum journal_key key);
/* NULL sets "". */
void journal_set(struct journal *journal, enum journal_key key, const char *value);
void journal_setf(struct journal *journal, enum journal_key key, const char *fmt, ...)
    RR_PRINTF(3, 4);
/* Whether a run is unfinished in it. */
bool journal_is_idle(const struct journal *journal);
/* A value that is a count; 0 if absent or malformed. */
uint64_t journal_count(const struct journal *journal, enum journal_key key);
bool journal_flag(const struct journal *journal, enum journal_key key);

/* Name, meaning and whether others may rely on it, for documentation and status. */
const char *journal_key_name(enum journal_key key);
const char *journal_key_meaning(enum journal_key key);
bool journal_key_is_public(enum journal_key key);

#endif
