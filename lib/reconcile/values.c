#include "lib/reconcile/values.h"

#include "lib/base/str.h"

static bool is_given(const char *text)
{
    return text && *text != '\0';
}

static bool requests_equal(const char *a, const char *b)
{
    return text_equal(a ? a : "", b ? b : "");
}

bool key_equals(const struct restore_key *a, const struct restore_key *b)
{
    return instant_compare(a->desired, b->desired) == 0 && requests_equal(a->request, b->request);
}

struct recorded_key recorded_key_of(const char *desired, const char *request)
{
    struct recorded_key record = {.request = request};
    struct error malformed = ERROR_INIT;
    record.exists = is_given(desired) && !rfc3339_parse(desired, &record.desired, &malformed);
    return record;
}

bool key_equals_recorded(const struct restore_key *key, const struct recorded_key *record)
{
    return record->exists && instant_compare(key->desired, record->desired) == 0 &&
           requests_equal(key->request, record->request);
}

bool key_equals_text(const struct restore_key *key, const char *desired, const char *request)
{
    struct recorded_key record = recorded_key_of(desired, request);
    return key_equals_recorded(key, &record);
}

bool state_time_is(const struct state_time *time, struct instant instant)
{
    return time->kind == STATE_TIME_GIVEN && instant_compare(time->instant, instant) == 0;
}

/* A malformed time is as good as none, but somebody should hear of it. */
static struct state_time read_time(struct arena *arena, const char *word, const char *text,
                                   struct state_values *values)
{
    struct state_time time = {.kind = STATE_TIME_MISSING};
    struct error malformed = ERROR_INIT;
    if (!is_given(text))
        return time;
    time.kind = STATE_TIME_GIVEN;
    if (rfc3339_parse(text, &time.instant, &malformed)) {
        time.kind = STATE_TIME_MALFORMED;
        values->warnings[values->warning_count++] =
            arena_printf(arena, "%s counts as missing: %s", word, malformed.text);
    }
    return time;
}

enum errc state_values_parse(const struct state_view *view, struct arena *arena,
                             struct state_values *ret_values, struct error *err)
{
    struct state_values values = {0};
    char canonical[RFC3339_SIZE];
    if (!is_given(view->desired)) {
        error_set(err, ERR_CONFIG, "desiredBackupTimestamp is missing");
        return error_hint(err, "add desiredBackupTimestamp with the time of the backup that the "
                               "database is to hold, as in \"2024-12-10T00:00:00Z\"");
    }
    if (rfc3339_parse(view->desired, &values.key.desired, err))
        return error_wrap(err, "desiredBackupTimestamp");
    rfc3339_render(values.key.desired, canonical);
    values.key.desired_text = arena_strdup(arena, canonical);
    values.key.request = is_given(view->request) ? arena_strdup(arena, view->request) : "";
    values.last_applied = read_time(arena, "lastAppliedTimestamp", view->applied, &values);
    values.allow_initial = read_time(arena, "allowInitialRestore", view->allow_initial, &values);
    values.has_consent = state_time_is(&values.allow_initial, values.key.desired);
    values.take_over = is_given(view->take_over) ? arena_strdup(arena, view->take_over) : NULL;
    *ret_values = values;
    return RR_OK;
}
