/*
 * verdict - what an answer of the API server means: an object, or one of our errors. Private to
 * this room.
 */
#ifndef RR_KUBE_VERDICT_H
#define RR_KUBE_VERDICT_H

#include "lib/kube/kube.h"
#include "lib/net/http.h"

/* The verb as a Role names it: "get", "list", "create", "update", "patch", "delete". */
const char *verdict_rbac_verb(const struct kube_request *request);

/* Whether the server changes something for it. */
bool verdict_is_write(const struct kube_request *request);

/* Of an answer, whatever its status: the object that came back, or the error. `is_list`: it has to
 * be a list. */
enum errc verdict_on_answer(const struct kube *kube, const struct kube_request *request,
                            bool is_list, const struct http_response *response,
                            struct kube_answer *ret_answer, struct error *err) RR_MUST_CHECK;

/* Of a call that brought no answer: gives the filled slot the code that callers know, and says what
 * was being done and where. */
enum errc verdict_on_failure(const struct kube *kube, const struct kube_request *request,
                             bool may_have_acted, struct error *err) RR_MUST_CHECK;

#endif
