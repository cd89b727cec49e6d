/* SPDX-License-Identifier: Apache-2.0 */
/* The last records: a fixed ring, so that recording allocates nothing and an old record is gone when a new one comes. */
#ifndef HRI_REPORT_HISTORY_H
#define HRI_REPORT_HISTORY_H

#include "base/fork.h"

#include <headroom/report.h>
#include <pthread.h>

typedef struct hri_history {
    pthread_mutex_t lock; /* a leaf */
    uint64_t recorded;    /* so far: the next goes to recorded % HR_HISTORY_RECORDS */
    hr_record records[HR_HISTORY_RECORDS];
} hri_history;

int hri_history_init(hri_history *history);
void hri_history_destroy(hri_history *history);
void hri_history_fork(hri_history *history, hri_fork moment);
void hri_history_add(hri_history *history, const hr_record *record);

/* Copies the newest records, at most `capacity`, oldest first; gives how many. */
size_t hri_history_copy(hri_history *history, hr_record *records, size_t capacity);

#endif
