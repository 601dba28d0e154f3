/*
 * analyze - which relations of a freshly loaded database need ANALYZE, largest first.
 *
 * COPY and REFRESH leave no statistics behind, and autovacuum never analyzes partitioned tables.
 * Left out are foreign tables and whatever has foreign tables among its descendants, since sampling
 * those would reach out to other servers.
 */
#ifndef RR_RESTORE_ANALYZE_H
#define RR_RESTORE_ANALYZE_H

#include <stdint.h>

#include "lib/restore/session.h"

struct analyze_target {
    const char *sql; /* ANALYZE ... */
    uint64_t bytes;  /* on the server's disk */
};

/* Texts in the arena. */
enum errc analyze_list(struct session *session, struct arena *arena,
                       const struct analyze_target **ret_targets, size_t *ret_count,
                       struct error *err) RR_MUST_CHECK;

#endif
