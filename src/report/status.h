/* SPDX-License-Identifier: Apache-2.0 */
/* A status page: a file of one process in /dev/shm, which its writer maps and others read.
 *
 *     name    headroom_status.UID.PID.START.SPACE
 *             START: the process's start time in ticks, as /proc/PID/stat has it; SPACE: the inode of its PID namespace
 *     bytes   [ magic ][ count ][ hr_status ]   count is odd while the status is being written (a sequence lock)
 *
 * A reader copies by pread(): a file that is cut meanwhile cannot hurt it. It believes a file only if the file belongs
 * to the user of its process, and if that process began at START. Files of other PID namespaces, which may
 * share /dev/shm, are neither read nor removed.
 */
#ifndef HRI_REPORT_STATUS_H
#define HRI_REPORT_STATUS_H

#include "base/fork.h"

#include <headroom/status.h>

typedef struct hri_status_file hri_status_file;

typedef struct hri_status {
    hri_status_file *file; /* mapped; NULL: there is none */
    int pid;
    uint64_t start, space;
    hr_status last;                        /* what is written next time, except for the count */
    uint64_t past_bytes[HR_STATUS_POINTS]; /* of the points: what the rate is of */
    int64_t past_ns[HR_STATUS_POINTS];
} hri_status;

/* Makes the file; sweeps those of the user's processes that have ended. Allocates nothing. Gives 0 or a negative
 * errno. */
int hri_status_open(hri_status *status, int pid);

/* Writes; without a file nothing happens. */
void hri_status_put(hri_status *status, const hr_status *said, int64_t now_ns);
void hri_status_close(hri_status *status);

/* The file is the parent's. */
void hri_status_fork(hri_status *status, hri_fork moment);

#endif
