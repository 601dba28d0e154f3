/*
 * values - the values that stand beside restore.yaml, and the key of a restore.
 *
 * The key, everywhere, is (instant of desiredBackupTimestamp, restoreRequest): equal instants are
 * equal in whatever zone they were written, and a missing request is an empty one. Nothing here has
 * effects.
 */
#ifndef RR_RECONCILE_VALUES_H
#define RR_RECONCILE_VALUES_H

#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/codec/rfc3339.h"
#include "lib/state/store.h"

struct restore_key {
    struct instant desired;
    const char *desired_text; /* canonical, in UTC */
    const char *request;      /* "" if there is none */
};

bool key_equals(const struct restore_key *a, const struct restore_key *b);

/* A key as a record (journal, history) has it; it may have none. */
struct recorded_key {
    bool exists;
    struct instant desired;
    const char *request; /* NULL and "" are the same: none */
};

/* From texts; `desired` NULL, empty or malformed: there is none. `request` is borrowed. */
struct recorded_key recorded_key_of(const char *desired, const char *request);
/* False where there is none. */
bool key_equals_recorded(const struct restore_key *key, const struct recorded_key *record);
/* Both at once. */
bool key_equals_text(const struct restore_key *key, const char *desired, const char *request);

enum state_time_kind { STATE_TIME_MISSING, STATE_TIME_MALFORMED, STATE_TIME_GIVEN };

/* A time of the state that may be missing or malformed. */
struct state_time {
    enum state_time_kind kind;
    struct instant instant; /* STATE_TIME_GIVEN */
};

/* Whether it is given and names this instant. */
bool state_time_is(const struct state_time *time, struct instant instant);

enum { STATE_WARNINGS_MAX = 2 };

struct state_values {
    struct restore_key key;
    struct state_time last_applied;           /* malformed counts as missing */
    struct state_time allow_initial;          /* malformed is never consent */
    bool has_consent;                         /* allow_initial names exactly desired */
    const char *take_over;                    /* NULL if not given */
    const char *warnings[STATE_WARNINGS_MAX]; /* what was malformed, for the log */
    size_t warning_count;
};

/* Texts live in the arena. ERR_CONFIG if desiredBackupTimestamp is missing or malformed; nothing
 * else is an error. */
enum errc state_values_parse(const struct state_view *view, struct arena *arena,
                             struct state_values *ret_values, struct error *err) RR_MUST_CHECK;

#endif
