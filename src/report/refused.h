/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests were refused, summed up over the records and events of a history, oldest first. */
#ifndef HRI_REPORT_REFUSED_H
#define HRI_REPORT_REFUSED_H

#include "budget/refusals.h"
#include "report/text.h"

#include <headroom/report.h>

/* Refusals with so much time between them are of two spells. */
#define HRI_REFUSED_GAP_NS INT64_C(10000000000)

typedef struct hri_refused {
    bool observed; /* sums up what would have been refused, not what was */
    bool begun;
    uint64_t before, degraded_before, critical_before; /* by the record before */
    int64_t before_ns;                                 /* and when that was, by CLOCK_REALTIME */
    uint64_t all, degraded, critical;
    uint64_t earlier; /* made before the first record */
    unsigned spells;
    uint64_t last_spell;      /* refusals of the last spell, */
    int64_t begin_ns, end_ns; /* which were made between these times, by CLOCK_REALTIME */
    hri_refusers refusers;
} hri_refused;

void hri_refused_add(hri_refused *refused, const hr_record *record);
void hri_refused_add_event(hri_refused *refused, const hr_event *event);

/* Puts the sentence, without its full stop. */
void hri_refused_put(const hri_refused *refused, hri_text *text);

/* Puts the sentence of the refusals, and that of those that would have been: each where there were any. */
void hri_refused_put_both(const hri_refused *refused, const hri_refused *observed, hri_text *text);

/* A moment by the wall clock: "2026-03-01 12:03:07"; without the day if it is that of `since_ns`. */
void hri_text_put_moment(hri_text *text, int64_t wall_ns, int64_t since_ns);

#endif
