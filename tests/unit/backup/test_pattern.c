#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/backup/pattern.h"

#define RFC_NAME "%Y-%m-%dT%H:%M:%SZ.dump"

static void parse(const char *text, struct pattern *pattern)
{
    struct error err = ERROR_INIT;
    if (pattern_parse(text, pattern, &err))
        fail_msg("'%s': %s", text, err.text);
}

static void test_names_that_match(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *name, *time;
    } rows[] = {
        {RFC_NAME, "2024-12-10T00:00:00Z.dump", "2024-12-10T00:00:00Z"},
        {RFC_NAME, "2024-02-29T23:59:59Z.dump", "2024-02-29T23:59:59Z"},
        {"%Y%m%d", "20241210", "2024-12-10T00:00:00Z"},
        {"db-%F.dump", "db-2024-12-10.dump", "2024-12-10T00:00:00Z"},
        {"%FT%T.dump", "2024-12-10T01:02:03.dump", "2024-12-10T01:02:03Z"},
        {"%F_%H.gz", "2024-12-10_07.gz", "2024-12-10T07:00:00Z"},
        {"%Y-%j", "2024-366", "2024-12-31T00:00:00Z"},
        {"%Y-%j", "2023-001", "2023-01-01T00:00:00Z"},
        {"%s.dump", "1733788800.dump", "2024-12-10T00:00:00Z"},
        {"%s", "0", "1970-01-01T00:00:00Z"},
        {"%F %T%z", "2024-12-10 01:00:00+01:00", "2024-12-10T00:00:00Z"},
        {"%F %T%z", "2024-12-09 19:00:00-0500", "2024-12-10T00:00:00Z"},
        {"%F %T%z", "2024-12-10 05:45:00+0545", "2024-12-10T00:00:00Z"},
        {"%F %T%z", "2024-12-10 00:00:00Z", "2024-12-10T00:00:00Z"},
        {"%F %T%z.x", "2024-12-10 01:00:00+01.x", "2024-12-10T00:00:00Z"},
        {"%Y/%m/%d/db-%F.dump", "2024/12/10/db-2024-12-10.dump", "2024-12-10T00:00:00Z"},
        {"%F/%s", "2024-12-10/1733788801", "2024-12-10T00:00:01Z"},
        {"100%%-%F", "100%-2024-12-10", "2024-12-10T00:00:00Z"},
        {"a*b.?%F", "a*b.?2024-12-10", "2024-12-10T00:00:00Z"},
        {"%F/", "2024-12-10/", "2024-12-10T00:00:00Z"},
        {"db/%Y/%m/%d/", "db/2024/12/10/", "2024-12-10T00:00:00Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pattern pattern;
        struct instant instant;
        char time[RFC3339_SIZE];
        parse(rows[i].pattern, &pattern);
        if (!pattern_match(&pattern, rows[i].name, &instant))
            fail_msg("'%s' should match '%s'", rows[i].name, rows[i].pattern);
        rfc3339_render(instant, time);
        assert_int_equal(pattern.is_folder, rows[i].pattern[strlen(rows[i].pattern) - 1] == '/');
        assert_string_equal(time, rows[i].time);
    }
}

static void test_names_that_do_not_match(void **state)
{
    (void)state;
    static const struct {
        const char *why, *pattern, *name;
    } rows[] = {
        {"empty", RFC_NAME, ""},
        {"trailing text", RFC_NAME, "2024-12-10T00:00:00Z.dump.tmp"},
        {"leading text", RFC_NAME, "x2024-12-10T00:00:00Z.dump"},
        {"cut off", RFC_NAME, "2024-12-10T00:00:00Z.dum"},
        {"cut off in a directive", RFC_NAME, "2024-12-1"},
        {"cut off before a directive", "%F%H", "2024-12-10"},
        {"a file for a folder", "%F/", "2024-12-10"},
        {"a file in the folder", "%F/", "2024-12-10/toc.dat"},
        {"a folder for a file", "%F", "2024-12-10/"},
        {"one digit", RFC_NAME, "2024-12-1T00:00:00Z.dump"},
        {"three digits", RFC_NAME, "2024-012-10T00:00:00Z.dump"},
        {"blank for zero", RFC_NAME, "2024-12- 1T00:00:00Z.dump"},
        {"sign", RFC_NAME, "2024-+1-10T00:00:00Z.dump"},
        {"month 13", RFC_NAME, "2024-13-10T00:00:00Z.dump"},
        {"month 0", RFC_NAME, "2024-00-10T00:00:00Z.dump"},
        {"day 0", RFC_NAME, "2024-12-00T00:00:00Z.dump"},
        {"30 February", RFC_NAME, "2024-02-30T00:00:00Z.dump"},
        {"29 February in 2023", RFC_NAME, "2023-02-29T00:00:00Z.dump"},
        {"29 February in 1900", RFC_NAME, "1900-02-29T00:00:00Z.dump"},
        {"31 April", RFC_NAME, "2024-04-31T00:00:00Z.dump"},
        {"hour 24", RFC_NAME, "2024-12-10T24:00:00Z.dump"},
        {"minute 60", RFC_NAME, "2024-12-10T00:60:00Z.dump"},
        {"second 60", RFC_NAME, "2024-12-31T23:59:60Z.dump"},
        {"year 0", RFC_NAME, "0000-12-10T00:00:00Z.dump"},
        {"digits of another script", "%Y-%j", "\xd9\xa2\xd9\xa0\xd9\xa2\xd9\xa4-001"},
        {"day 366 of 2023", "%Y-%j", "2023-366"},
        {"day 0 of the year", "%Y-%j", "2024-000"},
        {"the two days differ", "%Y/%m/%d/db-%F.dump", "2024/12/10/db-2024-12-11.dump"},
        {"day and day of the year differ", "%F-%j", "2024-12-10-001"},
        {"epoch and date differ", "%F/%s", "2024-12-11/1733788800"},
        {"epoch with zero in front", "%s", "01733788800"},
        {"epoch too long", "%s", "1733788800000"},
        {"negative epoch", "%s", "-5"},
        {"no zone", "%F %T%z", "2024-12-10 00:00:00"},
        {"zone of one digit", "%F %T%z", "2024-12-10 00:00:00+1"},
        {"zone of three digits", "%F %T%z", "2024-12-10 00:00:00+010"},
        {"zone of 24 hours", "%F %T%z", "2024-12-10 00:00:00+24:00"},
        {"zone of 60 minutes", "%F %T%z", "2024-12-10 00:00:00+00:60"},
        {"zone by name", "%F %T%z", "2024-12-10 00:00:00CET"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pattern pattern;
        struct instant instant;
        parse(rows[i].pattern, &pattern);
        if (pattern_match(&pattern, rows[i].name, &instant))
            fail_msg("%s: '%s' should not match", rows[i].why, rows[i].name);
    }
}

static void test_patterns_that_are_refused(void **state)
{
    (void)state;
    char many[400] = "%F", long_text[1100];
    for (int i = 0; i < 70; i++)
        strcat(many, "-%d");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const struct {
        const char *pattern, *must_say;
    } rows[] = {
        {"", "year"},
        {"latest.dump", "year"},
        {"%Y-%m", "day"},
        {"%m-%d", "year"},
        {"%H:%M:%S", "year"},
        {"%F %M", "minutes"},
        {"%F %H %S", "seconds"},
        {"%y-%m-%d", "'%y'"},
        {"%b", "'%b'"},
        {"%", "ends within"},
        {"%F%", "ends within"},
        {"%\n", "control"},
        {"%F\x7f", "control"},
        {"%\xc3\xa4", "unknown directive"},
        {"%s%H", "separator"},
        {"%s5", "separator"},
        {"%F%z%H", "separator"},
        {"%F %H%z:%M", "separator"},
        {"/%F", "slashes"},
        {"%F//", "slashes"},
        {"%Y/../%m-%d/", "slashes"},
        {"%Y//%m-%d", "slashes"},
        {"../%F", "slashes"},
        {"%Y/./%m-%d", "slashes"},
        {many, "too many"},
        {long_text, "too long"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pattern pattern;
        struct error err = ERROR_INIT;
        enum errc code = pattern_parse(rows[i].pattern, &pattern, &err);
        if (code != ERR_CONFIG || !strstr(err.text, rows[i].must_say))
            fail_msg("'%s': %s '%s'", rows[i].pattern, errc_name(code), err.text);
        assert_non_null(strstr(err.hint, "%Y"));
    }
}

static void test_folders_that_may_hold_matches(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *folder;
        bool may_match;
    } rows[] = {
        {"%Y/%m/%d/db.dump", "2024/", true},
        {"%Y/%m/%d/db.dump", "2024/12/", true},
        {"%Y/%m/%d/db.dump", "2024/12/10/", true},
        {"%Y/%m/%d/db.dump", "2024/13/", false},
        {"%Y/%m/%d/db.dump", "lost+found/", false},
        {"%Y/%m/%d/db.dump", "2024/12/10/db.dump/", false},
        {"daily/%F", "daily/", true},
        {"daily/x/%F", "daily/", true},
        {"daily/%F", "dailyx/", false},
        {"%F", "2024-12-10/", false},
        {"%F/db", "2024-02-31/", true}, /* a name in it is looked at as a whole */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pattern pattern;
        parse(rows[i].pattern, &pattern);
        if (pattern_match_folder(&pattern, rows[i].folder) != rows[i].may_match)
            fail_msg("'%s' in '%s'", rows[i].folder, rows[i].pattern);
    }
}

static void test_prefix_holds_what_the_range_has_in_common(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *from, *to, *prefix;
    } rows[] = {
        {RFC_NAME, "2024-12-10T01:02:03Z", "2024-12-10T01:02:03Z", "2024-12-10T01:02:03Z.dump"},
        {RFC_NAME, "2024-12-09T01:02:03Z", "2024-12-10T01:02:03Z", "2024-12-"},
        {RFC_NAME, "2024-12-10T01:02:03Z", "2024-12-10T02:00:00Z", "2024-12-10T"},
        {RFC_NAME, "2024-11-30T00:00:00Z", "2024-12-01T00:00:00Z", "2024-"},
        {RFC_NAME, "2023-12-31T00:00:00Z", "2024-01-01T00:00:00Z", ""},
        {"db-%d.%m.%Y", "2024-12-10T00:00:00Z", "2025-12-10T00:00:00Z", "db-"},
        {"db-%d.%m.%Y", "2024-12-10T00:00:00Z", "2024-12-10T05:00:00Z", "db-10.12.2024"},
        {"%m/%d/%Y", "2024-12-10T00:00:00Z", "2025-12-10T05:00:00Z", ""},
        {"%Y-%j", "2024-12-31T00:00:00Z", "2024-12-31T00:00:00Z", "2024-366"},
        {"b/%s.dump", "2024-12-10T00:00:00Z", "2024-12-10T00:00:00Z", "b/1733788800.dump"},
        {"b/%s.dump", "2024-12-10T00:00:00Z", "2024-12-10T00:00:01Z", "b/"},
        {"b/%s.dump", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "b/"},
        {RFC_NAME, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z.dump"},
        {RFC_NAME, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z.dump"},
        {RFC_NAME, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z.dump"},
        {"b-%F %z", "2024-12-10T00:00:00Z", "2024-12-10T00:00:00Z", "b-"},
        {"0001%%%F", "0001-01-01T00:00:00Z", "2024-12-10T00:00:00Z", "0001%"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pattern pattern;
        struct error err = ERROR_INIT;
        struct instant from, to;
        parse(rows[i].pattern, &pattern);
        assert_int_equal(rfc3339_parse(rows[i].from, &from, &err), RR_OK);
        assert_int_equal(rfc3339_parse(rows[i].to, &to, &err), RR_OK);
        STR_GUARD struct str prefix = STR_INIT(LIMIT_OBJECT_KEY_BYTES);
        pattern_prefix(&pattern, from, to, &prefix);
        assert_string_equal(str_text(&prefix), rows[i].prefix);
    }
}

/* For every second of a day and every fifth day of 60 years: what is rendered is matched, as that.
 */
static void test_every_rendered_name_is_matched_again(void **state)
{
    (void)state;
    struct pattern patterns[3];
    parse(RFC_NAME, &patterns[0]);
    parse("%Y/%j/%H%M%S", &patterns[1]);
    parse("%s-%F", &patterns[2]);
    STR_GUARD struct str name = STR_INIT(LIMIT_OBJECT_KEY_BYTES);
    for (int i = 0; i < 90000; i++) {
        struct instant want = {.seconds = i < 86400 ? 1709164800 + i : (i - 86400) * 5 * 86400L},
                       got;
        for (int p = 0; p < 3; p++) {
            str_clear(&name);
            pattern_prefix(&patterns[p], want, want, &name);
            assert_true(pattern_match(&patterns[p], str_text(&name), &got));
            assert_int_equal(instant_compare(want, got), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_that_match),
        cmocka_unit_test(test_names_that_do_not_match),
        cmocka_unit_test(test_patterns_that_are_refused),
        cmocka_unit_test(test_folders_that_may_hold_matches),
        cmocka_unit_test(test_prefix_holds_what_the_range_has_in_common),
        cmocka_unit_test(test_every_rendered_name_is_matched_again),
    };
    return cmocka_run_group_tests_name("backup/pattern", tests, NULL, NULL);
}
