#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "lib/codec/rfc3339.h"

static const struct {
    const char *name, *text, *canonical;
    int64_t seconds;
    uint32_t nanoseconds;
} good[] = {
    {"UTC", "2024-12-10T00:00:00Z", "2024-12-10T00:00:00Z", 1733788800, 0},
    {"the same instant an hour east", "2024-12-10T01:00:00+01:00", "2024-12-10T00:00:00Z",
     1733788800, 0},
    {"the same instant west", "2024-12-09T18:30:00-05:30", "2024-12-10T00:00:00Z", 1733788800, 0},
    {"small letters", "2024-12-10t00:00:00z", "2024-12-10T00:00:00Z", 1733788800, 0},
    {"unknown local offset", "2024-12-10T00:00:00-00:00", "2024-12-10T00:00:00Z", 1733788800, 0},
    {"fraction loses its zeros", "2024-12-10T00:00:00.500Z", "2024-12-10T00:00:00.5Z", 1733788800,
     500000000},
    {"nine digits", "2024-12-10T00:00:00.000000001Z", "2024-12-10T00:00:00.000000001Z", 1733788800,
     1},
    {"zero fraction", "2024-12-10T00:00:00.0Z", "2024-12-10T00:00:00Z", 1733788800, 0},
    {"the epoch", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0, 0},
    {"before the epoch", "1969-12-31T23:59:59.25Z", "1969-12-31T23:59:59.25Z", -1, 250000000},
    {"first second", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", -62135596800, 0},
    {"last second", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", 253402300799, 0},
    {"leap day", "2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z", 1709208000, 0},
    {"leap day of a fourth century", "2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", 951782400, 0},
    {"leap second is the following one", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", 1483228800,
     0},
    {"leap second elsewhere", "2017-01-01T08:59:60+09:00", "2017-01-01T00:00:00Z", 1483228800, 0},
    {"leap second with a fraction", "2015-06-30T23:59:60.5Z", "2015-07-01T00:00:00.5Z", 1435708800,
     500000000},
    {"widest zone", "2024-12-10T23:59:00+23:59", "2024-12-10T00:00:00Z", 1733788800, 0},
};

static const struct {
    const char *name, *text, *problem;
} bad[] = {
    {"empty", "", "it is empty"},
    {"no zone", "2024-12-10T00:00:00", "the zone is missing"},
    {"date alone", "2024-12-10", "the time of day and the zone are missing"},
    {"blank for T", "2024-12-10 00:00:00Z", "'T' is missing"},
    {"trailing text", "2024-12-10T00:00:00Z tomorrow", "text after the zone"},
    {"trailing newline", "2024-12-10T00:00:00Z\n", "text after the zone"},
    {"leading blank", " 2024-12-10T00:00:00Z", "does not begin with a date"},
    {"year 99999", "99999-12-10T00:00:00Z", "more than four digits"},
    {"year 0000", "0000-01-01T00:00:00Z", "no year 0000"},
    {"two-digit year", "24-12-10T00:00:00Z", "does not begin with a date"},
    {"negative year", "-024-12-10T00:00:00Z", "does not begin with a date"},
    {"month 13", "2024-13-10T00:00:00Z", "month"},
    {"month 0", "2024-00-10T00:00:00Z", "month"},
    {"day 32", "2024-12-32T00:00:00Z", "no such day"},
    {"day 0", "2024-12-00T00:00:00Z", "no such day"},
    {"no leap day", "2023-02-29T00:00:00Z", "no such day"},
    {"no leap day in a century", "1900-02-29T00:00:00Z", "no such day"},
    {"hour 24", "2024-12-10T24:00:00Z", "no such time of day"},
    {"minute 60", "2024-12-10T00:60:00Z", "no such time of day"},
    {"second 61", "2024-12-10T00:00:61Z", "no such time of day"},
    {"no seconds", "2024-12-10T00:00Z", "not HH:MM:SS"},
    {"leap second at noon", "2016-12-31T12:00:60Z", "leap second"},
    {"leap second in mid-month", "2016-12-15T23:59:60Z", "leap second"},
    {"leap second at midnight elsewhere", "2016-12-31T23:59:60+01:00", "leap second"},
    {"dot without digits", "2024-12-10T00:00:00.Z", "one to nine digits"},
    {"ten digits", "2024-12-10T00:00:00.0000000001Z", "one to nine digits"},
    {"comma as point", "2024-12-10T00:00:00,5Z", "neither a fraction nor a zone"},
    {"zone without colon", "2024-12-10T00:00:00+0100", "the zone is neither"},
    {"hours alone as zone", "2024-12-10T00:00:00+01", "the zone is neither"},
    {"name of a zone", "2024-12-10T00:00:00CET", "neither a fraction nor a zone"},
    {"zone of 24 hours", "2024-12-10T00:00:00+24:00", "no such zone"},
    {"before year 1 in UTC", "0001-01-01T00:00:00+00:01", "outside the years"},
    {"after year 9999 in UTC", "9999-12-31T23:59:59-00:01", "outside the years"},
    {"leap second at the end of time", "9999-12-31T23:59:60Z", "outside the years"},
    {"digits of another script", "２０２４-12-10T00:00:00Z", "does not begin with a date"},
};

static void test_times_are_read_and_rendered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct error err = ERROR_INIT;
        struct instant instant;
        char text[RFC3339_SIZE];
        if (rfc3339_parse(good[i].text, &instant, &err))
            fail_msg("%s: %s", good[i].name, err.text);
        rfc3339_render(instant, text);
        if (instant.seconds != good[i].seconds || instant.nanoseconds != good[i].nanoseconds ||
            strcmp(text, good[i].canonical) != 0)
            fail_msg("%s: %lld.%09u %s", good[i].name, (long long)instant.seconds,
                     (unsigned)instant.nanoseconds, text);
    }
}

static void test_what_is_no_time_is_refused_with_the_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = ERROR_INIT;
        struct instant instant = {.seconds = 7};
        if (rfc3339_parse(bad[i].text, &instant, &err) != ERR_CONFIG ||
            !strstr(err.text, bad[i].problem))
            fail_msg("%s: '%s'", bad[i].name, err.text);
        assert_non_null(strstr(err.hint, "2024-12-10T00:00:00Z"));
        assert_int_equal(instant.seconds, 7);
    }
}

static void test_foreign_bytes_are_escaped_and_cut_in_the_error(void **state)
{
    (void)state;
    char text[4000] = "\x1b[31m";
    memset(text + 5, 'x', sizeof text - 6);
    struct error err = ERROR_INIT;
    struct instant instant;
    assert_int_equal(rfc3339_parse(text, &instant, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "\\x1b[31mxx"));
    assert_null(strchr(err.text, '\x1b'));
    assert_true(strlen(err.text) < 300);
}

static void test_any_number_of_seconds_can_be_rendered(void **state)
{
    (void)state;
    char text[RFC3339_SIZE];
    rfc3339_render((struct instant){.seconds = INT64_MIN, .nanoseconds = 123456789}, text);
    assert_non_null(strchr(text, 'T'));
    rfc3339_render((struct instant){.seconds = INT64_MAX, .nanoseconds = 999999999}, text);
    assert_non_null(strchr(text, 'T'));
}

static void test_every_day_of_a_thousand_years_goes_there_and_back(void **state)
{
    (void)state;
    for (int64_t day = civil_to_days(1600, 1, 1); day < civil_to_days(2600, 1, 1); day++) {
        char text[RFC3339_SIZE];
        struct error err = ERROR_INIT;
        struct instant instant;
        rfc3339_render((struct instant){.seconds = day * 86400}, text);
        assert_int_equal(rfc3339_parse(text, &instant, &err), RR_OK);
        assert_int_equal(instant.seconds, day * 86400);
    }
}

static void test_instants_are_ordered(void **state)
{
    (void)state;
    struct instant a = {.seconds = -1, .nanoseconds = 999999999}, b = {.seconds = 0};
    struct instant c = {.seconds = 0, .nanoseconds = 1};
    assert_true(instant_compare(a, b) < 0);
    assert_true(instant_compare(c, b) > 0);
    assert_int_equal(instant_compare(c, c), 0);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } rows[] = {
        {"90s", 90},    {"30m", 1800},   {"24h", 86400},
        {"7d", 604800}, {"1h30m", 5400}, {"1d2h3m4s", 93784},
        {"0s", 0},      {"007m", 420},   {"3650d", 315360000},
        {"", -1},       {"24", -1},      {"h", -1},
        {"-1h", -1},    {"+1h", -1},     {"1.5h", -1},
        {"1 h", -1},    {"1h ", -1},     {"1H", -1},
        {"1w", -1},     {"30m1h", -1},   {"1h1h", -1},
        {"3651d", -1},  {"3650d1s", -1}, {"99999999999999999999999999s", -1},
        {"1hh", -1},    {"∞d", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = ERROR_INIT;
        uint64_t seconds = 7;
        enum errc code = duration_parse(rows[i].text, &seconds, &err);
        if (rows[i].seconds < 0 && code == ERR_CONFIG && err.hint[0] != '\0' && seconds == 7)
            continue;
        if (code || seconds != (uint64_t)rows[i].seconds)
            fail_msg("'%s': %s, %llu", rows[i].text, err.text, (unsigned long long)seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_read_and_rendered),
        cmocka_unit_test(test_what_is_no_time_is_refused_with_the_reason),
        cmocka_unit_test(test_foreign_bytes_are_escaped_and_cut_in_the_error),
        cmocka_unit_test(test_any_number_of_seconds_can_be_rendered),
        cmocka_unit_test(test_every_day_of_a_thousand_years_goes_there_and_back),
        cmocka_unit_test(test_instants_are_ordered),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests_name("codec/rfc3339", tests, NULL, NULL);
}
