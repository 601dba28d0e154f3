/*
 * reader - strict reading of a YAML tree that a person wrote, with findings instead of a first
 * error.
 *
 * A function that finds something wrong reports it, with line and column, and leaves its target as
 * it was, so that reading can go on and one look at the findings is enough to repair the text. Used
 * by spec.c and spec_steps.c only. The YAML tree lives in the reader's arena, and so do texts and
 * findings.
 */
#ifndef RR_RECONCILE_READER_H
#define RR_RECONCILE_READER_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/codec/yaml.h"
#include "lib/reconcile/spec.h"

struct reader {
    struct arena *arena;
    const char *text_name;
    struct spec_findings findings;
};

/* Notes what is wrong at `place`; `hint` may be "". */
void reader_report(struct reader *r, struct spec_place place, const char *hint, const char *fmt,
                   ...) RR_PRINTF(4, 5);
/* Notes an error whose text begins with its place. */
void reader_add(struct reader *r, const struct error *err);
/* The error for the findings (there is at least one): the first, and how many more. */
enum errc reader_error(const struct reader *r, enum errc code, struct error *err);

struct spec_place reader_place(const struct yaml_node *node);
/* The text between quotes, escaped and cut, in the arena. */
const char *reader_quote(struct reader *r, const char *text);

/* A text that is not empty; NULL after a finding. Plain numbers and truth values are no texts.
 * `word` names the value in findings, here and below. */
const char *reader_text(struct reader *r, const char *word, const struct yaml_node *node);
/*
 * Whether it is a list with at least one entry and at most LIMIT_STEPS; an empty one is no finding.
 */
bool reader_is_list(struct reader *r, const char *word, const struct yaml_node *node);
bool reader_is_mapping(struct reader *r, const char *word, const struct yaml_node *node);

enum reader_type {
    READER_OWN,          /* as `read` does it */
    READER_TEXT,         /* const char *: not empty */
    READER_BOOL,         /* bool */
    READER_COUNT,        /* unsigned: 1 to `max` */
    READER_CHOICE,       /* an enumeration: the index in `choices`, which ends with NULL */
    READER_DURATION,     /* uint64_t, seconds */
    READER_DATABASE,     /* const char *: a name that a database can have */
    READER_OBJECT_NAMES, /* struct spec_names: names that Kubernetes objects can have */
};

/* One key of a mapping and where its value goes: `offset` bytes into the target. */
struct reader_field {
    const char *word;
    enum reader_type type;
    size_t offset;
    unsigned max;
    const char *const *choices;
    void (*read)(struct reader *r, const struct reader_field *field, const struct yaml_node *node,
                 void *target);
};

enum { READER_FIELDS_MAX = 32 };

/* Reads every key of the mapping by its field; an unknown key is a finding with the nearest known
 * word. `where` is " in 'backups'" or "". At most READER_FIELDS_MAX fields. */
void reader_mapping(struct reader *r, const struct yaml_node *node,
                    const struct reader_field fields[], size_t count, const char *where,
                    void *target);

#endif
