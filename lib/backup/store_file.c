/*
 * Backups in a folder of files. Sub-folders are looked into only where the name pattern could
 * match, and so only as deep as it has slashes; what is not a regular file is skipped. Where
 * backups are folders themselves, those as deep as the pattern has slashes are told and files are
 * skipped.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/backup/source_file.h"
#include "lib/backup/source_files.h"
#include "lib/backup/store.h"
#include "lib/base/cancel.h"
#include "lib/base/limits.h"

static void closedir_guard(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}
#define DIR_GUARD __attribute__((cleanup(closedir_guard)))

static void fd_guard(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define FD_GUARD __attribute__((cleanup(fd_guard)))

/* One listing under way. */
struct walk {
    const struct store_listing *listing;
    size_t seen; /* entries, of any kind */
};

static enum errc walk_folder(struct walk *walk, int parent_fd, const char *relative,
                             struct error *err);

static enum errc report_folder(const struct location *folder, const char *relative, int sys_errno,
                               struct error *err)
{
    const char *url = folder->url, *slash = *relative && !text_has_suffix(url, "/") ? "/" : "";
    switch (sys_errno) {
    case ENOENT:
        error_set(err, ERR_LOCATION_MISSING, "there is no folder '%s%s%s'", url, slash, relative);
        return error_hint(
            err, "check backups.location; the folder must be on the machine that this runs on");
    case ENOTDIR:
        error_set(err, ERR_LOCATION_MISSING, "'%s%s%s' is not a folder", url, slash, relative);
        return error_hint(err, "backups.location is the folder that holds the backups");
    case EACCES:
    case EPERM:
        error_set_errno(err, ERR_OBJECT_STORE_DENIED, sys_errno, "cannot list '%s%s%s'", url, slash,
                        relative);
        return error_hint(err, "uid %lu needs permission to read the folder and to enter it",
                          (unsigned long)geteuid());
    default:
        return error_set_errno(err, ERR_IO, sys_errno, "cannot list '%s%s%s'", url, slash,
                               relative);
    }
}

/* Whether the shorter of the two begins the other. */
static bool is_on_the_way(const char *name, const char *prefix)
{
    size_t a = strlen(name), b = strlen(prefix);
    return strncmp(name, prefix, a < b ? a : b) == 0;
}

static size_t count_slashes(const struct str *name)
{
    size_t count = 0;
    for (size_t i = 0; i < name->length; i++)
        count += name->data[i] == '/';
    return count;
}

static enum errc tell(const struct store_listing *listing, const struct str *name,
                      uint64_t size_bytes, struct error *err)
{
    if (name->is_cut || !text_has_prefix(str_text(name), listing->prefix))
        return RR_OK;
    const struct store_object object = {
        .name = str_text(name), .size_bytes = size_bytes, .etag = ""};
    return listing->found(listing->context, &object, err);
}

static enum errc visit(struct walk *walk, int folder_fd, const char *relative, const char *entry,
                       struct error *err)
{
    const struct store_listing *listing = walk->listing;
    STR_GUARD struct str name = STR_INIT(LIMIT_FILE_PATH_BYTES);
    str_printf(&name, "%s%s", relative, entry);
    if (name.is_cut || !is_on_the_way(str_text(&name), listing->prefix))
        return RR_OK;
    struct stat st;
    if (fstatat(folder_fd, entry, &st, 0))
        return RR_OK; /* gone meanwhile, or a link that leads nowhere: not a backup */
    if (S_ISREG(st.st_mode) && !listing->pattern->is_folder)
        return tell(listing, &name, (uint64_t)st.st_size, err);
    if (!S_ISDIR(st.st_mode))
        return RR_OK;
    str_append_char(&name, '/');
    if (listing->pattern->is_folder && count_slashes(&name) == listing->pattern->folder_count)
        return tell(listing, &name, 0, err);
    if (name.is_cut || !pattern_match_folder(listing->pattern, str_text(&name)))
        return RR_OK;
    return walk_folder(walk, folder_fd, str_text(&name), err);
}

static enum errc check_bounds(struct walk *walk, struct error *err)
{
    if (++walk->seen > LIMIT_LIST_OBJECTS)
        return error_set(err, ERR_TOO_LARGE, "'%s' holds more than %zu files",
                         walk->listing->folder->url, LIMIT_LIST_OBJECTS);
    return cancel_check(walk->listing->cancel, err);
}

/* `relative` is below the listed folder, "" or with a slash at its end. */
static enum errc walk_folder(struct walk *walk, int parent_fd, const char *relative,
                             struct error *err)
{
    const struct location *folder = walk->listing->folder;
    size_t length = strlen(relative);
    STR_GUARD struct str last = STR_INIT(LIMIT_FILE_PATH_BYTES);
    if (length == 0) {
        str_append(&last, folder->path);
    } else {
        const char *slash = memrchr(relative, '/', length - 1);
        str_append(&last, slash ? slash + 1 : relative);
    }
    FD_GUARD int fd = openat(parent_fd, str_text(&last), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return length && errno == ENOENT ? RR_OK : report_folder(folder, relative, errno, err);
    DIR_GUARD DIR *dir = fdopendir(fd);
    if (!dir)
        return report_folder(folder, relative, errno, err);
    int folder_fd = fd;
    fd = -1; /* the DIR closes it */
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? report_folder(folder, relative, errno, err) : RR_OK;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (check_bounds(walk, err) || visit(walk, folder_fd, relative, entry->d_name, err))
            return err->code;
    }
}

static enum errc list(const struct store_listing *listing, struct error *err)
{
    struct walk walk = {.listing = listing};
    return walk_folder(&walk, AT_FDCWD, "", err);
}

static enum errc open_source(const struct location *object, const struct cancel *cancel,
                             struct source **ret_source, struct error *err)
{
    struct stat st;
    bool is_folder =
        location_is_folder(object) || (stat(object->path, &st) == 0 && S_ISDIR(st.st_mode));
    return is_folder ? source_files_open(object, cancel, ret_source, err)
                     : source_file_open(object->path, object->url, ret_source, err);
}

static enum errc fetch_small(const struct location *object, const struct cancel *cancel,
                             struct str *ret_text, bool *ret_is_there, struct error *err)
{
    SOURCE_GUARD struct source *source = NULL;
    if (source_file_open(object->path, object->url, &source, err)) {
        if (err->code != ERR_BACKUP_NOT_FOUND)
            return err->code;
        error_clear(err);
        *ret_is_there = false;
        return RR_OK;
    }
    SOURCE_READER_GUARD struct source_reader *reader = NULL;
    if (source_reader_open(source, cancel, &reader, err))
        return err->code;
    if (source->size_bytes > ret_text->limit)
        return error_set(err, ERR_TOO_LARGE, "'%s' is longer than %zu bytes", object->url,
                         ret_text->limit);
    size_t length = (size_t)source->size_bytes;
    char *text = mem_alloc(length);
    enum errc code = source_read(reader, 0, text, length, err);
    if (code == RR_OK) {
        str_append_bytes(ret_text, text, length);
        *ret_is_there = true;
    }
    free(text);
    return code;
}

const struct store_ops store_file = {
    .list = list,
    .open = open_source,
    .fetch_small = fetch_small,
};
