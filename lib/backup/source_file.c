#include "lib/backup/source_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/cancel.h"
#include "lib/base/limits.h"

struct file_identity {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
};

struct file_source {
    struct source base;
    char *path;
    int fd; /* shared by all readers: pread() has no position */
    struct file_identity identity;
};

struct file_reader {
    struct source_reader base;
    const struct cancel *cancel;
};

static struct file_identity identity_of(const struct stat *st)
{
    return (struct file_identity){st->st_dev, st->st_ino, st->st_size, st->st_mtim};
}

static bool is_same(const struct file_identity *a, const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec;
}

static enum errc report_changed(const struct file_source *source, const char *how,
                                struct error *err)
{
    error_set(err, ERR_BACKUP_CHANGED, "'%s' was %s while it was being read", source->base.name,
              how);
    return error_hint(err,
                      "write backups under another name and rename them when they are complete, "
                      "and do not touch them afterwards");
}

/* After the bytes were read: what was read before a change is not to be used. The path is asked,
 * not the open file: it tells of another file in this one's place, and of this one all the same. */
static enum errc check_unchanged(const struct file_source *source, struct error *err)
{
    struct stat st;
    if (stat(source->path, &st)) {
        if (errno == ENOENT || errno == ENOTDIR)
            return report_changed(source, "removed", err);
        return error_set_errno(err, ERR_IO, errno, "cannot look at '%s'", source->base.name);
    }
    struct file_identity now = identity_of(&st);
    if (is_same(&now, &source->identity))
        return RR_OK;
    bool is_other = now.device != source->identity.device || now.inode != source->identity.inode;
    return report_changed(source, is_other ? "replaced" : "written to", err);
}

static enum errc file_read(struct source_reader *base, uint64_t offset, void *buffer, size_t length,
                           struct error *err)
{
    struct file_reader *reader = (struct file_reader *)base;
    const struct file_source *source = (const struct file_source *)base->source;
    for (size_t done = 0; done < length;) {
        if (cancel_check(reader->cancel, err))
            return err->code;
        size_t piece = length - done < LIMIT_READ_BYTES ? length - done : LIMIT_READ_BYTES;
        ssize_t n = pread(source->fd, (char *)buffer + done, piece, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ESTALE)
            return report_changed(source, "removed on its file server", err);
        if (n < 0)
            return error_set_errno(err, ERR_IO, errno, "cannot read '%s'", base->source->name);
        if (n == 0)
            return report_changed(source, "made shorter", err);
        done += (size_t)n;
    }
    return check_unchanged(source, err);
}

static enum errc file_reader_open(const struct source *source, const struct cancel *cancel,
                                  struct source_reader **ret_reader, struct error *err)
{
    if (check_unchanged((const struct file_source *)source, err))
        return err->code;
    struct file_reader *reader = mem_alloc(sizeof *reader);
    reader->base.source = source;
    reader->cancel = cancel;
    *ret_reader = &reader->base;
    return RR_OK;
}

static void file_reader_close(struct source_reader *reader)
{
    free(reader);
}

static void file_source_free(struct source *base)
{
    struct file_source *source = (struct file_source *)base;
    close(source->fd);
    free(source->path);
    free(source);
}

static enum errc refuse_kind(const char *url, mode_t mode, struct error *err)
{
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "'%s' is a %s, not a file", url,
              S_ISDIR(mode)    ? "folder"
              : S_ISFIFO(mode) ? "pipe"
                               : "device or socket");
    return error_hint(err, S_ISDIR(mode) ? "a file is meant here"
                                         : "archives are read at many places, which needs a file");
}

static enum errc report_open(const char *url, int sys_errno, struct error *err)
{
    switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
        return error_set(err, ERR_BACKUP_NOT_FOUND, "there is no file '%s'", url);
    case EACCES:
    case EPERM:
        error_set_errno(err, ERR_OBJECT_STORE_DENIED, sys_errno, "cannot open '%s'", url);
        return error_hint(err,
                          "uid %lu needs read permission on the file and on the folders above it",
                          (unsigned long)geteuid());
    default:
        return error_set_errno(err, ERR_IO, sys_errno, "cannot open '%s'", url);
    }
}

enum errc source_file_open(const char *path, const char *url, struct source **ret_source,
                           struct error *err)
{
    static const struct source_ops ops = {file_reader_open, file_read, file_reader_close,
                                          file_source_free};
    struct stat st;
    /* O_NONBLOCK: opening a pipe must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return report_open(url, errno, err);
    if (fstat(fd, &st)) {
        int sys_errno = errno;
        close(fd);
        return error_set_errno(err, ERR_IO, sys_errno, "cannot look at '%s'", url);
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return refuse_kind(url, st.st_mode, err);
    }
    char identity[128];
    snprintf(identity, sizeof identity, "dev %lx inode %lu size %lld modified %lld.%09ld",
             (unsigned long)st.st_dev, (unsigned long)st.st_ino, (long long)st.st_size,
             (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    struct file_source *source = mem_alloc(sizeof *source);
    source->base = (struct source){
        .ops = &ops,
        .size_bytes = (uint64_t)st.st_size,
        .name = mem_strdup(url),
        .identity = mem_strdup(identity),
    };
    source->path = mem_strdup(path);
    source->fd = fd;
    source->identity = identity_of(&st);
    *ret_source = &source->base;
    return RR_OK;
}
