/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/survey_notes.h"

#include "base/checked.h"

/* Dirty pages are worth a word from this part of the limit on: beyond a fifth of memory the kernel itself makes writers
 * wait. Swap from a sixteenth on, doubtful kernel memory from an eighth on. */
#define DIRTY_SHARE 5
#define SWAP_SHARE 16
#define DOUBTFUL_SHARE 8

/* More open files than any program has: some make a table of them, or close each after a fork. */
#define FILES_ABSURD (UINT64_C(1) << 20)

/* A group at memory.high is throttled where tasks stand still for more than this part of the time. */
#define THROTTLED_PER_CENT 5

static const hri_cgroup_reading *shown(const hri_survey_facts *facts)
{
    return facts->shown < 0 ? NULL : &facts->books->reading->groups[facts->shown];
}

static void note_throttled(const hri_survey_facts *facts, hri_findings *findings)
{
    const hri_reading *reading = facts->books->reading;
    const hri_cgroup_reading *group = shown(facts);
    if (!group || group->limits.second_bytes >= group->limits.max_bytes || reading->events.high == HR_NONE ||
        reading->events.high == 0)
        return;
    bool stalled = reading->stalls.known
                       ? reading->stalls.some.avg10 >= THROTTLED_PER_CENT
                       : group->current_bytes != HR_NONE && group->current_bytes >= group->limits.second_bytes;
    if (stalled)
        hri_findings_note(
            findings, "throttled-at-high",
            "Give memory back, or raise memory.high (systemd: MemoryHigh=); until then each allocation waits.",
            "The cgroup is held up at its memory.high: it went beyond it %llu times, and tasks stood still for "
            "%.0f %% of the last ten seconds.",
            (unsigned long long)reading->events.high, reading->stalls.some.avg10);
}

static void note_thrashing(const hri_survey_facts *facts, hri_findings *findings)
{
    const hri_reading *reading = facts->books->reading;
    const hri_cgroup_reading *group = shown(facts);
    char back[16];
    if (facts->strained == HR_NORMAL)
        return;
    static const char advice[] =
        "Give memory back or raise the limit: the kernel drops pages that are needed again at once, "
        "and little gets done before it kills.";
    if (reading->stalls.known && reading->stalls.full.avg10 >= HRI_STRAIN_DEGRADED_PER_CENT)
        hri_findings_note(findings, "thrashing", advice,
                          "All tasks of the cgroup stood still for want of memory for %.0f %% of the last ten seconds.",
                          reading->stalls.full.avg10);
    else if (group)
        hri_findings_note(findings, "thrashing", advice,
                          "The cgroup met its limit %llu times, and %s were read back that had just been dropped.",
                          (unsigned long long)reading->events.max,
                          hr_size_format(group->refault_bytes, back, sizeof back));
}

static void note_group(const hri_survey_facts *facts, hri_findings *findings)
{
    const hri_cgroup_reading *group = shown(facts);
    char size[16], of[16];
    if (!group || group->use_bytes == HR_NONE)
        return;
    const char *limit = group->limit_bytes == HR_NONE ? "no limit" : hr_size_format(group->limit_bytes, of, sizeof of);
    if (group->dirty_bytes > group->limit_bytes / DIRTY_SHARE)
        hri_findings_note(
            findings, "dirty-pages",
            "Write less at once, call fsync() or sync_file_range() now and then, or find out why the file "
            "system (NFS, FUSE, a slow disk) does not write back.",
            "%s of the page cache are dirty or under writeback (of %s): the kernel cannot drop them at once, "
            "so they count as used.",
            hr_size_format(group->dirty_bytes, size, sizeof size), limit);
    if (group->swap_bytes != HR_NONE && group->swap_bytes > group->limit_bytes / SWAP_SHARE)
        hri_findings_note(
            findings, "swap-used",
            "Give memory back, raise the limit, or forbid swap for the group (memory.swap.max 0; systemd: "
            "MemorySwapMax=0): a smaller use that went into swap is no relief.",
            "%s of the cgroup's memory are swapped out (of %s).", hr_size_format(group->swap_bytes, size, sizeof size),
            limit);
    if (group->limit_bytes > 0 && group->doubtful_bytes > group->limit_bytes / DOUBTFUL_SHARE)
        hri_findings_note(
            findings, "kernel-memory",
            "Look for programs that open or look up very many files, and for full pipes and sockets; what files on a "
            "tmpfs pin goes only with the files.",
            "%s of kernel memory do not raise the level: they may be names and inodes of files, which the kernel gives "
            "back when it is short. cgroup v1 does not tell these from pipes and the buffers of sockets, which stay.",
            hr_size_format(group->doubtful_bytes, size, sizeof size));
}

static void note_declared(const hri_survey_facts *facts, hri_findings *findings)
{
    char size[16];
    uint64_t declared_bytes = hri_ledgers_declared(facts->books);
    if (declared_bytes != HR_NONE)
        hri_findings_note(findings, "declared-limit",
                          "Keep it in step with the limit of the platform: where the kernel has a smaller one, that "
                          "one binds.",
                          "%s declares a limit of %s.", facts->books->reading->declared.source,
                          hr_size_format(declared_bytes, size, sizeof size));
}

/* Nothing binds but the host, and there may be a limit that nobody here can see. */
static void note_hidden(const hri_survey_facts *facts, hri_findings *findings)
{
    bool host = facts->ledgers->kernel_limit_index < 0 || facts->ledgers->kernel_limit == HRI_LEDGER_HOST;
    if (findings->limits_hidden && host && shown(facts) && shown(facts)->limit_bytes != HR_NONE)
        return; /* the group has one that is larger than the host */
    if (findings->limits_hidden && host)
        hri_findings_note(
            findings, "limit-not-visible",
            "Declare the limit of the platform with HEADROOM_LIMIT, such as HEADROOM_LIMIT=512M.",
            "No limit but the host's can be seen from here, and a smaller one may hold: of the cgroups above, "
            "which a container or sandbox hides.");
}

void hri_survey_note(const hri_survey_facts *facts, hri_findings *findings)
{
    note_throttled(facts, findings);
    note_thrashing(facts, findings);
    note_group(facts, findings);
    if (facts->files_limit != HR_NONE && facts->files_limit > FILES_ABSURD)
        hri_findings_note(
            findings, "files-limit",
            "Set a smaller one, such as ulimit -n 65536: some programs make a table of as many entries, or "
            "close each after a fork.",
            "The limit on open files (RLIMIT_NOFILE) is %llu.", (unsigned long long)facts->files_limit);
    note_declared(facts, findings);
    note_hidden(facts, findings);
}
