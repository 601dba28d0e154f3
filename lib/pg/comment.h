/*
 * comment - our line in the comment of a database, below the user's own text. For people who look
 * at \l+; nothing is ever decided by it. Pure. Private to lib/pg.
 */
#ifndef RR_PG_COMMENT_H
#define RR_PG_COMMENT_H

#include "lib/base/arena.h"

/* The user's text without lines of ours at its end; "" if nothing is left. */
char *comment_strip(struct arena *arena, const char *comment);
/* `user_text` with our line below. */
char *comment_compose(struct arena *arena, const char *user_text, const char *line);

#endif
