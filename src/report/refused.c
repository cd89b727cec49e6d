/* SPDX-License-Identifier: Apache-2.0 */
#include "report/refused.h"

#include "base/checked.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>

#define DAY_S 86400

/* ── summing up ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Refusals since the record before; all of them where a process has begun anew. */
static uint64_t since(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

void hri_refused_add(hri_refused *refused, const hr_record *record)
{
    bool observed = refused->observed, begun = refused->begun;
    uint64_t all = observed ? record->would_have_refused : record->refusals;
    uint64_t degraded = observed ? record->would_have_refused_degraded : record->refusals_degraded;
    uint64_t critical = observed ? record->would_have_refused_critical : record->refusals_critical;
    if (all == HR_NONE)
        return;
    hri_refused last = *refused;
    refused->before = all;
    refused->degraded_before = degraded;
    refused->critical_before = critical;
    refused->before_ns = record->wall_ns;
    refused->begun = true;
    if (!begun) {
        refused->earlier = all;
        return;
    }
    uint64_t more = since(all, last.before);
    if (more == 0)
        return;
    bool anew = all < last.before;
    refused->all += more;
    refused->degraded += anew ? degraded : since(degraded, last.degraded_before);
    refused->critical += anew ? critical : since(critical, last.critical_before);
    if (refused->spells == 0 || last.before_ns - refused->end_ns >= HRI_REFUSED_GAP_NS) {
        refused->spells++;
        refused->last_spell = 0;
        refused->begin_ns = last.before_ns;
    }
    refused->last_spell += more;
    refused->end_ns = record->wall_ns;
}

void hri_refused_add_event(hri_refused *refused, const hr_event *event)
{
    hri_refuser refuser = {.budget = event->budget[0] ? refused : NULL, /* here a name alone tells them apart */
                           .by_limit = event->refused_by_limit,
                           .by_level = event->refused_by_level};
    if (event->kind != (refused->observed ? HR_EVENT_WOULD_REFUSE : HR_EVENT_REFUSALS))
        return;
    snprintf(refuser.name, sizeof refuser.name, "%s", event->budget);
    hri_refusers_add(&refused->refusers, &refuser);
}

/* ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static void put_date(hri_text *text, int64_t days)
{
    static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = 1970;
    int month = 0;
    while (days >= 365 + is_leap(year))
        days -= 365 + is_leap(year++);
    while (days >= lengths[month] + (month == 1 && is_leap(year))) {
        days -= lengths[month] + (month == 1 && is_leap(year));
        month++;
    }
    hri_text_put(text, "%04d-%02d-%02d ", (int)year, month + 1, (int)days + 1);
}

void hri_text_put_moment(hri_text *text, int64_t wall_ns, int64_t since_ns)
{
    int64_t seconds = wall_ns > 0 ? wall_ns / HRI_SECOND : 0, day = seconds / DAY_S;
    if (since_ns < 0 || day != since_ns / HRI_SECOND / DAY_S)
        put_date(text, day);
    seconds %= DAY_S;
    hri_text_put(text, "%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
}

/* A number with its thousands apart: "5,821". */
static void put_count(hri_text *text, uint64_t count)
{
    if (count >= 1000) {
        put_count(text, count / 1000);
        hri_text_put(text, ",%03d", (int)(count % 1000));
    } else {
        hri_text_put(text, "%d", (int)count);
    }
}

/* One of the reasons, where it is one. */
static void put_reason(hri_text *text, const char **separator, uint64_t count, const char *reason)
{
    if (count == 0)
        return;
    hri_text_put(text, "%s", *separator);
    put_count(text, count);
    hri_text_put(text, " %s", reason);
    *separator = ", ";
}

static uint64_t of(const hri_refuser *refuser)
{
    return hri_add(refuser->by_limit, refuser->by_level);
}

static void put_refusers(const hri_refusers *refusers, hri_text *text)
{
    const char *separator = "; by budget ";
    for (size_t i = 0; i < refusers->count; i++) {
        const hri_refuser *largest = NULL, *refuser = refusers->list;
        /* The one that has i before it: larger, or as large and earlier. */
        for (size_t k = 0; k < refusers->count && !largest; k++) {
            size_t before = 0;
            for (size_t j = 0; j < refusers->count; j++)
                before += of(&refuser[j]) > of(&refuser[k]) || (of(&refuser[j]) == of(&refuser[k]) && j < k);
            largest = before == i ? &refuser[k] : NULL;
        }
        if (!largest)
            return;
        hri_text_put(text, "%s", separator);
        if (largest->budget) {
            hri_text_put(text, "\"");
            hri_text_put_name(text, largest->name);
            hri_text_put(text, "\" ");
        } else {
            hri_text_put(text, "others ");
        }
        put_count(text, of(largest));
        separator = ", ";
    }
}

void hri_refused_put(const hri_refused *refused, hri_text *text)
{
    const char *separator = ": ";
    if (refused->all == 0) {
        hri_text_put(text, refused->observed ? "no request would have been refused" : "no request was refused");
    } else {
        put_count(text, refused->all);
        hri_text_put(text, refused->all == 1 ? " request " : " requests ");
        if (refused->observed)
            hri_text_put(text, "would have been refused");
        else
            hri_text_put(text, refused->all == 1 ? "was refused" : "were refused");
        if (refused->spells > 1) {
            hri_text_put(text, " in %u spells, the last ", refused->spells);
            put_count(text, refused->last_spell);
        }
        hri_text_put(text, " between ");
        hri_text_put_moment(text, refused->begin_ns, -1);
        hri_text_put(text, " and ");
        hri_text_put_moment(text, refused->end_ns, refused->begin_ns);
        hri_text_put(text, " UTC");
        uint64_t by_level = hri_add(refused->degraded, refused->critical);
        put_reason(text, &separator, refused->critical, "because the level was critical");
        put_reason(text, &separator, refused->degraded, "because the level was or would have been degraded");
        put_reason(text, &separator, hri_sub(refused->all, by_level), "by limits");
    }
    if (refused->earlier) {
        hri_text_put(text, "%s", refused->all ? "; before that " : " since the first record; before that ");
        put_count(text, refused->earlier);
    }
    put_refusers(&refused->refusers, text);
}

/* One sum of a view. */
static void sum_up(const hr_history_view *view, hri_refused *refused)
{
    for (size_t i = 0; i < view->record_count; i++)
        hri_refused_add(refused, &view->records[i]);
    for (size_t i = 0; i < view->event_count; i++)
        hri_refused_add_event(refused, &view->events[i]);
}

void hri_refused_put_both(const hri_refused *refused, const hri_refused *observed, hri_text *text)
{
    bool any = observed->all || observed->earlier, both = any && (refused->all || refused->earlier);
    if (both || !any)
        hri_refused_put(refused, text);
    if (both)
        hri_text_put(text, "; ");
    if (any)
        hri_refused_put(observed, text);
}

ssize_t hr_refusals_format(const hr_history_view *view, char *buffer, size_t size)
{
    hri_refused refused = {0}, observed = {.observed = true};
    if (!view || (!view->records && view->record_count) || (!view->events && view->event_count) || (!buffer && size))
        return -EINVAL;
    sum_up(view, &refused);
    sum_up(view, &observed);
    hri_text text = {.buffer = buffer, .size = size};
    hri_refused_put_both(&refused, &observed, &text);
    return (ssize_t)text.length;
}
