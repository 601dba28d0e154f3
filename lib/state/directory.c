#include "lib/state/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/json.h"
#include "lib/codec/yaml.h"
#include "lib/net/digest.h"
#include "lib/state/statefile.h"

/* A holder of the database lock that was silent for longer is dead; live ones ping every 5 s. */
enum { SILENT_HOLDER_S = 60 };

struct directory {
    struct store base;
    struct arena arena; /* names that live as long as the store */
    int fd;             /* of the folder; holds the lock */
    bool is_locked;
    const char *state_file, *applied_file, *journal_file;
};

static struct directory *directory_of(struct store *store)
{
    return (struct directory *)store;
}

static void close_guard(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define FD_GUARD __attribute__((cleanup(close_guard)))

/* Reads a regular file of at most `limit` bytes. *ret_is_found = false when there is none. */
static enum errc read_file(struct directory *dir, const char *name, size_t limit,
                           struct str *ret_text, bool *ret_is_found, struct error *err)
{
    *ret_is_found = false;
    FD_GUARD int fd = openat(dir->fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return RR_OK;
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(err, ERR_STORE, errno, "cannot read '%s/%s'", dir->base.place, name);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_STORE, "'%s/%s' is no regular file", dir->base.place, name);
    *ret_text = STR_INIT(limit);
    for (char piece[8192];;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, ERR_STORE, errno, "cannot read '%s/%s'", dir->base.place,
                                   name);
        if (n == 0)
            break;
        str_append_bytes(ret_text, piece, (size_t)n);
        if (ret_text->is_cut)
            return error_set(err, ERR_CONFIG, "'%s/%s' is larger than %zu bytes", dir->base.place,
                             name, limit);
    }
    *ret_is_found = true;
    return RR_OK;
}

static enum errc write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ERR_STORE;
        bytes += n;
        length -= (size_t)n;
    }
    return RR_OK;
}

/* Durable replacement: after a crash there is the whole old file or the whole new one. */
static enum errc replace_file(struct directory *dir, const char *name, const struct str *text,
                              struct error *err)
{
    char temporary[PATH_MAX];
    snprintf(temporary, sizeof temporary, ".%s.new", name);
    FD_GUARD int fd =
        openat(dir->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        goto failed;
    if (write_all(fd, str_text(text), text->length) || fsync(fd) < 0)
        goto failed;
    int closing = fd;
    fd = -1;
    if (close(closing) < 0 || renameat(dir->fd, temporary, dir->fd, name) < 0 || fsync(dir->fd) < 0)
        goto failed;
    return RR_OK;
failed:
    error_set_errno(err, ERR_STORE, errno, "cannot write '%s/%s'", dir->base.place, name);
    return error_hint(err, "the folder must be writable, and its disk not full");
}

/* lastAppliedTimestamp as we wrote it. The file is ours, but lies where people edit. */
static enum errc read_applied(struct directory *dir, struct arena *arena, const char **ret_applied,
                              bool *ret_is_found, struct error *err)
{
    STR_GUARD struct str text = STR_INIT(0);
    enum errc code =
        read_file(dir, dir->applied_file, LIMIT_STATE_FILE_BYTES, &text, ret_is_found, err);
    if (code || !*ret_is_found)
        return code;
    struct state_view view = {0};
    code = statefile_parse(arena, str_text(&text), text.length, dir->applied_file, &view, err);
    if (code) {
        error_hint(err, "'%s' is written by restore-reconciler; delete it and it is written again",
                   dir->applied_file);
        return code;
    }
    *ret_applied = view.applied;
    return RR_OK;
}

static enum errc directory_read(struct store *store, struct arena *arena,
                                struct state_view *ret_view, struct error *err)
{
    struct directory *dir = directory_of(store);
    STR_GUARD struct str text = STR_INIT(0);
    bool is_found;
    enum errc code = read_file(dir, dir->state_file, LIMIT_STATE_FILE_BYTES, &text, &is_found, err);
    if (code)
        return code;
    if (!is_found) {
        error_set(err, ERR_STATE_MISSING, "'%s/%s' does not exist", dir->base.place,
                  dir->state_file);
        return error_hint(err,
                          "write it as the README shows, or give --state-dir and --name of the one "
                          "that exists");
    }
    struct state_view view = {0};
    code = statefile_parse(arena, arena_strndup(arena, str_text(&text), text.length), text.length,
                           dir->state_file, &view, err);
    if (code)
        return code;
    view.applied_manager = dir->state_file;
    const char *applied = NULL;
    if ((code = read_applied(dir, arena, &applied, &is_found, err)))
        return code;
    if (is_found) {
        view.applied = applied;
        view.applied_manager = dir->applied_file;
    }
    *ret_view = view;
    return RR_OK;
}

static enum errc directory_publish(struct store *store, const char *expected, const char *applied,
                                   struct error *err)
{
    struct directory *dir = directory_of(store);
    ARENA_GUARD struct arena arena = {0};
    struct state_view now = {0};
    enum errc code = directory_read(store, &arena, &now, err);
    if (code)
        return code;
    if (!text_equal(expected, now.applied))
        return error_set(err, ERR_CONFLICT,
                         "lastAppliedTimestamp was changed by somebody else meanwhile");
    STR_GUARD struct str text = STR_INIT(LIMIT_STATE_FILE_BYTES);
    str_append(&text, "# written by restore-reconciler; keep it out of Git\n"
                      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ");
    str_append_json(&text, dir->base.name);
    str_append(&text, "\ndata:\n  lastAppliedTimestamp: ");
    str_append_json(&text, applied);
    str_append_char(&text, '\n');
    return replace_file(dir, dir->applied_file, &text, err);
}

static enum errc not_ours(struct directory *dir, const char *what, struct error *err)
{
    error_set(err, ERR_JOURNAL_CORRUPT, "'%s/%s' %s", dir->base.place, dir->journal_file, what);
    return error_hint(
        err, "move it aside: the record in the database decides then, and nothing is restored "
             "twice");
}

static enum errc take_journal(struct directory *dir, struct arena *arena, const struct json *root,
                              struct journal_data *ret_journal, struct error *err)
{
    int64_t version;
    const struct json *data = json_get(root, "data");
    if (!json_int(json_get(root, "version"), &version) || version < 0 || !json_is_object(data))
        return not_ours(dir, "is not a journal of restore-reconciler", err);
    size_t count = 0;
    for (const struct json *item = json_first(data); item; item = json_next(item))
        count++;
    struct journal_data journal = {
        .names = arena_array(arena, count, sizeof *journal.names),
        .values = arena_array(arena, count, sizeof *journal.values),
        .exists = true,
        .version = (uint64_t)version,
    };
    for (const struct json *item = json_first(data); item; item = json_next(item)) {
        if (!json_text(item))
            return not_ours(dir, "holds a value that is no string", err);
        journal.names[journal.count] = arena_strdup(arena, json_name(item));
        journal.values[journal.count++] = arena_strdup(arena, json_text(item));
    }
    *ret_journal = journal;
    return RR_OK;
}

static enum errc directory_journal_read(struct store *store, struct arena *arena,
                                        struct journal_data *ret_journal, struct error *err)
{
    struct directory *dir = directory_of(store);
    STR_GUARD struct str text = STR_INIT(0);
    bool is_found;
    enum errc code = read_file(dir, dir->journal_file, LIMIT_JOURNAL_BYTES, &text, &is_found, err);
    if (code)
        return code == ERR_CONFIG ? error_recode(err, ERR_JOURNAL_CORRUPT) : code;
    if (!is_found) {
        *ret_journal = (struct journal_data){0};
        return RR_OK;
    }
    JSON_GUARD struct json_document *document = NULL;
    if (json_parse(str_text(&text), text.length, dir->journal_file, &document, err)) {
        error_recode(err, ERR_JOURNAL_CORRUPT);
        return error_hint(err,
                          "move it aside: the record in the database decides then, and nothing is "
                          "restored twice");
    }
    return take_journal(dir, arena, json_root(document), ret_journal, err);
}

static enum errc directory_journal_write(struct store *store, struct journal_data *journal,
                                         struct error *err)
{
    struct directory *dir = directory_of(store);
    ARENA_GUARD struct arena arena = {0};
    struct journal_data now;
    enum errc code = directory_journal_read(store, &arena, &now, err);
    if (code)
        return code;
    if (now.exists != journal->exists || now.version != journal->version)
        return error_set(err, ERR_CONFLICT, "the journal was written by another run meanwhile");
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES);
    str_printf(&text, "{\n  \"version\": %llu,\n  \"data\": {",
               (unsigned long long)journal->version + 1);
    for (size_t i = 0; i < journal->count; i++) {
        str_append(&text, i ? ",\n    " : "\n    ");
        str_append_json(&text, journal->names[i]);
        str_append(&text, ": ");
        str_append_json(&text, journal->values[i]);
    }
    str_append(&text, "\n  }\n}\n");
    if ((code = str_check(&text, "the journal", err)) ||
        (code = replace_file(dir, dir->journal_file, &text, err)))
        return code;
    journal->version++;
    journal->exists = true;
    return RR_OK;
}

static enum errc directory_lock(struct store *store, bool *ret_is_held, struct error *err)
{
    struct directory *dir = directory_of(store);
    if (!dir->is_locked && flock(dir->fd, LOCK_EX | LOCK_NB) == 0)
        dir->is_locked = true;
    else if (!dir->is_locked && errno != EWOULDBLOCK) {
        error_set_errno(err, ERR_STORE, errno, "cannot lock '%s'", dir->base.place);
        return error_hint(err, "the folder must be on a file system with flock(2), not on NFS");
    }
    *ret_is_held = dir->is_locked;
    return RR_OK;
}

static void directory_close(struct store *store)
{
    struct directory *dir = directory_of(store);
    if (dir->fd >= 0)
        close(dir->fd);
    arena_release(&dir->arena);
    free(dir);
}

/* Machine id and real path: another machine, or another folder of this one, is another state. */
static const char *make_ref(struct arena *arena, const char *real_path)
{
    char id[64] = "";
    FILE *file = fopen("/etc/machine-id", "re");
    if (file) {
        if (fscanf(file, "%63[0-9a-f]", id) != 1)
            id[0] = '\0';
        fclose(file);
    }
    const char *text = arena_printf(arena, "%s %s", id[0] ? id : "no-machine-id", real_path);
    char hex[SHA256_HEX_SIZE];
    sha256_hex(text, strlen(text), hex);
    return arena_printf(arena, "dir-%.24s", hex);
}

static bool is_plain_name(const char *name)
{
    return name[0] && name[0] != '.' && strlen(name) <= 200 && !strchr(name, '/');
}

enum errc directory_open(const char *path, const char *name, struct store **ret_store,
                         struct error *err)
{
    static const struct store_ops ops = {
        .read = directory_read,
        .publish = directory_publish,
        .journal_read = directory_journal_read,
        .journal_write = directory_journal_write,
        .lock = directory_lock,
        .close = directory_close,
    };
    if (!is_plain_name(name))
        return error_set(err, ERR_USAGE,
                         "--name must be a plain name without '/', not longer than 200 bytes");
    FD_GUARD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        enum errc code = errno == ENOENT || errno == ENOTDIR ? ERR_STATE_MISSING : ERR_STORE;
        error_set_errno(err, code, errno, "cannot open the state directory '%s'", path);
        return error_hint(err, "--state-dir names the folder that holds %s.yaml", name);
    }
    char real[PATH_MAX];
    if (!realpath(path, real))
        return error_set_errno(err, ERR_STORE, errno, "cannot resolve '%s'", path);
    struct directory *dir = mem_alloc(sizeof *dir);
    dir->base = (struct store){
        .ops = &ops,
        .name = arena_strdup(&dir->arena, name),
        .place = arena_strdup(&dir->arena, path),
        .ref = make_ref(&dir->arena, arena_printf(&dir->arena, "%s/%s", real, name)),
        .silent_holder_s = SILENT_HOLDER_S,
    };
    dir->state_file = arena_printf(&dir->arena, "%s.yaml", name);
    dir->applied_file = arena_printf(&dir->arena, "%s.applied.yaml", name);
    dir->journal_file = arena_printf(&dir->arena, "%s.journal.json", name);
    dir->fd = fd;
    fd = -1;
    *ret_store = &dir->base;
    return RR_OK;
}
