#include "lib/backup/store.h"

static enum errc not_yet(struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED, "locations that begin with s3:// are not supported yet");
}

static enum errc list(const struct store_listing *listing, struct error *err)
{
    (void)listing;
    return not_yet(err);
}

static enum errc open_source(const struct location *object, const struct cancel *cancel,
                             struct source **ret_source, struct error *err)
{
    (void)object, (void)cancel, (void)ret_source;
    return not_yet(err);
}

static enum errc fetch_small(const struct location *object, const struct cancel *cancel,
                             struct str *ret_text, bool *ret_is_there, struct error *err)
{
    (void)object, (void)cancel, (void)ret_text, (void)ret_is_there;
    return not_yet(err);
}

const struct store_ops store_s3 = {.list = list, .open = open_source, .fetch_small = fetch_small};
