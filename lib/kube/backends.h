/*
 * backends - where the backends of an Ingress are and what they are: read from the object, written
 * down as a record, read from a record that anybody may have edited. Pure.
 *
 *     [{"path":"/spec/rules/0/http/paths/1/backend","host":"shop.example","match":"/api",
 *       "type":"Prefix","backend":{"service":{"name":"api","port":{"number":80}}}}, ...]
 *
 * `path` is a JSON pointer (RFC 6901); host, match and type are the rule's own and are missing
 * where it has none. They tell the same rule when somebody has moved it: a number alone would
 * send one host's requests to another's Service.
 */
#ifndef RR_KUBE_BACKENDS_H
#define RR_KUBE_BACKENDS_H

#include "lib/base/arena.h"
#include "lib/codec/json.h"

struct backend {
    const char *path;
    const char *host, *match, *type; /* NULL: none; all NULL for /spec/defaultBackend */
    const struct json *value;
    bool is_taken; /* by backends_take() */
};

struct backends {
    struct backend *items;
    size_t count;
    struct json_document *document; /* what the values belong to; NULL: another's */
};

/* Those of an Ingress, in its order; values live as long as the Ingress's document. */
void backends_read(struct arena *arena, const struct json *ingress, struct backends *ret_backends);

/* Appends the record. */
void backends_render(struct str *s, const struct backends *backends);

/* Reads a record, strictly: nothing that backends_render() would not write, each place once.
 * ERR_STEP with `what` in the text. Caller: backends_release(). */
enum errc backends_parse(struct arena *arena, const char *text, const char *what,
                         struct backends *ret_backends, struct error *err) RR_MUST_CHECK;
void backends_release(struct backends *backends);
#define BACKENDS_GUARD __attribute__((cleanup(backends_release)))

/* The same rule among `backends`, at the same place, or wherever it is now; NULL: gone. Each is
 * handed out once. */
const struct backend *backends_take(struct backends *backends, const struct backend *rule);

#endif
