/*
 * print-tables NAME: a part of the documentation, made from the code, as Markdown on standard output.
 *
 * scripts/fill-docs puts each part between its markers. Without NAME the names are listed, one a line.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/cli/cli.h"
#include "lib/reconcile/decide.h"
#include "lib/reconcile/journal.h"
#include "lib/reconcile/outcome.h"
#include "lib/reconcile/steps.h"

/* "Look, SwapBack" -> each name in turn, with its length; NULL at the end. */
static const char *next_word(const char **rest, int *ret_length)
{
    const char *word = *rest + strspn(*rest, ", ");
    *ret_length = (int)strcspn(word, ",");
    *rest = word + *ret_length;
    return *ret_length ? word : NULL;
}

static bool is_commit_point(const struct step_row *row)
{
    return strncmp(row->apply_text, "commit point", strlen("commit point")) == 0;
}

static int print_steps(void)
{
    printf("| step | what it does | what undoes it | may be followed by | one statement may take |\n"
           "| --- | --- | --- | --- | --- |\n");
    for (int i = 0; i < STEP_COUNT; i++) {
        const struct step_row *row = step_row((enum step)i);
        printf(is_commit_point(row) ? "| **%s** | %s | %s | %s | " : "| %s | %s | %s | %s | ", row->name,
               row->apply_text, row->undo_text, row->next);
        printf(row->deadline_s ? "%u s |\n" : "as long as it takes |\n", row->deadline_s);
    }
    return 0;
}

static int print_steps_diagram(void)
{
    printf("```mermaid\nflowchart TD\n    Idle([Idle]) --> %s\n", step_row((enum step)0)->name);
    for (int i = 0; i < STEP_COUNT; i++) {
        const struct step_row *row = step_row((enum step)i);
        const char *rest = row->next, *word;
        int length;
        const char *arrow = "-->"; /* the first successor is the usual one */
        while ((word = next_word(&rest, &length))) {
            bool is_end = length == (int)strlen(JOURNAL_IDLE) && strncmp(word, JOURNAL_IDLE, (size_t)length) == 0;
            if (is_end)
                printf("    %s %s Done([Idle])\n", row->name, arrow);
            else
                printf("    %s %s %.*s\n", row->name, arrow, length, word);
            arrow = "-.->";
        }
        if (is_commit_point(row))
            printf("    style %s stroke-width:4px\n", row->name);
    }
    printf("```\n");
    return 0;
}

static int print_reasons(void)
{
    printf("| reason | exit code before Stage | from Stage on | may pass by itself |\n"
           "| --- | --- | --- | --- |\n");
    for (int i = 1; i < ERRC_COUNT; i++) {
        enum errc code = (enum errc)i;
        printf("| [%s](failures.md#", errc_reason(code));
        for (const char *c = errc_reason(code); *c; c++)
            putchar(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
        printf(") | %d | %d | %s |\n", outcome_exit_code(code, STEP_PREFLIGHT), outcome_exit_code(code, STEP_STAGE),
               errc_is_transient(code) ? "yes" : "no");
    }
    return 0;
}

/* Not for a page: what fill-docs holds the headings of the failure guide against. */
static int print_reason_names(void)
{
    for (int i = 0; i < ERRC_COUNT; i++)
        puts(errc_reason((enum errc)i));
    puts(decide_warning_name(DECIDE_STATE_REVERTED));
    puts(decide_warning_name(DECIDE_CONTROL_DATABASE_LOST));
    return 0;
}

static int print_journal(void)
{
    printf("| key | meaning |\n| --- | --- |\n");
    for (int i = 0; i < JOURNAL_KEY_COUNT; i++) {
        static const char *const meanings[] = {
#define X(enumerator, name, is_public, meaning) meaning,
            JOURNAL_KEY_TABLE(X)
#undef X
        };
        if (journal_key_is_public((enum journal_key)i))
            printf("| `%s` | %s |\n", journal_key_name((enum journal_key)i), meanings[i]);
    }
    return 0;
}

static const struct command *const commands[] = {
    &command_run,     &command_plan, &command_status,   &command_backups, &command_rollback,
    &command_collect, &command_load, &command_validate, &command_print_rbac, &command_version,
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_flag(const struct command *command, const struct flag *flag)
{
    printf("| `%s` | `--%s%s%s`", command->name, flag->name, flag->value ? " " : "", flag->value ? flag->value : "");
    if (flag->letter)
        printf(", `-%c`", flag->letter);
    printf(" | %s |", flag->help);
    printf(flag->fallback ? " `%s` |\n" : " |\n", flag->fallback);
}

/* Each command with the flags that it alone has; those of all stand in what `run --help` prints. */
static int print_commands(void)
{
    char program[] = "restore-reconciler", run[] = "run", help[] = "--help";
    printf("| command | what it does |\n| --- | --- |\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        printf("| `%s%s%s` | %s |\n", commands[i]->name, commands[i]->arguments[0] ? " " : "", commands[i]->arguments,
               commands[i]->summary);
    printf("\n| command | flag of its own | meaning | default |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        for (const struct flag *flag = commands[i]->flags; flag->name; flag++)
            print_flag(commands[i], flag);
    printf("\nWhat `run --help` prints:\n\n```text\n");
    int failed = cli_main(3, (char *[]){program, run, help, NULL}, NULL);
    printf("```\n");
    return failed;
}

static const struct {
    const char *name;
    int (*print)(void);
} tables[] = {
    {"steps", print_steps},     {"steps-diagram", print_steps_diagram}, {"reasons", print_reasons},
    {"journal", print_journal}, {"commands", print_commands},           {"reason-names", print_reason_names},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (argc == 1)
            puts(tables[i].name);
        else if (strcmp(argv[1], tables[i].name) == 0)
            return tables[i].print();
    }
    if (argc > 1)
        fprintf(stderr, "print-tables: there is no table '%s'; without an argument they are listed\n", argv[1]);
    return argc > 1;
}
