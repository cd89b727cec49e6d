/* SPDX-License-Identifier: Apache-2.0 */
/* Pressure stall information (PSI): for how much of the time tasks stood still because memory was short. */
#ifndef HRI_OS_STALLS_H
#define HRI_OS_STALLS_H

#include <stdbool.h>
#include <stdint.h>

/* Per cent of the last 10, 60 and 300 seconds, and microseconds since the group was made. */
typedef struct hri_stalled_time {
    double avg10, avg60, avg300;
    uint64_t total_us;
} hri_stalled_time;

typedef struct hri_stalls {
    bool known;
    hri_stalled_time some; /* at least one task stood still */
    hri_stalled_time full; /* all tasks did */
} hri_stalls;

/* Parses memory.pressure. Gives 0, or -ENODATA where one of the two lines is absent, cut, or says no numbers. */
int hri_stalls_parse(const char *text, hri_stalls *ret_stalls);

/* Reads an open memory.pressure. Figures that cannot be read are not known. */
void hri_stalls_read(int fd, hri_stalls *ret_stalls);

#endif
