/* SPDX-License-Identifier: Apache-2.0 */
/* The survey: every limit and figure that headroom can see of a process, and what it cannot see. It is what
 * `headroom doctor` prints; a program can put it into its own bug reports.
 *
 *     hr_survey *survey;
 *     if (hr_survey_new(NULL, &survey) == 0) {
 *         for (size_t i = 0; i < survey->ledger_count; i++)
 *             printf("%s: %llu\n", survey->ledgers[i].source, (unsigned long long)survey->ledgers[i].limit_bytes);
 *         hr_survey_free(survey);
 *     }
 *
 * A survey is made anew from files; it needs no guard, and knows nothing of any budget.
 */
#ifndef HEADROOM_SURVEY_H
#define HEADROOM_SURVEY_H

#include <headroom/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One ledger: what is used of one limit. The texts live as long as what they came from. */
typedef struct hr_ledger {
    const char *name;     /* "budget", "cgroup", "process", "address space", "data", "host" */
    const char *source;   /* the limit: "cgroup v2 /app memory.max", "RLIMIT_AS", "host memory", "limit_bytes" */
    const char *measures; /* what use_bytes counts, in words */
    uint64_t use_bytes;   /* HR_NONE: not known */
    uint64_t limit_bytes; /* HR_NONE: no limit. The host's is the resident set and what is available; where that is not
                             known, all of its memory */
    uint64_t cache_bytes; /* page cache, which is no use; HR_NONE where there is no such thing */
    int64_t time_ns;      /* when it was read: CLOCK_MONOTONIC */
    bool binds;           /* no limit is smaller */
    bool decides;         /* its use ÷ limit is the largest, which decides the level */
} hr_ledger;

typedef struct hr_survey_options {
    const char
        *root;  /* the folder under which /proc and /sys/fs/cgroup are read; NULL or "/": the machine itself. Under
                         another root only what hr_survey_new() itself copied there is read (`collect`), or a tree like
                         it: there are no signals and no allocator then */
    int pid;    /* whose; 0: this process */
    bool stays; /* its files stay open, so that hr_survey_again() can read them */
    const char *collect; /* a folder, which is made: each file that is read is copied into it, as proc/self/… and
                            sys/fs/cgroup/…, so that it can be the root of another survey. Nothing else is; of mounts
                            only those of cgroups, without names of hosts or people. NULL: nothing is copied */
} hr_survey_options;

/* A signal of the kernel's that headroom can use, or why it cannot. */
typedef struct hr_signal {
    const char *name;   /* "memory pressure (PSI)", "rseq", "membarrier" */
    bool known;         /* false: nothing was asked, as under another root */
    bool usable;        /* present, and it works */
    const char *detail; /* the file or feature that is used, or why it is not */
} hr_signal;

/* Facts worth knowing of these limits, and what to do about it: "memory-high-binds", "throttled-at-high",
 * "thrashing", "dirty-pages", "hugetlb-limit", "pod-limit-equal", "oom-group", "host-not-known", "limit-not-visible",
 * "kernel-memory", "swap-used", "files-limit", "declared-limit". */
typedef struct hr_finding {
    const char *id;
    const char *text;   /* one sentence or two */
    const char *advice; /* what to do about it */
} hr_finding;

/* A limit on huge pages, which are not in memory.current. */
typedef struct hr_hugetlb {
    const char *source; /* "cgroup v2 /app hugetlb.2MB.max" */
    uint64_t use_bytes; /* HR_NONE: not known */
    uint64_t limit_bytes;
} hr_hugetlb;

/* For how much of the time tasks of the own cgroup stood still because memory was short. Figures are per cent of the
 * last 10, 60 and 300 seconds, and microseconds in all. `some`: at least one task did; `full`: all of them. */
typedef struct hr_pressure {
    bool known; /* false: the group has no memory.pressure, or it is the host's */
    double some_avg10, some_avg60, some_avg300;
    double full_avg10, full_avg60, full_avg300;
    uint64_t some_total_us, full_total_us;
} hr_pressure;

/* memory.events of the group that binds, or of the own one: how often each happened since the group was made. HR_NONE:
 * not known, as on v1. */
typedef struct hr_events {
    uint64_t low, high, max, oom, oom_kill, oom_group_kill;
} hr_events;

/* Where each level begins and ends, in bytes of the limit that binds. */
typedef struct hr_threshold_bytes {
    uint64_t warn_at, warn_below, degrade_at, critical_at, recover_below;
} hr_threshold_bytes;

/* What was found. Counts of bytes are HR_NONE, texts NULL and versions 0 where there is nothing. */
typedef struct hr_survey {
    hr_level level;           /* by the default thresholds, without a budget */
    double use;               /* the deciding ledger's use ÷ limit; 0 where none decides */
    uint64_t limit_bytes;     /* the smallest of all limits */
    const char *limit_source; /* which that is */
    int cgroup_version;       /* 1, 2; 0: none was found */
    const char *cgroup_path;  /* the process's own group, as /proc/PID/cgroup names it */
    uint64_t cgroup_bytes;    /* use of the binding group, or of the own one where none is limited, as its statistics
                                 have it; its ledger allows for their lag, and may show more */
    uint64_t cgroup_cache_bytes;
    uint64_t rss_bytes;
    uint64_t host_total_bytes;
    uint64_t host_available_bytes;
    const char *allocator; /* behind malloc: "glibc", "jemalloc", …, "other"; of another process by the libraries
                                    that it has mapped, or "unknown" */
    const char *allocator_purge; /* the call by which it gives pages back; NULL: none is known */
    const hr_ledger *ledgers;    /* cgroups from the own one upwards, resource limits, the host */
    size_t ledger_count;
    const hr_signal *signals;
    size_t signal_count;
    const char *const *unseen; /* what could not be seen, a sentence each */
    size_t unseen_count;
    unsigned lease_processes; /* guarded processes that share the smallest limit of a cgroup; 0: none was found */
    unsigned
        forked_children; /* that share the process's pages: what is rewritten is copied, and charged without a grant */
    const char *cgroup_folder; /* where the files of the process's own group are; NULL: they cannot be seen */
    uint64_t
        declared_limit_bytes; /* by HEADROOM_LIMIT in the environment of the process (of the caller under another root);
                                      HR_NONE: none */

    const hr_finding *findings;
    size_t finding_count;
    hr_threshold_bytes thresholds; /* by the default rules */
    hr_pressure pressure;
    hr_events events;
    uint64_t swap_bytes;  /* of the group that cgroup_bytes is of: what of it is swapped out */
    uint64_t dirty_bytes; /* and the part of its page cache that is dirty or under writeback */
    const hr_hugetlb *hugetlb;
    size_t hugetlb_count;
    uint64_t doubtful_bytes; /* and its kernel memory that may be names of files, which the kernel takes back: it is in
                                no use. On v1 it can be the processes' own as well */
} hr_survey;

/* Looks at everything once. A file that is absent or unreadable is no error: the survey lists it.
 *
 * returns  0; -ESRCH if there is no such process; -ENOENT, -ENOTDIR, -EACCES if the root is no folder to look into;
 *          -EINVAL; -ENOMEM, -EMFILE, -ENFILE. With `collect` whatever keeps a file from being written there
 * threads  any
 * memory   allocates
 * undo     hr_survey_free()
 */
HR_API HR_MUST_CHECK int hr_survey_new(const hr_survey_options *options, hr_survey **ret_survey);

/* Reads the gauges again through the files that a survey with `stays` keeps open. Its level, use, limits, figures of
 * groups and of the process, and the ledgers become those of now. Groups that have no limit above the last limited one
 * are not read: their use stays HR_NONE. The host's figures may be 100 ms old. Signals, the allocator and what could
 * not be seen stay as they were, and the level has no memory: it is that of the use.
 *
 * returns  0; -ESRCH if the process has ended and was waited for; -EINVAL without `stays`
 * threads  one at a time for a survey
 * memory   never allocates
 * cost     10 to 20 microseconds for each group
 */
HR_API HR_MUST_CHECK int hr_survey_again(hr_survey *survey);

/* Frees a survey with all its texts. NULL is fine.
 *
 * threads  any
 */
HR_API void hr_survey_free(hr_survey *survey);

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_survey_new(const hr_survey_options *options, hr_survey **ret_survey)
{
    return hr_sized_(HR_SIZED_SURVEY_NEW_, NULL, options, ret_survey, HR_SIZES_(sizeof *options, 0));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
