/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as text: for people, and as JSON, CSV and OpenMetrics for programs. Pure: figures in, bytes out. */
#ifndef HRI_REPORT_FORMAT_H
#define HRI_REPORT_FORMAT_H

#include <headroom/guard.h>
#include <headroom/report.h>

/* No report is longer than this. */
#define HRI_REPORT_BYTES_MAX 8192

/* Formats as snprintf() does; gives the whole length, or -EINVAL for an unknown format. */
ssize_t hri_report_format(const hr_figures *figures, hr_format format, char *buffer, size_t size);

#endif
