/* SPDX-License-Identifier: Apache-2.0 */
/* Notes on a survey's figures: facts worth knowing, and what to do about them. */
#ifndef HRI_GAUGE_SURVEY_NOTES_H
#define HRI_GAUGE_SURVEY_NOTES_H

#include "gauge/ledger.h"

typedef struct hri_survey_facts {
    const hri_books *books;
    const hri_ledgers *ledgers;
    int shown;            /* the group that binds, or the own one; below 0: none */
    hr_level strained;    /* see gauge/strain.h */
    uint64_t files_limit; /* on open files; HR_NONE: none, or not known */
} hri_survey_facts;

/* Notes what the figures say. Those who found the groups have noted what they saw there. */
void hri_survey_note(const hri_survey_facts *facts, hri_findings *findings);

#endif
