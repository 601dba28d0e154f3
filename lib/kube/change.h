/*
 * change - one object changed by compare-and-swap.
 *
 * A change is planned from the object as it was read and sent as one JSON patch that first tests
 * uid and resourceVersion. Whatever makes the outcome doubtful (a refusal, a lost answer) is
 * settled by reading the object back:
 *
 *   it is as it was to become     done, whoever's answer was lost
 *   another uid or version        ERR_CONFLICT
 *   as it was, answer lost        sent again, a few times
 *   as it was, refused            ERR_REJECTED with the server's words: not our test failed, an
 *                                 admission webhook or a validation did
 */
#ifndef RR_KUBE_CHANGE_H
#define RR_KUBE_CHANGE_H

#include "lib/kube/kube.h"

struct change {
    struct kube *kube;
    const struct kube_resource *resource;
    const char *kind;                          /* for texts: "Deployment" */
    const char *name, *uid, *resource_version; /* of the object as it was read */
    /* Appends the operations that the object in `context` needs (change_operation()), or says that
     * it is as it should be. */
    enum errc (*plan)(void *context, struct str *patch, bool *ret_is_done, struct error *err);
    /* Takes over the object as the server has it now. */
    enum errc (*take)(void *context, const struct json *json, struct error *err);
    void *context;
};

/* On success, and on ERR_CONFLICT, the context has taken what the server has. ERR_NOT_FOUND: it was
 * deleted. Other errors while reading back leave open whether it was changed. */
enum errc change_apply(const struct change *change, struct error *err) RR_MUST_CHECK;

/* For `plan`: one operation of a JSON patch (RFC 6902). `value` is JSON; NULL: none. */
void change_operation(struct str *patch, const char *operation, const char *pointer,
                      const char *value);

/* An annotation to write. */
struct annotation {
    const char *name, *value;
};

/* Adds annotations; `has_annotations`: the object has a map of them already. */
void change_annotate(struct str *patch, bool has_annotations, const struct annotation *annotations,
                     size_t count);
/* Removes one that is there. */
void change_remove_annotation(struct str *patch, const char *name);

/* ERR_STEP if the object was marked for another state than ours. `marked_state` NULL: it was not.
 */
enum errc change_check_state(const char *kind, const char *name, const char *marked_state,
                             const char *marked_run, const char *state,
                             struct error *err) RR_MUST_CHECK;

#endif
