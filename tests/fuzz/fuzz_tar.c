/*
 * The tar format from any bytes, read as a load does. Whatever looks like a header gets the right
 * checksum first, or no change of one would ever be looked at. The first bit of the first byte says
 * whether it does.
 */
#include "tests/unit/archive/archive_check.h"

enum { BLOCK = 512, CHECKSUM_AT = 148, MAGIC_AT = 257 };

static void sum_up(unsigned char *header)
{
    unsigned sum = 0;
    memset(header + CHECKSUM_AT, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += header[i];
    snprintf((char *)header + CHECKSUM_AT, 8, "%06o", sum & 0777777);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return 0;
    size_t tar_length = length - 1;
    unsigned char *tar = mem_alloc(tar_length + 1); /* of its own: a sanitizer sees its end */
    memcpy(tar, bytes + 1, tar_length);
    if (bytes[0] & 1)
        for (size_t at = 0; at + BLOCK <= tar_length; at += BLOCK)
            if (memcmp(tar + at + MAGIC_AT, "ustar", 5) == 0)
                sum_up(tar + at);
    struct whole whole = {0};
    struct error err = ERROR_INIT;
    if (read_whole_bytes(tar, tar_length, &whole, &err) && err.code != ERR_ARCHIVE_CORRUPT &&
        err.code != ERR_ARCHIVE_UNSUPPORTED && err.code != ERR_TOO_LARGE)
        abort();
    free(tar);
    return 0;
}
