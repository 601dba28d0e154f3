#include "lib/restore/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/arena.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t has_item, has_room;
    size_t item_size, capacity;
    size_t first, count;
    bool is_closed;
    char *items;
};

struct queue *queue_new(size_t item_size, size_t capacity)
{
    struct queue *queue = mem_alloc(sizeof *queue);
    queue->item_size = item_size;
    queue->capacity = capacity;
    queue->items = mem_alloc(item_size * capacity);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->has_item, &monotonic);
    pthread_cond_init(&queue->has_room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return queue;
}

void queue_free(struct queue *queue)
{
    if (queue == NULL)
        return;
    pthread_cond_destroy(&queue->has_item);
    pthread_cond_destroy(&queue->has_room);
    pthread_mutex_destroy(&queue->lock);
    free(queue->items);
    free(queue);
}

bool queue_put(struct queue *queue, const void *item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == queue->capacity && !queue->is_closed)
        pthread_cond_wait(&queue->has_room, &queue->lock);
    bool is_open = !queue->is_closed;
    if (is_open) {
        size_t last = (queue->first + queue->count++) % queue->capacity;
        memcpy(queue->items + last * queue->item_size, item, queue->item_size);
        pthread_cond_signal(&queue->has_item);
    }
    pthread_mutex_unlock(&queue->lock);
    return is_open;
}

/* With the lock held. */
static bool take_first(struct queue *queue, void *ret_item)
{
    if (queue->count == 0)
        return false;
    memcpy(ret_item, queue->items + queue->first * queue->item_size, queue->item_size);
    queue->first = (queue->first + 1) % queue->capacity;
    queue->count--;
    pthread_cond_signal(&queue->has_room);
    return true;
}

bool queue_take(struct queue *queue, void *ret_item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->is_closed)
        pthread_cond_wait(&queue->has_item, &queue->lock);
    bool is_taken = take_first(queue, ret_item);
    pthread_mutex_unlock(&queue->lock);
    return is_taken;
}

bool queue_take_within(struct queue *queue, void *ret_item, uint64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && !queue->is_closed)
        if (pthread_cond_timedwait(&queue->has_item, &queue->lock, &until) != 0)
            break;
    bool is_taken = take_first(queue, ret_item);
    pthread_mutex_unlock(&queue->lock);
    return is_taken;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->is_closed = true;
    pthread_cond_broadcast(&queue->has_item);
    pthread_cond_broadcast(&queue->has_room);
    pthread_mutex_unlock(&queue->lock);
}
