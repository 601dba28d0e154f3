/*
 * Times and durations from any text. A time that is read must come back from its own canonical text
 * as the same instant; one that is not must say why, and how to write it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/codec/rfc3339.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_time(const char *text)
{
    struct error err = ERROR_INIT;
    struct instant instant, again;
    char canonical[RFC3339_SIZE];
    if (rfc3339_parse(text, &instant, &err)) {
        if (err.code != ERR_CONFIG || err.hint[0] == '\0')
            abort();
        return;
    }
    rfc3339_render(instant, canonical);
    if (rfc3339_parse(canonical, &again, &err) || instant_compare(instant, again) != 0)
        abort();
    if (strlen(canonical) > sizeof "2024-12-10T00:00:00.123456789Z" - 1)
        abort();
}

static void check_duration(const char *text)
{
    struct error err = ERROR_INIT;
    uint64_t seconds;
    if (!duration_parse(text, &seconds, &err) && seconds > UINT64_C(3650) * 86400)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char *text = malloc(length + 1);
    if (!text)
        return 0;
    memcpy(text, bytes, length);
    text[length] = '\0';
    check_time(text);
    check_duration(text);
    free(text);
    return 0;
}
