#include "lib/restore/analyze.h"

#include <stdlib.h>

/*
 * ANALYZE of a partitioned table takes all its partitions along before PostgreSQL 18; from 18 on
 * ONLY keeps it to itself, and partitions are analyzed side by side. Where a foreign partition
 * keeps a root from being analyzed, its other partitions are analyzed one by one.
 */
static const char list_sql[] =
    "WITH RECURSIVE descendant(root, child) AS ("
    " SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits"
    " UNION SELECT d.root, i.inhrelid FROM descendant d"
    " JOIN pg_catalog.pg_inherits i ON i.inhparent = d.child), "
    "reaches_out AS ("
    " SELECT DISTINCT d.root FROM descendant d"
    " JOIN pg_catalog.pg_class f ON f.oid = d.child WHERE f.relkind = 'f') "
    "SELECT pg_catalog.format('ANALYZE %s%I.%I', CASE WHEN $1 AND c.relkind = 'p' THEN 'ONLY ' END,"
    " n.nspname, c.relname),"
    " CASE WHEN c.relkind <> 'p' THEN pg_catalog.pg_table_size(c.oid)"
    " WHEN $1 THEN 0"
    " ELSE (SELECT coalesce(pg_catalog.sum(pg_catalog.pg_table_size(p.relid)), 0)"
    "  FROM pg_catalog.pg_partition_tree(c.oid) p) END::bigint AS bytes "
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'"
    " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    " AND c.oid NOT IN (SELECT root FROM reaches_out)"
    " AND ($1 OR NOT c.relispartition"
    "  OR pg_catalog.pg_partition_root(c.oid) IN (SELECT root FROM reaches_out)) "
    "ORDER BY bytes DESC, n.nspname, c.relname";

enum errc analyze_list(struct session *session, struct arena *arena,
                       const struct analyze_target **ret_targets, size_t *ret_count,
                       struct error *err)
{
    bool has_only = conn_server_version(session->conn) >= 180000;
    const char *const params[] = {has_only ? "t" : "f"};
    struct rows rows;
    if (conn_query(session->conn, arena, list_sql, params, 1, &rows, err))
        return err->code;
    struct analyze_target *targets = arena_array(arena, rows.row_count, sizeof *targets);
    for (size_t i = 0; i < rows.row_count; i++)
        targets[i] = (struct analyze_target){.sql = rows_get(&rows, i, 0),
                                             .bytes = strtoull(rows_get(&rows, i, 1), NULL, 10)};
    *ret_targets = targets;
    *ret_count = rows.row_count;
    return RR_OK;
}
