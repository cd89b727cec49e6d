/* SPDX-License-Identifier: Apache-2.0 */
/* The guard: the whole of headroom in one object.
 *
 * A guard holds a budget, which is its root. It reads gauges: this process, its cgroup and all that contain it,
 * resource limits, the host. It decides a level from them, and answers to that level: caches yield, large requests are
 * refused, a reserve is dropped. Most programs have one guard, made at start.
 *
 *     hr_guard *guard;
 *     int error = hr_guard_new(NULL, &guard);         // the kernel's limit, default thresholds
 *     ...
 *     hr_guard_free(guard);
 *
 * Levels go up at once and down only after use has stayed below the lower threshold for `dwell_ns`. Critical is reached
 * over `critical_at`, or when the root's limit has refused a charge while use was over `recover_below`; it ends at
 * `critical_at`. Degraded is a state to live in: small requests are served, the share that is shed grows with use
 * (relief.h).
 *
 * A fork leaves the child a guard of its own: the accounts as they were, figures that are the child's, no monitor
 * thread until hr_guard_start(), and another descriptor for hr_guard_fd(). Bytes that other threads of the parent held
 * or were promised stay in the child's accounts. Pages that either of them rewrites are charged without a grant: while
 * a child lives that has not called exec, the parent's monitor reads the gauges every 10 ms.
 */
#ifndef HEADROOM_GUARD_H
#define HEADROOM_GUARD_H

#include <headroom/base.h>
#include <headroom/survey.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The figures of a guard at one instant. Bytes; counts are since the guard was made, except for `faults`. A figure that
 * this machine does not have is HR_NONE. */
typedef struct hr_figures {
    hr_level level;
    uint64_t limit_bytes;          /* what the root budget may grant at most */
    const char *limit_source;      /* which limit that is; lives as long as the guard */
    uint64_t live_bytes;           /* held: charged and not given back, promises left out */
    uint64_t promised_bytes;       /* admitted and not yet spent */
    uint64_t total_bytes;          /* everything ever held */
    uint64_t peak_bytes;           /* the most that was held and promised at once; see hr_budget_figures */
    uint64_t rss_bytes;            /* resident set of this process */
    uint64_t cgroup_bytes;         /* use of the binding cgroup, without page cache that can be reclaimed */
    uint64_t cgroup_limit_bytes;   /* the binding cgroup's limit */
    uint64_t cgroup_cache_bytes;   /* its page cache */
    uint64_t others_bytes;         /* foreign: memory of the cgroup that no budget of this process accounts for */
    uint64_t host_available_bytes; /* what the host could still give */
    double use;                    /* the worst ledger's use ÷ limit, which decides the level. Idle pages of the
                                      library's heap are in cgroup_bytes and rss_bytes, and in no use */
    const char *use_source;  /* which ledger that is: "budget", "cgroup", "process", "address space", "data", "host" */
    uint64_t reliefs;        /* times that relief gave something back */
    uint64_t relieved_bytes; /* how much in all */
    uint64_t cleanups;       /* times that the janitor ran */
    uint64_t cleaned_bytes;  /* what it gave back in all */
    uint64_t cleanup_before_bytes; /* the resident set before the last cleanup */
    uint64_t cleanup_after_bytes;  /* and after it */
    uint64_t purges;               /* times that the allocator was asked to return pages */
    int64_t purge_longest_ns;      /* the longest that took */
    uint64_t refusals;             /* charges and requests refused, by any budget or level */
    uint64_t reserve_bytes;        /* the emergency reserve in hand: 0 while it is dropped */
    uint64_t faults;               /* misuse that was caught and survived, such as giving back too much: of the process,
                                      whichever guard it was of, since it began */
    uint64_t pressure_wakes;       /* looks brought about by the kernel's signal of memory pressure */
    int64_t stalled_ns;            /* for how long relief has achieved nothing while short; 0 below ten dwells */
    char holder[64];               /* who holds most while it is stalled: "budget NAME", "this process, in no budget",
                                      "others in the cgroup"; else "" */
    uint64_t holder_bytes;         /* and how much */
    int64_t time_ns;               /* when the kernel's figures were read: CLOCK_MONOTONIC */

    /* The parts of cgroup_bytes: anonymous, shared and locked memory; kernel memory that is not reclaimable, and
     * sockets. */
    uint64_t cgroup_anonymous_bytes;
    uint64_t cgroup_kernel_bytes;

    uint64_t pending_bytes; /* granted, not resident when the figures were read: by all guards of this process */
    uint64_t
        lease_bytes; /* what the kernel's limits still left for grants when the figures were read; HR_NONE: no limit */
    uint64_t lease_processes; /* that share this lease, this one included */

    int64_t wall_ns;            /* the moment of time_ns by CLOCK_REALTIME */
    uint64_t refusals_degraded; /* of the refusals: a grant would have led beyond degrade_at */
    uint64_t refusals_critical; /* of the refusals: the level was critical. The rest was refused by limits */
    uint64_t swap_bytes;        /* of the binding cgroup: what of it is swapped out */
    uint64_t dirty_bytes; /* and its page cache that is dirty or under writeback, which cannot be dropped at once */
    double stalled_share; /* of the last ten seconds all tasks of the own cgroup stood still for memory (PSI, full).
                             At least 0.20 is degraded, 0.60 critical, whatever is used. 0 where it is not known */

    /* With observe_only: charges and requests that were granted, and would have been refused. */
    uint64_t would_have_refused;
    uint64_t would_have_refused_degraded; /* of these: a grant led beyond degrade_at */
    uint64_t would_have_refused_critical; /* of these: the level was critical */
    uint64_t would_have_relieved;         /* times that relief would have been asked for memory */

    /* The library's heap, one for the process, at this moment: what hr_alloc() and its kin, tickets, caches and the
     * books of pools have of the kernel. */
    uint64_t committed_bytes; /* in all: in use, idle, gaps between blocks, and the heap's own records */
    uint64_t idle_bytes;      /* of that, idle: handed out again at once, or given back when anybody is short */
} hr_figures;

/* Called after each change of level, in the order of the changes, with no lock held. */
typedef void hr_level_fn(void *context, hr_level from, hr_level to, const hr_figures *figures);

/* The thresholds that hold where none are given; critical begins half way from HR_DEGRADE_AT to 1. */
#define HR_WARN_AT 0.80
#define HR_WARN_BELOW 0.75
#define HR_DEGRADE_AT 0.90
#define HR_RECOVER_BELOW 0.80

/* Zero means default everywhere; HR_NONE in a count of bytes means none. Thresholds are shares of a limit. The ones
 * that are not given are fitted to those that are; given ones that contradict each other are -EINVAL:
 * warn_below < warn_at <= degrade_at < critical_at <= 1 and recover_below < degrade_at. */
typedef struct hr_guard_options {
    uint64_t limit_bytes;        /* default: the smallest of cgroup, its ancestors, RLIMIT_AS, RLIMIT_DATA, host */
    double warn_at;              /* 0.80: warning from here up */
    double warn_below;           /* 0.75: normal again below */
    double degrade_at;           /* 0.90: degraded above, and relief runs */
    double critical_at;          /* half way from degrade_at to 1: critical above */
    double recover_below;        /* 0.80: what relief aims at; degraded ends below */
    int64_t dwell_ns;            /* 1 s: how long use must stay low before the level goes down; negative: none. If
                                        reclaimers freed nothing, degraded and critical end at once below recover_below,
                                        but only one dwell after the level last went down */
    int64_t interval_ns;         /* 1 s at rest, faster near the limit; at least 1 ms, less is taken for that; negative:
                                        no monitor thread */
    int64_t cleanup_interval_ns; /* 30 s: the janitor asks reclaimers for what is idle; negative: never */
    int64_t purge_interval_ns;   /* at least between two purges of the allocator; negative: never purge. 0: 1 s, and
                                    at once while degraded or worse, or where a demand would be refused. After a purge
                                    that returned less than a twentieth of what the allocator may keep, the next one
                                    comes 20 times as long after it as it took, or later */
    uint64_t reserve_bytes;      /* emergency reserve, resident until critical; default none */
    uint64_t degraded_request_bytes; /* 1,024: the largest request served when degraded; HR_NONE: any */
    bool refuse_until_recovered;     /* where relief did not get use below recover_below: critical until it is; else
                                        relief that does not help leaves the guard degraded */
    hr_level_fn *on_level;
    void *context; /* for on_level */

    /* 256 KiB: what history takes in all, resident from the start (report.h). HR_NONE: no tiers, and the last records
     * and events alone, some 32 KiB. */
    uint64_t history_bytes;

    /* A file to which samples and events are appended: readable after SIGKILL, also by `headroom report FILE`. When it
     * is half as large as history_file_bytes (16 MiB by default, 64 KiB at least) it becomes FILE.1, and a new one
     * begins. One process writes a file at a time. A disk that is full is reported (hr_history_file_read()) and not
     * fatal. The file has the process's command line too, at most 511 bytes of it, which may have secrets in it. */
    const char *history_file;
    uint64_t history_file_bytes;

    /* Guarded processes of one cgroup count their grants together, by a file in /dev/shm that only their user can
     * open. Without it each would grant what all of them see free. Negative: this process counts for itself. */
    int share_lease;

    /* A limit on the whole process: its anonymous resident memory, charged or not, as if a cgroup of that size were
     * around it. It counts in the level, in what is granted, in reports and in the sentence that explains; a smaller
     * limit of the kernel's still binds. 0: the environment variable HEADROOM_LIMIT, a size such as 512M or a share
     * such as 80% of the smallest limit that is seen; HR_NONE: none. Where this is not 0 the variable is not read. */
    uint64_t process_limit_bytes;

    /* Look and tell, and do nothing: to see what a limiter would do before it is switched on. Nothing is refused,
     * evicted or purged. Charges beyond a limit are granted, and requests are admitted whatever the level. Waits for
     * room or for a level give 0 at once. Pools and caches do not yield, the reserve stays, hr_relieve() and
     * hr_guard_cleanup() free nothing. Levels are decided and told as ever, of the use as it is without relief.
     * Everything that would have been done is counted (hr_figures. would_have_refused, would_have_relieved) and in
     * events, history and reports. A demand for which pools and caches could have made room does not count as refused;
     * the program's own reclaimers are not asked what they have. The environment variable HEADROOM_OBSERVE=1 does the
     * same where this is false. */
    bool observe_only;
} hr_guard_options;

/* Makes a guard, reads the gauges once and starts the monitor thread (unless interval_ns is negative).
 *
 * returns  0; -ENOMEM; -EMFILE, -ENFILE; -EAGAIN (no thread). -EINVAL for thresholds that contradict each other, and
 *          for a variable of the environment that is wrong: HEADROOM_LIMIT (also -ERANGE) or HEADROOM_OBSERVE. -EINVAL
 *          for a history_file that is no regular file, or history_file_bytes of less than 64 KiB. hr_message_set() has
 *          the sentence that says which. -EBUSY if another writer has the history file; -EBADMSG if it is none (it
 *          is left as it is); -EPROTONOSUPPORT if it is of another version. -ENOENT, -EACCES, -ENOSPC … for the
 *          history file, too
 * threads  any
 * memory   allocates
 * undo     hr_guard_free()
 */
HR_API HR_MUST_CHECK int hr_guard_new(const hr_guard_options *options, hr_guard **ret_guard);

/* Stops the monitor and frees the guard. NULL is fine. With budgets still alive it aborts in debug builds. Release
 * builds, and a root that still holds bytes in any build, count a fault and keep the accounts valid: they are never
 * freed then.
 *
 * threads  one, as the last user of the guard; not from the guard's callback or a reclaimer
 */
HR_API void hr_guard_free(hr_guard *guard);

/* Gives the root budget: its limit is the guard's, all other budgets are below it.
 *
 * returns  the root, which lives as long as the guard; NULL without a guard
 * threads  any
 */
HR_API hr_budget *hr_guard_root(hr_guard *guard);

/* Gives the level that was last decided.
 *
 * returns  the level; normal without a guard
 * threads  any, signal handlers too
 * cost     one relaxed load
 */
HR_API hr_level hr_guard_level(const hr_guard *guard);

/* Reads the gauges now and acts now: runs relief where the level asks for it, and falls straight to the level that
 * the figures give, without a dwell.
 *
 * returns  the level after that; normal without a guard
 * threads  any; not from a reclaimer
 * memory   never allocates; may run reclaimers, the purge and the callback
 */
HR_API hr_level hr_guard_check(hr_guard *guard);

/* Reads the figures: accounts of this instant, kernel figures of the last sample (time_ns).
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_guard_read(hr_guard *guard, hr_figures *ret_figures);

/* A guard's thresholds as they were fitted, as shares and in bytes of the smallest limit that was last seen. */
typedef struct hr_thresholds {
    double warn_at, warn_below, degrade_at, critical_at, recover_below;
    uint64_t limit_bytes; /* HR_NONE: no limit is known, and neither are the next five */
    uint64_t warn_at_bytes, warn_below_bytes, degrade_at_bytes, critical_at_bytes, recover_below_bytes;
} hr_thresholds;

/* Reads back the thresholds of a guard.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_guard_thresholds(hr_guard *guard, hr_thresholds *ret_thresholds);

/* Says figures in one line: "warning: 81.2 MiB of 100.0 MiB held (limit_bytes), budget 81.2 % full, rss 90.1 MiB, …".
 * The text is always written: terminated, and cut if it is too long; 512 bytes are enough.
 *
 * returns  0; -ENOBUFS if it was cut; -EINVAL without figures or a buffer
 * threads  any
 * memory   never allocates
 */
HR_API int hr_figures_text(const hr_figures *figures, char *text, size_t size);

#define HR_LEDGERS_MAX 49 /* what hr_guard_ledgers() gives at most */

/* Lists the ledgers that decide the level, the budget's first: at most `capacity`, of which there are never more than
 * HR_LEDGERS_MAX. Their texts live as long as the guard.
 *
 * returns  0 and their number; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_guard_ledgers(hr_guard *guard, hr_ledger *ledgers, size_t capacity, size_t *ret_count);

/* Waits until the level is `at_most` or lower. A negative `timeout_ns` waits for ever. The thread may be cancelled
 * meanwhile (base.h).
 *
 * returns  0; -ETIMEDOUT; -EINVAL
 * threads  any; not from a reclaimer or the callback
 */
HR_API int hr_guard_wait(hr_guard *guard, hr_level at_most, int64_t timeout_ns);

/* Gives an eventfd that becomes readable after each change of level, for the caller's own loop. The first call opens
 * it; it belongs to the guard, and reading it clears it.
 *
 * returns  the descriptor; -EMFILE, -ENFILE, -ENOMEM
 * threads  any
 */
HR_API int hr_guard_fd(hr_guard *guard);

/* Starts the monitor thread, for a guard made without one or after hr_guard_stop(). `interval_ns` 0 keeps the guard's
 * interval; less than 1 ms is taken for 1 ms.
 *
 * returns  0; -EALREADY while it runs; -EINVAL if `interval_ns` is negative; -EAGAIN (no thread); -EMFILE, -ENFILE
 * threads  one at a time with hr_guard_stop()
 * undo     hr_guard_stop()
 */
HR_API int hr_guard_start(hr_guard *guard, int64_t interval_ns);

/* Stops the monitor thread and waits for its end. Levels are still decided by charges, admissions and checks.
 *
 * returns  0; -EALREADY if none runs
 * threads  one at a time with hr_guard_start(); not from a reclaimer or the callback
 */
HR_API int hr_guard_stop(hr_guard *guard);

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_guard_new(const hr_guard_options *options, hr_guard **ret_guard)
{
    return hr_sized_(HR_SIZED_GUARD_NEW_, NULL, options, ret_guard, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_guard_read(hr_guard *guard, hr_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_GUARD_READ_, guard, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

HR_SIZED_ int hr_guard_thresholds(hr_guard *guard, hr_thresholds *ret_thresholds)
{
    return hr_sized_(HR_SIZED_GUARD_THRESHOLDS_, guard, NULL, ret_thresholds, HR_SIZES_(0, sizeof *ret_thresholds));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
