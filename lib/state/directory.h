/*
 * directory - a store in a folder, for a server with cron and a Git checkout, for trying it out,
 * and for tests.
 *
 *   NAME.yaml          the user's: a ConfigMap as a file; only read
 *   NAME.applied.yaml  ours: lastAppliedTimestamp; wins over a key of that name in the first file
 *   NAME.journal.json  ours: {"version": N, "data": {NAME: VALUE, ...}}
 *
 * Ours are written to a temporary file, synced, renamed over the old one, and the folder synced.
 * The lock is the kernel's (flock on the folder): it ends with the process that holds it, whatever
 * ends the process.
 */
#ifndef RR_STATE_DIRECTORY_H
#define RR_STATE_DIRECTORY_H

#include "lib/state/store.h"

/* `path` must be a folder. ERR_STATE_MISSING, ERR_STORE. Caller: store_close(). */
enum errc directory_open(const char *path, const char *name, struct store **ret_store,
                         struct error *err) RR_MUST_CHECK;

#endif
