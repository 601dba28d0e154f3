/*
 * arena - memory that belongs to a phase and is freed whole at its end.
 *
 * Everything taken from an arena lives until arena_release(). Nothing is freed singly. Out of
 * memory ends the process (exit 71): safe here, because every undo is recorded before its effect.
 * One arena has one owner thread.
 *
 *     ARENA_GUARD struct arena arena = {0};
 *     char *name = arena_strdup(&arena, tag);
 */
#ifndef RR_BASE_ARENA_H
#define RR_BASE_ARENA_H

#include <stddef.h>

#include "lib/base/error.h"

struct arena_block;

/* All zero is an empty arena, ready for use. */
struct arena {
    struct arena_block *head;
    size_t used_bytes; /* handed out so far */
};

/* `size` bytes, zeroed, aligned for any type. Never NULL. Size 0 gives a valid unique pointer. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, returns_nonnull));

/* As arena_alloc() for count * size, with the overflow checked (which ends the process). */
void *arena_array(struct arena *arena, size_t count, size_t size)
    __attribute__((malloc, returns_nonnull));

/* A copy of the terminated string; NULL gives NULL. */
char *arena_strdup(struct arena *arena, const char *text);

/* A terminated copy of `length` bytes. */
char *arena_strndup(struct arena *arena, const char *text, size_t length)
    __attribute__((returns_nonnull));

/* printf into the arena. */
char *arena_printf(struct arena *arena, const char *fmt, ...) RR_PRINTF(2, 3)
    __attribute__((returns_nonnull));

/* Frees everything; the arena is empty and usable again. NULL is accepted. */
void arena_release(struct arena *arena);

/* Frees what leaves scope: `ARENA_GUARD struct arena a = {0};` */
#define ARENA_GUARD __attribute__((cleanup(arena_release)))

/* malloc and friends that end the process (exit 71) when memory is out. For long-lived objects. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text); /* NULL gives NULL */
/* Ends the process as those do. */
void mem_die(size_t size) __attribute__((noreturn));

#endif
