/*
 * load - a pg_dump archive into an empty database, over `jobs` connections.
 *
 * Joins lib/archive and lib/pg. The order is: settings of the session; pre-data one after the other; table
 * data, sequences and large objects side by side; post-data side by side where locks allow; then ACLs, event
 * triggers and materialized view data as pg_restore orders them; ANALYZE. Every entry of the table of contents
 * ends as done, as skipped for a reason of a closed list, or as failed; the first failure stops the load. A
 * load counts only when failed and not reached are both 0 and done + skipped equals the number of entries.
 */
#ifndef RR_RESTORE_LOAD_H
#define RR_RESTORE_LOAD_H

#include <stdint.h>

#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/source.h"
#include "lib/pg/conn.h"

struct cancel;
struct clock;

/* A state in the middle of the load, about once a second, on the main thread. */
struct load_progress {
    const char *stage;      /* "pre-data", "data", "post-data", "analyze" */
    uint64_t bytes_done, bytes_total; /* of the archive's data; total 0: unknown */
    uint64_t entries_done, entries_total;
    uint64_t rows;
    unsigned percent;       /* 0 to 100 over all stages, never going back */
};

struct load_options {
    const struct source *source;   /* the archive */
    const char *database;          /* to load into; must exist and be empty */
    const char *conninfo;          /* NULL: environment */
    const char *application_name;
    unsigned jobs;                 /* 1 to LIMIT_JOBS */
    bool analyze;
    bool no_owner, no_privileges;  /* leave owners, grants out */
    const char *role;              /* SET ROLE for the work; NULL: none */
    const struct clock *clock;
    const struct cancel *cancel;
    void (*on_progress)(void *context, const struct load_progress *progress); /* may be NULL */
    void *progress_context;
};

struct load_result {
    uint64_t entries_total, entries_done, entries_skipped;
    uint64_t rows, bytes_read;     /* rows stored by COPY; bytes fetched of the archive */
    const char *const *skipped;    /* "SUBSCRIPTION s: ..." for those a person should know of; arena */
    size_t skipped_count;
    uint64_t unvalidated_constraints; /* that the dump itself has as NOT VALID */
    uint64_t pre_data_ms, data_ms, post_data_ms, analyze_ms;
};

/* An archive's table of contents, read once and shared by preflight and load. Lives in its arena. */
enum errc load_read_toc(const struct source *source, const struct cancel *cancel, struct arena *arena,
                        struct toc *ret_toc, struct error *err) RR_MUST_CHECK;

/* What the archive needs and the server (conn: any database of it) lacks, all findings at once, each a text with
 * what to do: archive newer than the server, roles, extensions, tablespaces, access methods, collations, encoding,
 * languages. `add` is called once per finding. */
enum errc load_preflight(const struct toc *toc, struct conn *conn, const struct load_options *options,
                         void (*add)(void *context, const char *finding), void *context,
                         struct error *err) RR_MUST_CHECK;

/* Runs the load. ERR_LOAD (or ERR_ARCHIVE_CORRUPT, ERR_BACKUP_CHANGED, ERR_DISK_FULL, ERR_DATABASE_LOST,
 * ERR_CANCELLED ...) naming the entry, the statement and the server's message. `toc` is completed with block
 * offsets. Texts of the result live in the arena. */
enum errc load_run(const struct load_options *options, struct toc *toc, struct arena *arena,
                   struct load_result *ret_result, struct error *err) RR_MUST_CHECK;

#endif
