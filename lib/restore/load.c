/*
 * The main thread of a load. It reads the plan (order.h), hands tasks to the workers (worker.h),
 * books what they report (account.h, progress.h) and is the only one that logs above debug.
 *
 * Serial phases go to one worker as a single task, so that they run on one connection; in parallel
 * phases each entry is a task. The first failure is kept, requests the load's cancel flag, which
 * every connection and every read watches, and nothing more is given out; the rest is waiting for
 * the workers.
 */
#include "lib/restore/load.h"

#include <stdlib.h>
#include <string.h>

#include "lib/archive/reader.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/restore/account.h"
#include "lib/restore/analyze.h"
#include "lib/restore/order.h"
#include "lib/restore/progress.h"
#include "lib/restore/session.h"
#include "lib/restore/statements.h"
#include "lib/restore/worker.h"

enum { WAIT_MS = 250, PROGRESS_MS = 1000 };

/* ANALYZE reads a sample: this part of what loading the data costs. */
static const uint64_t analyze_cost_divisor = 20;

struct run {
    struct load_context load;
    struct toc *toc;
    struct arena *arena; /* the caller's, for the result */
    struct order order;
    struct account account;
    struct progress progress;
    struct pool *pool;
    struct session *session; /* the main thread's own */
    unsigned jobs, busy;
    const char *stage;
    uint64_t rows;
    uint64_t reported_ms;  /* when progress was reported last */
    const char **warnings; /* about what was carried on without; in the arena */
    size_t warning_count, warning_capacity;
    uint64_t analyze_cost;
    struct error failure; /* the first one; its code is RR_OK while all is well */
};

static uint64_t now_ms(const struct run *run)
{
    return clock_boottime_ms(run->load.options->clock);
}

/* Books. */

static void fail(struct run *run, const struct error *err)
{
    if (run->failure.code == RR_OK)
        run->failure = *err;
    cancel_request(&run->load.stop);
}

static void warn(struct run *run, const char *text)
{
    log_warn("carrying on without", LOG_TEXT("what", text));
    if (run->warning_count == run->warning_capacity) {
        size_t capacity = run->warning_capacity == 0 ? 16 : 2 * run->warning_capacity;
        const char **more = arena_array(run->arena, capacity, sizeof *more);
        for (size_t i = 0; i < run->warning_count; i++)
            more[i] = run->warnings[i];
        run->warnings = more;
        run->warning_capacity = capacity;
    }
    run->warnings[run->warning_count++] = arena_strdup(run->arena, text);
}

static void report_progress(struct run *run, bool is_over)
{
    const struct load_options *options = run->load.options;
    uint64_t now = now_ms(run);
    if (options->on_progress == NULL || (now - run->reported_ms < PROGRESS_MS && !is_over))
        return;
    run->reported_ms = now;
    struct load_progress progress = progress_now(&run->progress, run->stage, is_over);
    options->on_progress(options->progress_context, &progress);
}

static void finish_entry(struct run *run, unsigned worker, uint32_t position,
                         struct applied applied)
{
    account_finish(&run->account, position, applied.skip);
    progress_finish(&run->progress, worker, run->order.items[position].cost);
    run->rows += applied.rows;
    if (phase_is_parallel(run->order.phase))
        order_complete(&run->order, position);
}

/* Statistics are not data: without them the database is whole, only slower until autovacuum has
 * been there. */
static bool is_harmless(const struct message *message)
{
    return message->task.sql != NULL && message->err.code == ERR_SQL;
}

static void finish_task(struct run *run, const struct message *message)
{
    run->busy--;
    if (message->task.sql != NULL)
        progress_finish_other(&run->progress, message->task.cost);
    if (message->kind == MESSAGE_DONE)
        return;
    if (is_harmless(message)) {
        warn(run, message->err.text);
        return;
    }
    if (message->position != ORDER_NOWHERE && message->err.code != ERR_CANCELLED)
        account_fail(&run->account, message->position);
    fail(run, &message->err);
}

static void handle(struct run *run, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_BYTES:
        progress_add(&run->progress, message->worker, run->order.items[message->position].cost,
                     message->bytes, message->rows);
        break;
    case MESSAGE_ENTRY:
        finish_entry(run, message->worker, message->position, message->applied);
        break;
    case MESSAGE_DONE:
    case MESSAGE_FAILED:
        finish_task(run, message);
        break;
    }
}

/* Waits for the workers to say something, or for the time to look round. */
static void listen(struct run *run)
{
    struct message message;
    struct error err = ERROR_INIT;
    if (pool_take(run->pool, &message, WAIT_MS))
        handle(run, &message);
    if (cancel_check(run->load.options->cancel, &err))
        fail(run, &err);
    report_progress(run, false);
}

static bool is_well(const struct run *run)
{
    return run->failure.code == RR_OK;
}

static void give(struct run *run, struct task task)
{
    pool_give(run->pool, &task);
    run->busy++;
}

static void wait_for_idle(struct run *run)
{
    while (run->busy > 0)
        listen(run);
}

/* Phases. */

/* Books an entry that nobody wants as soon as its turn has come. */
static bool take_next(struct run *run, uint32_t *ret_position)
{
    uint32_t position;
    while (order_next(&run->order, &position)) {
        const struct order_item *item = &run->order.items[position];
        if (item->skip == SKIP_NONE) {
            *ret_position = position;
            return true;
        }
        account_finish(&run->account, position, item->skip);
        run->progress.entries_done++;
        order_complete(&run->order, position);
    }
    return false;
}

/* All entries of the phase, in order, as one task for one connection. */
static void run_serial_phase(struct run *run)
{
    ARENA_GUARD struct arena scratch = {0};
    uint32_t *positions =
        arena_array(&scratch, run->order.left[run->order.phase], sizeof *positions);
    size_t count = 0;
    while (take_next(run, &positions[count]))
        order_complete(&run->order, positions[count++]);
    if (count > 0)
        give(run, (struct task){.positions = positions, .count = count});
    wait_for_idle(run);
}

static void run_parallel_phase(struct run *run)
{
    ARENA_GUARD struct arena scratch = {0};
    uint32_t *positions =
        arena_array(&scratch, run->order.left[run->order.phase], sizeof *positions);
    size_t given = 0;
    while (is_well(run) && !order_phase_is_over(&run->order)) {
        while (run->busy < run->jobs && take_next(run, &positions[given]))
            give(run, (struct task){.positions = &positions[given++], .count = 1});
        if (run->busy == 0)
            break; /* over, or nothing can ever become ready: the books will tell */
        listen(run);
    }
    wait_for_idle(run);
}

static void run_phase(struct run *run)
{
    static const char *const stages[PHASE_COUNT] = {
        [PHASE_PRE_DATA] = "pre-data",   [PHASE_DATA] = "data",
        [PHASE_POST_DATA] = "post-data", [PHASE_ACL] = "post-data",
        [PHASE_REFRESH] = "post-data",   [PHASE_EVENT_TRIGGER] = "post-data",
    };
    run->stage = stages[run->order.phase];
    if (phase_is_parallel(run->order.phase))
        run_parallel_phase(run);
    else
        run_serial_phase(run);
}

static void run_phases(struct run *run, struct load_result *result)
{
    for (bool has_more = true; has_more && is_well(run); has_more = order_advance(&run->order)) {
        uint64_t begin_ms = now_ms(run);
        enum phase phase = run->order.phase;
        run_phase(run);
        uint64_t took_ms = now_ms(run) - begin_ms;
        if (phase == PHASE_PRE_DATA)
            result->pre_data_ms = took_ms;
        else if (phase == PHASE_DATA)
            result->data_ms = took_ms;
        else
            result->post_data_ms += took_ms;
    }
}

/* Each relation's part of the cost that is set aside for ANALYZE. */
static uint64_t analyze_part(const struct run *run, uint64_t bytes, uint64_t all_bytes)
{
    return all_bytes == 0
               ? 0
               : (uint64_t)((double)run->analyze_cost * (double)bytes / (double)all_bytes);
}

static void run_analyze(struct run *run, struct load_result *result)
{
    ARENA_GUARD struct arena scratch = {0};
    const struct analyze_target *targets;
    struct error err = ERROR_INIT;
    size_t count, given = 0;
    uint64_t all_bytes = 0, begin_ms = now_ms(run);
    run->stage = "analyze";
    if (analyze_list(run->session, &scratch, &targets, &count, &err)) {
        fail(run, &err);
        return;
    }
    for (size_t i = 0; i < count; i++)
        all_bytes += targets[i].bytes;
    while (is_well(run) && (given < count || run->busy > 0)) {
        for (; run->busy < run->jobs && given < count; given++)
            give(run, (struct task){.sql = targets[given].sql,
                                    .cost = analyze_part(run, targets[given].bytes, all_bytes)});
        listen(run);
    }
    wait_for_idle(run);
    result->analyze_ms = now_ms(run) - begin_ms;
}

/* Before and after. */

static enum errc log_rights(struct run *run, struct error *err)
{
    ARENA_GUARD struct arena scratch = {0};
    struct rows rows;
    if (conn_query(run->session->conn, &scratch,
                   "SELECT current_user, rolsuper, EXISTS (SELECT FROM pg_catalog.pg_roles f "
                   "WHERE f.rolname IN ('pg_execute_server_program', 'pg_read_server_files', "
                   "'pg_write_server_files') AND pg_catalog.pg_has_role(f.oid, 'MEMBER')) "
                   "FROM pg_catalog.pg_roles WHERE rolname = current_user",
                   NULL, 0, &rows, err))
        return err->code;
    if (rows.row_count == 1)
        log_debug("load begins", LOG_TEXT("role", rows_get(&rows, 0, 0)),
                 LOG_BOOL("is_superuser", text_equal(rows_get(&rows, 0, 1), "t")),
                 LOG_BOOL("may_use_server_files", text_equal(rows_get(&rows, 0, 2), "t")),
                 LOG_TEXT("dumped_by", run->toc->dump_version),
                 LOG_UINT("entries", run->toc->count), LOG_UINT("jobs", run->jobs));
    return RR_OK;
}

static bool grants_public_schema(const struct toc *toc)
{
    for (size_t i = 0; i < toc->count; i++) {
        const struct entry *entry = &toc->entries[i];
        if (entry->kind == ENTRY_ACL && entry->definition != NULL &&
            strstr(entry->definition, " ON SCHEMA public ") != NULL)
            return true;
    }
    return false;
}

/*
 * Up to 14 everybody may create in schema public, and pg_dump says nothing of what is the default.
 */
static void note_public_schema(const struct run *run)
{
    long dumped_by = run->toc->dump_version == NULL ? 0 : strtol(run->toc->dump_version, NULL, 10);
    if (dumped_by > 0 && dumped_by < 15 && conn_server_version(run->session->conn) >= 150000 &&
        !grants_public_schema(run->toc))
        log_warn("since PostgreSQL 15 only its owner may create objects in schema public; grant "
                 "CREATE on it to those who need it");
}

/* Constraints that the source had never checked are not checked here either. The catalog counts
 * those of partitions and children as well, which the archive does not name; it is believed as far
 * as the archive explains the ones that stand for themselves. */
static enum errc count_unvalidated(struct run *run, uint64_t *ret_count, struct error *err)
{
    ARENA_GUARD struct arena scratch = {0};
    struct rows rows;
    uint64_t dumped = 0, all, own;
    for (size_t i = 0; i < run->toc->count; i++)
        dumped += entry_is_not_valid(&run->toc->entries[i], &run->load.settings);
    if (conn_query(run->session->conn, &scratch,
                   "SELECT count(*), count(*) FILTER (WHERE conislocal AND conparentid = 0 AND "
                   "coalesce(pg_catalog.to_jsonb(c) ->> 'conenforced', 'true') = 'true') "
                   "FROM pg_catalog.pg_constraint c WHERE NOT convalidated",
                   NULL, 0, &rows, err))
        return err->code;
    if (rows.row_count != 1 || !text_to_u64(rows_get(&rows, 0, 0), UINT64_MAX, &all) ||
        !text_to_u64(rows_get(&rows, 0, 1), UINT64_MAX, &own))
        return error_set(err, ERR_BUG, "the count of constraints came back as something else");
    *ret_count = own <= dumped ? all : dumped;
    return RR_OK;
}

static enum errc check_options(const struct load_options *options, struct error *err)
{
    if (options->jobs < 1 || options->jobs > LIMIT_JOBS)
        return error_set(err, ERR_USAGE, "jobs must be 1 to %d, not %u", LIMIT_JOBS, options->jobs);
    return RR_OK;
}

/* Before anything is changed. */
static enum errc check_copy_statements(const struct toc *toc, struct error *err)
{
    for (size_t i = 0; i < toc->count; i++) {
        ARENA_GUARD struct arena scratch = {0};
        const struct entry *entry = &toc->entries[i];
        struct copy_target target;
        bool is_copy = entry->kind == ENTRY_TABLE_DATA && entry->copy_statement != NULL &&
                       *entry->copy_statement != '\0';
        if (is_copy && copy_parse(&scratch, entry, &target, err))
            return error_wrap(err, "%s", entry_title(&scratch, entry));
    }
    return RR_OK;
}

static enum errc locate(struct run *run, uint64_t *ret_bytes_read, struct error *err)
{
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(run->load.options->source, &run->load.stop, &reader, err) ||
        blocks_locate(reader, run->toc, err))
        return err->code;
    *ret_bytes_read = reader->read_bytes;
    return RR_OK;
}

static void plan(struct run *run)
{
    const struct load_options *options = run->load.options;
    const struct order_options order_options = {.no_privileges = options->no_privileges};
    uint64_t data_bytes = 0;
    order_build(&run->order, run->toc, &order_options, run->jobs, run->arena);
    account_init(&run->account, run->toc, run->arena);
    for (size_t i = 0; i < run->toc->count; i++)
        if (run->toc->entries[i].has_data)
            data_bytes += run->toc->entries[i].block_bytes;
    run->analyze_cost = options->analyze ? data_bytes / analyze_cost_divisor : 0;
    progress_init(&run->progress, run->order.total_cost + run->analyze_cost, data_bytes,
                  run->toc->count);
}

static enum errc prepare(struct run *run, struct load_result *result, struct error *err)
{
    const struct session_meter none = {0};
    if (check_options(run->load.options, err) || toc_check_cycles(run->toc, err) ||
        settings_parse(run->toc, run->arena, &run->load.settings, err) ||
        check_copy_statements(run->toc, err) || locate(run, &result->bytes_read, err) ||
        session_open(&run->load, none, &run->session, err) || log_rights(run, err))
        return err->code;
    note_public_schema(run);
    plan(run);
    return RR_OK;
}

/* The notable entries and the warnings of the run, as one list. */
static void list_skipped(struct run *run, struct load_result *result)
{
    const char **notable;
    size_t count;
    account_notable(&run->account, run->arena, &notable, &count);
    const char **all = arena_array(run->arena, count + run->warning_count, sizeof *all);
    for (size_t i = 0; i < count; i++)
        all[i] = notable[i];
    for (size_t i = 0; i < run->warning_count; i++)
        all[count + i] = run->warnings[i];
    result->skipped = all;
    result->skipped_count = count + run->warning_count;
}

static enum errc conclude(struct run *run, struct load_result *result, struct error *err)
{
    if (account_check(&run->account, err) ||
        count_unvalidated(run, &result->unvalidated_constraints, err))
        return err->code;
    result->entries_total = run->toc->count;
    result->entries_done = run->account.done;
    result->entries_skipped = run->account.skipped;
    result->rows = run->rows;
    list_skipped(run, result);
    report_progress(run, true);
    return RR_OK;
}

static enum errc work(struct run *run, struct load_result *result, struct error *err)
{
    uint64_t bytes_read = 0;
    if (pool_start(&run->load, &run->order, run->jobs, &run->pool, err))
        return err->code;
    run_phases(run, result);
    if (is_well(run) && run->load.options->analyze)
        run_analyze(run, result);
    pool_stop(run->pool, &bytes_read);
    result->bytes_read += bytes_read;
    if (!is_well(run)) {
        *err = run->failure;
        return err->code;
    }
    return RR_OK;
}

enum errc load_read_toc(const struct source *source, const struct cancel *cancel,
                        struct arena *arena, struct toc *ret_toc, struct error *err)
{
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(source, cancel, &reader, err))
        return err->code;
    return toc_read(reader, arena, ret_toc, err);
}

enum errc load_run(const struct load_options *options, struct toc *toc, struct arena *arena,
                   struct load_result *ret_result, struct error *err)
{
    struct run run = {.load = {.options = options, .toc = toc, .stop = {.parent = options->cancel}},
                      .toc = toc,
                      .arena = arena,
                      .jobs = options->jobs};
    struct load_result result = {0};
    if (prepare(&run, &result, err) == RR_OK && work(&run, &result, err) == RR_OK &&
        conclude(&run, &result, err) == RR_OK)
        *ret_result = result;
    session_close(run.session);
    return err->code;
}
