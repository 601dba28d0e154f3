/*
 * secret - a password, key or token.
 *
 * Its own type, so that no formatter, log call or error text accepts it by accident. The bytes are
 * wiped when it is released. secret_reveal() is the only way out; grep for it to see every use.
 */
#ifndef RR_BASE_SECRET_H
#define RR_BASE_SECRET_H

#include <stddef.h>

struct secret {
    char *bytes; /* terminated, NULL when unset */
    size_t length;
};

#define SECRET_GUARD __attribute__((cleanup(secret_release)))

/* Replaces the content by a copy of `length` bytes. */
void secret_set(struct secret *secret, const char *bytes, size_t length);
/* The text, or NULL when unset. Do not print it. */
const char *secret_reveal(const struct secret *secret);
/* Wipes and frees. NULL is accepted. */
void secret_release(struct secret *secret);

#endif
