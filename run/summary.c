/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome of a run: for people on standard error, and as JSON. */
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A run that was over before it was looked at: the largest of its processes says something, files included. */
static uint64_t peak(const run_supervisor *run)
{
    uint64_t charged = run_wall_peak(&run->wall), most = run->rss_peak_bytes;
    bool seen = run->peak_bytes > 0 && run_now_ns() - run->begin_ns > RUN_SECOND_NS / 2;
    most = charged != HR_NONE && charged < most ? charged : most;
    return seen || most < run->peak_bytes ? run->peak_bytes : most;
}

/* How it ended, and by whom. The status of a process that is no child is not known; a watcher that has left knows
 * nothing at all. SIGKILL does not say who has sent it: where headroom and the kernel have, it may be either's. */
static const char *ended_by(const run_supervisor *run)
{
    bool by_signal = !run->options.pid && WIFSIGNALED(run->status);
    bool killed = run->options.pid || (by_signal && WTERMSIG(run->status) == SIGKILL);
    if (run->has_left)
        return "nobody: its watcher has left";
    if (killed && ((run->killed && !run->may_not) || run->asked == SIGKILL))
        return run->kills ? "headroom, or the kernel for want of memory: both have killed" : "headroom";
    if (run->asked && (!killed || run->options.pid))
        return "itself, asked by headroom";
    if (run->options.pid)
        return "itself or others";
    if (killed)
        return run->kills ? "the kernel, for want of memory" : "SIGKILL from elsewhere, or the kernel";
    return by_signal ? "a signal" : "itself";
}

/* Of a process that is no child only SIGKILL by headroom tells how it ended. */
static bool knows_status(const run_supervisor *run)
{
    return !run->options.pid ||
           (!run->has_left && !run->kills && ((run->killed && !run->may_not) || run->asked == SIGKILL));
}

static int status_of(const run_supervisor *run, int status)
{
    return run->options.pid ? 128 + SIGKILL : status;
}

/* ── JSON ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

static json_t *bytes_of(uint64_t bytes)
{
    return bytes == HR_NONE ? json_null() : json_integer((json_int_t)(bytes < INT64_MAX ? bytes : INT64_MAX));
}

static double seconds_of(int64_t ns)
{
    return (double)ns / RUN_SECOND_NS;
}

static void add_notes(const run_supervisor *run, json_t *levels, json_t *actions)
{
    for (size_t i = 0; i < run->note_count && i < RUN_NOTES_MAX; i++) {
        const run_note *note = &run->notes[i];
        json_t *each = json_pack("{s:f, s:o, s:o}", "time_s", seconds_of(note->time_ns), "use_bytes",
                                 bytes_of(note->use_bytes), "limit_bytes", bytes_of(note->limit_bytes));
        if (!each)
            continue;
        if (note->action[0]) {
            json_object_set_new(each, "level", json_string(hr_level_text(note->to)));
            json_object_set_new(each, "trigger", json_string(note->trigger));
            json_object_set_new(each, "action", json_string(note->action));
            json_array_append_new(actions, each);
        } else {
            json_object_set_new(each, "from", json_string(hr_level_text(note->from)));
            json_object_set_new(each, "to", json_string(hr_level_text(note->to)));
            json_array_append_new(levels, each);
        }
    }
}

static json_int_t refusals(const run_supervisor *run)
{
    return run->heap.page ? (json_int_t)atomic_load(&run->heap.page->refusals) : 0;
}

/* The figures of the heap's page, beside those of the watch. */
static json_t *heap_figures(const run_supervisor *run)
{
    const hri_malloc_page *page = run->heap.page;
    if (!page)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "programs", (json_int_t)run->heap.entered, "charged_bytes",
                     (json_int_t)atomic_load(&page->used_bytes), "charged_peak_bytes",
                     (json_int_t)atomic_load(&page->peak_bytes), "live_bytes", (json_int_t)run->heap.live_bytes,
                     "live_peak_bytes", (json_int_t)run->heap.live_peak_bytes, "waits",
                     (json_int_t)atomic_load(&page->waits), "foreign_blocks", (json_int_t)atomic_load(&page->foreign));
}

static json_t *build(const run_supervisor *run, int status)
{
    json_t *levels = json_array(), *actions = json_array(), *command = json_array();
    for (char **word = run->options.command; word && *word; word++)
        json_array_append_new(command, json_string(*word) ?: json_string("?"));
    add_notes(run, levels, actions);
    uint64_t left_out = run->note_count > RUN_NOTES_MAX ? run->note_count - RUN_NOTES_MAX : 0;
    return json_pack("{s:o, s:i, s:o, s:s, s:o, s:I, s:o, s:o, s:I, s:I, s:b, s:o, s:o, s:s, s:s, s:f}", "command",
                     command, "pid", run->pid, "limit_bytes", bytes_of(run->use.limit_bytes), "limit_source",
                     run->limit_source, "peak_bytes", bytes_of(peak(run)), "refusals", refusals(run), "levels", levels,
                     "actions", actions, "left_out", (json_int_t)left_out, "kernel_kills", (json_int_t)run->kills,
                     "heap", run->heap.entered > 0, "heap_figures", heap_figures(run), "exit_status",
                     knows_status(run) ? json_integer(status_of(run, status)) : json_null(), "ended_by", ended_by(run),
                     "wall", run->wall.why, "time_s", seconds_of(run_now_ns() - run->begin_ns));
}

bool run_summary_open(run_supervisor *run)
{
    bool is_stdout = strcmp(run->options.summary, "-") == 0;
    struct stat history, summary;
    if (!is_stdout && run->options.report && stat(run->options.report, &history) == 0 &&
        stat(run->options.summary, &summary) == 0 && S_ISREG(summary.st_mode) && history.st_dev == summary.st_dev &&
        history.st_ino == summary.st_ino) {
        run_tell(run, "--summary-json '%s' is the file of --report: give another one", run->options.summary);
        return false;
    }
    run->summary = is_stdout ? stdout : fopen(run->options.summary, "we");
    if (!run->summary)
        run_tell(run, "--summary-json '%s' cannot be written: %s", run->options.summary, strerror(errno));
    return run->summary != NULL;
}

static void write_json(run_supervisor *run, int status)
{
    json_t *object = build(run, status);
    bool written = object && json_dumpf(object, run->summary, JSON_INDENT(2) | JSON_ENSURE_ASCII) == 0;
    int error = !object ? ENOMEM : written ? 0 : errno;
    json_decref(object);
    if (fputs("\n", run->summary) < 0 || fflush(run->summary) != 0)
        error = error ? error : errno;
    if (!error)
        return;
    run_tell(run, "--summary-json '%s' cannot be written: %s", run->options.summary, strerror(error));
    __fpurge(run->summary); /* said; the exit status is the command's */
    clearerr(run->summary);
}

/* The lowest bound of the heap, where the groups around left less than the limit. */
static const char *least_text(const run_supervisor *run, char text[64])
{
    char size[16];
    hr_size_format(run->heap.least_bytes, size, sizeof size);
    bool lower = run->heap.least_bytes < run->use.limit_bytes;
    snprintf(text, 64, lower ? "; what is around left it %s" : "%s", lower ? size : "");
    return text;
}

/* ── text ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* "ended with status 3 after 1.2 s, by itself" */
static const char *end_text(const run_supervisor *run, int status, char text[RUN_TEXT_BYTES])
{
    double time_s = seconds_of(run_now_ns() - run->begin_ns);
    if (run->has_left)
        snprintf(text, RUN_TEXT_BYTES, "is watched no more after %.1f s and runs on", time_s);
    else if (knows_status(run))
        snprintf(text, RUN_TEXT_BYTES, "ended with status %d after %.1f s, by %s", status_of(run, status), time_s,
                 ended_by(run));
    else
        snprintf(text, RUN_TEXT_BYTES, "ended with a status that is not known after %.1f s, by %s", time_s,
                 ended_by(run));
    return text;
}

void run_summary_print(run_supervisor *run, int status)
{
    char limit[16], most[16], least[64], live[16], end[RUN_TEXT_BYTES];
    size_t actions = 0;
    if (run->summary)
        write_json(run, status);
    if (run->options.quiet)
        return;
    for (size_t i = 0; i < run->note_count && i < RUN_NOTES_MAX; i++)
        actions += run->notes[i].action[0] != '\0';
    hr_size_format(run->use.limit_bytes, limit, sizeof limit);
    hr_size_format(peak(run), most, sizeof most);
    hr_size_format(run->heap.live_peak_bytes, live, sizeof live);
    run_tell(run, "%s (%d) %s; at most %s of %s (%s), %zu action%s, %" PRIu64 " killed by the kernel", run->name,
             run->pid, end_text(run, status, end), most, limit, run->limit_source, actions, actions == 1 ? "" : "s",
             run->kills);
    run_tell(run, "wall: %s", run->wall.why);
    if (run->heap.page && run->heap.entered == 0)
        run_tell(run, "headroom's malloc was in no program of it: the watch held the limit alone");
    else if (run->heap.page)
        run_tell(
            run, "heap: %" PRIu64 " program%s, %" PRIu64 " request%s refused, %" PRIu64 " waited, at most %s live%s",
            run->heap.entered, run->heap.entered == 1 ? "" : "s", (uint64_t)refusals(run),
            refusals(run) == 1 ? "" : "s", (uint64_t)atomic_load(&run->heap.page->waits), live, least_text(run, least));
}
