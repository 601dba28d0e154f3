/*
 * selector - the label selector of an object (matchLabels, matchExpressions) in the form that a
 * query has: "app=web,tier in (a,b),!canary".
 *
 * Format: k8s.io/apimachinery/pkg/apis/meta/v1/types.go (LabelSelector), pkg/labels/selector.go.
 */
#ifndef RR_KUBE_SELECTOR_H
#define RR_KUBE_SELECTOR_H

#include "lib/codec/json.h"

/* Appends the query's form; false if there is anything that is not understood, or nothing that is
 * selected by: a selector that is absent or empty is never "all pods". */
bool selector_render(struct str *s, const struct json *selector);

#endif
