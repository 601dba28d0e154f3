#include "lib/reconcile/decide.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/str.h"

enum {
    REVERTS_MAX = 3, /* in an hour: whoever writes lastAppliedTimestamp back will go on doing so */
    QUOTED_SIZE = 300,
    FIRST_PAUSE_S = 120,
    LONGEST_PAUSE_S = 1920,
    EXIT_RESTORE_FAILED = 10,
};

/* The input, boiled down to what the rows ask. */
struct facts {
    const struct decide_input *in;
    bool has_journal;     /* one that counts: about this target, with a key */
    bool journal_has_key; /* ... and it is the key asked for */
    bool journal_holds;   /* the journal says that the key was rolled back */
    bool was_published;   /* for the key asked for */
    bool has_history;
    bool is_valid; /* the newest row is about the live database */
    bool history_has_key;
    bool history_holds;
    bool is_live_there;
    bool is_applied;       /* lastApplied = desired */
    bool is_applied_alone; /* ... and that says everything, since there is no request */
    bool has_consent;      /* and it is not used up */
    char database[QUOTED_SIZE];
    char desired[QUOTED_SIZE]; /* with the request, for texts */
};

/* --- texts
 * ---------------------------------------------------------------------------------------- */

static void quote(char text[QUOTED_SIZE], const char *name)
{
    STR_GUARD struct str s = STR_INIT(QUOTED_SIZE - 1);
    str_append_quoted(&s, name, 63);
    snprintf(text, QUOTED_SIZE, "%s", str_text(&s));
}

static void RR_PRINTF(2, 3) say(struct decision *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->text, sizeof d->text, fmt, ap);
    va_end(ap);
}

static void RR_PRINTF(2, 3) advise(struct decision *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(d->hint, sizeof d->hint, fmt, ap);
    va_end(ap);
}

static bool has_request(const struct restore_key *key)
{
    return key->request && *key->request != '\0';
}

static void describe(struct facts *f)
{
    const struct restore_key *key = &f->in->key;
    quote(f->database, f->in->database);
    if (has_request(key)) {
        char request[QUOTED_SIZE];
        quote(request, key->request);
        snprintf(f->desired, sizeof f->desired, "%s (request %.200s)", key->desired_text, request);
    } else {
        snprintf(f->desired, sizeof f->desired, "%s", key->desired_text);
    }
}

/* --- facts
 * ---------------------------------------------------------------------------------------- */

static void read_journal(struct facts *f)
{
    const struct decide_journal *j = &f->in->journal;
    bool counts = j->exists && j->is_for_target;
    f->has_journal = counts && j->applied.exists;
    f->journal_has_key = counts && key_equals_recorded(&f->in->key, &j->applied);
    f->journal_holds = counts && key_equals_recorded(&f->in->key, &j->held);
    f->was_published = f->journal_has_key && j->is_published;
}

static void read_history(struct facts *f)
{
    const struct decide_history *h = &f->in->history;
    f->has_history = h->exists;
    f->is_valid = h->exists && h->is_valid && f->is_live_there;
    f->history_has_key = h->exists && key_equals_recorded(&f->in->key, &h->key);
    f->history_holds =
        h->exists && h->kind == HISTORY_ROLLBACK && key_equals_recorded(&f->in->key, &h->held);
}

static struct facts collect_facts(const struct decide_input *in)
{
    struct facts f = {.in = in, .is_live_there = in->live != LIVE_ABSENT};
    read_journal(&f);
    read_history(&f);
    f.is_applied = state_time_is(&in->last_applied, in->key.desired);
    f.is_applied_alone = f.is_applied && !has_request(&in->key);
    bool is_done = f.journal_has_key || f.journal_holds || f.history_has_key || f.history_holds;
    bool can_lose_data = f.is_live_there && in->live != LIVE_EMPTY;
    f.has_consent = in->has_consent && !(is_done && can_lose_data);
    describe(&f);
    return f;
}

/* --- rows
 * ----------------------------------------------------------------------------------------- */

static struct decision refuse(unsigned row, enum errc code)
{
    return (struct decision){.action = DECIDE_REFUSE, .row = row, .code = code};
}

static struct decision restore(const struct facts *f, unsigned row, const char *why)
{
    struct decision d = {.action = DECIDE_RESTORE, .row = row};
    say(&d, "%s is restored to %s: %s", f->database, f->desired, why);
    return d;
}

static struct decision row_0_control_unreadable(const struct facts *f)
{
    struct decision d = refuse(0, ERR_CONTROL_DATABASE);
    say(&d, "the control database exists but cannot be read, so what happened to %s is not known",
        f->database);
    advise(&d, "give the connecting role access to it; nothing is done before");
    return d;
}

static struct decision row_2_rolled_back(const struct facts *f)
{
    struct decision d = {
        .action = DECIDE_ROLLED_BACK, .row = 2, .needs_journal = !f->journal_holds};
    say(&d, "%s was rolled back from %s, which is still asked for: it is left alone", f->database,
        f->desired);
    advise(&d, "ask for another time, or change restoreRequest to restore this one again");
    return d;
}

static struct decision row_3_database_missing(const struct facts *f)
{
    struct decision d = refuse(3, ERR_DATABASE_MISSING);
    say(&d, "database %s is missing, though it was there before", f->database);
    advise(&d,
           "if it was renamed, give it its name back; if it is to be made from the backup, add "
           "allowInitialRestore: \"%s\"",
           f->in->key.desired_text);
    return d;
}

/* Live holds what was asked for. If lastAppliedTimestamp says something else although it was
 * written, somebody has reverted it: told once, written back, and given up after a few times. */
static struct decision row_4_in_place(const struct facts *f)
{
    struct decision d = {.action = DECIDE_NOTHING, .row = 4, .needs_journal = !f->was_published};
    if (f->is_applied) {
        say(&d, "%s holds %s", f->database, f->desired);
        return d;
    }
    /* After a rollback lastAppliedTimestamp still says what was rolled back: nobody has reverted
     * anything. */
    const struct decide_history *h = &f->in->history;
    bool says_what_was_held = h->kind == HISTORY_ROLLBACK && h->held.exists &&
                              state_time_is(&f->in->last_applied, h->held.desired);
    bool is_reverted = f->was_published && !says_what_was_held;
    bool is_given_up = is_reverted && f->in->reverts_last_hour >= REVERTS_MAX;
    d.action = is_given_up ? DECIDE_NOTHING : DECIDE_REPUBLISH;
    if (!is_reverted) {
        say(&d, "%s holds %s: publishing that", f->database, f->desired);
        return d;
    }
    char manager[QUOTED_SIZE] = "somebody";
    if (f->in->last_applied_manager)
        quote(manager, f->in->last_applied_manager);
    d.warning = DECIDE_STATE_REVERTED;
    say(&d, "%s holds %s, but %.200s has changed lastAppliedTimestamp: %s", f->database, f->desired,
        manager, is_given_up ? "it is left so, since that keeps happening" : "it is written back");
    advise(&d, "keep lastAppliedTimestamp out of Git, and let the sync tool ignore it");
    return d;
}

static struct decision row_5_database_changed(const struct facts *f)
{
    struct decision d = refuse(5, ERR_DATABASE_CHANGED);
    say(&d,
        "%s was restored to %s, but now holds other data (a failover, a recovery, a change by "
        "hand?)",
        f->database, f->desired);
    advise(&d, "change restoreRequest to restore over it, or ask for another time");
    return d;
}

/* Git reverts ask for the old backup again, while what was written since stands in the kept
 * database. */
static struct decision row_6_other_backup(const struct facts *f)
{
    bool is_revert = key_equals_recorded(&f->in->key, &f->in->previous);
    if (!is_revert || f->in->on_revert == SPEC_ON_REVERT_LOAD)
        return restore(f, 6, "it holds something else");
    struct decision d = refuse(6, ERR_REVERT_REFUSED);
    say(&d,
        "%s is asked for, which the database kept from before the last restore of %s holds, "
        "with all that was written to it since",
        f->desired, f->database);
    advise(&d, "swap that one back with 'restore-reconciler rollback', or say onRevert: load to "
               "load the backup anew and lose what was written");
    return d;
}

static struct decision row_7_not_ours(const struct facts *f)
{
    bool is_done = f->journal_has_key || f->history_has_key;
    if (f->is_applied_alone || (f->is_applied && is_done)) {
        struct decision d = {.action = DECIDE_DRIFTED, .row = 7};
        say(&d,
            "%s is another database than the one restored to %s (a failover, an upgrade, a "
            "change by hand?): it is left alone",
            f->database, f->desired);
        return d;
    }
    struct decision d = refuse(7, ERR_DATABASE_CHANGED);
    say(&d,
        "%s is another database than the one restored or adopted last (a failover, an upgrade, "
        "a change by hand?): it is not overwritten",
        f->database);
    if (f->has_journal)
        advise(&d, "change restoreRequest to restore over it");
    else
        advise(&d, "to restore over it, add allowInitialRestore: \"%s\"%s", f->in->key.desired_text,
               is_done || f->history_holds ? " and change restoreRequest" : "");
    return d;
}

static struct decision row_9_control_lost(const struct facts *f)
{
    bool is_current = f->is_applied && f->was_published;
    struct decision d = {
        .action = is_current ? DECIDE_NOTHING : DECIDE_REPUBLISH,
        .warning = DECIDE_CONTROL_DATABASE_LOST,
        .row = 9,
        .needs_journal = !f->was_published,
    };
    say(&d,
        "the control database has no record of %s, the journal says that it holds %s: that is "
        "believed",
        f->database, f->desired);
    return d;
}

static struct decision row_11_adopt(const struct facts *f)
{
    struct decision d = {.action = DECIDE_ADOPT, .row = 11, .needs_journal = true};
    say(&d, "%s is taken to hold %s, as lastAppliedTimestamp says", f->database, f->desired);
    return d;
}

static struct decision row_13_first_contact(const struct facts *f)
{
    struct decision d = refuse(13, ERR_FIRST_CONTACT);
    say(&d, "%s holds tables and was never restored by this program: it is not overwritten",
        f->database);
    advise(&d,
           "if the backup may replace it, add allowInitialRestore: \"%s\"; if it holds that "
           "backup already, set lastAppliedTimestamp to that time",
           f->in->key.desired_text);
    return d;
}

static struct decision decide_with_history(const struct facts *f)
{
    if (f->is_valid && f->history_has_key)
        return row_4_in_place(f);
    if (f->is_valid && f->journal_has_key)
        return row_5_database_changed(f);
    if (f->is_valid)
        return row_6_other_backup(f);
    bool may_be_done = f->journal_has_key || f->history_has_key || f->history_holds;
    if (!f->has_consent && (may_be_done || !f->has_journal))
        return row_7_not_ours(f);
    return restore(f, 8, f->has_consent ? "allowInitialRestore allows it" : "it is a new request");
}

static struct decision decide_without_history(const struct facts *f)
{
    if (f->journal_has_key && f->is_live_there && !f->has_consent)
        return row_9_control_lost(f);
    if (f->has_journal)
        return restore(f, 10, "the journal says that it holds something else");
    if (f->is_applied_alone && f->is_live_there)
        return row_11_adopt(f);
    if (!f->is_live_there || f->in->live == LIVE_EMPTY)
        return restore(f, 12, "there is nothing in it yet");
    if (f->in->last_applied.kind == STATE_TIME_GIVEN)
        return restore(f, 12, "lastAppliedTimestamp says that it is managed");
    if (f->has_consent)
        return restore(f, 12, "allowInitialRestore allows it");
    return row_13_first_contact(f);
}

static struct decision first_row(const struct decide_input *input)
{
    struct facts f = collect_facts(input);
    if (input->is_control_unreadable)
        return row_0_control_unreadable(&f);
    /* What the journal holds counts only where the database's record is not about live. */
    if (f.is_valid ? f.history_holds : f.journal_holds && f.is_live_there)
        return row_2_rolled_back(&f);
    bool is_known = f.has_history || f.has_journal || f.journal_holds || f.is_applied_alone;
    if (!f.is_live_there && is_known && !f.has_consent)
        return row_3_database_missing(&f);
    return f.has_history ? decide_with_history(&f) : decide_without_history(&f);
}

struct decision decide(const struct decide_input *input)
{
    struct decision d = first_row(input);
    if (d.action == DECIDE_RESTORE && input->live != LIVE_HOLDS_TABLES) {
        struct decide_input with_tables = *input;
        with_tables.live = LIVE_HOLDS_TABLES;
        d.rests_on_emptiness = first_row(&with_tables).action != DECIDE_RESTORE;
    }
    return d;
}

bool decide_fast_path(const struct decide_journal *journal, const struct restore_key *key,
                      const struct state_time *last_applied)
{
    if (!journal->exists || !journal->is_for_target || !journal->is_idle ||
        !journal->is_published || journal->is_collect_due)
        return false;
    return key_equals_recorded(key, &journal->held) ||
           (key_equals_recorded(key, &journal->applied) &&
            state_time_is(last_applied, key->desired));
}

const char *decide_action_name(enum decide_action action)
{
    static const char *const names[] = {
        [DECIDE_NOTHING] = "Nothing",
        [DECIDE_REPUBLISH] = "Republish",
        [DECIDE_ADOPT] = "Adopt",
        [DECIDE_RESTORE] = "Restore",
        [DECIDE_REFUSE] = "Refuse",
        [DECIDE_DRIFTED] = "Drifted",
        [DECIDE_ROLLED_BACK] = "RolledBack",
    };
    return names[action];
}

const char *decide_warning_name(enum decide_warning warning)
{
    static const char *const names[] = {
        [DECIDE_NO_WARNING] = "",
        [DECIDE_STATE_REVERTED] = "StateReverted",
        [DECIDE_CONTROL_DATABASE_LOST] = "ControlDatabaseLost",
    };
    return names[warning];
}

int64_t decide_pause_s(uint64_t count)
{
    int64_t pause_s = FIRST_PAUSE_S;
    for (uint64_t i = 1; i < count && pause_s < LONGEST_PAUSE_S; i++)
        pause_s *= 4;
    return pause_s;
}

/* A pause that ends further away than the longest one was written by a clock that was wrong. */
static int64_t pause_left_s(int64_t not_before_s, int64_t now_s)
{
    if (not_before_s <= now_s || not_before_s - now_s > LONGEST_PAUSE_S)
        return 0;
    return not_before_s - now_s;
}

struct attempt_decision decide_attempt(const struct decide_attempts *attempts,
                                       const struct restore_key *key, unsigned max_attempts,
                                       int64_t now_s)
{
    struct attempt_decision d = {.verdict = ATTEMPT_GO};
    if (!key_equals_recorded(key, &attempts->key))
        return d;
    int64_t wait_s = pause_left_s(attempts->not_before_s, now_s);
    if (attempts->is_final || attempts->count >= max_attempts) {
        d.verdict = ATTEMPT_GIVEN_UP;
        d.code = ERR_ATTEMPTS_EXHAUSTED;
    } else if (wait_s > 0) {
        d.verdict = ATTEMPT_WAIT;
        d.code = ERR_RETRY_SCHEDULED;
        d.wait_s = wait_s;
    } else {
        return d;
    }
    d.exit_code = attempts->last_exit > 0 ? attempts->last_exit : EXIT_RESTORE_FAILED;
    return d;
}
