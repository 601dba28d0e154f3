/*
 * file - a small file read whole. Private to this room.
 */
#ifndef RR_KUBE_FILE_H
#define RR_KUBE_FILE_H

#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/secret.h"

/* Replaces `content` by what is in the file; it is wiped when it is released. ERR_NOT_FOUND: there
 * is no such file; ERR_IO, ERR_TOO_LARGE. Texts name `what` and the path. */
enum errc file_read(const char *path, const char *what, size_t limit, struct secret *content,
                    struct error *err) RR_MUST_CHECK;

#endif
