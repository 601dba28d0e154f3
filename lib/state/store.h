/*
 * store - where the wish and the record of it are kept: an interface.
 *
 * A store holds the user's state (`restore-state`: desired and last applied timestamp,
 * configuration), the program's journal beside it, and a lock that one run at a time can hold.
 * Everything above this interface is the same for every kind of store; today there is the directory
 * (directory.h).
 *
 * Order of calls: open, read and journal_read at will, lock, then read and journal_read again (what
 * was read before the lock may be old), then publish and journal_write. Writing without the lock is
 * a bug.
 */
#ifndef RR_STATE_STORE_H
#define RR_STATE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct store;

/* The user's state as it was read. Texts live in the arena; NULL where the key is absent. */
struct state_view {
    const char *desired;         /* desiredBackupTimestamp */
    const char *applied;         /* lastAppliedTimestamp, as published */
    const char *request;         /* restoreRequest */
    const char *allow_initial;   /* allowInitialRestore */
    const char *take_over;       /* takeOver */
    const char *spec_text;       /* restore.yaml */
    unsigned spec_first_line;    /* lines of the enclosing file before the text's first line */
    const char *spec_name;       /* what to call it in errors */
    const char *applied_manager; /* who wrote `applied` last, as far as the store knows */
};

/* The journal: flat names and values, all strings. */
struct journal_data {
    const char **names, **values;
    size_t count;
    bool exists;      /* false: there is no journal yet */
    uint64_t version; /* compare-and-swap token, opaque */
};

struct store_ops {
    enum errc (*read)(struct store *store, struct arena *arena, struct state_view *ret_view,
                      struct error *err);
    enum errc (*publish)(struct store *store, const char *expected, const char *applied,
                         struct error *err);
    enum errc (*journal_read)(struct store *store, struct arena *arena,
                              struct journal_data *ret_journal, struct error *err);
    enum errc (*journal_write)(struct store *store, struct journal_data *journal,
                               struct error *err);
    enum errc (*lock)(struct store *store, bool *ret_is_held, struct error *err);
    void (*close)(struct store *store);
};

/* First member of every implementation's own struct. */
struct store {
    const struct store_ops *ops;
    const char *name;   /* name of the state, "restore-state" */
    const char *place;  /* where it is, for people */
    const char *ref;    /* state_ref: identifies this state against all others in the world */
    bool has_workloads; /* whether Deployments, Ingresses and so on exist beside it */
};

/* Reads the user's state. ERR_STATE_MISSING if there is none; ERR_CONFIG with line and column if it
 * is malformed; ERR_STORE. */
enum errc store_read(struct store *store, struct arena *arena, struct state_view *ret_view,
                     struct error *err) RR_MUST_CHECK;

/* Writes lastAppliedTimestamp if it still is what was read (`expected`, NULL: absent), else
 * ERR_CONFLICT. Durable when it returns. */
enum errc store_publish(struct store *store, const char *expected, const char *applied,
                        struct error *err) RR_MUST_CHECK;

/* Reads the journal; a missing one is a success with exists = false. ERR_JOURNAL_CORRUPT if it is
 * not ours to understand (never overwritten then). */
enum errc store_journal_read(struct store *store, struct arena *arena,
                             struct journal_data *ret_journal, struct error *err) RR_MUST_CHECK;

/* Writes the whole journal if nobody wrote it since `journal->version` was read, else ERR_CONFLICT;
 * sets the new version. Durable when it returns. */
enum errc store_journal_write(struct store *store, struct journal_data *journal,
                              struct error *err) RR_MUST_CHECK;

/* Takes the lock without waiting. Somebody else holds it: *ret_is_held = false. It is released when
 * the store is closed or the process dies. */
enum errc store_lock(struct store *store, bool *ret_is_held, struct error *err) RR_MUST_CHECK;

/* NULL is accepted. */
void store_close(struct store *store);
void store_guard(struct store **store);
#define STORE_GUARD __attribute__((cleanup(store_guard)))

#endif
