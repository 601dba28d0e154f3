#include "lib/cli/termination.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"

/* kubelet: pkg/kubelet/container/runtime.go MaxContainerTerminationMessageLength. */
enum { TERMINATION_BYTES = 4096 };
#define KUBELET_FILE "/dev/termination-log"

static void complain(const char *path, int sys_errno)
{
    struct error err = ERROR_INIT;
    error_set_errno(&err, ERR_IO, sys_errno, "the termination message cannot be written");
    log_warn(err.text, LOG_TEXT("file", path));
}

void termination_write(const char *path, const struct outcome *outcome)
{
    STR_GUARD struct str line = STR_INIT(LIMIT_STATE_FILE_BYTES);
    int flags = O_WRONLY | O_TRUNC | O_CLOEXEC | (path ? O_CREAT : 0);
    if (!path && !getenv("KUBERNETES_SERVICE_HOST"))
        return;
    int fd = open(path ? path : KUBELET_FILE, flags, 0644);
    if (fd < 0 && !path && errno == ENOENT)
        return;
    path = path ? path : KUBELET_FILE;
    if (fd < 0) {
        complain(path, errno);
        return;
    }
    outcome_render_within(outcome, TERMINATION_BYTES, &line);
    ssize_t written = write(fd, str_text(&line), line.length);
    if (written != (ssize_t)line.length)
        complain(path, written < 0 ? errno : ENOSPC);
    close(fd);
}
