#include "lib/kube/token.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/kube/file.h"

/* Ten seconds less than the minute that a token is still good for when it is replaced late. */
enum { MAX_AGE_MS = 50 * 1000 };

bool token_is_sendable(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return false;
    return *text != '\0';
}

/* Tokens are written with a line break at the end as often as not. */
static enum errc take(struct token *token, const struct secret *content, struct error *err)
{
    static const char blanks[] = " \t\r\n";
    const char *text = secret_reveal(content);
    if (!text || strlen(text) != content->length)
        return error_set(err, ERR_CONFIG, "token file '%.300s' holds no token", token->file);
    text += strspn(text, blanks);
    size_t length = strlen(text);
    while (length && strchr(blanks, text[length - 1]))
        length--;
    SECRET_GUARD struct secret value = {0};
    secret_set(&value, text, length);
    if (!token_is_sendable(secret_reveal(&value)))
        return error_set(err, ERR_CONFIG, "token file '%.300s' holds no token", token->file);
    secret_set(&token->value, secret_reveal(&value), length);
    return RR_OK;
}

static enum errc read_again(struct token *token, struct error *err)
{
    SECRET_GUARD struct secret content = {0};
    if (file_read(token->file, "token file", LIMIT_TOKEN_BYTES, &content, err))
        return error_recode(err, err->code == ERR_NOT_FOUND ? ERR_IO : err->code);
    return take(token, &content, err);
}

enum errc token_init(struct token *token, const char *file, const struct secret *value,
                     const struct clock *clock, struct error *err)
{
    *token = (struct token){.file = file, .clock = clock, .read_ms = clock_boottime_ms(clock)};
    if (file)
        return read_again(token, err);
    if (secret_reveal(value))
        secret_set(&token->value, value->bytes, value->length);
    return RR_OK;
}

void token_refresh(struct token *token)
{
    uint64_t now = clock_boottime_ms(token->clock);
    if (!token->file || (!token->is_stale && now - token->read_ms < MAX_AGE_MS))
        return;
    struct error err = ERROR_INIT;
    if (read_again(token, &err)) {
        log_debug("keeping the token as it was", LOG_TEXT("cause", err.text));
        return;
    }
    token->read_ms = now;
    token->is_stale = false;
}

void token_distrust(struct token *token)
{
    token->is_stale = true;
}

void token_release(struct token *token)
{
    secret_release(&token->value);
}
