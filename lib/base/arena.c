#include "lib/base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = alignof(max_align_t) };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    max_align_t data[];
};

void mem_die(size_t size)
{
    char text[96];
    int length =
        snprintf(text, sizeof text, "restore-reconciler: out of memory (%zu bytes)\n", size);
    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(71);
    _exit(71);
}

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        mem_die(size);
    return p;
}

void *mem_resize(void *old, size_t size)
{
    void *p = realloc(old, size ? size : 1);
    if (!p)
        mem_die(size);
    return p;
}

char *mem_strdup(const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

static struct arena_block *new_block(size_t size)
{
    if (size > SIZE_MAX - sizeof(struct arena_block))
        mem_die(size);
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block)
        mem_die(size);
    *block = (struct arena_block){.size = size};
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        mem_die(size);
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (rounded == 0)
        rounded = ALIGNMENT;
    struct arena_block *block = arena->head;
    if (!block || block->size - block->used < rounded) {
        if (rounded > BLOCK_BYTES / 4 && block) {
            /* A large piece gets a block of its own behind the one that still has room. */
            struct arena_block *own = new_block(rounded);
            own->next = block->next;
            block->next = own;
            block = own;
        } else {
            block = new_block(rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES);
            block->next = arena->head;
            arena->head = block;
        }
    }
    void *p = (char *)block->data + block->used;
    block->used += rounded;
    arena->used_bytes += rounded;
    return memset(p, 0, rounded);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / 2 / size)
        mem_die(SIZE_MAX);
    return arena_alloc(arena, count * size);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int length = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (length < 0)
        mem_die(0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, fmt, again);
    va_end(again);
    return text;
}

void arena_release(struct arena *arena)
{
    if (!arena)
        return;
    for (struct arena_block *block = arena->head, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    *arena = (struct arena){0};
}
