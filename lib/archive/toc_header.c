#include "lib/archive/toc_header.h"

#include <string.h>

#include "lib/archive/toc_text.h"
#include "lib/base/str.h"

enum {
    BYTE_CUSTOM = 1,
    BYTE_FILES = 3, /* tar, and the table of contents of the directory format too */
    MINOR_OLDEST = 12,
    MINOR_NEWEST = 16,
    MINOR_COMPRESSION_ALGORITHM = 15,
    TIME_FIELDS = 7,
};

/* What the bytes are when they are no archive, for the operator who pointed at the wrong object. */
static const char *guess_content(const unsigned char *b, size_t length)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *hint;
    } known[] = {
        {"\x1f\x8b", 2,
         "this is gzip: store the archive as pg_dump -Fc wrote it, which is compressed already"},
        {"\x28\xb5\x2f\xfd", 4, "this is zstd: store the archive as pg_dump -Fc wrote it"},
        {"\x04\x22\x4d\x18", 4, "this is lz4: store the archive as pg_dump -Fc wrote it"},
        {"--\n", 3, "this looks like plain SQL: make backups with pg_dump -Fc"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (length >= known[i].length && memcmp(b, known[i].magic, known[i].length) == 0)
            return known[i].hint;
    return "make backups with pg_dump -Fc, and check that the name is that of a backup";
}

static enum errc parse_magic(struct input *in, struct error *err)
{
    static const char magic[] = {'P', 'G', 'D', 'M', 'P'};
    unsigned char begin[sizeof magic] = {0};
    size_t have = input_left(in) < sizeof begin ? (size_t)input_left(in) : sizeof begin;
    enum errc code = input_bytes(in, begin, have, err);
    if (code)
        return code;
    if (have == sizeof begin && memcmp(begin, magic, sizeof magic) == 0)
        return RR_OK;
    error_set(err, ERR_ARCHIVE_CORRUPT, have ? "not a pg_dump archive" : "the archive is empty");
    return error_hint(err, "%s", guess_content(begin, have));
}

/* Compression, time and names, which follow the sizes. */
static enum errc parse_compression(struct input *in, struct toc *toc, struct error *err)
{
    if (toc->minor < MINOR_COMPRESSION_ALGORITHM) { /* a level: 0 none, -1 default, 1 to 9 */
        int64_t level;
        enum errc code = input_int_between(in, -1, 9, "compression level", &level, err);
        if (code == RR_OK)
            toc->compression = level ? COMPRESSION_ZLIB : COMPRESSION_NONE;
        return code;
    }
    static const enum compression algorithms[] = {COMPRESSION_NONE, COMPRESSION_ZLIB,
                                                  COMPRESSION_LZ4, COMPRESSION_ZSTD};
    unsigned algorithm;
    enum errc code = input_byte(in, &algorithm, err);
    if (code)
        return code;
    if (algorithm >= sizeof algorithms / sizeof algorithms[0])
        return error_set(err, ERR_ARCHIVE_UNSUPPORTED, "unknown compression algorithm %u",
                         algorithm);
    toc->compression = algorithms[algorithm];
    return RR_OK;
}

static enum errc parse_origin(struct input *in, struct arena *arena, struct toc *toc,
                              struct error *err)
{
    /* Time of the dump in the dumper's own zone, which is not told: no instant, hence not kept. */
    for (int i = 0; i < TIME_FIELDS; i++) {
        int64_t ignored;
        enum errc code = input_int(in, &ignored, err);
        if (code)
            return code;
    }
    const char **const texts[] = {&toc->database_name, &toc->server_version, &toc->dump_version};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        enum errc code = toc_text(in, arena, texts[i], err);
        if (code)
            return code;
    }
    return RR_OK;
}

/* Names the pg_dump version of an archive that is too new, if the header is still as in 1.16. */
static enum errc refuse_newer(struct input *in, struct arena *arena, struct toc *toc,
                              struct error *err)
{
    struct error ignored = ERROR_INIT;
    STR_GUARD struct str by = STR_INIT(256);
    if (parse_compression(in, toc, &ignored) == RR_OK &&
        parse_origin(in, arena, toc, &ignored) == RR_OK && toc->dump_version) {
        str_append(&by, " made by pg_dump ");
        str_append_quoted(&by, toc->dump_version, 60);
    }
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "archive version %d.%d%s is newer than 1.%d",
              toc->major, toc->minor, str_text(&by), MINOR_NEWEST);
    return error_hint(err,
                      "a newer release of this program may know it; or dump with pg_dump 12 to 18");
}

static enum errc check_version(struct input *in, struct arena *arena, struct toc *toc,
                               struct error *err)
{
    if (toc->major > 1 || (toc->major == 1 && toc->minor > MINOR_NEWEST))
        return refuse_newer(in, arena, toc, err);
    if (toc->major == 1 && toc->minor >= MINOR_OLDEST)
        return RR_OK;
    error_set(err, ERR_ARCHIVE_UNSUPPORTED, "archive version %d.%d is older than 1.%d", toc->major,
              toc->minor, MINOR_OLDEST);
    return error_hint(
        err, "it was made before PostgreSQL 9.0: restore it with pg_restore and dump it again");
}

/* The byte of the header against where the header was found. */
static enum errc check_format(unsigned byte, const struct toc *toc, struct error *err)
{
    if (byte == (toc->format == FORMAT_CUSTOM ? BYTE_CUSTOM : BYTE_FILES))
        return RR_OK;
    if (byte != BYTE_FILES)
        return error_set(err, ERR_ARCHIVE_CORRUPT, "archive format %u where it cannot be", byte);
    error_set(err, ERR_ARCHIVE_UNSUPPORTED,
              "this is the table of contents of an archive in directory format, without its data");
    return error_hint(err, "name the folder that it lies in, with a slash at the end");
}

enum errc toc_header_parse(struct input *in, struct arena *arena, struct toc *toc,
                           struct error *err)
{
    enum { VERSION_MAJOR, VERSION_MINOR, VERSION_REVISION, INT_SIZE, OFFSET_SIZE, FORMAT, FIELDS };
    unsigned char fields[FIELDS];
    enum errc code = parse_magic(in, err);
    if (code == RR_OK)
        code = input_bytes(in, fields, sizeof fields, err);
    if (code)
        return code;
    toc->major = fields[VERSION_MAJOR];
    toc->minor = fields[VERSION_MINOR];
    toc->revision = fields[VERSION_REVISION];
    toc->int_size = fields[INT_SIZE];
    toc->offset_size = fields[OFFSET_SIZE];
    code = check_version(in, arena, toc, err);
    if (code)
        return code;
    if (toc->int_size != 4 || (toc->offset_size != 4 && toc->offset_size != 8))
        return input_corrupt(in, err, "numbers of %d and offsets of %d bytes", toc->int_size,
                             toc->offset_size);
    code = check_format(fields[FORMAT], toc, err);
    if (code == RR_OK)
        code = parse_compression(in, toc, err);
    if (code == RR_OK)
        code = parse_origin(in, arena, toc, err);
    return code;
}
