#include "lib/codec/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

/*
 * libyaml hands out events: scalar, start and end of a sequence or mapping. The builder keeps the
 * collections that are open on a stack of its own (no recursion), and a collection's items in a
 * list that grows in the arena.
 */

/* A collection that is being read. In a mapping every second node is a value. */
struct open_collection {
    struct yaml_node *node;
    struct yaml_node **items, **keys;
    size_t capacity;
    struct yaml_node *pending_key; /* read; its value comes next */
};

struct builder {
    struct arena *arena;
    const char *bytes;
    size_t length;
    const char *what;
    unsigned first_line;
    struct yaml_node *root;
    size_t node_count, depth;
    struct open_collection open[LIMIT_YAML_DEPTH];
};

enum { SHOWN_BYTES = 60 };

static enum errc refuse_at(const struct builder *b, size_t line, size_t column, const char *problem,
                           struct error *err)
{
    return error_set(err, ERR_CONFIG, "%s:%zu:%zu: %s", b->what, line + 1 + b->first_line,
                     column + 1, problem);
}

static enum errc refuse(const struct builder *b, yaml_mark_t mark, const char *problem,
                        struct error *err)
{
    return refuse_at(b, mark.line, mark.column, problem, err);
}

/* What libyaml says, in words for somebody who has never read the YAML specification. */
static const struct {
    const char *original, *friendly, *hint;
} problems[] = {
    {"found character that cannot start any token", "a value cannot begin with this character",
     "put the value in quotes"},
    {"could not find expected ':'", "a ':' is missing after a key",
     "write 'key: value', or put a value of several words in quotes"},
    {"mapping values are not allowed in this context", "a ':' makes no sense here",
     "put a value that holds ': ' in quotes, and begin every key on a line of its own"},
    {"did not find expected key", "this line fits no mapping above it",
     "begin all keys of one mapping in the same column"},
    {"did not find expected '-' indicator", "this line fits no list above it",
     "begin all entries of one list with '- ' in the same column"},
    {"block sequence entries are not allowed in this context", "a list cannot begin here",
     "begin a list on a line of its own, below its key"},
    {"found unexpected end of stream", "a quoted text has no end", "add the closing quote"},
    {"found a tab character where an indentation space is expected",
     "a tab stands where blanks should", "indent with blanks"},
    {"found a tab character that violates indentation", "a tab stands where blanks should",
     "indent with blanks"},
    {"did not find expected ',' or ']'", "a list in brackets has no end or lacks a ','", NULL},
    {"did not find expected ',' or '}'", "a mapping in braces has no end or lacks a ','", NULL},
    {"found unknown escape character", "unknown escape in a text between double quotes",
     "write \\\\ for a backslash, or use single quotes"},
    {"did not find expected <document start>", "there is text after the end of the document", NULL},
    {"exceeded maximum nesting level", "nested too deeply", NULL},
};

static bool is_tab_at(const struct builder *b, size_t index)
{
    return index < b->length && b->bytes[index] == '\t';
}

/* The reader finds bytes that are no text before there are lines and columns: count them. */
static enum errc refuse_bytes(const struct builder *b, const yaml_parser_t *parser,
                              struct error *err)
{
    size_t line = 0, column = 0;
    for (size_t i = 0; i < parser->problem_offset && i < b->length; i++) {
        if (b->bytes[i] == '\n') {
            line++;
            column = 0;
        } else if (((unsigned char)b->bytes[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    bool is_control = strcmp(parser->problem, "control characters are not allowed") == 0;
    return refuse_at(b, line, column, is_control ? "control character" : "invalid UTF-8", err);
}

static enum errc refuse_syntax(const struct builder *b, const yaml_parser_t *parser,
                               struct error *err)
{
    if (parser->error == YAML_MEMORY_ERROR)
        mem_die(b->length);
    if (parser->error == YAML_READER_ERROR)
        return refuse_bytes(b, parser, err);
    yaml_mark_t mark = parser->problem_mark;
    if (is_tab_at(b, mark.index)) {
        refuse(b, mark, "a tab stands where blanks should", err);
        return error_hint(err, "indent with blanks");
    }
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        if (strcmp(parser->problem, problems[i].original) != 0)
            continue;
        refuse(b, mark, problems[i].friendly, err);
        return problems[i].hint ? error_hint(err, "%s", problems[i].hint) : err->code;
    }
    return refuse(b, mark, parser->problem, err);
}

/* A tag may say what the node is anyway. Only !!str on a plain scalar changes something. */
static enum errc check_tag(const struct builder *b, const yaml_event_t *event, const char *tag,
                           enum yaml_kind kind, struct error *err)
{
    static const char *const scalar_tags[] = {YAML_STR_TAG, YAML_INT_TAG, YAML_BOOL_TAG,
                                              YAML_NULL_TAG, YAML_FLOAT_TAG};
    if (!tag)
        return RR_OK;
    if ((kind == YAML_SEQUENCE && strcmp(tag, YAML_SEQ_TAG) == 0) ||
        (kind == YAML_MAPPING && strcmp(tag, YAML_MAP_TAG) == 0))
        return RR_OK;
    for (size_t i = 0; kind == YAML_SCALAR && i < sizeof scalar_tags / sizeof *scalar_tags; i++)
        if (strcmp(tag, scalar_tags[i]) == 0)
            return RR_OK;
    refuse(b, event->start_mark, "tags are not allowed", err);
    return error_hint(err, "leave out the word that begins with '!'");
}

static enum errc check_anchor(const struct builder *b, const yaml_event_t *event,
                              const yaml_char_t *anchor, struct error *err)
{
    if (!anchor)
        return RR_OK;
    refuse(b, event->start_mark, "anchors, aliases and merge keys are not allowed", err);
    return error_hint(err, "write the value out; in quotes if it begins with '&' or '*'");
}

static enum errc refuse_repeated_key(const struct builder *b, const yaml_event_t *event,
                                     const struct yaml_node *key, unsigned first_line,
                                     struct error *err)
{
    STR_GUARD struct str problem = STR_INIT(SHOWN_BYTES * 6 + 80);
    str_append(&problem, "key ");
    str_append_quoted(&problem, key->text, SHOWN_BYTES);
    str_printf(&problem, " stands twice in one mapping, first in line %u", first_line);
    return refuse(b, event->start_mark, str_text(&problem), err);
}

static enum errc check_key(const struct builder *b, const yaml_event_t *event,
                           const struct open_collection *in, const struct yaml_node *key,
                           struct error *err)
{
    if (key->kind != YAML_SCALAR)
        return refuse(b, event->start_mark, "a key must be a word, not a list or a mapping", err);
    if (key->is_plain && strcmp(key->text, "<<") == 0)
        return check_anchor(b, event, (const yaml_char_t *)"<<", err);
    for (size_t i = 0; i < in->node->count; i++)
        if (strcmp(in->keys[i]->text, key->text) == 0)
            return refuse_repeated_key(b, event, key, in->keys[i]->line, err);
    return RR_OK;
}

/* An array of pointers in the arena, twice as large. What is left behind is bounded by the same
 * size. */
static struct yaml_node **grown(struct arena *arena, struct yaml_node **old, size_t count,
                                size_t capacity)
{
    struct yaml_node **larger = arena_array(arena, capacity, sizeof(struct yaml_node *));
    if (count)
        memcpy(larger, old, count * sizeof(struct yaml_node *));
    return larger;
}

static void add_item(struct arena *arena, struct open_collection *in, struct yaml_node *item)
{
    struct yaml_node *node = in->node;
    if (node->count == in->capacity) {
        in->capacity = in->capacity ? in->capacity * 2 : 8;
        in->items = grown(arena, in->items, node->count, in->capacity);
        if (node->kind == YAML_MAPPING)
            in->keys = grown(arena, in->keys, node->count, in->capacity);
    }
    in->items[node->count] = item;
    if (node->kind == YAML_MAPPING)
        in->keys[node->count] = in->pending_key;
    in->pending_key = NULL;
    node->count++;
    node->items = in->items;
    node->keys = in->keys;
}

/* Puts a node where it belongs: root, item, key or value. */
static enum errc attach(struct builder *b, const yaml_event_t *event, struct yaml_node *node,
                        struct error *err)
{
    if (b->depth == 0) {
        b->root = node;
        return RR_OK;
    }
    struct open_collection *in = &b->open[b->depth - 1];
    if (in->node->kind == YAML_MAPPING && !in->pending_key) {
        enum errc code = check_key(b, event, in, node, err);
        if (!code)
            in->pending_key = node;
        return code;
    }
    add_item(b->arena, in, node);
    return RR_OK;
}

static enum errc new_node(struct builder *b, const yaml_event_t *event, enum yaml_kind kind,
                          struct yaml_node **ret_node, struct error *err)
{
    if (++b->node_count > LIMIT_YAML_NODES)
        return refuse(b, event->start_mark, "there are too many values", err);
    struct yaml_node *node = arena_alloc(b->arena, sizeof *node);
    node->kind = kind;
    node->line = (unsigned)event->start_mark.line + 1 + b->first_line;
    node->column = (unsigned)event->start_mark.column + 1;
    *ret_node = node;
    return RR_OK;
}

static enum errc add_scalar(struct builder *b, const yaml_event_t *event, struct error *err)
{
    const char *tag = (const char *)event->data.scalar.tag;
    const char *value = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct yaml_node *node = NULL;
    enum errc code = check_anchor(b, event, event->data.scalar.anchor, err);
    if (!code)
        code = check_tag(b, event, tag, YAML_SCALAR, err);
    if (!code && memchr(value, '\0', length))
        code = refuse(b, event->start_mark, "a text holds a NUL character", err);
    if (!code)
        code = new_node(b, event, YAML_SCALAR, &node, err);
    if (code)
        return code;
    node->text = arena_strndup(b->arena, value, length);
    node->length = length;
    node->is_plain =
        tag ? strcmp(tag, YAML_STR_TAG) != 0 : event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return attach(b, event, node, err);
}

static enum errc open_node(struct builder *b, const yaml_event_t *event, enum yaml_kind kind,
                           struct error *err)
{
    bool is_sequence = kind == YAML_SEQUENCE;
    const yaml_char_t *anchor =
        is_sequence ? event->data.sequence_start.anchor : event->data.mapping_start.anchor;
    const yaml_char_t *tag =
        is_sequence ? event->data.sequence_start.tag : event->data.mapping_start.tag;
    struct yaml_node *node = NULL;
    enum errc code = check_anchor(b, event, anchor, err);
    if (!code)
        code = check_tag(b, event, (const char *)tag, kind, err);
    if (!code && b->depth == LIMIT_YAML_DEPTH)
        code = refuse(b, event->start_mark, "nested too deeply", err);
    if (!code)
        code = new_node(b, event, kind, &node, err);
    if (!code)
        code = attach(b, event, node, err);
    if (code)
        return code;
    b->open[b->depth++] = (struct open_collection){.node = node};
    return RR_OK;
}

static enum errc take_event(struct builder *b, const yaml_event_t *event, struct error *err)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->root)
            return refuse(b, event->start_mark, "there is a second document", err);
        return RR_OK;
    case YAML_ALIAS_EVENT:
        return check_anchor(b, event, event->data.alias.anchor, err);
    case YAML_SCALAR_EVENT:
        return add_scalar(b, event, err);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(b, event, YAML_SEQUENCE, err);
    case YAML_MAPPING_START_EVENT:
        return open_node(b, event, YAML_MAPPING, err);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return RR_OK;
    default: /* ends of document and stream carry nothing */
        return RR_OK;
    }
}

static enum errc build(struct builder *b, yaml_parser_t *parser, struct error *err)
{
    enum errc code = RR_OK;
    for (bool is_ended = false; !is_ended && !code;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return refuse_syntax(b, parser, err);
        code = take_event(b, &event, err);
        is_ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return code;
}

enum errc yaml_parse(struct arena *arena, const char *bytes, size_t length, const char *what,
                     unsigned first_line, struct yaml_node **ret_root, struct error *err)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    if (length > LIMIT_STATE_FILE_BYTES)
        return error_set(err, ERR_CONFIG, "%s: longer than %zu bytes", what,
                         LIMIT_STATE_FILE_BYTES);
    if (length >= 3 && memcmp(bytes, byte_order_mark, 3) == 0) {
        bytes += 3;
        length -= 3;
    }
    struct builder b = {.arena = arena,
                        .bytes = length ? bytes : "",
                        .length = length,
                        .what = what,
                        .first_line = first_line};
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        mem_die(sizeof parser);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)b.bytes, length);
    enum errc code = build(&b, &parser, err);
    yaml_parser_delete(&parser);
    if (!code)
        *ret_root = b.root;
    return code;
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
    if (!node || node->kind != YAML_MAPPING)
        return NULL;
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->keys[i]->text, key) == 0)
            return node->items[i];
    return NULL;
}

/* Whether the node is a plain scalar that reads as one of the words. */
static bool is_one_of(const struct yaml_node *node, const char *const words[])
{
    if (!node || node->kind != YAML_SCALAR || !node->is_plain)
        return false;
    for (; *words; words++)
        if (strcmp(node->text, *words) == 0)
            return true;
    return false;
}

bool yaml_as_bool(const struct yaml_node *node, bool *ret_value)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};
    bool is_yes = is_one_of(node, yes);
    if (!is_yes && !is_one_of(node, no))
        return false;
    *ret_value = is_yes;
    return true;
}

bool yaml_as_int(const struct yaml_node *node, int64_t *ret_value)
{
    if (!node || node->kind != YAML_SCALAR || !node->is_plain)
        return false;
    bool is_negative = node->text[0] == '-';
    const char *digits = node->text + (is_negative || node->text[0] == '+');
    uint64_t value;
    if (digits[0] == '0' && digits[1] != '\0') /* octal to some readers, decimal to others */
        return false;
    if (!text_to_u64(digits, INT64_MAX, &value))
        return false;
    *ret_value = is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool yaml_is_null(const struct yaml_node *node)
{
    static const char *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(node, nothing);
}
