/*
 * tar - the members of an archive in tar format; private to this room.
 *
 * As PostgreSQL's src/bin/pg_dump/pg_backup_tar.c and src/port/tar.c write it: a header of 512
 * bytes, then the content, padded to 512; two blocks of zeros at the end. Sizes are octal, or from
 * 8 GiB on base 256. Only regular files occur, and no name is as long as its field. Anything else
 * is refused: a tar that tar(1) made of an archive in directory format is not this format.
 */
#ifndef RR_ARCHIVE_TAR_H
#define RR_ARCHIVE_TAR_H

#include "lib/archive/input.h"
#include "lib/archive/members.h"
#include "lib/base/arena.h"
#include "lib/base/error.h"

enum { TAR_BLOCK_BYTES = 512 };

/* Whether the header of a tar begins at the position, which is left as it is. */
enum errc tar_is_tar(struct input *in, bool *ret_is_tar, struct error *err) RR_MUST_CHECK;

/* Reads all headers from the position up to the end of the input. Contents are skipped, in the
 * window or by the next request. Every byte of the tar belongs to a member, to padding or to its
 * end, which must be there: ERR_ARCHIVE_CORRUPT. */
enum errc tar_read_members(struct input *in, struct arena *arena, struct members *members,
                           struct error *err) RR_MUST_CHECK;

#endif
