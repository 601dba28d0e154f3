/*
 * sql - building SQL text safely. Pure; no connection needed. Text is UTF-8, server setting
 * standard_conforming_strings is on in all our sessions. What is returned lives in the arena.
 */
#ifndef RR_PG_SQL_H
#define RR_PG_SQL_H

#include "lib/base/arena.h"
#include "lib/base/error.h"

/* "name" with quotes doubled, always quoted. */
char *sql_identifier(struct arena *arena, const char *name);
/* "schema"."name"; schema NULL or "": only the name. */
char *sql_qualified(struct arena *arena, const char *schema, const char *name);
/* 'text' with quotes doubled; E'' when there are backslashes. NULL gives NULL (the keyword). */
char *sql_literal(struct arena *arena, const char *text);

/* Names of our databases: the live name cut to 40 bytes at a character, "_rr", kind letter
 * ('s' staging, 'p' previous, 't' prestaged), 12 characters of base32 of SHA-256 of live name and
 * run id: never over 63 bytes. Longer names would be cut by the server without an error, and DROP
 * would then hit whatever has the shorter name. */
char *sql_own_database_name(struct arena *arena, const char *live, char kind, const char *run_id);
/* The first part of such a name: the live name cut to 40 bytes at a character. */
char *sql_live_part(struct arena *arena, const char *live);

/* Splits the stored value of a list parameter (search_path and its kin: elements between commas,
 * each bare or in double quotes) into its elements. False: not such a list. */
bool sql_split_list(struct arena *arena, const char *list, const char ***ret_items,
                    size_t *ret_count);

#endif
