/* What needs no server: texts of errors, codes of SQLSTATEs, connection strings, errands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/cancel.h"
#include "lib/pg/conn_internal.h"
#include "lib/pg/errand.h"

static void test_statements_are_shown_without_what_may_be_secret(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *shown;
    } cases[] = {
        {"SELECT 1", "SELECT 1"},
        {"  \n SELECT 1 ;\n", "SELECT 1"},
        {"ALTER ROLE x PASSWORD 'topsecret'", "ALTER ROLE x PASSWORD ..."},
        {"CREATE USER MAPPING FOR x SERVER y OPTIONS (user 'u', password 'topsecret')",
         "CREATE USER MAPPING FOR x SERVER y OPTIONS (user ..."},
        {"DO $$topsecret$$", "DO ..."},
        {"SELECT E'topsecret'", "SELECT E ..."},
        {"SELECT\n\x1b[31m1", "SELECT\\n\\x1b[31m1"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        STR_GUARD struct str s = STR_INIT(1000);
        conn_append_statement(&s, cases[i].sql);
        assert_string_equal(str_text(&s), cases[i].shown);
    }
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    STR_GUARD struct str s = STR_INIT(10000);
    conn_append_statement(&s, big);
    assert_true(s.length <= 200 + strlen(" ..."));
}

static void test_messages_are_escaped_but_not_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"relation \"a\" does not exist", "relation \"a\" does not exist"},
        {"can't", "can't"},
        {"a\nb\x07", "a\\nb\\x07"},
        {"\xff", "\\xff"},
        {"", ""},
        {"back\\slash", "back\\\\slash"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        STR_GUARD struct str s = STR_INIT(1000);
        conn_append_message(&s, cases[i].text, 100);
        assert_string_equal(str_text(&s), cases[i].shown);
    }
    STR_GUARD struct str s = STR_INIT(1000);
    conn_append_message(&s, "abcdefgh", 3);
    assert_string_equal(str_text(&s), "abc...");
}

static void test_sqlstates_mean_codes(void **state)
{
    (void)state;
    static const struct {
        const char *sqlstate;
        enum errc code;
    } cases[] = {
        {"53100", ERR_DISK_FULL},
        {"53300", ERR_SQL},
        {"28P01", ERR_DATABASE_LOGIN},
        {"28000", ERR_DATABASE_LOGIN},
        {"57P01", ERR_DATABASE_LOST},
        {"57P04", ERR_DATABASE_LOST},
        {"57014", ERR_SQL},
        {"08006", ERR_DATABASE_LOST},
        {"08P01", ERR_DATABASE_LOST},
        {"25P03", ERR_DATABASE_LOST},
        {"25P02", ERR_SQL},
        {"42501", ERR_SQL},
        {"XX000", ERR_SQL},
        {"3D000", ERR_SQL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(conn_errc_of_sqlstate(cases[i].sqlstate), cases[i].code);
}

static void test_bad_connection_strings_are_refused_without_being_shown(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "postgres://a:topsecret%zz@h/d",
        "postgres://a:x@topsecret@h/d",
        "postgres://a:topsecret/x@h/d",
        "postgres://a:12/topsecret@h/d",
        "topsecret",
        "host=h topsecret",
        "host='topsecret",
        "postgres://h/d?topsecret=1",
        "postgres://a:topsecret@[::1/d",
        "host=h port=topsecret",
        "postgres://a:topsecret@h:x/d",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = ERROR_INIT;
        struct conn *conn = NULL;
        setenv("DATABASE_URL", bad[i], 1);
        assert_int_equal(conn_open(&(struct conn_options){0}, &conn, &err), ERR_CONFIG);
        assert_null(strstr(err.text, "topsecret"));
        assert_null(strstr(err.hint, "topsecret"));
        assert_true(err.hint[0] != '\0');
    }
    unsetenv("DATABASE_URL");
}

static void test_nobody_there_is_unreachable_and_may_pass(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct conn *conn = NULL;
    struct conn_options options = {
        .conninfo = "host=127.0.0.1 port=1 user=u password=topsecret dbname='a b'"};
    assert_int_equal(conn_open(&options, &conn, &err), ERR_DATABASE_UNREACHABLE);
    assert_true(errc_is_transient(err.code));
    assert_non_null(strstr(err.text, "'a b'"));
    assert_non_null(strstr(err.text, "127.0.0.1"));
    assert_null(strstr(err.text, "topsecret"));
}

static void test_a_cancelled_run_does_not_connect(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct conn *conn = NULL;
    struct cancel cancel = {0};
    cancel_request(&cancel);
    assert_int_equal(conn_open(&(struct conn_options){.cancel = &cancel}, &conn, &err),
                     ERR_CANCELLED);
}

/* --- errands -----------------------------------------------------------------------------------
 */

static int released;

static void take_a_while(void *work)
{
    usleep(*(unsigned *)work);
}

static void release(void *work)
{
    free(work);
    __atomic_add_fetch(&released, 1, __ATOMIC_SEQ_CST);
}

static unsigned *microseconds(unsigned count)
{
    unsigned *work = malloc(sizeof *work);
    *work = count;
    return work;
}

static void test_an_errand_gives_its_work_back(void **state)
{
    (void)state;
    released = 0;
    unsigned *work = microseconds(1000);
    struct errand *errand = errand_start(take_a_while, release, work);
    assert_non_null(errand);
    assert_true(errand_wait(errand, 5000));
    assert_ptr_equal(errand_end(errand), work);
    assert_int_equal(released, 0);
    free(work);
}

static void test_an_errand_that_is_left_cleans_up_behind_itself(void **state)
{
    (void)state;
    released = 0;
    struct errand *errand = errand_start(take_a_while, release, microseconds(300 * 1000));
    assert_non_null(errand);
    assert_false(errand_wait(errand, 10));
    assert_null(errand_end(errand));
    for (int i = 0; i < 100 && !__atomic_load_n(&released, __ATOMIC_SEQ_CST); i++)
        usleep(50 * 1000);
    assert_int_equal(__atomic_load_n(&released, __ATOMIC_SEQ_CST), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements_are_shown_without_what_may_be_secret),
        cmocka_unit_test(test_messages_are_escaped_but_not_quoted),
        cmocka_unit_test(test_sqlstates_mean_codes),
        cmocka_unit_test(test_bad_connection_strings_are_refused_without_being_shown),
        cmocka_unit_test(test_nobody_there_is_unreachable_and_may_pass),
        cmocka_unit_test(test_a_cancelled_run_does_not_connect),
        cmocka_unit_test(test_an_errand_gives_its_work_back),
        cmocka_unit_test(test_an_errand_that_is_left_cleans_up_behind_itself),
    };
    return cmocka_run_group_tests_name("pg/conn", tests, NULL, NULL);
}
