/*
 * data - the rows of one table, from the archive into the server.
 *
 * As COPY: the end marker of the archive is the proof that nothing is missing, and the server must
 * report as many rows as were sent. As INSERT statements (pg_dump --inserts): all in one
 * transaction.
 */
#ifndef RR_RESTORE_DATA_H
#define RR_RESTORE_DATA_H

#include "lib/restore/order.h"
#include "lib/restore/session.h"

/* Loads a TABLE DATA entry. A large table that the archive itself creates is truncated and copied
 * WITH (FREEZE) in one transaction, so that no later VACUUM has to write it again. */
enum errc data_load(struct session *session, const struct order_item *item, uint64_t *ret_rows,
                    struct error *err) RR_MUST_CHECK;

#endif
