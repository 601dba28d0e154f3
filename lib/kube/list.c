/*
 * Lists come in pages. A page that is over the limit of one answer is asked for again with fewer
 * items: how long an item is, only the server knows.
 */
#include <string.h>

#include "lib/base/limits.h"
#include "lib/kube/kube_internal.h"
#include "lib/net/url.h"

enum { PAGE_ITEMS = 500, PAGE_SHRINK = 5 };

struct listing {
    struct kube *kube;
    const struct kube_resource *resource;
    const char *label_selector;
    struct str token; /* where the next page begins, "" for the first */
    unsigned page_items;
    size_t page_count, item_count;
};

static enum errc ask_page(const struct listing *listing, struct kube_answer *ret_answer,
                          bool *ret_is_too_large, struct error *err)
{
    STR_GUARD struct str query = STR_INIT(KUBE_URL_BYTES);
    str_printf(&query, "limit=%u", listing->page_items);
    if (listing->label_selector) {
        str_append(&query, "&labelSelector=");
        url_encode(&query, listing->label_selector, false);
    }
    if (listing->token.length) {
        str_append(&query, "&continue=");
        url_encode(&query, str_text(&listing->token), false);
    }
    struct kube_request request = {
        .verb = KUBE_GET, .resource = listing->resource, .query = str_text(&query)};
    if (str_check(&query, "the query of a list", err))
        return err->code;
    return kube_ask(listing->kube, &request, true, ret_answer, ret_is_too_large, err);
}

static enum errc get_page(struct listing *listing, struct kube_answer *ret_answer,
                          struct error *err)
{
    for (;;) {
        bool is_too_large = false;
        if (!ask_page(listing, ret_answer, &is_too_large, err))
            return RR_OK;
        if (!is_too_large || listing->page_items == 1)
            return err->code;
        error_clear(err);
        listing->page_items =
            listing->page_items > PAGE_SHRINK ? listing->page_items / PAGE_SHRINK : 1;
    }
}

/* A server that goes in circles must not keep us for ever. */
static enum errc check_bounds(struct listing *listing, struct error *err)
{
    if (++listing->page_count > LIMIT_LIST_PAGES || listing->item_count > LIMIT_KUBE_LIST_ITEMS)
        return error_set(err, ERR_API, "the list of %s does not end after %zu pages, %zu items",
                         listing->resource->plural, listing->page_count - 1, listing->item_count);
    return RR_OK;
}

static enum errc take_page(struct listing *listing, const struct json *root,
                           enum errc (*take)(void *context, const struct json *item,
                                             struct error *err),
                           void *context, struct error *err)
{
    for (const struct json *item = json_first(json_get(root, "items")); item;
         item = json_next(item)) {
        if (!json_is_object(item))
            return error_set(err, ERR_API, "an item in the list of %s is no object",
                             listing->resource->plural);
        listing->item_count++;
        if (take(context, item, err))
            return err->code;
    }
    const char *token = json_get_text(json_get(root, "metadata"), "continue");
    str_clear(&listing->token);
    str_append(&listing->token, token ? token : "");
    return str_check(&listing->token, "the continue token of a list", err);
}

enum errc kube_list(struct kube *kube, const struct kube_resource *resource,
                    const char *label_selector,
                    enum errc (*take)(void *context, const struct json *item, struct error *err),
                    void *context, struct error *err)
{
    struct listing listing = {
        .kube = kube,
        .resource = resource,
        .label_selector = label_selector,
        .token = STR_INIT(KUBE_URL_BYTES / 2),
        .page_items = PAGE_ITEMS,
    };
    do {
        KUBE_ANSWER_GUARD struct kube_answer page = {0};
        if (check_bounds(&listing, err) || get_page(&listing, &page, err) ||
            take_page(&listing, json_root(page.document), take, context, err))
            break;
    } while (listing.token.length);
    str_release(&listing.token);
    return err->code;
}
