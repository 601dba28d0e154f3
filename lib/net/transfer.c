#include "lib/net/transfer.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/base/arena.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/net/failure.h"
#include "lib/net/trust.h"

enum {
    DEADLINE_BASE_MS = 60 * 1000,
    SLOWEST_BYTES_PER_MS = 64, /* 64 KiB/s, about */
    RECEIVE_BUFFER_BYTES = 256 * 1024,
    SHOWN_BYTES = 200,
    HOST_SIZE = 256,
};

#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#define ARCHITECTURE "unknown"
#endif

struct transport {
    CURLM *multi;
    CURL *easy;
    const struct clock *clock;
    const struct cancel *cancel;
    uint64_t connect_timeout_ms, stall_timeout_ms, connection_lifetime_ms;
    struct trust trust;
    char *proxy_url;               /* NULL: from the environment */
    struct curl_slist *connect_to; /* NULL: to where the URL says */
};

/* One try under way: what the callbacks work on. */
struct flight {
    struct transport *transport;
    struct transfer *transfer;
    struct error *err;
    char host[HOST_SIZE];
    uint64_t begin_ms, last_byte_ms;
    size_t header_bytes;   /* of all answers of this try, interim ones too */
    bool has_headers;      /* the final answer's are complete */
    bool is_range_ignored; /* 200 for a range: its body is not wanted */
    char curl_text[CURL_ERROR_SIZE];
};

/* ---- the client ---- */

static void setup_process(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    /* A peer that hangs up while OpenSSL writes is an error to report, not our end. */
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

/* In libcurl's notation: whatever host and port are asked for, connect to these. */
static void redirect(struct transport *transport, const char *place)
{
    STR_GUARD struct str rule = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    str_printf(&rule, "::%s", place);
    transport->connect_to = curl_slist_append(NULL, str_text(&rule));
    if (!transport->connect_to)
        mem_die(rule.length);
}

enum errc transport_open(const struct http_options *options, struct transport **ret_transport,
                         struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, setup_process);
    struct trust trust;
    if (trust_init(&trust, options, err))
        return err->code;
    struct transport *transport = mem_alloc(sizeof *transport);
    transport->trust = trust;
    transport->clock = options->clock;
    transport->cancel = options->cancel;
    transport->connect_timeout_ms = options->connect_timeout_ms;
    transport->stall_timeout_ms = options->stall_timeout_ms;
    transport->connection_lifetime_ms = options->connection_lifetime_ms;
    transport->proxy_url = mem_strdup(options->proxy_url);
    if (options->connect_to)
        redirect(transport, options->connect_to);
    transport->multi = curl_multi_init();
    transport->easy = curl_easy_init();
    if (!transport->multi || !transport->easy) {
        transport_close(transport);
        return error_set(err, ERR_BUG, "libcurl cannot be initialised");
    }
    *ret_transport = transport;
    return RR_OK;
}

void transport_close(struct transport *transport)
{
    if (!transport)
        return;
    curl_easy_cleanup(transport->easy);
    curl_multi_cleanup(transport->multi);
    curl_slist_free_all(transport->connect_to);
    trust_release(&transport->trust);
    free(transport->proxy_url);
    free(transport);
}

/* ---- what comes in ---- */

/* "bytes 0-9/100": exactly the bytes that this try has asked for. */
static bool is_range_as_asked(const struct transfer *transfer)
{
    const struct http_range *range = transfer->range;
    char asked[64];
    STR_GUARD struct str value = STR_INIT(SHOWN_BYTES);
    snprintf(asked, sizeof asked, "bytes %" PRIu64 "-%" PRIu64 "/",
             range->offset + transfer->range_done, range->offset + range->length - 1);
    return http_header_get(&transfer->response, "content-range", &value) &&
           text_has_prefix(str_text(&value), asked);
}

/* A body that will not be taken is not waited for either. */
static bool check_length(struct flight *flight)
{
    const struct http_request *request = flight->transfer->request;
    curl_off_t length = -1;
    curl_easy_getinfo(flight->transport->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    if (length < 0 || (uint64_t)length <= request->body_limit ||
        strcmp(request->method, "HEAD") == 0)
        return true;
    error_set(flight->err, ERR_TOO_LARGE, "the answer of %s has %" PRId64 " bytes, over %zu",
              flight->host, (int64_t)length, request->body_limit);
    return false;
}

static bool check_headers(struct flight *flight)
{
    struct transfer *transfer = flight->transfer;
    const struct http_range *range = transfer->range;
    int status = transfer->response.status;
    if (!range || (status != 200 && status != 206))
        return check_length(flight);
    if (status == 200)
        return true; /* its body is not read */
    if (range->check && range->check(range->check_context, &transfer->response, flight->err)) {
        transfer->is_refused = true;
        return false;
    }
    if (is_range_as_asked(transfer))
        return true;
    error_set(flight->err, ERR_HTTP, "%s answered with other bytes than it was asked for",
              flight->host);
    return false;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *context)
{
    struct flight *flight = context;
    struct http_response *response = &flight->transfer->response;
    size_t length = size * count;
    flight->last_byte_ms = clock_boottime_ms(flight->transport->clock);
    flight->header_bytes += length;
    if (flight->header_bytes > LIMIT_HTTP_HEADER_BYTES) {
        error_set(flight->err, ERR_TOO_LARGE, "%s sent more than %zu bytes of headers",
                  flight->host, LIMIT_HTTP_HEADER_BYTES);
        return 0;
    }
    if (flight->has_headers)
        return length; /* trailers, which nobody asked for */
    if (length >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
        str_clear(&response->headers); /* the answer before was an interim one */
    str_append_bytes(&response->headers, bytes, length);
    if (*bytes != '\r' && *bytes != '\n')
        return length;
    long status = 0;
    curl_easy_getinfo(flight->transport->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return length;
    response->status = (int)status;
    flight->has_headers = true;
    return check_headers(flight) ? length : 0;
}

static size_t take_into_range(struct flight *flight, const char *bytes, size_t length)
{
    struct transfer *transfer = flight->transfer;
    const struct http_range *range = transfer->range;
    if (length > range->length - transfer->range_done) {
        error_set(flight->err, ERR_HTTP, "%s sent more bytes than it was asked for", flight->host);
        return 0;
    }
    memcpy((char *)range->buffer + transfer->range_done, bytes, length);
    transfer->range_done += length;
    return length;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct flight *flight = context;
    struct http_response *response = &flight->transfer->response;
    size_t length = size * count;
    flight->last_byte_ms = clock_boottime_ms(flight->transport->clock);
    if (flight->transfer->range && response->status == 206)
        return take_into_range(flight, bytes, length);
    if (flight->transfer->range && response->status == 200) {
        flight->is_range_ignored = true;
        return 0;
    }
    str_append_bytes(&response->body, bytes, length);
    if (!response->body.is_cut)
        return length;
    error_set(flight->err, ERR_TOO_LARGE, "the answer of %s is longer than %zu bytes", flight->host,
              response->body.limit);
    return 0;
}

/* ---- what goes out ---- */

/* Header lines hold tokens: they are wiped before they are freed. */
static void free_lines(struct curl_slist **list)
{
    for (struct curl_slist *line = *list; line; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(*list);
}
#define LINES_GUARD __attribute__((cleanup(free_lines)))

static void wipe(struct str *text)
{
    if (text->data)
        explicit_bzero(text->data, text->capacity);
    str_release(text);
}
#define WIPE_GUARD __attribute__((cleanup(wipe)))

static void add_line(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (!longer)
        mem_die(strlen(line));
    *list = longer;
}

/* In libcurl's notation a header without value ends in ';'. */
static enum errc add_header(struct curl_slist **list, const char *name, const char *value,
                            struct error *err)
{
    WIPE_GUARD struct str line = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    if (strpbrk(name, "\r\n:; ") || strpbrk(value, "\r\n"))
        return error_set(err, ERR_CONFIG, "the value of HTTP header '%.40s' holds a line break",
                         name);
    if (*value)
        str_printf(&line, "%s: %s", name, value);
    else
        str_printf(&line, "%s;", name);
    if (line.is_cut)
        return error_set(err, ERR_TOO_LARGE, "HTTP header '%.40s' is too long", name);
    add_line(list, str_text(&line));
    return RR_OK;
}

static void add_signed_lines(struct curl_slist **list, const char *lines)
{
    WIPE_GUARD struct str line = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    for (const char *at = lines; at && *at;) {
        size_t length = strcspn(at, "\n");
        str_clear(&line);
        str_append_bytes(&line, at, length);
        add_line(list, str_text(&line));
        at += length + (at[length] == '\n');
    }
}

static enum errc build_lines(const struct transfer *transfer, struct curl_slist **list,
                             struct error *err)
{
    const struct http_request *request = transfer->request;
    bool has_type = false;
    for (const struct http_header *h = request->headers; h && h->name; h++) {
        has_type = has_type || strcasecmp(h->name, "content-type") == 0;
        if (add_header(list, h->name, h->value, err))
            return err->code;
    }
    if (request->bearer && secret_reveal(request->bearer)) {
        WIPE_GUARD struct str value = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
        str_printf(&value, "Bearer %s", secret_reveal(request->bearer));
        if (add_header(list, "Authorization", str_text(&value), err))
            return err->code;
    }
    if (transfer->range) {
        uint64_t first = transfer->range->offset + transfer->range_done;
        uint64_t last = transfer->range->offset + transfer->range->length - 1;
        char line[64];
        snprintf(line, sizeof line, "Range: bytes=%" PRIu64 "-%" PRIu64, first, last);
        add_line(list, line);
    }
    add_signed_lines(list, transfer->lines);
    add_line(list, "Expect:"); /* no waiting for "100 Continue" */
    if (request->body && !has_type)
        add_line(list, "Content-Type:"); /* not libcurl's own guess */
    return RR_OK;
}

/* libcurl's options are variadic: a failure can only be a mistake of ours or memory. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK)                                     \
            mem_die(0);                                                                            \
    } while (0)

static void set_method(CURL *easy, const struct http_request *request)
{
    if (strcmp(request->method, "GET") == 0) {
        SET(CURLOPT_HTTPGET, 1L);
        return;
    }
    if (strcmp(request->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return;
    }
    SET(CURLOPT_POSTFIELDS, request->body ? request->body : "");
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_length : 0));
    SET(CURLOPT_CUSTOMREQUEST, request->method);
}

/* Which way the connection goes, and how long it may be used. */
static void set_route(const struct transport *transport)
{
    CURL *easy = transport->easy;
    if (transport->proxy_url) {
        SET(CURLOPT_PROXY, transport->proxy_url);
        SET(CURLOPT_NOPROXY, "");
    }
    if (transport->connect_to)
        SET(CURLOPT_CONNECT_TO, transport->connect_to);
    if (transport->connection_lifetime_ms)
        SET(CURLOPT_MAXLIFETIME_CONN, (long)((transport->connection_lifetime_ms + 999) / 1000));
}

static void set_options(struct flight *flight, struct curl_slist *lines)
{
    const struct transport *transport = flight->transport;
    const struct http_request *request = flight->transfer->request;
    CURL *easy = transport->easy;
    curl_easy_reset(easy); /* the connections stay */
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_HTTPHEADER, lines);
    set_method(easy, request);
    SET(CURLOPT_USERAGENT, "restore-reconciler/" RR_VERSION " (linux/" ARCHITECTURE ")");
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L); /* "a/../b" is an object's name like any other */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set_route(transport);
    trust_apply(&transport->trust, easy);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)transport->connect_timeout_ms);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    /* Refused by older versions while they still hold the buffer of a try that failed before there
     * was a connection; the size of that one will do. */
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a cancel does not wait for the resolver's thread */
    /* libcurl repeats by itself what an idle connection swallowed; a write must not be. */
    SET(CURLOPT_FRESH_CONNECT, request->is_write ? 1L : 0L);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, flight);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, flight);
    SET(CURLOPT_ERRORBUFFER, flight->curl_text);
}

/* ---- failures ---- */

/* The host with its port, without user and password. */
static void find_host(const char *url, char host[HOST_SIZE])
{
    const char *begin = strstr(url, "://");
    begin = begin ? begin + 3 : url;
    size_t length = strcspn(begin, "/?#");
    const char *at = memrchr(begin, '@', length);
    if (at) {
        length -= (size_t)(at + 1 - begin);
        begin = at + 1;
    }
    STR_GUARD struct str quoted = STR_INIT(HOST_SIZE - 1);
    STR_GUARD struct str plain = STR_INIT(SHOWN_BYTES);
    str_append_bytes(&plain, begin, length);
    str_append_quoted(&quoted, str_text(&plain), SHOWN_BYTES);
    snprintf(host, HOST_SIZE, "%s", str_text(&quoted));
}

static enum errc report(const struct flight *flight, CURLcode result)
{
    const struct transport *transport = flight->transport;
    struct failure failure = {
        .result = (int)result,
        .curl_text = *flight->curl_text ? flight->curl_text : curl_easy_strerror(result),
        .host = flight->host,
        .ca_file = transport->trust.ca_file,
        .unknown_ca_hint = transport->trust.unknown_ca_hint,
        .wrong_name_hint = transport->trust.wrong_name_hint,
        .connect_timeout_ms = transport->connect_timeout_ms,
    };
    curl_easy_getinfo(transport->easy, CURLINFO_SSL_VERIFYRESULT, &failure.verify_result);
    curl_easy_getinfo(transport->easy, CURLINFO_OS_ERRNO, &failure.sys_errno);
    return failure_report(&failure, flight->err);
}

static uint64_t deadline_ms(const struct transfer *transfer)
{
    const struct http_request *request = transfer->request;
    size_t bytes = transfer->range ? transfer->range->length : request->body_limit;
    return request->deadline_ms ? request->deadline_ms
                                : DEADLINE_BASE_MS + bytes / SLOWEST_BYTES_PER_MS;
}

/* What ends a try from our side. */
static enum errc check_patience(struct flight *flight)
{
    const struct transport *transport = flight->transport;
    uint64_t now = clock_boottime_ms(transport->clock), limit = deadline_ms(flight->transfer);
    bool is_deaf = flight->transfer->request->is_deaf;
    if (cancel_check(is_deaf ? NULL : transport->cancel, flight->err))
        return flight->err->code;
    if (now - flight->begin_ms > limit)
        return error_set(flight->err, ERR_TIMEOUT, "%s was not done answering after %" PRIu64 " ms",
                         flight->host, limit);
    if (now - flight->last_byte_ms > transport->stall_timeout_ms)
        return error_set(flight->err, ERR_TIMEOUT, "%s sent nothing for %" PRIu64 " ms",
                         flight->host, transport->stall_timeout_ms);
    return RR_OK;
}

/* ---- one try ---- */

/* Whether libcurl is done, and then with which result. */
static bool is_done(CURLM *multi, CURLcode *ret_result)
{
    int left;
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    if (!message || message->msg != CURLMSG_DONE)
        return false;
    *ret_result = message->data.result;
    return true;
}

/* Until libcurl has a result or our patience ends (then flight->err is set). */
static CURLcode drive(struct flight *flight)
{
    struct transport *transport = flight->transport;
    CURLcode result = CURLE_OK;
    int running;
    /* The deadline first: a process that slept past it must not send what it was about to send. */
    while (!check_patience(flight) && curl_multi_perform(transport->multi, &running) == CURLM_OK) {
        if (is_done(transport->multi, &result))
            return result;
        if (curl_multi_poll(transport->multi, NULL, 0, CANCEL_POLL_MS, NULL) != CURLM_OK)
            break;
    }
    return CURLE_FAILED_INIT;
}

/* libcurl counts what it says to a proxy as well. Without TLS to the host, which a write always has
 * to begin with, nothing has come as far as that. In doubt the answer is yes. */
static bool find_was_sent(const struct flight *flight)
{
    const struct http_request *request = flight->transfer->request;
    CURL *easy = flight->transport->easy;
    long sent_bytes = 0, proxy_status = 0;
    curl_off_t handshake_us = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    curl_easy_getinfo(easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
    if (request->is_write && !handshake_us && text_has_prefix(request->url, "https:"))
        return false;
    return sent_bytes > 0 && (proxy_status == 0 || proxy_status / 100 == 2);
}

static void log_flight(const struct flight *flight)
{
    const struct transfer *transfer = flight->transfer;
    const char *path = strstr(transfer->request->url, "://");
    path = path ? strchr(path + 3, '/') : NULL;
    char place[sizeof flight->host + SHOWN_BYTES];
    int host_length = (int)strlen(flight->host) - 2; /* without its quotes: the log has its own */
    snprintf(place, sizeof place, "%.*s%.*s", host_length, flight->host + 1,
             path ? (int)strcspn(path, "?") : 0, path ? path : "");
    log_debug("http", LOG_TEXT("method", transfer->request->method), LOG_TEXT("place", place),
              LOG_INT("status", transfer->response.status),
              LOG_UINT("ms", clock_boottime_ms(flight->transport->clock) - flight->begin_ms));
}

static enum errc judge(struct flight *flight, CURLcode result)
{
    const struct transfer *transfer = flight->transfer;
    if (flight->err->code)
        return flight->err->code;
    if (flight->is_range_ignored)
        return RR_OK;
    if (result != CURLE_OK)
        return report(flight, result);
    if (!flight->has_headers) /* libcurl calls half a header a success */
        return error_set(flight->err, ERR_NETWORK, "the answer of %s was cut off", flight->host);
    if (transfer->range && transfer->response.status == 206 &&
        transfer->range_done < transfer->range->length)
        return error_set(flight->err, ERR_NETWORK, "the answer of %s was cut off", flight->host);
    return RR_OK;
}

enum errc transfer_run(struct transport *transport, struct transfer *transfer, struct error *err)
{
    LINES_GUARD struct curl_slist *lines = NULL;
    uint64_t now = clock_boottime_ms(transport->clock);
    struct flight flight = {
        .transport = transport,
        .transfer = transfer,
        .err = err,
        .begin_ms = now,
        .last_byte_ms = now,
    };
    find_host(transfer->request->url, flight.host);
    transfer->was_sent = false;
    transfer->response.status = 0;
    transfer->response.headers = STR_INIT(LIMIT_HTTP_HEADER_BYTES);
    transfer->response.body = STR_INIT(transfer->request->body_limit);
    if (check_patience(&flight) || build_lines(transfer, &lines, err))
        return err->code;
    set_options(&flight, lines);
    if (curl_multi_add_handle(transport->multi, transport->easy) != CURLM_OK)
        return error_set(err, ERR_BUG, "libcurl does not take the request for %s", flight.host);
    CURLcode result = drive(&flight);
    transfer->was_sent = find_was_sent(&flight);
    judge(&flight, result);
    curl_multi_remove_handle(transport->multi, transport->easy);
    log_flight(&flight);
    return err->code;
}
