/* SPDX-License-Identifier: Apache-2.0 */
/* History in memory: the last records, the last events, and the tiers (tiers.h). All of it is room that was mapped and
 * touched at start. So recording allocates nothing and touches no new page, and an old record is gone when a new one
 * comes. */
#ifndef HRI_REPORT_HISTORY_H
#define HRI_REPORT_HISTORY_H

#include "base/fork.h"
#include "budget/refusals.h"
#include "report/holders.h"
#include "report/tiers.h"
#include "report/trend.h"

#include <pthread.h>

/* The default of hr_guard_options.history_bytes. */
#define HRI_HISTORY_BYTES (UINT64_C(256) << 10)

/* Refusals that no event tells yet. */
typedef struct hri_spell {
    int64_t begin_ns; /* after the record before the first of them */
    int64_t end_ns;   /* before the record after the last of them */
    hri_refusers refusers;
} hri_spell;

/* A spell is over once nobody was refused for so long; after the longer time it is told even if it goes on. */
#define HRI_SPELL_QUIET_NS INT64_C(1000000000)
#define HRI_SPELL_MAX_NS INT64_C(10000000000)

typedef struct hri_history {
    pthread_mutex_t lock; /* a leaf */
    uint64_t recorded;    /* so far: the next goes to recorded % HR_HISTORY_RECORDS */
    uint64_t happened;    /* as of samples, for events */
    hr_record records[HR_HISTORY_RECORDS];
    hr_event events[HR_HISTORY_EVENTS];
    hri_tiers tiers;
    hri_holders holders;
    hri_spell spell;
    bool observes; /* spells are of what would have been refused */
    void *pages;   /* of the tiers' buckets; NULL: there are none */
    size_t pages_bytes;
} hri_history;

/* Takes `bytes` of memory in all, this struct included; where that is not enough for tiers there are none. Gives 0 or a
 * negative errno. */
int hri_history_init(hri_history *history, uint64_t bytes);
void hri_history_destroy(hri_history *history);
void hri_history_fork(hri_history *history, hri_fork moment);

void hri_history_add(hri_history *history, const hr_record *record);
void hri_history_note(hri_history *history, const hr_event *event);

/* Notes who was refused until a record, which is added next, and tells of a spell that is over by then; of any if
 * `last`. */
void hri_history_note_refusers(hri_history *history, const hri_refusers *refusers, const hr_record *record, bool last);

/* Notes who holds most now; gives the one that held most then, and the last relief that is remembered. */
void hri_history_note_holders(hri_history *history, const hri_holder *list, size_t count, int64_t now_ns);
bool hri_history_largest(hri_history *history, hri_track *ret_track);
bool hri_history_last_relief(hri_history *history, hr_event *ret_event);

/* Copy the newest, at most `capacity`, oldest first; give how many. */
size_t hri_history_copy(hri_history *history, hr_record *records, size_t capacity);
size_t hri_history_copy_events(hri_history *history, hr_event *events, size_t capacity);
size_t hri_history_copy_tier(hri_history *history, hr_tier tier, hr_bucket *buckets, size_t capacity);

/* Gives the `index`th bucket of a tier from the oldest; false where there is none. */
bool hri_history_bucket_at(hri_history *history, hr_tier tier, size_t index, hr_bucket *ret_bucket);

/* Give the record, or the event, of number `*first` + `index` since the start; false where there is none yet. A
 * `*first` that has left the ring is moved to the oldest one that is there, which with `index` 0 alone may happen. */
bool hri_history_record_at(hri_history *history, uint64_t *first, size_t index, hr_record *ret_record);
bool hri_history_event_at(hri_history *history, uint64_t *first, size_t index, hr_event *ret_event);

/* The trend of what is kept: of the minutes where there are enough of them, else of the seconds, else of the records.
 * Holds the lock for as long as that takes, a tenth of a millisecond. Gives 0 or -ENODATA. */
int hri_history_trend(hri_history *history, const hri_trend_limits *limits, hr_trend *ret_trend);

#endif
