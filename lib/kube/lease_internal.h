/*
 * The inside of a Lease that is held or wanted, for lease.c (keeping it) and lease_take.c (taking
 * it) alone.
 */
#ifndef RR_KUBE_LEASE_INTERNAL_H
#define RR_KUBE_LEASE_INTERNAL_H

#include <pthread.h>
#include <stdint.h>

#include "lib/base/cancel.h"
#include "lib/kube/kube.h"
#include "lib/kube/lease.h"
#include "lib/kube/lease_record.h"

struct lease {
    struct kube *kube; /* of the thread, while it runs */
    const struct clock *clock;
    char *name, *identity;
    unsigned duration_s;
    uint64_t request_ms;        /* for one request */
    bool is_impatient;          /* one try for each request */
    struct lease_record record; /* as the server has it, as far as we know */

    pthread_t thread;
    bool has_thread;
    struct cancel closing; /* ends the thread and cuts its request */
    struct cancel wake;    /* ends its pause */

    pthread_mutex_t mutex; /* for what follows */
    uint64_t valid_until_ms;
    bool is_lost;
    char why[ERROR_TEXT_SIZE]; /* it is lost, or could not be renewed the last time */
};

uint64_t lease_now_ms(const struct lease *lease);
/* `ms` times 1 to 1.5: many that began together do not come back together. */
uint64_t lease_jitter(uint64_t ms);

enum errc lease_get(struct lease *lease, struct lease_record *ret_record,
                    struct error *err) RR_MUST_CHECK;
/* `ret_is_created`: the server had none and made one. */
enum errc lease_put(struct lease *lease, const struct lease_record *wanted,
                    struct lease_record *ret_stored, bool *ret_is_created,
                    struct error *err) RR_MUST_CHECK;
/* The object may have been written by somebody else, or by us without our knowing. */
bool lease_is_unsettled(enum errc code);
bool lease_is_mine(const struct lease *lease, const struct lease_record *record);
/* It is ours, from before the request that made it so. Takes `stored` over. Answers RR_OK. */
enum errc lease_extend(struct lease *lease, struct lease_record *stored, uint64_t sent_ms);

/* Takes it. ERR_LOCKED: a live holder has it, *ret_holder (in the arena). */
enum errc lease_take(struct lease *lease, struct arena *arena, const char **ret_holder,
                     struct error *err) RR_MUST_CHECK;

#endif
