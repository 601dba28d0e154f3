/*
 * decide - what a run does, from what the state, the journal and the database say. Pure: no I/O, no
 * clock, no memory.
 *
 * Four witnesses tell what has been done: lastAppliedTimestamp (anybody can edit it), the journal
 * (may be lost, or come back from an old backup of the cluster), the history in the database
 * server, and the live database itself. The database's own record wins: a history row is valid when
 * it is about the database that is live now, on this very server. A key that a record shows as done
 * is never restored again because some other witness was lost, reverted or replaced; whoever wants
 * that sets a new restoreRequest.
 *
 *   row  condition                                           the run
 *   0    control database there but not readable             refuses ControlDatabaseUnreadable
 *   1    something unfinished                                (the caller recovers, then decides)
 *   2    rolled back, by hand or by a smoke check            RolledBack, nothing
 *   3    live absent, though a record or lastApplied has it  refuses DatabaseMissing
 *   4    live was made by this key                           publishes if need be
 *   5    live was made by another key, journal says this     refuses DatabaseChanged
 *   6    live was made by another key                        restores; see onRevert
 *   7    history is not about live; a record has this key,
 *        or there is no journal                              Drifted, or refuses DatabaseChanged
 *   8    history is not about live; otherwise, or consent    restores
 *   9    no history, the journal says this key               publishes, ControlDatabaseLost
 *   10   no history, the journal says another key            restores
 *   11   no history, no journal, lastApplied says this key   adopts
 *   12   no history, no journal; nothing to lose, managed
 *        by the user's word (lastApplied), or consent        restores
 *   13   no history, no journal, live holds tables           refuses FirstContact
 *
 * A journal that records no key as applied, or is about another database, counts as none here.
 *
 * lastAppliedTimestamp says nothing about a restoreRequest: alone, it never means "done" when one
 * is set.
 *
 * Consent is allowInitialRestore naming exactly desired. It tends to stay in Git, so it is used up
 * once a record shows the key as done: else a failover or an upgrade months later would let it
 * overwrite the data of those months. It still counts where the live database is absent or empty:
 * then nothing can be lost.
 */
#ifndef RR_RECONCILE_DECIDE_H
#define RR_RECONCILE_DECIDE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/reconcile/spec.h"
#include "lib/reconcile/values.h"

struct decide_journal {
    bool exists;
    bool is_for_target; /* it is about the database that the configuration names */
    bool is_idle;       /* nothing unfinished */
    bool is_published;  /* lastAppliedTimestamp was written for what is applied */
    bool is_collect_due;
    struct recorded_key applied; /* whose swap, job or adoption is recorded as done */
    struct recorded_key held;    /* rolled back: not to be restored again */
};

enum history_kind { HISTORY_RESTORE, HISTORY_ROLLBACK, HISTORY_JOB, HISTORY_ADOPT };

/* The newest row of the target. */
struct decide_history {
    bool exists;
    bool is_valid; /* its new oid is live's and its system id is the server's */
    enum history_kind kind;
    struct recorded_key key;  /* of the data that it made live */
    struct recorded_key held; /* of a rollback: what it undid */
};

enum decide_live {
    LIVE_ABSENT,
    LIVE_EMPTY, /* no relation outside system schemas and extensions, no large object */
    LIVE_HOLDS_TABLES,
    LIVE_UNKNOWN, /* there, but could not be looked into: counts as holding tables */
};

struct decide_input {
    const char *database; /* the target's name, for texts */
    struct restore_key key;
    struct state_time last_applied;
    const char *last_applied_manager; /* who wrote it last, NULL if not known */
    bool has_consent;
    bool is_control_unreadable; /* the control database exists and cannot be read */
    struct decide_journal journal;
    struct decide_history history;
    enum decide_live live;
    struct recorded_key
        previous; /* key of the kept previous database, if one is kept and has one */
    enum spec_on_revert on_revert;
    unsigned reverts_last_hour; /* how often lastAppliedTimestamp was written back lately */
};

enum decide_action {
    DECIDE_NOTHING,     /* what is asked for is what is there */
    DECIDE_REPUBLISH,   /* write lastAppliedTimestamp and the journal */
    DECIDE_ADOPT,       /* write a history row of kind adopt and the journal */
    DECIDE_RESTORE,     /* if decide_attempt() agrees */
    DECIDE_REFUSE,      /* end with `code` */
    DECIDE_DRIFTED,     /* done once, but somebody else made the live database: leave it alone */
    DECIDE_ROLLED_BACK, /* the key is held: leave it alone */
};

enum decide_warning { DECIDE_NO_WARNING, DECIDE_STATE_REVERTED, DECIDE_CONTROL_DATABASE_LOST };

enum { DECISION_TEXT_SIZE = 640, DECISION_HINT_SIZE = ERROR_HINT_SIZE };

struct decision {
    enum decide_action action;
    enum decide_warning warning;
    unsigned row;            /* of the table above */
    enum errc code;          /* DECIDE_REFUSE, else RR_OK */
    bool needs_journal;      /* the journal does not say what the decision found: write it */
    bool rests_on_emptiness; /* DECIDE_RESTORE only because live is absent or empty: look again
                                before the swap */
    char text[DECISION_TEXT_SIZE]; /* why, for the operator; names are quoted */
    char hint[DECISION_HINT_SIZE]; /* what to do, "" if nothing */
};

/* Whether state and journal alone show that there is nothing to do: no lock, no database
 * connection. */
bool decide_fast_path(const struct decide_journal *journal, const struct restore_key *key,
                      const struct state_time *last_applied);

/* The first row that matches. */
struct decision decide(const struct decide_input *input);

/* "Restore", "Refuse" ... and "StateReverted" ... ("" for none), for logs and plan. */
const char *decide_action_name(enum decide_action action);
const char *decide_warning_name(enum decide_warning warning);

/* What the journal remembers about the attempts at a key. */
struct decide_attempts {
    struct recorded_key key; /* that they were for */
    uint64_t count;       /* begun, from the staging step on; given back when a signal ended one */
    bool is_final;        /* the last one failed for good: trying again cannot help */
    int last_exit;        /* exit code of the last failure; 0 if none is known (it was killed) */
    int64_t not_before_s; /* the pause that the last failure asked for, wall clock; 0: none */
};

enum attempt_verdict { ATTEMPT_GO, ATTEMPT_WAIT, ATTEMPT_GIVEN_UP };

struct attempt_decision {
    enum attempt_verdict verdict;
    enum errc code; /* ERR_RETRY_SCHEDULED, ERR_ATTEMPTS_EXHAUSTED, else RR_OK */
    int exit_code;  /* of the last failure: a run that does not try ends with it */
    int64_t wait_s; /* ATTEMPT_WAIT: until the next attempt */
};

/* Whether a restore that was decided may begin now. A failure that may pass is tried again after a
 * pause, up to max_attempts; one that cannot pass is not; a new key clears all that. */
struct attempt_decision decide_attempt(const struct decide_attempts *attempts,
                                       const struct restore_key *key, unsigned max_attempts,
                                       int64_t now_s);

/* The pause after the `count`-th failed attempt: 2, 8, then always 32 minutes. */
int64_t decide_pause_s(uint64_t count);

#endif
