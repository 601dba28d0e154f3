/*
 * JSON from any bytes. What is read is written again with the project's own writer, and must be
 * readable then.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/codec/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void write_value(struct str *out, const struct json *value, size_t depth)
{
    int64_t number;
    bool flag;
    if (depth > LIMIT_JSON_DEPTH)
        abort();
    if (json_is_object(value) || json_is_array(value)) {
        bool is_object = json_is_object(value);
        str_append_char(out, is_object ? '{' : '[');
        for (const struct json *child = json_first(value); child; child = json_next(child)) {
            if (child != json_first(value))
                str_append_char(out, ',');
            if (is_object) {
                if (json_get(value, json_name(child)) != child)
                    abort();
                str_append_json(out, json_name(child));
                str_append_char(out, ':');
            }
            write_value(out, child, depth + 1);
        }
        str_append_char(out, is_object ? '}' : ']');
    } else if (json_int(value, &number)) {
        str_printf(out, "%lld", (long long)number);
    } else if (json_bool(value, &flag)) {
        str_append(out, flag ? "true" : "false");
    } else {
        str_append_json(out, json_text(value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct error err = ERROR_INIT;
    JSON_GUARD struct json_document *document = NULL, *again = NULL;
    if (json_parse((const char *)bytes, length, "fuzz", &document, &err)) {
        if (err.code != ERR_CONFIG)
            abort();
        return 0;
    }
    STR_GUARD struct str out = STR_INIT(16 * LIMIT_MIB);
    write_value(&out, json_root(document), 0);
    if (json_parse(out.data, out.length, "again", &again, &err))
        abort();
    return 0;
}
