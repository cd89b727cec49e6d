/* SPDX-License-Identifier: Apache-2.0 */
/* A census: who held what at one moment, as entries of a history file. It has the largest budgets, pools and caches of
 * a guard, an entry each (codec.h), all with the same time.
 *
 * A guard's journal takes one when the level rises, because the kernel may kill the process next. Otherwise it takes
 * one a second at first, less often as the process grows older, and at least one a minute. A reader keeps the last one
 * of which all entries of a kind are whole. */
#ifndef HRI_REPORT_CENSUS_H
#define HRI_REPORT_CENSUS_H

#include "base/figures.h"
#include "report/codec.h"
#include "report/text.h"

#define HRI_CENSUS_INTERVAL_MIN_NS INT64_C(1000000000)
#define HRI_CENSUS_INTERVAL_MAX_NS INT64_C(60000000000)

/* The most entries of a census. */
#define HRI_CENSUS_ENTRIES (HR_CENSUS_KINDS * HR_CENSUS_ROWS)

/* When a journal has taken one last. */
typedef struct hri_census_times {
    bool begun;
    int64_t begin_ns, last_ns;
    hr_level level; /* as it was seen last */
} hri_census_times;

/* Says whether a census is due, and takes it for taken then. */
bool hri_census_is_due(hri_census_times *times, hr_level level, int64_t now_ns);

/* Reads the largest budgets, pools and caches of a registry, and writes an entry for each to `ret_bytes`. Gives the
 * number of entries. */
size_t hri_census_encode(hri_figure_registry *registry, const hri_census_entry *moment,
                         unsigned char ret_bytes[HRI_CENSUS_ENTRIES * HRI_ENTRY_BYTES]);

/* The entries of a file, as they come. */
typedef struct hri_census_reader {
    hr_census *census; /* the last whole one */
    hri_census_entry begun[HR_CENSUS_ROWS];
    size_t count; /* of those that have come of a kind */
} hri_census_reader;

void hri_census_take(hri_census_reader *reader, const hri_census_entry *entry);

/* Puts a census as members of an object that has some already: a list for each kind that there is. */
void hri_census_put(const hr_census *census, hri_text *text);

#endif
