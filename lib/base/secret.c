#include "lib/base/secret.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"

void secret_set(struct secret *secret, const char *bytes, size_t length)
{
    char *copy = mem_alloc(length + 1);
    memcpy(copy, bytes, length);
    secret_release(secret);
    *secret = (struct secret){.bytes = copy, .length = length};
}

const char *secret_reveal(const struct secret *secret)
{
    return secret->bytes;
}

void secret_release(struct secret *secret)
{
    if (!secret || !secret->bytes)
        return;
    explicit_bzero(secret->bytes, secret->length);
    free(secret->bytes);
    *secret = (struct secret){0};
}
