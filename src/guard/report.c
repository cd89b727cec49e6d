/* SPDX-License-Identifier: Apache-2.0 */
/* The public calls that tell: history, trends, explanations, reports. Thin faces, as guard/face.c's. */
#include "guard/rooms.h"

#include "report/explain.h"
#include "report/format.h"
#include "report/trend.h"

#include <errno.h>

int hr_history_read(hr_guard *guard, hr_record *records, size_t capacity, size_t *ret_count)
{
    if (!guard || (!records && capacity) || !ret_count)
        return -EINVAL;
    *ret_count = hri_history_copy(&guard->history, records, capacity);
    return 0;
}

int hr_history_read_tier(hr_guard *guard, hr_tier tier, hr_bucket *buckets, size_t capacity, size_t *ret_count)
{
    if (!guard || (unsigned)tier >= HR_TIERS || (!buckets && capacity) || !ret_count)
        return -EINVAL;
    *ret_count = hri_history_copy_tier(&guard->history, tier, buckets, capacity);
    return 0;
}

int hr_history_read_events(hr_guard *guard, hr_event *events, size_t capacity, size_t *ret_count)
{
    if (!guard || (!events && capacity) || !ret_count)
        return -EINVAL;
    *ret_count = hri_history_copy_events(&guard->history, events, capacity);
    return 0;
}

int hr_history_file_read(hr_guard *guard, hr_history_file_figures *ret_figures)
{
    if (!guard || !ret_figures)
        return -EINVAL;
    hri_journal_read(&guard->history_file, ret_figures);
    return 0;
}

/* Says in the file where the limit comes from now. */
static void name_limit(hr_guard *guard)
{
    hri_snapshot snapshot;
    if (!*guard->history_file.append.path)
        return;
    hri_watcher_read(&guard->watcher, &snapshot);
    hri_journal_describe(&guard->history_file, NULL, snapshot.limit_source);
}

void hri_guard_write_history(hr_guard *guard)
{
    name_limit(guard);
    hri_journal_follow(&guard->history_file, &guard->history);
    if (!hri_reclaiming())
        hri_journal_count(&guard->history_file, &guard->figures, hr_guard_level(guard), hri_clock_now(guard->clock));
}

int hr_history_record(hr_guard *guard)
{
    if (!guard)
        return -EINVAL;
    hri_guard_record(guard);
    hri_guard_write_history(guard);
    return 0;
}

/* The ledgers of this moment. The first is the budget's. */
struct ledgers {
    hr_ledger list[HR_LEDGERS_MAX];
    size_t count;
};

static void read_ledgers(hr_guard *guard, struct ledgers *ret_ledgers)
{
    ret_ledgers->count = 0;
    hr_guard_ledgers(guard, ret_ledgers->list, HR_LEDGERS_MAX, &ret_ledgers->count);
}

/* Finds the limit towards which a part of the kernel's ledgers grows, such as the resident set. Of the ledger that
 * leaves least it is the room that is left, and the part itself. Gives the name of that limit. */
static const char *limit_of_part(const struct ledgers *ledgers, uint64_t part_bytes, uint64_t *ret_bytes)
{
    const char *source = NULL;
    *ret_bytes = HR_NONE;
    for (size_t i = 1; i < ledgers->count && part_bytes != HR_NONE; i++) {
        const hr_ledger *ledger = &ledgers->list[i];
        bool known = ledger->use_bytes != HR_NONE && ledger->limit_bytes != HR_NONE;
        uint64_t bytes = hri_add(hri_sub(ledger->limit_bytes, ledger->use_bytes), part_bytes);
        if (!known || bytes >= *ret_bytes)
            continue;
        *ret_bytes = bytes;
        source = ledger->source;
    }
    return source;
}

/* Reads the trend against the limit of the ledger that it is of. Gives the error; `ret_source` names that limit. */
static int read_trend(hr_guard *guard, const struct ledgers *ledgers, hr_trend *ret_trend, const char **ret_source)
{
    hri_snapshot snapshot;
    hri_trend_limits limits = {.bytes = {[HR_HISTORY_LIVE] = ledgers->list[0].limit_bytes}};
    hri_watcher_read(&guard->watcher, &snapshot);
    const char *sources[HR_HISTORY_LEDGERS] = {
        [HR_HISTORY_LIVE] = ledgers->list[0].source,
        [HR_HISTORY_RSS] = limit_of_part(ledgers, snapshot.process.rss_bytes, &limits.bytes[HR_HISTORY_RSS]),
        [HR_HISTORY_CGROUP_ANONYMOUS] =
            limit_of_part(ledgers, snapshot.binding.anonymous_bytes, &limits.bytes[HR_HISTORY_CGROUP_ANONYMOUS]),
    };
    int error = hri_history_trend(&guard->history, &limits, ret_trend);
    *ret_source = error ? NULL : sources[ret_trend->ledger];
    return error;
}

int hr_trend_read(hr_guard *guard, hr_trend *ret_trend)
{
    const char *source;
    if (!guard || !ret_trend)
        return -EINVAL;
    struct ledgers ledgers;
    read_ledgers(guard, &ledgers);
    return read_trend(guard, &ledgers, ret_trend, &source);
}

/* The ledger that decides the level; without a source where none does. */
static hr_ledger deciding(const struct ledgers *ledgers)
{
    for (size_t i = 0; i < ledgers->count; i++)
        if (ledgers->list[i].decides)
            return ledgers->list[i];
    return (hr_ledger){0};
}

/* Page cache that cannot be dropped at once, where a cgroup decides and it is a sixteenth of its limit at least. */
static uint64_t dirty_to_tell(const hr_figures *figures, const hri_snapshot *snapshot)
{
    bool decides = snapshot->ledgers.worst == HRI_LEDGER_CGROUP && figures->dirty_bytes != HR_NONE;
    return decides && figures->dirty_bytes >= figures->cgroup_limit_bytes / 16 ? figures->dirty_bytes : 0;
}

ssize_t hr_report_explain(hr_guard *guard, const hr_refusal *refusal, char *buffer, size_t size)
{
    hr_figures figures;
    hri_track largest;
    hr_event relief;
    hr_trend trend, holding;
    struct ledgers ledgers;
    int error = hr_guard_read(guard, &figures);
    if (error || (!buffer && size))
        return -EINVAL;
    hri_snapshot snapshot;
    hri_accounts accounts;
    const char *grows_to;
    hri_watcher_read_now(&guard->watcher, &snapshot, &accounts);
    read_ledgers(guard, &ledgers);
    bool tells = read_trend(guard, &ledgers, &trend, &grows_to) == 0;
    if (tells)
        hri_trend_withhold(&trend);
    hri_guard_note_holders(guard);
    bool held = hri_history_largest(&guard->history, &largest);
    uint64_t held_bytes = held ? largest.holder.bytes : 0;
    const char *larger = hri_guard_larger_holder(&snapshot, &held_bytes);
    hri_story story = {
        .refusal = refusal,
        .level = figures.level,
        .ledger = deciding(&ledgers),
        .dirty_bytes = dirty_to_tell(&figures, &snapshot),
        .strained = snapshot.strained,
        .stalled_share = figures.stalled_share,
        .holder = held ? &largest.holder : NULL,
        .holding = held && hri_track_trend(&largest, &holding) == 0 ? &holding : NULL,
        .larger = larger,
        .larger_bytes = held_bytes,
        .reliefs = figures.reliefs,
        .relieved_bytes = figures.relieved_bytes,
        .last_relief = hri_history_last_relief(&guard->history, &relief) ? &relief : NULL,
        .trend = tells ? &trend : NULL,
        .grows_to = grows_to,
        .now_ns = hri_clock_now(guard->clock),
    };
    hri_text text = {.buffer = buffer, .size = size};
    hri_explain(&story, &text);
    return (ssize_t)text.length;
}

/* Puts the whole report of this moment. */
static int put_report(hr_guard *guard, hr_format format, hri_text *text)
{
    hr_figures figures;
    hr_trend trend;
    char why[HR_EXPLANATION_BYTES];
    int error = hr_guard_read(guard, &figures);
    if (error)
        return error;
    bool tells = hr_trend_read(guard, &trend) == 0;
    if (tells)
        hri_trend_withhold(&trend);
    hri_report report = {
        .figures = &figures,
        .explanation = hr_report_explain(guard, NULL, why, sizeof why) > 0 ? why : NULL,
        .trend = tells ? &trend : NULL,
        .history = &guard->history,
        .registry = &guard->figures,
    };
    return hri_report_put(&report, format, text);
}

ssize_t hr_report_format(hr_guard *guard, hr_format format, char *buffer, size_t size)
{
    hri_text text = {.buffer = buffer, .size = buffer ? size : 0};
    int error = put_report(guard, format, &text);
    return error ? error : (ssize_t)text.length;
}

int hr_report_write(hr_guard *guard, hr_format format, int fd)
{
    char buffer[HRI_REPORT_STREAM_BYTES];
    hri_text text = {.buffer = buffer, .size = sizeof buffer, .streams = true, .fd = fd};
    int error = put_report(guard, format, &text);
    return error ? error : hri_text_finish(&text);
}

ssize_t hr_trend_format(const hr_trend *trend, char *buffer, size_t size)
{
    if (!trend || (!buffer && size))
        return -EINVAL;
    hri_text text = {.buffer = buffer, .size = size};
    hri_trend_put(trend, &text);
    return (ssize_t)text.length;
}
