/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor: one process, one thread, one loop (supervisor.c). It waits for signals, for the wall, for a word of
 * `headroom limit --set`, and for the time of the next look; then it looks (look.c), decides and acts (act.c).
 *
 * It stays outside of the wall. After the start it allocates nothing, so that it works when memory is short around it.
 *
 * Signals: the command stays in the supervisor's process group, so those of the terminal reach it by themselves, and a
 * pipeline stays one job. All others that reach the supervisor are sent on once. Only the command's own end, or its
 * being stopped, ends or stops the supervisor.
 */
#ifndef RUN_SUPERVISOR_H
#define RUN_SUPERVISOR_H

#include "heap.h"
#include "run.h"
#include "tree.h"
#include "wall.h"

#include <headroom/report.h>
#include <headroom/status.h>
#include <headroom/survey.h>

#include <signal.h>
#include <stdio.h>

#define RUN_NOTES_MAX 256
#define RUN_TEXT_BYTES 256

/* Something that happened, for the summary. */
typedef struct run_note {
    int64_t time_ns;
    hr_level from, to; /* of a change of level; equal for an action */
    uint64_t use_bytes, limit_bytes;
    char trigger[96]; /* why it was done: "critical=signal:TERM", "limit", "grace", "limit --set" */
    char action[96];  /* what was done: "SIGTERM", "freeze", "thaw", "SIGKILL" … ; "" for a change of level */
} run_note;

typedef struct run_supervisor {
    run_options options;
    const char *name; /* of the command, for people */
    int pid;          /* its main process */
    sigset_t inherited_mask;
    int signal_fd, control_fd, pid_fd; /* below 0: none */
    int watched_fd;                    /* as control_fd, by the number of the process that --pid watches */
    FILE *summary;                     /* where it is written as JSON; NULL: nowhere */
    int keeper_fd;                     /* the end of this pipe is the supervisor's end */
    char own_name[32], own_text[1024]; /* of the process that --pid watches */
    char *own_words[64];               /* its command, in `own_text` */
    char command[HR_COMMAND_BYTES];    /* its words with spaces between them, for file and page */

    hr_survey *around; /* where the supervisor is */
    hr_survey *inside; /* where the command is */
    char limit_source[HR_LIMIT_SOURCE_BYTES];
    run_wall wall;
    run_heap heap; /* without a page unless the command has headroom's malloc */
    run_tree tree;
    hr_history_writer *history;
    run_serve *serve; /* NULL: there is no page */
    void *server;
    hr_status_page *status_page; /* for headroom top; NULL: there is none */
    int64_t recorded_ns, said_ns;
    int64_t stalled_ns; /* since when programs wait and nothing has come back; 0: none waits */
    uint64_t stalled_bytes;
    bool stall_told;

    /* The last look. */
    run_use use;
    uint64_t summed_group_bytes; /* the group's use when the tree was added up */
    uint64_t kernel_left_bytes;  /* until the kernel kills in a group around; HR_NONE: there is no limit */
    hr_level level;
    int64_t sampled_ns;
    uint64_t peak_bytes;
    double rate; /* bytes a second, signed */
    uint64_t rate_bytes;
    int64_t rate_ns;
    uint64_t kills;        /* by the kernel: behind the wall; without one, in the command's group since it began */
    uint64_t kills_before; /* without a wall: in that group until then */

    /* Actions that are under way. */
    bool woken;         /* by the wall */
    int64_t asleep_ns;  /* since when it holds the tree; 0: it does not */
    bool limit_reached; /* and dealt with */
    bool frozen;
    bool stopped;        /* frozen by SIGSTOP */
    int64_t let_go_ns;   /* when it was thawed for a signal that was sent on; 0: it was not, or has had its grace */
    int asked;           /* by which signal it was asked to end; 0: it was not */
    int64_t deadline_ns; /* SIGKILL then; 0: no end was asked for */
    int64_t yielded_ns;  /* when the wall was last raised for that */
    bool killed;         /* the supervisor has sent SIGKILL to the tree */
    bool may_not;        /* and was not permitted to */

    /* The outcome. */
    bool has_ended;
    int has_left; /* the signal by which a watcher of somebody else's process left; 0: none */
    int status;   /* as waitpid() gives it */
    uint64_t rss_peak_bytes;
    int64_t begin_ns;
    run_note notes[RUN_NOTES_MAX];
    uint64_t note_count; /* those beyond RUN_NOTES_MAX are counted alone */

    bool is_terminal; /* standard error is one */
    bool has_line;    /* a status line stands there */
    int64_t lined_ns;
} run_supervisor;

/* child.c */
int run_child_start(run_supervisor *run);                    /* 0, or the exit status that says why not */
bool run_child_reap(run_supervisor *run);                    /* takes what has ended or stopped */
void run_child_stop_frozen(run_supervisor *run, int signal); /* as a terminal asks, if it is frozen */
int run_child_exit_status(const run_supervisor *run);
int run_keeper_start(run_supervisor *run);                     /* 0 or a negative errno */
void run_keeper_tell(const run_supervisor *run, bool stopped); /* what is to go on at the supervisor's end */
void run_keeper_stop(run_supervisor *run);
int run_spawn(run_supervisor *run, const char *command); /* an action's; 0 or a negative errno */

/* supervisor.c */
uint64_t run_wall_bytes(const run_supervisor *run, uint64_t limit); /* where the wall is due for a limit */
/* Where it stands: there, or where the room around ends. `ret_ceiling`: how far it may be raised for an end. */
uint64_t run_wall_place(const run_supervisor *run, uint64_t limit, uint64_t *ret_ceiling);
uint64_t run_slack(uint64_t limit); /* what may be charged below a limit without being seen in time */

/* look.c */
int run_look_open(run_supervisor *run);
void run_look(run_supervisor *run);
void run_look_around(run_supervisor *run); /* before there is a command: what the heap may hold at first */
void run_look_rest(run_supervisor *run); /* when the command has ended: what is left until the kernel kills its rest */

/* act.c */
void run_decide(run_supervisor *run);
/* Sends a signal to the main process alone, by its pidfd if there is one: the number of a process that is no child may
 * be another's by now. Gives 0 or a negative errno, -EPERM for a process of another user. */
int run_send(const run_supervisor *run, int signal);
void run_make_way(run_supervisor *run);  /* for an end: thaws the tree, and gives its handlers room */
void run_await_end(run_supervisor *run); /* of what was asked to end: gives its handlers room, or kills it in time */
void run_thaw(run_supervisor *run, const char *why);
void run_kill(run_supervisor *run, const char *why);

/* tell.c */
void run_tell(run_supervisor *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void run_note_action(run_supervisor *run, const char *trigger, const char *action);
void run_note_level(run_supervisor *run, hr_level from, hr_level to);
void run_line_show(run_supervisor *run);
void run_line_clear(run_supervisor *run);
const char *run_use_text(const run_supervisor *run, char text[RUN_TEXT_BYTES]); /* "93.1 MiB of 98.0 MiB (95.0 %) …" */
void run_record(run_supervisor *run);
void run_record_level(run_supervisor *run, hr_level from, hr_level to);
uint64_t run_kills(const run_supervisor *run); /* by the kernel; HR_NONE where they cannot be seen */
void run_record_kills(run_supervisor *run);
void run_say_status(run_supervisor *run);

/* summary.c */
bool run_summary_open(run_supervisor *run); /* false after it has said why not */
void run_summary_print(run_supervisor *run, int status);

/* control.c */
int run_control_open(int pid); /* listens as the supervisor of `pid`; a negative errno: -EADDRINUSE if there is one */
void run_control_answer(run_supervisor *run, int control_fd);

#endif
