#include "lib/archive/input.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/source.h"

/* A request costs more than these bytes, and what lies behind the end is often wanted next. */
static const size_t least_read_bytes = 64 * LIMIT_KIB;

void input_init(struct input *in, struct source_reader *reader, uint64_t begin, uint64_t end,
                size_t first_read)
{
    *in = (struct input){
        .reader = reader,
        .position = begin,
        .end = end,
        .first_read = first_read,
        .next_read = first_read,
    };
}

void input_init_memory(struct input *in, const void *bytes, size_t length, uint64_t end)
{
    *in = (struct input){.window = bytes, .window_length = length, .end = end};
}

void input_release(struct input *in)
{
    free(in->buffer);
    *in = (struct input){0};
}

void input_move(struct input *in, uint64_t position, uint64_t end)
{
    in->position = position;
    in->end = end;
}

uint64_t input_left(const struct input *in)
{
    return in->position < in->end ? in->end - in->position : 0;
}

enum errc input_wrap(const struct input *in, struct error *err)
{
    const struct source_part *part = NULL;
    /* At the end of a part it is that part which ended. */
    bool is_at_end = in->position == in->end && in->position > in->window_begin;
    if (in->reader)
        part = source_part_at(in->reader->source, in->position - is_at_end);
    if (part)
        return error_wrap(err, "'%s', byte %llu", part->name,
                          (unsigned long long)(in->position - part->begin));
    return error_wrap(err, "byte %llu", (unsigned long long)in->position);
}

enum errc input_corrupt(const struct input *in, struct error *err, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    error_set(err, ERR_ARCHIVE_CORRUPT, "%s", text);
    input_wrap(in, err);
    return error_hint(err, "the backup is damaged or was cut off while it was written or copied: "
                           "compare it with its origin, or choose another backup");
}

/* All reads of more than what is there end here, so that no length of the archive is believed. */
static enum errc refuse_short(struct input *in, uint64_t length, struct error *err)
{
    in->is_short = true;
    return input_corrupt(in, err, "%llu bytes are needed, but only %llu are left",
                         (unsigned long long)length, (unsigned long long)input_left(in));
}

/* Bytes of the window from the position on. */
static size_t window_left(const struct input *in)
{
    uint64_t window_end = in->window_begin + in->window_length;
    if (in->position < in->window_begin || in->position >= window_end)
        return 0;
    uint64_t left = window_end - in->position;
    return (size_t)(left < input_left(in) ? left : input_left(in));
}

/* How much to read at the position, which is not at the end. */
static size_t plan_read(struct input *in)
{
    /* A chunk that crosses the end of the window is leapt over: that is going on, too. */
    uint64_t window_end = in->window_begin + in->window_length;
    bool goes_on = in->window_length && in->position >= window_end &&
                   in->position - window_end < in->next_read;
    in->next_read =
        goes_on && in->next_read * 2 > in->first_read ? in->next_read * 2 : in->first_read;
    if (in->next_read > LIMIT_READ_BYTES)
        in->next_read = LIMIT_READ_BYTES;
    uint64_t wanted = input_left(in) > least_read_bytes ? input_left(in) : least_read_bytes;
    uint64_t there = source_run_bytes(in->reader->source, in->position);
    uint64_t most = wanted < there ? wanted : there;
    return most < in->next_read ? (size_t)most : in->next_read;
}

/* Puts the window at the position. */
static enum errc fetch(struct input *in, struct error *err)
{
    if (input_left(in) == 0)
        return refuse_short(in, 1, err);
    if (!in->reader)
        return input_corrupt(in, err, "the bytes in memory end here");
    size_t length = plan_read(in);
    if (length > in->capacity) {
        in->buffer = mem_resize(in->buffer, length);
        in->capacity = length;
    }
    in->window_length = 0; /* whatever was there is lost if the read fails */
    enum errc code = source_read(in->reader, in->position, in->buffer, length, err);
    if (code)
        return code;
    in->window = in->buffer;
    in->window_begin = in->position;
    in->window_length = length;
    return RR_OK;
}

enum errc input_peek(struct input *in, size_t max, const unsigned char **ret_bytes,
                     size_t *ret_length, struct error *err)
{
    size_t have = window_left(in);
    if (have == 0) {
        enum errc code = fetch(in, err);
        if (code)
            return code;
        have = window_left(in);
    }
    *ret_bytes = in->window + (in->position - in->window_begin);
    *ret_length = have < max ? have : max;
    return RR_OK;
}

enum errc input_bytes(struct input *in, void *buffer, size_t length, struct error *err)
{
    if (length > input_left(in))
        return refuse_short(in, length, err);
    for (size_t done = 0; done < length;) {
        const unsigned char *bytes;
        size_t piece;
        enum errc code = input_peek(in, length - done, &bytes, &piece, err);
        if (code)
            return code;
        memcpy((char *)buffer + done, bytes, piece);
        done += piece;
        in->position += piece;
    }
    return RR_OK;
}

enum errc input_skip(struct input *in, uint64_t length, struct error *err)
{
    if (length > input_left(in))
        return refuse_short(in, length, err);
    in->position += length;
    return RR_OK;
}

enum errc input_byte(struct input *in, unsigned *ret_value, struct error *err)
{
    unsigned char byte;
    enum errc code = input_bytes(in, &byte, 1, err);
    if (code == RR_OK)
        *ret_value = byte;
    return code;
}

enum errc input_int(struct input *in, int64_t *ret_value, struct error *err)
{
    unsigned char b[INPUT_INT_BYTES];
    enum errc code = input_bytes(in, b, sizeof b, err);
    if (code)
        return code;
    if (b[0] > 1) {
        in->position -= sizeof b;
        return input_corrupt(in, err, "%u where the sign of a number is expected", b[0]);
    }
    int64_t magnitude =
        (int64_t)b[1] | (int64_t)b[2] << 8 | (int64_t)b[3] << 16 | (int64_t)b[4] << 24;
    *ret_value = b[0] ? -magnitude : magnitude;
    return RR_OK;
}

enum errc input_int_between(struct input *in, int64_t min, int64_t max, const char *what,
                            int64_t *ret_value, struct error *err)
{
    int64_t value;
    enum errc code = input_int(in, &value, err);
    if (code)
        return code;
    if (value < min || value > max) {
        in->position -= INPUT_INT_BYTES;
        return input_corrupt(in, err, "%s is %lld", what, (long long)value);
    }
    *ret_value = value;
    return RR_OK;
}
