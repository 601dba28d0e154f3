#include "lib/state/store.h"

enum errc store_read(struct store *store, struct arena *arena, struct state_view *ret_view,
                     struct error *err)
{
    return store->ops->read(store, arena, ret_view, err);
}

enum errc store_publish(struct store *store, const char *expected, const char *applied,
                        struct error *err)
{
    return store->ops->publish(store, expected, applied, err);
}

enum errc store_journal_read(struct store *store, struct arena *arena,
                             struct journal_data *ret_journal, struct error *err)
{
    return store->ops->journal_read(store, arena, ret_journal, err);
}

enum errc store_journal_write(struct store *store, struct journal_data *journal, struct error *err)
{
    return store->ops->journal_write(store, journal, err);
}

enum errc store_lock(struct store *store, bool *ret_is_held, struct error *err)
{
    return store->ops->lock(store, ret_is_held, err);
}

enum errc store_check_lock(struct store *store, uint64_t need_ms, struct error *err)
{
    return store->ops->check_lock ? store->ops->check_lock(store, need_ms, err) : RR_OK;
}

void store_set_deaf(struct store *store, bool is_deaf)
{
    if (store->ops->set_deaf)
        store->ops->set_deaf(store, is_deaf);
}

void store_tell(struct store *store, const struct store_news *news)
{
    if (store->ops->tell)
        store->ops->tell(store, news);
}

void store_close(struct store *store)
{
    if (store)
        store->ops->close(store);
}

void store_guard(struct store **store)
{
    store_close(*store);
}
