#include "lib/archive/copy_splitter.h"

#include <stdbool.h>
#include <string.h>

/* Where the next byte stands. */
enum {
    AT_LINE_START,
    IN_LINE,
    AFTER_BACKSLASH, /* at the start of a line; held back */
    AFTER_DOT,       /* a line that is "\." so far; held back */
    AFTER_MARKER,
};

/* The bytes that a state holds back. */
static size_t held_bytes(int state)
{
    return state == AFTER_BACKSLASH ? 1 : state == AFTER_DOT ? 2 : 0;
}

/* Goes on to the end of the line, or of the piece. Most bytes of a database pass through here. */
static const char *pass_line(struct copy_splitter *splitter, const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    splitter->state = newline ? AT_LINE_START : IN_LINE;
    splitter->rows += newline != NULL;
    return newline ? newline + 1 : end;
}

/* One byte that may belong to the marker. False: it belongs to a row, and was not looked at. */
static bool pass_marker(struct copy_splitter *splitter, char c)
{
    if (splitter->state == AT_LINE_START && c == '\\')
        splitter->state = AFTER_BACKSLASH;
    else if (splitter->state == AFTER_BACKSLASH && c == '.')
        splitter->state = AFTER_DOT;
    else if (splitter->state == AFTER_DOT && c == '\n')
        splitter->state = AFTER_MARKER;
    else
        return false;
    return true;
}

static enum errc check_rest(const char *p, const char *end, struct error *err)
{
    for (; p < end; p++)
        if (*p != '\n')
            return error_set(err, ERR_ARCHIVE_CORRUPT,
                             "data go on after the end marker of the rows");
    return RR_OK;
}

enum errc copy_splitter_feed(struct copy_splitter *splitter, const char *bytes, size_t length,
                             char ret_held[4], size_t *ret_held_length, size_t *ret_send,
                             struct error *err)
{
    const char *p = bytes, *end = bytes + length;
    const size_t held_before = held_bytes(splitter->state);
    const char *marker = NULL; /* where what may be the marker begins in this piece */
    bool row_goes_on = false;  /* the held bytes turned out to be a row's */
    while (p < end && splitter->state != AFTER_MARKER) {
        if (splitter->state != IN_LINE && pass_marker(splitter, *p)) {
            if (splitter->state == AFTER_BACKSLASH)
                marker = p;
            p++;
        } else {
            row_goes_on = true;
            p = pass_line(splitter, p, end);
        }
    }
    if (splitter->state == AFTER_MARKER && check_rest(p, end, err))
        return ERR_ARCHIVE_CORRUPT;
    bool is_marker_open = splitter->state == AFTER_MARKER || held_bytes(splitter->state);
    *ret_held_length = row_goes_on ? held_before : 0;
    memcpy(ret_held, "\\.", *ret_held_length);
    *ret_send = !is_marker_open ? length : marker ? (size_t)(marker - bytes) : 0;
    return RR_OK;
}

enum errc copy_splitter_finish(const struct copy_splitter *splitter, struct error *err)
{
    switch (splitter->state) {
    case AFTER_MARKER:
        return RR_OK;
    case IN_LINE:
        return error_set(err, ERR_ARCHIVE_CORRUPT, "the data end inside row %llu",
                         (unsigned long long)splitter->rows + 1);
    default:
        return error_set(err, ERR_ARCHIVE_CORRUPT,
                         "the data end after %llu rows without an end marker",
                         (unsigned long long)splitter->rows);
    }
}
