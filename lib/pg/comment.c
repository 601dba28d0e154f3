#include "lib/pg/comment.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/pg/conn_internal.h"

static const char marker[] = "[restore-reconciler] ";

/* Where the last line of the first `length` bytes begins. */
static size_t last_line(const char *text, size_t length)
{
    while (length && text[length - 1] != '\n')
        length--;
    return length;
}

char *comment_strip(struct arena *arena, const char *comment)
{
    size_t length = strlen(comment);
    for (;;) {
        size_t start = last_line(comment, length);
        if (!text_has_prefix(comment + start, marker))
            break;
        length = start ? start - 1 : 0;
        if (start == 0)
            break;
    }
    return arena_strndup(arena, comment, length);
}

char *comment_compose(struct arena *arena, const char *user_text, const char *line)
{
    /* One line, whatever the line is about: it is recognised by its beginning. */
    STR_GUARD struct str clean = STR_INIT(4096);
    conn_append_message(&clean, line, 1000);
    return arena_printf(arena, "%s%s%s%s", user_text, *user_text ? "\n" : "", marker,
                        str_text(&clean));
}
