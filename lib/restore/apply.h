/*
 * apply - carries out one entry of the archive on a session.
 *
 * ERR_LOAD names the entry, the server's message and the statement. What is wrong with the archive,
 * the network or the server's health keeps its own code.
 */
#ifndef RR_RESTORE_APPLY_H
#define RR_RESTORE_APPLY_H

#include "lib/restore/order.h"
#include "lib/restore/session.h"

struct applied {
    enum skip skip; /* SKIP_NONE: done; else it turned out that there is nothing to do */
    uint64_t rows;  /* that the server stored by COPY */
};

enum errc apply_entry(struct session *session, const struct order_item *item,
                      struct applied *ret_applied, struct error *err) RR_MUST_CHECK;

#endif
