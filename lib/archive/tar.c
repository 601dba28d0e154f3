#include "lib/archive/tar.h"

#include <string.h>

#include "lib/base/str.h"

/* Places in a header, as POSIX has them (pax, ustar interchange format). */
enum {
    NAME_AT = 0,
    NAME_BYTES = 100,
    SIZE_AT = 124,
    SIZE_BYTES = 12,
    CHECKSUM_AT = 148,
    CHECKSUM_BYTES = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    MAGIC_BYTES = 5, /* "ustar"; what follows differs between versions of pg_dump */
};
enum { END_BLOCKS = 2, SHOWN_BYTES = 100 };

static bool is_zero(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Octal digits, then nothing but blanks and zero bytes. */
static bool parse_octal(const unsigned char *field, size_t length, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(field[i] - '0');
    bool has_digits = i > 0;
    for (; i < length; i++)
        if (field[i] != ' ' && field[i] != '\0')
            return false;
    *ret_value = value;
    return has_digits;
}

/* Octal, or with 0x80 in front base 256, the highest byte first. */
static bool parse_size(const unsigned char *field, uint64_t *ret_value)
{
    if (field[0] != 0x80)
        return parse_octal(field, SIZE_BYTES, ret_value);
    size_t first = SIZE_BYTES - sizeof(uint64_t);
    uint64_t value = 0;
    if (!is_zero(field + 1, first - 1) || field[first] & 0x80)
        return false; /* beyond what a file can have */
    for (size_t i = first; i < SIZE_BYTES; i++)
        value = value << 8 | field[i];
    *ret_value = value;
    return true;
}

/* The sum of all bytes, those of its own field taken as blanks. */
static uint64_t sum_header(const unsigned char *header)
{
    uint64_t sum = CHECKSUM_BYTES * ' ';
    for (size_t i = 0; i < TAR_BLOCK_BYTES; i++)
        if (i < CHECKSUM_AT || i >= CHECKSUM_AT + CHECKSUM_BYTES)
            sum += header[i];
    return sum;
}

static bool has_right_sum(const unsigned char *header)
{
    uint64_t sum;
    return parse_octal(header + CHECKSUM_AT, CHECKSUM_BYTES, &sum) && sum == sum_header(header);
}

enum errc tar_is_tar(struct input *in, bool *ret_is_tar, struct error *err)
{
    const uint64_t begin = in->position;
    unsigned char header[TAR_BLOCK_BYTES];
    *ret_is_tar = false;
    if (input_left(in) < sizeof header)
        return RR_OK;
    enum errc code = input_bytes(in, header, sizeof header, err);
    input_move(in, begin, in->end);
    if (code == RR_OK)
        *ret_is_tar = memcmp(header + MAGIC_AT, "ustar", MAGIC_BYTES) == 0 && has_right_sum(header);
    return code;
}

/* The name must be one that pg_dump gives: no folder, nothing hidden, nothing to be escaped. */
static enum errc parse_name(const struct input *in, const unsigned char *header,
                            char ret_name[NAME_BYTES + 1], struct error *err)
{
    memcpy(ret_name, header + NAME_AT, NAME_BYTES);
    ret_name[NAME_BYTES] = '\0';
    size_t length = strlen(ret_name);
    bool is_sane = length > 0 && length < NAME_BYTES && ret_name[0] != '.' &&
                   is_zero(header + NAME_AT + length, NAME_BYTES - length) &&
                   strspn(ret_name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_.-") == length;
    if (is_sane)
        return RR_OK;
    STR_GUARD struct str quoted = STR_INIT(4 * SHOWN_BYTES);
    str_append_quoted(&quoted, ret_name, SHOWN_BYTES);
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "byte %llu: a member named %s",
              (unsigned long long)in->position, str_text(&quoted));
    return error_hint(err, "a tar is read as 'pg_dump -Ft' wrote it; unpack one that was made with "
                           "tar, and name the folder");
}

/* A header that is not all zeros; the input stands at its first byte. */
static enum errc parse_header(const struct input *in, const unsigned char *header,
                              char ret_name[NAME_BYTES + 1], uint64_t *ret_bytes, struct error *err)
{
    if (!has_right_sum(header) || memcmp(header + MAGIC_AT, "ustar", MAGIC_BYTES) != 0)
        return input_corrupt(in, err, "the header of a tar member should be here");
    enum errc code = parse_name(in, header, ret_name, err);
    if (code)
        return code;
    if (header[TYPE_AT] != '0' && header[TYPE_AT] != '\0')
        return input_corrupt(in, err, "'%s' is no regular file", ret_name);
    if (!parse_size(header + SIZE_AT, ret_bytes))
        return input_corrupt(in, err, "the size of '%s' is no number", ret_name);
    return RR_OK;
}

/* Moves behind the content and its padding. */
static enum errc pass_content(struct input *in, const char *name, uint64_t bytes, struct error *err)
{
    uint64_t padding = (TAR_BLOCK_BYTES - bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
    if (bytes > input_left(in) || padding > input_left(in) - bytes)
        return input_corrupt(in, err, "'%s' has %llu bytes, but only %llu are left", name,
                             (unsigned long long)bytes, (unsigned long long)input_left(in));
    return input_skip(in, bytes + padding, err);
}

/* A block of zeros was read; one more must follow, and only zeros, with which tar fills records. */
static enum errc pass_end(struct input *in, struct error *err)
{
    uint64_t left = input_left(in);
    if (left < (END_BLOCKS - 1) * TAR_BLOCK_BYTES)
        return input_corrupt(in, err, "the end of the tar is cut off");
    if (left > 20 * TAR_BLOCK_BYTES)
        return input_corrupt(in, err, "%llu bytes follow the end of the tar",
                             (unsigned long long)left);
    unsigned char rest[20 * TAR_BLOCK_BYTES];
    enum errc code = input_bytes(in, rest, (size_t)left, err);
    if (code == RR_OK && !is_zero(rest, (size_t)left))
        code = input_corrupt(in, err, "something follows the end of the tar");
    return code;
}

enum errc tar_read_members(struct input *in, struct arena *arena, struct members *members,
                           struct error *err)
{
    for (;;) {
        const uint64_t begin = in->position;
        unsigned char header[TAR_BLOCK_BYTES];
        char name[NAME_BYTES + 1];
        uint64_t bytes = 0;
        if (input_left(in) < sizeof header)
            return input_corrupt(in, err, "the tar ends without its end: it is cut off");
        enum errc code = input_bytes(in, header, sizeof header, err);
        if (code)
            return code;
        if (is_zero(header, sizeof header))
            return pass_end(in, err);
        input_move(in, begin, in->end);
        if ((code = parse_header(in, header, name, &bytes, err)) ||
            (code = input_skip(in, sizeof header, err)) ||
            (code = members_add(members, arena, name, in->position, bytes, err)) ||
            (code = pass_content(in, name, bytes, err)))
            return code;
    }
}
