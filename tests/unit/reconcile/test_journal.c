#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/reconcile/journal.h"
#include "lib/reconcile/outcome.h"

/* A store in memory: the last journal written. */
struct memory_store {
    struct store base;
    const char *names[64], *values[64];
    struct journal_data data;
    unsigned writes;
    struct arena arena;
};

static enum errc memory_read(struct store *store, struct arena *arena,
                             struct journal_data *ret_journal, struct error *err)
{
    (void)arena;
    (void)err;
    *ret_journal = ((struct memory_store *)store)->data;
    return RR_OK;
}

static enum errc memory_write(struct store *store, struct journal_data *journal, struct error *err)
{
    struct memory_store *memory = (struct memory_store *)store;
    if (journal->version != memory->data.version)
        return error_set(err, ERR_CONFLICT, "written meanwhile");
    for (size_t i = 0; i < journal->count; i++) {
        memory->names[i] = arena_strdup(&memory->arena, journal->names[i]);
        memory->values[i] = arena_strdup(&memory->arena, journal->values[i]);
    }
    journal->version++;
    journal->exists = true;
    memory->data = *journal;
    memory->data.names = memory->names;
    memory->data.values = memory->values;
    memory->writes++;
    return RR_OK;
}

static const struct store_ops memory_ops = {.journal_read = memory_read,
                                            .journal_write = memory_write};

static const char *stored(const struct memory_store *memory, const char *name)
{
    for (size_t i = 0; i < memory->data.count; i++)
        if (strcmp(memory->data.names[i], name) == 0)
            return memory->data.values[i];
    return NULL;
}

static void test_a_missing_journal_is_idle(void **state)
{
    (void)state;
    struct memory_store memory = {.base.ops = &memory_ops};
    struct error err = ERROR_INIT;
    JOURNAL_GUARD struct journal journal = {0};
    assert_int_equal(journal_read(&memory.base, &journal, &err), RR_OK);
    assert_true(journal_is_idle(&journal));
    assert_string_equal(journal_get(&journal, J_APPLIED), "");
    assert_int_equal(journal_write(&journal, &err), RR_OK);
    assert_int_equal(memory.writes, 0);
}

static void test_empty_values_are_absent_and_names_of_others_stay(void **state)
{
    (void)state;
    struct memory_store memory = {
        .base.ops = &memory_ops,
        .names = {"phase", "future", "applied"},
        .values = {"Stage", "kept", "2024-12-10T00:00:00Z"},
        .data = {.count = 3, .exists = true, .version = 5},
    };
    memory.data.names = memory.names;
    memory.data.values = memory.values;
    struct error err = ERROR_INIT;
    JOURNAL_GUARD struct journal journal = {0};
    assert_int_equal(journal_read(&memory.base, &journal, &err), RR_OK);
    assert_false(journal_is_idle(&journal));
    journal_set(&journal, J_PHASE, JOURNAL_IDLE);
    journal_set(&journal, J_APPLIED, NULL);
    journal_setf(&journal, J_ATTEMPTS, "%d", 3);
    assert_int_equal(journal_write(&journal, &err), RR_OK);
    assert_string_equal(stored(&memory, "future"), "kept");
    assert_string_equal(stored(&memory, "phase"), JOURNAL_IDLE);
    assert_null(stored(&memory, "applied"));
    assert_int_equal(journal_count(&journal, J_ATTEMPTS), 3);
    arena_release(&memory.arena);
}

static void test_a_stale_writer_is_refused(void **state)
{
    (void)state;
    struct memory_store memory = {.base.ops = &memory_ops};
    struct error err = ERROR_INIT;
    JOURNAL_GUARD struct journal one = {0};
    JOURNAL_GUARD struct journal two = {0};
    assert_int_equal(journal_read(&memory.base, &one, &err), RR_OK);
    assert_int_equal(journal_read(&memory.base, &two, &err), RR_OK);
    journal_set(&one, J_MESSAGE, "one");
    journal_set(&two, J_MESSAGE, "two");
    assert_int_equal(journal_write(&one, &err), RR_OK);
    assert_int_equal(journal_write(&two, &err), ERR_CONFLICT);
    assert_string_equal(stored(&memory, "message"), "one");
    arena_release(&memory.arena);
}

static void test_malformed_counts_are_zero(void **state)
{
    (void)state;
    struct memory_store memory = {.base.ops = &memory_ops};
    struct error err = ERROR_INIT;
    JOURNAL_GUARD struct journal journal = {0};
    assert_int_equal(journal_read(&memory.base, &journal, &err), RR_OK);
    journal_set(&journal, J_ATTEMPTS, "-3");
    assert_int_equal(journal_count(&journal, J_ATTEMPTS), 0);
    journal_set(&journal, J_PUBLISHED, "yes");
    assert_false(journal_flag(&journal, J_PUBLISHED));
}

static void test_exit_codes_depend_on_how_far_the_run_had_come(void **state)
{
    (void)state;
    static const struct {
        enum errc code;
        enum step step;
        int expected;
    } rows[] = {
        {ERR_NETWORK, STEP_PREFLIGHT, 4},
        {ERR_NETWORK, STEP_STAGE, 10},
        {ERR_ARCHIVE_CORRUPT, STEP_PREFLIGHT, 14},
        {ERR_ARCHIVE_CORRUPT, STEP_STAGE, 10},
        {ERR_BACKUP_NOT_FOUND, STEP_PREFLIGHT, 14},
        {ERR_FIRST_CONTACT, STEP_PREFLIGHT, 12},
        {ERR_FENCE_LOST, STEP_SWAP, 13},
        {ERR_CANCELLED, STEP_STAGE, 5},
        {ERR_CONFIG, STEP_PREFLIGHT, 2},
        {ERR_BUG, STEP_SWAP, 70},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (outcome_exit_code(rows[i].code, rows[i].step) != rows[i].expected)
            fail_msg("%s: %d", errc_name(rows[i].code),
                     outcome_exit_code(rows[i].code, rows[i].step));
}

static void test_the_last_line_is_json_whatever_the_message_holds(void **state)
{
    (void)state;
    struct outcome outcome = {
        .result = OUTCOME_FAILED, .reason = "StatementFailed", .exit_code = 10};
    strcpy(outcome.message, "role \"a\\b\"\nis missing");
    STR_GUARD struct str line = STR_INIT(10000);
    outcome_render(&outcome, &line);
    assert_string_equal(
        str_text(&line),
        "{\"result\":\"Failed\",\"reason\":\"StatementFailed\","
        "\"message\":\"role \\\"a\\\\b\\\"\\nis missing\",\"seconds\":{},\"bytes\":0,"
        "\"rows\":0,\"exitCode\":10}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_missing_journal_is_idle),
        cmocka_unit_test(test_empty_values_are_absent_and_names_of_others_stay),
        cmocka_unit_test(test_a_stale_writer_is_refused),
        cmocka_unit_test(test_malformed_counts_are_zero),
        cmocka_unit_test(test_exit_codes_depend_on_how_far_the_run_had_come),
        cmocka_unit_test(test_the_last_line_is_json_whatever_the_message_holds),
    };
    return cmocka_run_group_tests_name("reconcile/journal, outcome", tests, NULL, NULL);
}
