/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's signal that memory is getting short, as a descriptor to poll.
 *
 * The first of these that can be armed: the file that $MEMORY_PRESSURE_WATCH names by systemd's protocol; the own
 * cgroup's memory.pressure (v2); its memory.events (v2); the host's /proc/pressure/memory. "/dev/null" in the variable
 * says not to watch anything. The last file blames neighbours, the second comes late. So no signal decides anything:
 * it only makes somebody look. cgroup v1 has none of its own that would say more than looking does.
 */
#ifndef HRI_OS_PRESSURE_H
#define HRI_OS_PRESSURE_H

#include "os/cgroup.h"
#include "os/file.h"
#include "os/site.h"

#define HRI_PRESSURE_TEXT_BYTES 256

typedef struct hri_pressure {
    int fd; /* below 0: none is armed */
    hri_file_mark mark;
    short events;                         /* what to poll for */
    bool stream;                          /* a FIFO or a socket: what arrives is read away */
    char source[HRI_PRESSURE_TEXT_BYTES]; /* the file that is used; "" if none */
    char why[HRI_PRESSURE_TEXT_BYTES];    /* why no better one is; "" if the best is */
} hri_pressure;

/* Arms a signal for this process. For another process or under another root it only looks which one there is. Gives 0,
 * even where none can be armed, or the shortage that kept it from trying: -ENOMEM, -EMFILE, -ENFILE. */
int hri_pressure_open(hri_pressure *pressure, const hri_site *site, const hri_cgroup_chain *chain);
void hri_pressure_close(hri_pressure *pressure);

/* Takes what poll reported. Gives whether that was a signal; a source that has failed or ended is closed. */
bool hri_pressure_take(hri_pressure *pressure, short revents);

#endif
