/*
 * How the Lease is kept (the thread): PUT with the resourceVersion of the last one. Where the
 * answer is a conflict or is lost, a GET settles it: the same uid and our identity (which no other
 * process has) mean that it was ours all the time. Anything else means that it is lost, for good.
 * How it is taken: lease_take.c.
 */
#include "lib/kube/lease.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/kube/lease_internal.h"
#include "lib/net/digest.h"

enum {
    REQUEST_MIN_MS = 2000,  /* what one request is given, however short the duration ... */
    REQUEST_MAX_MS = 10000, /* ... or long */
    ACQUIRE_PATIENCE_MS = 30000,
    RENEW_TRIES = 3, /* PUTs in one renewal, when others write to the object */
    RETRY_MS = 2000, /* after a renewal that failed */
    RELEASE_MS = 4000,
    POLL_MS = 50, /* of lease_check() */
    STACK_BYTES = 1024 * 1024,
};

static const struct kube_resource leases = {"coordination.k8s.io", "v1", "leases", false};

uint64_t lease_now_ms(const struct lease *lease)
{
    return clock_boottime_ms(lease->clock);
}

uint64_t lease_jitter(uint64_t ms)
{
    uint32_t random;
    random_bytes(&random, sizeof random);
    return ms + ms * (random % 1024) / 2048;
}

/* --- requests */

enum errc lease_get(struct lease *lease, struct lease_record *ret_record, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    struct kube_request request = {.verb = KUBE_GET,
                                   .resource = &leases,
                                   .name = lease->name,
                                   .deadline_ms = lease->request_ms,
                                   .is_impatient = lease->is_impatient};
    enum errc code = kube_send(lease->kube, &request, &answer, err);
    return code ? code : lease_record_parse(json_root(answer.document), ret_record, err);
}

enum errc lease_put(struct lease *lease, const struct lease_record *wanted,
                    struct lease_record *ret_stored, bool *ret_is_created, struct error *err)
{
    KUBE_ANSWER_GUARD struct kube_answer answer = {0};
    STR_GUARD struct str body = STR_INIT(2 * LIMIT_KUBE_METADATA_BYTES);
    lease_record_render(&body, kube_namespace(lease->kube), lease->name, wanted);
    enum errc code = str_check(&body, "the Lease", err);
    if (code)
        return code;
    struct kube_request request = {.verb = KUBE_UPDATE,
                                   .resource = &leases,
                                   .name = lease->name,
                                   .body = str_text(&body),
                                   .deadline_ms = lease->request_ms,
                                   .is_impatient = lease->is_impatient};
    if ((code = kube_send(lease->kube, &request, &answer, err)))
        return code;
    *ret_is_created = answer.status == 201;
    return lease_record_parse(json_root(answer.document), ret_stored, err);
}

bool lease_is_unsettled(enum errc code)
{
    return code == ERR_CONFLICT || code == ERR_NOT_FOUND || code == ERR_ANSWER_LOST;
}

bool lease_is_mine(const struct lease *lease, const struct lease_record *record)
{
    return strcmp(record->holder, lease->identity) == 0;
}

static bool is_same_object(const struct lease *lease, const struct lease_record *record)
{
    return strcmp(record->uid, lease->record.uid) == 0;
}

/* --- keeping it: the thread */

enum errc lease_extend(struct lease *lease, struct lease_record *stored, uint64_t sent_ms)
{
    lease_record_move(&lease->record, stored);
    pthread_mutex_lock(&lease->mutex);
    lease->valid_until_ms = sent_ms + lease->duration_s * 1000ULL;
    lease->why[0] = '\0';
    pthread_mutex_unlock(&lease->mutex);
    return RR_OK;
}

static void note(struct lease *lease, bool is_lost, const char *why)
{
    pthread_mutex_lock(&lease->mutex);
    lease->is_lost = is_lost;
    snprintf(lease->why, sizeof lease->why, "%s", why);
    pthread_mutex_unlock(&lease->mutex);
    log_debug(is_lost ? "lease lost" : "lease not renewed", LOG_TEXT("lease", lease->name),
              LOG_TEXT("cause", why));
}

static enum errc lose(struct lease *lease, const char *why)
{
    note(lease, true, why);
    return RR_OK;
}

static enum errc lose_to(struct lease *lease, const struct lease_record *record)
{
    STR_GUARD struct str why = STR_INIT(300);
    if (record->holder[0]) {
        str_append(&why, "it is held by ");
        str_append_quoted(&why, record->holder, 200);
    } else {
        str_append(&why, "somebody else has emptied it");
    }
    return lose(lease, str_text(&why));
}

/* What became of a PUT that conflicted or whose answer was lost. *ret_is_settled = false: nothing
 * came of it, and the Lease is ours all the same: to be sent again. */
static enum errc settle(struct lease *lease, const char *sent_time, uint64_t sent_ms,
                        bool *ret_is_settled, struct error *err)
{
    LEASE_RECORD_GUARD struct lease_record found = {0};
    *ret_is_settled = true;
    enum errc code = lease_get(lease, &found, err);
    if (code == ERR_NOT_FOUND) {
        error_clear(err);
        return lose(lease, "it was deleted");
    }
    if (code)
        return code;
    if (!is_same_object(lease, &found))
        return lose(lease, "it was deleted and made anew");
    if (!lease_is_mine(lease, &found))
        return lose_to(lease, &found);
    bool is_written = strcmp(found.resource_version, lease->record.resource_version) != 0;
    if (is_written && lease_time_equal(found.renew_time, sent_time))
        return lease_extend(lease, &found, sent_ms);
    lease_record_move(&lease->record, &found);
    *ret_is_settled = false;
    return RR_OK;
}

static enum errc renew(struct lease *lease, struct error *err)
{
    for (unsigned try = 0; try < RENEW_TRIES; try++) {
        LEASE_RECORD_GUARD struct lease_record stored = {0};
        struct lease_record wanted = lease->record; /* borrows its texts */
        char time[KUBE_MICRO_TIME_SIZE];
        bool is_created, is_settled;
        uint64_t sent_ms = lease_now_ms(lease);
        kube_micro_time(lease->clock, time);
        wanted.renew_time = time;
        enum errc code = lease_put(lease, &wanted, &stored, &is_created, err);
        if (!code)
            return is_created || !is_same_object(lease, &stored)
                       ? lose(lease, "it was deleted and made anew")
                       : lease_extend(lease, &stored, sent_ms);
        if (!lease_is_unsettled(code))
            return code;
        error_clear(err);
        if ((code = settle(lease, time, sent_ms, &is_settled, err)) || is_settled)
            return code;
    }
    return error_set(err, ERR_CONFLICT, "others write to it all the time");
}

static void *thread_main(void *argument)
{
    struct lease *lease = argument;
    uint64_t pause_ms = lease->duration_s * 1000ULL / 6;
    uint64_t retry_ms = pause_ms < RETRY_MS ? pause_ms : RETRY_MS;
    for (bool is_renewed = true; !lease->is_lost;) {
        /* At most a sixth: five renewals have their turn before the first of them is needed. */
        clock_sleep_ms(lease->clock,
                       is_renewed ? lease_jitter(pause_ms * 2 / 3) : lease_jitter(retry_ms),
                       &lease->wake);
        if (cancel_is_requested(&lease->closing))
            break;
        struct error err = ERROR_INIT;
        is_renewed = !renew(lease, &err);
        if (!is_renewed)
            note(lease, false, err.text);
        atomic_store(&lease->wake.is_requested, false); /* whoever asked meanwhile meant this one */
    }
    return NULL;
}

/* Signals are the main thread's. */
static enum errc start_thread(struct lease *lease, struct error *err)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    lease->closing.parent = NULL; /* a run that was told to stop still needs its Lease */
    lease->is_impatient = true;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&lease->thread, &attributes, thread_main, lease);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed)
        return error_set_errno(err, ERR_IO, failed, "cannot start a thread");
    lease->has_thread = true;
    return RR_OK;
}

static void lease_free(struct lease *lease)
{
    kube_close(lease->kube);
    lease_record_release(&lease->record);
    pthread_mutex_destroy(&lease->mutex);
    free(lease->name);
    free(lease->identity);
    free(lease);
}

static uint64_t request_ms(unsigned duration_s)
{
    uint64_t sixth_ms = duration_s * 1000ULL / 6;
    if (sixth_ms > REQUEST_MAX_MS)
        return REQUEST_MAX_MS;
    return sixth_ms > REQUEST_MIN_MS ? sixth_ms : REQUEST_MIN_MS;
}

enum errc lease_acquire(const struct lease_options *options, struct arena *arena,
                        struct lease **ret_lease, const char **ret_holder, struct error *err)
{
    struct lease *lease = mem_alloc(sizeof *lease);
    lease->clock = options->clock ? options->clock : clock_system();
    lease->name = mem_strdup(options->name);
    lease->identity = mem_strdup(options->identity);
    lease->duration_s = options->duration_s;
    lease->request_ms = request_ms(options->duration_s);
    lease->closing.parent = options->cancel;
    lease->wake.parent = &lease->closing;
    pthread_mutex_init(&lease->mutex, NULL);
    struct kube_options kube_options = {
        .config = options->config,
        .clock = options->clock,
        .cancel = &lease->closing,
        .patience_ms = ACQUIRE_PATIENCE_MS,
    };
    const char *holder = NULL;
    enum errc code = kube_open(&kube_options, &lease->kube, err);
    if (!code)
        code = lease_take(lease, arena, &holder, err);
    if (!code && !(code = start_thread(lease, err))) {
        *ret_lease = lease;
        return RR_OK;
    }
    lease_free(lease);
    if (code != ERR_LOCKED)
        return code;
    error_clear(err);
    *ret_lease = NULL;
    *ret_holder = holder;
    return RR_OK;
}

/* --- asking for it, giving it back */

/* ERR_API with an empty slot: not now; only the last time it is said why. */
static enum errc check_now(struct lease *lease, uint64_t need_ms, bool is_last, struct error *err)
{
    enum errc code = RR_OK;
    pthread_mutex_lock(&lease->mutex);
    uint64_t now = lease_now_ms(lease);
    if (lease->is_lost)
        code =
            error_set(err, ERR_FENCE_LOST, "the Lease '%s' is lost: %s", lease->name, lease->why);
    else if (lease->valid_until_ms < now + need_ms)
        code = is_last ? error_set(err, ERR_API, "the Lease '%s' could not be renewed: %s",
                                   lease->name, lease->why[0] ? lease->why : "no answer yet")
                       : ERR_API;
    pthread_mutex_unlock(&lease->mutex);
    return code;
}

enum errc lease_check(struct lease *lease, uint64_t need_ms, uint64_t wait_ms,
                      const struct cancel *cancel, struct error *err)
{
    uint64_t most_ms = lease->duration_s * 1000ULL * 2 / 3, begin_ms = lease_now_ms(lease);
    if (need_ms > most_ms)
        need_ms = most_ms;
    for (bool has_asked = false;; has_asked = true) {
        bool is_last = lease_now_ms(lease) - begin_ms >= wait_ms;
        enum errc code = check_now(lease, need_ms, is_last, err);
        if (code == ERR_FENCE_LOST)
            return error_hint(err, "another run took it because this one was silent for longer "
                                   "than the Lease lasts, or somebody deleted it");
        if (code != ERR_API || is_last)
            return code;
        if ((code = cancel_check(cancel, err)))
            return code;
        if (!has_asked)
            cancel_request(&lease->wake);
        clock_sleep_ms(lease->clock, POLL_MS, cancel);
    }
}

static enum errc release_once(struct lease *lease, struct error *err)
{
    LEASE_RECORD_GUARD struct lease_record stored = {0};
    struct lease_record wanted = lease->record; /* borrows its texts */
    char time[KUBE_MICRO_TIME_SIZE];
    bool is_created;
    kube_micro_time(lease->clock, time);
    wanted.holder = "";
    wanted.duration_s = 1;
    wanted.acquire_time = wanted.renew_time = time;
    return lease_put(lease, &wanted, &stored, &is_created, err);
}

/* Somebody wrote to it, or our own last write came through unseen. Only what is still ours is given
 * back. */
static enum errc read_again(struct lease *lease, bool *ret_is_ours, struct error *err)
{
    LEASE_RECORD_GUARD struct lease_record found = {0};
    *ret_is_ours = false;
    enum errc code = lease_get(lease, &found, err);
    if (code)
        return code;
    *ret_is_ours = is_same_object(lease, &found) && lease_is_mine(lease, &found);
    if (*ret_is_ours)
        lease_record_move(&lease->record, &found);
    return RR_OK;
}

static void give_back(struct lease *lease)
{
    uint64_t begin_ms = lease_now_ms(lease);
    struct error err = ERROR_INIT;
    bool is_ours = true;
    kube_set_deaf(lease->kube, true);
    lease->request_ms = REQUEST_MIN_MS;
    while (is_ours && release_once(lease, &err)) {
        if (!lease_is_unsettled(err.code) || lease_now_ms(lease) - begin_ms > RELEASE_MS)
            break;
        error_clear(&err);
        if (read_again(lease, &is_ours, &err))
            break;
    }
    if (err.code && err.code != ERR_NOT_FOUND)
        log_warn("the Lease could not be given back: it runs out by itself",
                 LOG_TEXT("lease", lease->name), LOG_UINT("seconds", lease->duration_s),
                 LOG_TEXT("cause", err.text));
}

void lease_close(struct lease *lease, bool gives_back)
{
    if (!lease)
        return;
    cancel_request(&lease->closing);
    if (lease->has_thread)
        pthread_join(lease->thread, NULL);
    if (gives_back && !lease->is_lost)
        give_back(lease);
    lease_free(lease);
}
