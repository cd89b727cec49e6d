/* SPDX-License-Identifier: Apache-2.0 */
/* Reports while the command runs: lines for people, a status line at a terminal, notes for the summary, samples for the
 * history file. */
#include "supervisor.h"

#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define RECORD_NS RUN_SECOND_NS
#define LINE_NS RUN_SECOND_NS
#define LINE_BEGIN "\r\033[K"

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * RUN_SECOND_NS + now.tv_nsec;
}

/* Writes where that does not wait: a reader that has stopped must not stop the supervisor. */
static void write_error(const char *text)
{
    struct pollfd file = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&file, 1, 0) == 1 && file.revents & POLLOUT && write(STDERR_FILENO, text, strlen(text)) < 0)
        return; /* nobody is left to tell it to */
}

void run_tell(run_supervisor *run, const char *format, ...)
{
    static const char name[] = "headroom run: ";
    char line[1024];
    size_t at = sizeof name - 1;
    memcpy(line, name, at);
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(line + at, sizeof line - at - 1, format, rest);
    va_end(rest);
    at += length < 0 ? 0 : (size_t)length < sizeof line - at - 1 ? (size_t)length : sizeof line - at - 2;
    memcpy(line + at, "\n", 2);
    run_line_clear(run);
    write_error(line);
}

const char *run_use_text(const run_supervisor *run, char text[RUN_TEXT_BYTES])
{
    char use[16], limit[16], rate[16], near[64] = "";
    double own = run->use.limit_bytes > 0 ? (double)run->use.use_bytes / (double)run->use.limit_bytes : 1;
    hr_size_format(run->use.use_bytes, use, sizeof use);
    hr_size_format(run->use.limit_bytes, limit, sizeof limit);
    double bytes = run->rate < 0 ? -run->rate : run->rate;
    hr_size_format((uint64_t)bytes, rate, sizeof rate);
    if (run->use.share > own) {
        char size[16];
        hr_size_format(run->use.near_bytes, size, sizeof size);
        snprintf(near, sizeof near, ", with others %.1f %% of %s around it", run->use.share * 100, size);
    }
    snprintf(text, RUN_TEXT_BYTES, "%s of %s (%.1f %%)%s, %s by %s/s", use, limit, own * 100, near,
             run->rate < 0 ? "shrinking" : "growing", rate);
    return text;
}

static void record_action(run_supervisor *run, const char *trigger, const char *action);

const char *run_on_limit_text(run_on_limit on_limit)
{
    static const char *const words[] = {[RUN_LIMIT_TERM] = "term",
                                        [RUN_LIMIT_FREEZE] = "freeze",
                                        [RUN_LIMIT_ABORT] = "abort",
                                        [RUN_LIMIT_FAIL] = "fail",
                                        [RUN_LIMIT_WAIT] = "wait"};
    return (size_t)on_limit < sizeof words / sizeof *words ? words[on_limit] : NULL;
}

/* ── notes ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void note(run_supervisor *run, const run_note *what)
{
    if (run->note_count < RUN_NOTES_MAX) {
        run_note *new = &run->notes[run->note_count];
        *new = *what;
        new->time_ns = run_now_ns() - run->begin_ns;
        new->use_bytes = run->use.use_bytes;
        new->limit_bytes = run->use.limit_bytes;
    }
    run->note_count++;
}

void run_note_action(run_supervisor *run, const char *trigger, const char *action)
{
    run_note new = {.from = run->level, .to = run->level};
    snprintf(new.trigger, sizeof new.trigger, "%s", trigger);
    snprintf(new.action, sizeof new.action, "%s", action);
    note(run, &new);
    record_action(run, trigger, action);
}

void run_note_level(run_supervisor *run, hr_level from, hr_level to)
{
    note(run, &(run_note){.from = from, .to = to});
    run_record_level(run, from, to);
}

/* ── the status line ────────────────────────────────────────────────────────────────────────────────────────────── */

/* A program that has taken the terminal for itself, such as an editor, is left alone; so is one in the background. */
static bool may_write_line(const run_supervisor *run)
{
    struct termios mode;
    return run->is_terminal && !run->options.quiet && tcgetpgrp(STDERR_FILENO) == getpgrp() &&
           tcgetattr(STDERR_FILENO, &mode) == 0 && (mode.c_lflag & ICANON);
}

static void write_time_until_full(const run_supervisor *run, char *text, size_t size)
{
    double seconds = run->rate > 1 ? (double)run->use.left_bytes / run->rate : -1;
    if (seconds < 0 || seconds > 86400)
        text[0] = '\0';
    else
        snprintf(text, size, ", full in %.0f s", seconds);
}

void run_line_show(run_supervisor *run)
{
    char use[RUN_TEXT_BYTES], until[32], live[32] = "", size[16], line[RUN_TEXT_BYTES + 112];
    if (run->sampled_ns - run->lined_ns < LINE_NS || !may_write_line(run))
        return;
    run->lined_ns = run->sampled_ns;
    write_time_until_full(run, until, sizeof until);
    hr_size_format(run->heap.live_bytes, size, sizeof size);
    if (run->heap.entered > 0)
        snprintf(live, sizeof live, ", %s live", size);
    snprintf(line, sizeof line, LINE_BEGIN "%s: %s%s%s", run->frozen ? "frozen" : hr_level_text(run->level),
             run_use_text(run, use), until, live);
    struct winsize window;
    size_t most = sizeof line - 1;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1)
        most = sizeof LINE_BEGIN - 1 + window.ws_col - 1; /* a line that wraps is not written over */
    if (strlen(line) > most)
        line[most] = '\0';
    write_error(line);
    write_error("\r");
    run->has_line = true;
}

void run_line_clear(run_supervisor *run)
{
    if (run->has_line)
        write_error(LINE_BEGIN);
    run->has_line = false;
}

/* ── the history file ───────────────────────────────────────────────────────────────────────────────────────────── */

/* A short run has a history too: its first ten seconds are recorded up to a hundred times a second, its first minute up
 * to ten times. No record comes without a look. */
static int64_t record_pause_ns(const run_supervisor *run)
{
    int64_t age_ns = run->sampled_ns - run->begin_ns;
    return age_ns < 10 * RUN_SECOND_NS ? RECORD_NS / 100 : age_ns < 60 * RUN_SECOND_NS ? RECORD_NS / 10 : RECORD_NS;
}

/* The tree's memory is what is live; nothing else is known of it. */
void run_record(run_supervisor *run)
{
    if ((!run->history && !run->serve) ||
        (run->recorded_ns && run->sampled_ns - run->recorded_ns < record_pause_ns(run)))
        return;
    run->recorded_ns = run->sampled_ns;
    hr_history_entry entry = {.record = {
                                  .time_ns = run->sampled_ns,
                                  .wall_ns = wall_ns(),
                                  .live_bytes = run->use.use_bytes,
                                  .total_bytes = run->peak_bytes,
                                  .rss_bytes = HR_NONE,
                                  .cgroup_bytes = run->inside->cgroup_bytes,
                                  .cgroup_anonymous_bytes = HR_NONE,
                                  .cgroup_kernel_bytes = HR_NONE,
                                  .cgroup_cache_bytes = run->inside->cgroup_cache_bytes,
                                  .level = run->level,
                                  .limit_bytes = run->use.limit_bytes,
                                  .refusals = HR_NONE,
                                  .refusals_degraded = HR_NONE,
                                  .refusals_critical = HR_NONE,
                              }};
    if (run->history) { /* a disk that is full ends nothing */
        hr_history_writer_describe(run->history, run->command, run->limit_source);
        hr_history_writer_add(run->history, &entry);
    }
    if (run->serve)
        run_serve_sample(run->serve, &entry.record, run->limit_source);
}

/* Completes an event and hands it to file and page. */
static void record_event(run_supervisor *run, hr_event event)
{
    event.time_ns = run_now_ns();
    event.wall_ns = wall_ns();
    event.live_bytes = run->use.use_bytes;
    if (run->history)
        hr_history_writer_add(run->history, &(hr_history_entry){.is_event = true, .event = event});
    if (run->serve)
        run_serve_event(run->serve, &event);
}

void run_record_level(run_supervisor *run, hr_level from, hr_level to)
{
    record_event(run, (hr_event){.kind = HR_EVENT_LEVEL, .from = from, .to = to});
}

static void record_action(run_supervisor *run, const char *trigger, const char *action)
{
    hr_event event = {.kind = HR_EVENT_ACTION, .from = run->level, .to = run->level};
    snprintf(event.budget, sizeof event.budget, "%s (%s)", action, trigger);
    record_event(run, event);
}

/* Behind the wall, or in the group that the command is in; HR_NONE where neither can be seen. */
uint64_t run_kills(const run_supervisor *run)
{
    if (run->wall.kind != RUN_WALL_NONE)
        return run_wall_kills(&run->wall);
    if (!run->around->cgroup_folder)
        return HR_NONE;
    uint64_t all = run_group_kills((unsigned)run->around->cgroup_version, run->around->cgroup_folder);
    return all > run->kills_before ? all - run->kills_before : 0;
}

void run_record_kills(run_supervisor *run)
{
    hr_event event = {.kind = HR_EVENT_KERNEL_KILL, .from = run->level, .to = run->level, .kills = run_kills(run)};
    if (event.kills == HR_NONE)
        return;
    if (run->serve)
        run_serve_kills(run->serve, event.kills);
    record_event(run, event);
}

void run_say_status(run_supervisor *run)
{
    if (!run->status_page || (run->said_ns && run->sampled_ns - run->said_ns < RECORD_NS / 2))
        return;
    run->said_ns = run->sampled_ns;
    hr_status status = {
        .watched = true,
        .level = run->level,
        .use_bytes = run->use.use_bytes,
        .limit_bytes = run->use.limit_bytes,
        .peak_bytes = run->peak_bytes,
        .refusals = run->heap.entered > 0 ? atomic_load(&run->heap.page->refusals) : HR_NONE,
        .live_bytes = run->heap.entered > 0 ? run->heap.live_bytes : HR_NONE,
    };
    snprintf(status.name, sizeof status.name, "%s", run->name);
    hr_status_page_set(run->status_page, &status);
}
