#include "lib/cli/flags.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/str.h"

void flags_add(struct flags *flags, const struct flag *table)
{
    for (; table->name && flags->count < FLAGS_MAX; table++)
        flags->table[flags->count++] = table;
}

static size_t index_of(const struct flags *flags, const char *name)
{
    size_t i = 0;
    while (i < flags->count && strcmp(flags->table[i]->name, name) != 0)
        i++;
    return i;
}

static enum errc unknown_flag(const struct flags *flags, const char *word, struct error *err)
{
    const char *known[FLAGS_MAX + 1] = {0};
    for (size_t i = 0; i < flags->count; i++)
        known[i] = flags->table[i]->name;
    STR_GUARD struct str shown = STR_INIT(200);
    str_append_quoted(&shown, word, 60);
    error_set(err, ERR_USAGE, "unknown or incomplete flag %s", str_text(&shown));
    const char *near = text_nearest(word + strspn(word, "-"), known);
    return near ? error_hint(err, "did you mean '--%s'? --help lists the flags", near)
                : error_hint(err, "--help lists the flags");
}

static enum errc take_environment(struct flags *flags, struct arena *arena, struct error *err)
{
    for (size_t i = 0; i < flags->count; i++) {
        char *name = arena_printf(arena, "RESTORE_RECONCILER_%s", flags->table[i]->name);
        for (char *p = name; *p; p++)
            *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        const char *value = getenv(name);
        if (!value || !value[0] || flags->given[i])
            continue;
        if (flags->table[i]->value) {
            flags->given[i] = value;
            continue;
        }
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            return error_set(err, ERR_USAGE, "environment variable '%s' must be 'true' or 'false'",
                             name);
        if (strcmp(value, "true") == 0)
            flags->given[i] = "true";
    }
    return RR_OK;
}

enum errc flags_parse(struct flags *flags, struct arena *arena, int argc, char **argv,
                      struct error *err)
{
    enum { HELP = 1000 };
    struct option options[FLAGS_MAX + 2] = {0};
    STR_GUARD struct str letters = STR_INIT(4 * FLAGS_MAX);
    str_append(&letters, ":h");
    for (size_t i = 0; i < flags->count; i++) {
        const struct flag *flag = flags->table[i];
        options[i] = (struct option){flag->name, flag->value ? required_argument : no_argument,
                                     NULL, (int)i};
        if (flag->letter)
            str_printf(&letters, "%c%s", flag->letter, flag->value ? ":" : "");
    }
    options[flags->count] = (struct option){"help", no_argument, NULL, HELP};
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, str_text(&letters), options, NULL)) != -1;) {
        if (c == HELP || c == 'h') {
            flags->wants_help = true;
            return RR_OK;
        }
        if (c == '?' || c == ':')
            return unknown_flag(flags, argv[optind - 1], err);
        size_t i = (size_t)c;
        for (size_t k = 0; c >= (int)flags->count && k < flags->count; k++)
            if (flags->table[k]->letter == c)
                i = k;
        if (flags->given[i] && !flags->table[i]->is_repeatable)
            return error_set(err, ERR_USAGE, "flag '--%s' is given twice", flags->table[i]->name);
        flags->given[i] = flags->table[i]->value ? optarg : "true";
    }
    flags->arguments = argv + optind;
    flags->argument_count = (size_t)(argc - optind);
    return take_environment(flags, arena, err);
}

const char *flags_get(const struct flags *flags, const char *name)
{
    size_t i = index_of(flags, name);
    if (i == flags->count)
        return NULL;
    return flags->given[i] ? flags->given[i] : flags->table[i]->fallback;
}

bool flags_is_set(const struct flags *flags, const char *name)
{
    return flags_get(flags, name) != NULL;
}

enum errc flags_get_count(const struct flags *flags, const char *name, uint64_t max,
                          uint64_t *ret_value, struct error *err)
{
    const char *text = flags_get(flags, name);
    if (text_to_u64(text, max, ret_value))
        return RR_OK;
    return error_set(err, ERR_USAGE, "'--%s' must be a whole number from 0 to %llu", name,
                     (unsigned long long)max);
}

void flags_print(const struct flags *flags)
{
    for (size_t i = 0; i < flags->count; i++) {
        const struct flag *flag = flags->table[i];
        char left[80];
        snprintf(left, sizeof left, "%c%c%c --%s%s%s", flag->letter ? '-' : ' ',
                 flag->letter ? flag->letter : ' ', flag->letter ? ',' : ' ', flag->name,
                 flag->value ? " " : "", flag->value ? flag->value : "");
        printf("  %-30s %s", left, flag->help);
        printf(flag->fallback ? " (default: %s)\n" : "\n", flag->fallback);
    }
    printf("  %-30s %s\n", "-h, --help", "this text");
}
