#include "lib/reconcile/journal.h"

#include <stdarg.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

static const struct {
    const char *name;
    bool is_public;
    const char *meaning;
} keys[JOURNAL_KEY_COUNT] = {
#define X(enumerator, name, is_public, meaning) [enumerator] = {name, is_public, meaning},
    JOURNAL_KEY_TABLE(X)
#undef X
};

static enum journal_key key_from_name(const char *name)
{
    int i = 0;
    while (i < JOURNAL_KEY_COUNT && strcmp(keys[i].name, name) != 0)
        i++;
    return (enum journal_key)i;
}

enum errc journal_read(struct store *store, struct journal *ret_journal, struct error *err)
{
    struct journal journal = {.store = store};
    enum errc code = store_journal_read(store, &journal.arena, &journal.data, err);
    if (code) {
        arena_release(&journal.arena);
        return code;
    }
    for (int i = 0; i < JOURNAL_KEY_COUNT; i++)
        journal.values[i] = "";
    journal.values[J_PHASE] = JOURNAL_IDLE;
    for (size_t i = 0; i < journal.data.count; i++) {
        enum journal_key key = key_from_name(journal.data.names[i]);
        if (key < JOURNAL_KEY_COUNT)
            journal.values[key] = journal.data.values[i];
    }
    *ret_journal = journal;
    return RR_OK;
}

/* Our values in table order, then names of a newer version of this program, which are not ours to
 * lose. */
static void render(struct journal *journal)
{
    struct journal_data old = journal->data, now = old;
    size_t most = JOURNAL_KEY_COUNT + old.count;
    now.names = arena_array(&journal->arena, most, sizeof *now.names);
    now.values = arena_array(&journal->arena, most, sizeof *now.values);
    now.count = 0;
    for (int i = 0; i < JOURNAL_KEY_COUNT; i++) {
        if (journal->values[i][0] == '\0')
            continue;
        now.names[now.count] = keys[i].name;
        now.values[now.count++] = journal->values[i];
    }
    for (size_t i = 0; i < old.count; i++) {
        if (key_from_name(old.names[i]) < JOURNAL_KEY_COUNT)
            continue;
        now.names[now.count] = old.names[i];
        now.values[now.count++] = old.values[i];
    }
    journal->data = now;
}

enum errc journal_write(struct journal *journal, struct error *err)
{
    if (!journal->is_dirty)
        return RR_OK;
    render(journal);
    enum errc code = store_journal_write(journal->store, &journal->data, err);
    if (code)
        return error_wrap(err, "journal");
    journal->is_dirty = false;
    return RR_OK;
}

void journal_release(struct journal *journal)
{
    if (journal)
        arena_release(&journal->arena);
}

const char *journal_get(const struct journal *journal, enum journal_key key)
{
    return journal->values[key];
}

void journal_set(struct journal *journal, enum journal_key key, const char *value)
{
    if (!value)
        value = "";
    if (strcmp(journal->values[key], value) == 0)
        return;
    journal->values[key] = arena_strdup(&journal->arena, value);
    journal->is_dirty = true;
}

void journal_setf(struct journal *journal, enum journal_key key, const char *fmt, ...)
{
    STR_GUARD struct str text = STR_INIT(LIMIT_JOURNAL_BYTES);
    va_list ap;
    va_start(ap, fmt);
    str_vprintf(&text, fmt, ap);
    va_end(ap);
    journal_set(journal, key, str_text(&text));
}

bool journal_is_idle(const struct journal *journal)
{
    return strcmp(journal->values[J_PHASE], JOURNAL_IDLE) == 0;
}

uint64_t journal_count(const struct journal *journal, enum journal_key key)
{
    uint64_t value;
    return text_to_u64(journal->values[key], UINT64_MAX, &value) ? value : 0;
}

bool journal_flag(const struct journal *journal, enum journal_key key)
{
    return strcmp(journal->values[key], "true") == 0;
}

const char *journal_key_name(enum journal_key key)
{
    return keys[key].name;
}

const char *journal_key_meaning(enum journal_key key)
{
    return keys[key].meaning;
}

bool journal_key_is_public(enum journal_key key)
{
    return keys[key].is_public;
}
