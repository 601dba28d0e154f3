/*
 * lease_server - an API server that knows one Lease, for unit tests: compare-and-swap as the real
 * one does it, and trouble on request. And a clock that stands still until the test moves it.
 *
 * Include after cmocka.h.
 */
#ifndef RR_TESTS_LEASE_SERVER_H
#define RR_TESTS_LEASE_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/str.h"
#include "lib/codec/json.h"

/* ---- the clock ---- */

/* Sleeps of the thread that made it take no time and move the clock; those of others end when the
 * clock was moved far enough, or are cancelled. */
struct still_clock {
    struct clock base;
    _Atomic uint64_t now_ms;
    pthread_t owner;
};

static uint64_t still_boottime_ms(const struct clock *clock)
{
    return ((struct still_clock *)clock->context)->now_ms;
}

static int64_t still_wall_s(const struct clock *clock)
{
    return 1700000000 + (int64_t)(still_boottime_ms(clock) / 1000);
}

static void still_sleep_ms(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    struct still_clock *still = clock->context;
    uint64_t end = still->now_ms + ms;
    if (pthread_equal(pthread_self(), still->owner)) {
        still->now_ms += ms;
        usleep(2000);
    } else {
        while (still->now_ms < end && !cancel_is_requested(cancel))
            usleep(300);
    }
}

static inline void still_clock_init(struct still_clock *clock)
{
    clock->base = (struct clock){still_boottime_ms, still_wall_s, still_sleep_ms, clock};
    clock->now_ms = 1000000;
    clock->owner = pthread_self();
}

/* ---- the server ---- */

enum trouble {
    TROUBLE_NONE,
    TROUBLE_LOST_REQUEST, /* not done, no answer */
    TROUBLE_LOST_ANSWER,  /* done, no answer */
    TROUBLE_500,          /* done, answered 500 */
    TROUBLE_UNAVAILABLE,  /* not done, 503 */
    TROUBLE_FORBIDDEN,
    TROUBLE_STALL, /* neither done nor answered, until the server is stopped */
};

struct lease_server {
    pthread_mutex_t mutex;
    struct arena arena;
    int listener, fds[64];
    pthread_t thread, threads[64];
    size_t thread_count;
    char url[64];
    bool exists;
    bool says_created; /* 201 for every PUT */
    unsigned uid, version;
    const char *spec;   /* JSON */
    const char *labels; /* JSON; NULL: none */
    enum trouble put_trouble, get_trouble;
    unsigned trouble_times;
    void (*before)(struct lease_server *server, bool is_put); /* called with the mutex held */
    _Atomic unsigned gets, puts;
    char last_put[4096];
};

static inline void lease_server_set(struct lease_server *server, const char *spec)
{
    server->exists = true;
    server->uid = server->uid ? server->uid : 1;
    server->version++;
    server->spec = arena_strdup(&server->arena, spec);
}

/* As another process would write it. */
#define HELD_BY(holder, duration, renewed)                                                         \
    "{\"holderIdentity\":\"" holder "\",\"leaseDurationSeconds\":" #duration                       \
    ",\"acquireTime\":\"2024-01-01T00:00:00.000000Z\",\"renewTime\":\"" renewed                    \
    "\",\"leaseTransitions\":4}"

static inline void lease_server_reply(int fd, int status, const char *body)
{
    char text[8192];
    int length = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s",
                          status, strlen(body), body);
    (void)!send(fd, text, (size_t)length, MSG_NOSIGNAL);
}

static inline void lease_server_refuse(int fd, int status)
{
    char body[200];
    snprintf(body, sizeof body,
             "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"the "
             "test says so\",\"code\":%d}",
             status);
    lease_server_reply(fd, status, body);
}

static inline void lease_server_show(struct lease_server *server, int fd, int status)
{
    char body[4096];
    snprintf(body, sizeof body,
             "{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{\"name\":"
             "\"rr\",\"uid\":\"uid-%u\",\"resourceVersion\":\"%u\"%s%s},\"spec\":%s}",
             server->uid, server->version, server->labels ? ",\"labels\":" : "",
             server->labels ? server->labels : "", server->spec);
    lease_server_reply(fd, status, body);
}

/* Status of a PUT, done if it is a success (pkg/registry/coordination/lease/strategy.go). */
static inline int lease_server_put(struct lease_server *server, const char *body)
{
    JSON_GUARD struct json_document *document = NULL;
    struct error err = ERROR_INIT;
    if (json_parse(body, strlen(body), "body", &document, &err))
        return 400;
    const struct json *metadata = json_get(json_root(document), "metadata");
    const char *uid = json_get_text(metadata, "uid"),
               *version = json_get_text(metadata, "resourceVersion");
    char own_uid[20], own_version[20];
    snprintf(own_uid, sizeof own_uid, "uid-%u", server->uid);
    snprintf(own_version, sizeof own_version, "%u", server->version);
    bool existed = server->exists;
    if (uid && (!existed || strcmp(uid, own_uid) != 0))
        return 409;
    if (existed && !version)
        return 422;
    if (existed && strcmp(version, own_version) != 0)
        return 409;
    STR_GUARD struct str spec = STR_INIT(4096), labels = STR_INIT(4096);
    json_render(&spec, json_get(json_root(document), "spec"));
    if (json_get(metadata, "labels"))
        json_render(&labels, json_get(metadata, "labels"));
    if (!existed)
        server->uid++;
    lease_server_set(server, str_text(&spec));
    server->labels = labels.length ? arena_strdup(&server->arena, str_text(&labels)) : NULL;
    return existed && !server->says_created ? 200 : 201;
}

static inline bool lease_server_answer(struct lease_server *server, int fd, const char *request)
{
    bool is_put = strncmp(request, "PUT ", 4) == 0;
    const char *body = strstr(request, "\r\n\r\n") + 4;
    int status = 200;
    pthread_mutex_lock(&server->mutex);
    if (server->before)
        server->before(server, is_put);
    (void)(is_put ? server->puts++ : server->gets++);
    enum trouble *place = is_put ? &server->put_trouble : &server->get_trouble;
    enum trouble trouble = *place;
    if (trouble && server->trouble_times && --server->trouble_times == 0)
        *place = TROUBLE_NONE;
    if (is_put)
        snprintf(server->last_put, sizeof server->last_put, "%s", body);
    if (is_put &&
        (trouble == TROUBLE_NONE || trouble == TROUBLE_LOST_ANSWER || trouble == TROUBLE_500))
        status = lease_server_put(server, body);
    else if (!is_put && !server->exists)
        status = 404;
    bool is_lost = trouble == TROUBLE_LOST_ANSWER || trouble == TROUBLE_LOST_REQUEST;
    if (trouble == TROUBLE_500)
        lease_server_refuse(fd, 500);
    else if (trouble == TROUBLE_UNAVAILABLE)
        lease_server_refuse(fd, 503);
    else if (trouble == TROUBLE_FORBIDDEN)
        lease_server_refuse(fd, 403);
    else if (trouble == TROUBLE_NONE && status >= 300)
        lease_server_refuse(fd, status);
    else if (trouble == TROUBLE_NONE)
        lease_server_show(server, fd, status);
    pthread_mutex_unlock(&server->mutex);
    if (trouble == TROUBLE_STALL) {
        char byte;
        (void)!recv(fd, &byte, 1, 0);
        return false;
    }
    return !is_lost;
}

struct lease_server_connection {
    struct lease_server *server;
    int fd;
};

static void *lease_server_serve(void *argument)
{
    struct lease_server_connection *connection = argument;
    char *request = malloc(65536);
    size_t length = 0;
    request[0] = '\0';
    for (bool is_open = true; is_open;) {
        const char *end = strstr(request, "\r\n\r\n"),
                   *header = strstr(request, "Content-Length: ");
        size_t body = end && header && header < end ? strtoul(header + 16, NULL, 10) : 0;
        if (end && length >= (size_t)(end - request) + 4 + body) {
            is_open = lease_server_answer(connection->server, connection->fd, request);
            length = 0;
            request[0] = '\0';
            continue;
        }
        ssize_t n = recv(connection->fd, request + length, 65535 - length, 0);
        is_open = n > 0;
        length += is_open ? (size_t)n : 0;
        request[length] = '\0';
    }
    shutdown(connection->fd, SHUT_RDWR);
    free(request);
    free(connection);
    return NULL;
}

static void *lease_server_run(void *argument)
{
    struct lease_server *server = argument;
    for (;;) {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0 || server->thread_count == 64)
            return NULL;
        struct lease_server_connection *connection = malloc(sizeof *connection);
        *connection = (struct lease_server_connection){server, fd};
        server->fds[server->thread_count] = fd;
        pthread_create(&server->threads[server->thread_count++], NULL, lease_server_serve,
                       connection);
    }
}

static inline struct lease_server *lease_server_start(void)
{
    struct lease_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_mutex_init(&server->mutex, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(server->listener, 64), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&server->thread, NULL, lease_server_run, server), 0);
    return server;
}

static inline void lease_server_stop(struct lease_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (size_t i = 0; i < server->thread_count; i++) {
        shutdown(server->fds[i], SHUT_RDWR);
        pthread_join(server->threads[i], NULL);
        close(server->fds[i]);
    }
    pthread_mutex_destroy(&server->mutex);
    arena_release(&server->arena);
    free(server);
}

/* Changes made while a client is at work. */
static inline void lease_server_lock(struct lease_server *server)
{
    pthread_mutex_lock(&server->mutex);
}

static inline void lease_server_unlock(struct lease_server *server)
{
    pthread_mutex_unlock(&server->mutex);
}

#endif
