/* SPDX-License-Identifier: Apache-2.0 */
/* The loop. One look serves all of it; how long it waits for the next one is decided by what is left. */
#include "supervisor.h"

#include "image.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS RUN_SECOND_NS
#define SUPERVISOR_BYTES (UINT64_C(1) << 20) /* what the supervisor still takes after its start, page tables included */
#define ACTIONS_WAIT_NS (2 * SECOND_NS)      /* for the actions that still run at the end */
#define DYING_NS (5 * SECOND_NS)             /* a killed process gives its memory back first */
#define START_NS (SECOND_NS / 2)             /* so long use is looked at more often: a short run has a peak too */
#define STALL_NS (2 * SECOND_NS)             /* so long nothing comes back before a line says so */
#define START_POLL_NS (SECOND_NS / 200)

/* ── the limit ──────────────────────────────────────────────────────────────────────────────────────────────────── */

#define LIMIT_MIN_BYTES (UINT64_C(1) << 20) /* what a process takes to become a program */

/* Decides the limit by what is found around. Gives false where there is none. */
static bool find_limit(run_supervisor *run)
{
    const run_options *options = &run->options;
    uint64_t found = run->around->limit_bytes;
    char size[16];
    if (options->limit_bytes) {
        run->use.limit_bytes = options->limit_bytes;
        snprintf(run->limit_source, sizeof run->limit_source, "--limit");
        return true;
    }
    if (found == HR_NONE || found == 0) {
        run_tell(run, "no limit is known here: give one by --limit");
        return false;
    }
    bool share = options->limit_share > 0;
    run->use.limit_bytes = share ? (uint64_t)((double)found * options->limit_share) : run_limit_below(found);
    hr_size_format(found, size, sizeof size);
    snprintf(run->limit_source, sizeof run->limit_source, "%s %s of %.100s",
             share ? "--limit, a share of" : "a little below", size, run->around->limit_source);
    return true;
}

static bool choose_limit(run_supervisor *run)
{
    char size[16];
    if (!find_limit(run))
        return false;
    if (run->use.limit_bytes >= LIMIT_MIN_BYTES || run->options.pid || run->options.observe)
        return true;
    hr_size_format(run->use.limit_bytes, size, sizeof size);
    run_tell(run, "a limit of %s is too small: no program begins in less than 1 MiB: write for example --limit 400M",
             size);
    return false;
}

uint64_t run_slack(uint64_t limit)
{
    return SUPERVISOR_BYTES + limit / 200;
}

/* How far the tree may go without the limit around being met: what else is in the group around, this supervisor too,
 * has its part of that. Where it is more than a sixteenth of the limit it is not allowed for: it may shrink. */
static uint64_t room_around(const run_supervisor *run)
{
    const hr_survey *around = run->around;
    uint64_t found = around->limit_bytes, slack = run_slack(found);
    if (found == HR_NONE)
        return HR_NONE;
    if (around->cgroup_bytes != HR_NONE && around->cgroup_bytes > run->use.use_bytes) /* the tree's own is no other's */
        slack += around->cgroup_bytes - run->use.use_bytes;
    return found - (slack < found / 16 ? slack : found / 16);
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* While the command is being ended the wall may be raised, by an eighth of the limit or 16 MiB at the most. */
uint64_t run_wall_place(const run_supervisor *run, uint64_t limit, uint64_t *ret_ceiling)
{
    uint64_t bytes = run_wall_bytes(run, limit), room = room_around(run), highest = room - room / 200;
    uint64_t more = bytes / 8 > UINT64_C(16) << 20 ? bytes / 8 : UINT64_C(16) << 20;
    if (run->around->cgroup_version == 2 && room != HR_NONE)
        room = highest = room - run_wall_distance(room);
    *ret_ceiling = at_most(bytes + more, room);
    return at_most(bytes, highest);
}

/* ── the heap ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* A limit that the heap holds counts what programs allocate. Their code's own data, stacks and page tables come on top:
 * the watch and the wall stand behind it by an eighth and 16 MiB. */
uint64_t run_wall_bytes(const run_supervisor *run, uint64_t limit)
{
    return run->heap.page ? limit + limit / 8 + (UINT64_C(16) << 20) : limit;
}

/* Has the heap hold the limit, if the command can have it. Where it cannot, the watch holds it alone, by SIGTERM. Gives
 * 0 or an exit status. */
static int open_heap(run_supervisor *run)
{
    run_options *options = &run->options;
    char why[RUN_IMAGE_TEXT_BYTES];
    if (options->on_limit != RUN_LIMIT_FAIL && options->on_limit != RUN_LIMIT_WAIT)
        return 0;
    if (options->observe) {
        run_tell(run, "--on-limit %s: it is only observed: no request is refused, and none waits",
                 run_on_limit_text(options->on_limit));
        return 0;
    }
    if (run_proc_depth() != 0) { /* slots say whose they are by a number in /proc */
        run_tell(run,
                 "--on-limit %s: /proc is another PID namespace's here; the watch holds the limit alone, by SIGTERM",
                 run_on_limit_text(options->on_limit));
        options->on_limit = RUN_LIMIT_TERM;
        return 0;
    }
    if (!run_heap_find(&run->heap, why, sizeof why)) {
        run_tell(run, "--on-limit %s: %s", run_on_limit_text(options->on_limit), why);
        return RUN_EXIT_FAILED;
    }
    if (!run_image_can_enter(options->command[0], why)) {
        run_tell(run, "%s; the watch holds it alone, by SIGTERM at the limit", why);
        options->on_limit = RUN_LIMIT_TERM;
        return 0;
    }
    int error =
        run_heap_open(&run->heap, run->use.limit_bytes,
                      options->on_limit == RUN_LIMIT_WAIT ? HRI_MALLOC_WAIT : HRI_MALLOC_FAIL, options->grace_ns);
    if (error) {
        run_tell(run, "--on-limit %s: the shared page cannot be made: %s", run_on_limit_text(options->on_limit),
                 strerror(-error));
        return RUN_EXIT_FAILED;
    }
    return 0;
}

/* ── signals ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* All that can be sent on are taken by signalfd; faults stay the supervisor's own. */
static int open_signals(run_supervisor *run)
{
    sigset_t taken;
    sigfillset(&taken);
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&taken, own[i]);
    sigprocmask(SIG_SETMASK, &taken, &run->inherited_mask);
    run->signal_fd = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    return run->signal_fd < 0 ? -errno : 0;
}

/* Was it sent by the command or one of its processes, to its own group perhaps? Then it has what it wanted. */
static bool comes_from_within(run_supervisor *run, uint32_t pid)
{
    run_tree_list(&run->tree);
    return run_tree_has(&run->tree, (int)pid);
}

/* Sends a signal on, once. Signals that the terminal sends to the process group have reached the command already.
 * SIGHUP of a terminal that is closed is the exception: the kernel sends it to the leader of the session alone. */
static void forward(run_supervisor *run, const struct signalfd_siginfo *sent)
{
    int signal = (int)sent->ssi_signo;
    bool may_end = run_signal_ends(signal) || signal == SIGHUP;
    bool by_terminal = sent->ssi_code == SI_KERNEL && !(signal == SIGHUP && getsid(0) == getpid());
    if (run->options.pid) { /* somebody else's process: its watcher leaves */
        if (may_end)
            run->has_left = signal;
        return;
    }
    if (!by_terminal && sent->ssi_pid == (uint32_t)getpid()) /* SIGPIPE or SIGXFSZ of the supervisor's own write */
        return;
    if (!by_terminal && sent->ssi_pid && comes_from_within(run, sent->ssi_pid))
        return;
    if (run->frozen && may_end)
        run->let_go_ns = run_now_ns();
    if (run_signal_ends(signal))
        run_make_way(run);
    else if (may_end) /* most daemons only read their configuration again: its wall stays where it is */
        run_thaw(run, "it is sent SIGHUP");
    if (!by_terminal)
        run_send(run, signal);
    else if (signal == SIGTSTP)
        run_child_stop_frozen(run, signal);
}

static void take_signals(run_supervisor *run)
{
    struct signalfd_siginfo sent;
    while (read(run->signal_fd, &sent, sizeof sent) == sizeof sent) {
        if (sent.ssi_signo != SIGCHLD)
            forward(run, &sent);
    }
    run_child_reap(run);
}

/* ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static int64_t pause_ns(const run_supervisor *run, int64_t now_ns)
{
    uint64_t outer_left = run->heap.outer ? run->heap.outer_left_bytes : HR_NONE;
    int64_t pause = run_poll_ns(at_most(run->use.left_bytes, outer_left));
    if (run->frozen)
        pause = RUN_POLL_MAX_NS;
    if (now_ns - run->begin_ns < START_NS && pause > START_POLL_NS)
        pause = START_POLL_NS;
    if (run->deadline_ns && pause > SECOND_NS / 50)
        pause = SECOND_NS / 50;
    if (run->deadline_ns && run->deadline_ns - now_ns < pause)
        pause = run->deadline_ns > now_ns ? run->deadline_ns - now_ns : 0;
    return pause;
}

static void wait_for_something(run_supervisor *run)
{
    struct pollfd files[] = {
        {.fd = run->signal_fd, .events = POLLIN},
        {.fd = run->control_fd, .events = POLLIN},
        {.fd = run->watched_fd, .events = POLLIN},
        {.fd = run->pid_fd, .events = POLLIN},
        {.fd = run->heap.page ? run->heap.epoll_fd : -1, .events = POLLIN},
        {.fd = run->frozen ? -1 : run->wall.event_fd, .events = run->wall.kind == RUN_WALL_V1 ? POLLIN : POLLPRI},
    };
    int64_t pause = pause_ns(run, run_now_ns());
    struct timespec time = {.tv_sec = pause / SECOND_NS, .tv_nsec = pause % SECOND_NS};
    if (ppoll(files, sizeof files / sizeof *files, &time, NULL) <= 0)
        return;
    if (files[0].revents)
        take_signals(run);
    if (files[1].revents)
        run_control_answer(run, run->control_fd);
    if (files[2].revents)
        run_control_answer(run, run->watched_fd);
    if (files[3].revents)
        run->has_ended = true;
    if (files[4].revents)
        run_heap_serve(&run->heap);
    uint64_t count;
    if (files[5].revents) {
        run->woken = true;
        if (run->wall.kind == RUN_WALL_V1 && read(run->wall.event_fd, &count, sizeof count) < 0)
            run->woken = false;
    }
}

/* Programs that all wait for each other's memory look like programs that work. Each stall is reported once. */
static void tell_of_stall(run_supervisor *run)
{
    char used[16], limit[16];
    const hri_malloc_page *page = run->heap.page;
    unsigned waiters = page ? atomic_load(&page->waiters) : 0;
    uint64_t bytes = waiters ? atomic_load(&page->used_bytes) : 0;
    if (!waiters || bytes != run->stalled_bytes) {
        run->stalled_ns = waiters ? run->sampled_ns : 0;
        run->stalled_bytes = bytes;
        run->stall_told &= waiters > 0;
        return;
    }
    if (run->stall_told || run->sampled_ns - run->stalled_ns < STALL_NS)
        return;
    run->stall_told = true;
    hr_size_format(bytes, used, sizeof used);
    hr_size_format(run->use.limit_bytes, limit, sizeof limit);
    run_tell(run,
             "%u thread%s of %s (%d) wait%s for memory, and none has come back for two seconds: %s of %s is taken; "
             "'headroom limit --set SIZE %d' gives more, else they get none after --grace",
             waiters, waiters == 1 ? "" : "s", run->name, run->pid, waiters == 1 ? "s" : "", used, limit, getpid());
}

static void watch(run_supervisor *run)
{
    while (!run->has_ended && !run->has_left) {
        run_look(run);
        run_wall_tend(&run->wall);
        run_heap_tidy(&run->heap, run->sampled_ns);
        tell_of_stall(run);
        run_decide(run);
        run_record(run);
        run_say_status(run);
        run_line_show(run);
        wait_for_something(run);
    }
    run_line_clear(run);
}

/* Actions that still run may be what a person waits for: a mail that is being sent. */
static void wait_for_actions(run_supervisor *run)
{
    int64_t until_ns = run_now_ns() + ACTIONS_WAIT_NS;
    for (size_t i = 0; i < RUN_SKIPPED_MAX; i++) {
        while (run->tree.skipped[i] && run_now_ns() < until_ns) {
            struct pollfd file = {.fd = run->signal_fd, .events = POLLIN};
            poll(&file, 1, 20);
            take_signals(run);
        }
    }
}

/* A server that puts itself into the background ends at once as a command, and serves on without its watch. */
static void tell_of_rest(run_supervisor *run)
{
    for (int round = 0; round < 5; round++) { /* those that end with it have a moment */
        run_child_reap(run);
        run_tree_list(&run->tree);
        if (run->tree.count == 0)
            return;
        poll(NULL, 0, 10);
    }
    run_tell(run,
             "%s (%d) has ended, and %zu process%s that it started run%s on with no watch and no limit: a server is to "
             "stay in the foreground",
             run->name, run->pid, run->tree.count, run->tree.count == 1 ? "" : "es", run->tree.count == 1 ? "s" : "");
}

/* The command was asked to end and has, and some of what it started has not: left alone it would fill the group
 * around. */
static void end_rest(run_supervisor *run)
{
    int64_t until_ns = run_now_ns() + run->options.grace_ns + DYING_NS;
    run_tree_list(&run->tree);
    if (run->tree.count > 0 && !run->killed) {
        run_tree_signal(&run->tree, SIGTERM);
        run_tree_wake(&run->tree);
    }
    while (run->tree.count > 0 && run_now_ns() < until_ns) {
        struct pollfd file = {.fd = run->signal_fd, .events = POLLIN};
        run_look_rest(run);
        run_await_end(run);
        run_wall_tend(&run->wall);
        int64_t pause_ns = run_poll_ns(run->kernel_left_bytes);
        poll(&file, 1, pause_ns < SECOND_NS / 50 ? (int)(pause_ns / 1000000) : 20);
        take_signals(run);
        run_tree_list(&run->tree);
    }
}

/* The command runs and cannot be watched. A process that has not ended keeps its group from being removed. */
static void end_unwatched(run_supervisor *run)
{
    int64_t until_ns = run_now_ns() + DYING_NS;
    do {
        run_tree_list(&run->tree);
        run_tree_signal(&run->tree, SIGKILL);
        kill(run->pid, SIGKILL); /* a zombie until run_child_reap() has it: the number is still its own */
        poll(NULL, 0, 5);
    } while (!run_child_reap(run) && run_now_ns() < until_ns);
}

/* ── from the beginning to the end ──────────────────────────────────────────────────────────────────────────────── */

/* Starts the command, or finds the process that runs already. Gives 0 or an exit status. */
static int begin(run_supervisor *run)
{
    if (!run->options.pid)
        return run_child_start(run);
    run->pid = run->options.pid;
    run->pid_fd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    if (run->pid_fd < 0) {
        run_tell(run, "process %d cannot be watched: %s", run->pid, strerror(errno));
        return RUN_EXIT_FAILED;
    }
    if (run->options.observe)
        return 0;
    if (syscall(SYS_pidfd_send_signal, run->pid_fd, 0, NULL, 0) != 0) {
        run_tell(run, "process %d may not be signalled: %s; --observe only looks", run->pid, strerror(errno));
        return RUN_EXIT_FAILED;
    }
    run->watched_fd = run_control_open(run->pid);
    if (run->watched_fd != -EADDRINUSE)
        return 0;
    run_tell(run, "process %d is watched already: 'headroom limit --set SIZE %d' gives it another limit", run->pid,
             run->pid);
    return RUN_EXIT_FAILED;
}

/* The name and the words of the process that --pid watches. A process without words, such as a zombie, has its name. */
static void name_watched(run_supervisor *run)
{
    char folder[32];
    snprintf(folder, sizeof folder, "/proc/%d", run_proc_number(run->options.pid));
    run->name = "process";
    if (run_file_read(folder, "comm", run->own_name, sizeof run->own_name) > 0) {
        run->own_name[strcspn(run->own_name, "\n")] = '\0';
        run->name = run->own_name;
    }
    ssize_t length = run_file_read(folder, "cmdline", run->own_text, sizeof run->own_text), at = 0;
    run->own_words[0] = length > 0 ? NULL : run->own_name;
    for (size_t i = 0; at < length && i + 1 < sizeof run->own_words / sizeof *run->own_words; i++) {
        run->own_words[i] = run->own_text + at;
        at += (ssize_t)strlen(run->own_words[i]) + 1;
    }
    run->options.command = run->own_words;
}

static void join_words(run_supervisor *run)
{
    char *const *word = run->options.command;
    for (size_t at = 0; *word && at < sizeof run->command; word++)
        at += (size_t)snprintf(run->command + at, sizeof run->command - at, "%s%s", at ? " " : "", *word);
}

static const char *report_error(int error)
{
    return error == -EBADMSG  ? "there is a file of that name which is no history file"
           : error == -EINVAL ? "it is no regular file"
           : error == -EBUSY  ? "another process writes it"
                              : strerror(-error);
}

static int open_all(run_supervisor *run)
{
    hr_survey_options where = {.pid = run->options.pid ? run_proc_number(run->options.pid) : 0, .stays = true};
    bool has_proc = run_proc_depth() >= 0;
    int error = hr_survey_new(&where, &run->around);
    if (error) {
        if (error == -ESRCH && run->options.pid)
            run_tell(run, "there is no process %d", run->options.pid);
        else
            run_tell(run, "cannot look: %s", strerror(-error));
        return RUN_EXIT_FAILED;
    }
    if (!has_proc && !run->around->cgroup_folder) {
        run_tell(run, "nothing can be watched: /proc shows neither the processes here nor their cgroup");
        return RUN_EXIT_FAILED;
    }
    if (!has_proc)
        run_tell(run, "/proc does not show the processes here: what the whole group uses counts");
    if (!choose_limit(run))
        return RUN_EXIT_FAILED;
    if (run->options.report) {
        error = hr_history_writer_new(run->options.report, 0, &run->history);
        if (error) {
            run_tell(run, "--report '%s' cannot be written: %s", run->options.report, report_error(error));
            return RUN_EXIT_FAILED;
        }
    }
    if (run->options.summary && !run_summary_open(run))
        return RUN_EXIT_FAILED;
    error = open_signals(run);
    if (error) {
        run_tell(run, "signals cannot be taken: %s", strerror(-error));
        return RUN_EXIT_FAILED;
    }
    /* Its thread takes no signals: they are blocked by now. */
    if (run->options.http) {
        error = run_serve_new(run->name, run->command, &run->serve);
        if (error)
            run_tell(run, "--http: %s", strerror(-error));
        else
            run->server = run->options.server->start(run->options.http, run->serve);
        if (!run->server)
            return RUN_EXIT_FAILED;
    }
    return 0;
}

static void close_all(run_supervisor *run)
{
    run_keeper_stop(run);
    run_wall_remove(&run->wall);
    if (run->server)
        run->options.server->stop(run->server);
    run_serve_free(run->serve);
    hr_status_page_free(run->status_page);
    hr_history_writer_free(run->history);
    hr_survey_free(run->around);
    hr_survey_free(run->inside);
}

static void build_wall(run_supervisor *run)
{
    uint64_t bytes, ceiling;
    run->wall = (run_wall){.event_fd = -1, .lock_fd = -1};
    if (run->options.observe)
        snprintf(run->wall.why, sizeof run->wall.why, "none: it is only observed");
    else if (run->options.pid)
        snprintf(run->wall.why, sizeof run->wall.why, "none: the process has its memory already");
    else {
        bytes = run_wall_place(run, run->use.limit_bytes, &ceiling);
        run_wall_make(&run->wall, run->around, bytes, ceiling);
    }
}

/* Waits up to a second for a command that is exiting, so that it is reaped before the first look. /proc names the root
 * group for such a process, and the look would count the whole machine's use. */
static void reap_leaving(run_supervisor *run)
{
    int number = run->options.pid ? 0 : run_proc_number(run->pid);
    for (int round = 0; !run_child_reap(run) && round < 1000 && run_tree_is_leaving(number); round++)
        poll(NULL, 0, 1);
}

static int supervise(run_supervisor *run)
{
    int status = open_all(run);
    if (status)
        return status;
    status = open_heap(run);
    if (status)
        return status;
    build_wall(run);
    run_look_around(run);
    int error = run_keeper_start(run);
    if (error) {
        run_tell(run, "no process can be started: %s", strerror(-error));
        return RUN_EXIT_FAILED;
    }
    if (run->wall.kind == RUN_WALL_NONE && run->around->cgroup_folder)
        run->kills_before = run_group_kills((unsigned)run->around->cgroup_version, run->around->cgroup_folder);
    run->begin_ns = run_now_ns();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    status = begin(run);
    error = status ? 0 : run_look_open(run);
    if (error) {
        run_tell(run, "the command cannot be watched: %s", strerror(-error));
        if (!run->options.pid)
            end_unwatched(run);
        status = RUN_EXIT_FAILED;
    }
    if (status)
        return status;
    run->control_fd = run_control_open(getpid());
    run_record_kills(run); /* none yet: that they are seen at all */
    if (hr_status_page_new(run->pid, &run->status_page) != 0)
        run->status_page = NULL; /* it has a guard that says more itself, or there is no /dev/shm */
    reap_leaving(run);
    watch(run);
    if ((run->asked || run->killed) && !run->options.pid)
        end_rest(run);
    else if (!run->options.pid && !run->options.quiet)
        tell_of_rest(run);
    uint64_t kills = run_kills(run);
    run->kills = kills == HR_NONE ? 0 : kills;
    run_record_kills(run);
    run_thaw(run, "its watcher leaves");
    wait_for_actions(run);
    if (run->options.pid)
        return run->has_left ? 128 + run->has_left : 0;
    return run_child_exit_status(run);
}

int run_supervise(const run_options *options)
{
    static run_supervisor run;                        /* large, and there is one */
    const char *observe = getenv("HEADROOM_OBSERVE"); /* as for a guard */
    run = (run_supervisor){
        .options = *options, .signal_fd = -1, .control_fd = -1, .watched_fd = -1, .pid_fd = -1, .keeper_fd = -1};
    const char *slash = options->command ? strrchr(options->command[0], '/') : NULL;
    if (!options->command)
        name_watched(&run);
    else
        run.name = slash && slash[1] ? slash + 1 : options->command[0];
    join_words(&run);
    run.is_terminal = isatty(STDERR_FILENO);
    if (observe && *observe && strcmp(observe, "0") != 0 && strcmp(observe, "1") != 0) {
        run_tell(&run, "HEADROOM_OBSERVE is '%.32s': write 1 to look and tell and do nothing, or 0", observe);
        return RUN_EXIT_FAILED;
    }
    run.options.observe |= observe && strcmp(observe, "1") == 0;
    int status = supervise(&run);
    if (run.inside)
        run_summary_print(&run, status);
    if (run.heap.page)
        run_heap_close(&run.heap);
    close_all(&run);
    return status;
}
