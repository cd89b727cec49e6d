/* SPDX-License-Identifier: Apache-2.0 */
/* A guard's status page, for programs that list guarded processes; it is written by the monitor (report/status.h). */
#include "guard/rooms.h"

#include "base/checked.h"

#include <errno.h>
#include <stdio.h>
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
    hri_snapshot snapshot;
    hri_accounts accounts;
    hri_watcher_read_now(&guard->watcher, &snapshot, &accounts);
    const hri_ledgers *ledgers = &snapshot.ledgers;
    bool limited = ledgers->worst_limit_bytes != HR_NONE;
    hr_status status = {
        .level = hr_guard_level(guard),
        .use_bytes = limited ? ledgers->worst_use_bytes : hri_add(accounts.held_bytes, accounts.promised_bytes),
        .limit_bytes = ledgers->worst_limit_bytes,
        .peak_bytes = accounts.peak_bytes,
        .refusals = accounts.refused.all,
        .live_bytes = accounts.held_bytes,
    };
    snprintf(status.name, sizeof status.name, "%s", program_invocation_short_name);
    hri_status_put(&guard->status, &status, now_ns);
}
