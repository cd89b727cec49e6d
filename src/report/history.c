/* SPDX-License-Identifier: Apache-2.0 */
#include "report/history.h"

#include "base/checked.h"
#include "base/lock.h"
#include "os/pages.h"
#include "report/trend.h"

#include <assert.h>
#include <string.h>

#define MINUTES_ENOUGH 30
#define SECONDS_ENOUGH 30

int hri_history_init(hri_history *history, uint64_t bytes)
{
    *history = (hri_history){0};
    uint64_t room = hri_sub(bytes, sizeof *history);
    size_t count = (size_t)(hri_min(room, SIZE_MAX / 2) / sizeof(hri_bucket));
    if (count) {
        history->pages_bytes = count * sizeof(hri_bucket);
        int error = hri_pages_map(history->pages_bytes, &history->pages);
        if (error)
            return error;
        hri_pages_touch(history->pages, history->pages_bytes);
        hri_tiers_init(&history->tiers, history->pages, count);
    }
    int error = hri_lock_init(&history->lock);
    if (error && history->pages)
        hri_pages_unmap(history->pages, history->pages_bytes);
    return error;
}

void hri_history_destroy(hri_history *history)
{
    pthread_mutex_destroy(&history->lock);
    if (history->pages)
        hri_pages_unmap(history->pages, history->pages_bytes);
}

void hri_history_fork(hri_history *history, hri_fork moment)
{
    hri_fork_lock(&history->lock, moment);
}

void hri_history_add(hri_history *history, const hr_record *record)
{
    pthread_mutex_lock(&history->lock);
    history->records[history->recorded++ % HR_HISTORY_RECORDS] = *record;
    hri_tiers_add(&history->tiers, record);
    pthread_mutex_unlock(&history->lock);
}

static void note(hri_history *history, const hr_event *event)
{
    history->events[history->happened++ % HR_HISTORY_EVENTS] = *event;
    hri_tiers_note(&history->tiers, event);
}

void hri_history_note(hri_history *history, const hr_event *event)
{
    pthread_mutex_lock(&history->lock);
    note(history, event);
    pthread_mutex_unlock(&history->lock);
}

/* An event for each budget of the spell. */
static void tell_spell(hri_history *history, const hr_record *record)
{
    hri_spell *spell = &history->spell;
    for (size_t i = 0; i < spell->refusers.count; i++) {
        const hri_refuser *refuser = &spell->refusers.list[i];
        hr_event event = {
            .time_ns = spell->end_ns,
            .wall_ns = record->wall_ns - (record->time_ns - spell->end_ns),
            .kind = history->observes ? HR_EVENT_WOULD_REFUSE : HR_EVENT_REFUSALS,
            .from = record->level,
            .to = record->level,
            .live_bytes = record->live_bytes,
            .refused_by_limit = refuser->by_limit,
            .refused_by_level = refuser->by_level,
            .span_ns = spell->end_ns - spell->begin_ns,
            .use = record->use,
        };
        static_assert(sizeof event.budget >= sizeof refuser->name, "a name fits");
        memcpy(event.budget, refuser->name, sizeof refuser->name);
        memcpy(event.decided_by, record->decided_by, sizeof event.decided_by);
        note(history, &event);
    }
    spell->refusers.count = 0;
}

void hri_history_note_refusers(hri_history *history, const hri_refusers *refusers, const hr_record *record, bool last)
{
    hri_spell *spell = &history->spell;
    int64_t now_ns = record->time_ns;
    pthread_mutex_lock(&history->lock);
    if (refusers->count && !spell->refusers.count)
        spell->begin_ns =
            history->recorded ? history->records[(history->recorded - 1) % HR_HISTORY_RECORDS].time_ns : now_ns;
    for (size_t i = 0; i < refusers->count; i++)
        hri_refusers_add(&spell->refusers, &refusers->list[i]);
    spell->end_ns = refusers->count ? now_ns : spell->end_ns;
    bool over = now_ns - spell->end_ns >= HRI_SPELL_QUIET_NS || now_ns - spell->begin_ns >= HRI_SPELL_MAX_NS;
    if (over || last)
        tell_spell(history, record);
    pthread_mutex_unlock(&history->lock);
}

void hri_history_note_holders(hri_history *history, const hri_holder *list, size_t count, int64_t now_ns)
{
    pthread_mutex_lock(&history->lock);
    hri_holders_note(&history->holders, list, count, now_ns);
    pthread_mutex_unlock(&history->lock);
}

bool hri_history_largest(hri_history *history, hri_track *ret_track)
{
    const hri_holders *holders = &history->holders;
    pthread_mutex_lock(&history->lock);
    bool found = holders->count > 0;
    if (found)
        *ret_track = holders->tracks[holders->order[0]];
    pthread_mutex_unlock(&history->lock);
    return found;
}

bool hri_history_last_relief(hri_history *history, hr_event *ret_event)
{
    bool found = false;
    pthread_mutex_lock(&history->lock);
    for (uint64_t i = 1; i <= history->happened && i <= HR_HISTORY_EVENTS && !found; i++) {
        const hr_event *event = &history->events[(history->happened - i) % HR_HISTORY_EVENTS];
        found = event->kind == HR_EVENT_RELIEF;
        if (found)
            *ret_event = *event;
    }
    pthread_mutex_unlock(&history->lock);
    return found;
}

/* How many of `so_far` there are to copy. */
static size_t kept(uint64_t so_far, size_t most, size_t capacity)
{
    return (size_t)hri_min(hri_min(so_far, most), capacity);
}

size_t hri_history_copy(hri_history *history, hr_record *records, size_t capacity)
{
    pthread_mutex_lock(&history->lock);
    size_t count = kept(history->recorded, HR_HISTORY_RECORDS, capacity);
    for (size_t i = 0; i < count; i++)
        records[i] = history->records[(history->recorded - count + i) % HR_HISTORY_RECORDS];
    pthread_mutex_unlock(&history->lock);
    return count;
}

size_t hri_history_copy_events(hri_history *history, hr_event *events, size_t capacity)
{
    pthread_mutex_lock(&history->lock);
    size_t count = kept(history->happened, HR_HISTORY_EVENTS, capacity);
    for (size_t i = 0; i < count; i++)
        events[i] = history->events[(history->happened - count + i) % HR_HISTORY_EVENTS];
    pthread_mutex_unlock(&history->lock);
    return count;
}

size_t hri_history_copy_tier(hri_history *history, hr_tier which, hr_bucket *buckets, size_t capacity)
{
    const hri_tier *tier = &history->tiers.tiers[which];
    pthread_mutex_lock(&history->lock);
    size_t all = hri_tier_count(tier);
    size_t count = (size_t)hri_min(all, capacity);
    for (size_t i = 0; i < count; i++)
        hri_bucket_show(tier, hri_tier_at(tier, all - count + i), &buckets[i]);
    pthread_mutex_unlock(&history->lock);
    return count;
}

bool hri_history_bucket_at(hri_history *history, hr_tier which, size_t index, hr_bucket *ret_bucket)
{
    const hri_tier *tier = &history->tiers.tiers[which];
    pthread_mutex_lock(&history->lock);
    bool there = index < hri_tier_count(tier);
    if (there)
        hri_bucket_show(tier, hri_tier_at(tier, index), ret_bucket);
    pthread_mutex_unlock(&history->lock);
    return there;
}

/* Whether a ring of `most` that has had `so_far` holds that number; see the header. */
static bool holds(uint64_t so_far, uint64_t most, uint64_t *first, size_t index)
{
    if (index == 0 && so_far > most && *first < so_far - most)
        *first = so_far - most;
    uint64_t number = *first + index;
    return number < so_far && so_far - number <= most;
}

bool hri_history_record_at(hri_history *history, uint64_t *first, size_t index, hr_record *ret_record)
{
    pthread_mutex_lock(&history->lock);
    bool there = holds(history->recorded, HR_HISTORY_RECORDS, first, index);
    if (there)
        *ret_record = history->records[(*first + index) % HR_HISTORY_RECORDS];
    pthread_mutex_unlock(&history->lock);
    return there;
}

bool hri_history_event_at(hri_history *history, uint64_t *first, size_t index, hr_event *ret_event)
{
    pthread_mutex_lock(&history->lock);
    bool there = holds(history->happened, HR_HISTORY_EVENTS, first, index);
    if (there)
        *ret_event = history->events[(*first + index) % HR_HISTORY_EVENTS];
    pthread_mutex_unlock(&history->lock);
    return there;
}

/* The records in their order, as a series. */
static void read_ring(const hri_series *series, size_t index, hri_series_ledger ledger, hri_sample *ret_sample)
{
    const hri_history *history = series->source;
    uint64_t at = (history->recorded - series->count + index) % HR_HISTORY_RECORDS;
    hri_series one = hri_series_of_records(&history->records[at], 1);
    one.read(&one, 0, ledger, ret_sample);
}

int hri_history_trend(hri_history *history, const hri_trend_limits *limits, hr_trend *ret_trend)
{
    const hri_tier *minutes = &history->tiers.tiers[HR_TIER_MINUTES], *seconds = &history->tiers.tiers[HR_TIER_SECONDS];
    pthread_mutex_lock(&history->lock);
    hri_series series = {read_ring, history, kept(history->recorded, HR_HISTORY_RECORDS, SIZE_MAX)};
    if (hri_tier_count(minutes) >= MINUTES_ENOUGH)
        series = hri_series_of_tier(minutes);
    else if (hri_tier_count(seconds) >= SECONDS_ENOUGH)
        series = hri_series_of_tier(seconds);
    int error = hri_trend_compute(&series, 0, limits, ret_trend);
    pthread_mutex_unlock(&history->lock);
    return error;
}

const char *hr_event_kind_text(hr_event_kind kind)
{
    static const char *const texts[] = {"level",  "relief",      "purge",        "refusals",
                                        "action", "kernel kill", "would refuse", "would relieve"};
    return (unsigned)kind <= HR_EVENT_WOULD_RELIEVE ? texts[kind] : "unknown";
}

const char *hr_history_ledger_text(hr_history_ledger ledger)
{
    static const char *const texts[HR_HISTORY_LEDGERS] = {"live", "rss", "cgroup anonymous", "cgroup kernel",
                                                          "cgroup cache"};
    return (unsigned)ledger < HR_HISTORY_LEDGERS ? texts[ledger] : "unknown";
}
