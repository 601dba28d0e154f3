/*
 * What the files of the client share. Private to this room.
 */
#ifndef RR_KUBE_KUBE_INTERNAL_H
#define RR_KUBE_KUBE_INTERNAL_H

#include "lib/kube/kube.h"

enum { KUBE_URL_BYTES = 16 * 1024 }; /* a longer one is no request of ours */

/* As kube_send(). `is_list`: what comes back has to be a list. On failure *ret_is_too_large says
 * whether the answer was over the limit. */
enum errc kube_ask(struct kube *kube, const struct kube_request *request, bool is_list,
                   struct kube_answer *ret_answer, bool *ret_is_too_large,
                   struct error *err) RR_MUST_CHECK;

#endif
