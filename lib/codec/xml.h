/*
 * xml - reading small XML answers (S3 listings and errors) into a tree. expat does the parsing and
 * stays inside this module. Document type declarations are refused (entity bombs); depth and number
 * of nodes are bounded (limits.h). Namespaces are ignored: names are local names.
 */
#ifndef RR_CODEC_XML_H
#define RR_CODEC_XML_H

#include <stddef.h>

#include "lib/base/arena.h"
#include "lib/base/error.h"

struct xml_node {
    const char *name;
    const char *text; /* all character data directly inside, "" if none */
    struct xml_node *first_child, *next;
};

/* ERR_HTTP on bad input, naming `what` and the line. Nodes live in the arena. */
enum errc xml_parse(struct arena *arena, const char *bytes, size_t length, const char *what,
                    struct xml_node **ret_root, struct error *err) RR_MUST_CHECK;
/* First child of that name, or NULL; `node` may be NULL. */
const struct xml_node *xml_child(const struct xml_node *node, const char *name);
/* Text of that child, or NULL. */
const char *xml_child_text(const struct xml_node *node, const char *name);

#endif
