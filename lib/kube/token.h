/*
 * token - the bearer token, read again as it rotates. Private to this room.
 *
 * A pod's token lives for an hour and is replaced by renaming a symbolic link, so the file is
 * opened anew each time. A file that cannot be read for a moment leaves the token as it was.
 */
#ifndef RR_KUBE_TOKEN_H
#define RR_KUBE_TOKEN_H

#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/secret.h"

struct clock;

struct token {
    const char *file;    /* NULL: `value` never changes */
    struct secret value; /* unset: no token at all */
    const struct clock *clock;
    bool is_stale; /* to be read before it is used again */
    uint64_t read_ms;
};

/* Reads the file for the first time; `value` (copied) counts where `file` is NULL. ERR_IO,
 * ERR_CONFIG name the file. */
enum errc token_init(struct token *token, const char *file, const struct secret *value,
                     const struct clock *clock, struct error *err) RR_MUST_CHECK;
/* Reads the file again if that is due. */
void token_refresh(struct token *token);
/* The server did not take it: read it before the next use. */
void token_distrust(struct token *token);
void token_release(struct token *token);

/* Whether a header can carry it: printable ASCII without blanks, and not empty. */
bool token_is_sendable(const char *text);

#endif
