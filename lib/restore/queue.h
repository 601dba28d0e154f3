/*
 * queue - a bounded first-in, first-out queue between threads.
 *
 * Items have one fixed size and are copied in and out. A full queue makes the giver wait, so that
 * nobody runs ahead of memory. Closing wakes everybody: items already there can still be taken, new
 * ones are refused.
 */
#ifndef RR_RESTORE_QUEUE_H
#define RR_RESTORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

struct queue *queue_new(size_t item_size, size_t capacity);
/* Nobody may be using it any more. NULL is accepted. */
void queue_free(struct queue *queue);

/* Waits for room. False: the queue is closed, the item was not taken. */
bool queue_put(struct queue *queue, const void *item);
/* Waits for an item. False: the queue is closed and empty. */
bool queue_take(struct queue *queue, void *ret_item);
/* As queue_take(), for at most `ms`. False also when there was none in that time. */
bool queue_take_within(struct queue *queue, void *ret_item, uint64_t ms);
void queue_close(struct queue *queue);

#endif
