/* SPDX-License-Identifier: Apache-2.0 */
/* The socket to the supervisor (`headroom run`). Its hang-up tells the supervisor that this program has ended, was
 * killed, or has become another one by exec(). */
#ifndef HRI_MALLOC_LINK_H
#define HRI_MALLOC_LINK_H

#include "malloc/page.h"

/* Asks the supervisor for the shared page, by the value of HEADROOM_RUN. Gives NULL where it does not answer, and a
 * word that says why; no word where the run has ended, which its programs may outlive. */
hri_malloc_page *hri_link_open(const char *where, const char **ret_why);

/* Says which slot this process has. */
void hri_link_enter(void);

/* In a forked child: a socket of its own. */
void hri_link_fork_child(void);

#endif
