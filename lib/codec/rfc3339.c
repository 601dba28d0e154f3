#include "lib/codec/rfc3339.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/str.h"

enum { SECONDS_PER_DAY = 86400, NANOSECOND_DIGITS = 9, SHOWN_BYTES = 60 };

/* 0001-01-01T00:00:00Z and the second after 9999-12-31T23:59:59Z: what four digits can say. */
static const int64_t FIRST_SECOND = -62135596800, END_SECOND = 253402300800;

/* The largest duration: a typing error is more likely than a wish for more. */
static const uint64_t DURATION_MAX_S = UINT64_C(3650) * SECONDS_PER_DAY;

/* A time as it is written, before the zone is taken off. */
struct written_time {
    int year, month, day, hour, minute, second;
    uint32_t nanoseconds;
    int zone_minutes; /* east of UTC */
};

int64_t civil_to_days(int year, unsigned month, unsigned day)
{
    /* Years begin in March here, so that the leap day is the last one; 400 years are one period. */
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* The inverse of civil_to_days(). */
static void days_to_civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *ret_day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *ret_month = (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

/* Takes exactly `count` digits from *p. */
static bool take_number(const char **p, int count, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!is_digit((*p)[i]))
            return false;
        value = value * 10 + ((*p)[i] - '0');
    }
    *p += count;
    *ret_value = value;
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    (*p)++;
    return true;
}

/* The takers below answer NULL when all is well, else what is wrong. */

static const char *take_date(const char **p, struct written_time *t)
{
    size_t year_digits = strspn(*p, "0123456789");
    if (year_digits > 4)
        return "the year has more than four digits";
    if (!take_number(p, 4, &t->year) || !take_char(p, '-') || !take_number(p, 2, &t->month) ||
        !take_char(p, '-') || !take_number(p, 2, &t->day))
        return "it does not begin with a date YYYY-MM-DD";
    if (t->year == 0)
        return "there is no year 0000";
    if (t->month < 1 || t->month > 12)
        return "the month is not 01 to 12";
    if (t->day < 1 || t->day > days_in_month(t->year, t->month))
        return "that month has no such day";
    return NULL;
}

static const char *take_fraction(const char **p, struct written_time *t)
{
    if (!take_char(p, '.'))
        return NULL;
    size_t digits = strspn(*p, "0123456789");
    if (digits == 0 || digits > NANOSECOND_DIGITS)
        return "a fraction has one to nine digits";
    for (size_t i = 0; i < NANOSECOND_DIGITS; i++)
        t->nanoseconds = t->nanoseconds * 10 + (i < digits ? (uint32_t)((*p)[i] - '0') : 0);
    *p += digits;
    return NULL;
}

static const char *take_time_of_day(const char **p, struct written_time *t)
{
    if (**p == '\0')
        return "the time of day and the zone are missing";
    if (!take_char(p, 'T') && !take_char(p, 't'))
        return "a 'T' is missing between the date and the time of day";
    if (!take_number(p, 2, &t->hour) || !take_char(p, ':') || !take_number(p, 2, &t->minute) ||
        !take_char(p, ':') || !take_number(p, 2, &t->second))
        return "the time of day is not HH:MM:SS";
    if (t->hour > 23 || t->minute > 59 || t->second > 60)
        return "there is no such time of day";
    return take_fraction(p, t);
}

static const char *take_zone(const char **p, struct written_time *t)
{
    if (**p == '\0')
        return "the zone is missing";
    if (take_char(p, 'Z') || take_char(p, 'z'))
        return NULL;
    char sign = **p;
    int hours, minutes;
    if (sign != '+' && sign != '-')
        return "after the seconds comes neither a fraction nor a zone";
    (*p)++;
    if (!take_number(p, 2, &hours) || !take_char(p, ':') || !take_number(p, 2, &minutes))
        return "the zone is neither Z nor +HH:MM nor -HH:MM";
    if (hours > 23 || minutes > 59)
        return "there is no such zone";
    t->zone_minutes = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
    return NULL;
}

/*
 * A leap second is the last second of a month in UTC; which months have one is not knowable ahead.
 */
static bool is_leap_second(int64_t following_second)
{
    if (following_second % SECONDS_PER_DAY != 0)
        return false;
    int64_t year;
    unsigned month, day;
    days_to_civil(following_second / SECONDS_PER_DAY, &year, &month, &day);
    return day == 1;
}

static const char *to_instant(const struct written_time *t, struct instant *ret_instant)
{
    int64_t days = civil_to_days(t->year, (unsigned)t->month, (unsigned)t->day);
    int64_t seconds = days * SECONDS_PER_DAY + t->hour * 3600 + t->minute * 60 + t->second -
                      (int64_t)t->zone_minutes * 60;
    if (t->second == 60 && !is_leap_second(seconds))
        return "second 60 exists only as a leap second at the end of a month in UTC";
    if (seconds < FIRST_SECOND || seconds >= END_SECOND)
        return "in UTC it is outside the years 0001 to 9999";
    *ret_instant = (struct instant){.seconds = seconds, .nanoseconds = t->nanoseconds};
    return NULL;
}

static enum errc refuse(struct error *err, const char *text, const char *what, const char *problem)
{
    STR_GUARD struct str quoted = STR_INIT(SHOWN_BYTES * 6);
    str_append_quoted(&quoted, text, SHOWN_BYTES);
    return error_set(err, ERR_CONFIG, "%s is not a %s: %s", str_text(&quoted), what, problem);
}

enum errc rfc3339_parse(const char *text, struct instant *ret_instant, struct error *err)
{
    struct written_time t = {0};
    const char *p = text;
    const char *problem = *text == '\0' ? "it is empty" : take_date(&p, &t);
    if (!problem)
        problem = take_time_of_day(&p, &t);
    if (!problem)
        problem = take_zone(&p, &t);
    if (!problem && *p != '\0')
        problem = "there is text after the zone";
    if (!problem)
        problem = to_instant(&t, ret_instant);
    if (!problem)
        return RR_OK;
    refuse(err, text, "time", problem);
    return error_hint(err, "write it with date, time of day and zone, as in "
                           "\"2024-12-10T00:00:00Z\" or \"2024-12-10T01:00:00+01:00\"");
}

void rfc3339_render(struct instant instant, char ret_text[RFC3339_SIZE])
{
    int64_t days = instant.seconds / SECONDS_PER_DAY, second = instant.seconds % SECONDS_PER_DAY;
    if (second < 0) {
        second += SECONDS_PER_DAY;
        days--;
    }
    int64_t year;
    unsigned month, day;
    days_to_civil(days, &year, &month, &day);
    char fraction[16] = "";
    if (instant.nanoseconds) {
        snprintf(fraction, sizeof fraction, ".%09u", (unsigned)instant.nanoseconds % 1000000000u);
        for (size_t end = strlen(fraction); fraction[end - 1] == '0'; end--)
            fraction[end - 1] = '\0';
    }
    snprintf(ret_text, RFC3339_SIZE, "%04lld-%02u-%02uT%02d:%02d:%02d%sZ", (long long)year, month,
             day, (int)(second / 3600), (int)(second / 60 % 60), (int)(second % 60), fraction);
}

int instant_compare(struct instant a, struct instant b)
{
    if (a.seconds != b.seconds)
        return a.seconds < b.seconds ? -1 : 1;
    return (a.nanoseconds > b.nanoseconds) - (a.nanoseconds < b.nanoseconds);
}

/* Reads one "<digits><unit>" and adds it. Units come from large to small, each at most once:
 * `*first_unit` is the index of the first one still allowed. */
static const char *add_part(const char **p, size_t *first_unit, uint64_t *total_s)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'d', SECONDS_PER_DAY}, {'h', 3600}, {'m', 60}, {'s', 1}};
    uint64_t value = 0;
    if (!is_digit(**p))
        return "a number is missing";
    for (; is_digit(**p); (*p)++) {
        value = value * 10 + (uint64_t)(**p - '0');
        if (value > DURATION_MAX_S)
            return "it is longer than ten years";
    }
    for (size_t i = *first_unit; i < sizeof units / sizeof *units; i++) {
        if (**p != units[i].letter)
            continue;
        (*p)++;
        *first_unit = i + 1;
        *total_s += value * units[i].seconds;
        return *total_s > DURATION_MAX_S ? "it is longer than ten years" : NULL;
    }
    return **p == '\0' ? "the unit is missing" : "the units are d, h, m and s, in this order";
}

enum errc duration_parse(const char *text, uint64_t *ret_seconds, struct error *err)
{
    uint64_t total_s = 0;
    size_t first_unit = 0;
    const char *p = text, *problem = *text == '\0' ? "it is empty" : NULL;
    while (!problem && *p != '\0')
        problem = add_part(&p, &first_unit, &total_s);
    if (!problem) {
        *ret_seconds = total_s;
        return RR_OK;
    }
    refuse(err, text, "duration", problem);
    return error_hint(err, "write it as 90s, 30m, 24h, 7d or 1h30m");
}
