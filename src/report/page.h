/* SPDX-License-Identifier: Apache-2.0 */
/* The page: one HTML file with its data in it. web/ has the page itself, which the build bundles into constants; this
 * room puts the data between them, as JSON that web/src/data.js reads.
 *
 * A run is a table of rows, one for each sample, and its columns share one time. Where there are more rows than points
 * may be drawn, they are taken together in stretches of equal number. Of each stretch and column the least and the most
 * value stay, in the order in which they were. So peaks stay, and so does the way from one to the next. */
#ifndef HRI_REPORT_PAGE_H
#define HRI_REPORT_PAGE_H

#include "base/figures.h"
#include "report/format.h"
#include "report/text.h"

#include <headroom/report.h>

typedef struct hri_page_part {
    const char *bytes;
    size_t size;
} hri_page_part;

/* The page as web/build.mjs bundled it; all sizes are 0 where the build had no npm. */
typedef struct hri_page_bundle {
    hri_page_part head;   /* up to the end of the policy, which goes on with what connections are permitted */
    hri_page_part middle; /* up to the data */
    hri_page_part tail;
    hri_page_part policy; /* the one in `head`, for an HTTP header */
} hri_page_bundle;

extern const hri_page_bundle hri_page;

/* The most points of a series that a page has. */
#define HRI_PAGE_POINTS 4000

/* And a page that asks again each second. */
#define HRI_PAGE_LIVE_POINTS 1000

/* The columns of a row, except for its time; page.c names them. */
typedef enum hri_page_column {
    HRI_PAGE_LEVEL,
    HRI_PAGE_USE,   /* of the ledger that binds */
    HRI_PAGE_LIMIT, /* its limit */
    HRI_PAGE_LIVE,
    HRI_PAGE_RSS,
    HRI_PAGE_CGROUP,
    HRI_PAGE_ANONYMOUS,
    HRI_PAGE_KERNEL,
    HRI_PAGE_CACHE,
    HRI_PAGE_TOTAL,
    HRI_PAGE_REFUSALS,
    HRI_PAGE_REFUSALS_DEGRADED,
    HRI_PAGE_REFUSALS_CRITICAL,
    HRI_PAGE_RELIEVED,
    HRI_PAGE_COLUMNS
} hri_page_column;

typedef struct hri_page_row {
    int64_t wall_ns;
    bool begins;                       /* another process than that of the row before */
    uint64_t values[HRI_PAGE_COLUMNS]; /* HR_NONE where one is absent */
} hri_page_row;

/* The rows of a run, by number; a row that is gone meanwhile is passed over. */
typedef struct hri_page_rows {
    bool (*read)(const void *context, size_t index, hri_page_row *ret_row);
    const void *context;
    size_t count;
} hri_page_rows;

typedef struct hri_page_run {
    hr_page_run said; /* its texts, level, kills, trend and events; its records are in `rows` */
    hri_page_rows rows;
    bool of_cgroup;            /* the ledger that binds is the cgroup, and not the budget */
    bool counts_total;         /* HRI_PAGE_TOTAL is all that was ever held */
    const hr_figures *figures; /* a guard's; NULL: what its rows say */
    hri_figure_registry *registry;
} hri_page_run;

/* Puts the whole JSON of a page: a head, each run, the end. */
void hri_page_put_begin(bool live, hri_text *text);
void hri_page_put_run(const hri_page_run *run, size_t place, size_t points, hri_text *text);
void hri_page_put_end(hri_text *text);

/* Put a guard's page, and its data alone. A page is -ENOTSUP without a bundle. */
int hri_report_put_html(const hri_report *report, hri_text *text);
void hri_report_put_page_data(const hri_report *report, bool live, hri_text *text);

/* A part of the page that is longer than a text's buffer. */
void hri_page_put_part(const hri_page_part *part, hri_text *text);

/* Takes the columns of a record; `of_cgroup` says which ledger is the use. */
void hri_page_row_of(const hr_record *record, bool of_cgroup, hri_page_row *ret_row);

#endif
