/*
 * run - one run of the program: look, decide, recover, act, record.
 *
 * run_execute() is the command `run`; run_rollback() is `rollback`; run_collect() is `collect
 * --now`. The struct is shared by the files of this room that make up a run (session, recover,
 * preflight, stage, verify, usersteps, swapstep, publish, collect); other rooms use only the
 * functions.
 */
#ifndef RR_RECONCILE_RUN_H
#define RR_RECONCILE_RUN_H

#include <pthread.h>
#include <stdint.h>

#include "lib/archive/toc.h"
#include "lib/backup/catalog.h"
#include "lib/base/arena.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/source.h"
#include "lib/pg/control.h"
#include "lib/pg/database.h"
#include "lib/reconcile/decide.h"
#include "lib/reconcile/journal.h"
#include "lib/reconcile/outcome.h"
#include "lib/reconcile/spec.h"
#include "lib/reconcile/steps.h"
#include "lib/restore/load.h"
#include "lib/state/store.h"

struct application;

struct run_options {
    struct store *store; /* borrowed */
    const struct clock *clock;
    const struct cancel *cancel; /* set by SIGTERM and SIGINT */
    void (*on_progress)(void *context, const struct load_progress *progress); /* may be NULL */
    void *progress_context;
};

/* The checksum of the whole object, computed in a thread of its own beside the load. */
struct checksum_job {
    pthread_t thread;
    bool is_running;
    const struct source *source;
    const struct backup_checksum *checksum;
    struct cancel cancel; /* stops the checksum */
    struct cancel
        load_cancel; /* requested by the thread when the checksum is wrong: stops the load */
    enum errc code;
    struct error error;
};

enum recovered {
    RECOVERED_NOTHING,
    RECOVERED_UNDONE,       /* cut off before its swap, or its swap is not what is live */
    RECOVERED_FINISHED,     /* cut off after its swap */
    RECOVERED_SWAPPED_BACK, /* a smoke check failed */
};

struct run {
    const struct run_options *options;
    struct arena arena;
    struct store *store;
    struct journal journal;
    struct state_view view;
    struct state_values values;
    bool has_values; /* view and values were read and are well-formed */

    const char *run_id;
    const char *application_name;
    const char *work_run_id; /* run whose work is done: ours, or the one that we recover */

    struct spec spec; /* of the state, or in recovery of the journal's plan */
    const char *spec_text;
    const char *desired, *request; /* key that is worked for: canonical time, request ("" none) */
    const char *held_desired, *held_request; /* rollback: key that it undoes; NULL otherwise */

    struct control *control;
    struct fence fence;

    struct database_info live;
    bool has_live;
    bool was_live_empty;  /* the decision rested on an empty or absent live database */
    enum errc final_code; /* preflight: what made it final, RR_OK if nothing */

    const struct application *application; /* what the steps act on, after preflight; or NULL */

    struct backup backup;
    struct backup_checksum checksum;
    struct checksum_job checksum_job;
    struct source *source;
    struct toc toc;
    const char *staging_name;
    uint32_t staging_oid;
    struct carry_over carry_over;
    struct load_result load;

    enum swap_kind swap_kind;
    struct swap_result swap;
    const char *started_at;
    uint64_t application_off_ms; /* boot-time clock; 0: it is on */
    enum step step;              /* where the run is */
    int scheduled_exit; /* while a pause or the end of attempts holds: exit code of the last failure
                         */
    bool has_begun_attempt;       /* an attempt is counted in the journal */
    bool has_committed;           /* the swap is in the database */
    enum recovered recovered;     /* what the last recovery of this process came to */
    const char *recovered_run_id; /* whose run that was */
    bool is_settling;             /* signals wait: what was begun is put in order first */
    bool is_ending;               /* a step has failed: to the end of the process signals wait */
    bool is_quiet;                /* findings in the configuration are said later */
    bool keeps_undo; /* the undo list could not be run: it stays in the journal as a debt */
    const char *last_reason, *last_message; /* of the journal as it was when this run began */
    struct outcome outcome;
};

/* One whole run. Everything that went wrong is in `ret_outcome`; nothing is printed but the log. */
void run_execute(const struct run_options *options, struct outcome *ret_outcome);
/* Swaps the newest kept previous database back. */
void run_rollback(const struct run_options *options, struct outcome *ret_outcome);
/* Drops the kept database `name` now, whatever its time; NULL: what is due. */
void run_collect(const struct run_options *options, const char *name, struct outcome *ret_outcome);

/* --- parts of a run, in this room only
 * ------------------------------------------------------------ */

/* session.c: state read, store locked, control database opened and locked, fence taken. */
void run_begin(struct run *run, const struct run_options *options);
void run_end(struct run *run);
/* Everything up to the decision: state, lock, recovery, configuration, control database. */
enum errc run_open(struct run *run, struct error *err) RR_MUST_CHECK;
/* Gathers what decide() asks for. The control database may be NULL (plan, before the first
 * restore). */
enum errc run_gather(struct run *run, struct decide_input *ret_input,
                     struct error *err) RR_MUST_CHECK;
struct decide_attempts run_attempts(const struct run *run);
/* A step has failed: undoes, swaps back, settles, or leaves it for the next run. RR_OK (and an
 * empty slot) when it turned out that everything was done after all. */
enum errc run_handle_failure(struct run *run, struct error *err) RR_MUST_CHECK;
/* If `code` says that the store is away: what is still tried does not wait for it as long again. */
void run_be_impatient(struct run *run, enum errc code);
enum errc run_read_state(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc run_parse_spec(struct run *run, const char *text, unsigned first_line,
                         struct error *err) RR_MUST_CHECK;
enum errc run_connect(struct run *run, struct error *err) RR_MUST_CHECK;
/* A session on `database` for the user's statements: search_path as the server has it for the live
 * database, each statement bounded by `deadline_s`. */
enum errc run_open_user_session(struct run *run, const char *database, unsigned deadline_s,
                                bool is_cancellable, struct conn **ret_conn,
                                struct error *err) RR_MUST_CHECK;
/* The journal speaks of the configuration's database from now on: what it says of another one is
 * forgotten. */
void run_take_target(struct run *run);
/*
 * Parses a plan that the journal recorded, without asking whether today's program would take it on.
 */
enum errc run_parse_plan(struct run *run, const char *text, struct error *err) RR_MUST_CHECK;
enum errc run_refresh_live(struct run *run, struct error *err) RR_MUST_CHECK;
/* Lock, fence and session are still ours, asked of the server. */
enum errc run_check_fence(struct run *run, struct error *err) RR_MUST_CHECK;
/* Now as RFC 3339, by our own clock. */
const char *run_now(struct run *run, int64_t offset_s);

/* recover.c: finishes or undoes what an earlier run left. `*ret_did` says whether there was
 * anything. */
enum errc run_recover(struct run *run, bool *ret_did, struct error *err) RR_MUST_CHECK;
/* After a lost session: connects anew, then run_recover(). */
enum errc run_settle(struct run *run, struct error *err) RR_MUST_CHECK;

/* As run_connect(), waiting up to a minute for a server that is coming back. */
enum errc run_connect_again(struct run *run, struct error *err) RR_MUST_CHECK;

/* rollback.c: puts a swap back into the journal: what is live now, and which key is held. */
enum errc run_close_rollback(struct run *run, struct error *err) RR_MUST_CHECK;

/* news.c: tells people (Events). `fmt` is what happened, in a sentence. */
void run_tell(struct run *run, bool is_warning, const char *reason, const char *fmt, ...)
    RR_PRINTF(4, 5);
/* Whether the last run ended with another reason or message (NULL: any). */
bool run_is_news(const struct run *run, const char *reason, const char *message);
/* How the run ended, if that is news. */
void run_tell_end(struct run *run);

/* finish.c: what the journal says at the end. */
enum errc run_finish(struct run *run, enum outcome_result result, const char *reason,
                     const char *message, struct error *err) RR_MUST_CHECK;
void run_record_failure(struct run *run, const struct error *cause);

/* preflight.c: what stands in the way, all at once; changes nothing. */
enum errc run_find_problems(struct run *run, struct findings *findings,
                            struct error *err) RR_MUST_CHECK;
/* swapstep.c: desired and request are still what this run works for, else ERR_SUPERSEDED. */
enum errc run_check_still_wanted(struct run *run, struct error *err) RR_MUST_CHECK;
/* publish.c: writes lastAppliedTimestamp. */
enum errc run_publish(struct run *run, const char *applied, struct error *err) RR_MUST_CHECK;
/* usersteps.c: each check must answer one true value, else `failure`. Read-only session on
 * `database`. */
enum errc run_checks(struct run *run, const char *database, const char *list,
                     const struct spec_check *checks, size_t count, enum errc failure,
                     struct error *err) RR_MUST_CHECK;
/* usersteps.c: puts the undos of all preSteps of the configuration into the journal. */
enum errc record_all_undos(struct run *run, struct error *err) RR_MUST_CHECK;
/* verify.c: tries the carry-over on the staging database and rolls it back. */
enum errc run_rehearse_carry_over(struct run *run, struct error *err) RR_MUST_CHECK;

/* The steps' functions, see steps.h. */
enum errc preflight_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc stage_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc stage_undo(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc verify_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc pre_steps_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc pre_steps_undo(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc swap_check(struct run *run, bool *ret_is_done, struct error *err) RR_MUST_CHECK;
enum errc swap_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc look_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc swap_back_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc post_steps_check(struct run *run, bool *ret_is_done, struct error *err) RR_MUST_CHECK;
enum errc post_steps_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc publish_apply(struct run *run, struct error *err) RR_MUST_CHECK;
enum errc collect_apply(struct run *run, struct error *err) RR_MUST_CHECK;
/* Waits for the checksum thread and takes its answer. */
enum errc checksum_join(struct run *run, struct error *err) RR_MUST_CHECK;
/* Ends the thread, if it runs, and forgets its answer. */
void checksum_stop(struct run *run);
/* Starts it when a checksum is known. */
void checksum_start(struct run *run);

#endif
