/* SPDX-License-Identifier: Apache-2.0 */
/* History that outlives its process: what the history in memory records is written behind it, by the monitor or whoever
 * checks, never by a thread that serves. Where the disk is full, recording goes on in memory, is tried again, and what
 * the rings still hold is written then. */
#ifndef HRI_REPORT_JOURNAL_H
#define HRI_REPORT_JOURNAL_H

#include "base/figures.h"
#include "base/fork.h"
#include "os/append.h"
#include "report/census.h"
#include "report/history.h"
#include "report/origin.h"

/* Of FILE and FILE.1 together. */
#define HRI_JOURNAL_BYTES (UINT64_C(16) << 20)
#define HRI_JOURNAL_BYTES_MIN (UINT64_C(64) << 10)

typedef struct hri_journal {
    pthread_mutex_t lock; /* held while writing; the history's may be taken under it */
    hri_append append;
    int64_t session;
    uint64_t next_record; /* the first that is not written */
    uint64_t next_event;
    hr_history_file_figures figures;
    hri_census_times census;
    hr_history_origin origin;
    unsigned origin_due; /* the texts of it that are written before the next entry */
} hri_journal;

/* Opens or makes the file, cuts a torn tail, and goes on behind it. NULL: no file. Gives 0 or a negative errno, as
 * hr_guard_new() says. */
int hri_journal_init(hri_journal *journal, const char *path, uint64_t bytes);
void hri_journal_destroy(hri_journal *journal);

/* The parent's file is the parent's. */
void hri_journal_fork(hri_journal *journal, hri_fork moment);

/* Writes what is new in the history. */
void hri_journal_follow(hri_journal *journal, hri_history *history);

/* Appends a census of a registry to the file, if one is due. Must not be called in a reclaimer: the census visits
 * budgets, pools and caches. */
void hri_journal_count(hri_journal *journal, hri_figure_registry *registry, hr_level level, int64_t now_ns);

/* Says whose figures they are, as hr_history_writer_describe() does. */
void hri_journal_describe(hri_journal *journal, const char *command, const char *limit_source);

/* Writes an entry now. Gives 0 or a negative errno. */
int hri_journal_write(hri_journal *journal, const hr_history_entry *entry);

void hri_journal_read(hri_journal *journal, hr_history_file_figures *ret_figures);

/* Makes a source of a journal's figures, so that every report says how its file fares. It must not outlive the
 * journal. */
void hri_journal_publish(hri_journal *journal, hri_figure_source *ret_source);

#endif
