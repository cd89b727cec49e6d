/* SPDX-License-Identifier: Apache-2.0 */
#include "report/holders.h"

#include "report/trend.h"

#include <string.h>

/* The track that a holder had the last time, if no other holder has it by now. */
static hri_track *find(hri_holders *holders, const hri_holder *holder, const bool taken[HRI_HOLDERS_MAX])
{
    for (size_t i = 0; i < holders->count; i++) {
        hri_track *old = &holders->tracks[holders->order[i]];
        bool same = old->holder.budget == holder->budget && strcmp(old->holder.name, holder->name) == 0;
        if (same && !taken[holders->order[i]])
            return old;
    }
    return NULL;
}

static void make_room(hri_track *track)
{
    int64_t span_ns = track->points[track->count - 1].time_ns - track->points[0].time_ns;
    if (span_ns >= HRI_TRACK_STEP_MAX_NS * (HRI_TRACK_POINTS - 1)) {
        track->count--;
        memmove(track->points, track->points + 1, track->count * sizeof *track->points);
        return;
    }
    track->step_ns *= 2;
    track->count /= 2;
    for (size_t i = 0; i < track->count; i++)
        track->points[i] = track->points[2 * i];
}

static void add(hri_track *track, const hri_holder *holder, int64_t now_ns)
{
    track->holder = *holder;
    track->time_ns = now_ns;
    if (track->count && now_ns - track->points[track->count - 1].time_ns < track->step_ns)
        return;
    if (track->count == HRI_TRACK_POINTS)
        make_room(track);
    track->points[track->count++] = (hri_point){now_ns, holder->bytes};
}

void hri_holders_note(hri_holders *holders, const hri_holder *list, size_t count, int64_t now_ns)
{
    hri_track *tracks[HRI_HOLDERS_MAX];
    bool taken[HRI_HOLDERS_MAX] = {false};
    for (size_t i = 0; i < count; i++) {
        tracks[i] = find(holders, &list[i], taken);
        if (tracks[i])
            taken[tracks[i] - holders->tracks] = true;
    }
    for (size_t i = 0, unused = 0; i < count; i++) {
        while (!tracks[i] && taken[unused])
            unused++;
        if (!tracks[i]) {
            taken[unused] = true;
            tracks[i] = &holders->tracks[unused];
            tracks[i]->count = 0;
            tracks[i]->step_ns = HRI_TRACK_STEP_NS;
        }
        add(tracks[i], &list[i], now_ns);
        holders->order[i] = (unsigned char)(tracks[i] - holders->tracks);
    }
    holders->count = count;
}

static void read_point(const hri_series *series, size_t index, hri_series_ledger ledger, hri_sample *ret_sample)
{
    const hri_track *track = series->source;
    hri_point last = {track->time_ns, track->holder.bytes};
    const hri_point *point = index < track->count ? &track->points[index] : &last;
    *ret_sample = (hri_sample){point->time_ns, HR_NONE, HR_NONE};
    if (ledger == HRI_SERIES_LIVE)
        *ret_sample = (hri_sample){point->time_ns, point->bytes, point->bytes};
}

int hri_track_trend(const hri_track *track, hr_trend *ret_trend)
{
    bool newer = track->count && track->time_ns > track->points[track->count - 1].time_ns;
    hri_series series = {read_point, track, track->count + newer};
    return hri_trend_compute(&series, 0, &(hri_trend_limits){.bytes = {[HR_HISTORY_LIVE] = HR_NONE}}, ret_trend);
}
