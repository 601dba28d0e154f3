/*
 * kept - the part of an object's metadata that goes through a PUT of ours as it was.
 *
 * A PUT replaces the whole object. What others put on one of ours (a label for the backup tool, the
 * annotation of a sync tool, an owner) is theirs and is sent back.
 */
#ifndef RR_KUBE_KEPT_H
#define RR_KUBE_KEPT_H

#include "lib/base/arena.h"
#include "lib/codec/json.h"

#define KUBE_MANAGED_BY "app.kubernetes.io/managed-by"

/* Members of metadata as JSON text, each with a comma in front: `,"labels":{...}`. "" if there is
 * none. Lives in the arena. */
const char *kept_metadata(struct arena *arena, const struct json *object);

#endif
