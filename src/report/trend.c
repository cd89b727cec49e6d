/* SPDX-License-Identifier: Apache-2.0 */
/* How a series is judged. Slope, fit and absolute growth all count before the word leak is used:
 *
 * 1. Its low points in bins of time, wide enough that neighbours are not alike: what comes and goes within a bin is
 *    gone.
 * 2. From the last change on: where two lines fit so much better than one that chance cannot do it, the first is
 *    history.
 * 3. The line of Theil and Sen through the rest, and its interval.
 * 4. The kind, from that and the other ledgers; and when it will reach the limit.
 */
#include "report/trend.h"

#include "base/clock.h"
#include "report/fit.h"

#include <errno.h>
#include <math.h>

#define BINS_MIN 12 /* fewer are not joined further */
#define CHANGES_MAX 6
#define WIDENING 0.6

/* Bounds of growth, and of much growth. */
#define NOTICED_SHARE 0.001   /* of the ledger itself */
#define LEAK_SHARE 0.01       /* of the limit */
#define LEAK_SHARE_ALONE 0.05 /* of the ledger, where no limit is known */
#define LEAK_SPAN_S 3600.0
#define LEAK_SAMPLES 30
#define LEAK_SPREADS 2.5
#define FILLING 2.0 /* growth that was this many times faster before is a cache that fills */

/* Sawtooth: that much of the ledger comes and goes, twice at least, and not as noise does. */
#define TEETH_SHARE 0.05
#define TEETH_CORRELATION 0.3
#define TEETH_TURNS 0.5 /* of noise, two thirds of all points are turns */

/* A ledger from its last change on. */
struct view {
    hri_series_ledger ledger;
    bool known; /* there is a line */
    hri_part part;
    hri_fit fit;
    double growth;  /* along the line, over the part */
    double earlier; /* the highest that it was before the part, and after a restart; below 0: there was no such time */
    double slope_before;
    double whole_span_s;
    hr_change_kind change;
};

static bool rises(const struct view *view)
{
    return view->known && view->fit.slope_low > 0 && view->growth > NOTICED_SHARE * view->part.highest;
}

static bool falls(const struct view *view)
{
    return view->known && view->fit.slope_high < 0 && -view->growth > NOTICED_SHARE * view->part.highest;
}

/* ── changes ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes bins wider that are too narrow. They are where neighbours depend on each other. They also are where bins of
 * twice or four times the width have much less scatter: use that comes and goes does so in just more than a bin. */
static void settle(hri_part *part)
{
    while (part->count >= 2 * BINS_MIN) {
        double r = hri_fit_correlation(part), most = 2 * hri_fit_correlation_limit(part->count);
        double scatter = WIDENING * hri_fit_scatter(part);
        hri_part half = *part, quarter;
        hri_part_halve(&half);
        quarter = half;
        hri_part_halve(&quarter);
        bool much_less = hri_fit_scatter(&half) < scatter ||
                         (quarter.count >= BINS_MIN && hri_fit_scatter(&quarter) < WIDENING * scatter);
        if (r <= most && r >= -most && !much_less)
            break;
        *part = half;
    }
}

/* The bins of a part before `end`, as a part. */
static hri_part head_of(const hri_part *part, unsigned end)
{
    hri_part head = *part;
    head.count = end;
    return head;
}

/* A step is one where the lines before and after stand apart where they meet. */
static hr_change_kind kind_of_change(const hri_part *part, unsigned at, double slope_before)
{
    hri_part head = head_of(part, at);
    double meets_s = part->bins[at].low_s;
    double expected = hri_fit_height(&head, slope_before, false) + slope_before * meets_s;
    double gap = part->bins[at].low - expected, range = part->highest - part->lowest;
    return gap > range / 4 || gap < -range / 4 ? HR_CHANGE_STEP : HR_CHANGE_SLOPE;
}

/* Where a break of wide bins is in the narrow ones they were made of: there, if it shows near that place. */
static size_t place_of(const struct view *view, const hri_part *narrow, unsigned at)
{
    unsigned fine = hri_fit_break(narrow);
    size_t coarse = view->part.begins[at];
    size_t before = at >= 2 ? view->part.begins[at - 2] : 0;
    return fine && narrow->begins[fine] > before && narrow->begins[fine] < coarse ? narrow->begins[fine] : coarse;
}

static void note_change(struct view *view, unsigned at)
{
    hri_part head = head_of(&view->part, at);
    hri_fit before = {0};
    hri_fit_line(&head, &before);
    view->slope_before = before.slope;
    view->change = kind_of_change(&view->part, at, before.slope);
    for (unsigned i = 0; i < at; i++)
        view->earlier = view->part.bins[i].high > view->earlier ? view->part.bins[i].high : view->earlier;
}

/* Looks at a ledger from `begin` on, and finds its last change. */
static void look(struct view *view, const hri_series *series, hri_series_ledger ledger, size_t begin)
{
    *view = (struct view){.ledger = ledger, .earlier = -1};
    if (!hri_series_has(series, ledger))
        return;
    size_t first = begin;
    for (unsigned changes = 0; changes <= CHANGES_MAX; changes++) {
        hri_part_cut(&view->part, series, ledger, first, HRI_BINS);
        hri_part narrow = view->part;
        settle(&view->part);
        if (changes == 0)
            view->whole_span_s = view->part.span_s;
        unsigned at = changes < CHANGES_MAX ? hri_fit_break(&view->part) : 0;
        if (at == 0)
            break;
        note_change(view, at);
        first += place_of(view, &narrow, at);
    }
    view->known = view->part.span_s > 0 && hri_fit_line(&view->part, &view->fit);
    if (!view->known)
        return;
    view->growth = view->fit.slope * view->part.span_s;
}

/* ── kinds ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* A ledger that was as high before and came down by itself is not leaking; nor is one that slows down, or is
 * resized. */
static bool is_leak(const struct view *view, uint64_t limit_bytes)
{
    const hri_part *part = &view->part;
    bool limited = limit_bytes != 0 && limit_bytes != HR_NONE;
    double much = limited ? LEAK_SHARE * (double)limit_bytes : LEAK_SHARE_ALONE * part->highest;
    bool long_enough =
        part->span_s >= LEAK_SPAN_S && part->samples >= LEAK_SAMPLES && part->span_s >= view->whole_span_s / 2;
    bool filling = view->change != HR_CHANGE_NONE && view->slope_before > FILLING * view->fit.slope &&
                   part->span_s < view->whole_span_s * 0.75;
    return rises(view) && view->fit.sure && long_enough && !filling && view->growth >= much &&
           view->growth >= LEAK_SPREADS * view->fit.spread && part->bins[part->count - 1].low > view->earlier &&
           !hri_fit_is_staircase(part);
}

/* Findings of a walk over the whole series: falls of more than half of its range, and whether neighbours are alike. */
struct teeth {
    double half;
    double high, low; /* since the last turn */
    bool falling;
    unsigned falls;
};

static void walk_on(struct teeth *teeth, double value)
{
    teeth->high = value > teeth->high ? value : teeth->high;
    teeth->low = value < teeth->low ? value : teeth->low;
    if (!teeth->falling && teeth->high - value > teeth->half) {
        teeth->falling = true;
        teeth->falls++;
        teeth->low = value;
    } else if (teeth->falling && value - teeth->low > teeth->half) {
        teeth->falling = false;
        teeth->high = value;
    }
}

/* Once around: the range and the mean. Then once more. */
static bool is_sawtooth(const hri_series *series, const struct view *view, size_t begin)
{
    hri_part whole;
    hri_part_cut(&whole, series, view->ledger, begin, 1);
    double range = whole.highest - whole.lowest, middle = (whole.highest + whole.lowest) / 2;
    if (whole.samples < 6 || range < TEETH_SHARE * whole.highest)
        return false;
    struct teeth teeth = {.half = range / 2, .high = whole.lowest, .low = whole.highest};
    double before = 0, products = 0, squares = 0, sum = 0, first = 0, step_before = 0;
    unsigned turns = 0;
    for (size_t i = begin; i < series->count; i++) {
        hri_sample sample;
        series->read(series, i, view->ledger, &sample);
        if (sample.high_bytes == HR_NONE)
            continue;
        walk_on(&teeth, (double)sample.high_bytes);
        walk_on(&teeth, (double)sample.low_bytes);
        double distance = (double)sample.high_bytes - middle;
        first = i == begin ? distance : first;
        products += before * distance;
        squares += distance * distance;
        sum += distance;
        turns += (distance - before) * step_before < 0;
        step_before = distance - before;
        before = distance;
    }
    double n = (double)whole.samples, mean = sum / n;
    double alike = products - mean * (2 * sum - first - before) + (n - 1) * mean * mean;
    bool calm = turns < TEETH_TURNS * n;
    return teeth.falls >= 2 && (calm || alike > TEETH_CORRELATION * (squares - n * mean * mean));
}

static bool grows_apart(const struct view *view, const struct view *base)
{
    double beyond = view->growth - (rises(base) ? base->growth : 0);
    return rises(view) && beyond > 0.01 * view->part.highest && (!rises(base) || beyond > 4 * base->growth);
}

static hr_trend_kind judge(const hri_series *series, const struct view views[HRI_SERIES_LEDGERS],
                           const struct view *base, size_t begin, uint64_t limit_bytes)
{
    const struct view *rss = &views[HRI_SERIES_RSS], *cache = &views[HRI_SERIES_CACHE];
    const struct view *cgroup = &views[HRI_SERIES_CGROUP];
    if (is_leak(base, limit_bytes))
        return HR_TREND_LEAK_SUSPECTED;
    if (base->ledger == HRI_SERIES_LIVE && grows_apart(rss, base))
        return HR_TREND_FRAGMENTATION;
    if (rises(base))
        return HR_TREND_GROWTH;
    if (base->ledger != HRI_SERIES_CGROUP && !rises(rss) &&
        (grows_apart(cache, base) || (!cache->known && grows_apart(cgroup, base))))
        return HR_TREND_PAGE_CACHE;
    if (is_sawtooth(series, base, begin))
        return HR_TREND_SAWTOOTH;
    return falls(base) ? HR_TREND_SHRINKING : HR_TREND_STEADY;
}

/* ── the forecast ───────────────────────────────────────────────────────────────────────────────────────────────── */

/* Nanoseconds until a line from `height` on reaches the limit; INT64_MAX where that is further away. */
static int64_t time_until(double limit, double height, double slope)
{
    if (height >= limit)
        return 0;
    double time_ns = (limit - height) / slope * 1e9;
    return time_ns < 9.2e18 ? (int64_t)time_ns : INT64_MAX;
}

static void forecast(const struct view *view, uint64_t limit_bytes, double now_bytes, hr_trend *trend)
{
    double limit = (double)limit_bytes, end_s = view->part.span_s;
    trend->time_to_limit_ns = trend->time_to_limit_low_ns = trend->time_to_limit_high_ns = -1;
    if (limit_bytes == HR_NONE) {
        trend->reason = "no limit is known";
        return;
    }
    if (now_bytes >= limit) {
        trend->reason = "the limit is reached";
        trend->time_to_limit_ns = trend->time_to_limit_low_ns = trend->time_to_limit_high_ns = 0;
        return;
    }
    if (!rises(view)) {
        bool down = view->known && view->fit.slope_high < 0, open = view->known && view->fit.slope_low == -INFINITY;
        bool slight = view->known && view->fit.slope_low > 0;
        trend->reason = down     ? "use is shrinking"
                        : open   ? "the history is too short"
                        : slight ? "growth is too slight"
                                 : "no growth is certain";
        return;
    }
    const hri_fit *fit = &view->fit;
    int64_t time_ns = time_until(limit, hri_fit_height(&view->part, fit->slope, true) + fit->slope * end_s, fit->slope);
    if (time_ns == INT64_MAX) {
        trend->reason = "at this rate it takes centuries";
        return;
    }
    trend->reason = time_ns == 0 ? "the limit is reached" : "";
    trend->time_to_limit_ns = time_ns;
    trend->time_to_limit_low_ns =
        time_until(limit, hri_fit_crest(&view->part, fit->slope_high) + fit->slope_high * end_s, fit->slope_high);
    trend->time_to_limit_high_ns =
        time_until(limit, hri_fit_height(&view->part, fit->slope_low, false) + fit->slope_low * end_s, fit->slope_low);
    if (trend->time_to_limit_low_ns > time_ns)
        trend->time_to_limit_low_ns = time_ns;
    if (trend->time_to_limit_high_ns < time_ns)
        trend->time_to_limit_high_ns = time_ns;
}

/* A rate of some milliseconds says nothing about hours, and a time that may be ten times shorter as well as longer is
 * not known. */
#define TOLD_NS (100 * HRI_MILLISECOND)
#define TOLD_FACTOR 10

void hri_trend_withhold(hr_trend *trend)
{
    int64_t time_ns = trend->time_to_limit_ns;
    if (time_ns <= 0)
        return;
    if (trend->settled_ns < TOLD_NS)
        trend->reason = "the history is too short";
    else if (trend->time_to_limit_low_ns < time_ns / TOLD_FACTOR &&
             trend->time_to_limit_high_ns / TOLD_FACTOR > time_ns)
        trend->reason = "growth is too uneven";
    else
        return;
    trend->time_to_limit_ns = trend->time_to_limit_low_ns = trend->time_to_limit_high_ns = -1;
}

/* ── the whole ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The difference of two figures with its sign, at most what 63 bits hold. */
static int64_t difference(uint64_t to, uint64_t from)
{
    uint64_t distance = to > from ? to - from : from - to;
    if (to >= from)
        return distance > INT64_MAX ? INT64_MAX : (int64_t)distance;
    return distance > INT64_MAX ? INT64_MIN : -(int64_t)distance;
}

static void name_ends(const hri_series *series, const struct view *base, hr_trend *trend)
{
    hri_sample first, last;
    hri_part all;
    series->read(series, 0, base->ledger, &first);
    series->read(series, series->count - 1, base->ledger, &last);
    trend->growth_bytes = difference(last.high_bytes, first.high_bytes);
    if (last.high_bytes != last.low_bytes || first.high_bytes != first.low_bytes) /* of buckets, the low points */
        trend->growth_bytes = difference(last.low_bytes, first.low_bytes);
    hri_part_cut(&all, series, base->ledger, 0, 1);
    trend->span_ns = all.span_ns;
}

static void describe(const hri_series *series, const struct view *base, size_t begin, hr_trend *trend)
{
    static const hr_history_ledger names[] = {HR_HISTORY_LIVE, HR_HISTORY_RSS, HR_HISTORY_CGROUP_ANONYMOUS,
                                              HR_HISTORY_CGROUP_CACHE};
    hri_sample change;
    trend->ledger = names[base->ledger];
    trend->change = base->change;
    if (base->change == HR_CHANGE_NONE && begin > 0)
        trend->change = HR_CHANGE_RESTART;
    if (trend->change != HR_CHANGE_NONE) {
        series->read(series, base->part.first, base->ledger, &change);
        trend->changed_ns = change.time_ns;
    }
    trend->settled_ns = base->part.span_ns;
    trend->settled_records = base->part.samples;
    if (!base->known)
        return;
    trend->slope_bytes_per_s = base->fit.slope;
    trend->slope_low = base->fit.slope_low;
    trend->slope_high = base->fit.slope_high;
    double level = hri_fit_height(&base->part, base->fit.slope, false) + base->fit.slope * base->part.span_s;
    trend->level_bytes = level <= 0 ? 0 : level >= 0x1p64 ? UINT64_MAX : (uint64_t)level;
}

int hri_trend_compute(const hri_series *series, size_t begin, const hri_trend_limits *limits, hr_trend *ret_trend)
{
    struct view views[HRI_SERIES_LEDGERS];
    if (series->count < 2)
        return -ENODATA;
    for (unsigned i = 0; i < HRI_SERIES_LEDGERS; i++)
        look(&views[i], series, (hri_series_ledger)i, begin);
    const struct view *base = &views[HRI_SERIES_LIVE];
    for (unsigned i = HRI_SERIES_RSS; i <= HRI_SERIES_CGROUP && !hri_series_has(series, base->ledger); i++)
        base = &views[i];
    if (!hri_series_has(series, base->ledger)) { /* all is 0: that is steady */
        base = &views[HRI_SERIES_LIVE];
        hri_part_cut(&views[HRI_SERIES_LIVE].part, series, HRI_SERIES_LIVE, begin, HRI_BINS);
    }
    hr_trend trend = {0};
    name_ends(series, base, &trend);
    if (trend.span_ns == 0)
        return -ENODATA;
    describe(series, base, begin, &trend);
    uint64_t limit_bytes = limits->bytes[trend.ledger];
    trend.kind = judge(series, views, base, begin, limit_bytes);
    trend.rss_slope_bytes_per_s = views[HRI_SERIES_RSS].known ? views[HRI_SERIES_RSS].fit.slope : 0;
    trend.cache_slope_bytes_per_s = views[HRI_SERIES_CACHE].known ? views[HRI_SERIES_CACHE].fit.slope : 0;
    hri_sample last;
    series->read(series, series->count - 1, base->ledger, &last);
    forecast(base, limit_bytes, (double)last.low_bytes, &trend);
    *ret_trend = trend;
    return 0;
}

size_t hri_trend_restart(const hr_record *records, size_t count)
{
    size_t begin = 0;
    bool telling = false; /* in a history where all that was ever held is held, total_bytes tells nothing */
    for (size_t i = 0; i < count; i++)
        telling |= records[i].total_bytes != records[i].live_bytes;
    for (size_t i = 1; i < count && telling; i++)
        if (records[i].total_bytes < records[i - 1].total_bytes)
            begin = i;
    return begin;
}

/* One limit, whichever ledger is read; 0 is none. */
static hri_trend_limits same_limit(uint64_t limit_bytes)
{
    hri_trend_limits limits;
    for (int i = 0; i < HR_HISTORY_LEDGERS; i++)
        limits.bytes[i] = limit_bytes ? limit_bytes : HR_NONE;
    return limits;
}

int hr_trend_compute(const hr_record *records, size_t count, uint64_t limit_bytes, hr_trend *ret_trend)
{
    if ((!records && count) || !ret_trend)
        return -EINVAL;
    hri_series series = hri_series_of_records(records, count);
    const hri_trend_limits limits = same_limit(limit_bytes);
    return hri_trend_compute(&series, hri_trend_restart(records, count), &limits, ret_trend);
}

int hr_trend_compute_buckets(const hr_bucket *buckets, size_t count, uint64_t limit_bytes, hr_trend *ret_trend)
{
    if ((!buckets && count) || !ret_trend)
        return -EINVAL;
    hri_series series = hri_series_of_buckets(buckets, count);
    const hri_trend_limits limits = same_limit(limit_bytes);
    return hri_trend_compute(&series, 0, &limits, ret_trend);
}

const char *hr_trend_kind_text(hr_trend_kind kind)
{
    static const char *const texts[HR_TREND_KINDS] = {"steady",        "sawtooth",   "growth",   "leak suspected",
                                                      "fragmentation", "page cache", "shrinking"};
    return (unsigned)kind < HR_TREND_KINDS ? texts[kind] : "unknown";
}
