/*
 * s3_checksum - the checksum that an S3 store keeps with an object; private to this room.
 *
 * A value of the whole object, or of a multipart upload the digest of its parts' digests ("...-N"):
 * then the store is asked for the sizes of the parts.
 */
#ifndef RR_BACKUP_S3_CHECKSUM_H
#define RR_BACKUP_S3_CHECKSUM_H

#include "lib/backup/catalog.h"
#include "lib/backup/location.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

struct cancel;

/* Leaves *ret_checksum alone when the store keeps none, or none that could be computed again. */
enum errc s3_stored_checksum(const struct location *object, const struct cancel *cancel,
                             struct arena *arena, struct backup_checksum *ret_checksum,
                             struct error *err) RR_MUST_CHECK;

#endif
