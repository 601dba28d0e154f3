/*
 * blobs - large objects: creating them, their grants, and their bytes.
 *
 * Archives up to 1.15 have a BLOB entry for each; 1.16 has groups of up to 1000 with one owner and
 * one set of grants (BLOB METADATA), and one BLOBS entry with the bytes of each group. Statements
 * for many objects go to the server in strings of bounded size.
 */
#ifndef RR_RESTORE_BLOBS_H
#define RR_RESTORE_BLOBS_H

#include "lib/restore/session.h"

/* BLOB and BLOB METADATA: creates the objects and gives them to their owner. */
enum errc blobs_create(struct session *session, const struct entry *entry,
                       struct error *err) RR_MUST_CHECK;
/* ACL tagged LARGE OBJECTS: the grants of one object, for each of the group it depends on. */
enum errc blobs_grant(struct session *session, const struct entry *entry,
                      struct error *err) RR_MUST_CHECK;
/* BLOBS: the bytes, in transactions of bounded size. */
enum errc blobs_load(struct session *session, const struct entry *entry,
                     struct error *err) RR_MUST_CHECK;

#endif
