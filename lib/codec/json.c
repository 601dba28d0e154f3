#include "lib/codec/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

/*
 * cJSON builds the tree but is lenient about what it reads: numbers such as 01, control characters,
 * \u0000 (which would cut a string), bytes that are no UTF-8, any depth up to a thousand. So the
 * text is looked at twice: scan() walks over its tokens and holds each against RFC 8259; then cJSON
 * holds their order against the grammar.
 */

enum { NUMBER_MAX_BYTES = 48 }; /* cJSON reads no more than 63 */

/* Integers beyond this are not exact in a double, which is what cJSON keeps. */
static const double EXACT_INTEGER_MAX = 9007199254740992.0;

struct json_document {
    cJSON *root;
};

/* A walk over the text. Functions answer NULL or what is wrong at `at`. */
struct scan {
    const unsigned char *at, *end;
    size_t depth;
};

static bool is_digit(const struct scan *s, const unsigned char *p)
{
    return p < s->end && *p >= '0' && *p <= '9';
}

static bool is_hex_digit(const struct scan *s, const unsigned char *p)
{
    return is_digit(s, p) || (p < s->end && ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'f'));
}

/* Length of the well-formed UTF-8 sequence (RFC 3629) that begins at `p`, or 0. */
static size_t utf8_length(const struct scan *s, const unsigned char *p)
{
    unsigned char lowest = 0x80, highest = 0xbf;
    size_t length;
    if (*p < 0x80)
        return 1;
    if (*p >= 0xc2 && *p <= 0xdf) {
        length = 2;
    } else if (*p >= 0xe0 && *p <= 0xef) {
        length = 3;
        lowest = *p == 0xe0 ? 0xa0 : 0x80;  /* no longer form than needed */
        highest = *p == 0xed ? 0x9f : 0xbf; /* no surrogates */
    } else if (*p >= 0xf0 && *p <= 0xf4) {
        length = 4;
        lowest = *p == 0xf0 ? 0x90 : 0x80;
        highest = *p == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if ((size_t)(s->end - p) < length || p[1] < lowest || p[1] > highest)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return length;
}

static const char *scan_escape(struct scan *s)
{
    const unsigned char *letter = s->at + 1;
    if (letter == s->end || !strchr("\"\\/bfnrtu", *letter) || *letter == '\0')
        return "unknown escape in a string";
    if (*letter != 'u') {
        s->at += 2;
        return NULL;
    }
    bool is_nul = true;
    for (int i = 1; i <= 4; i++) {
        if (!is_hex_digit(s, letter + i))
            return "\\u without four hexadecimal digits";
        is_nul = is_nul && letter[i] == '0';
    }
    if (is_nul)
        return "NUL in a string";
    s->at += 6;
    return NULL;
}

static const char *scan_string(struct scan *s)
{
    s->at++;
    while (s->at < s->end && *s->at != '"') {
        if (*s->at == '\\') {
            const char *problem = scan_escape(s);
            if (problem)
                return problem;
            continue;
        }
        if (*s->at < 0x20)
            return "control character in a string";
        size_t length = utf8_length(s, s->at);
        if (length == 0)
            return "invalid UTF-8";
        s->at += length;
    }
    if (s->at == s->end)
        return "a string does not end";
    s->at++;
    return NULL;
}

static bool skip_digits(struct scan *s)
{
    const unsigned char *start = s->at;
    while (is_digit(s, s->at))
        s->at++;
    return s->at > start;
}

static bool skip_one_of(struct scan *s, const char *set)
{
    if (s->at == s->end || *s->at == '\0' || !strchr(set, *s->at))
        return false;
    s->at++;
    return true;
}

static const char *scan_number(struct scan *s)
{
    const unsigned char *start = s->at;
    skip_one_of(s, "-");
    bool is_zero_first = s->at < s->end && *s->at == '0';
    const unsigned char *integer = s->at;
    bool is_good = skip_digits(s) && !(is_zero_first && s->at - integer > 1);
    if (is_good && skip_one_of(s, "."))
        is_good = skip_digits(s);
    if (is_good && skip_one_of(s, "eE")) {
        skip_one_of(s, "+-");
        is_good = skip_digits(s);
    }
    bool is_long = s->at - start > NUMBER_MAX_BYTES;
    if (is_good && !is_long)
        return NULL;
    s->at = start;
    return is_long ? "number with too many digits" : "malformed number";
}

static const char *scan_token(struct scan *s)
{
    switch (*s->at) {
    case '"':
        return scan_string(s);
    case '{':
    case '[':
        if (++s->depth > LIMIT_JSON_DEPTH)
            return "nested too deeply";
        break;
    case '}':
    case ']':
        if (s->depth > 0)
            s->depth--;
        break;
    case '\0':
        return "NUL byte";
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
        break;
    default:
        if (*s->at == '-' || is_digit(s, s->at))
            return scan_number(s);
        if (*s->at < 'a' || *s->at > 'z') /* true, false, null: cJSON knows them */
            return "unexpected character";
    }
    s->at++;
    return NULL;
}

static enum errc refuse(struct error *err, const char *what, size_t offset, const char *problem)
{
    return error_set(err, ERR_CONFIG, "%s: byte %zu: %s", what, offset, problem);
}

static enum errc check_tokens(const char *bytes, size_t length, const char *what, struct error *err)
{
    struct scan s = {.at = (const unsigned char *)bytes};
    s.end = s.at + length;
    while (s.at < s.end) {
        const char *problem = scan_token(&s);
        if (problem)
            return refuse(err, what, (size_t)((const char *)s.at - bytes), problem);
    }
    if (s.depth > 0)
        return refuse(err, what, length, "it ends too early");
    return RR_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The name that occurs twice among the members of one object, or NULL. Sorted, because a hostile
 * object may have a million members. */
static const char *repeated_name(const cJSON *object)
{
    size_t count = 0;
    for (const cJSON *member = object->child; member; member = member->next)
        count++;
    if (count < 2)
        return NULL;
    const char **names = mem_alloc(count * sizeof *names);
    size_t i = 0;
    for (const cJSON *member = object->child; member; member = member->next)
        names[i++] = member->string;
    qsort(names, count, sizeof *names, compare_names);
    const char *repeated = NULL;
    for (i = 1; i < count && !repeated; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            repeated = names[i];
    free(names);
    return repeated;
}

/* Depth is bounded by check_tokens(). */
static enum errc check_names(const cJSON *value, const char *what, struct error *err)
{
    const char *repeated = cJSON_IsObject(value) ? repeated_name(value) : NULL;
    if (repeated) {
        STR_GUARD struct str quoted = STR_INIT(400);
        str_append_quoted(&quoted, repeated, 60);
        return error_set(err, ERR_CONFIG, "%s: key %s stands twice in one object", what,
                         str_text(&quoted));
    }
    for (const cJSON *child = value->child; child; child = child->next) {
        enum errc code = check_names(child, what, err);
        if (code)
            return code;
    }
    return RR_OK;
}

/* Builds the tree; the text after the value has been checked to be white space. */
static enum errc build(const char *bytes, size_t length, const char *what, cJSON **ret_root,
                       struct error *err)
{
    const char *stopped = bytes;
    cJSON *root = cJSON_ParseWithLengthOpts(bytes, length, &stopped, false);
    size_t offset = stopped >= bytes ? (size_t)(stopped - bytes) : 0;
    if (!root)
        return refuse(err, what, offset, "not valid JSON");
    while (offset < length && strchr(" \t\r\n", bytes[offset]))
        offset++;
    if (offset < length) {
        cJSON_Delete(root);
        return refuse(err, what, offset, "text after the end of the value");
    }
    *ret_root = root;
    return RR_OK;
}

enum errc json_parse(const char *bytes, size_t length, const char *what,
                     struct json_document **ret_document, struct error *err)
{
    if (length == 0)
        return error_set(err, ERR_CONFIG, "%s: empty, not JSON", what);
    cJSON *root = NULL;
    enum errc code = check_tokens(bytes, length, what, err);
    if (!code)
        code = build(bytes, length, what, &root, err);
    if (!code)
        code = check_names(root, what, err);
    if (code) {
        cJSON_Delete(root);
        return code;
    }
    *ret_document = mem_alloc(sizeof **ret_document);
    (*ret_document)->root = root;
    return RR_OK;
}

void json_free(struct json_document *document)
{
    if (!document)
        return;
    cJSON_Delete(document->root);
    free(document);
}

void json_guard(struct json_document **document)
{
    json_free(*document);
}

/* struct json is never defined: it is cJSON's node under a name of this room. */
static const struct json *from_node(const cJSON *node)
{
    return (const struct json *)node;
}

static const cJSON *to_node(const struct json *value)
{
    return (const cJSON *)value;
}

const struct json *json_root(const struct json_document *document)
{
    return from_node(document->root);
}

const struct json *json_get(const struct json *value, const char *name)
{
    if (!json_is_object(value))
        return NULL;
    return from_node(cJSON_GetObjectItemCaseSensitive(to_node(value), name));
}

const char *json_text(const struct json *value)
{
    return cJSON_IsString(to_node(value)) ? to_node(value)->valuestring : NULL;
}

const char *json_get_text(const struct json *value, const char *name)
{
    return json_text(json_get(value, name));
}

bool json_int(const struct json *value, int64_t *ret_value)
{
    if (!cJSON_IsNumber(to_node(value)))
        return false;
    double number = to_node(value)->valuedouble;
    if (!(fabs(number) < EXACT_INTEGER_MAX) || trunc(number) != number)
        return false;
    *ret_value = (int64_t)number;
    return true;
}

bool json_bool(const struct json *value, bool *ret_value)
{
    if (!cJSON_IsBool(to_node(value)))
        return false;
    *ret_value = cJSON_IsTrue(to_node(value));
    return true;
}

bool json_is_object(const struct json *value)
{
    return cJSON_IsObject(to_node(value));
}

bool json_is_array(const struct json *value)
{
    return cJSON_IsArray(to_node(value));
}

const struct json *json_first(const struct json *value)
{
    return json_is_object(value) || json_is_array(value) ? from_node(to_node(value)->child) : NULL;
}

const struct json *json_next(const struct json *value)
{
    return value ? from_node(to_node(value)->next) : NULL;
}

const char *json_name(const struct json *value)
{
    return value ? to_node(value)->string : NULL;
}

bool json_equal(const struct json *a, const struct json *b)
{
    return a && b && cJSON_Compare(to_node(a), to_node(b), true);
}

void json_render(struct str *s, const struct json *value)
{
    char *text = cJSON_PrintUnformatted((const cJSON *)value);
    if (!text)
        mem_die(0);
    str_append(s, text);
    cJSON_free(text);
}
