/* SPDX-License-Identifier: Apache-2.0 */
/* Status pages: what guarded and watched processes of this machine say of themselves, for `headroom top` and its kin.
 *
 * A guard with a monitor thread has a file in /dev/shm that its user alone can read. It writes its figures there, twice
 * a second at most. Of several guards of a process one has the file. The file is named after user, process, start time
 * and PID namespace, so one whose process has ended is known and passed over. It is removed with the guard; that of a
 * process which was killed by the next process of the same user. Containers with a /dev/shm of their own see their own.
 */
#ifndef HEADROOM_STATUS_H
#define HEADROOM_STATUS_H

#include <headroom/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HR_STATUS_POINTS 60
#define HR_STATUS_NAME_BYTES 32

/* The figures that a process publishes. Bytes; HR_NONE where something is not known. */
typedef struct hr_status {
    int pid;
    bool watched; /* by `headroom run`, from outside; else there is a guard in it */
    hr_level level;
    char name[HR_STATUS_NAME_BYTES]; /* of the program, which chose it */
    uint64_t use_bytes;              /* of the ledger that is nearest to its limit */
    uint64_t limit_bytes;
    uint64_t peak_bytes;
    uint64_t refusals;
    double rate_bytes_per_s; /* over the last seconds; signed */
    int64_t full_in_ns;      /* at that rate; -1: not */
    int64_t time_ns;         /* of the last sample: CLOCK_MONOTONIC */
    uint32_t point_count;    /* samples of a second or more apart, oldest first: use as thousandths of the limit */
    uint16_t points[HR_STATUS_POINTS];
    uint64_t live_bytes; /* charged to budgets, or in blocks of headroom's malloc; no idle pages */
} hr_status;

/* Called for each process. Anything else than 0 ends the listing. */
typedef int hr_status_visit_fn(void *context, const hr_status *status);

/* Lists the processes of this user that say something; root sees those of all users.
 *
 * returns  0; what `visit` returned to end it; -ENOENT, -EACCES … if /dev/shm cannot be listed; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_status_visit(hr_status_visit_fn *visit, void *context);

/* A status page that the program itself writes, for another process that it watches. */
typedef struct hr_status_page hr_status_page;

/* Makes the status page of a process.
 *
 * returns  0; -EINVAL; -ESRCH if there is no such process; -EEXIST if it has one that is not ours to replace; -ENOMEM,
 *          -ENOSPC, -ENOENT …
 * threads  any
 * memory   allocates
 * undo     hr_status_page_free()
 */
HR_API HR_MUST_CHECK int hr_status_page_new(int pid, hr_status_page **ret_page);

/* Writes what it says from now on. Of `status`, pid, time, rate, forecast and points are added here.
 *
 * returns  0; -EINVAL
 * threads  one at a time
 * memory   never allocates
 */
HR_API int hr_status_page_set(hr_status_page *page, const hr_status *status);

/* Removes it. NULL is fine.
 *
 * threads  one, as the last user of the page
 */
HR_API void hr_status_page_free(hr_status_page *page);

#ifdef __cplusplus
}
#endif

#endif
