/* A folder of files that a test makes and throws away. */
#ifndef RR_TESTS_FOLDER_H
#define RR_TESTS_FOLDER_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[64];
    char url[80];
};

static inline void folder_make(struct folder *folder)
{
    snprintf(folder->path, sizeof folder->path, "/tmp/rr-backup-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->url, sizeof folder->url, "file://%s", folder->path);
}

/* "/tmp/.../name"; the text lives until the next call. */
static inline const char *folder_path(const struct folder *folder, const char *name)
{
    static char path[4096 + 64];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    return path;
}

/* Writes the file, and the sub-folders of its name. */
static inline void folder_write(const struct folder *folder, const char *name, const void *bytes,
                                size_t length)
{
    char path[4096 + 64];
    snprintf(path, sizeof path, "%s", folder_path(folder, name));
    for (char *slash = strchr(path + strlen(folder->path) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static inline void folder_write_text(const struct folder *folder, const char *name,
                                     const char *text)
{
    folder_write(folder, name, text, strlen(text));
}

static inline void folder_remove(const struct folder *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
    assert_int_equal(system(command), 0);
}

#endif
