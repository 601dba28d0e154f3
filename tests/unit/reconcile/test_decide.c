#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/str.h"
#include "lib/reconcile/decide.h"

/* The key asked for, written in two zones, and others. */
#define T1 "2024-12-10T00:00:00Z"
#define T1_EAST "2024-12-10T01:00:00+01:00"
#define T2 "2024-12-09T00:00:00Z"

/* --- building an input from words
 * ----------------------------------------------------------------- */

static struct instant instant_of(const char *text)
{
    struct instant instant;
    struct error err = ERROR_INIT;
    assert_int_equal(rfc3339_parse(text, &instant, &err), RR_OK);
    return instant;
}

static struct restore_key key_of(const char *desired, const char *request)
{
    return (struct restore_key){
        .desired = instant_of(desired), .desired_text = T1, .request = request};
}

static struct state_time time_of(const char *text)
{
    struct error err = ERROR_INIT;
    struct state_time time = {.kind = STATE_TIME_MISSING};
    if (text)
        time.kind =
            rfc3339_parse(text, &time.instant, &err) ? STATE_TIME_MALFORMED : STATE_TIME_GIVEN;
    return time;
}

/* NULL or "-": none; "T" or "T request". */
static struct recorded_key record_of(const char *text)
{
    static char copies[8][64];
    static unsigned next;
    if (!text || strcmp(text, "-") == 0)
        return (struct recorded_key){0};
    char *copy = copies[next++ % 8];
    snprintf(copy, 64, "%s", text);
    char *blank = strchr(copy, ' ');
    if (blank)
        *blank = '\0';
    return recorded_key_of(copy, blank ? blank + 1 : NULL);
}

struct row {
    const char *name;
    const char *request; /* NULL: none; desired is T1 in all rows */
    const char *last_applied;
    const char *journal, *journal_held; /* keys; "-" as journal: a journal without a key */
    const char *history, *history_held; /* keys; "-": a row without one */
    enum { ABOUT_LIVE, NOT_ABOUT_LIVE } history_is;
    enum history_kind kind;
    enum decide_live live;
    bool has_consent, is_unpublished, is_other_target, is_unreadable;
    const char *previous;
    enum spec_on_revert on_revert;
    unsigned reverts;
    /* expected */
    unsigned number;
    enum decide_action action;
    enum errc code;
    enum decide_warning warning;
};

static struct decide_input input_of(const struct row *row)
{
    return (struct decide_input){
        .database = "shop",
        .key = key_of(T1, row->request ? row->request : ""),
        .last_applied = time_of(row->last_applied),
        .has_consent = row->has_consent,
        .is_control_unreadable = row->is_unreadable,
        .journal = {.exists = row->journal || row->journal_held,
                    .is_for_target = !row->is_other_target,
                    .is_idle = true,
                    .is_published = !row->is_unpublished,
                    .applied = record_of(row->journal),
                    .held = record_of(row->journal_held)},
        .history = {.exists = row->history || row->history_held,
                    .is_valid = row->history_is == ABOUT_LIVE,
                    .kind = row->kind,
                    .key = record_of(row->history),
                    .held = record_of(row->history_held)},
        .live = row->live,
        .previous = record_of(row->previous),
        .on_revert = row->on_revert,
        .reverts_last_hour = row->reverts,
    };
}

/* --- every row of the table
 * ----------------------------------------------------------------------- */

#define TABLES .live = LIVE_HOLDS_TABLES
#define ABSENT .live = LIVE_ABSENT
#define EMPTY .live = LIVE_EMPTY
#define GONE .history_is = NOT_ABOUT_LIVE /* the history row is not about live */
#define CONSENT .has_consent = true
#define ROLLBACK .kind = HISTORY_ROLLBACK
#define NOTHING .action = DECIDE_NOTHING
#define REPUBLISH .action = DECIDE_REPUBLISH
#define RESTORE .action = DECIDE_RESTORE
#define REFUSE(errc) .action = DECIDE_REFUSE, .code = errc

static const struct row rows[] = {
    {"control database unreadable", .is_unreadable = true, .history = T2, TABLES, .number = 0,
     REFUSE(ERR_CONTROL_DATABASE)},

    {"rolled back by hand", .journal = T2, .journal_held = T1, .history = T2, .history_held = T1,
     ROLLBACK, TABLES, .number = 2, .action = DECIDE_ROLLED_BACK},
    {"rolled back, journal lost", .history = "-", .history_held = T1, ROLLBACK, TABLES, .number = 2,
     .action = DECIDE_ROLLED_BACK},
    {"rolled back, L reverted", .last_applied = T2, .history_held = T1, ROLLBACK, TABLES,
     .number = 2, .action = DECIDE_ROLLED_BACK},
    {"rolled back, a new request", .request = "again", .history = T2, .history_held = T1, ROLLBACK,
     TABLES, .number = 6, RESTORE},
    {"rolled back, another time is held", .history = "-", .history_held = T2, ROLLBACK, TABLES,
     .number = 6, RESTORE},
    {"held word in a row that is no rollback", .history = T2, .history_held = T1, TABLES,
     .number = 6, RESTORE},
    {"journal holds, history is not about live", .journal = T2, .journal_held = T1, .history = T2,
     GONE, TABLES, .number = 2, .action = DECIDE_ROLLED_BACK},
    {"journal holds, control database lost", .journal = T2, .journal_held = T1, TABLES, .number = 2,
     .action = DECIDE_ROLLED_BACK},
    {"journal without applied key holds", .journal_held = T1, TABLES, .number = 2,
     .action = DECIDE_ROLLED_BACK},
    {"journal of another database holds", .journal_held = T1, .is_other_target = true, TABLES,
     .number = 13, REFUSE(ERR_FIRST_CONTACT)},

    {"live absent, history", .history = T1, GONE, ABSENT, .number = 3,
     REFUSE(ERR_DATABASE_MISSING)},
    {"live absent, history claims to be about it", .history = T1, ABSENT, .number = 3,
     REFUSE(ERR_DATABASE_MISSING)},
    {"live absent, journal", .journal = T2, ABSENT, .number = 3, REFUSE(ERR_DATABASE_MISSING)},
    {"live absent, journal of another key and L", .journal = T2, .last_applied = T2, ABSENT,
     .number = 3, REFUSE(ERR_DATABASE_MISSING)},
    {"live absent, L says it was restored", .last_applied = T1_EAST, ABSENT, .number = 3,
     REFUSE(ERR_DATABASE_MISSING)},
    {"live absent, held", .journal_held = T1, ABSENT, .number = 3, REFUSE(ERR_DATABASE_MISSING)},

    {"in place", .last_applied = T1, .journal = T1, .history = T1, TABLES, .number = 4, NOTHING},
    {"in place, equal in another zone", .last_applied = T1_EAST, .journal = T1_EAST,
     .history = T1_EAST, TABLES, .number = 4, NOTHING},
    {"in place with a request", .request = "x", .last_applied = T1, .journal = T1 " x",
     .history = T1 " x", TABLES, .number = 4, NOTHING},
    {"in place, killed before publishing", .last_applied = T2, .journal = T1,
     .is_unpublished = true, .history = T1, TABLES, .number = 4, REPUBLISH},
    {"in place, journal lost", .last_applied = T2, .history = T1, TABLES, .number = 4, REPUBLISH},
    {"in place, journal and L lost", .history = T1, TABLES, .number = 4, REPUBLISH},
    {"in place, journal older than history", .last_applied = T2, .journal = T2, .history = T1,
     TABLES, .number = 4, REPUBLISH},
    {"in place, L reverted", .last_applied = T2, .journal = T1, .history = T1, TABLES, .number = 4,
     REPUBLISH, .warning = DECIDE_STATE_REVERTED},
    {"in place, L removed", .journal = T1, .history = T1, TABLES, .number = 4, REPUBLISH,
     .warning = DECIDE_STATE_REVERTED},
    {"in place, L malformed", .last_applied = "yesterday", .journal = T1, .history = T1, TABLES,
     .number = 4, REPUBLISH, .warning = DECIDE_STATE_REVERTED},
    {"in place, L reverted twice already", .last_applied = T2, .journal = T1, .history = T1, TABLES,
     .reverts = 2, .number = 4, REPUBLISH, .warning = DECIDE_STATE_REVERTED},
    {"in place, L reverted again and again", .last_applied = T2, .journal = T1, .history = T1,
     TABLES, .reverts = 3, .number = 4, NOTHING, .warning = DECIDE_STATE_REVERTED},
    {"in place after a rollback to it", .last_applied = T1, .journal = T1, .history = T1,
     .history_held = T2, ROLLBACK, TABLES, .number = 4, NOTHING},
    {"in place by adoption", .last_applied = T1, .history = T1, .kind = HISTORY_ADOPT, TABLES,
     .number = 4, NOTHING},
    {"in place, live cannot be looked into", .last_applied = T1, .history = T1,
     .live = LIVE_UNKNOWN, .number = 4, NOTHING},

    {"server went back in time", .last_applied = T1, .journal = T1, .history = T2, TABLES,
     .number = 5, REFUSE(ERR_DATABASE_CHANGED)},
    {"server went back in time, consent left in Git", .journal = T1, .history = T2, TABLES, CONSENT,
     .number = 5, REFUSE(ERR_DATABASE_CHANGED)},
    {"rolled back to what has no key, journal not written", .journal = T1, .history = "-", ROLLBACK,
     TABLES, .number = 5, REFUSE(ERR_DATABASE_CHANGED)},

    {"another time", .last_applied = T2, .journal = T2, .history = T2, TABLES, .number = 6,
     RESTORE},
    {"same time, new request", .request = "x", .last_applied = T1, .journal = T1, .history = T1,
     TABLES, .number = 6, RESTORE},
    {"same time, request removed", .last_applied = T1, .journal = T1 " x", .history = T1 " x",
     TABLES, .number = 6, RESTORE},
    {"another time, journal lost", .history = T2, TABLES, .number = 6, RESTORE},
    {"another time, L claims it", .last_applied = T1, .journal = T2, .history = T2, TABLES,
     .number = 6, RESTORE},
    {"git revert", .last_applied = T2, .journal = T2, .history = T2, TABLES, .previous = T1_EAST,
     .number = 6, REFUSE(ERR_REVERT_REFUSED)},
    {"git revert, swap-back is not built", .history = T2, TABLES, .previous = T1,
     .on_revert = SPEC_ON_REVERT_SWAP_BACK, .number = 6, REFUSE(ERR_REVERT_REFUSED)},
    {"git revert, load", .history = T2, TABLES, .previous = T1, .on_revert = SPEC_ON_REVERT_LOAD,
     .number = 6, RESTORE},
    {"git revert with a request", .request = "x", .history = T2, TABLES, .previous = T1,
     .number = 6, RESTORE},

    {"drifted", .last_applied = T1, .journal = T1, .history = T1, GONE, TABLES, .number = 7,
     .action = DECIDE_DRIFTED},
    {"drifted, journal lost", .last_applied = T1, .history = T2, GONE, TABLES, .number = 7,
     .action = DECIDE_DRIFTED},
    {"drifted, with a request that was done", .request = "x", .last_applied = T1,
     .journal = T1 " x", .history = T1 " x", GONE, TABLES, .number = 7, .action = DECIDE_DRIFTED},
    {"drifted, journal lost, L says nothing about the request", .request = "x", .last_applied = T1,
     .history = T2, GONE, TABLES, .number = 7, REFUSE(ERR_DATABASE_CHANGED)},
    {"replaced by hand, L reverted", .last_applied = T2, .journal = T1, .history = T1, GONE, TABLES,
     .number = 7, REFUSE(ERR_DATABASE_CHANGED)},
    {"replaced by hand, journal lost", .history = T2, GONE, TABLES, .number = 7,
     REFUSE(ERR_DATABASE_CHANGED)},
    {"replaced by hand, consent left in Git", .last_applied = T2, .journal = T1, .history = T1,
     GONE, TABLES, CONSENT, .number = 7, REFUSE(ERR_DATABASE_CHANGED)},
    {"upgraded, journal lost, consent left in Git", .history = T1, GONE, TABLES, CONSENT,
     .number = 7, REFUSE(ERR_DATABASE_CHANGED)},
    {"upgraded after a rollback, journal lost, consent left in Git", .history = "-",
     .history_held = T1, ROLLBACK, GONE, TABLES, CONSENT, .number = 7,
     REFUSE(ERR_DATABASE_CHANGED)},
    {"replaced by hand, journal from an old backup", .journal = T2, .history = T1, GONE, TABLES,
     .number = 7, REFUSE(ERR_DATABASE_CHANGED)},
    {"journal of another database counts as none", .journal = T2, .is_other_target = true,
     .history = T2, GONE, TABLES, .number = 7, REFUSE(ERR_DATABASE_CHANGED)},

    {"replaced by hand, another time", .last_applied = T2, .journal = T2, .history = T2, GONE,
     TABLES, .number = 8, RESTORE},
    {"replaced by hand, new request", .request = "x", .journal = T1, .history = T1, GONE, TABLES,
     .number = 8, RESTORE},
    {"journal lost, another time, consent", .history = T2, GONE, TABLES, CONSENT, .number = 8,
     RESTORE},
    {"live absent, history, consent", .journal = T1, .history = T1, GONE, ABSENT, CONSENT,
     .number = 8, RESTORE},
    {"live made anew and empty, consent", .journal = T1, .history = T1, GONE, EMPTY, CONSENT,
     .number = 8, RESTORE},

    {"control database lost", .last_applied = T1, .journal = T1, TABLES, .number = 9, NOTHING,
     .warning = DECIDE_CONTROL_DATABASE_LOST},
    {"control database lost, L reverted", .last_applied = T2, .journal = T1, TABLES, .number = 9,
     REPUBLISH, .warning = DECIDE_CONTROL_DATABASE_LOST},
    {"control database lost, consent left in Git", .journal = T1, TABLES, CONSENT, .number = 9,
     REPUBLISH, .warning = DECIDE_CONTROL_DATABASE_LOST},

    {"control database lost, another time", .last_applied = T2, .journal = T2, TABLES, .number = 10,
     RESTORE},
    {"new server, consent", .last_applied = T1, .journal = T1, ABSENT, CONSENT, .number = 10,
     RESTORE},

    {"adoption", .last_applied = T1, TABLES, .number = 11, .action = DECIDE_ADOPT},
    {"adoption, equal in another zone", .last_applied = T1_EAST, TABLES, .number = 11,
     .action = DECIDE_ADOPT},
    {"adoption, journal of another database", .last_applied = T1, .journal = T2,
     .is_other_target = true, TABLES, .number = 11, .action = DECIDE_ADOPT},
    {"adoption, journal without a key", .last_applied = T1, .journal = "-", TABLES, .number = 11,
     .action = DECIDE_ADOPT},
    {"L alone says nothing about a request", .request = "x", .last_applied = T1, TABLES,
     .number = 12, RESTORE},

    {"first installation", ABSENT, .number = 12, RESTORE},
    {"first installation into an empty database", EMPTY, .number = 12, RESTORE},
    {"managed, by the user's word", .last_applied = T2, TABLES, .number = 12, RESTORE},
    {"managed, absent", .last_applied = T2, ABSENT, .number = 12, RESTORE},
    {"consent", TABLES, CONSENT, .number = 12, RESTORE},

    {"first contact", TABLES, .number = 13, REFUSE(ERR_FIRST_CONTACT)},
    {"first contact, L malformed", .last_applied = "2024-12-10", TABLES, .number = 13,
     REFUSE(ERR_FIRST_CONTACT)},
    {"first contact, cannot be looked into", .live = LIVE_UNKNOWN, .number = 13,
     REFUSE(ERR_FIRST_CONTACT)},
    {"first contact, journal of a failed attempt only", .journal = "-", TABLES, .number = 13,
     REFUSE(ERR_FIRST_CONTACT)},
};

static void test_every_row_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct decide_input input = input_of(&rows[i]);
        struct decision d = decide(&input);
        if (d.row != rows[i].number || d.action != rows[i].action || d.code != rows[i].code ||
            d.warning != rows[i].warning)
            fail_msg("%s: row %u, %s %s %s: %s", rows[i].name, d.row, decide_action_name(d.action),
                     errc_name(d.code), decide_warning_name(d.warning), d.text);
        assert_non_null(strstr(d.text, "'shop'"));
        if (d.action == DECIDE_REFUSE)
            assert_true(d.hint[0] != '\0');
    }
}

static void test_every_row_is_tested(void **state)
{
    (void)state;
    for (unsigned number = 0; number <= 13; number++) {
        bool is_tested = number == 1; /* the caller's */
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            is_tested = is_tested || rows[i].number == number;
        if (!is_tested)
            fail_msg("row %u", number);
    }
}

/* --- every combination, held against what must always be true
 * ------------------------------------- */

static const char *const record_values[] = {NULL, "-", T1, T1_EAST, T2, T1 " x"};
static const char *const applied_values[] = {NULL, "malformed", "2024-12-10T00:00:00",
                                             T1,   T1_EAST,     T2};
static const char *const request_values[] = {NULL, "x"};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* Takes one of `count` choices out of a running number. */
static size_t choose(size_t *number, size_t count)
{
    size_t choice = *number % count;
    *number /= count;
    return choice;
}

/* The `number`-th combination; false when there are no more. Values that matter only together are
 * chosen together. */
static bool combination(size_t number, struct row *row)
{
    static const struct row publications[] = {
        {.reverts = 0}, {.reverts = 3}, {.is_unpublished = true}};
    static const struct row reverts[] = {{.previous = NULL},
                                         {.previous = T1, .on_revert = SPEC_ON_REVERT_REFUSE},
                                         {.previous = T1, .on_revert = SPEC_ON_REVERT_LOAD}};
    static const struct row histories[] = {{.kind = HISTORY_RESTORE},
                                           {.kind = HISTORY_RESTORE, .history_held = T1},
                                           {.kind = HISTORY_ROLLBACK, .history_held = T1},
                                           {.kind = HISTORY_ROLLBACK, .history_held = T1 " x"}};
    size_t journal = choose(&number, COUNT_OF(record_values) + 1);
    const struct row *history = &histories[choose(&number, COUNT_OF(histories))];
    const struct row *publication = &publications[choose(&number, COUNT_OF(publications))];
    const struct row *revert = &reverts[choose(&number, COUNT_OF(reverts))];
    *row = (struct row){
        .name = "combination",
        .request = request_values[choose(&number, COUNT_OF(request_values))],
        .last_applied = applied_values[choose(&number, COUNT_OF(applied_values))],
        .journal = journal < COUNT_OF(record_values) ? record_values[journal] : T1,
        .is_other_target = journal == COUNT_OF(record_values),
        .journal_held = choose(&number, 2) ? T1 : NULL,
        .is_unpublished = publication->is_unpublished,
        .reverts = publication->reverts,
        .history = record_values[choose(&number, COUNT_OF(record_values))],
        .history_held = history->history_held,
        .kind = history->kind,
        .history_is = choose(&number, 2) ? ABOUT_LIVE : NOT_ABOUT_LIVE,
        .live = (enum decide_live)choose(&number, 4),
        .has_consent = choose(&number, 2),
        .previous = revert->previous,
        .on_revert = revert->on_revert,
    };
    return number == 0;
}

static void complain(size_t number, const struct decision *d, const char *rule)
{
    fail_msg("combination %zu, row %u, %s: %s", number, d->row, decide_action_name(d->action),
             rule);
}

/* The witnesses in the words of the rules, computed here anew, not by the code under test. */
struct truth {
    bool journal_is_key, journal_holds, has_journal, history_is_key, history_holds, is_valid,
        is_there;
    bool can_lose, is_applied, has_request;
};

static bool is_key(const char *record, const char *request)
{
    if (!record || strcmp(record, "-") == 0 || strncmp(record, "2024-12-10", 10) != 0)
        return false;
    return text_equal(strchr(record, ' ') ? "x" : NULL, request);
}

static struct truth truth_of(const struct row *row)
{
    bool has_history = row->history || row->history_held;
    struct truth t = {
        .has_journal = !row->is_other_target && row->journal && strcmp(row->journal, "-") != 0,
        .journal_is_key = !row->is_other_target && is_key(row->journal, row->request),
        .journal_holds = !row->is_other_target && is_key(row->journal_held, row->request),
        .history_is_key = is_key(row->history, row->request),
        .history_holds = row->kind == HISTORY_ROLLBACK && is_key(row->history_held, row->request),
        .is_there = row->live != LIVE_ABSENT,
        .can_lose = row->live == LIVE_HOLDS_TABLES || row->live == LIVE_UNKNOWN,
        .is_applied = row->last_applied && (strcmp(row->last_applied, T1) == 0 ||
                                            strcmp(row->last_applied, T1_EAST) == 0),
        .has_request = row->request != NULL,
    };
    t.is_valid = has_history && row->history_is == ABOUT_LIVE && t.is_there;
    return t;
}

static void check_restore(size_t number, const struct row *row, const struct truth *t,
                          const struct decision *d)
{
    bool has_history = row->history || row->history_held;
    bool is_managed = row->last_applied && (strcmp(row->last_applied, T2) == 0 || t->is_applied);
    if (t->is_valid && t->history_is_key)
        complain(number, d, "live is what was asked for");
    if (t->is_valid && t->history_holds)
        complain(number, d, "it was rolled back");
    if (t->journal_is_key && (t->can_lose || !row->has_consent))
        complain(number, d, "the journal says that it was done");
    if (!t->is_valid && t->can_lose && (t->history_is_key || t->history_holds || t->journal_holds))
        complain(number, d, "a record says that it was done");
    if (!has_history && !t->has_journal && t->can_lose && !is_managed && !row->has_consent)
        complain(number, d, "first contact");
    if (has_history && !t->is_valid && !t->has_journal && !row->has_consent)
        complain(number, d, "not our database, and nothing says that it may be overwritten");
    if (!t->is_there && !row->has_consent && (has_history || t->has_journal))
        complain(number, d, "missing, and nobody said that it may be made anew");
    if (t->is_valid && !t->journal_is_key && is_key(row->previous, row->request) &&
        row->on_revert != SPEC_ON_REVERT_LOAD)
        complain(number, d, "the kept database holds it");
    struct row with_tables = *row;
    with_tables.live = LIVE_HOLDS_TABLES;
    struct decide_input input = input_of(&with_tables);
    if (d->rests_on_emptiness == (decide(&input).action == DECIDE_RESTORE))
        complain(number, d, "rests_on_emptiness");
}

/* Answers what was decided. */
static enum decide_action check_combination(size_t number, const struct row *row)
{
    struct decide_input input = input_of(row);
    struct decision d = decide(&input);
    struct truth t = truth_of(row);
    bool is_held = t.is_valid ? t.history_holds : t.journal_holds && t.is_there;
    bool has_history = row->history || row->history_held;
    if (d.action == DECIDE_RESTORE)
        check_restore(number, row, &t, &d);
    if (d.action == DECIDE_NOTHING && !t.is_applied && d.warning == DECIDE_NO_WARNING)
        complain(number, &d, "nothing done, though not published");
    if ((d.action == DECIDE_NOTHING || d.action == DECIDE_REPUBLISH) &&
        !(t.is_valid && t.history_is_key) && !(t.journal_is_key && !has_history))
        complain(number, &d, "taken for done, though no record says so");
    if (d.action == DECIDE_ADOPT &&
        (t.has_request || !t.is_applied || t.has_journal || has_history || !t.is_there))
        complain(number, &d, "adopted without its four conditions");
    if (d.action == DECIDE_DRIFTED && (!t.is_applied || t.is_valid))
        complain(number, &d, "drifted");
    if (d.action == DECIDE_DRIFTED && t.has_request && !t.journal_is_key && !t.history_is_key)
        complain(number, &d, "L alone says nothing about a request");
    if ((d.action == DECIDE_ROLLED_BACK) != is_held)
        complain(number, &d, "rolled back");
    if ((d.code != RR_OK) != (d.action == DECIDE_REFUSE) || (d.code && !d.hint[0]) || !d.text[0])
        complain(number, &d, "a refusal has code, text and hint; others have no code");
    if (d.warning == DECIDE_STATE_REVERTED &&
        (!t.journal_is_key || row->is_unpublished || t.is_applied))
        complain(number, &d, "reverted, though it was never published or is right");
    if (d.code == ERR_FIRST_CONTACT && (has_history || t.has_journal || row->has_consent))
        complain(number, &d, "not the first contact");
    return d.action;
}

static void test_every_combination_keeps_what_must_always_be_true(void **state)
{
    (void)state;
    size_t number = 0, restores = 0;
    struct row row;
    for (; combination(number, &row); number++)
        restores += check_combination(number, &row) == DECIDE_RESTORE;
    assert_true(number > 500000);
    assert_true(restores > number / 20 && restores < number);
}

/* Writing the same witness in another zone, or none as empty, changes nothing. */
static void test_zones_and_empty_requests_make_no_difference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct row other = rows[i];
        const char **texts[] = {&other.last_applied, &other.journal,      &other.history,
                                &other.previous,     &other.journal_held, &other.history_held};
        for (size_t k = 0; k < COUNT_OF(texts); k++)
            if (*texts[k] && strcmp(*texts[k], T1) == 0)
                *texts[k] = T1_EAST;
        struct decide_input a = input_of(&rows[i]), b = input_of(&other);
        b.key.desired = instant_of(T1_EAST);
        if (!rows[i].request)
            b.key.request = NULL;
        struct decision da = decide(&a), db = decide(&b);
        if (da.row != db.row || da.action != db.action || strcmp(da.text, db.text) != 0)
            fail_msg("%s", rows[i].name);
    }
}

static void test_texts_escape_foreign_names_and_stay_within_bounds(void **state)
{
    (void)state;
    char request[3000];
    memset(request, '\n', sizeof request - 1);
    request[sizeof request - 1] = '\0';
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct decide_input input = input_of(&rows[i]);
        input.database =
            "a'b\n\x1b[31m%s%n 63 bytes and more: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        input.last_applied_manager = "kubectl\nedit";
        input.key.request = request;
        struct decision d = decide(&input);
        assert_null(strpbrk(d.text, "\n\x1b"));
        assert_null(strpbrk(d.hint, "\n\x1b"));
        assert_true(strlen(d.text) < sizeof d.text - 1);
    }
}

static void test_first_contact_names_the_line_to_add(void **state)
{
    (void)state;
    struct row row = {.name = "", TABLES};
    struct decide_input input = input_of(&row);
    assert_non_null(strstr(decide(&input).hint, "allowInitialRestore: \"" T1 "\""));
}

/* --- fast path
 * ------------------------------------------------------------------------------------ */

static void test_fast_path(void **state)
{
    (void)state;
    static const struct {
        const char *name, *request, *applied, *held, *last_applied;
        bool is_absent, is_busy, is_unpublished, is_due, is_other_target, is_fast;
    } cases[] = {
        {.name = "all equal", .applied = T1, .last_applied = T1, .is_fast = true},
        {.name = "equal in another zone",
         .applied = T1_EAST,
         .last_applied = T1_EAST,
         .is_fast = true},
        {.name = "with request",
         .request = "x",
         .applied = T1 " x",
         .last_applied = T1,
         .is_fast = true},
        {.name = "held", .applied = T2, .held = T1, .last_applied = T2, .is_fast = true},
        {.name = "held, L missing", .held = T1, .is_fast = true},
        {.name = "new request", .request = "x", .applied = T1, .last_applied = T1},
        {.name = "request removed", .applied = T1 " x", .last_applied = T1},
        {.name = "another time", .applied = T2, .last_applied = T2},
        {.name = "L alone", .last_applied = T1},
        {.name = "L alone equal", .applied = T2, .last_applied = T1},
        {.name = "L reverted", .applied = T1, .last_applied = T2},
        {.name = "L missing", .applied = T1},
        {.name = "L malformed", .applied = T1, .last_applied = "now"},
        {.name = "no journal", .applied = T1, .last_applied = T1, .is_absent = true},
        {.name = "unfinished", .applied = T1, .last_applied = T1, .is_busy = true},
        {.name = "unpublished", .applied = T1, .last_applied = T1, .is_unpublished = true},
        {.name = "something due", .applied = T1, .last_applied = T1, .is_due = true},
        {.name = "another database", .applied = T1, .last_applied = T1, .is_other_target = true},
        {.name = "held, something due", .held = T1, .is_due = true},
        {.name = "held with another request", .request = "x", .held = T1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decide_journal journal = {
            .exists = !cases[i].is_absent,
            .is_for_target = !cases[i].is_other_target,
            .is_idle = !cases[i].is_busy,
            .is_published = !cases[i].is_unpublished,
            .is_collect_due = cases[i].is_due,
            .applied = record_of(cases[i].applied),
            .held = record_of(cases[i].held),
        };
        struct restore_key key = key_of(T1, cases[i].request ? cases[i].request : "");
        struct state_time last_applied = time_of(cases[i].last_applied);
        if (decide_fast_path(&journal, &key, &last_applied) != cases[i].is_fast)
            fail_msg("%s", cases[i].name);
    }
}

/* --- attempts
 * ------------------------------------------------------------------------------------- */

static void test_attempts(void **state)
{
    (void)state;
    enum { NOW = 1000000 };
    static const struct {
        const char *name, *key;
        uint64_t count;
        bool is_final;
        int last_exit;
        int64_t not_before_s;
        enum attempt_verdict verdict;
        int exit_code;
        int64_t wait_s;
    } cases[] = {
        {"never tried", NULL, 0, false, 0, 0, ATTEMPT_GO, 0, 0},
        {"pause runs", T1, 1, false, 10, NOW + 60, ATTEMPT_WAIT, 10, 60},
        {"pause of a failure before staging", T1, 1, false, 4, NOW + 1, ATTEMPT_WAIT, 4, 1},
        {"pause is over", T1, 1, false, 10, NOW, ATTEMPT_GO, 0, 0},
        {"pause is long over", T1, 2, false, 10, 5, ATTEMPT_GO, 0, 0},
        {"longest pause", T1, 2, false, 10, NOW + 1920, ATTEMPT_WAIT, 10, 1920},
        {"written by a wrong clock", T1, 2, false, 10, NOW + 1921, ATTEMPT_GO, 0, 0},
        {"killed: counts, no pause", T1, 2, false, 0, 0, ATTEMPT_GO, 0, 0},
        {"killed for the last time", T1, 3, false, 0, 0, ATTEMPT_GIVEN_UP, 10, 0},
        {"used up", T1, 3, false, 10, 0, ATTEMPT_GIVEN_UP, 10, 0},
        {"used up, pause runs", T1, 3, false, 10, NOW + 60, ATTEMPT_GIVEN_UP, 10, 0},
        {"more than used up, since the limit was lowered", T1, 9, false, 10, 0, ATTEMPT_GIVEN_UP,
         10, 0},
        {"final", T1, 1, true, 14, 0, ATTEMPT_GIVEN_UP, 14, 0},
        {"final before the first attempt", T1_EAST, 0, true, 14, 0, ATTEMPT_GIVEN_UP, 14, 0},
        {"another time clears it", T2, 3, true, 10, NOW + 60, ATTEMPT_GO, 0, 0},
        {"another request clears it", T1 " x", 3, true, 10, NOW + 60, ATTEMPT_GO, 0, 0},
    };
    struct restore_key key = key_of(T1, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct decide_attempts attempts = {record_of(cases[i].key), cases[i].count,
                                           cases[i].is_final, cases[i].last_exit,
                                           cases[i].not_before_s};
        struct attempt_decision d = decide_attempt(&attempts, &key, 3, NOW);
        enum errc code = cases[i].verdict == ATTEMPT_GO     ? RR_OK
                         : cases[i].verdict == ATTEMPT_WAIT ? ERR_RETRY_SCHEDULED
                                                            : ERR_ATTEMPTS_EXHAUSTED;
        if (d.verdict != cases[i].verdict || d.code != code || d.exit_code != cases[i].exit_code ||
            d.wait_s != cases[i].wait_s)
            fail_msg("%s: %d %s %d %lld", cases[i].name, (int)d.verdict, errc_name(d.code),
                     d.exit_code, (long long)d.wait_s);
    }
}

static void test_pauses_are_2_8_and_32_minutes(void **state)
{
    (void)state;
    assert_int_equal(decide_pause_s(1), 120);
    assert_int_equal(decide_pause_s(2), 480);
    assert_int_equal(decide_pause_s(3), 1920);
    assert_int_equal(decide_pause_s(4), 1920);
    assert_int_equal(decide_pause_s(UINT64_MAX), 1920);
    assert_int_equal(decide_pause_s(0), 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_the_table),
        cmocka_unit_test(test_every_row_is_tested),
        cmocka_unit_test(test_every_combination_keeps_what_must_always_be_true),
        cmocka_unit_test(test_zones_and_empty_requests_make_no_difference),
        cmocka_unit_test(test_texts_escape_foreign_names_and_stay_within_bounds),
        cmocka_unit_test(test_first_contact_names_the_line_to_add),
        cmocka_unit_test(test_fast_path),
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_pauses_are_2_8_and_32_minutes),
    };
    return cmocka_run_group_tests_name("reconcile/decide", tests, NULL, NULL);
}
