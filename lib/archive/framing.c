#include "lib/archive/framing.h"

#include "lib/base/limits.h"

enum errc framing_header(struct input *in, const struct entry *entry, struct error *err)
{
    const uint64_t begin = in->position;
    const unsigned expected = entry->kind == ENTRY_BLOBS ? BLOCK_BLOBS : BLOCK_DATA;
    unsigned type;
    int64_t dump_id;
    enum errc code = input_byte(in, &type, err);
    if (code == RR_OK)
        code = input_int(in, &dump_id, err);
    if (code)
        return code;
    if (type != expected || dump_id != entry->dump_id) {
        in->position = begin;
        return input_corrupt(in, err,
                             "the data of entry %d should begin here, but this is a block of type "
                             "%u and id %lld",
                             (int)entry->dump_id, type, (long long)dump_id);
    }
    return RR_OK;
}

enum errc framing_chunk(struct input *in, size_t *ret_length, struct error *err)
{
    int64_t length;
    enum errc code =
        input_int_between(in, 0, LIMIT_CHUNK_BYTES, "length of a chunk of data", &length, err);
    if (code)
        return code;
    if ((uint64_t)length > input_left(in))
        return input_corrupt(in, err, "a chunk of %lld bytes, but only %llu are left",
                             (long long)length, (unsigned long long)input_left(in));
    *ret_length = (size_t)length;
    return RR_OK;
}

enum errc framing_oid(struct input *in, uint32_t *ret_oid, struct error *err)
{
    int64_t oid; /* written as a signed number: above 2^31 - 1 it is negative */
    enum errc code = input_int(in, &oid, err);
    if (code == RR_OK)
        *ret_oid = (uint32_t)oid;
    return code;
}
