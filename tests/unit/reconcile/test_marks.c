#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/reconcile/marks.h"

static void test_whose_a_mark_is(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_marked;
        const char *marked_state, *marked_run, *run;
        enum mark mark;
    } rows[] = {
        {"none", false, NULL, NULL, "r1", MARK_NONE},
        {"ours, this run", true, "shop", "r1", "r1", MARK_OURS},
        {"ours, another run", true, "shop", "r2", "r1", MARK_OTHER_RUN},
        {"ours, any run", true, "shop", "r2", NULL, MARK_OURS},
        {"ours, its run removed", true, "shop", NULL, "r1", MARK_OTHER_RUN},
        {"ours, its run removed, any run", true, "shop", NULL, NULL, MARK_OURS},
        {"another state", true, "blog", "r1", "r1", MARK_OTHER_STATE},
        {"another state, any run", true, "blog", "r1", NULL, MARK_OTHER_STATE},
        {"its state removed", true, NULL, "r1", "r1", MARK_BROKEN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (mark_of(rows[i].is_marked, rows[i].marked_state, rows[i].marked_run, "shop",
                    rows[i].run) != rows[i].mark)
            fail_msg("%s", rows[i].name);
}

static void test_what_is_taken_away(void **state)
{
    (void)state;
    static const struct {
        enum mark mark;
        bool is_away;
        enum take take;
    } rows[] = {
        {MARK_NONE, false, TAKE_IT},          {MARK_NONE, true, TAKE_LEAVE},
        {MARK_OURS, false, TAKE_IT},          {MARK_OURS, true, TAKE_DONE},
        {MARK_OTHER_RUN, false, TAKE_UNMARK}, {MARK_OTHER_RUN, true, TAKE_LEFT_OVER},
        {MARK_BROKEN, false, TAKE_UNMARK},    {MARK_BROKEN, true, TAKE_LEFT_OVER},
        {MARK_OTHER_STATE, false, TAKE_WAIT}, {MARK_OTHER_STATE, true, TAKE_WAIT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(take_decide(rows[i].mark, rows[i].is_away), rows[i].take);
}

static void test_what_is_brought_back(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum mark mark;
        int64_t now, marked, journal;
        enum back what;
        int64_t replicas;
        bool warns;
    } rows[] = {
        {"as it was left", MARK_OURS, 0, 3, 3, BACK_RESTORE, 3, false},
        {"the mark wins", MARK_OURS, 0, 5, 3, BACK_RESTORE, 5, false},
        {"the journal is lost", MARK_OURS, 0, 3, -1, BACK_RESTORE, 3, false},
        {"the mark is illegible", MARK_OURS, 0, -1, 3, BACK_RESTORE, 3, false},
        {"nobody knows", MARK_OURS, 0, -1, -1, BACK_LOST, -1, false},
        {"scaled by hand meanwhile", MARK_OURS, 2, 3, 3, BACK_UNMARK, 0, true},
        {"scaled to what it was", MARK_OURS, 3, 3, -1, BACK_UNMARK, 0, true},
        {"annotations removed", MARK_NONE, 0, -1, 3, BACK_RESTORE, 3, true},
        {"never taken away", MARK_NONE, 3, -1, 3, BACK_LEAVE, 0, false},
        {"brought back already", MARK_NONE, 3, -1, -1, BACK_LEAVE, 0, false},
        {"at 0 and unknown", MARK_NONE, 0, -1, -1, BACK_LEAVE, 0, false},
        {"state removed from the mark", MARK_BROKEN, 0, 4, 3, BACK_RESTORE, 4, false},
        {"state removed, journal lost", MARK_BROKEN, 0, 4, -1, BACK_LEAVE, 0, false},
        {"taken by the next run", MARK_OTHER_RUN, 0, 3, 3, BACK_LEAVE, 0, true},
        {"taken by another state", MARK_OTHER_STATE, 0, 3, 3, BACK_LEAVE, 0, true},
        {"another state's, unknown", MARK_OTHER_STATE, 0, 3, -1, BACK_LEAVE, 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct back_decision d =
            back_decide(rows[i].mark, rows[i].now, rows[i].marked, rows[i].journal);
        bool is_right = d.what == rows[i].what && (d.warning != NULL) == rows[i].warns &&
                        (d.what != BACK_RESTORE || d.replicas == rows[i].replicas);
        if (!is_right)
            fail_msg("%s: %d, %lld, %s", rows[i].name, (int)d.what, (long long)d.replicas,
                     d.warning ? d.warning : "no warning");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_a_mark_is),
        cmocka_unit_test(test_what_is_taken_away),
        cmocka_unit_test(test_what_is_brought_back),
    };
    return cmocka_run_group_tests_name("reconcile/marks", tests, NULL, NULL);
}
