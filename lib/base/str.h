/*
 * str - a growing byte buffer, born with a limit.
 *
 * A `struct str` starts as STR_INIT(limit_bytes). Appending past the limit does not grow it: the
 * text is cut, `is_cut` stays true, and whoever takes the text checks that flag once at the end
 * (str_check()). So a loop of appends needs no test each. `data` is always terminated when not
 * NULL, and may hold NUL bytes inside when bytes were appended. The heap memory belongs to the
 * struct; str_release() frees it. Out of memory ends the process.
 */
#ifndef RR_BASE_STR_H
#define RR_BASE_STR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"

struct str {
    char *data; /* NULL while empty */
    size_t length;
    size_t capacity;
    size_t limit; /* length never exceeds it */
    bool is_cut;  /* something did not fit */
};

#define STR_INIT(limit_bytes) ((struct str){.limit = (limit_bytes)})
#define STR_GUARD __attribute__((cleanup(str_release)))

void str_append(struct str *s, const char *text);
void str_append_bytes(struct str *s, const void *bytes, size_t length);
void str_append_char(struct str *s, char c);
void str_printf(struct str *s, const char *fmt, ...) RR_PRINTF(2, 3);
void str_vprintf(struct str *s, const char *fmt, va_list ap);

/* Appends text between single quotes with every byte outside printable ASCII or well-formed UTF-8,
 * every control character, quote and backslash escaped (\n, \x1b, \', \\): safe for a log line, an
 * error text and a terminal. At most `max` bytes of the text are shown, then "...". NULL is (null).
 */
void str_append_quoted(struct str *s, const char *text, size_t max);

/* Appends text as a JSON string with its quotes. Invalid UTF-8 becomes U+FFFD. NULL is null. */
void str_append_json(struct str *s, const char *text);
void str_append_json_bytes(struct str *s, const char *text, size_t length);

/* The text, "" when empty. Valid until the next append or release. */
const char *str_text(const struct str *s);

/* Keeps memory, forgets the content. */
void str_clear(struct str *s);
void str_release(struct str *s);

/* Moves the content out (caller frees with free()); the buffer is empty afterwards. Never NULL. */
char *str_take(struct str *s);

/* ERR_TOO_LARGE naming `what` if anything was cut. */
enum errc str_check(const struct str *s, const char *what, struct error *err) RR_MUST_CHECK;

/* Whether `text` begins with `prefix`. */
bool text_has_prefix(const char *text, const char *prefix);
bool text_has_suffix(const char *text, const char *suffix);
/* Equal, or both NULL. */
bool text_equal(const char *a, const char *b);
/* Strict decimal: digits only, no sign, no blanks, at most `max`. False: not such a number. */
bool text_to_u64(const char *text, uint64_t max, uint64_t *ret_value);
/* The candidate nearest to `word` by edit distance, or NULL if none is near enough to suggest.
 * `candidates` ends with NULL. */
const char *text_nearest(const char *word, const char *const candidates[]);

#endif
