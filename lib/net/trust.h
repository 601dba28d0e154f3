/*
 * trust - whom a client believes (authorities) and as whom it presents itself (client certificate).
 * Private to this room.
 *
 * What comes from a file is read again for every new connection: neither libcurl's store of parsed
 * authorities nor TLS session resumption, which looks at no certificate, is used with a file that
 * was given.
 */
#ifndef RR_NET_TRUST_H
#define RR_NET_TRUST_H

#include "lib/net/http.h"

struct trust {
    char *ca_file; /* NULL: none was found, or there is ca_pem */
    const char *ca_folder;
    char *ca_pem;
    bool is_ca_given;      /* by the options, not found */
    char *proxy_ca_file;   /* for a proxy that is spoken to by TLS */
    char *certificate_pem; /* NULL: no client certificate */
    struct secret key_pem;
    char *unknown_ca_hint, *wrong_name_hint; /* NULL: the general ones */
};

/* ERR_TLS if certificate or key cannot be used. */
enum errc trust_init(struct trust *trust, const struct http_options *options,
                     struct error *err) RR_MUST_CHECK;
void trust_release(struct trust *trust);
/* Sets the options of one transfer on libcurl's handle. The trust must outlive it. */
void trust_apply(const struct trust *trust, void *easy);
/* The place that this program takes its authorities from when none is given; NULL: there is none.
 */
const char *trust_find_ca_file(void);

#endif
