/* SPDX-License-Identifier: Apache-2.0 */
/* headroom top: what its parts share. */
#ifndef TOP_H
#define TOP_H

#include "cli.h"

enum top_order {
    BY_SHARE,
    BY_USE,
    BY_RATE,
    BY_FULL,
    BY_LEVEL,
    BY_NAME,
    BY_PID,
    BY_COUNT
};

/* The processes of one look, and how they are looked at. */
struct top {
    hr_status *list;
    size_t count, room;
    enum top_order order;
    bool reversed;
    char filter[64];
};

/* Looks again. Gives 0 or a negative errno. */
int top_look(struct top *top);

double top_share(const hr_status *status);
const char *top_order_text(enum top_order order);

/* A line for a process, with a sparkline of at most `width` characters, and the line above them. */
void top_write_head(char *text, size_t size);
void top_write_line(const hr_status *status, bool unicode, size_t width, char *text, size_t size);
bool top_has_unicode(void);

/* Shows them live until a key ends it; gives an exit status. */
int top_show(struct top *top);

#endif
