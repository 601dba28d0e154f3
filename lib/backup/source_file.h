/*
 * source_file - one regular file as a source.
 *
 * Its identity is device, inode, size and time of change of content, of what the path names. Every
 * read looks again: a file that was written to, replaced or removed meanwhile is
 * ERR_BACKUP_CHANGED. A directory, a pipe or a device is ERR_ARCHIVE_UNSUPPORTED.
 */
#ifndef RR_BACKUP_SOURCE_FILE_H
#define RR_BACKUP_SOURCE_FILE_H

#include "lib/base/error.h"
#include "lib/base/source.h"

/* `url` is shown to people. Caller: source_free(). ERR_BACKUP_NOT_FOUND, ERR_OBJECT_STORE_DENIED,
 * ERR_ARCHIVE_UNSUPPORTED, ERR_IO. */
enum errc source_file_open(const char *path, const char *url, struct source **ret_source,
                           struct error *err) RR_MUST_CHECK;

#endif
