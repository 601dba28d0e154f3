#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/kube/kubeconfig.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" and such a private key. */
#define CERT64 "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
#define CERT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define KEY64 "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCkFBQUEKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo="
#define KEY "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

/* A file with one context "c", whose cluster and user hold these lines (indented by four). */
#define ONE(cluster, user)                                                                         \
    "apiVersion: v1\nkind: Config\ncurrent-context: c\n"                                           \
    "contexts:\n- name: c\n  context:\n    cluster: k\n    user: u\n"                              \
    "clusters:\n- name: k\n  cluster:\n" cluster "users:\n- name: u\n  user:\n" user
#define SERVER "    server: https://10.0.0.1:6443\n"
#define TOKEN "    token: t0ken\n"

/* Whether a text holds all of a list separated by '\1'; NULL: anything. */
static bool holds(const char *text, const char *list)
{
    char part[1024];
    while (list && *list) {
        size_t length = strcspn(list, "\1");
        snprintf(part, sizeof part, "%.*s", (int)length, list);
        if (!strstr(text, part))
            return false;
        list += length + (list[length] == '\1');
    }
    return true;
}

/* ---- what is read ---- */

/* All fields in one line, what is missing left out. */
static void render(const struct kubeconfig *config, struct str *s)
{
    const struct {
        const char *name, *value;
    } fields[] = {
        {"server", config->server},
        {"tls", config->tls_server_name},
        {"ca_file", config->ca_file},
        {"ca", config->ca_pem},
        {"cert_file", config->client_certificate_file},
        {"cert", config->client_certificate_pem},
        {"key_file", config->client_key_file},
        {"key", secret_reveal(&config->client_key_pem)},
        {"token_file", config->token_file},
        {"token", secret_reveal(&config->token)},
        {"proxy", config->proxy_url},
        {"ns", config->namespace_name},
    };
    for (size_t i = 0; i < COUNT(fields); i++)
        if (fields[i].value)
            str_printf(s, "%s=%s|", fields[i].name, fields[i].value);
}

static void test_files_as_programs_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *name, *context, *text, *fields;
    } rows[] = {
        {"kubectl config set-cluster, set-credentials, set-context", NULL,
         "apiVersion: v1\n"
         "clusters:\n"
         "- cluster:\n"
         "    certificate-authority: pki/ca.crt\n"
         "    server: https://10.0.0.1:6443\n"
         "  name: prod\n"
         "contexts:\n"
         "- context:\n"
         "    cluster: prod\n"
         "    namespace: shop\n"
         "    user: admin\n"
         "  name: prod-admin\n"
         "current-context: prod-admin\n"
         "kind: Config\n"
         "preferences: {}\n"
         "users:\n"
         "- name: admin\n"
         "  user:\n"
         "    client-certificate: /etc/pki/admin.crt\n"
         "    client-key: ./admin.key\n",
         "server=https://10.0.0.1:6443|ca_file=/home/u/.kube/pki/ca.crt|"
         "cert_file=/etc/pki/admin.crt|key_file=/home/u/.kube/./admin.key|ns=shop|"},
        {"kind", NULL,
         "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: " CERT64
         "\n    server: https://127.0.0.1:43217\n  name: kind-kind\ncontexts:\n- context:\n"
         "    cluster: kind-kind\n    user: kind-kind\n  name: kind-kind\n"
         "current-context: kind-kind\nkind: Config\nusers:\n- name: kind-kind\n  user:\n"
         "    client-certificate-data: " CERT64 "\n    client-key-data: " KEY64 "\n",
         "server=https://127.0.0.1:43217|ca=" CERT "|cert=" CERT "|key=" KEY "|"},
        {"k3s", NULL,
         "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: " CERT64
         "\n    server: https://127.0.0.1:6443\n  name: default\ncontexts:\n- context:\n"
         "    cluster: default\n    user: default\n  name: default\ncurrent-context: default\n"
         "kind: Config\npreferences: {}\nusers:\n- name: default\n  user:\n"
         "    client-certificate-data: " CERT64 "\n    client-key-data: " KEY64 "\n",
         "server=https://127.0.0.1:6443|ca=" CERT "|cert=" CERT "|key=" KEY "|"},
        {"az aks get-credentials --admin, the context chosen", "aks-admin",
         "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: " CERT64
         "\n    server: https://aks-dns-1a2b.hcp.westeurope.azmk8s.io:443\n  name: aks\n"
         "contexts:\n- context:\n    cluster: aks\n    user: clusterAdmin_rg_aks\n"
         "  name: aks-admin\n- context:\n    cluster: aks\n    user: other\n  name: aks\n"
         "current-context: aks\nkind: Config\npreferences: {}\nusers:\n"
         "- name: clusterAdmin_rg_aks\n  user:\n    client-certificate-data: " CERT64
         "\n    client-key-data: " KEY64 "\n    token: 0123456789abcdef\n",
         "server=https://aks-dns-1a2b.hcp.westeurope.azmk8s.io:443|ca=" CERT "|cert=" CERT
         "|key=" KEY "|token=0123456789abcdef|"},
        {"kubectl config view --raw -o json", NULL,
         "{\n    \"kind\": \"Config\",\n    \"apiVersion\": \"v1\",\n    \"preferences\": {},\n"
         "    \"clusters\": [\n        {\n            \"name\": \"k\",\n            \"cluster\": "
         "{\n"
         "                \"server\": \"https:\\/\\/10.0.0.1:6443\",\n"
         "                \"certificate-authority-data\": \"" CERT64 "\",\n"
         "                \"extensions\": [{\"name\": \"x\", \"extension\": {\"a\": null}}]\n"
         "            }\n        }\n    ],\n    \"users\": [{\"name\": \"u\", \"user\": "
         "{\"token\": "
         "\"t0ken\"}}],\n    \"contexts\": [{\"name\": \"c\", \"context\": {\"cluster\": \"k\", "
         "\"user\": \"u\"}}],\n    \"current-context\": \"c\"\n}\n",
         "server=https://10.0.0.1:6443|ca=" CERT "|token=t0ken|"},
        {"data wins over files", NULL,
         ONE(SERVER "    certificate-authority: ca.crt\n    certificate-authority-data: " CERT64
                    "\n",
             "    client-certificate: a\n    client-certificate-data: " CERT64
             "\n    client-key: b\n    client-key-data: " KEY64 "\n"),
         "server=https://10.0.0.1:6443|ca=" CERT "|cert=" CERT "|key=" KEY "|"},
        {"certificate in a file, key as data", NULL,
         ONE(SERVER, "    client-certificate: a\n    client-key-data: " KEY64 "\n"),
         "server=https://10.0.0.1:6443|cert_file=/home/u/.kube/a|key=" KEY "|"},
        {"tokenFile beside token", NULL, ONE(SERVER, TOKEN "    tokenFile: ../run/token\n"),
         "server=https://10.0.0.1:6443|token_file=/home/u/.kube/../run/token|token=t0ken|"},
        {"TLS name, proxy, slashes at the end", NULL,
         ONE("    server: https://[fd00::1]:6443/k8s/clusters/c-1//\n    tls-server-name: "
             "kubernetes.default.svc\n    proxy-url: socks5://proxy:1080\n"
             "    insecure-skip-tls-verify: false\n    disable-compression: true\n",
             TOKEN),
         "server=https://[fd00::1]:6443/k8s/clusters/c-1|tls=kubernetes.default.svc|token=t0ken|"
         "proxy=socks5://proxy:1080|"},
        {"null and empty are nothing", NULL,
         ONE(SERVER "    certificate-authority: \"\"\n    proxy-url: null\n",
             TOKEN "    exec: null\n    as: \"\"\n    as-groups: []\n    username: ~\n"),
         "server=https://10.0.0.1:6443|token=t0ken|"},
        {"no user", NULL,
         "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
         "clusters: [{name: k, cluster: {server: https://h}}]\n",
         "server=https://h|"},
        {"names that look like numbers", "1",
         "contexts: [{name: 1, context: {cluster: 2, user: 3}}]\n"
         "clusters: [{name: 2, cluster: {server: https://h}}]\nusers: [{name: 3, user: {}}]\n",
         "server=https://h|"},
        {"a base64 text in lines", NULL,
         ONE(SERVER
             "    certificate-authority-data: |\n      LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\n"
             "      CkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=\n",
             TOKEN),
         "server=https://10.0.0.1:6443|ca=" CERT "|token=t0ken|"},
        {"somebody else's exec does not matter", NULL,
         ONE(SERVER, TOKEN "- name: v\n  user:\n    exec: {command: aws}\n"),
         "server=https://10.0.0.1:6443|token=t0ken|"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        KUBECONFIG_GUARD struct kubeconfig config = {0};
        struct error err = ERROR_INIT;
        STR_GUARD struct str fields = STR_INIT(10000);
        if (kubeconfig_parse(&arena, rows[i].text, strlen(rows[i].text), "/home/u/.kube/config",
                             rows[i].context, &config, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        render(&config, &fields);
        if (strcmp(str_text(&fields), rows[i].fields) != 0)
            fail_msg("%s: %s", rows[i].name, str_text(&fields));
    }
}

/* ---- what is refused ---- */

static void test_what_is_refused(void **state)
{
    (void)state;
#define EXEC "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: "
    static const struct {
        const char *name, *context, *text;
        enum errc code;
        const char *message, *hint;
    } rows[] = {
        {"aws eks update-kubeconfig", NULL,
         ONE(SERVER, EXEC "aws\n      args: [--region, eu-1, eks, get-token, --cluster-name, k]\n"),
         ERR_UNSUPPORTED, "F:17:7: 'exec' is not supported", "kubectl create token"},
        {"gcloud container clusters get-credentials", NULL,
         ONE(SERVER, EXEC "gke-gcloud-auth-plugin\n      provideClusterInfo: true\n"),
         ERR_UNSUPPORTED, "'exec'", "kubectl create token"},
        {"az aks get-credentials", NULL,
         ONE(SERVER, EXEC "kubelogin\n      interactiveMode: Never\n"), ERR_UNSUPPORTED, "'exec'",
         "kubectl create token"},
        {"exec beside a token", NULL, ONE(SERVER, TOKEN EXEC "x\n"), ERR_UNSUPPORTED, "'exec'", ""},
        {"auth-provider", NULL, ONE(SERVER, "    auth-provider: {name: gcp}\n"), ERR_UNSUPPORTED,
         "'auth-provider' is not supported", "kubectl create token"},
        {"user name", NULL, ONE(SERVER, "    username: admin\n"), ERR_UNSUPPORTED, "'username'",
         "API servers take no passwords"},
        {"password", NULL, ONE(SERVER, "    password: s3cret\n"), ERR_UNSUPPORTED, "'password'",
         "API servers take no passwords"},
        {"as", NULL, ONE(SERVER, TOKEN "    as: root\n"), ERR_UNSUPPORTED, "'as'", "itself"},
        {"as-uid", NULL, ONE(SERVER, TOKEN "    as-uid: \"1\"\n"), ERR_UNSUPPORTED, "'as-uid'", ""},
        {"as-groups", NULL, ONE(SERVER, TOKEN "    as-groups: [system:masters]\n"), ERR_UNSUPPORTED,
         "'as-groups'", ""},
        {"as-user-extra", NULL, ONE(SERVER, TOKEN "    as-user-extra: {a: [b]}\n"), ERR_UNSUPPORTED,
         "'as-user-extra'", ""},
        {"no verification", NULL, ONE(SERVER "    insecure-skip-tls-verify: true\n", TOKEN),
         ERR_UNSUPPORTED, "F:13:31: 'insecure-skip-tls-verify' is refused",
         "certificate-authority"},
        {"maybe verification", NULL, ONE(SERVER "    insecure-skip-tls-verify: maybe\n", TOKEN),
         ERR_CONFIG, "true or false", ""},
        {"no TLS", NULL, ONE("    server: http://localhost:8080\n", TOKEN), ERR_UNSUPPORTED,
         "http://", "https://"},
        {"no scheme", NULL, ONE("    server: 10.0.0.1:6443\n", TOKEN), ERR_CONFIG,
         "F:12:13: 'server' is '10.0.0.1:6443'", "https://HOST:PORT"},
        {"user in the server", NULL, ONE("    server: https://u:p@h\n", TOKEN), ERR_CONFIG,
         "'server'", ""},
        {"query in the server", NULL, ONE("    server: https://h/?a\n", TOKEN), ERR_CONFIG,
         "'server'", ""},
        {"port 0", NULL, ONE("    server: https://h:0\n", TOKEN), ERR_CONFIG, "'server'", ""},
        {"port too high", NULL, ONE("    server: https://h:65536\n", TOKEN), ERR_CONFIG, "'server'",
         ""},
        {"port without end", NULL, ONE("    server: https://h:0000000000000443\n", TOKEN),
         ERR_CONFIG, "'server'", ""},
        {"IPv6 without brackets", NULL, ONE("    server: https://fd00::1\n", TOKEN), ERR_CONFIG,
         "'server'", ""},
        {"half a bracket", NULL, ONE("    server: \"https://[fd00::1\"\n", TOKEN), ERR_CONFIG,
         "'server'", ""},
        {"line break in the server", NULL, ONE("    server: \"https://h\\n\"\n", TOKEN), ERR_CONFIG,
         "'https://h\\n'", ""},
        {"no server", NULL, ONE("    proxy-url: http://p\n", TOKEN), ERR_CONFIG, "no 'server'", ""},
        {"empty cluster", NULL,
         "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: "
         "k}]\n",
         ERR_CONFIG, "no 'server'", ""},
        {"server is a list", NULL, ONE("    server: [https://h]\n", TOKEN), ERR_CONFIG,
         "F:12:13: 'server' has to be a text", ""},
        {"proxy of another kind", NULL, ONE(SERVER "    proxy-url: ftp://p\n", TOKEN), ERR_CONFIG,
         "'proxy-url'", "socks5://"},
        {"proxy without host", NULL, ONE(SERVER "    proxy-url: http://\n", TOKEN), ERR_CONFIG,
         "'proxy-url'", ""},
        {"TLS name with a slash", NULL, ONE(SERVER "    tls-server-name: a/b\n", TOKEN), ERR_CONFIG,
         "'tls-server-name'", ""},
        {"CA damaged", NULL, ONE(SERVER "    certificate-authority-data: LS0t*\n", TOKEN),
         ERR_CONFIG, "F:13:33: 'certificate-authority-data' is no base64", ""},
        {"CA cut", NULL, ONE(SERVER "    certificate-authority-data: LS0tL\n", TOKEN), ERR_CONFIG,
         "no base64", ""},
        {"CA is not PEM", NULL, ONE(SERVER "    certificate-authority-data: Zm9v\n", TOKEN),
         ERR_CONFIG, "holds no -----BEGIN", ""},
        {"key damaged", NULL,
         ONE(SERVER, "    client-certificate: a\n    client-key-data: s3cret=\n"), ERR_CONFIG,
         "'client-key-data' is no base64", ""},
        {"key is a certificate", NULL,
         ONE(SERVER, "    client-certificate: a\n    client-key-data: " CERT64 "\n"), ERR_CONFIG,
         "'client-key-data' holds no PRIVATE KEY", ""},
        {"NUL in PEM", NULL,
         ONE(SERVER "    certificate-authority-data: AC0tLS0tQkVHSU4gQQ==\n", TOKEN), ERR_CONFIG,
         "holds no", ""},
        {"certificate without key", NULL, ONE(SERVER, "    client-certificate: a\n"), ERR_CONFIG,
         "certificate without its key", ""},
        {"key without certificate", NULL, ONE(SERVER, "    client-key: a\n"), ERR_CONFIG,
         "key without its certificate", ""},
        {"token with a line break", NULL, ONE(SERVER, "    token: \"s3cret\\nX: y\"\n"), ERR_CONFIG,
         "'token' holds", ""},
        {"token is a mapping", NULL, ONE(SERVER, "    token: {a: s3cret}\n"), ERR_CONFIG,
         "'token' has to be a text", ""},
        {"no current context", NULL, "contexts: [{name: a, context: {}}, {name: b}]\n", ERR_CONFIG,
         "F: there is no current-context", "there are: 'a', 'b'"},
        {"no such context", "x", "contexts: [{name: a}]\n", ERR_CONFIG, "there is no context 'x'",
         "there are: 'a'"},
        {"no contexts at all", NULL, "current-context: c\n", ERR_CONFIG, "there is no context 'c'",
         "there are: none"},
        {"context is empty", "a", "contexts: [{name: a}]\n", ERR_CONFIG, "names no cluster", ""},
        {"no such cluster", "a",
         "contexts: [{name: a, context: {cluster: k}}]\nclusters: [{name: l}]\n", ERR_CONFIG,
         "F:1:41: the context names the cluster 'k', which is not there", "'clusters' holds: 'l'"},
        {"no such user", "a",
         "contexts: [{name: a, context: {cluster: k, user: u}}]\n"
         "clusters: [{name: k, cluster: {server: https://h}}]\n",
         ERR_CONFIG, "the user 'u', which is not there", "none"},
        {"two contexts of one name", "a", "contexts: [{name: a}, {name: a}]\n", ERR_CONFIG,
         "two entries", ""},
        {"contexts is a mapping", "a", "contexts: {a: b}\n", ERR_CONFIG,
         "F:1:11: 'contexts' has to be a list", ""},
        {"a context is a text", "a", "contexts: [a]\n", ERR_CONFIG, "has to be a mapping", ""},
        {"a context's content is a text", "a", "contexts: [{name: a, context: b}]\n", ERR_CONFIG,
         "'context' has to be a mapping", ""},
        {"a name is a list", "a", "contexts: [{name: [a]}]\n", ERR_CONFIG, "'name' has to be", ""},
        {"bad namespace", "a",
         "contexts: [{name: a, context: {cluster: k, namespace: Shop_1}}]\n"
         "clusters: [{name: k, cluster: {server: https://h}}]\n",
         ERR_CONFIG, "'Shop_1' is no name of a namespace", ""},
        {"namespace climbs", "a",
         "contexts: [{name: a, context: {cluster: k, namespace: ../x}}]\n"
         "clusters: [{name: k, cluster: {server: https://h}}]\n",
         ERR_CONFIG, "no name of a namespace", ""},
        {"another kind", NULL, "apiVersion: v1\nkind: Pod\n", ERR_CONFIG, "F:2:7: the kind", ""},
        {"of the future", NULL, "apiVersion: v2\nkind: Config\n", ERR_UNSUPPORTED, "apiVersion v1",
         ""},
        {"empty", NULL, "", ERR_CONFIG, "F: there is no current-context", "none"},
        {"a comment", NULL, "# nothing\n", ERR_CONFIG, "no current-context", ""},
        {"a list", NULL, "- a\n", ERR_CONFIG, "has to be a mapping", ""},
        {"a text", NULL, "hello\n", ERR_CONFIG, "has to be a mapping", ""},
        {"no YAML", NULL, "a: [\n", ERR_CONFIG, "F:", ""},
        {"two documents", NULL, "a: b\n---\nc: d\n", ERR_CONFIG, "F:", ""},
        {"cut JSON", NULL, "{\"kind\": \"Config\", \"clu", ERR_CONFIG, "F:", ""},
        {"binary", NULL,
         "\x7f"
         "ELF\x01\x02",
         ERR_CONFIG, "F", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        ARENA_GUARD struct arena arena = {0};
        KUBECONFIG_GUARD struct kubeconfig config = {0};
        struct error err = ERROR_INIT;
        enum errc code = kubeconfig_parse(&arena, rows[i].text, strlen(rows[i].text), "F",
                                          rows[i].context, &config, &err);
        if (code != rows[i].code || !holds(err.text, rows[i].message) ||
            !holds(err.hint, rows[i].hint))
            fail_msg("%s: %s '%s' hint '%s'", rows[i].name, errc_name(code), err.text, err.hint);
        if (strstr(err.text, "s3cret") || strstr(err.hint, "s3cret"))
            fail_msg("%s: tells a secret: %s", rows[i].name, err.text);
    }
}

/* ---- where it is looked for ---- */

static char folder[64];

static const char *place(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(place(name), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int clean_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"KUBECONFIG", "KUBERNETES_SERVICE_HOST",
                                        "KUBERNETES_SERVICE_PORT", "POD_NAMESPACE"};
    for (size_t i = 0; i < COUNT(names); i++)
        unsetenv(names[i]);
    setenv("HOME", folder, 1);
    return 0;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/rr-kubeconfig-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(place("sa"), 0700), 0);
    return clean_environment(state);
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void write_service_account(void)
{
    write_file("sa/token", "pod-token\n");
    write_file("sa/ca.crt", CERT);
    write_file("sa/namespace", "pod-space\n");
}

/* Loads, and compares origin, server and namespace; or code and text of the error. */
static void expect(const struct kubeconfig_options *options, enum errc code, const char *what)
{
    ARENA_GUARD struct arena arena = {0};
    KUBECONFIG_GUARD struct kubeconfig config = {0};
    struct error err = ERROR_INIT;
    STR_GUARD struct str got = STR_INIT(10000);
    struct kubeconfig_options complete = *options;
    complete.service_account_folder = place("sa");
    enum errc rc = kubeconfig_load(&complete, &arena, &config, &err);
    if (rc == RR_OK) {
        str_printf(&got, "%s|", config.origin);
        render(&config, &got);
    } else {
        str_printf(&got, "%s|%s", err.text, err.hint);
    }
    if (rc != code || !holds(str_text(&got), what))
        fail_msg("%s: %s instead of '%s'", errc_name(rc), str_text(&got), what);
}

#define SIMPLE(name)                                                                               \
    "current-context: " name "\ncontexts: [{name: " name                                           \
    ", context: {cluster: k, namespace: ns-" name                                                  \
    "}}]\nclusters: [{name: k, cluster: {server: https://" name "}}]\n"

static void test_the_named_file_counts_alone(void **state)
{
    (void)state;
    write_file("a", SIMPLE("a"));
    write_file("b", SIMPLE("b"));
    setenv("KUBECONFIG", place("b"), 1);
    expect(&(struct kubeconfig_options){.path = place("a")}, RR_OK,
           "a', context 'a'|server=https://a|");
    expect(&(struct kubeconfig_options){.path = place("gone")}, ERR_CONFIG, "kubeconfig '\1gone'");
    expect(&(struct kubeconfig_options){.path = folder}, ERR_IO, "kubeconfig '");
    expect(&(struct kubeconfig_options){.path = place("a"), .context = "b"}, ERR_CONFIG,
           "there is no context 'b'");
}

static void test_of_a_list_the_first_that_says_something_wins(void **state)
{
    (void)state;
    char list[512];
    write_file("a", SIMPLE("a"));
    write_file("empty", "");
    write_file("half", "current-context: mixed\n"
                       "contexts: [{name: mixed, context: {cluster: far, user: u}}]\n"
                       "users: [{name: u, user: {tokenFile: the-token}}]\n");
    write_file("the-token", "x");
    write_file("other",
               "current-context: no\nclusters: [{name: far, cluster: {server: https://far}},"
               " {name: k, cluster: {server: https://not-this}}]\n");
    snprintf(list, sizeof list, ":%s::%s:%s:", place("gone"), place("empty"), place("a"));
    setenv("KUBECONFIG", list, 1);
    expect(&(struct kubeconfig_options){0}, RR_OK, "server=https://a|");
    snprintf(list, sizeof list, "%s:%s:%s", place("half"), place("a"), place("other"));
    setenv("KUBECONFIG", list, 1);
    expect(&(struct kubeconfig_options){0}, RR_OK,
           "half', context 'mixed'|server=https://far|token_file=/tmp/\1/the-token|ns=default|");
    expect(&(struct kubeconfig_options){.context = "a"}, RR_OK, "server=https://a|\1ns=ns-a|");
    write_file("bad", "a: [");
    snprintf(list, sizeof list, "%s:%s", place("a"), place("bad"));
    setenv("KUBECONFIG", list, 1);
    expect(&(struct kubeconfig_options){0}, ERR_CONFIG, "KUBECONFIG: \1bad:");
    memset(list, ':', sizeof list - 1);
    list[sizeof list - 1] = '\0';
    setenv("KUBECONFIG", list, 1);
    expect(&(struct kubeconfig_options){0}, ERR_USAGE, "no Kubernetes cluster");
}

static void test_the_order_of_places(void **state)
{
    (void)state;
    write_service_account();
    expect(&(struct kubeconfig_options){0}, ERR_USAGE,
           "no Kubernetes cluster\1--kubeconfig (not given)\1KUBECONFIG (not set)\1"
           "KUBERNETES_SERVICE_HOST is not set\1~/.kube/config (missing or empty)");
    assert_int_equal(mkdir(place(".kube"), 0700), 0);
    write_file(".kube/config", SIMPLE("home"));
    expect(&(struct kubeconfig_options){0}, RR_OK, "server=https://home|");
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    expect(&(struct kubeconfig_options){0}, RR_OK, "server=https://home|");
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    expect(&(struct kubeconfig_options){0}, RR_OK, "server=https://10.0.0.1:443|");
    setenv("KUBECONFIG", place("gone"), 1);
    expect(&(struct kubeconfig_options){0}, RR_OK, "server=https://10.0.0.1:443|");
    write_file("a", SIMPLE("a"));
    setenv("KUBECONFIG", place("a"), 1);
    expect(&(struct kubeconfig_options){0}, RR_OK, "server=https://a|");
    unlink(place(".kube/config"));
    rmdir(place(".kube"));
}

static void test_in_a_pod(void **state)
{
    (void)state;
    struct kubeconfig_options options = {0};
    write_service_account();
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
    expect(&options, RR_OK,
           "the pod's service account|server=https://[fd00::1]:6443|ca_file=/tmp/\1/sa/ca.crt|"
           "token_file=/tmp/\1/sa/token|ns=pod-space|");
    options.context = "c";
    expect(&options, ERR_USAGE, "--context 'c'");
    options.context = NULL;
    static const char *const bad_ports[] = {"0", "tcp://10.0.0.1:443", "443/x", "65536", " 443"};
    for (size_t i = 0; i < COUNT(bad_ports); i++) {
        setenv("KUBERNETES_SERVICE_PORT", bad_ports[i], 1);
        expect(&options, ERR_CONFIG, "KUBERNETES_SERVICE_HOST");
    }
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    unlink(place("sa/namespace"));
    expect(&options, RR_OK, "ns=default|");
    unlink(place("sa/token"));
    expect(&options, ERR_CONFIG, "sa/token' cannot be read\1automountServiceAccountToken");
    write_file("sa/token", "");
    expect(&options, ERR_CONFIG, "sa/token' holds no token");
    write_file("sa/token", "t");
    unlink(place("sa/ca.crt"));
    expect(&options, ERR_CONFIG, "sa/ca.crt' cannot be read");
    write_file("sa/ca.crt", "not PEM");
    expect(&options, ERR_CONFIG, "sa/ca.crt' holds no -----BEGIN");
}

static void test_the_namespace(void **state)
{
    (void)state;
    static const struct {
        const char *name, *option, *variable, *context, *file;
        enum errc code;
        const char *what;
    } rows[] = {
        {"option", "o", "v", "c", NULL, RR_OK, "ns=o|"},
        {"POD_NAMESPACE", NULL, "v", "c", NULL, RR_OK, "ns=v|"},
        {"context", NULL, NULL, "c", NULL, RR_OK, "ns=c|"},
        {"neither", NULL, NULL, NULL, NULL, RR_OK, "ns=default|"},
        {"POD_NAMESPACE in a pod", NULL, "v", NULL, "f", RR_OK, "ns=v|"},
        {"file", NULL, NULL, NULL, "f\n", RR_OK, "ns=f|"},
        {"empty variable", NULL, "", NULL, "f", RR_OK, "ns=f|"},
        {"empty file", NULL, NULL, NULL, "", RR_OK, "ns=default|"},
        {"bad option", "a/b", NULL, NULL, NULL, ERR_CONFIG, "--namespace: 'a/b'"},
        {"empty option", "", NULL, NULL, NULL, ERR_CONFIG, "--namespace: ''"},
        {"bad variable", NULL, "-a", NULL, NULL, ERR_CONFIG, "POD_NAMESPACE: '-a'"},
        {"bad file", NULL, NULL, NULL, "A", ERR_CONFIG, "'A' is no name"},
        {"too long", "a123456789a123456789a123456789a123456789a123456789a123456789a123", NULL, NULL,
         NULL, ERR_CONFIG, "no name of a namespace"},
    };
    write_service_account();
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[512];
        clean_environment(NULL);
        if (rows[i].variable)
            setenv("POD_NAMESPACE", rows[i].variable, 1);
        if (rows[i].file) {
            setenv("KUBERNETES_SERVICE_HOST", "h", 1);
            setenv("KUBERNETES_SERVICE_PORT", "1", 1);
            write_file("sa/namespace", rows[i].file);
        } else {
            snprintf(
                text, sizeof text,
                "current-context: c\ncontexts: [{name: c, context: {cluster: k, namespace: %s}}]"
                "\nclusters: [{name: k, cluster: {server: https://h}}]\n",
                rows[i].context ? rows[i].context : "null");
            write_file("a", text);
            setenv("KUBECONFIG", place("a"), 1);
        }
        expect(&(struct kubeconfig_options){.namespace_name = rows[i].option}, rows[i].code,
               rows[i].what);
    }
}

static void test_files_that_it_names_must_be_there(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *message;
    } rows[] = {
        {"CA", ONE(SERVER "    certificate-authority: gone.crt\n", TOKEN), "CA file '\1gone.crt'"},
        {"CA is no PEM", ONE(SERVER "    certificate-authority: a\n", TOKEN),
         "holds no -----BEGIN"},
        {"token", ONE(SERVER, TOKEN "    tokenFile: gone\n"), "token file '\1gone'"},
        {"certificate",
         ONE(SERVER, "    client-certificate: gone\n    client-key-data: " KEY64 "\n"),
         "client certificate '"},
        {"key", ONE(SERVER, "    client-key: gone\n    client-certificate-data: " CERT64 "\n"),
         "client key '"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        write_file("a", rows[i].text);
        expect(&(struct kubeconfig_options){.path = place("a")}, ERR_CONFIG, rows[i].message);
    }
}

static void test_a_file_without_end(void **state)
{
    (void)state;
    STR_GUARD struct str text = STR_INIT(2 * LIMIT_MIB);
    str_append(&text, SIMPLE("a"));
    while (text.length <= LIMIT_KUBECONFIG_BYTES)
        str_append(&text, "# 0123456789012345678901234567890123456789\n");
    write_file("a", str_text(&text));
    expect(&(struct kubeconfig_options){.path = place("a")}, ERR_CONFIG, "cannot be read");
    expect(&(struct kubeconfig_options){.path = "/dev/zero"}, ERR_CONFIG, "'/dev/zero'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_as_programs_write_them),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test_setup(test_the_named_file_counts_alone, clean_environment),
        cmocka_unit_test_setup(test_of_a_list_the_first_that_says_something_wins,
                               clean_environment),
        cmocka_unit_test_setup(test_the_order_of_places, clean_environment),
        cmocka_unit_test_setup(test_in_a_pod, clean_environment),
        cmocka_unit_test_setup(test_the_namespace, clean_environment),
        cmocka_unit_test_setup(test_files_that_it_names_must_be_there, clean_environment),
        cmocka_unit_test_setup(test_a_file_without_end, clean_environment),
    };
    return cmocka_run_group_tests_name("kube/kubeconfig", tests, make_folder, remove_folder);
}
