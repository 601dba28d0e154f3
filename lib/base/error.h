/*
 * error - what went wrong, where, and what the operator can do about it.
 *
 * Every function that can fail returns `enum errc` (RR_OK, that is 0, on success), is marked
 * RR_MUST_CHECK and takes a caller-owned `struct error *` as its last parameter. The slot has a
 * fixed size and is never allocated. It is set once, where the error is found, with error_set();
 * each room that the error crosses on its way up may put its own words in front with error_wrap().
 * On success the slot is untouched. Setting a filled slot is a bug (it would hide the first cause)
 * and aborts.
 *
 * Text: lower case, no full stop, values in single quotes, what to do in the hint. A message never
 * holds a secret; names that come from outside are escaped with str_append_quoted().
 *
 *     struct error err = ERROR_INIT;
 *     if (thing_open(path, &thing, &err))
 *         return error_wrap(&err, "state '%s'", name);
 */
#ifndef RR_BASE_ERROR_H
#define RR_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#define RR_MUST_CHECK __attribute__((warn_unused_result))
#define RR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * Every way in which the program can fail, once. Columns: name; the status reason (CamelCase, as in
 * the journal, the last line of a run and the failure guide); exit code; whether the same call may
 * succeed when it is tried again (transient). ERR_x exit codes that depend on how far the run has
 * come (4 before the staging step, 10 from there on) stand here with the earlier value; the run
 * maps them (lib/reconcile/outcome.h).
 */
#define ERRC_TABLE(X)                                                                              \
    /* name                      reason                   exit transient */                        \
    X(RR_OK, "Succeeded", 0, false)                                                                \
    X(ERR_USAGE, "WrongUsage", 2, false)                                                           \
    X(ERR_CONFIG, "InvalidConfiguration", 2, false)                                                \
    X(ERR_UNSUPPORTED, "Unsupported", 2, false)                                                    \
    X(ERR_STATE_MISSING, "StateMissing", 2, false)                                                 \
    X(ERR_LOCKED, "Locked", 3, true)                                                               \
    X(ERR_STORE, "StoreUnavailable", 4, true)                                                      \
    X(ERR_CONFLICT, "StoreConflict", 4, true)                                                      \
    X(ERR_JOURNAL_CORRUPT, "JournalCorrupt", 4, false)                                             \
    X(ERR_API, "ApiUnavailable", 4, true)                                                          \
    X(ERR_ANSWER_LOST, "AnswerLost", 4, true)                                                      \
    X(ERR_UNAUTHENTICATED, "Unauthenticated", 4, false)                                            \
    X(ERR_FORBIDDEN, "Forbidden", 14, false)                                                       \
    X(ERR_NOT_FOUND, "NotFound", 14, false)                                                        \
    X(ERR_REJECTED, "Rejected", 10, false)                                                         \
    X(ERR_EXPIRED, "ListExpired", 4, true)                                                         \
    X(ERR_IO, "InputOutput", 4, true)                                                              \
    X(ERR_NETWORK, "NetworkUnreachable", 4, true)                                                  \
    X(ERR_TLS, "TlsFailed", 4, false)                                                              \
    X(ERR_TIMEOUT, "DeadlineExceeded", 4, true)                                                    \
    X(ERR_HTTP, "UnexpectedAnswer", 4, true)                                                       \
    X(ERR_OBJECT_STORE_DENIED, "BackupAccessDenied", 14, false)                                    \
    X(ERR_CREDENTIALS, "CredentialsMissing", 14, false)                                            \
    X(ERR_LOCATION_MISSING, "BackupLocationMissing", 14, false)                                    \
    X(ERR_BACKUP_NOT_FOUND, "BackupNotFound", 14, false)                                           \
    X(ERR_BACKUP_AMBIGUOUS, "BackupAmbiguous", 14, false)                                          \
    X(ERR_BACKUP_TOO_OLD, "BackupTooOld", 14, false)                                               \
    X(ERR_BACKUP_CHANGED, "BackupChanged", 10, true)                                               \
    X(ERR_CHECKSUM, "ChecksumMismatch", 10, false)                                                 \
    X(ERR_ARCHIVE_CORRUPT, "ArchiveCorrupt", 10, false)                                            \
    X(ERR_ARCHIVE_UNSUPPORTED, "ArchiveUnsupported", 14, false)                                    \
    X(ERR_TOO_LARGE, "LimitExceeded", 10, false)                                                   \
    X(ERR_DATABASE_UNREACHABLE, "DatabaseUnreachable", 4, true)                                    \
    X(ERR_DATABASE_LOGIN, "DatabaseLoginFailed", 4, false)                                         \
    X(ERR_DATABASE_LOST, "DatabaseConnectionLost", 4, true)                                        \
    X(ERR_CONTROL_DATABASE, "ControlDatabaseUnreadable", 4, true)                                  \
    X(ERR_SQL, "StatementFailed", 10, false)                                                       \
    X(ERR_DISK_FULL, "DiskFull", 10, true)                                                         \
    X(ERR_LOAD, "LoadFailed", 10, false)                                                           \
    X(ERR_VERIFY, "VerificationFailed", 10, false)                                                 \
    X(ERR_STEP, "StepFailed", 10, false)                                                           \
    X(ERR_SWAP, "SwapFailed", 10, true)                                                            \
    X(ERR_SMOKE, "SmokeCheckFailed", 10, false)                                                    \
    X(ERR_PREFLIGHT, "PreflightFailed", 14, false)                                                 \
    X(ERR_POOLER, "TransactionPooler", 14, false)                                                  \
    X(ERR_FIRST_CONTACT, "FirstContact", 12, false)                                                \
    X(ERR_DATABASE_CHANGED, "DatabaseChanged", 12, false)                                          \
    X(ERR_DATABASE_MISSING, "DatabaseMissing", 12, false)                                          \
    X(ERR_FOREIGN_STATE, "ForeignState", 12, false)                                                \
    X(ERR_REVERT_REFUSED, "RevertRefused", 12, false)                                              \
    X(ERR_RETRY_SCHEDULED, "RetryScheduled", 10, false)                                            \
    X(ERR_ATTEMPTS_EXHAUSTED, "AttemptsExhausted", 12, false)                                      \
    X(ERR_NOTHING_KEPT, "NothingKept", 12, false)                                                  \
    X(ERR_FENCE_LOST, "FenceLost", 13, false)                                                      \
    X(ERR_SUPERSEDED, "Superseded", 5, false)                                                      \
    X(ERR_CANCELLED, "Interrupted", 5, false)                                                      \
    X(ERR_BUG, "InternalError", 70, false)                                                         \
    X(ERR_NOMEM, "OutOfMemory", 71, false)

enum errc {
#define X(name, reason, exit_code, transient) name,
    ERRC_TABLE(X)
#undef X
        ERRC_COUNT
};

enum { ERROR_TEXT_SIZE = 1024, ERROR_HINT_SIZE = 512 };

/* One failure. Filled by error_set() and its kin; read its fields freely. */
struct error {
    enum errc code;
    int sys_errno;              /* errno of the cause, 0 if none */
    int http_status;            /* HTTP status of the cause, 0 if none */
    char sqlstate[6];           /* SQLSTATE of the cause, "" if none */
    char text[ERROR_TEXT_SIZE]; /* what happened, outermost room first; always terminated */
    char hint[ERROR_HINT_SIZE]; /* what to do, "" if there is nothing to say */
};

#define ERROR_INIT ((struct error){0})

/* Fills the slot and returns `code`, so that `return error_set(...)` reads well. Aborts when the
 * slot is filled already or `code` is RR_OK. Too long a text is cut at the end. */
enum errc error_set(struct error *err, enum errc code, const char *fmt, ...) RR_PRINTF(3, 4);

/* As error_set(), with errno `sys_errno` kept and its description added to the text. */
enum errc error_set_errno(struct error *err, enum errc code, int sys_errno, const char *fmt, ...)
    RR_PRINTF(4, 5);

/* Puts "<prefix>: " in front of the text and returns the slot's code. The slot must be filled. */
enum errc error_wrap(struct error *err, const char *fmt, ...) RR_PRINTF(2, 3);

/*
 * Sets the hint of a filled slot, unless a room nearer to the cause has set one. Returns the code.
 */
enum errc error_hint(struct error *err, const char *fmt, ...) RR_PRINTF(2, 3);

/* Gives a filled slot another code (a room knows better what the failure means to its caller; the
 * text stays). Returns the new code. */
enum errc error_recode(struct error *err, enum errc code);

/* Empties the slot, for a failure that has been dealt with (a retry, a fallback). */
void error_clear(struct error *err);

/* "ERR_NETWORK" and so on; a name for logs and tests. */
const char *errc_name(enum errc code);
/* The status reason, CamelCase. */
const char *errc_reason(enum errc code);
/* The exit code of the program if the run ends with this error before anything was changed. */
int errc_exit(enum errc code);
/* Whether the same call may succeed later without anybody changing anything. */
bool errc_is_transient(enum errc code);
/* The code that has this reason; RR_OK is never the answer, ERRC_COUNT if there is none. */
enum errc errc_from_reason(const char *reason);

#endif
