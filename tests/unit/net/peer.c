#include "tests/unit/net/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEER_REQUEST_BYTES = 128 * 1024 };

struct peer {
    const struct peer_step *script;
    size_t step_count, step;
    unsigned done_times; /* of the current step */
    _Atomic size_t request_count;
    int listener, stop_pipe[2];
    pthread_t thread;
    SSL_CTX *tls;
    bool is_proxy;
    char client_certificate[2048], client_key[1024];
    char url[64], host[32], ca_file[64], complaint[8192];
};

/* One connection: plain, or TLS on top. */
struct peer_connection {
    int fd;
    SSL *ssl;
    size_t request_count;
};

/* ---- certificates ---- */

static X509 *peer_certificate(EVP_PKEY *key, EVP_PKEY *signer, X509 *issuer, const char *names,
                              bool is_expired)
{
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
    X509_gmtime_adj(X509_getm_notAfter(cert), is_expired ? -3600 : 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)(issuer ? "peer" : "peer's CA"), -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
    X509_set_pubkey(cert, key);
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer ? issuer : cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension =
        X509V3_EXT_conf_nid(NULL, &context, issuer ? NID_subject_alt_name : NID_basic_constraints,
                            issuer ? names : "critical,CA:TRUE");
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(cert, signer, EVP_sha256());
    return cert;
}

static void peer_read_out(BIO *bio, char *text, size_t size)
{
    int length = BIO_read(bio, text, (int)size - 1);
    text[length > 0 ? length : 0] = '\0';
    BIO_free(bio);
}

static void peer_make_client(struct peer *peer, EVP_PKEY *ca_key, X509 *ca)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = peer_certificate(key, ca_key, ca, "DNS:client.example", false);
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(cert_bio, cert);
    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL);
    peer_read_out(cert_bio, peer->client_certificate, sizeof peer->client_certificate);
    peer_read_out(key_bio, peer->client_key, sizeof peer->client_key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void peer_tls_setup(struct peer *peer, enum peer_tls kind)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = peer_certificate(ca_key, ca_key, NULL, NULL, false);
    X509 *cert = peer_certificate(
        key, ca_key, ca, kind == PEER_TLS_WRONG_NAME ? "DNS:elsewhere.example" : "IP:127.0.0.1",
        kind == PEER_TLS_EXPIRED);
    peer->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(peer->tls, cert);
    SSL_CTX_use_PrivateKey(peer->tls, key);
    if (kind == PEER_TLS_OLD) {
        SSL_CTX_set_security_level(peer->tls, 0);
        SSL_CTX_set_min_proto_version(peer->tls, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(peer->tls, TLS1_1_VERSION);
    }
    if (kind == PEER_TLS_CLIENT) {
        SSL_CTX_set_verify(peer->tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(peer->tls), ca);
        SSL_CTX_set_session_id_context(peer->tls, (const unsigned char *)"peer", 4);
    }
    peer_make_client(peer, ca_key, ca);
    snprintf(peer->ca_file, sizeof peer->ca_file, "/tmp/rr-peer-ca-XXXXXX");
    FILE *file = fdopen(mkstemp(peer->ca_file), "w");
    PEM_write_X509(file, ca);
    fclose(file);
    X509_free(ca);
    X509_free(cert);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

/* ---- bytes ---- */

/* False when the peer is being stopped, or when there is nothing to read while `other_fd` has
 * something
 * (-1: none). */
static bool peer_wait(const struct peer *peer, int fd, int other_fd)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                           {.fd = peer->stop_pipe[0], .events = POLLIN},
                           {.fd = other_fd, .events = POLLIN}};
    while (poll(fds, 3, -1) < 0 && errno == EINTR)
        ;
    return !fds[1].revents && fds[0].revents;
}

static ssize_t peer_receive(struct peer_connection *connection, char *buffer, size_t size)
{
    return connection->ssl ? SSL_read(connection->ssl, buffer, (int)size)
                           : recv(connection->fd, buffer, size, 0);
}

static void peer_send(struct peer_connection *connection, const char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = connection->ssl
                        ? SSL_write(connection->ssl, bytes + done, (int)(length - done))
                        : send(connection->fd, bytes + done, length - done, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

/* Reads one request whole: headers, and Content-Length bytes. False: the client went or has opened
 * another connection instead, or stop. */
static bool peer_read_request(const struct peer *peer, struct peer_connection *connection,
                              char *request)
{
    size_t length = 0;
    request[0] = '\0';
    for (;;) {
        const char *end = strstr(request, "\r\n\r\n"),
                   *header = strstr(request, "Content-Length: ");
        size_t body = header && header < end ? strtoul(header + 16, NULL, 10) : 0;
        if (end && length >= (size_t)(end - request) + 4 + body)
            return true;
        bool has_pending = connection->ssl && SSL_pending(connection->ssl) > 0;
        if (!has_pending && !peer_wait(peer, connection->fd, length ? -1 : peer->listener))
            return false;
        ssize_t n = peer_receive(connection, request + length, PEER_REQUEST_BYTES - 1 - length);
        if (n <= 0)
            return false;
        length += (size_t)n;
        request[length] = '\0';
    }
}

/* ---- the script ---- */

static void peer_complain(struct peer *peer, const char *what, const char *detail,
                          const char *request)
{
    if (!*peer->complaint)
        snprintf(peer->complaint, sizeof peer->complaint, "request %zu: %s '%s' in:\n%s",
                 peer->request_count, what, detail, request);
}

/* Calls for each part of a list separated by '\1'. */
static void peer_check_texts(struct peer *peer, const char *list, bool is_wanted,
                             const char *request)
{
    char part[2048];
    while (list && *list) {
        size_t length = strcspn(list, "\1");
        snprintf(part, sizeof part, "%.*s", (int)length, list);
        if ((strstr(request, part) != NULL) != is_wanted)
            peer_complain(peer, is_wanted ? "does not hold" : "must not hold", part, request);
        list += length + (list[length] == '\1');
    }
}

static const struct peer_step *peer_next_step(struct peer *peer, const char *request)
{
    if (peer->step == peer->step_count) {
        peer_complain(peer, "one too many", "", request);
        return NULL;
    }
    const struct peer_step *step = &peer->script[peer->step];
    if (++peer->done_times >= (step->times ? step->times : 1)) {
        peer->step++;
        peer->done_times = 0;
    }
    return step;
}

static bool peer_accept_tls(const struct peer *peer, struct peer_connection *connection)
{
    connection->ssl = SSL_new(peer->tls);
    SSL_set_fd(connection->ssl, connection->fd);
    return SSL_accept(connection->ssl) == 1;
}

/* False when the connection is over. */
static bool peer_serve(struct peer *peer, struct peer_connection *connection, char *request)
{
    if (!peer_read_request(peer, connection, request))
        return false;
    peer->request_count++;
    connection->request_count++;
    const struct peer_step *step = peer_next_step(peer, request);
    if (!step)
        return false;
    peer_check_texts(peer, step->expect, true, request);
    peer_check_texts(peer, step->forbid, false, request);
    if (step->on_new_connection && connection->request_count != 1)
        peer_complain(peer, "came on an old connection", "", request);
    if (step->on_old_connection && connection->request_count == 1)
        peer_complain(peer, "came on a new connection", "", request);
    if (step->reply)
        peer_send(connection, step->reply,
                  step->reply_length ? step->reply_length : strlen(step->reply));
    if (step->then == PEER_STALL)
        peer_wait(peer, connection->fd, -1);
    if (step->then == PEER_RESET) {
        struct linger linger = {.l_onoff = 1};
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    if (step->then == PEER_START_TLS)
        return peer_accept_tls(peer, connection);
    return step->then == PEER_KEEP;
}

static void *peer_run(void *context)
{
    struct peer *peer = context;
    char *request = malloc(PEER_REQUEST_BYTES);
    while (peer_wait(peer, peer->listener, -1)) {
        struct peer_connection connection = {.fd = accept(peer->listener, NULL, NULL)};
        bool is_open = !peer->tls || peer->is_proxy || peer_accept_tls(peer, &connection);
        while (is_open && peer_serve(peer, &connection, request))
            ;
        SSL_free(connection.ssl);
        close(connection.fd);
    }
    free(request);
    return NULL;
}

struct peer *peer_start(const struct peer_step *script, size_t count, enum peer_tls tls)
{
    struct peer *peer = calloc(1, sizeof *peer);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    peer->script = script;
    peer->step_count = count;
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(peer->listener, 16), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pipe2(peer->stop_pipe, O_CLOEXEC), 0);
    snprintf(peer->host, sizeof peer->host, "127.0.0.1:%d", ntohs(address.sin_port));
    peer->is_proxy = tls == PEER_PROXY;
    snprintf(peer->url, sizeof peer->url, "http%s://%s",
             tls == PEER_PLAIN || tls == PEER_PROXY ? "" : "s", peer->host);
    if (tls != PEER_PLAIN)
        peer_tls_setup(peer, tls);
    assert_int_equal(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
    return peer;
}

const char *peer_url(const struct peer *peer)
{
    return peer->url;
}

const char *peer_host(const struct peer *peer)
{
    return peer->host;
}

const char *peer_ca_file(const struct peer *peer)
{
    return peer->ca_file;
}

const char *peer_client_certificate(const struct peer *peer)
{
    return peer->client_certificate;
}

const char *peer_client_key(const struct peer *peer)
{
    return peer->client_key;
}

size_t peer_count(const struct peer *peer)
{
    return peer->request_count;
}

void peer_stop(struct peer *peer)
{
    close(peer->stop_pipe[1]);
    pthread_join(peer->thread, NULL);
    close(peer->stop_pipe[0]);
    close(peer->listener);
    SSL_CTX_free(peer->tls);
    if (*peer->ca_file)
        unlink(peer->ca_file);
    if (*peer->complaint)
        fail_msg("%s", peer->complaint);
    if (peer->step != peer->step_count)
        fail_msg("only %zu requests came, the script has %zu steps", peer->request_count,
                 peer->step_count);
    free(peer);
}

/* ---- the clock ---- */

static uint64_t quick_boottime_ms(const struct clock *clock)
{
    const struct quick_clock *quick = clock->context;
    return clock_boottime_ms(clock_system()) + quick->slept_ms;
}

static int64_t quick_wall_s(const struct clock *clock)
{
    const struct quick_clock *quick = clock->context;
    return quick->wall_s ? quick->wall_s : clock_wall_s(clock_system());
}

static void quick_sleep_ms(const struct clock *clock, uint64_t ms, const struct cancel *cancel)
{
    struct quick_clock *quick = clock->context;
    (void)cancel;
    if (quick->sleep_count < sizeof quick->sleeps_ms / sizeof *quick->sleeps_ms)
        quick->sleeps_ms[quick->sleep_count] = ms;
    quick->sleep_count++;
    quick->slept_ms += ms;
}

void quick_clock_init(struct quick_clock *clock)
{
    *clock = (struct quick_clock){
        .base = {quick_boottime_ms, quick_wall_s, quick_sleep_ms, .context = clock},
    };
}
