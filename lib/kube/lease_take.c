/*
 * How the Lease is taken:
 *
 *   read it; there is none, or nobody holds it     PUT: ours, if nobody was faster
 *   somebody holds it                              look at it again and again: it changes - he
 *                                                  lives; it does not, for the whole duration that
 *                                                  it names - he is dead, and a PUT takes it over
 */
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/kube/lease_internal.h"

enum {
    DURATION_MAX_S = 3600, /* a longer one was not written by this program */
    LOOK_MS = 2000,        /* between two looks at somebody else's record; times 1 to 1.5 */
    LOST_RACES_MAX = 10,
};

/* What is known about a holder: the record, and since when it has not changed. */
struct watch {
    char *spec; /* NULL: not seen yet */
    uint64_t since_ms;
};

static void watch_release(struct watch *watch)
{
    free(watch->spec);
}

static enum errc refuse_foreign(const struct lease *lease, const struct lease_record *record,
                                struct error *err)
{
    if (!record->has_strategy && record->duration_s <= DURATION_MAX_S)
        return RR_OK;
    if (record->has_strategy)
        error_set(err, ERR_UNSUPPORTED, "the Lease '%s' sets spec.strategy: it is not ours to take",
                  lease->name);
    else
        error_set(err, ERR_UNSUPPORTED,
                  "the Lease '%s' lasts %lld s: this program makes none that is longer than %d s",
                  lease->name, (long long)record->duration_s, DURATION_MAX_S);
    return error_hint(err,
                      "find out who made it: `kubectl -n %s get lease %s -o yaml`; delete it, or "
                      "give the state another name",
                      kube_namespace(lease->kube), lease->name);
}

/* ERR_LOCKED: its holder lives. RR_OK: dead, or not known yet (*ret_is_dead = false). */
static enum errc look_at_holder(const struct lease *lease, struct watch *watch,
                                const struct lease_record *record, bool *ret_is_dead,
                                struct error *err)
{
    uint64_t lasts_ms =
        (record->duration_s ? (uint64_t)record->duration_s : lease->duration_s) * 1000;
    *ret_is_dead = false;
    if (watch->spec && strcmp(watch->spec, record->spec) != 0)
        return error_set(err, ERR_LOCKED, "held by '%.200s'", record->holder);
    if (!watch->spec)
        *watch = (struct watch){.spec = mem_strdup(record->spec), .since_ms = lease_now_ms(lease)};
    *ret_is_dead = lease_now_ms(lease) - watch->since_ms >= lasts_ms;
    return RR_OK;
}

/* A PUT that makes it ours. `found` without uid: creates it. */
static enum errc take(struct lease *lease, const struct lease_record *found, struct error *err)
{
    LEASE_RECORD_GUARD struct lease_record stored = {0};
    struct lease_record wanted = *found; /* borrows its texts */
    char time[KUBE_MICRO_TIME_SIZE];
    bool is_created;
    uint64_t sent_ms = lease_now_ms(lease);
    kube_micro_time(lease->clock, time);
    wanted.holder = lease->identity;
    wanted.duration_s = lease->duration_s;
    wanted.renew_time = time;
    if (!found->uid || !lease_is_mine(lease, found)) {
        wanted.acquire_time = time;
        wanted.transitions = found->uid ? found->transitions + 1 : 0;
    }
    enum errc code = lease_put(lease, &wanted, &stored, &is_created, err);
    if (code == ERR_REJECTED &&
        !found->uid) /* there is one by now, and a PUT must name its version */
        return error_recode(err, ERR_CONFLICT);
    if (code == ERR_NOT_FOUND && !found->uid) { /* there is nothing to make it in */
        error_recode(err, ERR_STATE_MISSING);
        return error_hint(err, "name the namespace of the state with --namespace");
    }
    return code ? code : lease_extend(lease, &stored, sent_ms);
}

/* One look, and what follows from it. *ret_is_taken = false: look again after a while. */
static enum errc try_once(struct lease *lease, struct watch *watch, struct arena *arena,
                          bool *ret_is_taken, const char **ret_holder, struct error *err)
{
    LEASE_RECORD_GUARD struct lease_record found = {0};
    bool is_dead = true;
    *ret_is_taken = false;
    enum errc code = lease_get(lease, &found, err);
    if (code == ERR_NOT_FOUND)
        error_clear(err);
    else if (code || (code = refuse_foreign(lease, &found, err)))
        return code;
    if (found.uid && found.holder[0] && !lease_is_mine(lease, &found))
        code = look_at_holder(lease, watch, &found, &is_dead, err);
    else
        code = RR_OK;
    if (code == ERR_LOCKED)
        *ret_holder = arena_strdup(arena, found.holder);
    if (code || !is_dead)
        return code;
    code = take(lease, &found, err);
    *ret_is_taken = !code;
    return code;
}

static enum errc wait_ms(const struct lease *lease, uint64_t ms, struct error *err)
{
    clock_sleep_ms(lease->clock, ms, &lease->closing);
    return cancel_check(&lease->closing, err);
}

/* ERR_LOCKED: a live holder has it. */
enum errc lease_take(struct lease *lease, struct arena *arena, const char **ret_holder,
                     struct error *err)
{
    __attribute__((cleanup(watch_release))) struct watch watch = {0};
    for (unsigned lost = 0;;) {
        bool is_taken;
        enum errc code = try_once(lease, &watch, arena, &is_taken, ret_holder, err);
        if (is_taken || (code && !lease_is_unsettled(code)))
            return code;
        if (code && ++lost == LOST_RACES_MAX)
            return error_wrap(err, "the Lease '%s' was not to be had in %d tries", lease->name,
                              LOST_RACES_MAX);
        error_clear(err);
        if ((code = wait_ms(lease, code ? lease_jitter(50 * lost) : lease_jitter(LOOK_MS), err)))
            return code;
    }
}
