#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/credentials.h"
#include "tests/unit/backup/environment.h"

#define ID "AWS_ACCESS_KEY_ID"
#define SECRET "AWS_SECRET_ACCESS_KEY"
#define TOKEN "AWS_SESSION_TOKEN"

static void test_keys_of_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct variable variables[4];
        enum errc code;
        const char *must_say;
    } rows[] = {
        {"both", {{ID, "id"}, {SECRET, "s3cret"}}, RR_OK, NULL},
        {"with token", {{ID, "id"}, {SECRET, "s3cret"}, {TOKEN, "t0ken"}}, RR_OK, NULL},
        {"none", {{0}}, ERR_CREDENTIALS, "no credentials"},
        {"token alone", {{TOKEN, "t0ken"}}, ERR_CREDENTIALS, "no credentials"},
        {"both empty", {{ID, ""}, {SECRET, ""}}, ERR_CREDENTIALS, "no credentials"},
        {"no secret", {{ID, "id"}}, ERR_CREDENTIALS, SECRET " is not"},
        {"no id", {{SECRET, "s3cret"}}, ERR_CREDENTIALS, ID " is not"},
        {"secret ends in a line break",
         {{ID, "id"}, {SECRET, "s3cret\n"}},
         ERR_CREDENTIALS,
         SECRET " holds"},
        {"id ends in a blank", {{ID, "id "}, {SECRET, "s3cret"}}, ERR_CREDENTIALS, ID " holds"},
        {"header in the token",
         {{ID, "id"}, {SECRET, "s3cret"}, {TOKEN, "t0ken\r\nX: y"}},
         ERR_CREDENTIALS,
         TOKEN " holds"},
        {"secret of letters beyond ASCII",
         {{ID, "id"}, {SECRET, "s3cr\xc3\xa9t"}},
         ERR_CREDENTIALS,
         SECRET " holds"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CREDENTIALS_GUARD struct credentials credentials = {0};
        struct error err = ERROR_INIT;
        set_environment(rows[i].variables);
        enum errc code = credentials_load(&credentials, &err);
        if (code != rows[i].code || (rows[i].must_say && !strstr(err.text, rows[i].must_say)))
            fail_msg("%s: %s '%s'", rows[i].name, errc_name(code), err.text);
        if (strstr(err.text, "s3cr") || strstr(err.text, "t0ken") || strstr(err.hint, "s3cr"))
            fail_msg("%s: a secret in the error", rows[i].name);
        if (code)
            continue;
        assert_string_equal(credentials.access_key_id, "id");
        assert_string_equal(secret_reveal(&credentials.secret_access_key), "s3cret");
        const char *token = secret_reveal(&credentials.session_token);
        assert_true(rows[i].variables[2].name ? token && strcmp(token, "t0ken") == 0 : !token);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_of_the_environment),
    };
    return cmocka_run_group_tests_name("backup/credentials", tests, NULL, NULL);
}
