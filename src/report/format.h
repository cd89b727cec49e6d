/* SPDX-License-Identifier: Apache-2.0 */
/* Reports as text: for people, and as JSON, CSV and OpenMetrics for programs. Facts go in, bytes come out; a format
 * has a file of its own. */
#ifndef HRI_REPORT_FORMAT_H
#define HRI_REPORT_FORMAT_H

#include "base/figures.h"
#include "report/history.h"
#include "report/text.h"

#include <headroom/guard.h>
#include <headroom/report.h>

/* The contents of a report; NULL is left out, except for the figures. */
typedef struct hri_report {
    const hr_figures *figures;
    const char *explanation; /* a sentence */
    const hr_trend *trend;
    hri_history *history;
    hri_figure_registry *registry;
} hri_report;

/* Puts a report. Gives 0, or -EINVAL for an unknown format. */
int hri_report_put(const hri_report *report, hr_format format, hri_text *text);

/* The formats. */
void hri_report_put_people(const hri_report *report, hri_text *text);
void hri_report_put_json(const hri_report *report, hri_text *text);
void hri_report_put_csv(const hri_report *report, hri_text *text);
void hri_report_put_metrics(const hri_report *report, hri_text *text);

/* Puts the things of a source as members of an object that has some already: a list, and how many are left out. */
void hri_report_put_sheet(const hri_figure_sheet *sheet, hri_text *text);

/* A trend in words: a sentence without its full stop. */
void hri_trend_put(const hr_trend *trend, hri_text *text);

/* A guard's own figures. */
typedef struct hri_own_figure {
    hri_figure figure;
    size_t offset; /* in hr_figures */
} hri_own_figure;

extern const hri_own_figure hri_own_figures[];
extern const size_t hri_own_figure_count;
uint64_t hri_own_value(const hr_figures *figures, const hri_own_figure *figure);

/* The number of the newest buckets of a tier a report shows at most; all hours are. */
#define HRI_REPORT_BUCKETS 60

/* The buffer that a text that streams needs. */
#define HRI_REPORT_STREAM_BYTES 4096

#endif
