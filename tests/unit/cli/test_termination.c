#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/cli/termination.h"
#include "lib/codec/json.h"

static char path[64];

static int make_path(void **state)
{
    (void)state;
    strcpy(path, "/tmp/rr-test-XXXXXX");
    close(mkstemp(path));
    return 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static size_t read_back(char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = '\0';
    return length;
}

static void fill(char *text, size_t size, const char *piece)
{
    text[0] = '\0';
    for (size_t length = 0; length + strlen(piece) < size; length += strlen(piece))
        strcpy(text + length, piece);
}

/* However long and odd the texts: JSON, within what the kubelet takes, with the exit code. */
static void test_the_line_fits_and_stays_json(void **state)
{
    (void)state;
    static const char *const pieces[] = {"x", "\x01", "\xc3\xa4", "\"", "\xe2\x82\xac..."};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct outcome outcome = {
            .result = OUTCOME_FAILED, .reason = "LoadFailed", .exit_code = 10};
        fill(outcome.message, sizeof outcome.message, pieces[i]);
        fill(outcome.backup, sizeof outcome.backup, pieces[i]);
        strcpy(outcome.desired, "2024-12-10T00:00:00Z");
        termination_write(path, &outcome);
        char text[16384];
        size_t length = read_back(text, sizeof text);
        JSON_GUARD struct json_document *document = NULL;
        struct error err = ERROR_INIT;
        int64_t exit_code;
        if (length == 0 || length > 4096 || json_parse(text, length, "line", &document, &err) ||
            !json_int(json_get(json_root(document), "exitCode"), &exit_code) || exit_code != 10 ||
            strlen(json_get_text(json_root(document), "message")) < 300)
            fail_msg("%zu: %zu bytes: %s: %s", i, length, err.text, text);
    }
}

static void test_a_short_line_is_the_whole_line(void **state)
{
    (void)state;
    struct outcome outcome = {.reason = "NothingToDo", .message = "as asked for"};
    STR_GUARD struct str line = STR_INIT(4096);
    char text[4096];
    outcome_render(&outcome, &line);
    termination_write(path, &outcome);
    read_back(text, sizeof text);
    assert_string_equal(text, str_text(&line));
}

static void test_a_longer_line_of_before_is_gone(void **state)
{
    (void)state;
    struct outcome outcome = {.reason = "NothingToDo", .message = "a longer text than the next"};
    char text[4096];
    termination_write(path, &outcome);
    strcpy(outcome.message, "b");
    termination_write(path, &outcome);
    size_t length = read_back(text, sizeof text);
    assert_int_equal(text[length - 1], '}');
    assert_null(strstr(text, "longer"));
}

static void test_a_file_that_cannot_be_written_ends_nothing(void **state)
{
    (void)state;
    struct outcome outcome = {.reason = "NothingToDo"};
    termination_write("/no/such/folder/file", &outcome);
    termination_write("/tmp", &outcome);
    unsetenv("KUBERNETES_SERVICE_HOST");
    termination_write(NULL, &outcome);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_the_line_fits_and_stays_json),
        WITH_FILE(test_a_short_line_is_the_whole_line),
        WITH_FILE(test_a_longer_line_of_before_is_gone),
        WITH_FILE(test_a_file_that_cannot_be_written_ends_nothing),
    };
    return cmocka_run_group_tests_name("cli/termination", tests, NULL, NULL);
}
