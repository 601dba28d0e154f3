/*
 * json - reading JSON of foreign origin into a tree (RFC 8259). cJSON does the parsing and stays
 * inside this module. Writing JSON is str_append_json() and a printf: see lib/base/str.h.
 *
 * A value is valid as long as its document. Lookups never fail on a wrong type: they answer NULL or
 * "not there", so that a reader of a hostile answer needs one test per field.
 */
#ifndef RR_CODEC_JSON_H
#define RR_CODEC_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/str.h"

struct json_document;
struct json; /* one value; opaque */

/* Parses exactly `length` bytes; anything but white space after the value, NUL (also as \u0000),
 * invalid UTF-8, depth over LIMIT_JSON_DEPTH and duplicate keys in one object are errors
 * (ERR_CONFIG; the caller recodes) that name `what` and the byte offset (of a duplicate: the key).
 * Caller frees with json_free(). How long a text may be is for the caller to say. */
enum errc json_parse(const char *bytes, size_t length, const char *what,
                     struct json_document **ret_document, struct error *err) RR_MUST_CHECK;
/* NULL is accepted. */
void json_free(struct json_document *document);
void json_guard(struct json_document **document);
#define JSON_GUARD __attribute__((cleanup(json_guard)))

const struct json *json_root(const struct json_document *document);

/* Member of an object by exact name; NULL if `value` is NULL, no object, or has no such member. */
const struct json *json_get(const struct json *value, const char *name);
/* The text of a string; NULL for anything else. */
const char *json_text(const struct json *value);
/* json_text(json_get(value, name)). */
const char *json_get_text(const struct json *value, const char *name);
/* Integer between -2^53 and 2^53, the range in which JSON numbers are exact. False: not one. */
bool json_int(const struct json *value, int64_t *ret_value);
bool json_bool(const struct json *value, bool *ret_value);
bool json_is_object(const struct json *value);
bool json_is_array(const struct json *value);
/* Appends the value as JSON text, without white space. */
void json_render(struct str *s, const struct json *value);
/* Deep equality, whatever the order of an object's members. NULL equals nothing. */
bool json_equal(const struct json *a, const struct json *b);
/* First child of an array or object, next sibling, and a member's name. NULL at the end. */
const struct json *json_first(const struct json *value);
const struct json *json_next(const struct json *value);
const char *json_name(const struct json *value);

#endif
