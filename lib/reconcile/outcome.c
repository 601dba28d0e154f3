#include "lib/reconcile/outcome.h"

#include <stdio.h>
#include <string.h>

int outcome_exit_code(enum errc code, enum step step)
{
    int exit_code = errc_exit(code);
    bool is_before_stage = step < STEP_STAGE;
    if (is_before_stage && exit_code == 10)
        return 14;
    if (code == ERR_PREFLIGHT)
        return exit_code; /* also where it is found on the empty staging database: nothing was
                             changed */
    if (!is_before_stage && (exit_code == 4 || exit_code == 14))
        return 10;
    return exit_code;
}

const char *outcome_result_name(enum outcome_result result)
{
    static const char *const names[] = {
        [OUTCOME_NOTHING_TO_DO] = "NothingToDo",
        [OUTCOME_SUCCEEDED] = "Succeeded",
        [OUTCOME_FAILED] = "Failed",
        [OUTCOME_REFUSED] = "Refused",
        [OUTCOME_INTERRUPTED] = "Interrupted",
        [OUTCOME_SUPERSEDED] = "Superseded",
        [OUTCOME_ROLLED_BACK] = "RolledBack",
        [OUTCOME_LOCKED] = "Locked",
    };
    return names[result];
}

enum outcome_result outcome_result_of(enum errc code, int exit_code)
{
    if (code == ERR_CANCELLED)
        return OUTCOME_INTERRUPTED;
    if (code == ERR_SUPERSEDED)
        return OUTCOME_SUPERSEDED;
    if (code == ERR_LOCKED)
        return OUTCOME_LOCKED;
    return exit_code == 12 || exit_code == 14 ? OUTCOME_REFUSED : OUTCOME_FAILED;
}

void outcome_set_error(struct outcome *outcome, const struct error *err, enum step step)
{
    outcome->exit_code = outcome_exit_code(err->code, step);
    outcome->result = outcome_result_of(err->code, outcome->exit_code);
    outcome->reason = errc_reason(err->code);
    snprintf(outcome->message, sizeof outcome->message, "%s%s%s", err->text,
             err->hint[0] ? "; hint: " : "", err->hint);
}

static void append_text(struct str *line, const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    str_printf(line, ",\"%s\":", name);
    str_append_json(line, value);
}

static void append_seconds(struct str *line, const struct outcome *outcome)
{
    const char *comma = "";
    str_append(line, ",\"seconds\":{");
    for (int i = 0; i < STEP_COUNT; i++) {
        if (outcome->step_ms[i] == 0)
            continue;
        str_printf(line, "%s\"%s\":%.3f", comma, step_row((enum step)i)->name,
                   (double)outcome->step_ms[i] / 1000);
        comma = ",";
    }
    str_append_char(line, '}');
}

void outcome_render(const struct outcome *outcome, struct str *line)
{
    str_printf(line, "{\"result\":\"%s\",\"reason\":\"%s\",\"message\":",
               outcome_result_name(outcome->result), outcome->reason ? outcome->reason : "");
    str_append_json(line, outcome->message);
    append_text(line, "backup", outcome->backup);
    append_text(line, "desired", outcome->desired);
    append_text(line, "runId", outcome->run_id);
    append_text(line, "integrity", outcome->integrity);
    append_text(line, "previousDatabase", outcome->previous_database);
    append_seconds(line, outcome);
    str_printf(line, ",\"bytes\":%llu,\"rows\":%llu", (unsigned long long)outcome->bytes,
               (unsigned long long)outcome->rows);
    if (outcome->has_swapped)
        str_printf(line, ",\"downtimeSeconds\":%.3f,\"swapSeconds\":%.3f",
                   (double)outcome->downtime_ms / 1000, (double)outcome->swap_ms / 1000);
    if (outcome->is_application_away)
        str_append(line, ",\"applicationAway\":true");
    str_printf(line, ",\"exitCode\":%d}", outcome->exit_code);
}

/* Takes some bytes off the end, at a character, and says so with dots. False: nothing is left. */
static bool shorten(char *text)
{
    static const char dots[] = "...";
    size_t length = strlen(text);
    if (length >= sizeof dots - 1 && strcmp(text + length - (sizeof dots - 1), dots) == 0)
        length -= sizeof dots - 1;
    if (length < 2 * sizeof dots)
        return false;
    length -= length / 16 + sizeof dots;
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
        length--;
    memcpy(text + length, dots, sizeof dots);
    return true;
}

void outcome_render_within(const struct outcome *outcome, size_t limit, struct str *line)
{
    struct outcome cut = *outcome;
    char *longer;
    do {
        str_clear(line);
        outcome_render(&cut, line);
        longer = strlen(cut.backup) > strlen(cut.message) ? cut.backup : cut.message;
    } while (line->length > limit && shorten(longer));
}
