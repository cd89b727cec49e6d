/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: what happened. A guard's history, and its figures as text for people and programs.
 *
 * A guard keeps its last HR_HISTORY_RECORDS samples, its last HR_HISTORY_EVENTS events, and tiers: the smallest, largest
 * and mean use of every ledger by the second, the minute and the hour. All of it has a fixed room, which is taken when
 * the guard is made (hr_guard_options.history_bytes: 256 KiB by default, which is seven minutes of seconds, twelve
 * hours of minutes and two days of hours).
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

/* How many events; likewise. */
#define HR_HISTORY_EVENTS 64

/* One sample. Bytes; a figure that the machine does not have is HR_NONE. */
typedef struct hr_record {
    int64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t live_bytes;
    uint64_t total_bytes;
    uint64_t rss_bytes;
    uint64_t cgroup_bytes;
    uint64_t reliefs;
    hr_level level;
    int64_t wall_ns;                 /* the same moment by CLOCK_REALTIME, which may be set, and step back */
    uint64_t limit_bytes;            /* what the root budget might grant at most then */
    uint64_t relieved_bytes;         /* what relief had given back in all */
    uint64_t cgroup_anonymous_bytes; /* the parts of cgroup_bytes: anonymous, shared and locked memory */
    uint64_t cgroup_kernel_bytes;    /* kernel memory that is not reclaimable, and sockets */
    uint64_t cgroup_cache_bytes;     /* page cache, which is no part of cgroup_bytes */
} hr_record;

/* The ledgers of which history keeps account by the second, the minute and the hour. */
typedef enum hr_history_ledger {
    HR_HISTORY_LIVE,             /* charged and not given back */
    HR_HISTORY_RSS,              /* the resident set of the process */
    HR_HISTORY_CGROUP_ANONYMOUS, /* of the binding cgroup: anonymous, shared and locked memory */
    HR_HISTORY_CGROUP_KERNEL,    /* kernel memory that is not reclaimable, and sockets */
    HR_HISTORY_CGROUP_CACHE,     /* page cache */
    HR_HISTORY_LEDGERS
} hr_history_ledger;

typedef enum hr_tier {
    HR_TIER_SECONDS,
    HR_TIER_MINUTES,
    HR_TIER_HOURS,
    HR_TIERS
} hr_tier;

/* Of the samples of one ledger in one bucket; all three are HR_NONE where it was absent. */
typedef struct hr_bytes_range {
    uint64_t min_bytes;
    uint64_t max_bytes;
    uint64_t mean_bytes; /* of the samples, however they lie in time */
} hr_bytes_range;

/* What was sampled in one second, minute or hour of the monotonic clock. Where nothing was, there is no bucket. */
typedef struct hr_bucket {
    int64_t time_ns;  /* its first sample: CLOCK_MONOTONIC */
    int64_t wall_ns;  /* and CLOCK_REALTIME */
    int64_t width_ns; /* of the tier's buckets: a second, a minute, an hour */
    uint32_t samples;
    hr_level worst_level;
    uint32_t level_changes;
    uint32_t reliefs;
    uint64_t relieved_bytes;
    hr_bytes_range ledgers[HR_HISTORY_LEDGERS];
} hr_bucket;

typedef enum hr_event_kind {
    HR_EVENT_LEVEL,  /* the level changed */
    HR_EVENT_RELIEF, /* reclaimers gave something back */
    HR_EVENT_PURGE,  /* the allocator returned pages to the kernel */
} hr_event_kind;

typedef struct hr_event {
    int64_t time_ns; /* CLOCK_MONOTONIC */
    int64_t wall_ns; /* CLOCK_REALTIME */
    hr_event_kind kind;
    hr_level from; /* of a change of level; the same as `to` otherwise */
    hr_level to;
    uint64_t freed_bytes; /* what relief or the purge gave back */
    uint64_t live_bytes;  /* held after it; HR_NONE for a purge and a relief, which do not ask */
} hr_event;

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

/* Copies the newest buckets of a tier, at most `capacity` of them, oldest first. The last one may still grow.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_history_read_tier(hr_guard *guard, hr_tier tier, hr_bucket *buckets, size_t capacity, size_t *ret_count);

/* Copies the newest events, at most `capacity` of them, oldest first.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_history_read_events(hr_guard *guard, hr_event *events, size_t capacity, size_t *ret_count);

/* Names a ledger of history: "live", "rss", "cgroup anonymous", "cgroup kernel", "cgroup cache".
 *
 * returns  a constant string; "unknown" for any other value
 * threads  any, signal handlers too
 */
HR_API const char *hr_history_ledger_text(hr_history_ledger ledger);

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
