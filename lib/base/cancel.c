#include "lib/base/cancel.h"

#include <stddef.h>

void cancel_request(struct cancel *cancel)
{
    atomic_store(&cancel->is_requested, true);
}

bool cancel_is_requested(const struct cancel *cancel)
{
    for (; cancel; cancel = cancel->parent)
        if (atomic_load(&cancel->is_requested))
            return true;
    return false;
}

enum errc cancel_check(const struct cancel *cancel, struct error *err)
{
    if (!cancel_is_requested(cancel))
        return RR_OK;
    return error_set(err, ERR_CANCELLED, "interrupted");
}
