/*
 * outcome - how a run ended: exit code, journal result, and the one line that it prints last.
 */
#ifndef RR_RECONCILE_OUTCOME_H
#define RR_RECONCILE_OUTCOME_H

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/str.h"
#include "lib/reconcile/steps.h"

enum outcome_result {
    OUTCOME_NOTHING_TO_DO,
    OUTCOME_SUCCEEDED,
    OUTCOME_FAILED,
    OUTCOME_REFUSED,
    OUTCOME_INTERRUPTED,
    OUTCOME_SUPERSEDED,
    OUTCOME_ROLLED_BACK,
    OUTCOME_LOCKED,
};

/* All zero is "nothing happened yet". Texts are copies inside the struct or live as long as the
 * program. */
struct outcome {
    enum outcome_result result;
    int exit_code;
    const char *reason; /* CamelCase, static */
    char message[ERROR_TEXT_SIZE + ERROR_HINT_SIZE + 16];
    char desired[128], run_id[40], backup[1024], previous_database[80];
    const char *integrity; /* "verified", "unchecked", NULL: nothing was loaded */
    uint64_t step_ms[STEP_COUNT];
    uint64_t rows, bytes;
    uint64_t entries_done, entries_skipped;
    uint64_t downtime_ms; /* of the application: from the first preStep to the last postStep */
    uint64_t swap_ms;     /* how long the swap kept new connections waiting */
    bool has_swapped;
    bool is_application_away; /* it was taken away and could not be brought back yet */
};

/* Exit code of a failure, by where the run had come: before the staging step nothing was changed
 * (4, 14), from there on the restore failed and the application is back (10). */
int outcome_exit_code(enum errc code, enum step step);
/* Succeeded, Failed, ... as the journal has it. */
const char *outcome_result_name(enum outcome_result result);
enum outcome_result outcome_result_of(enum errc code, int exit_code);
/* Fills result, exit_code, reason and message from an error. */
void outcome_set_error(struct outcome *outcome, const struct error *err, enum step step);
/* The line, JSON, without newline. */
void outcome_render(const struct outcome *outcome, struct str *line);
/* As outcome_render(), in at most `limit` bytes (at least 1024): the longer of message and
 * backup is shortened, at a character, until it fits. */
void outcome_render_within(const struct outcome *outcome, size_t limit, struct str *line);

#endif
