/*
 * account - what has become of every entry of a table of contents. Pure.
 *
 * Each entry ends in exactly one state. A load counts only when none has failed, none was left out,
 * and done and skipped together are all there are.
 */
#ifndef RR_RESTORE_ACCOUNT_H
#define RR_RESTORE_ACCOUNT_H

#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/restore/order.h"

enum entry_state { ENTRY_NOT_REACHED, ENTRY_DONE, ENTRY_SKIPPED, ENTRY_FAILED };

struct account {
    const struct toc *toc;
    struct account_line {
        unsigned char state; /* enum entry_state */
        unsigned char skip;  /* enum skip */
    } * lines;               /* one per entry, in the arena */
    uint64_t done, skipped, failed;
};

void account_init(struct account *account, const struct toc *toc, struct arena *arena);
/* `skip` SKIP_NONE: done. */
void account_finish(struct account *account, uint32_t position, enum skip skip);
void account_fail(struct account *account, uint32_t position);
/* ERR_LOAD when the sum is not right, naming the first entry that is missing. */
enum errc account_check(const struct account *account, struct error *err) RR_MUST_CHECK;
/* Texts about the skipped entries that a person should know of, in archive order. */
void account_notable(const struct account *account, struct arena *arena, const char ***ret_texts,
                     size_t *ret_count);

#endif
