/* SPDX-License-Identifier: Apache-2.0 */
#include "report/history.h"

int hri_history_init(hri_history *history)
{
    history->recorded = 0;
    return -pthread_mutex_init(&history->lock, NULL);
}

void hri_history_destroy(hri_history *history)
{
    pthread_mutex_destroy(&history->lock);
}

void hri_history_fork(hri_history *history, hri_fork moment)
{
    hri_fork_lock(&history->lock, moment);
}

void hri_history_add(hri_history *history, const hr_record *record)
{
    pthread_mutex_lock(&history->lock);
    history->records[history->recorded++ % HR_HISTORY_RECORDS] = *record;
    pthread_mutex_unlock(&history->lock);
}

size_t hri_history_copy(hri_history *history, hr_record *records, size_t capacity)
{
    pthread_mutex_lock(&history->lock);
    size_t count = history->recorded < HR_HISTORY_RECORDS ? (size_t)history->recorded : HR_HISTORY_RECORDS;
    if (count > capacity)
        count = capacity;
    for (size_t i = 0; i < count; i++)
        records[i] = history->records[(history->recorded - count + i) % HR_HISTORY_RECORDS];
    pthread_mutex_unlock(&history->lock);
    return count;
}
