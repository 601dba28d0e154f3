/*
 * yaml - reading YAML of foreign origin into a tree with line and column of every node.
 * libyaml does the parsing (YAML 1.1) and stays inside this module.
 *
 * Refused, each with its place: more than one document, anchors, aliases and merge keys (a bomb
 * needs them, a configuration does not), tags other than the core ones, depth over
 * LIMIT_YAML_DEPTH, more than LIMIT_YAML_NODES nodes, duplicate keys in one mapping, keys that are
 * no scalars, invalid UTF-8, NUL and other control characters; and a text over
 * LIMIT_STATE_FILE_BYTES. A byte order mark is skipped. Nodes live in the caller's arena.
 */
#ifndef RR_CODEC_YAML_H
#define RR_CODEC_YAML_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* from 1 */
    /* YAML_SCALAR */
    const char *text;
    size_t length;
    bool is_plain; /* no quotes, no block: may mean a number, a Boolean or nothing */
    /* YAML_SEQUENCE, YAML_MAPPING: `count` items; keys only for a mapping, in source order */
    struct yaml_node *const *items;
    struct yaml_node *const *keys;
    size_t count;
};

/* Parses the text. `what` names it in errors ("restore.yaml"), which read
 * "restore.yaml:LINE:COLUMN: ..."; `first_line` is added to lines, for a text that is embedded in
 * another file (0: none). An empty document gives *ret_root = NULL. ERR_CONFIG on bad input. */
enum errc yaml_parse(struct arena *arena, const char *bytes, size_t length, const char *what,
                     unsigned first_line, struct yaml_node **ret_root,
                     struct error *err) RR_MUST_CHECK;

/* Value of a key in a mapping, NULL if absent or `node` is NULL or no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
/* A plain scalar of YAML 1.2's core schema: true/false, decimal integer (without leading zeros),
 * null (or empty). `node` may be NULL, which is none of them. */
bool yaml_as_bool(const struct yaml_node *node, bool *ret_value);
bool yaml_as_int(const struct yaml_node *node, int64_t *ret_value);
bool yaml_is_null(const struct yaml_node *node);

#endif
