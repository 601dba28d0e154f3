/*
 * Makes archives byte by byte, right ones and such as no pg_dump writes. The order of the fields is
 * that of WriteHead() and WriteToc() in PostgreSQL's src/bin/pg_dump/pg_backup_archiver.c.
 */
#ifndef RR_TESTS_ARCHIVE_BUILDER_H
#define RR_TESTS_ARCHIVE_BUILDER_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/limits.h"
#include "lib/base/str.h"

#define BUILDER __attribute__((unused)) static

BUILDER void put_byte(struct str *s, unsigned value)
{
    str_append_char(s, (char)value);
}

BUILDER void put_int(struct str *s, int64_t value)
{
    uint64_t magnitude = (uint64_t)(value < 0 ? -value : value);
    put_byte(s, value < 0);
    for (int i = 0; i < 4; i++)
        put_byte(s, (unsigned)(magnitude >> (8 * i)) & 0xff);
}

/* NULL is written as pg_dump does. */
BUILDER void put_text(struct str *s, const char *text)
{
    put_int(s, text ? (int64_t)strlen(text) : -1);
    str_append(s, text ? text : "");
}

BUILDER void put_offset(struct str *s, int size, unsigned state, uint64_t offset)
{
    put_byte(s, state);
    for (int i = 0; i < size; i++)
        put_byte(s, (unsigned)(offset >> (8 * i)) & 0xff);
}

/* One entry of the table of contents, field for field. */
struct row {
    int64_t dump_id, had_dumper;
    const char *table_oid, *oid, *tag, *desc;
    int64_t section;
    const char *definition, *drop, *copy, *schema, *tablespace, *access_method;
    int64_t relkind;
    const char *owner, *with_oids;
    const int64_t *dependencies; /* 0 ends them */
    const char *odd_dependency;  /* one more, as text */
    unsigned state;
    uint64_t offset;
};

#define ROW_DEFAULTS                                                                               \
    .table_oid = "0", .oid = "0", .definition = "", .drop = "", .with_oids = "false", .state = 3

BUILDER struct row row_encoding(int64_t id)
{
    struct row row = {ROW_DEFAULTS, .dump_id = id, .tag = "ENCODING", .desc = "ENCODING",
                      .section = 2};
    row.definition = "SET client_encoding = 'UTF8';\n";
    return row;
}

BUILDER struct row row_table(int64_t id, const char *name)
{
    return (struct row){
        ROW_DEFAULTS,   .dump_id = id,      .tag = name,      .desc = "TABLE",
        .section = 2,   .schema = "public", .tablespace = "", .access_method = "heap",
        .relkind = 'r', .owner = "me"};
}

BUILDER struct row row_data(int64_t id, const char *name)
{
    struct row row = {ROW_DEFAULTS, .dump_id = id,      .tag = name,     .desc = "TABLE DATA",
                      .section = 3, .schema = "public", .had_dumper = 1, .owner = "me"};
    row.copy = "COPY public.t (a) FROM stdin;\n";
    row.state = 1;
    return row;
}

BUILDER struct row row_blobs(int64_t id)
{
    struct row row = {ROW_DEFAULTS,    .dump_id = id, .tag = "BLOBS",
                      .desc = "BLOBS", .section = 3,  .had_dumper = 1};
    row.state = 1;
    return row;
}

/* An archive's header and table. */
struct recipe {
    int major, minor, revision, int_size, offset_size, format,
        compression; /* level, or algorithm from 1.15 on */
    int64_t count;   /* that the table claims; -2: as many as there are */
    const struct row *rows;
    size_t row_count;
};

BUILDER struct recipe recipe_of(const struct row *rows, size_t count)
{
    return (struct recipe){.major = 1,
                           .minor = 14,
                           .int_size = 4,
                           .offset_size = 8,
                           .format = 1,
                           .count = -2,
                           .rows = rows,
                           .row_count = count};
}

BUILDER void put_header(struct str *s, const struct recipe *recipe)
{
    str_append(s, "PGDMP");
    const int bytes[] = {recipe->major,    recipe->minor,       recipe->revision,
                         recipe->int_size, recipe->offset_size, recipe->format};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        put_byte(s, (unsigned)bytes[i]);
    if (recipe->minor >= 15)
        put_byte(s, (unsigned)recipe->compression);
    else
        put_int(s, recipe->compression);
    const int64_t time[] = {59, 30, 12, 29, 1, 124, 0};
    for (size_t i = 0; i < sizeof time / sizeof time[0]; i++)
        put_int(s, time[i]);
    put_text(s, "db");
    put_text(s, "12.4 (Debian 12.4-1)");
    put_text(s, "12.5");
}

BUILDER void put_row(struct str *s, const struct recipe *recipe, const struct row *row)
{
    put_int(s, row->dump_id);
    put_int(s, row->had_dumper);
    put_text(s, row->table_oid);
    put_text(s, row->oid);
    put_text(s, row->tag);
    put_text(s, row->desc);
    put_int(s, row->section);
    put_text(s, row->definition);
    put_text(s, row->drop);
    put_text(s, row->copy);
    put_text(s, row->schema);
    put_text(s, row->tablespace);
    if (recipe->minor >= 14)
        put_text(s, row->access_method);
    if (recipe->minor >= 16)
        put_int(s, row->relkind);
    put_text(s, row->owner);
    put_text(s, row->with_oids);
    char number[24];
    for (const int64_t *id = row->dependencies; id && *id; id++) {
        snprintf(number, sizeof number, "%lld", (long long)*id);
        put_text(s, number);
    }
    if (row->odd_dependency)
        put_text(s, row->odd_dependency);
    put_text(s, NULL);
    put_offset(s, recipe->offset_size, row->state, row->offset);
}

BUILDER void put_table(struct str *s, const struct recipe *recipe)
{
    put_int(s, recipe->count == -2 ? (int64_t)recipe->row_count : recipe->count);
    for (size_t i = 0; i < recipe->row_count; i++)
        put_row(s, recipe, &recipe->rows[i]);
}

/* A stream, in chunks of `chunk` bytes. */
BUILDER void put_stream(struct str *s, const void *bytes, size_t length, size_t chunk)
{
    for (size_t done = 0; done < length; done += chunk) {
        size_t piece = length - done < chunk ? length - done : chunk;
        put_int(s, (int64_t)piece);
        str_append_bytes(s, (const char *)bytes + done, piece);
    }
    put_int(s, 0);
}

BUILDER void put_block_header(struct str *s, unsigned type, int64_t dump_id)
{
    put_byte(s, type);
    put_int(s, dump_id);
}

/* The block of a table, not compressed. */
BUILDER void put_copy_block(struct str *s, int64_t dump_id, const char *text, size_t chunk)
{
    put_block_header(s, 1, dump_id);
    put_stream(s, text, strlen(text), chunk);
}

#endif
