#include "lib/restore/account.h"

#include "lib/restore/statements.h"

void account_init(struct account *account, const struct toc *toc, struct arena *arena)
{
    *account = (struct account){.toc = toc};
    account->lines = arena_array(arena, toc->count, sizeof *account->lines);
}

void account_finish(struct account *account, uint32_t position, enum skip skip)
{
    struct account_line *line = &account->lines[position];
    line->state = skip == SKIP_NONE ? ENTRY_DONE : ENTRY_SKIPPED;
    line->skip = (unsigned char)skip;
    if (skip == SKIP_NONE)
        account->done++;
    else
        account->skipped++;
}

void account_fail(struct account *account, uint32_t position)
{
    account->lines[position].state = ENTRY_FAILED;
    account->failed++;
}

/* The lines themselves are asked, not the sums: those would not notice an entry counted twice. */
enum errc account_check(const struct account *account, struct error *err)
{
    uint64_t missing = 0;
    const struct entry *first = NULL;
    for (size_t i = 0; i < account->toc->count; i++) {
        unsigned char state = account->lines[i].state;
        if (state == ENTRY_DONE || state == ENTRY_SKIPPED)
            continue;
        if (missing++ == 0)
            first = &account->toc->entries[i];
    }
    if (missing > 0) {
        ARENA_GUARD struct arena arena = {0};
        return error_set(err, ERR_LOAD, "%llu of %zu entries were not restored, the first is %s",
                         (unsigned long long)missing, account->toc->count,
                         entry_title(&arena, first));
    }
    if (account->done + account->skipped != account->toc->count || account->failed != 0)
        return error_set(err, ERR_BUG, "%llu entries done and %llu skipped do not make %zu",
                         (unsigned long long)account->done, (unsigned long long)account->skipped,
                         account->toc->count);
    return RR_OK;
}

static bool is_notable(const struct account *account, size_t position)
{
    enum entry_kind kind = account->toc->entries[position].kind;
    return account->lines[position].skip == SKIP_SUBSCRIPTION &&
           (kind == ENTRY_SUBSCRIPTION || kind == ENTRY_SUBSCRIPTION_TABLE);
}

void account_notable(const struct account *account, struct arena *arena, const char ***ret_texts,
                     size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < account->toc->count; i++)
        count += is_notable(account, i);
    const char **texts = arena_array(arena, count, sizeof *texts);
    count = 0;
    for (size_t i = 0; i < account->toc->count; i++)
        if (is_notable(account, i))
            texts[count++] =
                arena_printf(arena, "%s: %s", entry_title(arena, &account->toc->entries[i]),
                             skip_text(account->lines[i].skip));
    *ret_texts = texts;
    *ret_count = count;
}
