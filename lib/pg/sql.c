#include "lib/pg/sql.h"

#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/net/digest.h"

enum { LIVE_PART_BYTES = 40, HASH_PART_CHARS = 12, HASH_PART_BYTES = 8 };

/* Writes `text` to `out` with every `c` doubled; returns where the writing ended. */
static char *put_doubled(char *out, const char *text, char c)
{
    for (; *text; text++) {
        if (*text == c)
            *out++ = c;
        *out++ = *text;
    }
    return out;
}

char *sql_identifier(struct arena *arena, const char *name)
{
    char *text = arena_alloc(arena, 2 * strlen(name) + 3), *end = text;
    *end++ = '"';
    end = put_doubled(end, name, '"');
    *end++ = '"';
    *end = '\0';
    return text;
}

char *sql_qualified(struct arena *arena, const char *schema, const char *name)
{
    if (!schema || *schema == '\0')
        return sql_identifier(arena, name);
    return arena_printf(arena, "%s.%s", sql_identifier(arena, schema), sql_identifier(arena, name));
}

char *sql_literal(struct arena *arena, const char *text)
{
    if (!text)
        return arena_strdup(arena, "NULL");
    bool has_backslash = strchr(text, '\\') != NULL;
    char *literal = arena_alloc(arena, 2 * strlen(text) + 4), *end = literal;
    if (has_backslash)
        *end++ = 'E';
    *end++ = '\'';
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            *end++ = *text;
        *end++ = *text;
    }
    *end++ = '\'';
    *end = '\0';
    return literal;
}

char *sql_live_part(struct arena *arena, const char *live)
{
    size_t length = strlen(live);
    if (length > LIVE_PART_BYTES) {
        length = LIVE_PART_BYTES;
        /* A byte 10xxxxxx continues a character: the cut goes in front of that character. */
        while (length && ((unsigned char)live[length] & 0xc0) == 0x80)
            length--;
    }
    return arena_strndup(arena, live, length);
}

char *sql_own_database_name(struct arena *arena, const char *live, char kind, const char *run_id)
{
    /* The terminator between the two keeps ("ab", "c") and ("a", "bc") apart. */
    STR_GUARD struct str both = STR_INIT(LIMIT_MIB);
    str_append_bytes(&both, live, strlen(live) + 1);
    str_append(&both, run_id);
    uint8_t hash[SHA256_SIZE];
    sha256(both.data, both.length, hash);
    STR_GUARD struct str code = STR_INIT(64);
    base32_render(&code, hash, HASH_PART_BYTES);
    return arena_printf(arena, "%s_rr%c%.*s", sql_live_part(arena, live), kind, HASH_PART_CHARS,
                        str_text(&code));
}

static bool is_list_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

/* Reads one element at *p into `out` (as long as the rest of the text); false: not a list. */
static bool take_element(const char **p, char *out)
{
    const char *s = *p;
    if (*s == '"') {
        bool is_closed = false;
        for (s++; *s && !is_closed; s++) {
            if (*s != '"' || s[1] == '"')
                *out++ = *s;
            if (*s == '"') {
                is_closed = s[1] != '"';
                s += !is_closed;
            }
        }
        if (!is_closed)
            return false;
    } else {
        if (*s == '\0' || *s == ',')
            return false;
        while (*s && *s != ',' && !is_list_blank(*s))
            *out++ = *s++;
    }
    *out = '\0';
    while (is_list_blank(*s))
        s++;
    *p = s;
    return *s == '\0' || *s == ',';
}

bool sql_split_list(struct arena *arena, const char *list, const char ***ret_items,
                    size_t *ret_count)
{
    size_t length = strlen(list), count = 0;
    const char **items = arena_array(arena, length / 2 + 2, sizeof *items);
    for (const char *p = list;; p++) {
        while (is_list_blank(*p))
            p++;
        if (*p == '\0' && count == 0)
            break;
        char *item = arena_alloc(arena, strlen(p) + 1);
        if (!take_element(&p, item))
            return false;
        items[count++] = item;
        if (*p == '\0')
            break;
    }
    *ret_items = items;
    *ret_count = count;
    return true;
}
