/*
 * log - one event per line on standard error.
 *
 * Text for a terminal, JSON lines otherwise: time, level, run, phase, msg, fields. Library code
 * logs at debug only; phases log their start and end at info; `warn` means "carrying on, and here
 * is why". Only the main thread logs above debug. Lines are written whole, so threads do not mix.
 * Secrets cannot be logged: they have a type of their own (secret.h).
 *
 *     log_info("load finished", LOG_UINT("rows", rows), LOG_TEXT("database", name));
 */
#ifndef RR_BASE_LOG_H
#define RR_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
    const char *key; /* NULL ends a list */
    enum { LOG_FIELD_TEXT, LOG_FIELD_UINT, LOG_FIELD_INT, LOG_FIELD_REAL, LOG_FIELD_BOOL } kind;
    union {
        const char *text; /* escaped when written; NULL is written as null */
        uint64_t u;
        int64_t i;
        double real;
        bool b;
    };
};

#define LOG_TEXT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_TEXT, .text = (v)})
#define LOG_UINT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_UINT, .u = (v)})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_INT, .i = (v)})
#define LOG_REAL(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_REAL, .real = (v)})
#define LOG_BOOL(k, v) ((struct log_field){.key = (k), .kind = LOG_FIELD_BOOL, .b = (v)})

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})
#define log_debug(msg, ...) log_event(LOG_LEVEL_DEBUG, msg, LOG_FIELDS(__VA_ARGS__))
#define log_info(msg, ...) log_event(LOG_LEVEL_INFO, msg, LOG_FIELDS(__VA_ARGS__))
#define log_warn(msg, ...) log_event(LOG_LEVEL_WARN, msg, LOG_FIELDS(__VA_ARGS__))
#define log_error(msg, ...) log_event(LOG_LEVEL_ERROR, msg, LOG_FIELDS(__VA_ARGS__))

/* Before the first thread starts. LOG_FORMAT_AUTO: text when standard error is a terminal. */
void log_setup(enum log_level level, enum log_format format);
/* Shown with every later line; the strings must outlive their use. NULL: none. Main thread only. */
void log_set_run(const char *run_id);
void log_set_phase(const char *phase);
/* Whether lines are for people (text) rather than JSON. */
bool log_is_text(void);
/* Whether events of this level are written at all. */
bool log_is_enabled(enum log_level level);

void log_event(enum log_level level, const char *msg, const struct log_field fields[]);

#endif
