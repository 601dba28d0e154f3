/*
 * What kubeconfig.c (where to look), kubeconfig_file.c (what a file says) and kubeconfig_entry.c
 * (what one cluster and one user in it say) share. Private to this room.
 */
#ifndef RR_KUBE_KUBECONFIG_INTERNAL_H
#define RR_KUBE_KUBECONFIG_INTERNAL_H

#include "lib/codec/yaml.h"
#include "lib/kube/kubeconfig.h"

struct config_file {
    const char *path;             /* relative paths in it start from its folder */
    const char *shown;            /* the same, printable */
    const struct yaml_node *root; /* NULL: it says nothing */
};

/* Parses one file's text; everything lives in the arena. */
enum errc config_file_parse(struct arena *arena, const char *bytes, size_t length, const char *path,
                            struct config_file *ret_file, struct error *err) RR_MUST_CHECK;
/* Reads a context out of a list of files: for each name the first file that has it wins. */
enum errc config_files_read(struct arena *arena, const struct config_file *files, size_t count,
                            const char *context, struct kubeconfig *ret_config,
                            struct error *err) RR_MUST_CHECK;

/* One entry of a list, and the file that it stands in. */
struct config_entry {
    const struct config_file *file; /* NULL: there is no such entry */
    const struct yaml_node *node;   /* its mapping; NULL: empty */
};

/* "FILE:LINE:COLUMN: ..."; without a node "FILE: ...". */
enum errc config_fail(const struct config_file *file, const struct yaml_node *node,
                      struct error *err, enum errc code, const char *fmt, ...) RR_PRINTF(5, 6);
/* The text in quotes, printable, cut. */
const char *config_quote(struct arena *arena, const char *text);
/* NULL: it is missing, null or empty, which are one to kubectl. */
enum errc config_get_text(const struct config_entry *entry, const char *key, const char **ret_text,
                          struct error *err) RR_MUST_CHECK;
enum errc config_read_cluster(struct arena *arena, const struct config_entry *cluster,
                              struct kubeconfig *config, struct error *err) RR_MUST_CHECK;
enum errc config_read_user(struct arena *arena, const struct config_entry *user,
                           struct kubeconfig *config, struct error *err) RR_MUST_CHECK;

/* "https://HOST[:PORT][/PATH]" without user, query and fragment; HOST a name, an IPv4 address or an
 * IPv6 address in brackets. */
bool server_is_valid(const char *server);
/* RFC 1123: what a namespace is called. */
bool is_dns_label(const char *text);

#endif
