/* SPDX-License-Identifier: Apache-2.0 */
/* page_history FILE COUNT writes a history file of COUNT samples of a second each: a wave between 5 and 98 % of 100
 * MiB with levels, refusals and events. One of the events is of a budget with HTML in its name, which the command's
 * line has too. The highest sample, 99 MiB, is there once, in the middle: a page of fewer points has it too. */
#include <headroom/headroom.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define BEGIN_NS (INT64_C(1780000000) * 1000000000)

static hr_level level_of(double use)
{
    return use > 0.95 ? HR_CRITICAL : use > 0.90 ? HR_DEGRADED : use > 0.80 ? HR_WARNING : HR_NORMAL;
}

static void add_events(hr_history_writer *writer, const hr_record *record, hr_level before)
{
    hr_event event = {.time_ns = record->time_ns,
                      .wall_ns = record->wall_ns,
                      .kind = HR_EVENT_LEVEL,
                      .from = before,
                      .to = record->level,
                      .live_bytes = record->live_bytes};
    hr_history_writer_add(writer, &(hr_history_entry){.is_event = true, .event = event});
    event.kind = HR_EVENT_REFUSALS;
    event.refused_by_limit = 3;
    snprintf(event.budget, sizeof event.budget, "</script><script>document.title=1</script>");
    hr_history_writer_add(writer, &(hr_history_entry){.is_event = true, .event = event});
}

int main(int count, char **words)
{
    hr_history_writer *writer;
    if (count != 3 || hr_history_writer_new(words[1], UINT64_C(1) << 30, &writer) != 0)
        return 1;
    hr_history_writer_describe(writer, "shop --title </script><script>document.title=1</script>", "--limit");
    int samples = atoi(words[2]);
    uint64_t refusals = 0, total = 0;
    hr_level before = HR_NORMAL;
    for (int i = 0; i < samples; i++) {
        double use = 0.50 + 0.45 * sin(i * 12.0 / samples) + 0.01 * (i * 7919 % 100) / 100.0;
        use = i == samples / 2 ? 0.99 : use;
        hr_level level = level_of(use);
        refusals += level >= HR_DEGRADED ? 2 : 0;
        total += 500000;
        hr_history_entry entry = {.record = {
                                      .time_ns = (int64_t)i * 1000000000,
                                      .wall_ns = BEGIN_NS + (int64_t)i * 1000000000,
                                      .live_bytes = (uint64_t)(use * 100) * MIB,
                                      .total_bytes = total,
                                      .rss_bytes = (uint64_t)(use * 110) * MIB,
                                      .cgroup_bytes = HR_NONE,
                                      .cgroup_anonymous_bytes = HR_NONE,
                                      .cgroup_kernel_bytes = HR_NONE,
                                      .cgroup_cache_bytes = 3 * MIB,
                                      .level = level,
                                      .limit_bytes = 100 * MIB,
                                      .refusals = refusals,
                                      .refusals_degraded = refusals / 2,
                                      .relieved_bytes = refusals * 1000,
                                      .use = use,
                                      .decided_by = "budget",
                                  }};
        if (hr_history_writer_add(writer, &entry) != 0)
            return 1;
        if (level != before)
            add_events(writer, &entry.record, before);
        before = level;
    }
    hr_history_writer_free(writer);
    return 0;
}
