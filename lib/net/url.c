#include "lib/net/url.h"

#include <string.h>

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void url_encode(struct str *s, const char *text, bool keep_slash)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (is_unreserved(c) || (c == '/' && keep_slash))
            str_append_char(s, *p);
        else
            str_printf(s, "%%%02X", c);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool url_decode(struct str *s, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '%') {
            str_append_char(s, text[i]);
            continue;
        }
        int high = i + 1 < length ? hex_digit(text[i + 1]) : -1;
        int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return false;
        str_append_char(s, (char)(high * 16 + low));
        i += 2;
    }
    return true;
}
