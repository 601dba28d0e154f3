/*
 * A name is walked item by item. Every directive but %s has one width, so there is nothing to try
 * twice: %s takes all digits that are there, %z the longest form that fits, and pattern_parse() has
 * refused patterns in which a digit could follow either.
 */
#include "lib/backup/pattern.h"

#include <limits.h>
#include <string.h>
#include <time.h>

static const char known_directives[] = "%Y %m %d %j %H %M %S %s %z %F %T %%";
static const char example[] = "%Y-%m-%dT%H:%M:%SZ.dump";

enum { SHOWN_BYTES = 200, UNSET = INT_MIN, MAX_EPOCH_DIGITS = 12, SECONDS_PER_DAY = 86400 };

/* What the directives of one name said. */
struct fields {
    int year, month, day, day_of_year, hour, minute, second, offset_minutes;
    int64_t epoch_s; /* -1: unset */
};

static enum errc refuse(struct error *err, const char *pattern, const char *why)
{
    STR_GUARD struct str quoted = STR_INIT(2 * SHOWN_BYTES);
    str_append_quoted(&quoted, pattern, SHOWN_BYTES);
    error_set(err, ERR_CONFIG, "name pattern %s %s", str_text(&quoted), why);
    return error_hint(err, "directives are %s, for example '%s'", known_directives, example);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- parsing the pattern ---- */

static bool push(struct pattern *pattern, char directive, const char *text, size_t length)
{
    if (pattern->count == LIMIT_PATTERN_ITEMS)
        return false;
    pattern->items[pattern->count++] = (struct pattern_item){directive, text, length};
    return true;
}

/* %F and %T are pushed as what they stand for. */
static bool push_alias(struct pattern *pattern, const char *directives, const char *separator)
{
    for (const char *d = directives; *d; d++)
        if ((d != directives && !push(pattern, 0, separator, 1)) || !push(pattern, *d, NULL, 0))
            return false;
    return true;
}

static bool push_directive(struct pattern *pattern, const char *percent)
{
    switch (percent[1]) {
    case 'F':
        return push_alias(pattern, "Ymd", "-");
    case 'T':
        return push_alias(pattern, "HMS", ":");
    case '%':
        return push(pattern, 0, percent, 1);
    default:
        return push(pattern, percent[1], NULL, 0);
    }
}

static enum errc split(const char *text, struct pattern *pattern, struct error *err)
{
    bool has_room = true;
    for (const char *p = text; *p && has_room;) {
        if (*p != '%') {
            size_t length = strcspn(p, "%");
            has_room = push(pattern, 0, p, length);
            p += length;
            continue;
        }
        if (!p[1] || !strchr("YmdjHMSszFT%", p[1])) {
            refuse(err, text, p[1] ? "holds an unknown directive" : "ends within a directive");
            return error_wrap(err, "'%%%.1s'",
                              (unsigned char)p[1] < 0x7f && p[1] > ' ' ? p + 1 : "");
        }
        has_room = push_directive(pattern, p);
        p += 2;
    }
    return has_room ? RR_OK : refuse(err, text, "has too many directives");
}

static bool has(const struct pattern *pattern, char directive)
{
    for (size_t i = 0; i < pattern->count; i++)
        if (pattern->items[i].directive == directive)
            return true;
    return false;
}

static const char *what_time_lacks(const struct pattern *pattern)
{
    if (has(pattern, 's'))
        return NULL;
    if (!has(pattern, 'Y'))
        return "does not say the year (%Y)";
    if (!has(pattern, 'j') && !(has(pattern, 'm') && has(pattern, 'd')))
        return "does not say the day (%m and %d, or %j)";
    if (has(pattern, 'M') && !has(pattern, 'H'))
        return "has minutes (%M) without hours (%H)";
    if (has(pattern, 'S') && !has(pattern, 'M'))
        return "has seconds (%S) without minutes (%M)";
    return NULL;
}

/* The width of %s and %z depends on what follows: no digit may. */
static bool is_ambiguous(const struct pattern *pattern)
{
    for (size_t i = 0; i + 1 < pattern->count; i++) {
        const struct pattern_item *item = &pattern->items[i], *next = item + 1;
        if ((item->directive == 's' || item->directive == 'z') &&
            (next->directive || is_digit(*next->text) ||
             (item->directive == 'z' && *next->text == ':')))
            return true;
    }
    return false;
}

/* A name must stay below the folder, and be one that a folder of files can hold too. */
static bool is_path_sane(const char *text)
{
    for (const char *part = text;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 && !*part && part != text)
            return true; /* a slash at the end: folders are meant */
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part += length;
        if (!*part)
            return true;
    }
}

static bool has_control_character(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

enum errc pattern_parse(const char *text, struct pattern *ret_pattern, struct error *err)
{
    struct pattern pattern = {0};
    if (strlen(text) > LIMIT_OBJECT_KEY_BYTES)
        return refuse(err, text, "is too long");
    if (has_control_character(text))
        return refuse(err, text, "holds a control character");
    if (split(text, &pattern, err))
        return err->code;
    const char *lack = what_time_lacks(&pattern);
    if (lack)
        return refuse(err, text, lack);
    if (is_ambiguous(&pattern))
        return refuse(err, text, "needs a separator after %s and %z");
    if (!is_path_sane(text))
        return refuse(err, text, "holds an empty, '.' or '..' part between slashes");
    for (const char *p = text; *p; p++)
        pattern.folder_count += *p == '/';
    pattern.is_folder = text_has_suffix(text, "/");
    *ret_pattern = pattern;
    return RR_OK;
}

/* ---- matching a name ---- */

/* Reads exactly `width` digits. */
static bool read_digits(const char **at, int width, int *ret_value)
{
    int value = 0;
    for (int i = 0; i < width; i++) {
        if (!is_digit((*at)[i]))
            return false;
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += width;
    *ret_value = value;
    return true;
}

/* The first time sets, every other time must agree. */
static bool agree(int *field, int value)
{
    if (*field != UNSET && *field != value)
        return false;
    *field = value;
    return true;
}

static bool read_number(const char **at, int width, int min, int max, int *field)
{
    int value;
    return read_digits(at, width, &value) && value >= min && value <= max && agree(field, value);
}

static bool read_epoch(const char **at, struct fields *fields)
{
    int64_t value = 0;
    size_t length = strspn(*at, "0123456789");
    if (length == 0 || length > MAX_EPOCH_DIGITS || (length > 1 && **at == '0'))
        return false;
    for (size_t i = 0; i < length; i++)
        value = value * 10 + ((*at)[i] - '0');
    *at += length;
    if (fields->epoch_s != -1 && fields->epoch_s != value)
        return false;
    fields->epoch_s = value;
    return true;
}

static bool read_zone(const char **at, struct fields *fields)
{
    const char *p = *at;
    int hours = 0, minutes = 0, sign = *p == '-' ? -1 : 1;
    if (*p == 'Z') {
        p++;
    } else {
        if (*p != '+' && *p != '-')
            return false;
        p++;
        if (!read_digits(&p, 2, &hours))
            return false;
        if (*p == ':' || is_digit(*p)) {
            p += *p == ':';
            if (!read_digits(&p, 2, &minutes))
                return false;
        }
    }
    *at = p;
    return hours <= 23 && minutes <= 59 &&
           agree(&fields->offset_minutes, sign * (hours * 60 + minutes));
}

static bool read_directive(char directive, const char **at, struct fields *fields)
{
    switch (directive) {
    case 'Y':
        return read_number(at, 4, 1, 9999, &fields->year);
    case 'm':
        return read_number(at, 2, 1, 12, &fields->month);
    case 'd':
        return read_number(at, 2, 1, 31, &fields->day);
    case 'j':
        return read_number(at, 3, 1, 366, &fields->day_of_year);
    case 'H':
        return read_number(at, 2, 0, 23, &fields->hour);
    case 'M':
        return read_number(at, 2, 0, 59, &fields->minute);
    case 'S':
        return read_number(at, 2, 0, 59, &fields->second);
    case 's':
        return read_epoch(at, fields);
    default:
        return read_zone(at, fields);
    }
}

static int or_zero(int field)
{
    return field == UNSET ? 0 : field;
}

static bool is_same_or_unset(int field, int value)
{
    return field == UNSET || field == value;
}

/* Whether the calendar fields that a name also has say what this moment's calendar says. */
static bool calendar_agrees(const struct fields *fields, int64_t local_s)
{
    time_t seconds = local_s;
    struct tm tm;
    if (!gmtime_r(&seconds, &tm))
        return false;
    return is_same_or_unset(fields->year, tm.tm_year + 1900) &&
           is_same_or_unset(fields->month, tm.tm_mon + 1) &&
           is_same_or_unset(fields->day, tm.tm_mday) &&
           is_same_or_unset(fields->day_of_year, tm.tm_yday + 1) &&
           is_same_or_unset(fields->hour, tm.tm_hour) &&
           is_same_or_unset(fields->minute, tm.tm_min) &&
           is_same_or_unset(fields->second, tm.tm_sec);
}

/* False for a date that does not exist: it comes out as another one. */
static bool fields_to_instant(const struct fields *fields, struct instant *ret_instant)
{
    int64_t offset_s = or_zero(fields->offset_minutes) * (int64_t)60, local_s;
    if (fields->epoch_s != -1) {
        local_s = fields->epoch_s + offset_s;
    } else {
        bool has_month_and_day = fields->month != UNSET && fields->day != UNSET;
        int64_t days =
            has_month_and_day
                ? civil_to_days(fields->year, (unsigned)fields->month, 1) + fields->day - 1
                : civil_to_days(fields->year, 1, 1) + fields->day_of_year - 1;
        local_s = days * SECONDS_PER_DAY + or_zero(fields->hour) * 3600 +
                  or_zero(fields->minute) * 60 + or_zero(fields->second);
    }
    if (!calendar_agrees(fields, local_s))
        return false;
    *ret_instant = (struct instant){.seconds = local_s - offset_s};
    return true;
}

/* Walks as far as the name goes. False on the first byte that does not fit. */
static bool walk(const struct pattern *pattern, const char *name, struct fields *fields,
                 bool *ret_is_whole)
{
    const char *at = name;
    for (size_t i = 0; i < pattern->count; i++) {
        const struct pattern_item *item = &pattern->items[i];
        if (item->directive) {
            if (!read_directive(item->directive, &at, fields))
                return false;
            continue;
        }
        size_t common = strnlen(at, item->length);
        if (memcmp(at, item->text, common) != 0)
            return false;
        at += common;
        if (common < item->length) {
            *ret_is_whole = false;
            return true;
        }
        if (!*at && i + 1 < pattern->count) {
            *ret_is_whole = false;
            return true;
        }
    }
    *ret_is_whole = *at == '\0';
    return *ret_is_whole;
}

static struct fields no_fields(void)
{
    return (struct fields){UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, .epoch_s = -1};
}

bool pattern_match(const struct pattern *pattern, const char *name, struct instant *ret_instant)
{
    struct fields fields = no_fields();
    bool is_whole;
    return walk(pattern, name, &fields, &is_whole) && is_whole &&
           fields_to_instant(&fields, ret_instant);
}

bool pattern_match_folder(const struct pattern *pattern, const char *name)
{
    struct fields fields = no_fields();
    bool is_whole;
    return walk(pattern, name, &fields, &is_whole) && !is_whole;
}

/* ---- rendering a prefix ---- */

/* Both ends of a range, and whether everything from the year down to a unit is equal in them: only
 * then is that unit the same all through the range. */
struct span {
    struct tm tm;
    bool has_same_year, has_same_month, has_same_day, has_same_hour, has_same_minute, is_instant;
};

static bool span_init(struct span *span, struct instant from, struct instant to)
{
    time_t begin = from.seconds, end = to.seconds;
    struct tm last;
    if (!gmtime_r(&begin, &span->tm) || !gmtime_r(&end, &last) || last.tm_year + 1900 > 9999 ||
        span->tm.tm_year + 1900 < 1)
        return false;
    span->has_same_year = span->tm.tm_year == last.tm_year;
    span->has_same_month = span->has_same_year && span->tm.tm_mon == last.tm_mon;
    span->has_same_day = span->has_same_month && span->tm.tm_mday == last.tm_mday;
    span->has_same_hour = span->has_same_day && span->tm.tm_hour == last.tm_hour;
    span->has_same_minute = span->has_same_hour && span->tm.tm_min == last.tm_min;
    span->is_instant = begin == end;
    return true;
}

static bool append_directive(struct str *prefix, char directive, const struct span *span,
                             int64_t seconds)
{
    const struct tm *tm = &span->tm;
    switch (directive) {
    case 'Y':
        if (span->has_same_year)
            str_printf(prefix, "%04d", tm->tm_year + 1900);
        return span->has_same_year;
    case 'm':
        if (span->has_same_month)
            str_printf(prefix, "%02d", tm->tm_mon + 1);
        return span->has_same_month;
    case 'd':
        if (span->has_same_day)
            str_printf(prefix, "%02d", tm->tm_mday);
        return span->has_same_day;
    case 'j':
        if (span->has_same_day)
            str_printf(prefix, "%03d", tm->tm_yday + 1);
        return span->has_same_day;
    case 'H':
        if (span->has_same_hour)
            str_printf(prefix, "%02d", tm->tm_hour);
        return span->has_same_hour;
    case 'M':
        if (span->has_same_minute)
            str_printf(prefix, "%02d", tm->tm_min);
        return span->has_same_minute;
    case 'S':
        if (span->is_instant)
            str_printf(prefix, "%02d", tm->tm_sec);
        return span->is_instant;
    default:
        if (!span->is_instant || seconds < 0)
            return false;
        str_printf(prefix, "%lld", (long long)seconds);
        return true;
    }
}

void pattern_literal_prefix(const struct pattern *pattern, struct str *prefix)
{
    for (size_t i = 0; i < pattern->count && !pattern->items[i].directive; i++)
        str_append_bytes(prefix, pattern->items[i].text, pattern->items[i].length);
}

void pattern_prefix(const struct pattern *pattern, struct instant from, struct instant to,
                    struct str *prefix)
{
    struct span span;
    if (has(pattern, 'z') || !span_init(&span, from, to)) {
        pattern_literal_prefix(pattern, prefix);
        return;
    }
    for (size_t i = 0; i < pattern->count; i++) {
        const struct pattern_item *item = &pattern->items[i];
        if (!item->directive)
            str_append_bytes(prefix, item->text, item->length);
        else if (!append_directive(prefix, item->directive, &span, from.seconds))
            return;
    }
}
