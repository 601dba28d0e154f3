/*
 * limits - every maximum that keeps foreign input from growing a buffer without end.
 *
 * One place, so that memory can be reasoned about: a run holds the state, one table of contents,
 * and per job one read buffer, one decompressor window and one libpq buffer.
 */
#ifndef RR_BASE_LIMITS_H
#define RR_BASE_LIMITS_H

#include <stddef.h>

#define LIMIT_KIB ((size_t)1024)
#define LIMIT_MIB ((size_t)1024 * 1024)

/* Configuration and state. A Kubernetes ConfigMap holds at most 1 MiB. */
#define LIMIT_STATE_FILE_BYTES (1 * LIMIT_MIB)
#define LIMIT_JOURNAL_BYTES (1 * LIMIT_MIB)
#define LIMIT_YAML_NODES ((size_t)20000)
#define LIMIT_YAML_DEPTH ((size_t)32)
#define LIMIT_JSON_DEPTH ((size_t)64)
#define LIMIT_XML_DEPTH ((size_t)16)
#define LIMIT_XML_NODES ((size_t)100000)
#define LIMIT_STEPS ((size_t)100) /* entries in one list of steps or checks */
#define LIMIT_SQL_TEXT_BYTES (256 * LIMIT_KIB)
#define LIMIT_JOBS 64
#define LIMIT_ATTEMPTS 100

/* The cluster. A token of a service account has about 1 KiB. */
#define LIMIT_KUBE_ANSWER_BYTES (8 * LIMIT_MIB) /* one object, or one page of a list */
#define LIMIT_KUBE_METADATA_BYTES                                                                  \
    (512 * LIMIT_KIB) /* labels, annotations and so on of one object */
#define LIMIT_KUBE_LIST_ITEMS ((size_t)1000000)
#define LIMIT_KUBECONFIG_BYTES LIMIT_STATE_FILE_BYTES /* what the YAML reader takes */
#define LIMIT_TOKEN_BYTES (32 * LIMIT_KIB)
#define LIMIT_PEM_BYTES                                                                            \
    (1 * LIMIT_MIB) /* a client certificate, its key, a cluster's authorities                      \
                     */
/* What an API server takes: 256 KiB of annotations an object, requests of 3 MiB, objects of
 * 1.5 MiB. */
#define LIMIT_ANNOTATIONS_BYTES (256 * LIMIT_KIB)
#define LIMIT_PATCH_BYTES (3 * LIMIT_MIB)
#define LIMIT_BACKENDS_BYTES (2 * LIMIT_MIB)  /* of one Ingress, as JSON */
#define LIMIT_SELECTOR_BYTES (16 * LIMIT_KIB) /* it becomes part of a URL */
#define LIMIT_LISTED_OBJECTS ((size_t)10000)  /* of one kind in one namespace */

/* Object storage. */
#define LIMIT_HTTP_BODY_BYTES (8 * LIMIT_MIB)    /* an answer that is read into memory whole */
#define LIMIT_HTTP_HEADER_BYTES (64 * LIMIT_KIB) /* all headers of one answer */
#define LIMIT_LIST_OBJECTS ((size_t)1000000)     /* objects under one location */
#define LIMIT_LIST_PAGES ((size_t)100000)        /* answers of one listing, empty ones too */
#define LIMIT_OBJECT_KEY_BYTES ((size_t)1024)
#define LIMIT_UPLOAD_PARTS ((size_t)10000) /* of one multipart upload */
#define LIMIT_BUCKET_NAME_BYTES ((size_t)255)
#define LIMIT_FILE_PATH_BYTES ((size_t)4096)
#define LIMIT_PATTERN_ITEMS ((size_t)64) /* directives and texts between them in backups.name */
#define LIMIT_SIDE_FILE_BYTES (4 * LIMIT_KIB) /* NAME.sha256 */
#define LIMIT_CA_FILE_BYTES (4 * LIMIT_MIB)

/* Archives. The server takes no longer statement than 1 GiB - 1. */
#define LIMIT_TOC_BYTES ((size_t)1024 * LIMIT_MIB)
#define LIMIT_TOC_STRING_BYTES ((size_t)1024 * LIMIT_MIB - 1)
#define LIMIT_STATEMENT_BYTES ((size_t)1024 * LIMIT_MIB - 1)
#define LIMIT_CHUNK_BYTES ((size_t)1024 * LIMIT_MIB - 1) /* one chunk of a data block */
#define LIMIT_ARCHIVE_MEMBERS ((size_t)1000000) /* of a tar or directory */
#define LIMIT_BLOBS_TOC_BYTES (64 * LIMIT_MIB)  /* one list of large objects */
#define LIMIT_READ_BYTES (4 * LIMIT_MIB)                 /* one ranged read of a worker */
#define LIMIT_ZSTD_WINDOW_LOG 27 /* 128 MiB, what pg_dump -Z zstd:long may use */
#define LIMIT_COPY_PIECE_BYTES (128 * LIMIT_KIB)

/* The database. A name is at most 63 bytes (NAMEDATALEN - 1). */
#define LIMIT_DATABASE_NAME_BYTES ((size_t)63)
#define LIMIT_RESULT_ROWS ((size_t)1000000)

/* Logging. */
#define LIMIT_LOG_LINE_BYTES (16 * LIMIT_KIB)

#endif
