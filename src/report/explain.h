/* SPDX-License-Identifier: Apache-2.0 */
/* Why a level is what it is, or why a charge was refused, in one sentence. Pure: figures in, a sentence out. */
#ifndef HRI_REPORT_EXPLAIN_H
#define HRI_REPORT_EXPLAIN_H

#include "report/holders.h"
#include "report/text.h"

#include <headroom/guard.h>
#include <headroom/report.h>

/* The facts of a sentence. */
typedef struct hri_story {
    const hr_refusal *refusal; /* NULL: the level is to be explained */
    hr_level level;
    hr_ledger ledger;         /* the one that decides the level; source NULL: none does */
    uint64_t dirty_bytes;     /* of the binding cgroup's use; 0: too little to tell, or another ledger decides */
    hr_level strained;        /* what the own group's strain calls for */
    double stalled_share;     /* of the last ten seconds, by the kernel's pressure figures */
    const hri_holder *holder; /* the budget that holds most; NULL: none holds anything */
    const hr_trend *holding;  /* the trend of that; NULL: too short */
    const char *larger;       /* the holder of more than that, in no budget; NULL: none */
    uint64_t larger_bytes;
    uint64_t reliefs; /* so far */
    uint64_t relieved_bytes;
    const hr_event *last_relief; /* NULL: none that is remembered */
    const hr_trend *trend;       /* NULL: too short */
    const char *grows_to;        /* the source of the limit that the trend leads to; NULL: none is known */
    int64_t now_ns;
} hri_story;

void hri_explain(const hri_story *story, hri_text *text);

#endif
