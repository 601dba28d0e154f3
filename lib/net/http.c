/*
 * The policy around single tries (transfer.c): what is tried again, and what is handed back.
 */
#include "lib/net/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/arena.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/net/transfer.h"

enum {
    CONNECT_TIMEOUT_MS = 10 * 1000,
    STALL_TIMEOUT_MS = 30 * 1000,
    RETRY_AFTER_MAX_S = 24 * 3600
};

static const struct retry_policy default_policy = {
    .attempts = 6,
    .first_pause_ms = 250,
    .max_pause_ms = 10 * 1000,
    .total_ms = 120 * 1000,
};

struct http {
    struct transport *transport;
    const struct clock *clock;
    const struct cancel *cancel;
    struct retry_policy policy;
};

/* One call of http_send() or http_get_range(), over all its tries. */
struct call {
    struct http *http;
    struct transfer transfer;
    bool has_answer;      /* the last try brought one, with a status that asks for another try */
    bool may_have_acted;  /* a try went out and brought no answer */
    enum errc final_code; /* set when another try is out of the question */
};

enum errc http_open(const struct http_options *options, struct http **ret_http, struct error *err)
{
    struct http_options complete = *options;
    if (!complete.clock)
        complete.clock = clock_system();
    if (!complete.connect_timeout_ms)
        complete.connect_timeout_ms = CONNECT_TIMEOUT_MS;
    if (!complete.stall_timeout_ms)
        complete.stall_timeout_ms = STALL_TIMEOUT_MS;
    struct transport *transport;
    if (transport_open(&complete, &transport, err))
        return err->code;
    struct http *http = mem_alloc(sizeof *http);
    *http = (struct http){
        .transport = transport,
        .clock = complete.clock,
        .cancel = complete.cancel,
        .policy = complete.retry ? *complete.retry : default_policy,
    };
    *ret_http = http;
    return RR_OK;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    transport_close(http->transport);
    free(http);
}

void http_guard(struct http **http)
{
    http_close(*http);
}

/* ---- trying again ---- */

static void honour_retry_after(const struct call *call, struct retry *retry)
{
    STR_GUARD struct str value = STR_INIT(64);
    if (!http_header_get(&call->transfer.response, "retry-after", &value))
        return;
    uint64_t seconds;
    int64_t date_s;
    if (text_to_u64(str_text(&value), RETRY_AFTER_MAX_S, &seconds)) {
        retry_ask_pause(retry, seconds * 1000);
    } else if (http_date_parse(str_text(&value), &date_s)) {
        int64_t left_s = date_s - clock_wall_s(call->http->clock);
        if (left_s > 0)
            retry_ask_pause(retry, (uint64_t)left_s * 1000);
    }
}

/* A write may be sent again only when the server says that it did nothing with it. */
static bool asks_for_another_try(const struct http_request *request, int status)
{
    return status == 429 || status == 503 ||
           (!request->is_write && (status == 500 || status == 502 || status == 504));
}

/* Makes retry_run() stop although the code, to others, means that a later call may succeed. */
static enum errc stop_trying(struct call *call, struct error *err)
{
    call->final_code = err->code;
    return error_recode(err, ERR_BUG);
}

static void wipe_lines(struct str *lines)
{
    if (lines->data)
        explicit_bzero(lines->data, lines->capacity);
    str_release(lines);
}

static enum errc try_once(void *context, struct retry *retry, struct error *err)
{
    struct call *call = context;
    struct transfer *transfer = &call->transfer;
    const struct http_request *request = transfer->request;
    http_response_release(&transfer->response);
    call->has_answer = false;
    __attribute__((cleanup(wipe_lines))) struct str lines = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    if (request->sign && (request->sign(request->sign_context, &lines, err) ||
                          str_check(&lines, "the signature of a request", err)))
        return stop_trying(call, err);
    transfer->lines = str_text(&lines);
    enum errc code = transfer_run(call->http->transport, transfer, err);
    transfer->lines = NULL;
    call->may_have_acted |= code && transfer->was_sent;
    if (code)
        return transfer->is_refused || (request->is_write && transfer->was_sent)
                   ? stop_trying(call, err)
                   : code;
    int status = transfer->response.status;
    if (!asks_for_another_try(request, status))
        return RR_OK;
    call->has_answer = true;
    honour_retry_after(call, retry);
    error_set(err, ERR_HTTP, "the server answered %d", status);
    err->http_status = status;
    return err->code;
}

static enum errc run_call(struct call *call, struct http_response *ret_response, struct error *err)
{
    struct http *http = call->http;
    const struct http_request *request = call->transfer.request;
    enum errc code = retry_run(request->retry ? request->retry : &http->policy, http->clock,
                               request->is_deaf ? NULL : http->cancel, try_once, call, err);
    if (code == ERR_HTTP && call->has_answer) {
        /* The caller can make more of the answer than we can. */
        error_clear(err);
        code = RR_OK;
    }
    if (code == RR_OK) {
        *ret_response = call->transfer.response;
        return RR_OK;
    }
    http_response_release(&call->transfer.response);
    ret_response->may_have_acted = call->may_have_acted;
    return call->final_code ? error_recode(err, call->final_code) : code;
}

enum errc http_send(struct http *http, const struct http_request *request,
                    struct http_response *ret_response, struct error *err)
{
    struct call call = {.http = http, .transfer.request = request};
    return run_call(&call, ret_response, err);
}

enum errc http_get_range(struct http *http, const struct http_request *request,
                         const struct http_range *range, struct http_response *ret_response,
                         struct error *err)
{
    struct call call = {.http = http, .transfer = {.request = request, .range = range}};
    return run_call(&call, ret_response, err);
}

/* ---- looking at answers ---- */

bool http_header_get(const struct http_response *response, const char *name, struct str *ret_value)
{
    size_t name_length = strlen(name);
    for (const char *line = str_text(&response->headers); *line;) {
        size_t length = strcspn(line, "\r\n");
        if (length > name_length && line[name_length] == ':' &&
            strncasecmp(line, name, name_length) == 0) {
            const char *begin = line + name_length + 1, *end = line + length;
            while (begin < end && (*begin == ' ' || *begin == '\t'))
                begin++;
            while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
                end--;
            str_clear(ret_value);
            str_append_bytes(ret_value, begin, (size_t)(end - begin));
            return true;
        }
        line += length + strspn(line + length, "\r\n");
    }
    return false;
}

bool http_date_parse(const char *text, int64_t *ret_seconds)
{
    time_t seconds = curl_getdate(text, NULL);
    if (seconds == -1)
        return false;
    *ret_seconds = seconds;
    return true;
}

void http_response_release(struct http_response *response)
{
    if (!response)
        return;
    str_release(&response->body);
    str_release(&response->headers);
    response->status = 0;
    response->may_have_acted = false;
}
