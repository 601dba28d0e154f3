#include "lib/reconcile/steps.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/reconcile/run.h"

/*
 * The commit point is Swap. It stands where it stands because everything that can fail has failed
 * before it (the data is loaded and verified beside the live one, the carry-over is rehearsed, the
 * application is away), and because after it the new data may be seen: from there on going forwards
 * is the only way that loses nothing.
 */
static const struct {
    enum errc (*check)(struct run *run, bool *ret_is_done, struct error *err);
    enum errc (*apply)(struct run *run, struct error *err);
    enum errc (*undo)(struct run *run, struct error *err);
} functions[STEP_COUNT] = {
    [STEP_PREFLIGHT] = {NULL, preflight_apply, NULL},
    [STEP_STAGE] = {NULL, stage_apply, stage_undo},
    [STEP_VERIFY] = {NULL, verify_apply, NULL},
    [STEP_PRE_STEPS] = {NULL, pre_steps_apply, pre_steps_undo},
    [STEP_SWAP] = {swap_check, swap_apply, NULL},
    [STEP_LOOK] = {NULL, look_apply, NULL},
    [STEP_SWAP_BACK] = {NULL, swap_back_apply, NULL},
    [STEP_POST_STEPS] = {post_steps_check, post_steps_apply, NULL},
    [STEP_PUBLISH] = {NULL, publish_apply, NULL},
    [STEP_COLLECT] = {NULL, collect_apply, NULL},
};

static const struct step_row texts[STEP_COUNT] = {
#define X(enumerator, name_, deadline, next_, apply, undo)                                         \
    [enumerator] = {.name = name_,                                                                 \
                    .deadline_s = deadline,                                                        \
                    .next = next_,                                                                 \
                    .apply_text = apply,                                                           \
                    .undo_text = undo},
    STEP_TABLE(X)
#undef X
};

const struct step_row *step_row(enum step step)
{
    return &texts[step];
}

enum step step_from_name(const char *name)
{
    int i = 0;
    while (i < STEP_COUNT && strcmp(texts[i].name, name) != 0)
        i++;
    return (enum step)i;
}

/* The name of the step is in the journal before the step begins. Preflight changes nothing and is
 * not recorded, so that a refusal leaves the record of the last real attempt alone. */
static enum errc announce(struct run *run, enum step step, struct error *err)
{
    run->step = step;
    log_set_phase(texts[step].name);
    if (step == STEP_PREFLIGHT || step == STEP_STAGE)
        return RR_OK; /* Stage writes its own beginning, together with the attempt */
    journal_set(&run->journal, J_PHASE, texts[step].name);
    return journal_write(&run->journal, err);
}

/* A lock that runs out within this time is not enough to begin with. */
enum { STEP_NEED_MS = 5000 };

static enum errc may_begin(struct run *run, enum step step, struct error *err)
{
    if (step <= STEP_SWAP && cancel_check(run->options->cancel, err))
        return err->code;
    if (store_check_lock(run->store, STEP_NEED_MS, err))
        return err->code;
    if (control_is_lost(run->control))
        return error_set(err, ERR_FENCE_LOST, "the session that holds the database lock is broken");
    return RR_OK;
}

enum errc steps_run_one(struct run *run, enum step step, struct error *err)
{
    bool is_done = false;
    enum errc code = may_begin(run, step, err);
    if (code || (code = announce(run, step, err)))
        return code;
    if (functions[step].check && (code = functions[step].check(run, &is_done, err)))
        return code;
    if (is_done)
        return RR_OK;
    uint64_t begin_ms = clock_boottime_ms(run->options->clock);
    log_info("begins");
    code = functions[step].apply(run, err);
    uint64_t took_ms = clock_boottime_ms(run->options->clock) - begin_ms;
    run->outcome.step_ms[step] += took_ms ? took_ms : 1;
    if (!code)
        log_info("done", LOG_REAL("seconds", (double)took_ms / 1000));
    return code;
}

enum errc steps_undo(struct run *run, enum step from, struct error *err)
{
    enum errc first = RR_OK;
    for (int step = (int)from; step >= STEP_STAGE; step--) {
        if (!functions[step].undo)
            continue;
        struct error own = ERROR_INIT;
        log_info("undoing", LOG_TEXT("step", texts[step].name));
        enum errc code = functions[step].undo(run, &own);
        if (!code)
            continue;
        error_wrap(&own, "undoing %s", texts[step].name);
        log_error(own.text, LOG_TEXT("hint", own.hint));
        if (!first) {
            *err = own;
            first = code;
        }
    }
    return first;
}

/* SwapBack is never a successor by order: a failed smoke check leads to it. */
static enum step following(enum step step)
{
    return step == STEP_LOOK ? STEP_POST_STEPS : step + 1;
}

enum errc steps_run(struct run *run, enum step first, enum step last, struct error *err)
{
    enum errc code = RR_OK;
    for (enum step step = first; step <= last && !code; step = following(step))
        code = steps_run_one(run, step, err);
    return code;
}
