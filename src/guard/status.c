/* SPDX-License-Identifier: Apache-2.0 */
/* A guard's status page, for programs that list guarded processes; it is written by the monitor (report/status.h). */
#include "guard/rooms.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_NS (HRI_SECOND / 2)
#define RETRY_NS (30 * HRI_SECOND)

void hri_guard_say_status(hr_guard *guard, int64_t now_ns)
{
    if (!guard->says_status || now_ns < guard->next_status_ns)
        return;
    guard->next_status_ns = now_ns + INTERVAL_NS;
    if (!guard->status.file && hri_status_open(&guard->status, getpid()) != 0) {
        guard->next_status_ns = now_ns + RETRY_NS;
        return;
    }
    hr_figures figures;
    hr_guard_read(guard, &figures);
    bool of_cgroup = strcmp(figures.use_source, "cgroup") == 0;
    hr_status status = {
        .level = figures.level,
        .use_bytes = of_cgroup ? figures.cgroup_bytes : figures.live_bytes + figures.promised_bytes,
        .limit_bytes = of_cgroup ? figures.cgroup_limit_bytes : figures.limit_bytes,
        .peak_bytes = figures.peak_bytes,
        .refusals = figures.refusals,
        .live_bytes = figures.live_bytes,
    };
    snprintf(status.name, sizeof status.name, "%s", program_invocation_short_name);
    hri_status_put(&guard->status, &status, now_ns);
}
