#include "lib/base/clock.h"

#include <stddef.h>
#include <time.h>

#include "lib/base/cancel.h"

enum { SLEEP_SLICE_MS = 200 };

static uint64_t system_boottime_ms(const struct clock *clock)
{
    (void)clock;
    struct timespec ts;
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int64_t system_wall_s(const struct clock *clock)
{
    (void)clock;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}

static void system_sleep_ms(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    uint64_t end = system_boottime_ms(clock) + ms;
    for (;;) {
        uint64_t now = system_boottime_ms(clock);
        if (now >= end || (cancel && cancel_is_requested(cancel)))
            return;
        uint64_t slice = end - now < SLEEP_SLICE_MS ? end - now : SLEEP_SLICE_MS;
        struct timespec ts = {.tv_sec = 0, .tv_nsec = (long)(slice * 1000000)};
        nanosleep(&ts, NULL);
    }
}

const struct clock *clock_system(void)
{
    static const struct clock system = {
        .boottime_ms = system_boottime_ms,
        .wall_s = system_wall_s,
        .sleep_ms = system_sleep_ms,
    };
    return &system;
}

uint64_t clock_boottime_ms(const struct clock *clock)
{
    return clock->boottime_ms(clock);
}

int64_t clock_wall_s(const struct clock *clock)
{
    return clock->wall_s(clock);
}

void clock_sleep_ms(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    clock->sleep_ms(clock, ms, cancel);
}
