/* SPDX-License-Identifier: Apache-2.0 */
/* One table names every figure of a guard once; the formats walk it. All names are ours and need no escaping, except
 * for limit_source, which may carry the path of a cgroup, and holder, which may carry the name of a budget.
 */
#include "report/page.h"

#include <errno.h>
#include <string.h>

#define FIGURE(field, kind, text) METRIC(field, NULL, kind, text)
#define METRIC(field, metric, kind, text)                                                                              \
    {                                                                                                                  \
        {#field, metric, kind, text}, offsetof(hr_figures, field)                                                      \
    }

const hri_own_figure hri_own_figures[] = {
    FIGURE(limit_bytes, HRI_BYTES, "what the root budget may grant at most"),
    FIGURE(live_bytes, HRI_BYTES, "charged and not given back"),
    FIGURE(promised_bytes, HRI_BYTES, "admitted and not yet spent"),
    FIGURE(peak_bytes, HRI_BYTES, "most that was held and promised at once"),
    METRIC(total_bytes, "held_bytes", HRI_COUNTER_BYTES, "everything ever held"),
    FIGURE(rss_bytes, HRI_BYTES, "resident set of this process"),
    FIGURE(cgroup_bytes, HRI_BYTES, "the binding cgroup without page cache"),
    FIGURE(cgroup_anonymous_bytes, HRI_BYTES, "cgroup memory: anonymous, shared, locked"),
    FIGURE(cgroup_kernel_bytes, HRI_BYTES, "cgroup memory: the kernel's, and sockets"),
    FIGURE(cgroup_limit_bytes, HRI_BYTES, "limit of the binding cgroup"),
    FIGURE(cgroup_cache_bytes, HRI_BYTES, "page cache of the binding cgroup"),
    FIGURE(others_bytes, HRI_BYTES, "cgroup memory outside of the budget"),
    FIGURE(host_available_bytes, HRI_BYTES, "what the host could still give"),
    FIGURE(committed_bytes, HRI_BYTES, "what the library's heap has of the kernel"),
    FIGURE(idle_bytes, HRI_BYTES, "of that, idle: can be given back at once"),
    FIGURE(pending_bytes, HRI_BYTES, "granted and not resident yet"),
    FIGURE(lease_bytes, HRI_BYTES, "what the kernel's limits still leave"),
    FIGURE(lease_processes, HRI_COUNT, "processes that share the lease"),
    FIGURE(reserve_bytes, HRI_BYTES, "emergency reserve in hand"),
    FIGURE(reliefs, HRI_COUNTER, "times that relief gave something back"),
    FIGURE(relieved_bytes, HRI_COUNTER_BYTES, "what relief gave back"),
    FIGURE(cleanups, HRI_COUNTER, "times that the janitor ran"),
    FIGURE(cleaned_bytes, HRI_COUNTER_BYTES, "what the janitor gave back"),
    FIGURE(cleanup_before_bytes, HRI_BYTES, "resident set before the last cleanup"),
    FIGURE(cleanup_after_bytes, HRI_BYTES, "resident set after the last cleanup"),
    FIGURE(purges, HRI_COUNTER, "times that the allocator was purged"),
    METRIC(purge_longest_ns, "purge_longest_seconds", HRI_NANOSECONDS, "the longest that a purge took"),
    FIGURE(refusals, HRI_COUNTER, "charges and requests refused"),
    FIGURE(refusals_degraded, HRI_COUNTER, "of these: would lead beyond degrade_at"),
    FIGURE(refusals_critical, HRI_COUNTER, "of these: the level was critical"),
    FIGURE(would_have_refused, HRI_COUNTER, "granted; else it would have been refused"),
    FIGURE(would_have_refused_degraded, HRI_COUNTER, "of these: a grant led beyond degrade_at"),
    FIGURE(would_have_refused_critical, HRI_COUNTER, "of these: the level was critical"),
    FIGURE(would_have_relieved, HRI_COUNTER, "times that relief would have been asked"),
    FIGURE(faults, HRI_COUNTER, "misuse that was caught and survived"),
    FIGURE(pressure_wakes, HRI_COUNTER, "looks brought about by memory pressure"),
    METRIC(stalled_ns, "stalled_seconds", HRI_NANOSECONDS, "how long relief has achieved nothing"),
    FIGURE(holder_bytes, HRI_BYTES, "what the largest holder has in a stall"),
};

const size_t hri_own_figure_count = sizeof hri_own_figures / sizeof *hri_own_figures;

uint64_t hri_own_value(const hr_figures *figures, const hri_own_figure *figure)
{
    uint64_t value;
    memcpy(&value, (const char *)figures + figure->offset, sizeof value);
    return value;
}

int hri_report_put(const hri_report *report, hr_format format, hri_text *text)
{
    switch (format) {
    case HR_TEXT:
        hri_report_put_people(report, text);
        return 0;
    case HR_JSON:
        hri_report_put_json(report, text);
        return 0;
    case HR_CSV:
        hri_report_put_csv(report, text);
        return 0;
    case HR_OPENMETRICS:
        hri_report_put_metrics(report, text);
        return 0;
    case HR_HTML:
        return hri_report_put_html(report, text);
    case HR_PAGE_DATA:
        hri_report_put_page_data(report, true, text);
        return 0;
    default:
        return -EINVAL;
    }
}
