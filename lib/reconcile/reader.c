#include "lib/reconcile/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/rfc3339.h"

enum {
    OBJECT_NAME_MAX_BYTES = 253, /* Kubernetes: a DNS subdomain */
    SHOWN_BYTES = 60,
};

struct spec_place reader_place(const struct yaml_node *node)
{
    return (struct spec_place){.line = node->line, .column = node->column};
}

static void add_finding(struct reader *r, const char *text, const char *hint)
{
    if (r->findings.total++ < SPEC_FINDINGS_MAX)
        r->findings.items[r->findings.count++] = (struct spec_finding){
            .text = arena_strdup(r->arena, text), .hint = arena_strdup(r->arena, hint)};
}

void reader_report(struct reader *r, struct spec_place place, const char *hint, const char *fmt,
                   ...)
{
    char text[ERROR_TEXT_SIZE];
    int used =
        snprintf(text, sizeof text, "%.200s:%u:%u: ", r->text_name, place.line, place.column);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + used, sizeof text - (size_t)used, fmt, ap);
    va_end(ap);
    add_finding(r, text, hint);
}

void reader_add(struct reader *r, const struct error *err)
{
    add_finding(r, err->text, err->hint);
}

const char *reader_quote(struct reader *r, const char *text)
{
    STR_GUARD struct str s = STR_INIT(SHOWN_BYTES * 6);
    str_append_quoted(&s, text, SHOWN_BYTES);
    return arena_strdup(r->arena, str_text(&s));
}

/* ", did you mean 'x'?" or "". */
static const char *suggestion(struct reader *r, const char *word, const char *const known[])
{
    const char *nearest = text_nearest(word, known);
    return nearest ? arena_printf(r->arena, ", did you mean '%s'?", nearest) : "";
}

static const char *word_list(struct reader *r, const char *before, const char *const words[])
{
    STR_GUARD struct str s = STR_INIT(ERROR_HINT_SIZE);
    str_append(&s, before);
    for (size_t i = 0; words[i]; i++)
        str_printf(&s, "%s%s", i ? ", " : "", words[i]);
    return arena_strdup(r->arena, str_text(&s));
}

enum errc reader_error(const struct reader *r, enum errc code, struct error *err)
{
    const struct spec_finding *first = &r->findings.items[0];
    if (r->findings.total > 1)
        error_set(err, code, "%.900s (and %zu more)", first->text, r->findings.total - 1);
    else
        error_set(err, code, "%s", first->text);
    return first->hint[0] ? error_hint(err, "%s", first->hint) : code;
}

/* Whether YAML means a truth value, a number or nothing by it: then it is no text. */
static bool is_other_type(const struct yaml_node *node)
{
    bool flag;
    int64_t number;
    return yaml_as_bool(node, &flag) || yaml_as_int(node, &number);
}

const char *reader_text(struct reader *r, const char *word, const struct yaml_node *node)
{
    if (node->kind != YAML_SCALAR)
        reader_report(r, reader_place(node), "", "'%s' must be a text", word);
    else if (yaml_is_null(node) || node->length == 0)
        reader_report(r, reader_place(node), "", "'%s' is empty", word);
    else if (is_other_type(node))
        reader_report(r, reader_place(node), "put it in quotes if it is meant as a text",
                      "'%s' must be a text, not a number or truth value", word);
    else
        return node->text;
    return NULL;
}

static void read_bool(struct reader *r, const char *word, const struct yaml_node *node,
                      bool *ret_value)
{
    if (!yaml_as_bool(node, ret_value))
        reader_report(r, reader_place(node), "write it without quotes",
                      "'%s' must be true or false", word);
}

static void read_count(struct reader *r, const char *word, const struct yaml_node *node,
                       unsigned max, unsigned *ret_value)
{
    int64_t value;
    if (!yaml_as_int(node, &value))
        reader_report(r, reader_place(node), "write it in digits, without quotes",
                      "'%s' must be a number", word);
    else if (value < 1 || value > max)
        reader_report(r, reader_place(node), "", "'%s' must be 1 to %u", word, max);
    else
        *ret_value = (unsigned)value;
}

static void read_choice(struct reader *r, const struct reader_field *field,
                        const struct yaml_node *node, unsigned *ret_value)
{
    const char *text = reader_text(r, field->word, node);
    if (!text)
        return;
    for (unsigned i = 0; field->choices[i]; i++) {
        if (strcmp(text, field->choices[i]) == 0) {
            *ret_value = i;
            return;
        }
    }
    reader_report(r, reader_place(node), word_list(r, "it is one of: ", field->choices),
                  "'%s' cannot be %s%s", field->word, reader_quote(r, text),
                  suggestion(r, text, field->choices));
}

static void read_duration(struct reader *r, const char *word, const struct yaml_node *node,
                          uint64_t *ret_seconds)
{
    int64_t number;
    if (yaml_as_int(node, &number)) {
        reader_report(r, reader_place(node), "write it as 90s, 30m, 24h, 7d or 1h30m",
                      "'%s' must be a duration: the unit is missing", word);
        return;
    }
    const char *text = reader_text(r, word, node);
    struct error err = ERROR_INIT;
    if (text && duration_parse(text, ret_seconds, &err))
        reader_report(r, reader_place(node), err.hint, "'%s': %s", word, err.text);
}

static void read_database(struct reader *r, const char *word, const struct yaml_node *node,
                          const char **ret_name)
{
    const char *name = reader_text(r, word, node);
    if (name && strlen(name) > LIMIT_DATABASE_NAME_BYTES)
        reader_report(r, reader_place(node), "PostgreSQL's names have at most 63 bytes",
                      "'%s' is a name of %zu bytes", word, strlen(name));
    else if (name && (strcmp(name, "template0") == 0 || strcmp(name, "template1") == 0))
        reader_report(r, reader_place(node), "", "'%s' cannot be '%s': the server needs it", word,
                      name);
    else if (name)
        *ret_name = name;
}

static const char *read_object_name(struct reader *r, const char *word,
                                    const struct yaml_node *node)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    const char *name = reader_text(r, word, node);
    if (!name)
        return NULL;
    size_t length = strlen(name);
    bool is_name = length <= OBJECT_NAME_MAX_BYTES && strchr(letters, name[0]) &&
                   strchr(letters, name[length - 1]);
    for (size_t i = 0; i < length && is_name; i++)
        is_name = strchr(letters, name[i]) || name[i] == '-' || name[i] == '.';
    if (is_name)
        return name;
    reader_report(r, reader_place(node), "names have lower-case letters, digits, '-' and '.'",
                  "'%s': %s is no name of a Kubernetes object", word, reader_quote(r, name));
    return NULL;
}

bool reader_is_list(struct reader *r, const char *word, const struct yaml_node *node)
{
    if (yaml_is_null(node))
        return false;
    if (node->kind != YAML_SEQUENCE) {
        reader_report(r, reader_place(node), "begin every entry with '- '", "'%s' must be a list",
                      word);
        return false;
    }
    if (node->count > LIMIT_STEPS) {
        reader_report(r, reader_place(node), "", "'%s' has %zu entries, more than %zu", word,
                      node->count, LIMIT_STEPS);
        return false;
    }
    return node->count > 0;
}

static void read_object_names(struct reader *r, const char *word, const struct yaml_node *node,
                              struct spec_names *ret_names)
{
    if (!reader_is_list(r, word, node))
        return;
    ret_names->items = arena_array(r->arena, node->count, sizeof *ret_names->items);
    for (size_t i = 0; i < node->count; i++) {
        const char *name = read_object_name(r, word, node->items[i]);
        if (name)
            ret_names->items[ret_names->count++] = name;
    }
}

static const struct reader_field *find_field(const struct reader_field fields[], size_t count,
                                             const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].word, word) == 0)
            return &fields[i];
    return NULL;
}

static void report_unknown_key(struct reader *r, const struct yaml_node *key,
                               const struct reader_field fields[], size_t count, const char *where)
{
    const char *known[READER_FIELDS_MAX + 1] = {NULL};
    for (size_t i = 0; i < count; i++)
        known[i] = fields[i].word;
    reader_report(r, reader_place(key), word_list(r, "known keys: ", known), "unknown key %s%s%s",
                  reader_quote(r, key->text), where, suggestion(r, key->text, known));
}

bool reader_is_mapping(struct reader *r, const char *word, const struct yaml_node *node)
{
    if (node->kind == YAML_MAPPING)
        return true;
    reader_report(r, reader_place(node), "", "'%s' must be a mapping of keys to values", word);
    return false;
}

static void read_field(struct reader *r, const struct reader_field *field,
                       const struct yaml_node *node, void *target)
{
    void *at = (char *)target + field->offset;
    const char *word = field->word, *text;
    switch (field->type) {
    case READER_OWN:
        field->read(r, field, node, target);
        break;
    case READER_TEXT:
        text = reader_text(r, word, node);
        if (text)
            *(const char **)at = text;
        break;
    case READER_BOOL:
        read_bool(r, word, node, at);
        break;
    case READER_COUNT:
        read_count(r, word, node, field->max, at);
        break;
    case READER_CHOICE: /* an enumeration without negative values is stored as unsigned */
        read_choice(r, field, node, at);
        break;
    case READER_DURATION:
        read_duration(r, word, node, at);
        break;
    case READER_DATABASE:
        read_database(r, word, node, at);
        break;
    case READER_OBJECT_NAMES:
        read_object_names(r, word, node, at);
        break;
    }
}

void reader_mapping(struct reader *r, const struct yaml_node *node,
                    const struct reader_field fields[], size_t count, const char *where,
                    void *target)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_node *key = node->keys[i];
        const struct reader_field *field = find_field(fields, count, key->text);
        if (field)
            read_field(r, field, node->items[i], target);
        else
            report_unknown_key(r, key, fields, count, where);
    }
}
