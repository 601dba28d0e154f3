/*
 * flags - command lines: one table of flags per command, getopt_long(3) for the parsing.
 *
 * Every flag has an environment variable RESTORE_RECONCILER_<FLAG> (upper case, '-' as '_'); the
 * command line wins.
 */
#ifndef RR_CLI_FLAGS_H
#define RR_CLI_FLAGS_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct flag {
    const char *name;  /* "state-dir" */
    char letter;       /* short form, 0: none */
    const char *value; /* what to call its value in the help, NULL: takes none */
    const char *help;
    const char *fallback; /* default value, NULL: none */
    bool is_repeatable;   /* may be given more than once */
};

enum { FLAGS_MAX = 40 };

struct flags {
    const struct flag *table[FLAGS_MAX];
    const char *given[FLAGS_MAX]; /* value, "true" for a flag without one, NULL: not given */
    size_t count;
    char **arguments; /* what is no flag */
    size_t argument_count;
    bool wants_help;
};

/* Adds a table that ends with name NULL. */
void flags_add(struct flags *flags, const struct flag *table);
/* Parses argv[1]...; then the environment fills what was not given. ERR_USAGE names the word and
 * the nearest known one. */
enum errc flags_parse(struct flags *flags, struct arena *arena, int argc, char **argv,
                      struct error *err) RR_MUST_CHECK;
/* Value, default, or NULL. The name must be in the table. */
const char *flags_get(const struct flags *flags, const char *name);
bool flags_is_set(const struct flags *flags, const char *name);
/* Number from 0 to `max`. ERR_USAGE. */
enum errc flags_get_count(const struct flags *flags, const char *name, uint64_t max,
                          uint64_t *ret_value, struct error *err) RR_MUST_CHECK;
/* The list of flags for --help, to standard output. */
void flags_print(const struct flags *flags);

#endif
