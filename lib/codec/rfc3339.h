/*
 * rfc3339 - instants as text, RFC 3339 section 5.6.
 *
 * A zone is required: a time without one is an error, never a guess. Two texts that name the same
 * instant in different zones are equal. Years 0001 to 9999; a leap second (":60") is accepted where
 * RFC 3339 allows it and counts as the following second. Fractions have 1 to 9 digits.
 */
#ifndef RR_CODEC_RFC3339_H
#define RR_CODEC_RFC3339_H

#include <stdint.h>

#include "lib/base/error.h"

struct instant {
    int64_t seconds;      /* since 1970-01-01T00:00:00Z */
    uint32_t nanoseconds; /* 0 to 999999999 */
};

/* Longest text rfc3339_render() writes, with its terminator. */
enum { RFC3339_SIZE = 40 };

/* Parses the whole text. ERR_CONFIG with what is wrong (no zone, trailing text, month 13 ...) and a
 * hint that shows a well-formed time. */
enum errc rfc3339_parse(const char *text, struct instant *ret_instant,
                        struct error *err) RR_MUST_CHECK;

/* Canonical text in UTC: "2024-12-10T00:00:00Z", with a fraction only when there is one (no
 * trailing zeros). Equal instants give equal texts. */
void rfc3339_render(struct instant instant, char ret_text[RFC3339_SIZE]);

/* <0, 0, >0 as a is before, equal to, after b. */
int instant_compare(struct instant a, struct instant b);

/* Days since 1970-01-01 of a proleptic Gregorian date; year, month 1-12, day 1-31 must be valid. */
int64_t civil_to_days(int year, unsigned month, unsigned day);

/* "90s", "30m", "24h", "7d", "1h30m" -> seconds. No sign, no fraction, at most 10 years. */
enum errc duration_parse(const char *text, uint64_t *ret_seconds, struct error *err) RR_MUST_CHECK;

#endif
