/*
 * The two splitters of table data. The first byte tells which; the next ones how large the pieces
 * are. However the text is cut, the result is that of the whole; for COPY text it is also that of a
 * plain walk by lines.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/archive/copy_splitter.h"
#include "lib/archive/inserts.h"
#include "lib/base/str.h"

enum { CUTS = 4, KIND_COPY = 0, KIND_INSERTS = 1, LIMIT = 1 << 20 };

/* What came out, and whether it was accepted. */
struct result {
    struct str text;
    uint64_t count;
    bool is_right;
};

struct input {
    const char *text;
    size_t length;
    const uint8_t *cuts; /* CUTS of them, in turn; 0: all at once */
};

/* The next piece, in memory of its own, so that a sanitizer sees reads beyond it. */
static char *next_piece(const struct input *in, size_t *done, int i, size_t *ret_length)
{
    size_t size = in->cuts ? in->cuts[i % CUTS] : in->length;
    if (size == 0 || size > in->length - *done)
        size = in->length - *done;
    char *piece = malloc(size + !size);
    memcpy(piece, in->text + *done, size);
    *done += size;
    *ret_length = size;
    return piece;
}

static struct result split_copy(const struct input *in)
{
    struct result result = {.text = STR_INIT(LIMIT), .is_right = true};
    struct copy_splitter splitter = {0};
    struct error err = ERROR_INIT;
    for (size_t done = 0, i = 0; done < in->length && result.is_right; i++) {
        size_t length, held_length, send;
        char held[4], *piece = next_piece(in, &done, (int)i, &length);
        result.is_right =
            !copy_splitter_feed(&splitter, piece, length, held, &held_length, &send, &err);
        if (result.is_right) {
            if (send > length || held_length > 2)
                abort();
            str_append_bytes(&result.text, held, held_length);
            str_append_bytes(&result.text, piece, send);
        }
        free(piece);
    }
    result.count = splitter.rows;
    result.is_right = result.is_right && !copy_splitter_finish(&splitter, &err);
    return result;
}

/* Line by line, as one would say it. */
static struct result walk_copy(const struct input *in)
{
    struct result result = {.text = STR_INIT(LIMIT)};
    size_t at = 0;
    for (;;) {
        const char *newline = at < in->length ? memchr(in->text + at, '\n', in->length - at) : NULL;
        if (!newline)
            return result; /* no marker */
        size_t end = (size_t)(newline - in->text);
        if (end - at == 2 && memcmp(in->text + at, "\\.", 2) == 0) {
            at = end + 1;
            break;
        }
        result.count++;
        str_append_bytes(&result.text, in->text + at, end + 1 - at);
        at = end + 1;
    }
    while (at < in->length && in->text[at] == '\n')
        at++;
    result.is_right = at == in->length;
    return result;
}

static struct result split_inserts(const struct input *in, bool standard_strings)
{
    struct result result = {.text = STR_INIT(LIMIT), .is_right = true};
    INSERT_SPLITTER_GUARD struct insert_splitter splitter;
    struct error err = ERROR_INIT;
    insert_splitter_init(&splitter, standard_strings);
    for (size_t done = 0, i = 0; done < in->length && result.is_right; i++) {
        size_t length, statement_length;
        const char *statement;
        char *piece = next_piece(in, &done, (int)i, &length);
        insert_splitter_feed(&splitter, piece, length);
        do {
            result.is_right = !insert_splitter_next(&splitter, &statement, &statement_length, &err);
            if (!result.is_right || !statement)
                break;
            if (strlen(statement) != statement_length || statement[statement_length - 1] != ';')
                abort();
            str_append(&result.text, statement);
        } while (true);
        free(piece);
    }
    result.count = splitter.statements;
    result.is_right = result.is_right && !insert_splitter_finish(&splitter, &err);
    return result;
}

static void compare(struct result a, struct result b)
{
    if (a.is_right != b.is_right)
        abort();
    if (a.is_right && (a.count != b.count || a.text.length != b.text.length ||
                       (a.text.length && memcmp(a.text.data, b.text.data, a.text.length) != 0)))
        abort();
    str_release(&a.text);
    str_release(&b.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 1 + CUTS)
        return 0;
    struct input cut = {(const char *)bytes + 1 + CUTS, length - 1 - CUTS, bytes + 1};
    struct input whole = cut;
    whole.cuts = NULL;
    if ((bytes[0] & 1) == KIND_INSERTS) {
        bool standard_strings = bytes[0] & 2;
        compare(split_inserts(&cut, standard_strings), split_inserts(&whole, standard_strings));
    } else {
        compare(split_copy(&cut), walk_copy(&whole));
    }
    return 0;
}
