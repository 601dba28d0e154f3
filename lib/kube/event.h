/*
 * event - Events (events.k8s.io/v1) about a ConfigMap, for `kubectl describe` and `kubectl events`.
 *
 * They are a courtesy and expire; nothing is ever decided by them.
 */
#ifndef RR_KUBE_EVENT_H
#define RR_KUBE_EVENT_H

#include "lib/kube/kube.h"

struct event {
    const char *regarding_name, *regarding_uid; /* of the ConfigMap */
    bool is_warning;
    const char *reason;   /* CamelCase */
    const char *action;   /* what was being done: the step's name */
    const char *note;     /* cut to the 1024 bytes that are allowed, at a character */
    const char *instance; /* who reports: pod's name; cut to 128 bytes */
};

/* One try, a few seconds: the caller logs a failure and goes on. */
enum errc event_post(struct kube *kube, const struct event *event, struct error *err) RR_MUST_CHECK;

#endif
