/* SPDX-License-Identifier: Apache-2.0 */
/* Actions, and their times. Each look ends here: the level follows, triggers fire at their rise, and the limit itself
 * is dealt with. A command that was asked to end and did not is killed after the grace.
 *
 * A process that sleeps at a wall of version 1, or is frozen, runs no handler. So whatever is to end is thawed first,
 * and its wall yields a little every 20 ms until it has ended.
 */
#include "supervisor.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ASLEEP_NS (RUN_SECOND_NS / 2)
/* A command that was asked to end and grows on, with no wall that holds it, is killed by the supervisor and not by the
 * kernel. */
#define KERNEL_LEFT_MIN (UINT64_C(1) << 20)
#define YIELD_NS (RUN_SECOND_NS / 50)

/* ── frozen and thawed ──────────────────────────────────────────────────────────────────────────────────────────── */

/* Stops the tree with all that it holds. At a wall of version 1 that holds it already, there is nothing to do. */
static void freeze(run_supervisor *run, const char *trigger, bool asleep)
{
    char text[RUN_TEXT_BYTES], command[96];
    if (run->frozen)
        return;
    run->frozen = true;
    if (!asleep && !run_wall_freeze(&run->wall, true)) {
        run_tree_signal(&run->tree, SIGSTOP);
        run->stopped = true;
        run_keeper_tell(run, true);
    }
    run_note_action(run, trigger, "freeze");
    if (run->options.pid)
        snprintf(command, sizeof command, "headroom limit --set SIZE %d", run->pid);
    else
        snprintf(command, sizeof command, "headroom limit --set SIZE %d", getpid());
    run_tell(run, "%s: %s (%d) is frozen at %s; it goes on after '%s'", trigger, run->name, run->pid,
             run_use_text(run, text), command);
}

void run_thaw(run_supervisor *run, const char *why)
{
    if (!run->frozen)
        return;
    run->frozen = false;
    run->asleep_ns = 0;
    if (run->wall.frozen)
        run_wall_freeze(&run->wall, false);
    if (run->stopped)
        run_tree_signal(&run->tree, SIGCONT);
    if (run->stopped)
        run_keeper_tell(run, false);
    run->stopped = false;
    run_note_action(run, why, "thaw");
    run_tell(run, "%s: %s (%d) goes on", why, run->name, run->pid);
}

/* ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void begin_grace(run_supervisor *run)
{
    if (!run->deadline_ns)
        run->deadline_ns = run_now_ns() + run->options.grace_ns;
}

static void yield(run_supervisor *run)
{
    int64_t now_ns = run_now_ns();
    if (run->wall.kind == RUN_WALL_NONE || now_ns - run->yielded_ns < YIELD_NS || !run_wall_is_hit(&run->wall))
        return;
    run->yielded_ns = now_ns;
    run_wall_yield(&run->wall);
}

int run_send(const run_supervisor *run, int signal)
{
    long result =
        run->pid_fd >= 0 ? syscall(SYS_pidfd_send_signal, run->pid_fd, signal, NULL, 0) : kill(run->pid, signal);
    return result == 0 ? 0 : -errno;
}

void run_make_way(run_supervisor *run)
{
    run_thaw(run, "it is to end");
    if (run->wall.kind != RUN_WALL_NONE)
        run_wall_yield(&run->wall);
}

void run_kill(run_supervisor *run, const char *why)
{
    char text[RUN_TEXT_BYTES];
    run->deadline_ns = 0;
    run_thaw(run, "it is killed");
    bool by_wall = run_wall_kill(&run->wall);
    if (!by_wall)
        run_tree_signal(&run->tree, SIGKILL);
    int error = by_wall ? 0 : run_send(run, SIGKILL);
    run->killed = true; /* or it never can be */
    run->may_not = error == -EPERM;
    run_note_action(run, why, run->may_not ? "SIGKILL (not permitted)" : "SIGKILL");
    run_tell(run,
             run->may_not ? "%s: %s (%d) cannot be killed: it runs with another user's rights, at %s"
                          : "%s: %s (%d) and all that it started are killed at %s",
             why, run->name, run->pid, run_use_text(run, text));
}

/* ── triggers ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void send_signal(run_supervisor *run, const char *why, int signal)
{
    char text[RUN_TEXT_BYTES], name[RUN_SIGNAL_BYTES], action[RUN_SIGNAL_BYTES + 24];
    run_signal_text(signal, name);
    if (run_signal_ends(signal))
        run_make_way(run);
    int error = run_send(run, signal);
    if (error && error != -ESRCH) {
        snprintf(action, sizeof action, "%s (not permitted)", name);
        run_note_action(run, why, action);
        run_tell(run, "%s: %s cannot be sent to %s (%d): %s; it uses %s", why, name, run->name, run->pid,
                 strerror(-error), run_use_text(run, text));
        return;
    }
    run_note_action(run, why, name);
    run_tell(run, "%s: %s is sent to %s (%d) at %s", why, name, run->name, run->pid, run_use_text(run, text));
    if (run_signal_ends(signal)) {
        run->asked = signal;
        begin_grace(run);
        run_tree_wake(&run->tree);
    }
}

static void purge(run_supervisor *run, const char *why)
{
    char text[RUN_TEXT_BYTES];
    int error = run_wall_reclaim(&run->wall, run->use.limit_bytes / 8);
    run_note_action(run, why, error && error != -EAGAIN ? "purge (not possible)" : "purge");
    if (error == -ENOTSUP)
        run_tell(run, "%s: there is no group of its own whose cache could be purged", why);
    else
        run_tell(run, "%s: page cache is taken back at %s", why, run_use_text(run, text));
}

static void fire(run_supervisor *run, const run_trigger *trigger)
{
    char text[RUN_TEXT_BYTES];
    const char *why = trigger->text;
    if (run->options.observe) {
        run_note_action(run, why, "nothing (observed)");
        run_tell(run, "%s would be done at %s", why, run_use_text(run, text));
        return;
    }
    switch (trigger->action) {
    case RUN_LOG:
        run_note_action(run, why, "log");
        run_tell(run, "%s: %s (%d) uses %s", why, run->name, run->pid, run_use_text(run, text));
        break;
    case RUN_SIGNAL:
        send_signal(run, why, trigger->signal);
        break;
    case RUN_EXEC:
        run_note_action(run, why, "exec");
        if (run_spawn(run, trigger->command) != 0)
            run_tell(run, "%s: no process can be started for it", why);
        break;
    case RUN_PURGE:
        purge(run, why);
        break;
    case RUN_FREEZE:
        freeze(run, why, false);
        break;
    }
}

/* ── the limit ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The process that has grown is often not the main one, and it may sleep at the wall. There it dies of SIGABRT as soon
 * as the wall yields. Asked after the main process has ended, it had used up the room. */
static void abort_all(run_supervisor *run)
{
    send_signal(run, "limit", SIGABRT);
    run_tree_list(&run->tree);
    for (size_t i = 0; i < run->tree.count; i++) {
        int pid = run_tree_own(&run->tree, i);
        if (pid > 0 && pid != run->pid)
            kill(pid, SIGABRT);
    }
    run_tree_wake(&run->tree);
}

static void reach_limit(run_supervisor *run, bool asleep)
{
    char text[RUN_TEXT_BYTES];
    run->limit_reached = true;
    if (run->options.observe) {
        run_note_action(run, "limit", "nothing (observed)");
        run_tell(run, "limit: %s (%d) has reached it: %s", run->name, run->pid, run_use_text(run, text));
    } else if (run->options.on_limit == RUN_LIMIT_FREEZE && !run->deadline_ns) {
        freeze(run, "limit", asleep);
    } else if (run->options.on_limit == RUN_LIMIT_ABORT) {
        abort_all(run);
    } else if (!run->deadline_ns) {
        send_signal(run, "limit", SIGTERM);
    }
}

/* Does the tree sleep at a wall of version 1? A tree that was just let go on may look so for a moment, so far
 * below the limit it has to last. */
static bool is_asleep(run_supervisor *run, bool near)
{
    if (run->wall.kind != RUN_WALL_V1 || !(near || run->woken))
        return false;
    run->woken = run_wall_is_hit(&run->wall);
    if (!run->woken)
        run->asleep_ns = 0;
    else if (!run->asleep_ns)
        run->asleep_ns = run->sampled_ns;
    return run->woken && (near || run->sampled_ns - run->asleep_ns > ASLEEP_NS);
}

/* A wall of version 2 is touched by page cache too, so it counts only where use is near the limit. */
static void watch_limit(run_supervisor *run)
{
    bool asleep = is_asleep(run, run->use.share > 0.9);
    bool held = run->wall.kind == RUN_WALL_V2 && run->use.share > 0.98 && run_wall_is_hit(&run->wall);
    bool reached = asleep || held || run->use.left_bytes == 0;
    if (run->let_go_ns && run->sampled_ns - run->let_go_ns >= run->options.grace_ns) { /* it did not end */
        run->let_go_ns = 0;
        run->limit_reached = false;
    }
    if (reached && !run->limit_reached && !run->killed)
        reach_limit(run, asleep);
    else if (!reached && run->use.share < 15.0 / 16)
        run->limit_reached = false;
}

void run_await_end(run_supervisor *run)
{
    if (!run->deadline_ns || run->killed)
        return;
    if (run_now_ns() >= run->deadline_ns)
        run_kill(run, "grace is over");
    else if (run->wall.kind != RUN_WALL_V1 && run->kernel_left_bytes < KERNEL_LEFT_MIN)
        run_kill(run, "no room is left for the grace");
    else
        yield(run);
}

void run_decide(run_supervisor *run)
{
    hr_level level = run_level_next(run->level, run->use.share);
    if (level != run->level) {
        run_note_level(run, run->level, level);
        run->level = level;
    }
    for (size_t i = 0; i < run->options.trigger_count && !run->killed; i++) {
        if (run_trigger_rises(&run->options.triggers[i], &run->use))
            fire(run, &run->options.triggers[i]);
    }
    watch_limit(run);
    run_await_end(run);
}
