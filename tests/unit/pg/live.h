/* What the trials against real servers share. Parameters of the connection come from libpq's
 * environment. */
#ifndef RR_TESTS_PG_LIVE_H
#define RR_TESTS_PG_LIVE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"

/* Ends the program, with what stands in `err`, when `what` is not so. */
#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            printf("FAILED %s:%d: %s [%s: %s | %s | %s]\n", __func__, __LINE__, #what,             \
                   errc_name(err.code), err.text, err.hint, err.sqlstate);                         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline uint64_t now(void)
{
    return clock_boottime_ms(clock_system());
}

#endif
