/* SPDX-License-Identifier: Apache-2.0 */
/* An eventfd: a descriptor that becomes readable when something has happened. */
#ifndef HRI_OS_EVENT_H
#define HRI_OS_EVENT_H

#include "os/file.h"

/* Gives a descriptor, non-blocking and close-on-exec, or a negative errno. */
int hri_event_open(void);

/* Makes it readable; a descriptor below 0 is fine. */
void hri_event_signal(int fd);

/* The same, if it is the event still: a program that closes all its descriptors may have given its number to another
 * file. */
void hri_event_signal_own(int fd, const hri_file_mark *mark);

/* Makes it unreadable again. */
void hri_event_clear(int fd);

#endif
