/*
 * kubeconfig - where the API server is and who we are there: from a kubeconfig file, or from what
 * the kubelet puts into a pod.
 *
 * Order, as kubectl and client-go have it: the file that is named (flag), else the list in
 * KUBECONFIG, else the pod's own service account (KUBERNETES_SERVICE_HOST and _PORT), else
 * ~/.kube/config. Of a list, files that are missing are passed over and the first one that says
 * something wins. Relative paths are relative to the file that names them.
 *
 * Refused by name, each with what to do: exec and auth-provider (they run programs that an image
 * from scratch does not hold), user name and password, impersonation (as, as-groups, ...), and
 * insecure-skip-tls-verify: a restore does not trust a server that it cannot tell from another.
 * A CA file of the pod that cannot be read is an error, never a reason to use the system's.
 *
 * Format: k8s.io/client-go/tools/clientcmd/api/v1/types.go. JSON is read as well (it is YAML).
 */
#ifndef RR_KUBE_KUBECONFIG_H
#define RR_KUBE_KUBECONFIG_H

#include "lib/base/arena.h"
#include "lib/base/error.h"
#include "lib/base/secret.h"

struct kubeconfig_options {
    const char *path;           /* one file; NULL: as above */
    const char *context;        /* NULL: current-context; with in-cluster an error */
    const char *namespace_name; /* NULL: POD_NAMESPACE, else the context's, else the pod's file,
                                   else "default" */
    const char *service_account_folder; /* NULL: where the kubelet mounts it; tests give another */
};

struct kubeconfig {
    const char *origin; /* for people: "the pod's service account", "kubeconfig 'F', context 'C'" */
    const char *server; /* "https://host:port" or with a path; no slash at the end */
    const char *tls_server_name; /* name that the certificate must have; NULL: that of `server` */
    const char *ca_file;         /* read again for every new connection; NULL: see ca_pem */
    const char *ca_pem;          /* NULL together with ca_file: the system's authorities */
    const char *client_certificate_file, *client_certificate_pem; /* both NULL: none */
    const char *client_key_file;
    struct secret client_key_pem;
    const char *token_file; /* read again as it rotates; wins over `token` */
    struct secret token;
    const char *proxy_url; /* NULL: from the environment */
    const char *namespace_name;
};

/* Texts live in the arena; the secrets are the caller's: kubeconfig_release(). ERR_CONFIG names
 * file, line and column; ERR_UNSUPPORTED for what is refused; ERR_USAGE when there is no cluster at
 * all: the hint names every place that was looked at. `namespace_name` is checked to be a DNS
 * label. */
enum errc kubeconfig_load(const struct kubeconfig_options *options, struct arena *arena,
                          struct kubeconfig *ret_config, struct error *err) RR_MUST_CHECK;
/* Wipes the secrets. NULL is accepted. */
void kubeconfig_release(struct kubeconfig *config);
#define KUBECONFIG_GUARD __attribute__((cleanup(kubeconfig_release)))

/* Pure: parses one file's text. `path` names it in errors and is what relative paths start from.
 * `namespace_name` is the context's, NULL where it names none. */
enum errc kubeconfig_parse(struct arena *arena, const char *bytes, size_t length, const char *path,
                           const char *context, struct kubeconfig *ret_config,
                           struct error *err) RR_MUST_CHECK;

#endif
