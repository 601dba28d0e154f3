#include "lib/base/retry.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

void retry_ask_pause(struct retry *retry, uint64_t ms)
{
    retry->asked_ms = ms;
}

static uint64_t next_pause_ms(const struct retry_policy *policy, const struct retry *retry)
{
    uint64_t pause = policy->first_pause_ms;
    for (unsigned i = 1; i < retry->attempt && pause < policy->max_pause_ms; i++)
        pause *= 2;
    if (retry->asked_ms > pause)
        pause = retry->asked_ms;
    return pause < policy->max_pause_ms ? pause : policy->max_pause_ms;
}

static enum errc give_up(unsigned tries, const struct error *first, struct error *err)
{
    if (tries == 1)
        return err->code;
    size_t used = strlen(err->text);
    if (strcmp(first->text, err->text) == 0)
        snprintf(err->text + used, sizeof err->text - used, " (tried %u times)", tries);
    else
        snprintf(err->text + used, sizeof err->text - used, " (tried %u times; the first time: %s)",
                 tries, first->text);
    return err->code;
}

enum errc retry_run(const struct retry_policy *policy, const struct clock *clock,
                    const struct cancel *cancel,
                    enum errc (*call)(void *context, struct retry *retry, struct error *err),
                    void *context, struct error *err)
{
    uint64_t begin_ms = clock_boottime_ms(clock);
    struct error first = ERROR_INIT;
    for (struct retry retry = {.attempt = 1};; retry.attempt++, retry.asked_ms = 0) {
        enum errc code = call(context, &retry, err);
        if (code == RR_OK || !errc_is_transient(code))
            return code == RR_OK ? code
                                 : give_up(retry.attempt, retry.attempt > 1 ? &first : err, err);
        if (retry.attempt == 1)
            first = *err;
        uint64_t pause_ms = next_pause_ms(policy, &retry);
        bool is_late =
            policy->total_ms && clock_boottime_ms(clock) - begin_ms + pause_ms > policy->total_ms;
        if (retry.attempt >= policy->attempts || is_late)
            return give_up(retry.attempt, &first, err);
        log_debug("trying again", LOG_TEXT("cause", err->text), LOG_UINT("pause_ms", pause_ms));
        clock_sleep_ms(clock, pause_ms, cancel);
        if (cancel_is_requested(cancel)) {
            error_clear(err);
            return error_set(err, ERR_CANCELLED, "interrupted while waiting to try again");
        }
        error_clear(err);
    }
}
