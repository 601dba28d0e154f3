/*
 * YAML from any bytes. Every node of what is read has a place, keys are unique words, and depth and
 * number stay within their limits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/codec/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static size_t check_node(const struct yaml_node *node, size_t depth)
{
    bool flag;
    int64_t number;
    size_t nodes = 1;
    if (node->line < 1 || node->column < 1 || depth > LIMIT_YAML_DEPTH)
        abort();
    if (node->kind == YAML_SCALAR) {
        if (strlen(node->text) != node->length)
            abort();
        if (yaml_as_bool(node, &flag) + yaml_as_int(node, &number) + yaml_is_null(node) > 1)
            abort();
        return nodes;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == YAML_MAPPING) {
            if (yaml_get(node, node->keys[i]->text) != node->items[i])
                abort();
            nodes += check_node(node->keys[i], depth + 1);
        }
        nodes += check_node(node->items[i], depth + 1);
    }
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct yaml_node *root = NULL;
    if (yaml_parse(&arena, (const char *)bytes, length, "fuzz", 0, &root, &err)) {
        if (err.code != ERR_CONFIG || strncmp(err.text, "fuzz:", 5) != 0)
            abort();
        return 0;
    }
    if (root && check_node(root, 0) > LIMIT_YAML_NODES)
        abort();
    return 0;
}
