#include "lib/kube/selector.h"

#include <string.h>

enum { LABEL_NAME_MAX_BYTES = 253 + 1 + 63, LABEL_VALUE_MAX_BYTES = 63 };

/* Anything else would mean something in a query. */
static bool is_plain(const char *text, size_t max, const char *more)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(text);
    if (length > max)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!strchr(plain, text[i]) && !strchr(more, text[i]))
            return false;
    return true;
}

static bool is_label_name(const char *name)
{
    return name && *name && is_plain(name, LABEL_NAME_MAX_BYTES, "/");
}

static bool is_label_value(const char *value)
{
    return value && is_plain(value, LABEL_VALUE_MAX_BYTES, "");
}

static void begin_requirement(struct str *s)
{
    if (s->length)
        str_append_char(s, ',');
}

static bool render_labels(struct str *s, const struct json *labels)
{
    if (!labels)
        return true;
    if (!json_is_object(labels))
        return false;
    for (const struct json *label = json_first(labels); label; label = json_next(label)) {
        if (!is_label_name(json_name(label)) || !is_label_value(json_text(label)))
            return false;
        begin_requirement(s);
        str_printf(s, "%s=%s", json_name(label), json_text(label));
    }
    return true;
}

static bool render_values(struct str *s, const struct json *values)
{
    if (!json_is_array(values) || !json_first(values))
        return false;
    const char *separator = "(";
    for (const struct json *value = json_first(values); value; value = json_next(value)) {
        if (!is_label_value(json_text(value)))
            return false;
        str_printf(s, "%s%s", separator, json_text(value));
        separator = ",";
    }
    str_append_char(s, ')');
    return true;
}

static bool render_expression(struct str *s, const struct json *expression)
{
    const char *key = json_get_text(expression, "key");
    const char *operation = json_get_text(expression, "operator");
    const struct json *values = json_get(expression, "values");
    if (!is_label_name(key) || !operation)
        return false;
    begin_requirement(s);
    if (strcmp(operation, "In") == 0 || strcmp(operation, "NotIn") == 0) {
        str_printf(s, "%s %s ", key, *operation == 'I' ? "in" : "notin");
        return render_values(s, values);
    }
    bool is_absent = strcmp(operation, "DoesNotExist") == 0;
    if (!is_absent && strcmp(operation, "Exists") != 0)
        return false;
    str_printf(s, "%s%s", is_absent ? "!" : "", key);
    return !json_first(values);
}

bool selector_render(struct str *s, const struct json *selector)
{
    const struct json *expressions = json_get(selector, "matchExpressions");
    if (!render_labels(s, json_get(selector, "matchLabels")))
        return false;
    if (expressions && !json_is_array(expressions))
        return false;
    for (const struct json *one = json_first(expressions); one; one = json_next(one))
        if (!render_expression(s, one))
            return false;
    return s->length > 0 && !s->is_cut;
}
