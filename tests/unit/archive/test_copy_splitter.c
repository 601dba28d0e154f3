#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/archive/copy_splitter.h"
#include "lib/base/str.h"

struct row {
    const char *name, *input;
    const char *sent; /* NULL: refused */
    uint64_t rows;
    const char *error; /* part of the text */
};

static const struct row rows[] = {
    {"no rows", "\\.\n\n\n", "", 0, NULL},
    {"one row", "1\tx\n\\.\n\n\n", "1\tx\n", 1, NULL},
    {"no empty lines behind the marker", "1\n\\.\n", "1\n", 1, NULL},
    {"rows without columns", "\n\n\n\\.\n\n\n", "\n\n\n", 3, NULL},
    {"an escaped marker is a value", "\\\\.\n\\.\n\n\n", "\\\\.\n", 1, NULL},
    {"null first", "\\N\t1\n\\.\n", "\\N\t1\n", 1, NULL},
    {"a backslash alone", "\\\n\\.\n", "\\\n", 1, NULL},
    {"marker with something behind it in the line", "\\.x\n\\.\n", "\\.x\n", 1, NULL},
    {"marker inside a line", "x\\.\n\\.\n", "x\\.\n", 1, NULL},
    {"marker twice in a line", "\\.\\.\n\\.\n", "\\.\\.\n", 1, NULL},
    {"carriage returns are data", "a\r\n\\.\n", "a\r\n", 1, NULL},
    {"nothing at all", "", NULL, 0, "without an end marker"},
    {"no marker", "1\n2\n", NULL, 2, "after 2 rows without an end marker"},
    {"empty lines only", "\n\n", NULL, 2, "without an end marker"},
    {"row cut off", "1\n2", NULL, 1, "inside row 2"},
    {"cut behind the backslash", "1\n\\", NULL, 1, "without an end marker"},
    {"cut behind the dot", "1\n\\.", NULL, 1, "without an end marker"},
    {"marker with carriage return", "1\n\\.\r\n", NULL, 2, "without an end marker"},
    {"row behind the marker", "1\n\\.\n2\n\\.\n\n\n", NULL, 1, "go on after"},
    {"second marker", "1\n\\.\n\\.\n", NULL, 1, "go on after"},
    {"space behind the marker", "1\n\\.\n \n", NULL, 1, "go on after"},
    {"a byte behind the marker and its empty lines", "1\n\\.\n\n\n@", NULL, 1, "go on after"},
};

/* Feeds `input` in pieces that end at the given cuts. */
static enum errc split(const char *input, const size_t cuts[2], struct str *sent,
                       uint64_t *ret_rows, struct error *err)
{
    struct copy_splitter splitter = {0};
    size_t length = strlen(input), begin = 0;
    for (int i = 0; i < 3; i++) {
        size_t end = i < 2 ? cuts[i] : length, held_length, send;
        char held[4];
        char *piece =
            malloc(end - begin + 1); /* of its own, so that a sanitizer sees reads beyond it */
        memcpy(piece, input + begin, end - begin);
        enum errc code =
            copy_splitter_feed(&splitter, piece, end - begin, held, &held_length, &send, err);
        if (code == RR_OK) {
            str_append_bytes(sent, held, held_length);
            str_append_bytes(sent, piece, send);
        }
        free(piece);
        if (code)
            return code;
        begin = end;
    }
    *ret_rows = splitter.rows;
    return copy_splitter_finish(&splitter, err);
}

static void test_every_row_of_the_table_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        size_t length = strlen(row->input), cuts[2];
        for (cuts[0] = 0; cuts[0] <= length; cuts[0]++)
            for (cuts[1] = cuts[0]; cuts[1] <= length; cuts[1]++) {
                STR_GUARD struct str sent = STR_INIT(1000);
                struct error err = ERROR_INIT;
                uint64_t count = row->rows;
                enum errc code = split(row->input, cuts, &sent, &count, &err);
                if ((code == RR_OK) != (row->sent != NULL) || count != row->rows)
                    fail_msg("%s, cut at %zu and %zu: %s, %d rows", row->name, cuts[0], cuts[1],
                             err.text, (int)count);
                if (row->sent)
                    assert_string_equal(str_text(&sent), row->sent);
                else if (code != ERR_ARCHIVE_CORRUPT || !strstr(err.text, row->error))
                    fail_msg("%s: %s", row->name, err.text);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_the_table_at_every_cut),
    };
    return cmocka_run_group_tests_name("archive/copy_splitter", tests, NULL, NULL);
}
