/*
 * clock - the time, in one place that tests replace.
 *
 * Durations are counted on the boot-time clock, which goes on while the machine is suspended: a
 * process that slept through its lease must notice. Wall time is for people and for the first guess
 * at what may be due; what is decided about databases is decided with the server's clock.
 */
#ifndef RR_BASE_CLOCK_H
#define RR_BASE_CLOCK_H

#include <stdint.h>

struct cancel;

struct clock {
    uint64_t (*boottime_ms)(const struct clock *clock);
    int64_t (*wall_s)(const struct clock *clock); /* seconds since 1970-01-01T00:00:00Z */
    /* Returns early, at the latest a quarter of a second after the fact, when `cancel` is
     * requested. */
    void (*sleep_ms)(const struct clock *clock, uint64_t ms, const struct cancel *cancel);
    void *context;
};

/* The machine's clock. Never fails. */
const struct clock *clock_system(void);

uint64_t clock_boottime_ms(const struct clock *clock);
int64_t clock_wall_s(const struct clock *clock);
/* `cancel` may be NULL. */
void clock_sleep_ms(const struct clock *clock, uint64_t ms, const struct cancel *cancel);

#endif
