#include "lib/base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"

/* Makes room for up to `more` bytes and a terminator; returns how many of them may be written. */
static size_t reserve(struct str *s, size_t more)
{
    size_t room = s->limit - s->length;
    if (more > room) {
        s->is_cut = true;
        more = room;
    }
    size_t need = s->length + more + 1;
    if (need > s->capacity) {
        size_t capacity = s->capacity ? s->capacity : 64;
        while (capacity < need)
            capacity *= 2;
        s->data = mem_resize(s->data, capacity);
        s->capacity = capacity;
    }
    return more;
}

void str_append_bytes(struct str *s, const void *bytes, size_t length)
{
    size_t fits = reserve(s, length);
    if (fits)
        memcpy(s->data + s->length, bytes, fits);
    s->length += fits;
    s->data[s->length] = '\0';
}

void str_append(struct str *s, const char *text)
{
    str_append_bytes(s, text, strlen(text));
}

void str_append_char(struct str *s, char c)
{
    str_append_bytes(s, &c, 1);
}

void str_vprintf(struct str *s, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int length = vsnprintf(NULL, 0, fmt, ap);
    if (length < 0) {
        s->is_cut = true;
    } else {
        size_t fits = reserve(s, (size_t)length);
        vsnprintf(s->data + s->length, fits + 1, fmt, again);
        s->length += fits;
    }
    va_end(again);
}

void str_printf(struct str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(s, fmt, ap);
    va_end(ap);
}

/*
 * Length of the well-formed UTF-8 sequence at p (1-4), or 0. RFC 3629: no surrogates, no overlongs.
 */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* C1 controls and the bidirectional overrides would change how the rest of a line is shown. */
static bool is_unsafe_rune(const unsigned char *p, size_t n)
{
    if (n == 2)
        return p[0] == 0xc2 && p[1] < 0xa0;
    if (n == 3 && p[0] == 0xe2)
        return (p[1] == 0x80 && p[2] >= 0x8b && p[2] <= 0xae) ||
               (p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf);
    return false;
}

void str_append_quoted(struct str *s, const char *text, size_t max)
{
    if (!text) {
        str_append(s, "(null)");
        return;
    }
    const unsigned char *p = (const unsigned char *)text;
    size_t length = strlen(text), shown = length < max ? length : max;
    str_append_char(s, '\'');
    for (size_t i = 0; i < shown;) {
        size_t n = utf8_sequence(p + i, length - i);
        unsigned char c = p[i];
        if (n > 1 && !is_unsafe_rune(p + i, n)) {
            str_append_bytes(s, p + i, n);
            i += n;
            continue;
        }
        if (c == '\n')
            str_append(s, "\\n");
        else if (c == '\t')
            str_append(s, "\\t");
        else if (c == '\r')
            str_append(s, "\\r");
        else if (c == '\'' || c == '\\')
            str_printf(s, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            str_printf(s, "\\x%02x", c);
        else
            str_append_char(s, (char)c);
        i++;
    }
    str_append(s, shown < length ? "...'" : "'");
}

void str_append_json_bytes(struct str *s, const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    str_append_char(s, '"');
    for (size_t i = 0; i < length;) {
        size_t n = utf8_sequence(p + i, length - i);
        unsigned char c = p[i];
        if (n == 0) {
            str_append(s, "\\ufffd");
            i++;
            continue;
        }
        if (n > 1)
            str_append_bytes(s, p + i, n);
        else if (c == '"' || c == '\\')
            str_printf(s, "\\%c", c);
        else if (c == '\n')
            str_append(s, "\\n");
        else if (c == '\t')
            str_append(s, "\\t");
        else if (c < 0x20 || c == 0x7f)
            str_printf(s, "\\u%04x", c);
        else
            str_append_char(s, (char)c);
        i += n;
    }
    str_append_char(s, '"');
}

void str_append_json(struct str *s, const char *text)
{
    if (text)
        str_append_json_bytes(s, text, strlen(text));
    else
        str_append(s, "null");
}

const char *str_text(const struct str *s)
{
    return s->data ? s->data : "";
}

void str_clear(struct str *s)
{
    s->length = 0;
    s->is_cut = false;
    if (s->data)
        s->data[0] = '\0';
}

void str_release(struct str *s)
{
    if (!s)
        return;
    free(s->data);
    *s = STR_INIT(s->limit);
}

char *str_take(struct str *s)
{
    char *text = s->data ? s->data : mem_strdup("");
    *s = STR_INIT(s->limit);
    return text;
}

enum errc str_check(const struct str *s, const char *what, struct error *err)
{
    if (!s->is_cut)
        return RR_OK;
    return error_set(err, ERR_TOO_LARGE, "%s is longer than %zu bytes", what, s->limit);
}

bool text_has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool text_has_suffix(const char *text, const char *suffix)
{
    size_t a = strlen(text), b = strlen(suffix);
    return a >= b && strcmp(text + a - b, suffix) == 0;
}

bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool text_to_u64(const char *text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!text || *text == '\0')
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        unsigned digit = (unsigned)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

/* Levenshtein distance, case-blind; words longer than the row are "far". */
static size_t edit_distance(const char *a, const char *b)
{
    enum { ROW = 64 };
    size_t la = strlen(a), lb = strlen(b), row[ROW + 1];
    if (la > ROW || lb > ROW)
        return ROW;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            int ca = a[i - 1] | 0x20, cb = b[j - 1] | 0x20;
            size_t best = diagonal + (ca != cb);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[lb];
}

const char *text_nearest(const char *word, const char *const candidates[])
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2;
    for (; *candidates; candidates++) {
        size_t distance = edit_distance(word, *candidates);
        if (distance < best_distance) {
            best_distance = distance;
            best = *candidates;
        }
    }
    return best;
}
