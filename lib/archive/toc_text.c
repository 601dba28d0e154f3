#include "lib/archive/toc_text.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

enum errc toc_text_length(struct input *in, int64_t *ret_length, struct error *err)
{
    int64_t length;
    enum errc code =
        input_int_between(in, -1, LIMIT_TOC_STRING_BYTES, "length of a text", &length, err);
    if (code)
        return code;
    if (length > 0 && (uint64_t)length > input_left(in)) {
        in->is_short = true;
        return input_corrupt(in, err, "a text of %lld bytes, but only %llu are left",
                             (long long)length, (unsigned long long)input_left(in));
    }
    *ret_length = length;
    return RR_OK;
}

enum errc toc_text(struct input *in, struct arena *arena, const char **ret_text, struct error *err)
{
    int64_t length;
    enum errc code = toc_text_length(in, &length, err);
    if (code)
        return code;
    if (length <= 0) {
        *ret_text = length < 0 ? NULL : "";
        return RR_OK;
    }
    char *text = arena_alloc(arena, (size_t)length + 1);
    code = input_bytes(in, text, (size_t)length, err);
    if (code)
        return code;
    if (memchr(text, 0, (size_t)length))
        return input_corrupt(in, err, "a text before here holds a zero byte");
    *ret_text = text;
    return RR_OK;
}

enum errc toc_text_required(struct input *in, struct arena *arena, const char *what,
                            const char **ret_text, struct error *err)
{
    enum errc code = toc_text(in, arena, ret_text, err);
    if (code == RR_OK && !*ret_text)
        return input_corrupt(in, err, "%s is missing", what);
    return code;
}

enum errc toc_text_short(struct input *in, const char *what, char ret_text[TOC_TEXT_SHORT_BYTES],
                         bool *ret_is_null, struct error *err)
{
    int64_t length;
    enum errc code = toc_text_length(in, &length, err);
    if (code)
        return code;
    if (length >= TOC_TEXT_SHORT_BYTES)
        return input_corrupt(in, err, "%s is %lld bytes long", what, (long long)length);
    size_t size = length < 0 ? 0 : (size_t)length;
    code = input_bytes(in, ret_text, size, err);
    if (code)
        return code;
    ret_text[size] = '\0';
    if (strlen(ret_text) != size)
        return input_corrupt(in, err, "%s holds a zero byte", what);
    *ret_is_null = length < 0;
    return RR_OK;
}

enum errc toc_text_decimal(struct input *in, const char *what, uint64_t max, uint64_t *ret_value,
                           bool *ret_is_null, struct error *err)
{
    char text[TOC_TEXT_SHORT_BYTES];
    bool is_null;
    enum errc code = toc_text_short(in, what, text, &is_null, err);
    if (code)
        return code;
    if (ret_is_null)
        *ret_is_null = is_null;
    if (is_null && ret_is_null)
        return RR_OK;
    if (is_null || !text_to_u64(text, max, ret_value)) {
        STR_GUARD struct str quoted = STR_INIT(256);
        str_append_quoted(&quoted, is_null ? NULL : text, 40);
        return input_corrupt(in, err, "%s is %s", what, str_text(&quoted));
    }
    return RR_OK;
}
