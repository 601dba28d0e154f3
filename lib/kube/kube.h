/*
 * kube - a client of the Kubernetes API: requests, answers, errors.
 *
 * One `struct kube` is one connection (HTTP/1.1, kept alive) with one owner thread. Every request
 * is about an object of the client's namespace. The bearer token is read again when it is older
 * than 50 s and after a 401 (which is tried once more); the CA is read again for every new
 * connection, and a connection lives for five minutes at most.
 *
 * What an answer means (the code is in the error slot, with the server's own message, the verb, the
 * resource and the name):
 *
 *   2xx                            RR_OK
 *   401                            ERR_UNAUTHENTICATED
 *   403                            ERR_FORBIDDEN; the hint is the Role's rule to add
 *   404                            ERR_NOT_FOUND
 *   409                            ERR_CONFLICT (somebody wrote, or it exists already)
 *   410                            ERR_EXPIRED (a continue token)
 *   400, 405, 406, 413, 415, 422   ERR_REJECTED (422 is also a JSON patch whose `test` failed)
 *   429, 503, other 5xx of a GET,
 *   no answer                      tried again for as long as the patience lasts, then ERR_API
 *   not JSON, another kind,
 *   too long, cut off              ERR_API
 *   a write: 500, 502, 504, or no
 *   answer that can be used        ERR_ANSWER_LOST: read the object back and decide
 *
 * 404, 409 and 410 count only when the body is a Status object: a proxy's or a load balancer's say
 * nothing about the object and are ERR_API. No connection is ERR_API, no trust is ERR_TLS; both say
 * which server, where its address comes from, and what to do. ERR_CANCELLED: interrupted; a write
 * may have been done.
 *
 * A 401 or 403 of a server that was away a moment ago is asked again for some seconds: it answers
 * before it has read all roles.
 *
 * A write is sent again by itself only when it surely had no effect (it could not be sent, or was
 * answered 401, 429 or 503).
 */
#ifndef RR_KUBE_KUBE_H
#define RR_KUBE_KUBE_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/str.h"
#include "lib/codec/json.h"
#include "lib/kube/kubeconfig.h"

struct cancel;
struct clock;
struct kube;

#define KUBE_FIELD_MANAGER "restore-reconciler"

struct kube_options {
    const struct kubeconfig *config; /* borrowed, must outlive the client */
    const struct clock *clock;       /* NULL: clock_system() */
    const struct cancel *cancel;     /* NULL: cannot be interrupted */
    uint64_t deadline_ms;            /* for one try; 0: 30 s */
    uint64_t patience_ms;            /* for all tries of one call; 0: 30 s */
};

/* Opens no connection yet. ERR_CONFIG, ERR_TLS (certificate or key cannot be used), ERR_IO. */
enum errc kube_open(const struct kube_options *options, struct kube **ret_kube,
                    struct error *err) RR_MUST_CHECK;
void kube_close(struct kube *kube); /* NULL is accepted */
void kube_guard(struct kube **kube);
#define KUBE_GUARD __attribute__((cleanup(kube_guard)))

const char *kube_namespace(const struct kube *kube);
const struct kubeconfig *kube_config(const struct kube *kube);
/* How long one call goes on trying while the server cannot be reached. Once the cancel of the
 * options is requested it is 20 s at most, for a deaf client too, and for a call that is under way:
 * whoever is told to stop is killed before long. */
void kube_set_patience(struct kube *kube, uint64_t patience_ms);
uint64_t kube_patience(const struct kube *kube);
/* While `is_deaf`, calls are not interrupted by the cancel of the options. */
void kube_set_deaf(struct kube *kube, bool is_deaf);
/* Asked before each try of a write, the repeated ones too: what comes back in place of RR_OK ends
 * the call, and nothing is sent. A write that waits for its server for minutes must not be done by
 * a run whose lock is somebody else's by then. May wait itself. A question
 * (has_no_effect) is no write. NULL: none. */
void kube_set_write_guard(struct kube *kube, enum errc (*guard)(void *context, struct error *err),
                          void *context);

/* A kind of object: {"", "v1", "configmaps"}, {"apps", "v1", "deployments"}. */
struct kube_resource {
    const char *group; /* "" is the core group */
    const char *version;
    const char *plural;
    bool is_cluster_wide; /* no namespace in the path */
};

enum kube_verb {
    KUBE_GET,
    KUBE_CREATE, /* POST */
    KUBE_UPDATE, /* PUT: creates as well where the kind allows it; send uid and resourceVersion */
    KUBE_JSON_PATCH,
    KUBE_MERGE_PATCH,
    KUBE_APPLY, /* server-side apply: creates or changes; field manager and force are sent */
    KUBE_DELETE,
};

struct kube_request {
    enum kube_verb verb;
    const struct kube_resource *resource;
    const char *name;     /* NULL: the collection (KUBE_CREATE) */
    const char *query;    /* more parameters, encoded ("a=b&c=d"); may be NULL */
    const char *body;     /* JSON; NULL for KUBE_GET */
    uint64_t deadline_ms; /* for one try; 0: the client's */
    bool is_impatient;    /* one try only */
    bool has_no_effect;   /* a question in the form of a write: may be asked twice */
};

struct kube_answer {
    int status;
    struct json_document *document; /* of the object that came back */
};

/* `ret_answer` must be empty; written on success. Writes carry the field manager and strict field
 * validation. */
enum errc kube_send(struct kube *kube, const struct kube_request *request,
                    struct kube_answer *ret_answer, struct error *err) RR_MUST_CHECK;
void kube_answer_release(struct kube_answer *answer);
#define KUBE_ANSWER_GUARD __attribute__((cleanup(kube_answer_release)))

/* Every object of a kind that matches the label selector (NULL: all), in pages. `take` may stop by
 * returning an error. The items are valid during the call only. ERR_EXPIRED: the list grew too old
 * between two pages; begin again, and forget what was taken. */
enum errc kube_list(struct kube *kube, const struct kube_resource *resource,
                    const char *label_selector,
                    enum errc (*take)(void *context, const struct json *item, struct error *err),
                    void *context, struct error *err) RR_MUST_CHECK;

/* Of an object: metadata.name and so on; NULL where it is missing. */
const char *kube_meta(const struct json *object, const char *member);
/* metadata.annotations[name], metadata.labels[name]; NULL where it is missing. */
const char *kube_annotation(const struct json *object, const char *name);
const char *kube_label(const struct json *object, const char *name);
/* Name of the manager that owns the field, a path of member names as in managedFields ("data",
 * "lastAppliedTimestamp"; ends with NULL), newest first; NULL: nobody. Lives in the arena. */
const char *kube_field_manager(struct arena *arena, const struct json *object,
                               const char *const path[]);
/* Appends "/a~1b" for a JSON pointer's step "a/b". */
void kube_pointer_append(struct str *s, const char *step);
/* A time as MicroTime wants it: exactly six digits of a second, UTC. */
enum { KUBE_MICRO_TIME_SIZE = 28 };
void kube_micro_time(const struct clock *clock, char ret_text[KUBE_MICRO_TIME_SIZE]);

#endif
