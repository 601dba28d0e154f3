#include "support.h"

#include "lib/restore/order.h"

struct plan {
    struct arena arena;
    struct toc toc;
    struct order order;
};

static void plan_guard(struct plan *plan)
{
    arena_release(&plan->arena);
}
#define PLAN_GUARD __attribute__((cleanup(plan_guard)))

static void make_plan(struct plan *plan, const struct row *rows, size_t count, unsigned jobs)
{
    const struct order_options options = {0};
    make_toc(rows, count, &plan->arena, &plan->toc);
    order_build(&plan->order, &plan->toc, &options, jobs, &plan->arena);
}
#define MAKE_PLAN(plan, rows, jobs) make_plan(plan, rows, sizeof(rows) / sizeof *(rows), jobs)

static int32_t id_of(const struct plan *plan, uint32_t position)
{
    return plan->toc.entries[position].dump_id;
}

/* All dump ids in the order in which they come out, with "|" between phases, one at a time. */
static const char *run_all(struct plan *plan)
{
    char *line = arena_strdup(&plan->arena, "");
    do {
        uint32_t position;
        while (order_next(&plan->order, &position)) {
            line = arena_printf(&plan->arena, "%s%d ", line, id_of(plan, position));
            order_complete(&plan->order, position);
        }
        assert_true(order_phase_is_over(&plan->order));
        line = arena_printf(&plan->arena, "%s| ", line);
    } while (order_advance(&plan->order));
    return line;
}

/* What comes out now without anything being finished. */
static const char *take_now(struct plan *plan)
{
    char *line = arena_strdup(&plan->arena, "");
    uint32_t position;
    while (order_next(&plan->order, &position))
        line = arena_printf(&plan->arena, "%s%d ", line, id_of(plan, position));
    return line;
}

static void complete(struct plan *plan, int32_t dump_id)
{
    order_complete(&plan->order, (uint32_t)toc_find(&plan->toc, dump_id)->position);
}

static void go_to(struct plan *plan, enum phase phase)
{
    uint32_t position;
    while (plan->order.phase != phase) {
        while (order_next(&plan->order, &position))
            order_complete(&plan->order, position);
        assert_true(order_advance(&plan->order));
    }
}

static void test_phases_follow_one_another_as_in_pg_restore(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_ENCODING, .definition = "SET client_encoding = 'UTF8';"},
        {2, ENTRY_TABLE, .tag = "a"},
        {3, ENTRY_ACL, .tag = "TABLE a", .dependencies = {2}},
        {4, ENTRY_COMMENT, .tag = "TABLE a", .dependencies = {2}},
        {5, ENTRY_EVENT_TRIGGER, .tag = "e"},
        {6, ENTRY_COMMENT, .tag = "EVENT TRIGGER e", .dependencies = {5}},
        {7, ENTRY_MATERIALIZED_VIEW, .tag = "m", .dependencies = {2}},
        {8, ENTRY_TABLE_DATA, .tag = "a", .dependencies = {2}, .block_bytes = 5000000},
        {9, ENTRY_SEQUENCE_SET, .tag = "s"},
        {10, ENTRY_COMMENT, .tag = "LARGE OBJECT 5"},
        {11, ENTRY_INDEX, .tag = "i", .dependencies = {2}},
        {12, ENTRY_COMMENT, .tag = "INDEX i", .dependencies = {11}},
        {13, ENTRY_MATERIALIZED_VIEW_DATA, .tag = "m", .dependencies = {7}},
        {14, ENTRY_DEFAULT_ACL, .tag = "DEFAULT PRIVILEGES FOR TABLES"},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 1);
    assert_string_equal(run_all(&plan), "1 2 4 7 | 8 9 10 | 11 12 | 3 14 | 13 | 5 6 | ");
}

static void test_unwanted_entries_are_named_and_keep_chains_together(void **state)
{
    (void)state;
    static const struct {
        struct row row;
        enum skip skip;
    } cases[] = {
        {{1, ENTRY_ENCODING, .definition = "x"}, SKIP_SETTINGS},
        {{1, ENTRY_DATABASE, .tag = "d"}, SKIP_DATABASE},
        {{1, ENTRY_DATABASE_PROPERTIES, .tag = "d"}, SKIP_DATABASE},
        {{1, ENTRY_COMMENT, .tag = "DATABASE d"}, SKIP_DATABASE},
        {{1, ENTRY_ACL, .tag = "DATABASE d"}, SKIP_DATABASE},
        {{1, ENTRY_SECURITY_LABEL, .tag = "DATABASE d"}, SKIP_DATABASE},
        {{1, ENTRY_TABLE, .tag = "DATABASE d"}, SKIP_NONE},
        {{1, ENTRY_SUBSCRIPTION, .tag = "s"}, SKIP_SUBSCRIPTION},
        {{1, ENTRY_COMMENT, .tag = "SUBSCRIPTION s"}, SKIP_SUBSCRIPTION},
        {{1, ENTRY_STATISTICS_DATA, .tag = "t"}, SKIP_STATISTICS},
        {{1, ENTRY_ACL, .tag = "TABLE t"}, SKIP_NONE},
        {{1, ENTRY_COMMENT, .tag = "TABLE t"}, SKIP_NONE},
    };
    const struct order_options with_acl = {0}, without_acl = {.no_privileges = true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ARENA_GUARD struct arena arena = {0};
        struct toc toc;
        make_toc(&cases[i].row, 1, &arena, &toc);
        assert_int_equal(order_skip(&toc.entries[0], &with_acl), cases[i].skip);
        if (cases[i].skip == SKIP_NONE && cases[i].row.kind == ENTRY_ACL)
            assert_int_equal(order_skip(&toc.entries[0], &without_acl), SKIP_PRIVILEGES);
        assert_true(strlen(skip_text(cases[i].skip)) > 5);
    }
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "a"},
        {2, ENTRY_SUBSCRIPTION, .tag = "s", .section = SECTION_PRE_DATA, .dependencies = {3}},
        {3, ENTRY_TABLE, .tag = "b"},
        {4, ENTRY_VIEW, .tag = "v", .dependencies = {2}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 1);
    assert_string_equal(run_all(&plan), "1 3 2 4 | | | | | | ");
}

static void test_what_depends_on_a_later_phase_moves_there(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "a"},
        {2, ENTRY_FUNCTION, .tag = "f", .dependencies = {5}},
        {3, ENTRY_VIEW, .tag = "v", .dependencies = {2}},
        {4, ENTRY_TABLE_DATA, .tag = "a", .dependencies = {1}},
        {5, ENTRY_INDEX, .tag = "i", .dependencies = {1}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 1);
    assert_string_equal(run_all(&plan), "1 | 4 | 5 2 3 | | | | ");
}

static void test_dependencies_outside_the_archive_do_not_count(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "a", .dependencies = {1, 77, 2147483647}},
        {2, ENTRY_TABLE_DATA, .tag = "config", .dependencies = {99}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 1);
    assert_int_equal(plan.order.items[1].table, ORDER_NOWHERE);
    assert_string_equal(run_all(&plan), "1 | 2 | | | | | ");
}

static void test_pre_data_keeps_the_archives_order_as_far_as_it_can(void **state)
{
    (void)state;
    const struct row rows[] = {
        {9, ENTRY_TABLE, .tag = "a"}, {8, ENTRY_TABLE, .tag = "b", .dependencies = {3}},
        {7, ENTRY_TABLE, .tag = "c"}, {3, ENTRY_TYPE, .tag = "t"},
        {4, ENTRY_TABLE, .tag = "d"},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 4);
    assert_string_equal(run_all(&plan), "9 7 3 8 4 | | | | | | ");
}

static void test_the_heaviest_comes_first_and_no_more_than_jobs_at_a_time(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "a"},
        {2, ENTRY_TABLE, .tag = "b"},
        {3, ENTRY_TABLE, .tag = "c"},
        {4, ENTRY_TABLE_DATA, .tag = "a", .dependencies = {1}, .block_bytes = 10000},
        {5, ENTRY_TABLE_DATA, .tag = "b", .dependencies = {2}, .block_bytes = 90000},
        {6, ENTRY_TABLE_DATA, .tag = "c", .dependencies = {3}, .block_bytes = 50000},
        {7, ENTRY_INDEX, .tag = "ia", .dependencies = {1}},
        {8, ENTRY_INDEX, .tag = "ib", .dependencies = {2}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 2);
    go_to(&plan, PHASE_DATA);
    assert_string_equal(take_now(&plan), "5 6 ");
    complete(&plan, 6);
    assert_string_equal(take_now(&plan), "4 ");
    complete(&plan, 5);
    complete(&plan, 4);
    assert_true(order_advance(&plan.order));
    assert_string_equal(take_now(&plan), "8 7 ");
}

static void test_post_data_that_locks_one_table_runs_one_by_one(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "a"},
        {2, ENTRY_TABLE, .tag = "b"},
        {3, ENTRY_TABLE_DATA, .tag = "a", .dependencies = {1}},
        {4, ENTRY_TABLE_DATA, .tag = "b", .dependencies = {2}},
        {5, ENTRY_FK_CONSTRAINT, .tag = "a ab", .dependencies = {1, 2}},
        {6, ENTRY_FK_CONSTRAINT, .tag = "b ba", .dependencies = {1, 2}},
        {7, ENTRY_INDEX, .tag = "i1", .dependencies = {1}},
        {8, ENTRY_INDEX, .tag = "i2", .dependencies = {1}},
        {9, ENTRY_TRIGGER, .tag = "b t", .dependencies = {2}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 8);
    go_to(&plan, PHASE_POST_DATA);
    assert_string_equal(take_now(&plan), "5 ");
    complete(&plan, 5);
    assert_string_equal(take_now(&plan), "6 ");
    complete(&plan, 6);
    assert_string_equal(take_now(&plan), "7 8 9 ");
}

static void test_data_without_a_table_entry_is_locked_all_the_same(void **state)
{
    (void)state;
    const struct row rows[] = {
        {3, ENTRY_TABLE_DATA, .tag = "config"},
        {5, ENTRY_TRIGGER, .tag = "config t1", .dependencies = {3}},
        {6, ENTRY_TRIGGER, .tag = "config t2", .dependencies = {3}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 8);
    go_to(&plan, PHASE_POST_DATA);
    assert_string_equal(take_now(&plan), "5 ");
}

/* Seen on PostgreSQL 15: the foreign key locks all partitions, ATTACH locks two of them, and both
 * wait for ever. */
static void test_a_foreign_key_on_a_partitioned_table_waits_for_attaching_below_it(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "root", .schema = "s", .relkind = 'p'},
        {2, ENTRY_TABLE, .tag = "mid", .schema = "s", .relkind = 'p'},
        {3, ENTRY_TABLE, .tag = "leaf", .schema = "s", .relkind = 'r'},
        {4, ENTRY_TABLE, .tag = "other", .schema = "s", .relkind = 'r'},
        {5, ENTRY_TABLE_ATTACH, .tag = "mid", .schema = "s", .dependencies = {1, 2}},
        {6, ENTRY_TABLE_ATTACH, .tag = "leaf", .schema = "s", .dependencies = {2, 3}},
        {7, ENTRY_INDEX, .tag = "mid_i", .dependencies = {2}, .section = SECTION_PRE_DATA},
        {8, ENTRY_INDEX, .tag = "leaf_i", .dependencies = {3}, .section = SECTION_PRE_DATA},
        {10, ENTRY_INDEX_ATTACH, .tag = "leaf_i", .dependencies = {7, 8}},
        {11, ENTRY_FK_CONSTRAINT, .tag = "other fk", .dependencies = {1, 4}},
        {12, ENTRY_CONSTRAINT, .tag = "leaf pk", .dependencies = {3}},
        {13, ENTRY_CONSTRAINT, .tag = "root pk", .dependencies = {1}},
        {14, ENTRY_INDEX, .tag = "i", .dependencies = {4}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 8);
    go_to(&plan, PHASE_POST_DATA);
    assert_string_equal(take_now(&plan), "10 13 14 ");
    complete(&plan, 10);
    assert_string_equal(take_now(&plan), "12 ");
    complete(&plan, 12);
    complete(&plan, 13);
    complete(&plan, 14);
    assert_string_equal(take_now(&plan), "11 ");
}

static void test_primary_keys_of_sibling_partitions_are_built_together(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "root"},
        {2, ENTRY_TABLE, .tag = "p1"},
        {3, ENTRY_TABLE, .tag = "p2"},
        {4, ENTRY_TABLE_ATTACH, .tag = "p1", .dependencies = {1, 2}},
        {5, ENTRY_TABLE_ATTACH, .tag = "p2", .dependencies = {1, 3}},
        {6, ENTRY_CONSTRAINT, .tag = "p1 pk", .dependencies = {2}},
        {7, ENTRY_CONSTRAINT, .tag = "p2 pk", .dependencies = {3}},
        {8, ENTRY_TRIGGER, .tag = "root t", .dependencies = {1}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 8);
    go_to(&plan, PHASE_POST_DATA);
    assert_string_equal(take_now(&plan), "6 7 ");
}

static void test_materialized_views_that_read_one_table_are_refreshed_together(void **state)
{
    (void)state;
    const struct row rows[] = {
        {1, ENTRY_TABLE, .tag = "a"},
        {2, ENTRY_MATERIALIZED_VIEW, .tag = "m1", .dependencies = {1}},
        {3, ENTRY_MATERIALIZED_VIEW, .tag = "m2", .dependencies = {1}},
        {4, ENTRY_MATERIALIZED_VIEW, .tag = "m3", .dependencies = {2}},
        {5, ENTRY_MATERIALIZED_VIEW_DATA, .tag = "m1", .dependencies = {1, 2}},
        {6, ENTRY_MATERIALIZED_VIEW_DATA, .tag = "m2", .dependencies = {1, 3}},
        {7, ENTRY_MATERIALIZED_VIEW_DATA, .tag = "m3", .dependencies = {4, 5}},
    };
    PLAN_GUARD struct plan plan = {0};
    MAKE_PLAN(&plan, rows, 8);
    go_to(&plan, PHASE_REFRESH);
    assert_string_equal(take_now(&plan), "5 6 ");
    complete(&plan, 5);
    assert_string_equal(take_now(&plan), "7 ");
}

/* Everything comes out exactly once, after what it depends on, whatever the graph and the number of
 * jobs. */
static void test_random_graphs_run_whole_and_in_order(void **state)
{
    (void)state;
    static const enum entry_kind kinds[] = {
        ENTRY_TABLE,        ENTRY_TABLE_DATA,  ENTRY_INDEX, ENTRY_FK_CONSTRAINT,
        ENTRY_ACL,          ENTRY_COMMENT,     ENTRY_VIEW,  ENTRY_MATERIALIZED_VIEW_DATA,
        ENTRY_INDEX_ATTACH, ENTRY_TABLE_ATTACH};
    enum { COUNT = 200 };
    srand(7);
    for (unsigned round = 0; round < 40; round++) {
        struct row rows[COUNT] = {0};
        for (int i = 0; i < COUNT; i++) {
            rows[i].dump_id = i + 1;
            rows[i].kind = kinds[rand() % 10];
            rows[i].tag = "x";
            rows[i].block_bytes = (uint64_t)(rand() % 1000000);
            for (int d = 0; d < rand() % 4 && i > 0; d++)
                rows[i].dependencies[d] = 1 + rand() % i;
        }
        PLAN_GUARD struct plan plan = {0};
        MAKE_PLAN(&plan, rows, 1 + round % 5);
        bool is_done[COUNT] = {0};
        uint32_t running[8], position;
        size_t running_count = 0, done = 0;
        do {
            while (!order_phase_is_over(&plan.order)) {
                while (order_next(&plan.order, &position)) {
                    for (size_t d = 0; d < plan.toc.entries[position].dependency_count; d++)
                        assert_true(is_done[plan.toc.entries[position].dependencies[d] - 1]);
                    running[running_count++] = position;
                }
                assert_true(running_count > 0 && running_count <= 1 + round % 5);
                size_t victim = (size_t)rand() % running_count;
                assert_false(is_done[running[victim]]);
                is_done[running[victim]] = true;
                done++;
                order_complete(&plan.order, running[victim]);
                running[victim] = running[--running_count];
            }
        } while (order_advance(&plan.order));
        assert_int_equal(done, COUNT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phases_follow_one_another_as_in_pg_restore),
        cmocka_unit_test(test_unwanted_entries_are_named_and_keep_chains_together),
        cmocka_unit_test(test_what_depends_on_a_later_phase_moves_there),
        cmocka_unit_test(test_dependencies_outside_the_archive_do_not_count),
        cmocka_unit_test(test_pre_data_keeps_the_archives_order_as_far_as_it_can),
        cmocka_unit_test(test_the_heaviest_comes_first_and_no_more_than_jobs_at_a_time),
        cmocka_unit_test(test_post_data_that_locks_one_table_runs_one_by_one),
        cmocka_unit_test(test_data_without_a_table_entry_is_locked_all_the_same),
        cmocka_unit_test(test_a_foreign_key_on_a_partitioned_table_waits_for_attaching_below_it),
        cmocka_unit_test(test_primary_keys_of_sibling_partitions_are_built_together),
        cmocka_unit_test(test_materialized_views_that_read_one_table_are_refreshed_together),
        cmocka_unit_test(test_random_graphs_run_whole_and_in_order),
    };
    return cmocka_run_group_tests_name("restore/order", tests, NULL, NULL);
}
