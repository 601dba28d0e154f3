/*
 * source_files - all files in a folder as the parts of one source.
 *
 * Each file is a source_file of its own, looked at once when the folder is opened and opened when
 * it is read: a file that is not the same any more is ERR_BACKUP_CHANGED. Files that come later are
 * no part.
 */
#ifndef RR_BACKUP_SOURCE_FILES_H
#define RR_BACKUP_SOURCE_FILES_H

#include "lib/backup/location.h"
#include "lib/base/error.h"
#include "lib/base/source.h"

struct cancel;

/* Caller: source_free(). ERR_BACKUP_NOT_FOUND (also when the folder `location` is empty),
 * ERR_OBJECT_STORE_DENIED, ERR_IO. */
enum errc source_files_open(const struct location *location, const struct cancel *cancel,
                            struct source **ret_source, struct error *err) RR_MUST_CHECK;

#endif
