#include "lib/kube/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/str.h"

enum { SHOWN_BYTES = 300 };

static void close_fd(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static enum errc fail(enum errc code, int sys_errno, const char *what, const char *path,
                      struct error *err)
{
    STR_GUARD struct str quoted = STR_INIT(8 * SHOWN_BYTES);
    str_append_quoted(&quoted, path, SHOWN_BYTES);
    return error_set_errno(err, code, sys_errno, "%s %s cannot be read", what, str_text(&quoted));
}

/* Fills the buffer or stops at the end of the file; -1 with errno. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, buffer + length, size - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return (ssize_t)length;
}

enum errc file_read(const char *path, const char *what, size_t limit, struct secret *content,
                    struct error *err)
{
    /* Not blocking: a pipe that nobody writes to must not hold us up. */
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO, errno, what, path,
                    err);
    char *buffer = mem_alloc(limit + 1);
    ssize_t length = read_all(fd, buffer, limit + 1);
    if (length < 0)
        fail(ERR_IO, errno, what, path, err);
    else if ((size_t)length > limit)
        fail(ERR_TOO_LARGE, EFBIG, what, path, err);
    else
        secret_set(content, buffer, (size_t)length);
    explicit_bzero(buffer, limit + 1);
    free(buffer);
    return err->code;
}
