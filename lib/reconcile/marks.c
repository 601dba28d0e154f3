#include "lib/reconcile/marks.h"

#include <string.h>

enum mark mark_of(bool is_marked, const char *marked_state, const char *marked_run,
                  const char *state, const char *run)
{
    if (!marked_state)
        return is_marked ? MARK_BROKEN : MARK_NONE;
    if (strcmp(marked_state, state) != 0)
        return MARK_OTHER_STATE;
    return !run || (marked_run && strcmp(marked_run, run) == 0) ? MARK_OURS : MARK_OTHER_RUN;
}

enum take take_decide(enum mark mark, bool is_away)
{
    switch (mark) {
    case MARK_NONE:
        return is_away ? TAKE_LEAVE : TAKE_IT;
    case MARK_OURS:
        return is_away ? TAKE_DONE : TAKE_IT;
    case MARK_OTHER_RUN:
    case MARK_BROKEN:
        return is_away ? TAKE_LEFT_OVER : TAKE_UNMARK;
    case MARK_OTHER_STATE:
        break;
    }
    return TAKE_WAIT;
}

/* Ours to bring back; `count` is what it had, -1: not known. */
static struct back_decision bring(int64_t now, int64_t count)
{
    if (now != 0)
        return (struct back_decision){
            .what = BACK_UNMARK,
            .warning = "somebody scaled it meanwhile: its replicas are left as they are"};
    return (struct back_decision){.what = count < 0 ? BACK_LOST : BACK_RESTORE, .replicas = count};
}

struct back_decision back_decide(enum mark mark, int64_t now, int64_t marked, int64_t journal)
{
    struct back_decision leave = {.what = BACK_LEAVE};
    switch (mark) {
    case MARK_OURS:
        return bring(now, marked >= 0 ? marked : journal);
    case MARK_BROKEN:
        return journal < 0 ? leave : bring(now, marked >= 0 ? marked : journal);
    case MARK_NONE:
        if (journal < 0 || now != 0)
            return leave;
        return (struct back_decision){
            .what = BACK_RESTORE,
            .replicas = journal,
            .warning = "somebody removed its annotations: the journal's replicas are taken"};
    case MARK_OTHER_RUN:
        leave.warning = journal < 0 ? NULL : "another run has taken it away: it is left alone";
        break;
    case MARK_OTHER_STATE:
        leave.warning = journal < 0 ? NULL : "another state has taken it away: it is left alone";
        break;
    }
    return leave;
}
