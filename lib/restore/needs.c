#include "lib/restore/needs.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/restore/lexer.h"
#include "lib/restore/order.h"

const char *power_text(enum power power)
{
    static const char *const texts[POWER_COUNT] = {
#define X(enumerator, text) [enumerator] = text,
        POWER_TABLE(X)
#undef X
    };
    return texts[power];
}

/* Lists of names. */

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261U;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    return hash;
}

static uint32_t *find_slot(const struct need_list *list, const char *name)
{
    size_t at = hash_of(name) % list->slot_count;
    while (list->slots[at] != 0 && strcmp(list->items[list->slots[at] - 1].name, name) != 0)
        at = (at + 1) % list->slot_count;
    return &list->slots[at];
}

static void grow(struct need_list *list)
{
    size_t capacity = list->capacity == 0 ? 32 : 2 * list->capacity;
    struct need *items = arena_array(list->arena, capacity, sizeof *items);
    if (list->count > 0)
        memcpy(items, list->items, list->count * sizeof *items);
    list->items = items;
    list->capacity = capacity;
    list->slot_count = 2 * capacity;
    list->slots = arena_array(list->arena, list->slot_count, sizeof *list->slots);
    for (size_t i = 0; i < list->count; i++)
        *find_slot(list, list->items[i].name) = (uint32_t)i + 1;
}

static void add_need(struct need_list *list, const char *name, const struct entry *entry)
{
    if (name == NULL || *name == '\0')
        return;
    if (list->count == list->capacity)
        grow(list);
    uint32_t *slot = find_slot(list, name);
    if (*slot == 0) {
        list->items[list->count++] = (struct need){.name = name, .first = entry};
        *slot = (uint32_t)list->count;
    }
    list->items[*slot - 1].count++;
}

static void add_power(struct needs *needs, enum power power, const struct entry *entry)
{
    if (needs->powers[power].count++ == 0)
        needs->powers[power].first = entry;
}

/* Reading texts. */

struct reading {
    struct needs *needs;
    const struct entry *entry;
    struct arena *arena;
    struct lexer lexer;
    struct token token; /* the one at hand */
};

static struct reading read_definition(struct needs *needs, const struct entry *entry,
                                      const struct archive_settings *settings, struct arena *arena)
{
    return (struct reading){.needs = needs,
                            .entry = entry,
                            .arena = arena,
                            .lexer = lexer_init(entry->definition == NULL ? "" : entry->definition,
                                                settings->has_standard_strings)};
}

static bool advance(struct reading *reading)
{
    reading->token = lexer_next(&reading->lexer);
    return reading->token.kind != TOKEN_END && reading->token.kind != TOKEN_BROKEN;
}

static bool is_at(const struct reading *reading, const char *word)
{
    return reading->token.depth == 0 && token_is_word(&reading->token, word);
}

/* Words that stand where a role may, and are none. Nobody can be called "public" or "none". */
static bool is_no_role(const struct token *token, const char *name)
{
    static const char *const words[] = {"current_user", "current_role", "session_user", NULL};
    if (strcmp(name, "public") == 0 || strcmp(name, "none") == 0)
        return true;
    for (size_t i = 0; token->kind == TOKEN_WORD && words[i] != NULL; i++)
        if (strcmp(name, words[i]) == 0)
            return true;
    return false;
}

/* The token at hand is a role's name. */
static void take_role(struct reading *reading, bool is_owner)
{
    const char *name = token_to_name(reading->arena, &reading->token);
    if (name != NULL && !is_no_role(&reading->token, name))
        add_need(is_owner ? &reading->needs->owners : &reading->needs->roles, name, reading->entry);
}

/* name [, name ...] follows; the token behind it is left at hand. */
static bool take_role_list(struct reading *reading)
{
    do {
        if (!advance(reading))
            return false;
        take_role(reading, false);
        if (!advance(reading))
            return false;
    } while (token_is_symbol(&reading->token, ','));
    return true;
}

/* GRANT ... TO x; REVOKE ... FROM x; SET SESSION AUTHORIZATION x; ALTER DEFAULT PRIVILEGES FOR ROLE
 * x GRANT ... TO y; any number of them. */
static void read_grants(struct reading *reading)
{
    bool is_grant = false, is_revoke = false;
    for (bool has_more = advance(reading); has_more;) {
        if (token_is_symbol(&reading->token, ';'))
            is_grant = is_revoke = false;
        else if (is_at(reading, "grant") && !is_revoke) /* not that of GRANT OPTION FOR */
            is_grant = true;
        else if (is_at(reading, "revoke"))
            is_revoke = true;
        bool is_list = (is_grant && is_at(reading, "to")) || (is_revoke && is_at(reading, "from"));
        bool is_role = is_at(reading, "role");
        bool is_other = is_at(reading, "authorization");
        if (is_other && !is_grant)
            add_power(reading->needs, POWER_OTHERS_GRANT, reading->entry);
        has_more = is_list ? take_role_list(reading) : advance(reading);
        if (has_more && (is_role || is_other) && !is_grant && !is_revoke)
            take_role(reading, is_role);
    }
}

/* CREATE POLICY ... TO x, y USING (...) WITH CHECK (...) */
static void read_policy(struct reading *reading)
{
    while (advance(reading)) {
        if (is_at(reading, "using") || is_at(reading, "with"))
            return;
        if (is_at(reading, "to")) {
            take_role_list(reading);
            return;
        }
    }
}

/* CREATE USER MAPPING FOR x SERVER ... */
static void read_user_mapping(struct reading *reading)
{
    while (advance(reading)) {
        if (is_at(reading, "for") && advance(reading)) {
            take_role(reading, false);
            return;
        }
    }
}

/* CREATE FUNCTION ... LANGUAGE c ... */
static void read_function(struct reading *reading)
{
    static const char *const untrusted[] = {"c", "internal", "plpython3u", "plperlu", "pltclu"};
    while (advance(reading)) {
        if (!is_at(reading, "language") || !advance(reading))
            continue;
        const char *name = token_to_name(reading->arena, &reading->token);
        for (size_t i = 0; i < sizeof untrusted / sizeof *untrusted; i++)
            if (text_equal(name, untrusted[i]))
                add_power(reading->needs, POWER_UNTRUSTED_FUNCTION, reading->entry);
        return;
    }
}

/* Whether the two words stand side by side outside parentheses. */
static bool has_words(struct reading reading, const char *first, const char *second)
{
    struct token before = {.kind = TOKEN_END};
    while (advance(&reading)) {
        if (is_at(&reading, second) && token_is_word(&before, first))
            return true;
        before = reading.token;
    }
    return false;
}

/* Entries. */

static void collect_superuser_entry(struct needs *needs, const struct entry *entry,
                                    const struct reading *reading)
{
    switch (entry->kind) {
    case ENTRY_SHELL_TYPE: /* only base types need one */
        add_power(needs, POWER_BASE_TYPE, entry);
        break;
    case ENTRY_OPERATOR_CLASS:
    case ENTRY_OPERATOR_FAMILY:
        add_power(needs, POWER_OPERATOR_CLASS, entry);
        break;
    case ENTRY_CAST:
        if (has_words(*reading, "without", "function"))
            add_power(needs, POWER_BINARY_CAST, entry);
        break;
    case ENTRY_LANGUAGE:
        if (!text_equal(entry->tag, "plpgsql"))
            add_power(needs, POWER_LANGUAGE, entry);
        break;
    case ENTRY_ACCESS_METHOD:
        needs->brings_access_methods = true;
        add_power(needs, POWER_ACCESS_METHOD, entry);
        break;
    case ENTRY_TS_PARSER:
    case ENTRY_TS_TEMPLATE:
        add_power(needs, POWER_TEXT_SEARCH, entry);
        break;
    case ENTRY_FOREIGN_DATA_WRAPPER:
        add_power(needs, POWER_FOREIGN_DATA_WRAPPER, entry);
        break;
    case ENTRY_EVENT_TRIGGER:
        add_power(needs, POWER_EVENT_TRIGGER, entry);
        break;
    case ENTRY_PUBLICATION_SCHEMA:
        add_power(needs, POWER_PUBLICATION, entry);
        break;
    case ENTRY_PUBLICATION:
        if (has_words(*reading, "all", "tables"))
            add_power(needs, POWER_PUBLICATION, entry);
        break;
    default:
        break;
    }
}

static void collect_names(struct needs *needs, const struct entry *entry, struct reading *reading)
{
    switch (entry->kind) {
    case ENTRY_ACL:
        if (text_equal(entry->schema, "pg_catalog"))
            add_power(needs, POWER_SYSTEM_GRANT, entry);
        read_grants(reading);
        break;
    case ENTRY_ACL_LANGUAGE:
    case ENTRY_DEFAULT_ACL:
        read_grants(reading);
        break;
    case ENTRY_POLICY:
        read_policy(reading);
        break;
    case ENTRY_USER_MAPPING:
        read_user_mapping(reading);
        break;
    case ENTRY_FUNCTION:
    case ENTRY_PROCEDURE:
        read_function(reading);
        break;
    case ENTRY_EXTENSION:
        needs->brings_access_methods |= !text_equal(entry->tag, "plpgsql");
        add_need(&needs->extensions, entry->tag, entry);
        break;
    default:
        break;
    }
}

static void collect_oids(struct needs *needs, const struct entry *entry)
{
    ARENA_GUARD struct arena scratch = {0};
    struct copy_target target;
    struct error err = ERROR_INIT;
    if (needs->with_oids != NULL || entry->kind != ENTRY_TABLE_DATA ||
        entry->copy_statement == NULL || *entry->copy_statement == '\0')
        return;
    if (copy_parse(&scratch, entry, &target, &err) == ERR_ARCHIVE_UNSUPPORTED)
        needs->with_oids = entry;
}

void needs_collect(struct needs *needs, const struct toc *toc,
                   const struct archive_settings *settings, const struct load_options *options,
                   struct arena *arena)
{
    const struct order_options order_options = {.no_privileges = options->no_privileges};
    *needs = (struct needs){.roles.arena = arena,
                            .owners.arena = arena,
                            .tablespaces.arena = arena,
                            .extensions.arena = arena,
                            .access_methods.arena = arena};
    for (size_t i = 0; i < toc->count; i++) {
        const struct entry *entry = &toc->entries[i];
        if (order_skip(entry, &order_options) != SKIP_NONE)
            continue;
        struct reading reading = read_definition(needs, entry, settings, arena);
        if (entry_has_owner(entry) && !options->no_owner)
            add_need(&needs->owners, entry->owner, entry);
        add_need(&needs->tablespaces, entry->tablespace, entry);
        add_need(&needs->access_methods, entry->table_access_method, entry);
        collect_superuser_entry(needs, entry, &reading);
        collect_names(needs, entry, &reading);
        collect_oids(needs, entry);
    }
}
