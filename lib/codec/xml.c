#include "lib/codec/xml.h"

#include <expat.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

/* What the handlers share while one text is parsed. Expat calls them; they stop it by setting
 * `problem`. */
struct xml_builder {
    XML_Parser parser;
    struct arena *arena;
    const char *problem;
    struct xml_node *root;
    size_t node_count, depth;
    struct {
        struct xml_node *node, *last_child;
        struct str text; /* capacity is kept for the next element at this depth */
    } open[LIMIT_XML_DEPTH];
};

static void stop(struct xml_builder *b, const char *problem)
{
    b->problem = problem;
    XML_StopParser(b->parser, XML_FALSE);
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    (void)attributes;
    struct xml_builder *b = context;
    if (b->problem)
        return;
    if (b->depth == LIMIT_XML_DEPTH) {
        stop(b, "elements are nested too deeply");
        return;
    }
    if (++b->node_count > LIMIT_XML_NODES) {
        stop(b, "there are too many elements");
        return;
    }
    const char *colon = strrchr(name, ':');
    struct xml_node *node = arena_alloc(b->arena, sizeof *node);
    node->name = arena_strdup(b->arena, colon ? colon + 1 : name);
    node->text = "";
    if (b->depth == 0) {
        b->root = node;
    } else {
        struct xml_node *parent = b->open[b->depth - 1].node;
        struct xml_node *last = b->open[b->depth - 1].last_child;
        *(last ? &last->next : &parent->first_child) = node;
        b->open[b->depth - 1].last_child = node;
    }
    b->open[b->depth].node = node;
    b->open[b->depth].last_child = NULL;
    b->depth++;
}

static void on_end(void *context, const XML_Char *name)
{
    (void)name;
    struct xml_builder *b = context;
    if (b->problem)
        return;
    b->depth--;
    struct str *text = &b->open[b->depth].text;
    if (text->length)
        b->open[b->depth].node->text = arena_strndup(b->arena, text->data, text->length);
    str_clear(text);
}

static void on_text(void *context, const XML_Char *text, int length)
{
    struct xml_builder *b = context;
    if (!b->problem && b->depth > 0)
        str_append_bytes(&b->open[b->depth - 1].text, text, (size_t)length);
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
                       const XML_Char *public_id, int has_internal_subset)
{
    (void)name, (void)system_id, (void)public_id, (void)has_internal_subset;
    stop(context, "it holds a document type declaration");
}

static XML_Parser new_parser(struct xml_builder *builder)
{
    /* UTF-8 whatever the text declares: that is what the stores send. */
    XML_Parser parser = XML_ParserCreate("UTF-8");
    if (!parser)
        mem_die(sizeof *builder);
    XML_SetUserData(parser, builder);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    XML_SetStartDoctypeDeclHandler(parser, on_doctype);
    return parser;
}

enum errc xml_parse(struct arena *arena, const char *bytes, size_t length, const char *what,
                    struct xml_node **ret_root, struct error *err)
{
    if (length > LIMIT_HTTP_BODY_BYTES)
        return error_set(err, ERR_HTTP, "%s: longer than %zu bytes", what, LIMIT_HTTP_BODY_BYTES);
    struct xml_builder b = {.arena = arena};
    for (size_t i = 0; i < LIMIT_XML_DEPTH; i++)
        b.open[i].text = STR_INIT(length);
    b.parser = new_parser(&b);
    enum errc code = RR_OK;
    if (XML_Parse(b.parser, length ? bytes : "", (int)length, XML_TRUE) != XML_STATUS_OK) {
        enum XML_Error cause = XML_GetErrorCode(b.parser);
        if (cause == XML_ERROR_NO_MEMORY)
            mem_die(length);
        code = error_set(err, ERR_HTTP, "%s: not the XML expected: line %lu: %s", what,
                         (unsigned long)XML_GetCurrentLineNumber(b.parser),
                         b.problem ? b.problem : XML_ErrorString(cause));
    } else {
        *ret_root = b.root;
    }
    XML_ParserFree(b.parser);
    for (size_t i = 0; i < LIMIT_XML_DEPTH; i++)
        str_release(&b.open[i].text);
    return code;
}

const struct xml_node *xml_child(const struct xml_node *node, const char *name)
{
    for (const struct xml_node *child = node ? node->first_child : NULL; child; child = child->next)
        if (strcmp(child->name, name) == 0)
            return child;
    return NULL;
}

const char *xml_child_text(const struct xml_node *node, const char *name)
{
    const struct xml_node *child = xml_child(node, name);
    return child ? child->text : NULL;
}
