/* SPDX-License-Identifier: Apache-2.0 */
/* Strain: the own group stands still for want of memory, before its use says so. Numbers in, a level out.
 *
 * Two signs are looked at. The group's own PSI: all its tasks stand still for a fifth of the time, or for three fifths.
 * The other sign is for a kernel without PSI. The limit is hit again and again while little of it is page cache. Within
 * one second as much is read back into the page cache as there is of it. A large working set of files that turns over
 * in a large cache is no strain, and neither is a backup that reads each file once.
 *
 * The host's PSI is not looked at: it would blame this process for its neighbours.
 */
#ifndef HRI_GAUGE_STRAIN_H
#define HRI_GAUGE_STRAIN_H

#include "os/stalls.h"

#include <headroom/base.h>

#define HRI_STRAIN_DEGRADED_PER_CENT 20
#define HRI_STRAIN_CRITICAL_PER_CENT 60

typedef struct hri_strain_input {
    const hri_stalls *stalls;
    uint64_t max_events; /* times that the limit was hit, ever; HR_NONE: not known */
    uint64_t refault_bytes;
    uint64_t cache_bytes;
    double use; /* of the group that binds: the largest share without page cache */
    int64_t now_ns;
    bool once; /* there is no other look: what was ever read back is compared with the cache */
} hri_strain_input;

typedef struct hri_strain {
    hr_level level; /* the level is at least that */
    int64_t since_ns;
    uint64_t max_events; /* then */
    uint64_t refault_bytes;
} hri_strain;

/* Looks, and gives the level that the strain calls for. */
hr_level hri_strain_sample(hri_strain *strain, const hri_strain_input *input);

#endif
