/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: what happened. The last records of a guard, and its figures as text for people and programs.
 *
 * Nothing here allocates: it all works when memory has run out.
 */
#ifndef HEADROOM_REPORT_H
#define HEADROOM_REPORT_H

#include <headroom/base.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many records a guard keeps; a new one takes the place of the oldest. */
#define HR_HISTORY_RECORDS 100

/* One sample. Bytes; a figure that the machine does not have is HR_NONE. */
typedef struct hr_record {
    int64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t live_bytes;
    uint64_t total_bytes;
    uint64_t rss_bytes;
    uint64_t cgroup_bytes;
    uint64_t reliefs;
    hr_level level;
} hr_record;

typedef enum hr_format {
    HR_TEXT,        /* for people: a line a figure, sizes in binary units */
    HR_JSON,        /* one object; an absent figure is null */
    HR_CSV,         /* a line of names, a line of values; an absent figure is empty */
    HR_OPENMETRICS, /* for Prometheus and its kin, with the closing # EOF */
} hr_format;

/* Copies the newest records, at most `capacity` of them, oldest first.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_history_read(hr_guard *guard, hr_record *records, size_t capacity, size_t *ret_count);

/* Writes the figures of this moment to a descriptor, whole or not at all where it is a pipe with room.
 *
 * returns  0; -EINVAL for an unknown format; the negative errno of write()
 * threads  any
 * memory   never allocates
 */
HR_API int hr_report_write(hr_guard *guard, hr_format format, int fd);

/* Formats the figures of this moment into a buffer, as snprintf() does: always terminated, cut if it is too small.
 *
 * returns  the length that the whole report has; -EINVAL for an unknown format
 * threads  any
 * memory   never allocates
 */
HR_API ssize_t hr_report_format(hr_guard *guard, hr_format format, char *buffer, size_t size);

#ifdef __cplusplus
}
#endif

#endif
