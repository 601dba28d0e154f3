#include "lib/base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

static struct {
    enum log_level level;
    bool is_text, has_colour;
    _Atomic(const char *) run, phase;
    pthread_mutex_t write_lock;
} config = {.level = LOG_LEVEL_INFO, .write_lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colours[] = {"\x1b[2m", "", "\x1b[33m", "\x1b[31m"};

void log_setup(enum log_level level, enum log_format format)
{
    bool is_terminal = isatty(STDERR_FILENO);
    config.level = level;
    config.is_text = format == LOG_FORMAT_TEXT || (format == LOG_FORMAT_AUTO && is_terminal);
    config.has_colour = config.is_text && is_terminal;
}

void log_set_run(const char *run_id)
{
    atomic_store(&config.run, run_id);
}

void log_set_phase(const char *phase)
{
    atomic_store(&config.phase, phase);
}

bool log_is_text(void)
{
    return config.is_text;
}

bool log_is_enabled(enum log_level level)
{
    return level >= config.level;
}

static void append_time(struct str *line)
{
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    str_printf(line, "%s.%03ldZ", text, ts.tv_nsec / 1000000);
}

static void append_value(struct str *line, const struct log_field *field, bool is_json)
{
    switch (field->kind) {
    case LOG_FIELD_TEXT:
        if (is_json)
            str_append_json(line, field->text);
        else
            str_append_quoted(line, field->text, LIMIT_LOG_LINE_BYTES / 4);
        break;
    case LOG_FIELD_UINT:
        str_printf(line, "%llu", (unsigned long long)field->u);
        break;
    case LOG_FIELD_INT:
        str_printf(line, "%lld", (long long)field->i);
        break;
    case LOG_FIELD_REAL:
        str_printf(line, "%.3f", field->real);
        break;
    case LOG_FIELD_BOOL:
        str_append(line, field->b ? "true" : "false");
        break;
    }
}

static void append_text_line(struct str *line, enum log_level level, const char *msg,
                             const struct log_field fields[])
{
    const char *phase = atomic_load(&config.phase);
    append_time(line);
    str_printf(line, " %s%-5s%s ", config.has_colour ? level_colours[level] : "",
               level_names[level], config.has_colour ? "\x1b[0m" : "");
    if (phase)
        str_printf(line, "%s: ", phase);
    str_append(line, msg);
    for (; fields->key; fields++) {
        str_printf(line, " %s=", fields->key);
        append_value(line, fields, false);
    }
    str_append_char(line, '\n');
}

static void append_json_line(struct str *line, enum log_level level, const char *msg,
                             const struct log_field fields[])
{
    const char *run = atomic_load(&config.run), *phase = atomic_load(&config.phase);
    str_append(line, "{\"time\":\"");
    append_time(line);
    str_printf(line, "\",\"level\":\"%s\"", level_names[level]);
    if (run) {
        str_append(line, ",\"run\":");
        str_append_json(line, run);
    }
    if (phase) {
        str_append(line, ",\"phase\":");
        str_append_json(line, phase);
    }
    str_append(line, ",\"msg\":");
    str_append_json(line, msg);
    for (; fields->key; fields++) {
        str_append_char(line, ',');
        str_append_json(line, fields->key);
        str_append_char(line, ':');
        append_value(line, fields, true);
    }
    str_append(line, "}\n");
}

void log_event(enum log_level level, const char *msg, const struct log_field fields[])
{
    if (!log_is_enabled(level))
        return;
    /* JSON needs more room than the text that it escapes; a cut line would not parse. */
    STR_GUARD struct str line = STR_INIT(16 * LIMIT_LOG_LINE_BYTES);
    if (config.is_text)
        append_text_line(&line, level, msg, fields);
    else
        append_json_line(&line, level, msg, fields);
    pthread_mutex_lock(&config.write_lock);
    for (size_t done = 0; done < line.length;) {
        ssize_t n = write(STDERR_FILENO, line.data + done, line.length - done);
        if (n <= 0)
            break; /* nobody left to tell */
        done += (size_t)n;
    }
    pthread_mutex_unlock(&config.write_lock);
}
