/*
 * config_file - a ConfigMap or a bare restore.yaml in a file, for commands that work offline.
 */
#ifndef RR_CLI_CONFIG_FILE_H
#define RR_CLI_CONFIG_FILE_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/state/store.h"

struct config_file {
    struct state_view view;     /* of a bare restore.yaml: only its text */
    const char *name;           /* metadata.name of the ConfigMap, NULL: none */
    const char *namespace_name; /* metadata.namespace, NULL: none */
};

/* "-" is standard input. Texts live in the arena. The values beside restore.yaml are checked too.
 * ERR_USAGE: cannot be read; ERR_CONFIG. */
enum errc config_file_read(struct arena *arena, const char *path, struct config_file *ret_file,
                           struct error *err) RR_MUST_CHECK;

#endif
