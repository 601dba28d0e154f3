/*
 * url - percent-encoding, RFC 3986 section 2.
 */
#ifndef RR_NET_URL_H
#define RR_NET_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/str.h"

/* Appends `text` percent-encoded with upper-case digits; unreserved characters (A-Z a-z 0-9 - . _
 * ~) stay, '/' stays if keep_slash. This is also the encoding that Signature Version 4 asks for. */
void url_encode(struct str *s, const char *text, bool keep_slash);

/* Appends the text with %XX decoded; '+' stays. False on malformed escapes or an encoded NUL; what
 * was appended until then stays. */
bool url_decode(struct str *s, const char *text, size_t length);

#endif
