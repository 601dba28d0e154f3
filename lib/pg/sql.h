/*
 * sql - building SQL text safely. Pure; no connection needed. Text is UTF-8, server setting
 * standard_conforming_strings is on in all our sessions.
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
 * ('s' staging, 'p' previous, 't' prestaged), 12 characters of base32 of SHA-256 of live name and run id:
 * never over 63 bytes. */
char *sql_own_database_name(struct arena *arena, const char *live, char kind, const char *run_id);

#endif
