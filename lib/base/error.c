#include "lib/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *reason;
    int exit_code;
    bool transient;
} table[ERRC_COUNT] = {
#define X(name, reason, exit_code, transient) [name] = {#name, reason, exit_code, transient},
    ERRC_TABLE(X)
#undef X
};

static void die(const char *what, const struct error *err)
{
    fprintf(stderr, "restore-reconciler: bug: %s (slot holds: %s)\n", what, err->text);
    abort();
}

static void fill(struct error *err, enum errc code, const char *fmt, va_list ap)
{
    if (err->code != RR_OK)
        die("error slot set twice", err);
    if (code == RR_OK)
        die("error slot set to success", err);
    err->code = code;
    vsnprintf(err->text, sizeof err->text, fmt, ap);
}

enum errc error_set(struct error *err, enum errc code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, fmt, ap);
    va_end(ap);
    return code;
}

enum errc error_set_errno(struct error *err, enum errc code, int sys_errno, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, code, fmt, ap);
    va_end(ap);
    err->sys_errno = sys_errno;
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(sys_errno));
    return code;
}

enum errc error_wrap(struct error *err, const char *fmt, ...)
{
    if (err->code == RR_OK)
        die("empty error slot wrapped", err);
    char inner[ERROR_TEXT_SIZE];
    memcpy(inner, err->text, sizeof inner);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    return err->code;
}

enum errc error_hint(struct error *err, const char *fmt, ...)
{
    if (err->code == RR_OK)
        die("hint for an empty error slot", err);
    if (err->hint[0] != '\0')
        return err->code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return err->code;
}

enum errc error_recode(struct error *err, enum errc code)
{
    if (err->code == RR_OK || code == RR_OK)
        die("empty error slot recoded", err);
    err->code = code;
    return code;
}

void error_clear(struct error *err)
{
    *err = ERROR_INIT;
}

const char *errc_name(enum errc code)
{
    return (unsigned)code < ERRC_COUNT ? table[code].name : "ERR_?";
}

const char *errc_reason(enum errc code)
{
    return (unsigned)code < ERRC_COUNT ? table[code].reason : "InternalError";
}

int errc_exit(enum errc code)
{
    return (unsigned)code < ERRC_COUNT ? table[code].exit_code : 70;
}

bool errc_is_transient(enum errc code)
{
    return (unsigned)code < ERRC_COUNT && table[code].transient;
}

enum errc errc_from_reason(const char *reason)
{
    for (int i = 1; i < ERRC_COUNT; i++)
        if (strcmp(table[i].reason, reason) == 0)
            return (enum errc)i;
    return ERRC_COUNT;
}
