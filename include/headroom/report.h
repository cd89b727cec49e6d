/* SPDX-License-Identifier: Apache-2.0 */
/* Reports: what happened. A guard's history, and its figures as text for people and programs.
 *
 * A guard keeps its last HR_HISTORY_RECORDS samples, its last HR_HISTORY_EVENTS events, and tiers: the smallest,
 * largest and mean use of every ledger by the second, the minute and the hour. All of it has a fixed room, which is
 * taken when the guard is made (hr_guard_options.history_bytes). By default that is 256 KiB: seven minutes of seconds,
 * twelve hours of minutes and two days of hours.
 *
 * Nothing here allocates: it all works when memory has run out.
 */
#ifndef HEADROOM_REPORT_H
#define HEADROOM_REPORT_H

#include <headroom/base.h>
#include <headroom/budget.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many records a guard keeps; a new one takes the place of the oldest. */
#define HR_HISTORY_RECORDS 100

/* How many events; likewise. */
#define HR_HISTORY_EVENTS 64

/* Room for the name of the ledger that decides a level, as hr_figures.use_source has it. */
#define HR_LEDGER_NAME_BYTES 16

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
    uint64_t refusals;               /* so far: charges and requests refused; HR_NONE in a file of an older version */
    uint64_t refusals_degraded;      /* of them: a grant would have led beyond degrade_at */
    uint64_t refusals_critical;      /* of them: the level was critical */
    double use;                      /* of the ledger that decided the level: use ÷ limit */
    char decided_by[HR_LEDGER_NAME_BYTES]; /* which that is: "budget", "cgroup" …; "" where it is not known */
    uint64_t would_have_refused; /* so far, with hr_guard_options.observe_only; 0 in a file of an older version */
    uint64_t would_have_refused_degraded; /* of them: a grant led beyond degrade_at */
    uint64_t would_have_refused_critical; /* of them: the level was critical */
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

/* The samples of one second, minute or hour of the monotonic clock. Where nothing was, there is no bucket. */
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
    uint64_t refusals;           /* made between the sample before the bucket and its last one */
    uint64_t refusals_by_level;  /* of them, not by a limit */
    uint64_t would_have_refused; /* likewise, with hr_guard_options.observe_only */
} hr_bucket;

typedef enum hr_event_kind {
    HR_EVENT_LEVEL,         /* the level changed */
    HR_EVENT_RELIEF,        /* reclaimers gave something back */
    HR_EVENT_PURGE,         /* the allocator returned pages to the kernel */
    HR_EVENT_REFUSALS,      /* a budget was refused bytes, once or often: told when it is over, or after ten seconds */
    HR_EVENT_ACTION,        /* of `headroom run`; `budget` says which: "critical=signal:TERM: SIGTERM" */
    HR_EVENT_KERNEL_KILL,   /* `headroom run` has seen the kernel kill; `kills` says how many so far */
    HR_EVENT_WOULD_REFUSE,  /* refusals of a guard that only observes: the budget would have been refused bytes */
    HR_EVENT_WOULD_RELIEVE, /* relief would have been asked for freed_bytes: once a second at most */
} hr_event_kind;

/* Names a kind of event: "level", "relief", "purge", "refusals", "action", "kernel kill", "would refuse",
 * "would relieve".
 *
 * returns  a constant string; "unknown" for any other value
 * threads  any, signal handlers too
 */
HR_API const char *hr_event_kind_text(hr_event_kind kind);

typedef struct hr_event {
    int64_t time_ns; /* CLOCK_MONOTONIC */
    int64_t wall_ns; /* CLOCK_REALTIME */
    hr_event_kind kind;
    hr_level from; /* of a change of level; the same as `to` otherwise */
    hr_level to;
    uint64_t freed_bytes;      /* what relief or the purge gave back */
    uint64_t live_bytes;       /* held after it; HR_NONE for a purge and a relief, which do not ask */
    uint64_t refused_by_limit; /* of refusals: how many by the budget's limit */
    uint64_t refused_by_level; /* and how many requests of that budget by a level */
    int64_t span_ns;           /* they were made within that time before the event */
    char budget[48];           /* its name, cut if longer; "" for all budgets beside the four that were first */
    double use;                /* of a level or refusals: of the ledger that decided the level then; else 0 */
    char decided_by[HR_LEDGER_NAME_BYTES]; /* which that is; "" otherwise */
    uint64_t kills;                        /* by the kernel, for want of memory, since `headroom run` began */
} hr_event;

typedef enum hr_format {
    HR_TEXT, /* for people, at a terminal of 80 columns: the level and why, the trend, sparklines, budgets, figures */
    HR_JSON, /* one object, see schemas/report.schema.json; an absent figure is null */
    HR_CSV,  /* tables with an empty line between them: a line of names, a line of values; then budgets, history */
    HR_OPENMETRICS, /* for Prometheus and its kin, with the closing # EOF */
    HR_HTML,        /* one page with charts that needs no other file and no network */
    HR_PAGE_DATA, /* the data of a page that is live, as JSON, with fewer points: what /history.json answers (http.h) */
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

/* Adds a record of this moment to the history, and to the history file if there is one: nothing else happens. No gauge
 * is read, nobody is called, and the level stays; the kernel's figures are those of the last reading.
 *
 * returns  0; -EINVAL
 * threads  any, reclaimers and the callback too
 * memory   never allocates
 * cost     some microseconds; with a history file, a write
 */
HR_API int hr_history_record(hr_guard *guard);

/* Records and events of one history, oldest first; NULL where there are none. */
typedef struct hr_history_view {
    const hr_record *records;
    size_t record_count;
    const hr_event *events;
    size_t event_count;
} hr_history_view;

/* Says which requests were refused, as snprintf() does:
 *
 *     5,821 requests were refused between 2026-03-01 12:03:07 and 12:03:10 UTC: 5,790 because the level was critical,
 *     31 by limits; by budget "uploads" 5,802
 *
 * With hr_guard_options.observe_only it says "41 requests would have been refused between 2026-03-01 12:03:07 and …".
 *
 * Times are those of the records around. Several spells are counted, and the last one is named. Where nothing was
 * refused the sentence says that.
 *
 * returns  the length that the whole sentence has; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API ssize_t hr_refusals_format(const hr_history_view *view, char *buffer, size_t size);

/* Names a ledger of history: "live", "rss", "cgroup anonymous", "cgroup kernel", "cgroup cache".
 *
 * returns  a constant string; "unknown" for any other value
 * threads  any, signal handlers too
 */
HR_API const char *hr_history_ledger_text(hr_history_ledger ledger);

/* A guard's history file (hr_guard_options.history_file): how it fares. */
typedef struct hr_history_file_figures {
    bool is_open; /* there is one */
    int error;    /* of the last write: 0, or a negative errno such as -ENOSPC; recording goes on in memory then, and
                           each later write tries again */
    uint64_t entries;   /* written by this process */
    uint64_t failures;  /* writes that failed */
    uint64_t lost;      /* entries that were not written before they left memory too */
    uint64_t bytes;     /* of the file */
    uint64_t cut_bytes; /* a torn tail that was cut off when it was opened */
} hr_history_file_figures;

/* Says how a guard's history file fares.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_history_file_read(hr_guard *guard, hr_history_file_figures *ret_figures);

/* An entry of a history file: a sample or an event, and the process that wrote it. */
typedef struct hr_history_entry {
    bool is_event;
    int64_t session;  /* when its guard was made, by CLOCK_REALTIME: one for each process */
    hr_record record; /* of a sample */
    hr_event event;   /* of an event */
} hr_history_entry;

/* The findings in a history file. */
typedef struct hr_history_findings {
    uint64_t entries;    /* whole ones */
    uint64_t damaged;    /* whose checksum is wrong: passed over */
    uint64_t unknown;    /* of a kind that this version does not know: passed over */
    uint64_t torn_bytes; /* of entries that were being written when their process was killed */
    bool older;          /* FILE.1 was read too */
    uint64_t census;     /* entries that hr_history_file_read_census() reads */
    uint64_t origin;     /* entries that hr_history_file_read_origin() reads */
} hr_history_findings;

/* Called for each entry, as they were written. Anything else than 0 ends the reading. */
typedef int hr_history_visit_fn(void *context, const hr_history_entry *entry);

/* Reads a history file, the older part FILE.1 first where there is one; also while another process writes it. Without
 * `visit` (NULL) it reads for the findings alone.
 *
 * returns  0; what `visit` returned to end it; -ENODATA if it is empty: a guard's has a head from the
 *          start, and is read with 0 entries. -EBADMSG if it is no history
 *          file; -EPROTONOSUPPORT if it is one of another version; -EINVAL if it is no file; -ENOENT, -EACCES, -EIO …
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_history_file_visit(const char *path, hr_history_visit_fn *visit, void *context,
                                               hr_history_findings *ret_findings);

/* Holders of memory of which a history file keeps account. */
typedef enum hr_census_kind {
    HR_CENSUS_BUDGET,
    HR_CENSUS_POOL,
    HR_CENSUS_CACHE,
    HR_CENSUS_KINDS
} hr_census_kind;

/* The largest of each kind that a census has. */
#define HR_CENSUS_ROWS 16

#define HR_CENSUS_NAME_BYTES 96

/* One holder. A figure that its kind does not have, and no limit, are HR_NONE. */
typedef struct hr_census_row {
    hr_census_kind kind;
    char name[HR_CENSUS_NAME_BYTES]; /* of a budget: its path, "root/uploads", without its front if it is longer */
    uint64_t used_bytes;             /* of a budget held and promised; of a pool in use; of a cache its entries */
    uint64_t limit_bytes;            /* of a budget */
    uint64_t peak_bytes;             /* of a budget; of a pool */
    uint64_t refused;                /* by the limit, so far */
} hr_census_row;

/* The holders of one moment. */
typedef struct hr_census {
    int64_t session;                    /* as in hr_history_entry */
    int64_t time_ns;                    /* CLOCK_MONOTONIC */
    int64_t wall_ns;                    /* CLOCK_REALTIME */
    uint64_t left_out[HR_CENSUS_KINDS]; /* smaller ones, by kind */
    size_t count;
    hr_census_row rows[HR_CENSUS_KINDS * HR_CENSUS_ROWS]; /* by kind; of each the largest first */
} hr_census;

/* Reads the last census of a history file: who held what when the level rose last, or since then, at most a minute
 * before the file's last sample.
 *
 * returns  0; -ENODATA if there is none; otherwise as hr_history_file_visit()
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_history_file_read_census(const char *path, hr_census *ret_census);

/* Room for a command line, whose end is cut off if it is longer, and for the source of a limit. */
#define HR_COMMAND_BYTES 512
#define HR_LIMIT_SOURCE_BYTES 160

/* The last program of a history file. A text that the file does not say is "". Neither text is to be trusted. */
typedef struct hr_history_origin {
    int64_t session;                          /* as in hr_history_entry */
    char command[HR_COMMAND_BYTES];           /* its words as in /proc/PID/cmdline, with spaces between them */
    char limit_source[HR_LIMIT_SOURCE_BYTES]; /* of the limit, as hr_figures.limit_source has it */
} hr_history_origin;

/* Reads which program wrote a history file last, and where its limit came from.
 *
 * returns  0; -ENODATA if the file does not say it, as those of older versions; otherwise as hr_history_file_visit()
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_history_file_read_origin(const char *path, hr_history_origin *ret_origin);

/* Writes a history file of somebody else's figures, such as those of another process, entry by entry. */
typedef struct hr_history_writer hr_history_writer;

/* Opens or makes a history file for writing, as hr_guard_options.history_file does. `bytes` is the most that FILE and
 * FILE.1 take together; 0: 16 MiB.
 *
 * returns  0; -EINVAL; -ENOMEM; -EBUSY if another writer has it, -EBADMSG if it is none (it is left as it is),
 *          -EPROTONOSUPPORT if it is of another version, -ENOENT, -EACCES, -ENOSPC …
 * threads  any
 * memory   allocates
 * undo     hr_history_writer_free()
 */
HR_API HR_MUST_CHECK int hr_history_writer_new(const char *path, uint64_t bytes, hr_history_writer **ret_writer);

/* Appends a sample or an event; its `session` is the writer's.
 *
 * returns  0; -EINVAL; a negative errno such as -ENOSPC: then nothing was written, and a later entry may be
 * threads  any
 * memory   never allocates
 */
HR_API int hr_history_writer_add(hr_history_writer *writer, const hr_history_entry *entry);

/* Says whose figures are written, for hr_history_file_read_origin(); before the next entry, if it differs from the
 * texts before. NULL leaves a text as it is.
 *
 * returns  0; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API int hr_history_writer_describe(hr_history_writer *writer, const char *command, const char *limit_source);

/* Closes the file. NULL is fine.
 *
 * threads  one, as the last user of the writer
 */
HR_API void hr_history_writer_free(hr_history_writer *writer);

/* The shapes of a history. */
typedef enum hr_trend_kind {
    HR_TREND_STEADY,         /* nothing that is more than noise, or than a thousandth of what is used */
    HR_TREND_SAWTOOTH,       /* rises and falls again and again, and the low points stay where they are */
    HR_TREND_GROWTH,         /* the low points rise */
    HR_TREND_LEAK_SUSPECTED, /* and have risen for long, evenly, by much, to where they never were before */
    HR_TREND_FRAGMENTATION,  /* the resident set grows and what is charged does not: the allocator keeps free pages, or
                                memory is taken that nobody charges */
    HR_TREND_PAGE_CACHE,     /* only the page cache of the cgroup grows, which the kernel takes back */
    HR_TREND_SHRINKING,      /* the low points fall */
    HR_TREND_KINDS
} hr_trend_kind;

/* The event that ended the part of a history before the one that a trend is about. */
typedef enum hr_change_kind {
    HR_CHANGE_NONE,
    HR_CHANGE_RESTART, /* total_bytes began anew */
    HR_CHANGE_STEP,    /* use went up or down at once: a resize, or something large that came or went */
    HR_CHANGE_SLOPE,   /* it began to rise or fall at another rate: a cache that filled, the end of a warm-up */
} hr_change_kind;

/* A trend. Bytes a second are of the part since the last change; the interval holds the true slope in 95 of 100 cases,
 * of noise that is not itself a trend. Fewer than five low points have no such interval: then it reaches from -INFINITY
 * to INFINITY, the kind is steady and there is no forecast. A slope is significant where its interval is without 0. */
typedef struct hr_trend {
    int64_t growth_bytes; /* the last record less the first, at most INT64_MAX */
    int64_t span_ns; /* from the first record to the last; where the clock stepped back, as if it had stood still */
    double slope_bytes_per_s;
    double slope_low;
    double slope_high;
    hr_trend_kind kind;
    int64_t time_to_limit_ns; /* from the last record on; 0: it is there; -1: no forecast, `reason` says why */
    int64_t time_to_limit_low_ns;
    int64_t time_to_limit_high_ns;
    const char *reason;       /* a constant: why there is no forecast, or "the limit is reached"; "" if there is one */
    hr_history_ledger ledger; /* which was read: HR_HISTORY_LIVE, or HR_HISTORY_RSS where nothing was ever charged, or
                                     HR_HISTORY_CGROUP_ANONYMOUS where that is absent too */
    hr_change_kind change;    /* the last change that was found */
    int64_t changed_ns;       /* its time, as in the records */
    int64_t settled_ns;       /* how long it has been as it is: the span that the slope is of */
    uint64_t settled_records; /* and of how many records */
    uint64_t level_bytes;     /* where the low points are at the end, by the line through them */
    double rss_slope_bytes_per_s; /* of the resident set and of the page cache; 0 where they are absent */
    double cache_slope_bytes_per_s;
} hr_trend;

/* Says what records show: growth with its uncertainty, what kind it is, and when the limit will be reached.
 *
 * It reads the live ledger; one that is 0 or HR_NONE throughout is absent, and then the resident set is read, or the
 * cgroup. Use is looked at by its low points in up to 60 stretches of time, so that what comes and goes does not count.
 * Their line, from the last change on, is that of Theil and Sen with Sen's interval of 95 % (src/report/fit.h has the
 * sources).
 * Leaks are suspected only where the line is certain at 99.9 %, an hour old and half of the history, and has grown by a
 * hundredth of the limit. The forecast is for the typical high point; its interval reaches from the highest one at the
 * steepest slope to the low ones at the flattest.
 *
 * `limit_bytes` is the limit of that ledger; HR_NONE or 0 where none is known.
 *
 * returns  0; -ENODATA if there are less than two records, or no time between them; -EINVAL
 * threads  any
 * memory   never allocates
 * cost     0.1 ms for 600 records; it grows with their number alone
 */
HR_API HR_MUST_CHECK int hr_trend_compute(const hr_record *records, size_t count, uint64_t limit_bytes,
                                          hr_trend *ret_trend);

/* As hr_trend_compute() for buckets of a tier, with their lowest and highest samples.
 *
 * returns  0; -ENODATA; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_trend_compute_buckets(const hr_bucket *buckets, size_t count, uint64_t limit_bytes,
                                                  hr_trend *ret_trend);

/* Says what a guard's own history shows, against its limit of now. It is read by the minute where there is half an hour
 * of it, else by the second, else by the sample.
 *
 * returns  0; -ENODATA; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_trend_read(hr_guard *guard, hr_trend *ret_trend);

/* Names a kind: "steady", "sawtooth", "growth", "leak suspected", "fragmentation", "page cache", "shrinking".
 *
 * returns  a constant string; "unknown" for any other value
 * threads  any, signal handlers too
 */
HR_API const char *hr_trend_kind_text(hr_trend_kind kind);

/* Says a trend in words, as snprintf() does:
 *
 *     live: growth, by 1.2 MiB/h (95 %: 1.1 MiB/h to 1.3 MiB/h) over 3.0 h; the limit will be reached in 4.2 h (3.9 h
 *     to 4.6 h)
 *
 * returns  the length that the whole sentence has; -EINVAL
 * threads  any
 * memory   never allocates
 */
HR_API ssize_t hr_trend_format(const hr_trend *trend, char *buffer, size_t size);

/* Room for any sentence of hr_report_explain(). */
#define HR_EXPLANATION_BYTES 1024

/* Says in one sentence why the level is what it is, or why a charge was refused. The sentence has the limit that bound
 * and where it comes from, and what is used of it. Then it names the budget that holds most and how fast that grows,
 * what relief gave back, and when the limit will be full. Formats as snprintf() does.
 *
 *     degraded: 93.1 MiB of 100.0 MiB used (93.1 %), the limit set by cgroup v2 /app memory.max; most is held by budget
 *     "cache", 60.2 MiB and growing by 1.2 MiB/s for 12 s; relief gave back 3.1 MiB, the last 0.5 MiB 2 s ago; at this
 *     rate it will be full in 12 s (10 s to 15 s)
 *
 * `refusal` is what hr_budget_refusal() gave, or NULL to explain the level. For hr_guard_options.on_level, logs, and
 * answers to whoever was refused.
 *
 * returns  the length that the whole sentence has; -EINVAL
 * threads  any; not from a reclaimer
 * memory   never allocates
 * cost     about a tenth of a millisecond, most of it for the trend
 */
HR_API ssize_t hr_report_explain(hr_guard *guard, const hr_refusal *refusal, char *buffer, size_t size);

/* Writes a report of this moment to a descriptor: the figures, the trend, the 48 largest budgets. JSON and CSV have of
 * history the last 60 seconds and minutes and all hours, too. It is written in pieces of some 4 KiB.
 *
 * returns  0; -EINVAL for an unknown format; -ENOTSUP for HR_HTML in a library that was built without the page;
 *          the negative errno of write()
 * threads  any; not from a reclaimer
 * memory   never allocates
 */
HR_API int hr_report_write(hr_guard *guard, hr_format format, int fd);

/* Formats that report into a buffer, as snprintf() does: always terminated, cut if it is too small. 16 KiB are enough
 * for a dozen budgets as text or OpenMetrics, 128 KiB for any JSON or CSV; a page takes up to 2 MiB.
 *
 * returns  the length that the whole report has; -EINVAL for an unknown format or no guard; -ENOTSUP as
 *          hr_report_write(); a NULL buffer is not written to
 * threads  any; not from a reclaimer
 * memory   never allocates
 */
HR_API ssize_t hr_report_format(hr_guard *guard, hr_format format, char *buffer, size_t size);

/* A run on a page: samples and events of one program, and the texts beside them. A text may be NULL, and is not
 * trusted: a page shows it as text. */
typedef struct hr_page_run {
    const char *title;
    const char *command;
    const char *source;       /* where this comes from: "history file /var/lib/shop/history" */
    const char *sampling;     /* is added to what the page says of it */
    const char *left_out;     /* a sentence a line */
    const char *explanation;  /* of the level */
    const char *limit_source; /* of the limit that binds */
    hr_history_view history;  /* oldest first */
    const size_t *begins;     /* the numbers of the records with which another process begins, beside the first */
    size_t begin_count;
    hr_level level;          /* of the verdict */
    uint64_t kernel_kills;   /* HR_NONE: that was not seen */
    const hr_trend *trend;   /* NULL: none */
    const hr_census *census; /* NULL: none */
} hr_page_run;

/* A page. Several runs stand side by side, each from its own beginning on. */
typedef struct hr_page {
    const hr_page_run *runs;
    size_t run_count;
    bool live; /* the page asks for history.json beside it each second; it has at most 1,000 points a series then, else
                 4,000 */
} hr_page;

/* Writes a page as one HTML file, in pieces of some 4 KiB. Of more samples than points the least and the most of each
 * stretch are drawn.
 *
 * returns  0; -EINVAL; -ENOTSUP if the library was built without the page; the negative errno of write()
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_page_write(const hr_page *page, int fd);

/* Formats the data of a page as JSON into a buffer, as snprintf() does: what history.json answers.
 *
 * returns  the length that the whole has; -EINVAL; a NULL buffer is not written to
 * threads  any
 * memory   never allocates
 */
HR_API ssize_t hr_page_format(const hr_page *page, char *buffer, size_t size);

/* The parts of a page, for a server: head, what connections are permitted ("; connect-src 'self'" where it is live),
 * middle, data, tail. */
typedef struct hr_page_parts {
    const char *head, *middle, *tail;
    size_t head_bytes, middle_bytes, tail_bytes;
    const char *policy; /* for the header Content-Security-Policy; terminated */
} hr_page_parts;

/* Gives the parts of a page: constants of the library.
 *
 * returns  0; -EINVAL; -ENOTSUP if the library was built without the page
 * threads  any
 */
HR_API int hr_page_read_parts(hr_page_parts *ret_parts);

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_history_file_read(hr_guard *guard, hr_history_file_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_HISTORY_FILE_READ_, guard, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

HR_SIZED_ int hr_trend_read(hr_guard *guard, hr_trend *ret_trend)
{
    return hr_sized_(HR_SIZED_TREND_READ_, guard, NULL, ret_trend, HR_SIZES_(0, sizeof *ret_trend));
}

HR_SIZED_ int hr_page_read_parts(hr_page_parts *ret_parts)
{
    return hr_sized_(HR_SIZED_PAGE_READ_PARTS_, NULL, NULL, ret_parts, HR_SIZES_(0, sizeof *ret_parts));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
