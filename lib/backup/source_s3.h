/*
 * source_s3 - one object of an S3 store as a source, or all objects of a folder as the parts of
 * one.
 *
 * The identity of an object is its ETag at the time it was opened (of a folder: listed). Every read
 * asks for its range under the condition that the object still has it (If-Match), and looks at
 * ETag, size and range of each answer: a store that ignores conditions or ranges is noticed. A
 * connection that breaks costs only the bytes not yet there.
 */
#ifndef RR_BACKUP_SOURCE_S3_H
#define RR_BACKUP_SOURCE_S3_H

#include "lib/backup/s3.h"
#include "lib/base/error.h"
#include "lib/base/source.h"

/* Caller: source_free(). `options` are for opening and for all readers, whose cancel is their own;
 * clock and policy must outlive the source. ERR_BACKUP_NOT_FOUND and what s3_report() and s3_open()
 * say. */
enum errc source_s3_open(const struct s3_options *options, const struct location *object,
                         struct source **ret_source, struct error *err) RR_MUST_CHECK;

/* The same for all objects directly below the folder `location`, whose path ends with a slash. One
 * listing, no request for each. ERR_BACKUP_NOT_FOUND when there are none. */
enum errc source_s3_open_folder(const struct s3_options *options, const struct location *location,
                                struct source **ret_source, struct error *err) RR_MUST_CHECK;

#endif
