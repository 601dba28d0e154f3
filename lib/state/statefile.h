/*
 * statefile - a Kubernetes ConfigMap written as a YAML file, read into a state_view. Pure.
 *
 * Accepted: one mapping with `data`, whose values are strings; `apiVersion: v1`, `kind: ConfigMap`
 * and `metadata` may be there and are held to those words. Keys of `data` other than ours are left
 * alone, except those that look like a misspelling of ours.
 */
#ifndef RR_STATE_STATEFILE_H
#define RR_STATE_STATEFILE_H

#include "lib/state/store.h"

/* `name` is the file's name for errors ("restore-state.yaml:3:5: ..."). Texts live in the arena.
 * ERR_CONFIG. */
enum errc statefile_parse(struct arena *arena, const char *bytes, size_t length, const char *name,
                          struct state_view *ret_view, struct error *err) RR_MUST_CHECK;

/* Sets the member of `view` that data[key] is for; false: no key of ours. The text is borrowed. */
bool state_view_set(struct state_view *view, const char *key, const char *text);
/* Key of ours that `key`, which is none, looks like; NULL: none. */
const char *state_view_nearest(const char *key);

#endif
