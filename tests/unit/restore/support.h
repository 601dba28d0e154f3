/*
 * A table of contents from rows: the tests say what matters, this writes it as an archive of
 * version 1.16 (src/bin/pg_dump/pg_backup_archiver.c: WriteHead, WriteToc) and reads that.
 */
#ifndef RR_TESTS_UNIT_RESTORE_SUPPORT_H
#define RR_TESTS_UNIT_RESTORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/archive/toc.h"
#include "lib/base/arena.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

enum { ROW_DEPENDENCIES = 8 };

struct row {
    int32_t dump_id;
    enum entry_kind kind;
    enum section section; /* 0: the kind's own */
    const char *schema, *tag, *definition, *drop, *copy, *owner, *tablespace, *access_method;
    char relkind;
    int32_t dependencies[ROW_DEPENDENCIES]; /* ended by 0 */
    uint64_t block_bytes;                   /* TABLE DATA and BLOBS: set once the table is read */
};

static void put_int(struct str *s, int32_t value)
{
    uint32_t magnitude = (uint32_t)(value < 0 ? -(int64_t)value : value);
    str_append_char(s, value < 0);
    for (int shift = 0; shift < 32; shift += 8)
        str_append_char(s, (char)(magnitude >> shift));
}

static void put_text(struct str *s, const char *text)
{
    put_int(s, text == NULL ? -1 : (int32_t)strlen(text));
    str_append(s, text == NULL ? "" : text);
}

static enum section section_of(const struct row *row)
{
    static const enum section own[ENTRY_KIND_COUNT] = {
#define X(enumerator, desc, section) section,
        ENTRY_KIND_TABLE(X)
#undef X
    };
    return row->section != 0 ? row->section : own[row->kind];
}

static bool row_has_data(const struct row *row)
{
    return row->kind == ENTRY_TABLE_DATA || row->kind == ENTRY_BLOBS;
}

static void put_row(struct str *s, const struct row *row)
{
    put_int(s, row->dump_id);
    put_int(s, row_has_data(row));
    put_text(s, "0");
    put_text(s, "0");
    put_text(s, row->tag == NULL ? "x" : row->tag);
    put_text(s, entry_kind_name(row->kind));
    put_int(s, (int32_t)section_of(row));
    put_text(s, row->definition == NULL ? "" : row->definition);
    put_text(s, row->drop == NULL ? "" : row->drop);
    put_text(s, row->copy == NULL ? "" : row->copy);
    put_text(s, row->schema);
    put_text(s, row->tablespace);
    put_text(s, row->access_method);
    put_int(s, row->relkind);
    put_text(s, row->owner == NULL ? "" : row->owner);
    put_text(s, "false");
    for (size_t i = 0; i < ROW_DEPENDENCIES && row->dependencies[i] != 0; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", row->dependencies[i]);
        put_text(s, number);
    }
    put_text(s, NULL);
    str_append_char(s, row_has_data(row) ? 1 : 3);
    str_append_bytes(s, "\0\0\0\0\0\0\0\0", 8);
}

/* `toc` lives in the arena. */
static void make_toc(const struct row *rows, size_t count, struct arena *arena, struct toc *toc)
{
    STR_GUARD struct str s = STR_INIT(64 * LIMIT_MIB);
    str_append_bytes(&s, "PGDMP\1\20\0\4\10\1\1", 12);
    for (int i = 0; i < 7; i++)
        put_int(&s, 1);
    put_text(&s, "db");
    put_text(&s, "17.4");
    put_text(&s, "17.4");
    put_int(&s, (int32_t)count);
    for (size_t i = 0; i < count; i++)
        put_row(&s, &rows[i]);
    size_t header = s.length;
    /* Room for the blocks that nobody reads here. */
    for (size_t i = 0; i < 100 * count; i++)
        str_append_char(&s, 0);
    struct error err = ERROR_INIT;
    if (toc_parse(s.data, header, s.length, arena, toc, &err))
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++)
        toc->entries[i].block_bytes = rows[i].block_bytes;
}

#define MAKE_TOC(rows, arena, toc) make_toc(rows, sizeof(rows) / sizeof *(rows), arena, toc)

#endif
