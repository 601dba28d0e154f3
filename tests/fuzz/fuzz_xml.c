/*
 * XML from any bytes. Depth and number of what is read stay within their limits.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/codec/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static size_t check_node(const struct xml_node *node, size_t depth)
{
    size_t nodes = 1;
    if (depth > LIMIT_XML_DEPTH || !node->name || !node->text || strchr(node->name, ':'))
        abort();
    for (const struct xml_node *child = node->first_child; child; child = child->next)
        nodes += check_node(child, depth + 1);
    return nodes;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    ARENA_GUARD struct arena arena = {0};
    struct error err = ERROR_INIT;
    struct xml_node *root = NULL;
    if (xml_parse(&arena, (const char *)bytes, length, "fuzz", &root, &err)) {
        if (err.code != ERR_HTTP)
            abort();
        return 0;
    }
    if (!root || check_node(root, 1) > LIMIT_XML_NODES)
        abort();
    return 0;
}
