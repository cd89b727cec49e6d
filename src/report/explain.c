/* SPDX-License-Identifier: Apache-2.0 */
#include "report/explain.h"

#include "base/checked.h"
#include "gauge/strain.h"

#include <math.h>
#include <string.h>

static void put_use(const hri_story *story, hri_text *text)
{
    const hr_ledger *ledger = &story->ledger;
    if (!ledger->source) {
        hri_text_put(text, "%s: no limit is known", hr_level_text(story->level));
        return;
    }
    hri_text_put(text, "%s: ", hr_level_text(story->level));
    hri_text_put_size(text, ledger->use_bytes);
    hri_text_put(text, " of ");
    hri_text_put_size(text, ledger->limit_bytes);
    if (ledger->limit_bytes > 0)
        hri_text_put(text, " used (%.1f %%)", (double)ledger->use_bytes / (double)ledger->limit_bytes * 100);
    hri_text_put(text, ", the limit set by ");
    hri_text_put_name(text, ledger->source);
}

/* Says why the use, or the level, is higher than by the memory that is held. */
static void put_strain(const hri_story *story, hri_text *text)
{
    if (story->dirty_bytes) {
        hri_text_put(text, "; ");
        hri_text_put_size(text, story->dirty_bytes);
        hri_text_put(text, " of page cache are not written yet and cannot be dropped");
    }
    if (story->strained == HR_NORMAL)
        return;
    if (story->stalled_share * 100 >= HRI_STRAIN_DEGRADED_PER_CENT)
        hri_text_put(text, "; all tasks of the cgroup stood still for memory %.0f %% of the last ten seconds",
                     story->stalled_share * 100);
    else
        hri_text_put(text, "; the cgroup thrashes at its limit, by memory.events and pages that were read again");
    hri_text_put(text, ", which alone is %s", hr_level_text(story->strained));
}

static void put_refusal(const hr_refusal *refusal, hri_text *text)
{
    hri_text_put(text, "refused ");
    hri_text_put_size(text, hri_min(refusal->asked_bytes, HR_NONE - 1)); /* that is no absence */
    hri_text_put(text, ": ");
    if (refusal->level == HR_CRITICAL) {
        hri_text_put(text, "at level critical no request is admitted; the level is ");
        return;
    }
    if (refusal->level != HR_NORMAL) {
        hri_text_put(text, "that is more than level %s takes; the level is ", hr_level_text(refusal->level));
        return;
    }
    hri_text_put_name(text, refusal->limit_name);
    hri_text_put(text, " has ");
    hri_text_put_size(text, refusal->left_bytes);
    hri_text_put(text, " left of ");
    hri_text_put_size(text, refusal->limit_bytes);
    hri_text_put(text, "; the level is ");
}

/* How the held bytes change, where that is certain. */
static void put_change(const hr_trend *trend, hri_text *text)
{
    double rate = trend->slope_bytes_per_s, size = rate < 0 ? -rate : rate;
    if (trend->slope_low == -INFINITY)
        return;
    if (trend->kind == HR_TREND_SAWTOOTH) {
        hri_text_put(text, ", up and down");
    } else if (trend->kind == HR_TREND_STEADY) {
        hri_text_put(text, " and steady");
    } else {
        hri_text_put(text, rate < 0 ? " and shrinking by " : " and growing by ");
        hri_text_put_size(text, size < 0x1p63 ? (uint64_t)size : UINT64_MAX - 1);
        hri_text_put(text, "/s for ");
        hri_text_put_time(text, trend->settled_ns);
    }
}

static void put_holder(const hri_story *story, hri_text *text)
{
    if (story->larger) {
        hri_text_put(text, "; most is held by %s, ", story->larger);
        hri_text_put_size(text, story->larger_bytes);
        return;
    }
    if (!story->holder) {
        hri_text_put(text, "; no budget holds anything");
        return;
    }
    hri_text_put(text, "; most is held by budget \"");
    hri_text_put_name(text, story->holder->name);
    hri_text_put(text, "\", ");
    hri_text_put_size(text, story->holder->bytes);
    if (story->holding)
        put_change(story->holding, text);
}

static void put_relief(const hri_story *story, hri_text *text)
{
    if (story->reliefs == 0) {
        hri_text_put(text, "; relief has given nothing back yet");
        return;
    }
    hri_text_put(text, "; relief gave back ");
    hri_text_put_size(text, story->relieved_bytes);
    if (!story->last_relief)
        return;
    hri_text_put(text, ", the last ");
    hri_text_put_size(text, story->last_relief->freed_bytes);
    hri_text_put(text, " ");
    int64_t age_ns = story->now_ns - story->last_relief->time_ns;
    hri_text_put_time(text, age_ns > 0 ? age_ns : 0);
    hri_text_put(text, " ago");
}

static void put_forecast(const hri_story *story, hri_text *text)
{
    const hr_trend *trend = story->trend;
    const char *source = story->ledger.source;
    /* Of now; the trend is of the last sample. */
    bool full = source && story->ledger.use_bytes >= story->ledger.limit_bytes;
    bool other = source && story->grows_to && strcmp(story->grows_to, source) != 0;
    if (!trend) {
        hri_text_put(text, "; it is too early for a forecast");
    } else if (trend->time_to_limit_ns < 0) {
        hri_text_put(text, "; no forecast: %s", trend->reason);
    } else if (full || trend->time_to_limit_ns == 0) {
        hri_text_put(text, "; ");
        hri_text_put_name(text, other && !full ? story->grows_to : "the limit");
        hri_text_put(text, full || !source ? " is reached" : " was reached");
    } else {
        hri_text_put(text, "; at this rate ");
        hri_text_put_name(text, other ? story->grows_to : "it");
        hri_text_put(text, " will be full in ");
        hri_text_put_time(text, trend->time_to_limit_ns);
        hri_text_put(text, " (");
        hri_text_put_time(text, trend->time_to_limit_low_ns);
        if (trend->time_to_limit_high_ns == INT64_MAX) {
            hri_text_put(text, " or more)");
        } else {
            hri_text_put(text, " to ");
            hri_text_put_time(text, trend->time_to_limit_high_ns);
            hri_text_put(text, ")");
        }
    }
}

void hri_explain(const hri_story *story, hri_text *text)
{
    if (story->refusal)
        put_refusal(story->refusal, text);
    put_use(story, text);
    put_strain(story, text);
    put_holder(story, text);
    put_relief(story, text);
    put_forecast(story, text);
}
