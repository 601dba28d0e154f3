/*
 * client - a client of the Kubernetes API that talks to a scripted peer (tests/unit/net/peer.h), in
 * namespace "shop", with quick retries. Include peer.c as well.
 */
#ifndef RR_TESTS_KUBE_CLIENT_H
#define RR_TESTS_KUBE_CLIENT_H

#include <stdio.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/kube/kube.h"
#include "tests/unit/net/peer.h"

struct client {
    struct quick_clock clock;
    struct cancel cancel;
    struct kubeconfig config;
    struct kube_options options;
    struct kube *kube;
    struct kube_answer answer;
    struct error err;
};

static const struct kube_resource configmaps = {"", "v1", "configmaps", false};

/* Fields of c->config and c->options may be changed before client_start(). */
static inline void client_init(struct client *c, const struct peer *peer)
{
    *c = (struct client){
        .config = {.origin = "the test's own", .server = peer_url(peer), .namespace_name = "shop"}};
    quick_clock_init(&c->clock);
    c->options =
        (struct kube_options){.config = &c->config, .clock = &c->clock.base, .cancel = &c->cancel};
}

static inline void client_start(struct client *c)
{
    if (kube_open(&c->options, &c->kube, &c->err))
        fail_msg("%s", c->err.text);
}

static inline void client_open(struct client *c, const struct peer *peer)
{
    client_init(c, peer);
    client_start(c);
}

/* ConfigMap "m". */
static inline enum errc client_send(struct client *c, enum kube_verb verb)
{
    const struct kube_request request = {
        .verb = verb, .resource = &configmaps, .name = "m", .body = verb == KUBE_GET ? NULL : "{}"};
    kube_answer_release(&c->answer);
    error_clear(&c->err);
    return kube_send(c->kube, &request, &c->answer, &c->err);
}

static inline void client_close(struct client *c)
{
    kube_answer_release(&c->answer);
    kube_close(c->kube);
}

/* Whether a text holds all of a list separated by '\1'; NULL: anything. */
static inline bool holds(const char *text, const char *list)
{
    char part[1024];
    while (list && *list) {
        size_t length = strcspn(list, "\1");
        snprintf(part, sizeof part, "%.*s", (int)length, list);
        if (!strstr(text, part))
            return false;
        list += length + (list[length] == '\1');
    }
    return true;
}

#endif
