/*
 * store - where the wish and the record of it are kept: an interface.
 *
 * A store holds the user's state (`restore-state`: desired and last applied timestamp,
 * configuration), the program's journal beside it, and a lock that one run at a time can hold.
 * Everything above this interface is the same for every kind of store; the directory
 * (directory.h) and the ConfigMap of a Kubernetes cluster (cluster.h).
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

struct kube;
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

/* What happened, for people who look at the state (Events). */
struct store_news {
    bool is_warning;
    const char *reason; /* CamelCase */
    const char *action; /* the step's name */
    const char *text;
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
    /* May be NULL: the lock cannot be lost. */
    enum errc (*check_lock)(struct store *store, uint64_t need_ms, struct error *err);
    /* May be NULL: calls are never interrupted. */
    void (*set_deaf)(struct store *store, bool is_deaf);
    /* May be NULL: nobody is told. */
    void (*tell)(struct store *store, const struct store_news *news);
    void (*close)(struct store *store);
};

/* First member of every implementation's own struct. */
struct store {
    const struct store_ops *ops;
    const char *name;   /* name of the state, "restore-state" */
    const char *place;  /* where it is, for people */
    const char *ref;    /* state_ref: identifies this state against all others in the world */
    struct kube *kube;  /* the cluster whose workloads stand beside it; NULL: none */
    const char *holder; /* after a lock that is held by somebody else: who, NULL if not known */
    unsigned silent_holder_s; /* a holder of the database lock that was silent for longer is dead */
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

/* Takes the lock. Somebody else holds it: *ret_is_held = false. Does not wait for a live holder to
 * end; whether a holder is alive may have to be found out by waiting (a Lease: for as long as it
 * says). It is released when the store is closed; when the process dies, by the kernel (directory)
 * or by running out (Lease). Held already: a success at once. */
enum errc store_lock(struct store *store, bool *ret_is_held, struct error *err) RR_MUST_CHECK;

/* The lock is ours, and will be for `need_ms`: asked before every step and every effect on the
 * cluster. Waits for a store that is away. ERR_FENCE_LOST, ERR_API, ERR_CANCELLED. */
enum errc store_check_lock(struct store *store, uint64_t need_ms, struct error *err) RR_MUST_CHECK;

/* While `is_deaf`, calls are not interrupted by the cancel that the store was opened with: what was
 * begun is put in order first. */
void store_set_deaf(struct store *store, bool is_deaf);

/* Tells people; never fails. */
void store_tell(struct store *store, const struct store_news *news);

/* NULL is accepted. */
void store_close(struct store *store);
void store_guard(struct store **store);
#define STORE_GUARD __attribute__((cleanup(store_guard)))

#endif
