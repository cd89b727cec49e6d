/* SPDX-License-Identifier: Apache-2.0 */
/* Lines through bins: numbers in, numbers out. Nothing allocates, and nothing needs libm. */
#ifndef HRI_REPORT_FIT_H
#define HRI_REPORT_FIT_H

#include "report/series.h"

/* A line through the lowest points of bins. */
typedef struct hri_fit {
    double slope;                 /* a second */
    double slope_low, slope_high; /* -INFINITY and INFINITY where there are too few points for an interval */
    bool sure;     /* rising at 99.9 % of certainty, not only at the 95 % of the interval; or without one exception */
    double spread; /* of the points around the line: the median of the distances, as a standard deviation */
} hri_fit;

/* The slope by Theil and Sen: the median of the slopes of all pairs, which a quarter of all points cannot lead astray.
 * Its interval, at 95 %, is that of Sen (Estimates of the regression coefficient based on Kendall's tau, J. Am. Stat.
 * Assoc. 63, 1968), by ranks, with the variance of Kendall's S and normal approximation as in Gilbert (Statistical
 * Methods for Environmental Pollution Monitoring, 1987, 16.5). That variance is of independent points. Where neighbours
 * are alike it is too small, and is multiplied by (1 + r) / (1 - r) of the neighbours' correlation r (Yue and Wang,
 * Water Resources Management 18, 2004).
 *
 * Needs two bins of different times; gives whether there are. */
bool hri_fit_line(const hri_part *part, hri_fit *ret_fit);

/* The correlation of neighbouring points, once a straight line is taken away: -1 to 1. */
double hri_fit_correlation(const hri_part *part);

/* The rest that a straight line leaves: the standard deviation of the points around it. */
double hri_fit_scatter(const hri_part *part);

/* Correlations of independent points pass this only once in twenty times. */
double hri_fit_correlation_limit(unsigned count);

/* The bin at which two lines fit so much better than one that chance will not do it: 0 if there is none. */
unsigned hri_fit_break(const hri_part *part);

/* Do the points rise in few steps, with levels between them, rather than along a line? By the F of the best staircase
 * of one to three steps, which is found as Bellman did (Communications of the ACM 4, 1961), against the line. */
bool hri_fit_is_staircase(const hri_part *part);

/* The median of the points' heights at time 0, were they moved along a line of `slope`: of the lowest or of the highest
 * points. And the largest of the highest ones. */
double hri_fit_height(const hri_part *part, double slope, bool highest);
double hri_fit_crest(const hri_part *part, double slope);

#endif
